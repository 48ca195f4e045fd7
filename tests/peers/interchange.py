"""Models that were trained here, opened by other libraries: the encoder and the reranker by sentence-transformers, monoT5 and the merged
generator by transformers, adapters by peft on the base as transformers reads it, those of experts too. Their numbers must be those that were computed here.

    python interchange.py ABLATE FOLDER

ABLATE is the program; FOLDER is made, for the experiment and its store. Needs what interchange.txt beside this file lists.
"""
import json, pathlib, shutil, string, subprocess, sys

import torch
from peft import PeftModel
from sentence_transformers import CrossEncoder, SentenceTransformer
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, Qwen3MoeConfig, Qwen3MoeForCausalLM, T5Config, T5ForConditionalGeneration,
)

ablate, work = sys.argv[1], pathlib.Path(sys.argv[2])
store, experiment = work / "store", work / "interchange.yaml"
worst, greedy = {}, []


def show(node, *more):
    out = subprocess.run([ablate, "show", "interchange", node, "--store", store, "--json", "--rows", "1000", *more], check=True, capture_output=True)
    return json.loads(out.stdout)


def rows(node):
    return show(node)["rows"]


def folder(node):
    return show(node, "--port", "model")["path"]


def near(what, found, expected, allowed):
    distance = (torch.as_tensor(found).double() - torch.as_tensor(expected).double()).abs().max().item()
    worst[what] = (distance, allowed)


def documents(node, *port):
    """The full texts of documents by their ids."""
    full = lambda row: " ".join(part for part in (row.get("title"), row["text"]) if part)
    return {row["doc_id"]: full(row) for row in show(node, *port)["rows"]}


def encoder():
    ours = {row["id"]: row["vector"] for row in rows("vectors")}
    texts = documents("docs")
    theirs = SentenceTransformer(folder("encoder"), device="cpu").encode([texts[id] for id in ours])
    near("encoder in sentence-transformers: vectors", theirs, list(ours.values()), 1e-5)


def reranker():
    run, corpus = rows("reranked"), documents("data", "--port", "corpus")
    queries = {row["query_id"]: row["text"] for row in show("data", "--port", "queries.test")["rows"]}
    pairs = [(queries[hit["query_id"]], corpus[hit["doc_id"]]) for hit in run]
    theirs = CrossEncoder(folder("reranker"), device="cpu", activation_fn=torch.nn.Identity()).predict(pairs)
    near("cross-encoder in sentence-transformers: logits", theirs, [hit["score"] for hit in run], 1e-4)


def tiny_t5(into):
    """A small T5 v1.1 with weights as transformers draws them; its tokens are the words of monoT5 and single characters."""
    words = ["▁Query:", "▁Document:", "▁Relevant:", "▁true", "▁false"]
    characters = ["▁", *string.ascii_letters, *string.digits, *string.punctuation]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((word, -1.0) for word in words), *((one, -9.0) for one in characters)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=len(vocabulary), d_model=48, d_kv=12, d_ff=96, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0, initializer_factor=1.0,
    )
    T5ForConditionalGeneration(config).save_pretrained(into)
    tokenizer.save(str(into / "tokenizer.json"))


def monot5():
    run, corpus = rows("answered"), documents("data", "--port", "corpus")
    queries = {row["query_id"]: row["text"] for row in show("data", "--port", "queries.test")["rows"]}
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder("monot5")).eval(), Tokenizer.from_file(folder("monot5") + "/tokenizer.json")
    true, false = (tokenizer.token_to_id("▁" + word) for word in ("true", "false"))
    found, start = [], torch.zeros(1, 1, dtype=torch.long)
    for hit in run:
        prompt = f"Query: {queries[hit['query_id']]} Document: {corpus[hit['doc_id']]} Relevant:"
        with torch.no_grad():
            last = model(input_ids=torch.tensor([tokenizer.encode(prompt).ids]), decoder_input_ids=start).logits[0, -1]
        found.append(last[true] - last[false])
    near("monoT5 in transformers: logit of true less that of false", torch.stack(found), [hit["score"] for hit in run], 1e-4)


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits


def tiny_moe(into):
    """A mixture of experts, whose tokens are characters."""
    tokens = ["<pad>", "<s>", "</s>", "<unk>", *string.printable[:96]]
    tokenizer = Tokenizer(models.WordLevel({token: at for at, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    torch.manual_seed(1)
    config = Qwen3MoeConfig(
        vocab_size=len(tokens), hidden_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        max_position_embeddings=4096, bos_token_id=1, eos_token_id=2, pad_token_id=0, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=32,
        initializer_range=0.2,
    )
    Qwen3MoeForCausalLM(config).save_pretrained(into)
    tokenizer.save(str(into / "tokenizer.json"))


def experts():
    base, merged = (AutoModelForCausalLM.from_pretrained(path) for path in (work / "moe", folder("experts")))
    ids = torch.arange(4, 64, 3)[None]
    before = logits(base, ids)
    adapted = logits(PeftModel.from_pretrained(base, folder("experts") + "/adapter"), ids)
    near("adapters of experts in peft beside the merged mixture: logits", adapted, logits(merged, ids), 1e-4)
    assert (adapted - before).abs().max() > 0.1, "the adapters change nothing"


def generator():
    merged = AutoModelForCausalLM.from_pretrained(folder("generator"), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder("generator"))
    fetched = subprocess.run([ablate, "models", "fetch", "smollm2-135m-instruct", "--json"], check=True, capture_output=True)
    gguf = next(pathlib.Path(json.loads(fetched.stdout)["path"]).glob("**/*.gguf"))
    base = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    ids = tokenizer("Example 1:\nDocument: Kettles boil water.\nRelevant query:", return_tensors="pt").input_ids
    before = logits(base, ids)
    adapted = logits(PeftModel.from_pretrained(base, folder("generator") + "/adapter"), ids)
    near("adapter in peft beside the merged model: logits", adapted, logits(merged, ids), 2e-3)
    assert (adapted - before).abs().max() > 0.1, "the adapter changes nothing"
    texts = documents("docs")
    for row in rows("written"):
        prompt = tokenizer(f"Passage: {texts[row['doc_id']]}\nA question it answers:", return_tensors="pt").input_ids
        found = merged.generate(prompt, max_new_tokens=16, do_sample=False)[0, prompt.shape[1]:]
        line = tokenizer.decode(found, skip_special_tokens=True).strip().split("\n")[0].strip()
        greedy.append(line == row["query"])


work.mkdir(parents=True)
shutil.copy(pathlib.Path(__file__).with_name("interchange.yaml"), experiment)
tiny_t5(work / "t5")
tiny_moe(work / "moe")
subprocess.run([ablate, "run", experiment, "--store", store], check=True)
torch.set_num_threads(2)
for check in (encoder, reranker, monot5, experts, generator):
    check()
for what, (distance, allowed) in worst.items():
    print(f"{'ok  ' if distance <= allowed else 'FAIL'} {what}: {distance:.1e} (allowed {allowed:.0e})")
print(f"{'ok  ' if all(greedy) else 'FAIL'} merged generator in transformers: {sum(greedy)} of {len(greedy)} greedy texts are equal")
sys.exit(not all(greedy) or any(distance > allowed for distance, allowed in worst.values()))
