#!/usr/bin/env python3
"""BM25 beside bm25s (numba) and tantivy: documents indexed and queries answered a second, by the clock and by the CPU, in one run.

usage: tests/peers/retrieval.py BEIR_FOLDER THREADS[,THREADS...] [QUERIES] [DEPTH...]
needs: pip install bm25s numba PyStemmer tantivy; cargo build --release -p ablate-rank --example bm25_peer

Each analyses its texts, builds with the first number of threads, and answers every query from its text with each of them; ours and
tantivy (in memory, one searcher, threads over queries in Python) rank in 32 bits. Five rounds, in each of which every system answers
once after the other; its best round counts. Analysers differ in stop words and tokens; the last lines say how many of the ten best
documents of a query two systems share.
"""
import concurrent.futures as futures, json, os, pathlib, subprocess, sys, tempfile, time

folder, threads = pathlib.Path(sys.argv[1]), [int(count) for count in sys.argv[2].split(",")]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
depths = [int(depth) for depth in sys.argv[4:]] or [10, 1000]
os.environ["NUMBA_NUM_THREADS"] = str(max(threads))
import bm25s, Stemmer, tantivy

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROUNDS = 5


def lines(name):
    with open(folder / name) as file:
        return [json.loads(line) for line in file]


def timed(work):
    began, used = time.perf_counter(), time.process_time()
    done = work()
    return done, (time.perf_counter() - began, time.process_time() - used)


class Ours:
    """A process of `bm25_peer` for each number of threads; the first of them indexes."""

    def __init__(self, scratch, queries):
        part, index = scratch / "part", scratch / "index"
        part.mkdir()
        index.mkdir()
        (part / "corpus.jsonl").symlink_to((folder / "corpus.jsonl").resolve())
        (part / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
        program = ROOT / "target/release/examples/bm25_peer"
        start = lambda threads: subprocess.Popen([program, part, index, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes = {}
        for number in threads:
            self.processes[number] = start(number)
            self.processes[number].ready = json.loads(self.processes[number].stdout.readline())
        self.building = self.processes[threads[0]].ready["indexing"]
        self.best = self.processes[threads[0]].ready["best"]

    def search(self, depth, threads):
        process = self.processes[threads]
        print(depth, file=process.stdin, flush=True)
        return json.loads(process.stdout.readline())


class Bm25s:
    def __init__(self, corpus, queries):
        texts, ids = [f"{row['title']} {row['text']}".strip() for row in corpus], [row["_id"] for row in corpus]
        self.index, self.queries = bm25s.BM25(k1=.9, b=.4, backend="numba"), [query["text"] for query in queries]
        self.stemmer = Stemmer.Stemmer("porter")
        _, self.building = timed(lambda: self.index.index(self.analyse(texts), show_progress=False))
        for number in threads:
            best = self.answer(10, number)  # numba compiles
        self.best = {query["_id"]: [ids[at] for at in row] for query, row in zip(queries, best.documents)}

    def analyse(self, texts):
        return bm25s.tokenize(texts, stopwords="en", stemmer=self.stemmer, show_progress=False)

    def answer(self, depth, threads):
        most = min(depth, self.index.scores["num_docs"])
        return self.index.retrieve(self.analyse(self.queries), k=most, show_progress=False, n_threads=threads)

    def search(self, depth, threads):
        return timed(lambda: self.answer(depth, threads))[1]


class Tantivy:
    def __init__(self, corpus, queries):
        schema = tantivy.SchemaBuilder()
        schema.add_text_field("id", stored=True, tokenizer_name="raw")
        schema.add_text_field("text", tokenizer_name="en_stem", index_option="freq")
        self.index = tantivy.Index(schema.build())
        _, self.building = timed(lambda: self.build(corpus))
        self.searcher = self.index.searcher()
        # Words alone: its query language has operators.
        self.queries = ["".join(letter if letter.isalnum() else " " for letter in query["text"]) for query in queries]
        self.pools = {number: futures.ThreadPoolExecutor(number) for number in threads}
        best = zip(queries, self.answer(10, threads[0]))
        self.best = {query["_id"]: [self.searcher.doc(at)["id"][0] for _, at in hits] for query, hits in best}

    def build(self, corpus):
        writer = self.index.writer(heap_size=512 << 20, num_threads=threads[0])
        for row in corpus:
            writer.add_document(tantivy.Document(id=row["_id"], text=f"{row['title']} {row['text']}"))
        writer.commit()
        writer.wait_merging_threads()
        self.index.reload()

    def answer(self, depth, threads):
        one = lambda text: self.searcher.search(self.index.parse_query(text, ["text"]), depth).hits
        return list(self.pools[threads].map(one, self.queries))

    def search(self, depth, threads):
        return timed(lambda: self.answer(depth, threads))[1]


def table(title, rows):
    """Rates by the clock and by the CPU, each beside ours over it."""
    print(f"| {title} | a second | ours over it | a CPU second | ours over it |\n|---|---:|---:|---:|---:|")
    for name, rates in rows.items():
        print(f"| {name} |", " | ".join(f"{rate:,.0f} | {mine / rate:.1f}" for rate, mine in zip(rates, rows["ablate"])), "|", flush=True)


def main():
    queries = sorted(lines("queries.jsonl"), key=lambda row: row["_id"])[:count]
    corpus = lines("corpus.jsonl")
    with tempfile.TemporaryDirectory() as scratch:
        peers = {"bm25s": Bm25s(corpus, queries), "tantivy": Tantivy(corpus, queries)}
        systems = {"ablate": Ours(pathlib.Path(scratch), queries), **peers}
        load = os.getloadavg()[0]
        print(f"{folder.name}: {len(corpus):,} documents, {len(queries):,} queries; load {load:.1f} after indexing")
        table(f"documents indexed, threads: {threads[0]}", {name: [len(corpus) / spent for spent in system.building] for name, system in systems.items()})
        for number in threads:
            for depth in depths:
                rounds = [{name: system.search(depth, number) for name, system in systems.items()} for _ in range(ROUNDS)]
                best = {name: [len(queries) / min(spent) for spent in zip(*(found[name] for found in rounds))] for name in systems}
                table(f"queries at {depth}, threads: {number}", best)
        for name, peer in peers.items():
            mine = systems["ablate"].best
            shared = [len(set(mine[key]) & set(peer.best[key])) / max(1, len(mine[key])) for key in peer.best]
            print(f"shared with {name} among the ten best: {sum(shared) / len(shared):.3f}")
        print(f"load {os.getloadavg()[0]:.1f} at the end")


main()
