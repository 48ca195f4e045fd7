#!/usr/bin/env python3
"""Evaluation beside pytrec_eval and ranx: a run of QUERIES queries times DEPTH hits, from TREC files to means, one after the other.

usage: tests/peers/evaluation.py target/release/ablate [QUERIES] [DEPTH]
needs: pip install pytrec_eval-terrier ranx

Scores are random, a query has 20 judged documents. `ablate eval` and pytrec_eval begin with the files, ranx with dictionaries.
"""
import pathlib, random, subprocess, sys, tempfile, time
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
            for rank in range(depth):
                run.write(f"q{query:06} Q0 d{rng.randrange(1000) * 1000 + rank:07} {rank + 1} {1000 - rank + rng.random():.4f} x\n")
            for place in rng.sample(range(depth), 20):
                qrels.write(f"q{query:06} 0 d{rng.randrange(1000) * 1000 + place:07} {rng.randrange(3)}\n")


def parse(path, column, kind):
    parsed = {}
    with open(path) as file:
        for line in file:
            fields = line.split()
            parsed.setdefault(fields[0], {})[fields[2]] = kind(fields[column])
    return parsed


def timed(name, work):
    began, cpu = time.perf_counter(), time.process_time()
    done = work()
    print(f"| {name} | {time.perf_counter() - began:.2f} | {time.process_time() - cpu:.2f} |", flush=True)
    return done


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    write(folder)
    print(f"{queries:,} queries times {depth:,}\n| | wall seconds | CPU seconds |\n|---|---:|---:|")
    arguments = [argument for measure in MEASURES for argument in ("-m", measure)]
    ours = timed("ablate eval, files to means", lambda: subprocess.run([program, "eval", folder / "run", folder / "qrels", *arguments], capture_output=True, check=True, text=True))
    run, qrels = timed("Python, files to dictionaries", lambda: (parse(folder / "run", 4, float), parse(folder / "qrels", 3, int)))
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map", "recall.100", "recip_rank"})
    values = timed("pytrec_eval, dictionaries to values", lambda: evaluator.evaluate(run))
    means = {name: sum(row[name] for row in values.values()) / len(values) for name in ("ndcg_cut_10", "map", "recall_100", "recip_rank")}
    made = timed("ranx, dictionaries to its run", lambda: (Qrels(qrels), Run(run)))
    names = ["ndcg@10", "map", "recall@100", "mrr"]
    evaluate(*made, names)  # numba compiles
    by_ranx = timed("ranx, its run to means", lambda: evaluate(*made, names))
    print(ours.stdout, means, by_ranx)
