"""Models that were trained here, opened by other libraries: the encoder by sentence-transformers, the reranker and the merged generator by
transformers, the adapter by peft on the base as transformers reads it. Their numbers must be those that were computed here.

    python interchange.py ABLATE STORE GGUF

ABLATE is the program, STORE a folder for its store, GGUF the base's file (SmolLM2-135M-Instruct.Q4_1.gguf). Needs sentence-transformers, peft, gguf.
"""
import json, pathlib, subprocess, sys

import torch
from peft import PeftModel
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import AutoModelForCausalLM, AutoTokenizer

ablate, store, gguf = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
experiment = pathlib.Path(__file__).with_name("interchange.yaml")
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
    ours = {row["id"]: json.loads(row["vector"]) for row in rows("vectors")}
    texts = documents("docs")
    theirs = SentenceTransformer(folder("encoder"), device="cpu").encode([texts[id] for id in ours])
    near("encoder in sentence-transformers: vectors", theirs, list(ours.values()), 1e-5)


def reranker():
    run, corpus = rows("reranked"), documents("data", "--port", "corpus")
    queries = {row["query_id"]: row["text"] for row in show("data", "--port", "queries.test")["rows"]}
    pairs = [(queries[hit["query_id"]], corpus[hit["doc_id"]]) for hit in run]
    theirs = CrossEncoder(folder("reranker"), device="cpu", activation_fn=torch.nn.Identity()).predict(pairs)
    near("cross-encoder in sentence-transformers: logits", theirs, [hit["score"] for hit in run], 1e-4)


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids).logits


def generator():
    merged = AutoModelForCausalLM.from_pretrained(folder("generator"), dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder("generator"))
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


subprocess.run([ablate, "run", experiment, "--store", store], check=True)
torch.set_num_threads(2)
for check in (encoder, reranker, generator):
    check()
for what, (distance, allowed) in worst.items():
    print(f"{'ok  ' if distance <= allowed else 'FAIL'} {what}: {distance:.1e} (allowed {allowed:.0e})")
print(f"{'ok  ' if all(greedy) else 'FAIL'} merged generator in transformers: {sum(greedy)} of {len(greedy)} greedy texts are equal")
sys.exit(not all(greedy) or any(distance > allowed for distance, allowed in worst.values()))
