#!/usr/bin/env python3
"""One root and N leaves in ablate, Snakemake and DVC, one after the other: wall and CPU seconds of a first, a cached and a one-change run.

usage: tests/peers/graph.py ABLATE NODES SNAKEMAKE_NODES DVC_NODES      (snakemake, dvc and git on PATH)

Every leaf has a parameter of its own. Ours read and write Parquet artifacts, the peers' an `echo` into a file.
"""
import json, os, pathlib, resource, subprocess, sys, tempfile, time


def timed(command, folder):
    """Wall and CPU seconds of a command and its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.time() - began, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ablate(folder, values):
    leaves = f"{{leaf.seed: {values}}}"
    (folder / "graph.yaml").write_text(
        "experiment: graph\nstages:\n  root: {use: collection, source: demo}\n"
        "  leaf: {use: sample, documents: root.corpus, count: 1, seed: 0}\n"
        f"sweep: {{axes: {{k: {leaves}}}}}\n")


def snakemake(folder, values):
    (folder / "config.json").write_text(json.dumps({"leaves": {f"n{at}": value for at, value in enumerate(values)}}))
    (folder / "Snakefile").write_text(
        'configfile: "config.json"\n'
        'rule all:\n    input: expand("out/{k}.txt", k=config["leaves"])\n'
        'rule root:\n    output: "root.txt"\n    shell: "echo root > {output}"\n'
        'rule leaf:\n    input: "root.txt"\n    output: "out/{k}.txt"\n    params: v=lambda w: config["leaves"][w.k]\n'
        '    shell: "echo {params.v} > {output}"\n')


def dvc(folder, values):
    leaves = {f"n{at}": {"v": value} for at, value in enumerate(values)}
    (folder / "out").mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(json.dumps({"leaves": leaves}))
    (folder / "dvc.yaml").write_text(
        "stages:\n  root:\n    cmd: echo root > root.txt\n    outs: [root.txt]\n"
        "  leaf:\n    foreach: ${leaves}\n    do:\n      cmd: echo ${item.v} > out/${key}.txt\n"
        "      deps: [root.txt]\n      outs: ['out/${key}.txt']\n")
    if not (folder / ".dvc").exists():
        for command in ["git init -q", "dvc init -q", "dvc config core.analytics false", "dvc config core.check_update false"]:
            subprocess.run(command.split(), cwd=folder, check=True)


def measure(name, write, command, count):
    with tempfile.TemporaryDirectory() as path:
        folder, values = pathlib.Path(path), list(range(count))
        write(folder, values)
        first, cached = timed(command, folder), timed(command, folder)
        values[count // 2] = 10**9
        write(folder, values)
        runs = [first, cached, timed(command, folder)]
    cells = " | ".join(f"{wall:.2f} s ({cpu:.2f} CPU s)" for wall, cpu in runs)
    print(f"| {name} | {count:,} | {cells} |", flush=True)


binary = os.path.abspath(sys.argv[1])
ours = [binary, "run", "graph.yaml", "--store", "store", "--json"]
nodes, snakes, dvcs = map(int, sys.argv[2:5])
print("| | leaves | first run | cached | one leaf changed |\n|---|---:|---:|---:|---:|")
measure("ablate", ablate, ours, nodes)
measure("Snakemake", snakemake, ["snakemake", "--cores", "2", "-q", "all"], snakes)
measure("ablate", ablate, ours, dvcs)
measure("DVC", dvc, ["dvc", "repro", "-q"], dvcs)
