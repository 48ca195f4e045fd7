#!/usr/bin/env python3
"""Evaluation beside pytrec_eval and ranx: a run of QUERIES queries times DEPTH hits, from TREC files to means, one after the other.

usage: tests/peers/evaluation.py target/release/ablate [QUERIES] [DEPTH]
needs: pip install pytrec_eval-terrier ranx

The best of five rounds, but for making ranx's run. Ten judged documents of a query are in the run, ten are not. `ablate eval` and pytrec_eval begin with the files, ranx with dictionaries.
"""
import os, pathlib, random, subprocess, sys, tempfile, time
import pytrec_eval
from ranx import Qrels, Run, evaluate

program = sys.argv[1]
queries = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
depth = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
MEASURES = ["nDCG@10", "AP", "R@100", "RR"]


def write(folder):
    rng = random.Random(5)
    with open(folder / "run", "w") as run, open(folder / "qrels", "w") as qrels:
        for query in range(queries):
            documents = rng.sample(range(10_000_000), depth + 10)
            for rank, document in enumerate(documents[:depth]):
                run.write(f"q{query:06} Q0 d{document:07} {rank + 1} {depth - rank + rng.random():.4f} x\n")
            for document in rng.sample(documents[:depth], 10) + documents[depth:]:
                qrels.write(f"q{query:06} 0 d{document:07} {rng.randrange(3)}\n")


def parse(path, column, kind):
    parsed = {}
    with open(path) as file:
        for line in file:
            fields = line.split()
            parsed.setdefault(fields[0], {})[fields[2]] = kind(fields[column])
    return parsed


def timed(name, work, rounds=1):
    """The best of some rounds: the first of a program pays for memory that the machine has to find."""
    cpu = lambda: sum(os.times()[:4])  # of child processes, too
    best = [float("inf")] * 2
    for _ in range(rounds):
        began, used = time.perf_counter(), cpu()
        done = work()
        best = [min(pair) for pair in zip(best, (time.perf_counter() - began, cpu() - used))]
    print(f"| {name} | {best[0]:.2f} | {best[1]:.2f} |", flush=True)
    return done


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    write(folder)
    print(f"{queries:,} queries times {depth:,}\n| | wall seconds | CPU seconds |\n|---|---:|---:|")
    arguments = [argument for measure in MEASURES for argument in ("-m", measure)]
    ours = timed("ablate eval, files to means", lambda: subprocess.run([program, "eval", folder / "run", folder / "qrels", *arguments], capture_output=True, check=True, text=True), 5)
    run, qrels = timed("Python, files to dictionaries", lambda: (parse(folder / "run", 4, float), parse(folder / "qrels", 3, int)), 5)
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map", "recall.100", "recip_rank"})
    values = timed("pytrec_eval, dictionaries to values", lambda: evaluator.evaluate(run), 5)
    means = {name: sum(row[name] for row in values.values()) / len(values) for name in ("ndcg_cut_10", "map", "recall_100", "recip_rank")}
    made = timed("ranx, dictionaries to its run", lambda: (Qrels(qrels), Run(run)))
    names = ["ndcg@10", "map", "recall@100", "mrr"]
    evaluate(*made, names)  # numba compiles
    by_ranx = timed("ranx, its run to means", lambda: evaluate(*made, names), 5)
    print(ours.stdout, means, by_ranx)
