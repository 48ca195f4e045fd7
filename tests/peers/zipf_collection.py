#!/usr/bin/env python3
"""Writes a collection in BEIR layout, the same for the same arguments: documents of words drawn by Zipf's law.

usage: tests/peers/zipf_collection.py FOLDER DOCUMENTS [QUERIES]

Word r has weight 1 / (r + 2.7) ** 1.07 of 2,000,000 words, a document 20 to 90 words (55 at the mean, as a passage of MS MARCO),
a query 2 to 10 words of one document (6 at the mean), none of the 100 most frequent, which stand for stop words. Each query has
that document as its one judgement.
"""
import json, pathlib, sys
import numpy as np

folder, documents = pathlib.Path(sys.argv[1]), int(sys.argv[2])
queries = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
VOCABULARY, BATCH = 2_000_000, 20_000
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def word(rank):
    """Frequent words are short; a number in base 26."""
    text, rank = "", rank + 26
    while rank:
        rank, letter = divmod(rank, 26)
        text += LETTERS[letter]
    return text


rng = np.random.default_rng(7)
cumulative = np.cumsum(1 / (np.arange(VOCABULARY) + 2.7) ** 1.07)
cumulative /= cumulative[-1]
words = [word(rank) for rank in range(VOCABULARY)]
folder.mkdir(parents=True, exist_ok=True)
(folder / "qrels").mkdir(exist_ok=True)
asked = set(rng.choice(documents, queries, replace=False).tolist())
with open(folder / "corpus.jsonl", "w") as corpus, open(folder / "queries.jsonl", "w") as topics, open(folder / "qrels/test.tsv", "w") as qrels:
    print("query-id\tcorpus-id\tscore", file=qrels)
    for start in range(0, documents, BATCH):
        lengths = rng.integers(20, 91, min(BATCH, documents - start))
        drawn = np.searchsorted(cumulative, rng.random(lengths.sum()))
        end = np.cumsum(lengths)
        for at, (stop, length) in enumerate(zip(end, lengths)):
            ranks = drawn[stop - length:stop]
            number = start + at
            text = " ".join([words[rank] for rank in ranks])
            corpus.write(f'{{"_id": "d{number:08}", "title": "", "text": "{text}"}}\n')
            if number in asked:
                telling = ranks[ranks >= 100]
                picked = rng.choice(telling, min(rng.integers(2, 11), len(telling)), replace=False)
                topics.write(json.dumps({"_id": f"q{number:08}", "text": " ".join(words[rank] for rank in picked)}) + "\n")
                print(f"q{number:08}\td{number:08}\t1", file=qrels)
