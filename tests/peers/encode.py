#!/usr/bin/env python3
"""Encodes the corpus of a BEIR folder with sentence-transformers on the CPU and prints texts a second.

usage: tests/peers/encode.py MODEL_FOLDER BEIR_FOLDER [TEXTS] [THREADS]

The counterpart of a `retrieve/dense` node: title, space, text; 256 tokens at most; batches of 32 sorted by length.
"""
import json, pathlib, sys, time
import torch
from sentence_transformers import SentenceTransformer

model, folder = sys.argv[1], pathlib.Path(sys.argv[2])
count = int(sys.argv[3]) if len(sys.argv) > 3 else None
torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else torch.get_num_threads())
rows = [json.loads(line) for line in open(folder / "corpus.jsonl")][:count]
texts = [f"{row['title']} {row['text']}".strip() for row in rows]
encoder = SentenceTransformer(model, device="cpu")
encoder.max_seq_length = 256
encoder.encode(texts[:32])
began = time.time()
encoder.encode(texts, batch_size=32)
seconds = time.time() - began
print(f"sentence-transformers, {torch.get_num_threads()} threads: {len(texts)} texts in {seconds:.1f} s, {len(texts) / seconds:.1f} texts/s")
