#!/usr/bin/env python3
"""What the engine itself costs: one root and N leaves that do next to nothing, each with its own parameter.

usage: tests/overhead.py BINARY N...

For each N a line: first run, fully cached run, run with one leaf changed (wall and CPU seconds), and the peak memory of the cached run.
"""
import os, pathlib, shutil, subprocess, sys, tempfile, time

EXPERIMENT = """experiment: overhead
stages:
  root: {{use: collection, source: demo}}
  leaf: {{use: sample, documents: root.corpus, count: 1, seed: 0}}
sweep: {{axes: {{k: {{leaf.seed: {seeds}}}}}}}
"""


def run(binary, folder, seeds):
    file = folder / "overhead.yaml"
    file.write_text(EXPERIMENT.format(seeds=list(seeds)))
    began = time.time()
    process = subprocess.Popen([binary, "run", file, "--store", folder / "store", "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0
    return time.time() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


for count in map(int, sys.argv[2:]):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ablate-overhead-"))
    first = run(sys.argv[1], folder, range(count))
    cached = min(run(sys.argv[1], folder, range(count)) for _ in range(3))
    change = run(sys.argv[1], folder, [10**9, *range(1, count)])
    shutil.rmtree(folder)
    figures = " | ".join(f"{wall:.3f} s ({cpu:.2f} CPU s)" for wall, cpu, _ in (first, cached, change))
    print(f"| {count:,} | {figures} | {cached[2]:.0f} MiB |", flush=True)
