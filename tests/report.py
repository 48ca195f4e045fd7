#!/usr/bin/env python3
"""How long `table`, `diff`, `report` and `plot` take at 300 queries × 30 arms: `tests/report.py target/release/ablate [STORE]`."""

import json
import pathlib
import random
import resource
import subprocess
import sys
import tempfile
import time

QUERIES, DOCUMENTS = 300, 3000

EXPERIMENT = """\
experiment: thirty-arms
stages:
  data:   {use: collection, source: ./made}
  docs:   {use: sample, documents: data.corpus, count: 3000, seed: 1}
  run:    {use: retrieve/bm25, corpus: docs, queries: data.queries.test, depth: 100}
  scores: {use: evaluate, run: run, qrels: data.qrels.test, measures: [nDCG@10, R@100, RR@10]}
sweep: {axes: {k1: {run.k1: [0.3, 0.6, 0.9, 1.2, 1.5, 3.0]}, b: {run.b: [0.0, 0.2, 0.4, 0.6, 0.9]}}}
report: {measure: nDCG@10, baseline: {k1: 0.9, b: 0.4}, interval: bootstrap}
"""


def make(folder):
    """A collection of words drawn at random, rare ones seldom; each query takes words of its document."""
    draw = random.Random(1)
    words = [f"w{at}" for at in range(4000)]
    weights = [1 / (at + 5) for at in range(4000)]
    (folder / "qrels").mkdir(parents=True)
    texts = [" ".join(draw.choices(words, weights, k=draw.randint(20, 200))) for _ in range(DOCUMENTS)]
    with open(folder / "corpus.jsonl", "w") as file:
        for at, text in enumerate(texts):
            file.write(json.dumps({"_id": f"d{at}", "title": "", "text": text}) + "\n")
    with open(folder / "queries.jsonl", "w") as file, open(folder / "qrels/test.tsv", "w") as qrels:
        qrels.write("query-id\tcorpus-id\tscore\n")
        for at in range(QUERIES):
            own = draw.choices(texts[at].split(), k=3) + draw.choices(words, weights, k=4)
            file.write(json.dumps({"_id": f"q{at}", "text": " ".join(own)}) + "\n")
            for document in {at, *draw.sample(range(DOCUMENTS), 2)}:
                qrels.write(f"q{at}\td{document}\t1\n")


def timed(*arguments):
    """Wall seconds of a command, the best of three, and its CPU seconds."""
    best = None
    for _ in range(3):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(arguments, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        taken = (time.monotonic() - began, cpu)
        best = min(best, taken) if best else taken
    return best


def main(ablate, store=None):
    ablate = pathlib.Path(ablate).absolute()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        store = pathlib.Path(store).absolute() if store else folder / "store"
        make(folder / "made")
        (folder / "e.yaml").write_text(EXPERIMENT)
        common = ["--store", store]
        # The second study draws fewer documents: it differs in one early stage.
        fewer = EXPERIMENT.replace(f"count: {DOCUMENTS}", f"count: {DOCUMENTS - 100}")
        (folder / "before.yaml").write_text(fewer)
        for name in ["before.yaml", "e.yaml"]:
            subprocess.run([ablate, "run", folder / name, *common], check=True, capture_output=True)
        file = folder / "report.html"
        commands = {
            "report": [ablate, "report", "thirty-arms", "-o", file],
            "plot graph, PNG": [ablate, "plot", "thirty-arms", "graph", "-o", folder / "x.png"],
            "plot scores, PNG": [ablate, "plot", "thirty-arms", "scores", "-o", folder / "x.png"],
            "table": [ablate, "table", "thirty-arms"],
            "diff": [ablate, "diff", folder / "before.yaml", folder / "e.yaml"],
        }
        for name, command in commands.items():
            wall, cpu = timed(*command, *common)
            print(f"{name:18} {wall:.3f} s ({cpu:.2f} CPU s)")
        print(f"report.html {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
