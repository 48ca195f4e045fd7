"""Steps of training beside PyTorch, one after the other and round again: the bi-encoder and the cross-encoder over MiniLM, monoT5 over a T5 of
small's shape with random weights, adapters on SmolLM2.

    python training.py STEPS_PROGRAM MINILM_FOLDER SMOLLM2_GGUF [THREADS] [ROUNDS] [DEVICE]

STEPS_PROGRAM is target/release/examples/steps (cargo build --release --workspace --examples), which gets the allocator's setting of the program. Same
batches by shape: 32 rows of three texts, or 32 pairs, of 128 tokens; 16 prompts of 128 tokens; 4 completions of 128 tokens through LoRA of rank 16 on all linear layers. f32, AdamW, clipping; dropout as configured.
The least of all rounds is printed. On the DEVICE `cuda` both compute in bf16 around f32 weights, and the operations a second of ours are printed, too: six a weight of a linear layer
and token, four where only adapters learn. `random` in place of a model takes one of the same shape with random weights. Needs: pip install torch transformers peft gguf
"""
import os, pathlib, resource, subprocess, sys, tempfile, time

program, minilm, gguf = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
threads = int(sys.argv[4]) if len(sys.argv) > 4 else os.cpu_count()
rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 2
device = sys.argv[6] if len(sys.argv) > 6 else "cpu"
WORDS = "Query: Document: Relevant: true false water light house paper stone river music green".split()


def timed(kind, steps=6):
    """The child of this script: seconds and processor seconds a step by PyTorch, and the most memory."""
    import torch
    from torch.nn import functional as F
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    folder = os.environ["FOLDER"]
    ids = lambda rows, top: torch.randint(1000, top, (rows, 128), device=device)
    if kind == "lora":
        from peft import LoraConfig, get_peft_model
        file = gguf.name if gguf.suffix == ".gguf" else None
        base = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32)
        model = get_peft_model(base, LoraConfig(r=16, lora_alpha=16, target_modules="all-linear"))
        batch = ids(4, 6000)
        labels = batch.clone()
        labels[:, :112] = -100
        loss_of = lambda: model(input_ids=batch, labels=labels).loss
    elif kind == "monot5":
        from transformers import AutoModelForSeq2SeqLM
        model = AutoModelForSeq2SeqLM.from_pretrained(folder)
        batch, labels = ids(16, 20000), torch.tensor([[5, 1], [6, 1]], device=device).repeat(8, 1)
        loss_of = lambda: model(input_ids=batch, labels=labels).loss
    elif kind == "crossencoder":
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
        batch, labels = ids(32, 20000), torch.arange(32, device=device).remainder(2).float()
        loss_of = lambda: F.binary_cross_entropy_with_logits(model(input_ids=batch).logits[:, 0], labels)
    else:
        model = AutoModel.from_pretrained(folder)
        batch = ids(96, 20000)

        def loss_of():
            vectors = F.normalize(model(input_ids=batch).last_hidden_state.mean(1), dim=-1)
            return F.cross_entropy(vectors[:32] @ vectors[32:].T * 20, torch.arange(32, device=device))
    model.train().to(device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-5, fused=True)
    times = []
    for _ in range(steps):
        begun = time.perf_counter(), time.process_time()
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device != "cpu"):
            loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.)
        optimizer.step()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    wall, processor = (min(column) for column in zip(*times[1:]))
    weights = sum(module.weight.numel() for module in model.modules() if isinstance(module, torch.nn.Linear))
    operations = (4 if kind == "lora" else 6) * weights * batch.numel()
    print(f"{wall:.4f} s a step, {processor:.3f} processor s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB, {operations / 1e12} T")


def random_minilm(into):
    """A BERT of MiniLM-L6's shape, whose tokens are the words that the program writes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({token: at for at, token in enumerate(tokens)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    BertModel(BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536)).save_pretrained(into)
    tokenizer.save(str(pathlib.Path(into) / "tokenizer.json"))
    return into


def random_smollm2(into):
    """A Llama of SmolLM2-135M's shape."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM
    shape = dict(hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, vocab_size=49152)
    LlamaForCausalLM(LlamaConfig(tie_word_embeddings=True, **shape)).save_pretrained(into)
    tokens = {"<unk>": 0, "</s>": 2} | {f"w{at}": at for at in range(3, 49152)}
    Tokenizer(models.WordLevel(tokens, unk_token="<unk>")).save(str(pathlib.Path(into) / "tokenizer.json"))
    return into


def small_t5(into):
    """A T5 of small's shape, whose tokens are the words that the program writes."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import T5Config, T5ForConditionalGeneration
    tokenizer = Tokenizer(models.Unigram([("<pad>", 0.), ("</s>", 0.), ("<unk>", 0.), *(("▁" + word, -1.) for word in WORDS)], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    T5ForConditionalGeneration(T5Config(decoder_start_token_id=0)).save_pretrained(into)
    tokenizer.save(str(pathlib.Path(into) / "tokenizer.json"))
    return into


def numbers(command, **environment):
    out = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment}).stdout.strip().splitlines()[-1]
    return [float(word) for word in out.replace(",", "").split() if word[0].isdigit()]


if "KIND" in os.environ:
    timed(os.environ["KIND"])
    sys.exit()
print("| | ablate s | PyTorch s | ratio | ablate processor s | PyTorch processor s | ratio | ablate MiB | PyTorch MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|")
made = tempfile.TemporaryDirectory()
encoder = random_minilm(f"{made.name}/minilm") if minilm == "random" else minilm
decoder = str(gguf.parent) if gguf.suffix == ".gguf" else random_smollm2(f"{made.name}/smollm2")
folders = {"biencoder": encoder, "crossencoder": encoder, "monot5": small_t5(f"{made.name}/t5"), "lora": decoder}
for kind, folder in folders.items():
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(numbers([program, kind, folder, "6", "128", device], RAYON_NUM_THREADS=str(threads), MIMALLOC_PURGE_DELAY="10000"))
        theirs.append(numbers([sys.executable, *sys.argv], KIND=kind, FOLDER=folder))
    a, b = ([min(column) for column in zip(*runs)] for runs in (ours, theirs))
    print(f"| {kind} | {a[0]:.2f} | {b[0]:.2f} | {b[0] / a[0]:.2f} | {a[1]:.2f} | {b[1]:.2f} | {b[1] / a[1]:.2f} | {a[2]:.0f} | {b[2]:.0f} |" + (f" {b[3] / a[0]:.1f} TFLOP/s" if device != "cpu" else ""), flush=True)
