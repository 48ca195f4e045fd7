"""Prefill and decoding, ours beside llama.cpp's, interleaved.

    cargo build --release -p ablate-generate --example generation_peer
    python tests/peers/generation.py MODEL_FOLDER LLAMA_BIN [THREADS] [ROUNDS]

`MODEL_FOLDER` holds one GGUF file, `LLAMA_BIN` llama-bench and llama-batched-bench. Each line is the best of the rounds, in
tokens a second of wall time and of CPU time (all threads); on a shared machine the latter says more. llama-batched-bench prints wall
time alone, so its CPU time is that of the whole process less that of reading the prompts, which a run of one token tells.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[2]
OURS = HERE / "target/release/examples/generation_peer"
PREFILL, PROMPT, STEPS = 400, 128, 32
BATCHES = [1, 8, 32]


def timed(command):
    """Output, wall seconds and CPU seconds of a command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed: {done.stderr[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, time.monotonic() - start, cpu


def ours(folder, threads, *what):
    """Tokens a second of wall and of CPU time."""
    tokens, wall, cpu = timed([OURS, folder, threads, *what])[0].split()
    return int(tokens) / float(wall), int(tokens) / max(float(cpu), 0.01)


def bench(binary, gguf, threads, prefill, steps):
    """llama-bench: wall from its own clock, CPU as the growth from half the work to all of it."""
    command = [binary / "llama-bench", "-m", gguf, "-t", threads, "-r", 1, "-o", "json"]
    rows, _, whole = timed(command + ["-p", prefill, "-n", steps])
    _, _, half = timed(command + ["-p", prefill // 2, "-n", steps // 2])
    wall = json.loads(rows)[0]["avg_ts"]
    return wall, (prefill + steps) / 2 / max(whole - half, 0.01)


def batched(binary, gguf, threads, rows):
    command = [binary / "llama-batched-bench", "-m", gguf, "-t", threads, "-c", (PROMPT + STEPS) * rows + 64, "-b", 512,
               "-npp", PROMPT, "-npl", rows, "--output-format", "jsonl"]
    out, _, whole = timed(command + ["-ntg", STEPS])
    _, _, prompts = timed(command + ["-ntg", 1])
    line = next(line for line in out.splitlines() if line.startswith("{"))
    return float(json.loads(line)["speed_tg"]), rows * (STEPS - 1) / max(whole - prompts, 0.01)


def speeds(folder, binary, threads, rounds):
    gguf = next(Path(folder).glob("*.gguf"))
    pairs = [("prefill", lambda: ours(folder, threads, "prefill", PREFILL), lambda: bench(binary, gguf, threads, PREFILL, 0))]
    for rows in BATCHES:
        pairs.append((f"decode, {rows} rows", lambda rows=rows: ours(folder, threads, "decode", rows, STEPS, PROMPT),
                      lambda rows=rows: batched(binary, gguf, threads, rows)))
    best = {name: [(0, 0), (0, 0)] for name, *_ in pairs}
    for _ in range(rounds):
        for name, *sides in pairs:
            for at, side in enumerate(sides):
                best[name][at] = tuple(map(max, best[name][at], side()))
    print(f"{threads} threads, best of {rounds}, load {os.getloadavg()[0]:.1f}")
    print("| | ours, tokens/s | per CPU s | llama.cpp, tokens/s | per CPU s | ratio | of CPU |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, ((wall, cpu), (their_wall, their_cpu)) in best.items():
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {their_wall:.1f} | {their_cpu:.1f} | {wall / their_wall:.2f} | {cpu / their_cpu:.2f} |")


def main(arguments):
    threads, rounds = (int(text) for text in (arguments[2:4] + ["1", "3"][len(arguments[2:4]):]))
    speeds(os.path.abspath(arguments[0]), Path(arguments[1]), threads, rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
