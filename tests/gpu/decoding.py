"""Decoding by a model with random weights, ours beside transformers', on one device, in bf16 on a GPU and f32 on a CPU.

    python decoding.py DECODER_SPEED [DEVICE] [SHAPE] [TOKENS] [STEPS] [ROWS...]

DECODER_SPEED is target/release/examples/decoder_speed (cargo build --release --workspace --examples --features cuda). SHAPE is `8b`, that of Llama-3.1-8B, or `135m`,
that of SmolLM2-135M. Beside tokens a second stands what share of the device's own speed it is: for a prompt, two operations a parameter and token over what a product of
8192 x 8192 matrices reaches in PyTorch; for decoding, the bytes of weights, keys and values a step over those that a copy moves. Needs: pip install torch transformers
"""
import json, subprocess, sys, tempfile, time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SHAPES = {
    "8b": dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, vocab_size=128256, tie_word_embeddings=False),
    "135m": dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, vocab_size=49152, tie_word_embeddings=True),
}
PROMPT = 128
program, *rest = sys.argv[1:]
device, shape, tokens, steps, *counts = [*rest, *["cuda", "8b", "4096", "64"][len(rest):]]
tokens, steps, counts = int(tokens), int(steps), [int(count) for count in counts] or [1, 64, 256]
dtype = torch.bfloat16 if device == "cuda" else torch.float32
settings = dict(SHAPES[shape], max_position_embeddings=8192, rms_norm_eps=1e-5, rope_theta=500000.0, head_dim=SHAPES[shape]["hidden_size"] // SHAPES[shape]["num_attention_heads"])


def ours():
    """Prompt tokens a second, those of decoding by rows, and rows that wrote what they wrote alone."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"model_type": "llama", "hidden_act": "silu", **settings}, file)
        file.flush()
        command = [program, file.name, device, "bf16" if device == "cuda" else "f32", tokens, steps, *counts]
        lines = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout.splitlines()
    speeds, same = {}, {}
    for word, *numbers in (line.split() for line in lines):
        if word == "prefill":
            speeds["prefill"] = int(numbers[0]) / float(numbers[1])
        elif word == "decode":
            speeds[int(numbers[0])] = int(numbers[1]) / float(numbers[2])
            rows = int(numbers[0])
        elif word == "same":
            same[rows] = " of ".join(numbers)
    return speeds, same


def seconds(work):
    if device == "cuda":
        torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def theirs():
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = LlamaForCausalLM(LlamaConfig(**settings)).eval()
    torch.set_default_dtype(torch.float32)
    text = lambda rows, length: torch.randint(0, settings["vocab_size"], (rows, length), device=device)

    def forward(ids, cache=None):
        seen = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return seen.past_key_values, seen.logits[:, -1:].argmax(-1)

    def decode(rows):
        cache, token = forward(text(rows, PROMPT))

        def go():
            nonlocal cache, token
            for _ in range(steps):
                cache, token = forward(token, cache)
        return rows * steps / seconds(go)

    with torch.inference_mode():
        seconds(lambda: forward(text(1, tokens)))
        speeds = {"prefill": tokens / seconds(lambda: forward(text(1, tokens)))}
        for rows in counts:
            speeds[rows] = decode(rows)
    return speeds, sum(parameter.numel() for parameter in model.parameters())


def limits():
    """Operations and bytes a second of this device."""
    side = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = lambda work: min(seconds(work) for _ in range(6))
    big = torch.empty(2**28 if device == "cuda" else 2**26, device=device)
    return 2 * side**3 / best(lambda: a @ b), 2 * 4 * big.numel() / best(lambda: big.clone())


speeds, same = ours()
peers, parameters = theirs()
operations, bandwidth = limits()
size = torch.finfo(dtype).bits // 8


def share(what):
    if what == "prefill":
        return speeds[what] * 2 * parameters / operations
    slots = 2 * settings["num_key_value_heads"] * settings["head_dim"] * settings["num_hidden_layers"]
    moved = (parameters + what * slots * (PROMPT + steps / 2)) * size
    return speeds[what] / what * moved / bandwidth


print(f"{shape} on {device} in {dtype}: {parameters / 1e9:.2f} G parameters, {operations / 1e12:.1f} TFLOP/s, {bandwidth / 1e9:.0f} GB/s")
print("| | ours, tokens/s | transformers, tokens/s | ratio | ours of the device's limit | rows as alone |\n|---|---:|---:|---:|---:|---:|")
for what in ["prefill", *counts]:
    name = f"a prompt of {tokens} tokens" if what == "prefill" else f"decoding {what} row{'s' * (what > 1)}"
    print(f"| {name} | {speeds[what]:.1f} | {peers[what]:.1f} | {speeds[what] / peers[what]:.2f} | {share(what):.2f} | {same.get(what, '')} |")
