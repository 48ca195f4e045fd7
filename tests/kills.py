#!/usr/bin/env python3
"""Kills a run at random instants until it ends by itself, again and again, and compares every key with an undisturbed run's.

usage: tests/kills.py BINARY EXPERIMENT KILLS [--longest SECONDS]

Prints how many kills there were, how many completions, and whether keys and table were equal each time and the store verified.
Ends with 1 if anything differed.
"""
import argparse, json, pathlib, random, shutil, subprocess, tempfile, time


def answer(output):
    last = json.loads(output.strip().splitlines()[-1])
    return sorted((n["name"], n["key"]) for n in last["nodes"]), last["table"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary"), parser.add_argument("experiment"), parser.add_argument("kills", type=int)
    parser.add_argument("--longest", type=float, help="longest life of a run, seconds [default: that of an undisturbed one]")
    args = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="ablate-kills-"))
    command = lambda store: [args.binary, "run", args.experiment, "--json", "--flush-seconds", "0.2", "--store", str(root / store)]
    began = time.time()
    whole = answer(subprocess.run(command("whole"), capture_output=True, text=True, check=True).stdout)
    longest = args.longest or (time.time() - began)
    chance, kills, completions, wrong = random.Random(7), 0, 0, 0
    while kills < args.kills:
        store = f"killed-{completions}"
        while True:
            process = subprocess.Popen(command(store), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            try:
                output, _ = process.communicate(timeout=chance.uniform(0, longest))
                break
            except subprocess.TimeoutExpired:
                process.kill(), process.communicate()
                kills += 1
        verified = subprocess.run([args.binary, "verify", "--store", str(root / store)], capture_output=True).returncode == 0
        completions += 1
        wrong += process.returncode != 0 or answer(output) != whole or not verified
        shutil.rmtree(root / store)
    shutil.rmtree(root)
    print(f"{kills} kills, {completions} completions, {wrong} of them with other keys, another table or a damaged store, 0 manual steps")
    return wrong > 0


raise SystemExit(main())
