#!/usr/bin/env python3
"""BM25 beside bm25s (numba) and tantivy: documents indexed and queries answered a second, one peer after the other in one run.

usage: tests/peers/retrieval.py BEIR_FOLDER THREADS [QUERIES] [DEPTH...]
needs: pip install bm25s numba PyStemmer tantivy; cargo build --release -p ablate-rank --example bm25_peer

Each analyses its texts, builds, and answers every query from its text; ours and tantivy (in memory, one searcher, threads over
queries in Python) rank in 32 bits. The best of three rounds counts. Analysers differ in stop words and tokens; the last line says
how many of the ten best documents of a query two systems share.
"""
import concurrent.futures as futures, json, os, pathlib, subprocess, sys, tempfile, time

folder, threads = pathlib.Path(sys.argv[1]), int(sys.argv[2])
count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
depths = [int(depth) for depth in sys.argv[4:]] or [10, 1000]
os.environ["NUMBA_NUM_THREADS"] = str(threads)
import bm25s, Stemmer, tantivy

ROOT = pathlib.Path(__file__).resolve().parents[2]


def lines(name):
    with open(folder / name) as file:
        return [json.loads(line) for line in file]


def seconds(work):
    began = time.perf_counter()
    done = work()
    return done, time.perf_counter() - began


def speeds(search, queries):
    return {depth: len(queries) / min(seconds(lambda: search(depth))[1] for _ in range(3)) for depth in depths}


def ours(queries):
    with tempfile.TemporaryDirectory() as scratch:
        part = pathlib.Path(scratch, "part")
        part.mkdir()
        (part / "corpus.jsonl").symlink_to((folder / "corpus.jsonl").resolve())
        (part / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
        index = pathlib.Path(scratch, "index")
        index.mkdir()
        program = ROOT / "target/release/examples/bm25_peer"
        out = subprocess.run([program, part, index, str(threads), *map(str, depths)], capture_output=True, check=True, text=True).stdout
    report = json.loads(out)
    found = {int(depth): speed for depth, speed in report["queries_per_second"].items()}
    return report["documents_per_second"], found, report["best"]


def by_bm25s(corpus, queries):
    texts, ids = [f"{row['title']} {row['text']}".strip() for row in corpus], [row["_id"] for row in corpus]
    stemmer = Stemmer.Stemmer("porter")
    analyse = lambda texts: bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    def build():
        index = bm25s.BM25(k1=.9, b=.4, backend="numba")
        index.index(analyse(texts), show_progress=False)
        return index

    index, building = seconds(build)
    asked = [query["text"] for query in queries]
    search = lambda depth: index.retrieve(analyse(asked), k=min(depth, len(ids)), show_progress=False, n_threads=threads)
    search(10)  # numba compiles
    best = search(10).documents
    return len(ids) / building, speeds(search, asked), {query["_id"]: [ids[at] for at in row] for query, row in zip(queries, best)}


def by_tantivy(corpus, queries):
    schema = tantivy.SchemaBuilder()
    schema.add_text_field("id", stored=True, tokenizer_name="raw")
    schema.add_text_field("text", tokenizer_name="en_stem", index_option="freq")
    index = tantivy.Index(schema.build())

    def build():
        writer = index.writer(heap_size=512 << 20, num_threads=threads)
        for row in corpus:
            writer.add_document(tantivy.Document(id=row["_id"], text=f"{row['title']} {row['text']}"))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()

    _, building = seconds(build)
    searcher = index.searcher()
    # Words alone: its query language has operators.
    asked = ["".join(letter if letter.isalnum() else " " for letter in query["text"]) for query in queries]
    parsed = lambda text: index.parse_query(text, ["text"])
    pool = futures.ThreadPoolExecutor(threads)
    one = lambda text, depth: searcher.search(parsed(text), depth).hits
    search = lambda depth: list(pool.map(lambda text: one(text, depth), asked))
    best = {query["_id"]: [searcher.doc(at)["id"][0] for _, at in hits] for query, hits in zip(queries, search(10))}
    return len(corpus) / building, speeds(search, asked), best


def main():
    queries = sorted(lines("queries.jsonl"), key=lambda row: row["_id"])[:count]
    mine = ours(queries)
    corpus = lines("corpus.jsonl")
    peers = {"bm25s": by_bm25s(corpus, queries), "tantivy": by_tantivy(corpus, queries)}
    print(f"{folder.name}: {len(corpus):,} documents, {len(queries):,} queries, {threads} threads")
    print("| | documents/s indexed |", " | ".join(f"queries/s at {depth}" for depth in depths), "|")
    row = lambda name, indexing, found: print(f"| {name} | {indexing:,.0f} |", " | ".join(f"{found[depth]:,.0f}" for depth in depths), "|")
    row("ablate", *mine[:2])
    for name, (indexing, found, _) in peers.items():
        row(name, indexing, found)
    for name, (indexing, found, _) in peers.items():
        print(f"| ours / {name} | {mine[0] / indexing:.1f} |", " | ".join(f"{mine[1][depth] / found[depth]:.1f}" for depth in depths), "|")
    for name, (_, _, best) in peers.items():
        shared = [len(set(mine[2][key]) & set(best[key])) / max(1, len(mine[2][key])) for key in best]
        print(f"shared with {name} among the ten best: {sum(shared) / len(shared):.3f}")


main()
