"""Products of matrices, ours in f32 beside PyTorch's in f32 and bf16, and what bf16 does to a step of PyTorch's cross-encoder.

    python products.py PRODUCTS_PROGRAM MINILM_FOLDER [THREADS]

PRODUCTS_PROGRAM is target/release/examples/products (cargo build --release --workspace --examples). The best of six. Needs: pip install torch transformers
"""
import os, subprocess, sys, time

import torch
from torch.nn import functional as F
from transformers import AutoModelForSequenceClassification

program, minilm = sys.argv[1:3]
threads = int(sys.argv[3]) if len(sys.argv) > 3 else os.cpu_count()
torch.set_num_threads(threads)


def best(work):
    times = []
    for _ in range(6):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def by_torch(rows, depth, columns, dtype):
    a, b = torch.randn(rows, depth).to(dtype), torch.randn(depth, columns).to(dtype)
    return 2 * rows * depth * columns / best(lambda: a @ b) / 1e9


print(f"{threads} threads, GFLOP/s\n| rows × depth × columns | ours | PyTorch | PyTorch in bf16 |\n|---|---:|---:|---:|")
for shape in ((4096, 384, 1536), (4096, 1536, 384), (4096, 384, 1152), (2048, 2048, 2048)):
    command, environment = [program, *map(str, shape)], {**os.environ, "RAYON_NUM_THREADS": str(threads), "MIMALLOC_PURGE_DELAY": "10000"}
    ours = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()
    print(f"| {' × '.join(map(str, shape))} | {ours} | {by_torch(*shape, torch.float32):.0f} | {by_torch(*shape, torch.bfloat16):.0f} |", flush=True)

model = AutoModelForSequenceClassification.from_pretrained(minilm, num_labels=1)
model.train()
batch, labels = torch.randint(1000, 20000, (32, 128)), torch.arange(32).remainder(2).float()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)


def step(autocast):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        loss = F.binary_cross_entropy_with_logits(model(input_ids=batch).logits[:, 0].float(), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


print(f"a step of PyTorch's cross-encoder: {best(lambda: step(False)):.2f} s in f32, {best(lambda: step(True)):.2f} s under autocast to bf16")
