"""Prefill and decoding, ours beside llama.cpp's or transformers', interleaved.

    cargo build --release --workspace --example generation_peer
    python tests/peers/generation.py MODEL_FOLDER LLAMA_BIN|transformers [THREADS] [ROUNDS]

`MODEL_FOLDER` holds one GGUF file, `LLAMA_BIN` llama-bench and llama-batched-bench; transformers (pip install torch transformers gguf) reads
the file into f32. Each line is the best of the rounds, in tokens a second of wall time and of CPU time (all threads); on a shared machine the
latter says more. llama-batched-bench prints wall time alone, so its CPU time is that of the whole process less that of reading the prompts, which
a run of one token tells. Of transformers the forward passes are timed, not what `generate` does around them.
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


def transformers(gguf, threads, what, *numbers):
    """In a process of its own, as ours: see `by_transformers`."""
    out, *_ = timed([sys.executable, __file__, "by-transformers", gguf, threads, what, *numbers])
    tokens, wall, cpu = out.split()[-3:]
    return int(tokens) / float(wall), int(tokens) / max(float(cpu), 0.01)


def by_transformers(gguf, threads, what, *numbers):
    """Tokens, wall seconds and CPU seconds of a prefill of so many tokens, or of steps of so many rows after prompts, warmed up by one before."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    texts = lambda rows, tokens: torch.randint(100, 6000, (rows, tokens))

    def prefill(tokens):
        clock = time.monotonic(), time.process_time()
        model(texts(1, tokens), logits_to_keep=1)
        return tokens, clock

    def decode(rows, steps, prompt):
        cache = model(texts(rows, prompt), logits_to_keep=1, use_cache=True).past_key_values
        clock, token = (time.monotonic(), time.process_time()), texts(rows, 1)
        for _ in range(steps):
            seen = model(token, past_key_values=cache, use_cache=True)
            cache, token = seen.past_key_values, seen.logits[:, -1:].argmax(-1)
        return rows * steps, clock

    with torch.inference_mode():
        for _ in range(2):
            tokens, (wall, cpu) = {"prefill": prefill, "decode": decode}[what](*numbers)
            print(tokens, time.monotonic() - wall, time.process_time() - cpu)


def peers(folder, peer, threads):
    """The peer's prefill, and its decoding of so many rows."""
    gguf = next(Path(folder).glob("*.gguf"))
    if peer == "transformers":
        return (lambda: transformers(gguf, threads, "prefill", PREFILL),
                lambda rows: transformers(gguf, threads, "decode", rows, STEPS, PROMPT))
    binary = Path(peer)
    return lambda: bench(binary, gguf, threads, PREFILL, 0), lambda rows: batched(binary, gguf, threads, rows)


def speeds(folder, peer, threads, rounds):
    their_prefill, their_decode = peers(folder, peer, threads)
    pairs = [("prefill", lambda: ours(folder, threads, "prefill", PREFILL), their_prefill)]
    for rows in BATCHES:
        pairs.append((f"decode, {rows} rows", lambda rows=rows: ours(folder, threads, "decode", rows, STEPS, PROMPT),
                      lambda rows=rows: their_decode(rows)))
    best = {name: [(0, 0), (0, 0)] for name, *_ in pairs}
    for _ in range(rounds):
        for name, *sides in pairs:
            for at, side in enumerate(sides):
                best[name][at] = tuple(map(max, best[name][at], side()))
    print(f"{threads} threads, best of {rounds}, load {os.getloadavg()[0]:.1f}")
    print("| | ours, tokens/s | per CPU s | theirs, tokens/s | per CPU s | ratio | of CPU |\n|---|---:|---:|---:|---:|---:|---:|")
    for name, ((wall, cpu), (their_wall, their_cpu)) in best.items():
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {their_wall:.1f} | {their_cpu:.1f} | {wall / their_wall:.2f} | {cpu / their_cpu:.2f} |")


def main(arguments):
    if arguments[0] == "by-transformers":
        by_transformers(Path(arguments[1]), int(arguments[2]), arguments[3], *map(int, arguments[4:]))
        return
    threads, rounds = (int(text) for text in (arguments[2:4] + ["1", "3"][len(arguments[2:4]):]))
    speeds(os.path.abspath(arguments[0]), arguments[1], threads, rounds)


if __name__ == "__main__":
    main(sys.argv[1:])
