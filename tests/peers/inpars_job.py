"""The generation of InPars as a whole, ours beside llama.cpp's server with the same file on the same cores, and what both write.

    python inpars_job.py ABLATE LLAMA_SERVER GGUF [DOCUMENTS] [THREADS] [SLOTS] [MODEL] [OPTIONS OF THE SERVER...]

Three shots, 64 new tokens, greedy, documents of SciFact (in ABLATE_DATA). The server keeps the prompts it has seen (its default), so that the
shots are read once per slot there, too; ABLATE asks it through `generate`. Wall and CPU seconds of both, the server's own with its start left out.
With a file of blocks texts differ where two tokens are nearly as likely: llama.cpp rounds activations to eight bits, ours does not. With the same
numbers as f32 (`llama-quantize --allow-requantize FILE OUT F32`; options `-ctk f32 -ctv f32`) they hardly do. MODEL is what ours is called (`ablate models list`).
"""
import json, os, pathlib, resource, socket, subprocess, sys, tempfile, time, urllib.request

ablate, server, gguf = sys.argv[1:4]
documents, threads, slots, model, *options = sys.argv[4:] + ["200", "2", "8", "smollm2-135m-instruct"][len(sys.argv[4:]):]
experiment = pathlib.Path(__file__).with_name("inpars_job.yaml").read_text()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def started(port, log):
    command = [server, "-m", gguf, "--port", str(port), "-t", threads, "-tb", threads, "-np", slots, "-c", str(2560 * int(slots)), *options]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    while process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).read()
            return process
        except OSError:
            time.sleep(0.2)
    sys.exit(f"{server} ended: {pathlib.Path(log.name).read_text()[-500:]}")


def run(file, by, store):
    """Wall and CPU seconds of generating."""
    before, began = children(), time.monotonic()
    environment = {**os.environ, "RAYON_NUM_THREADS": threads}
    subprocess.run([ablate, "run", file, "--only", f"by={by}", "--store", store], check=True, env=environment)
    return time.monotonic() - began, children() - before


def rows(by, store):
    command = [ablate, "show", "latest", f"queries[by={by}]", "--store", store, "--json", "--rows", "100000"]
    found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["rows"]
    return {row["doc_id"]: (row["query"], row["mean_logprob"]) for row in found}


def main():
    with tempfile.TemporaryDirectory() as scratch:
        port, file, store = free_port(), f"{scratch}/job.yaml", f"{scratch}/store"
        pathlib.Path(file).write_text(experiment.replace("127.0.0.1:1/", f"127.0.0.1:{port}/").replace("count: 200", f"count: {documents}")
                                      .replace("concurrency: 8", f"concurrency: {slots}").replace("smollm2-135m-instruct", model))
        wall, used = run(file, "ours", store)
        ours = rows("ours", store)
        with open(f"{scratch}/server.log", "w") as log:
            process = started(port, log)
        try:
            before = cpu(process.pid)
            their_wall, client = run(file, "served", store)
            their_used = cpu(process.pid) - before + client
            theirs = rows("served", store)
        finally:
            process.terminate()
            process.wait()
    both = [(ours[key], theirs[key]) for key in ours.keys() & theirs.keys()]
    equal = [abs(one[1] - other[1]) for one, other in both if one[0] == other[0]]
    words = lambda rows: sum(len(text.split()) for text, _ in rows.values())
    print(f"{documents} documents, {threads} threads, {slots} slots, load {os.getloadavg()[0]:.1f}")
    print(f"ours: {wall:.1f} s, {used:.1f} CPU s, {len(ours)} texts of {words(ours)} words")
    print(f"llama-server: {their_wall:.1f} s, {their_used:.1f} CPU s, {len(theirs)} texts of {words(theirs)} words")
    print(f"theirs over ours: {their_wall / wall:.2f} by the clock, {their_used / used:.2f} by CPU")
    print(f"{len(equal)} of {len(both)} texts are equal; their mean log-probabilities differ by {max(equal, default=0):.1e} at most")


main()
