#!/usr/bin/env bash
# Every check that needs a GPU, on a machine with one.
#
# usage: tests/gpu/run.sh ABLATE [PROBE]
#   ABLATE  the program, built with the feature `cuda` (cargo build --release --features cuda)
#   PROBE   a program that checks single CUDA operations: run first as `PROBE --device cuda`; left out if not given
# Where `decoder_speed` and `steps` lie beside ABLATE (cargo build --release --workspace --examples --features cuda) and
# python3 has torch, transformers and peft, decoding and training are timed beside them, with random weights, too.
# env: ABLATE_MODELS  where the models of experiments/quickstart.yaml lie, on machines that cannot fetch them
#      OUT            where stores and answers go; a temporary folder if not given
#      SCORES         most that a mean of the table may differ between CPU and GPU (default 0.02)
#
# Then experiments/quickstart.yaml runs with `--device cpu` and `--device cuda`, each with a store of its own. The tables
# are compared: BM25 must be equal, the untrained encoder (f32 on both) within 0.002, and what follows generation (bf16
# on CUDA, so other queries) within SCORES. Seconds per node are printed side by side. The exit status is 1 if anything
# differs by more. Where there are two GPUs, it runs on both of them together, too.
set -euo pipefail
ablate=$(realpath "$1")
probe=${2:+$(realpath "$2")}
cd "$(dirname "$0")/../.."
out=${OUT:-$(mktemp -d)}
mkdir -p "$out"

# The CUDA libraries' folders differ between images. Never a folder of stubs: one would be loaded as the driver.
found=$(for name in libcublas.so.13 libcublasLt.so.13 libcurand.so.10; do
  { find /usr/local /opt /usr/lib -name "$name*" -not -path '*/stubs/*' 2>/dev/null || true; } | head -n 1 | xargs -r dirname
done | sort -u | paste -sd:)
export LD_LIBRARY_PATH=$found:/usr/local/nvidia/lib64${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>/dev/null || true
if [ -n "$probe" ]; then
  echo "== probe"
  "$probe" --device cuda
fi
for device in cpu cuda; do
  echo "== quickstart on $device"
  "$ablate" run experiments/quickstart.yaml --device "$device" --store "$out/$device" --json \
    >"$out/$device.json" 2>"$out/$device.log" || { tail -n 20 "$out/$device.log"; exit 1; }
  tail -n 1 "$out/$device.log"
done
if grep -q 'warning: no device' "$out/cuda.log"; then
  grep 'warning: no device' "$out/cuda.log"
  exit 1
fi
if [ "$(nvidia-smi -L 2>/dev/null | wc -l)" -gt 1 ]; then
  echo "== quickstart on two GPUs"
  "$ablate" run experiments/quickstart.yaml --device cuda:0,cuda:1 --store "$out/both" 2>"$out/both.log" || { tail -n 20 "$out/both.log"; exit 1; }
  if grep 'left rows' "$out/both.log"; then exit 1; fi
fi
grep -h 'computed on' "$out/cuda.log" || { echo "generation did not say where it computed"; exit 1; }
python3 - "$out" "${SCORES:-0.02}" <<'PY'
import json, sys
out, scores = sys.argv[1], float(sys.argv[2])
cpu, cuda = (json.loads(open(f"{out}/{device}.json").read().splitlines()[-1]) for device in ("cpu", "cuda"))
seconds = lambda run: {node["name"]: node["seconds"] for node in run["nodes"]}
theirs = seconds(cuda)
print(f"{'node':44} {'cpu s':>8} {'cuda s':>8}")
for name, time in seconds(cpu).items():
    print(f"{name:44} {time:8.2f} {theirs.get(name, float('nan')):8.2f}")
limits, failed = {"bm25": 1e-9, "untrained": 0.002}, False
print(f"{'system':12} {'point':26} {'measure':8} {'cpu':>8} {'cuda':>8}")
assert len(cpu["table"]) == len(cuda["table"]) > 0, "the tables have other rows"
for a, b in zip(cpu["table"], cuda["table"]):
    assert (a["system"], a["point"]) == (b["system"], b["point"]), "the tables have other rows"
    for measure, score in a["scores"].items():
        one, other = score["mean"], b["scores"][measure]["mean"]
        wrong = abs(one - other) > limits.get(a["system"], scores)
        failed |= wrong
        print(f"{a['system']:12} {str(a['point']):26} {measure:8} {one:8.4f} {other:8.4f}{'  DIFFERS' if wrong else ''}")
sys.exit(failed)
PY
beside=$(dirname "$ablate")
if [ -x "$beside/decoder_speed" ] && python3 -c 'import torch, transformers'; then
  echo "== decoding beside transformers"
  python3 tests/gpu/decoding.py "$beside/decoder_speed" cuda 8b 2>"$out/decoding.log" || { tail -n 20 "$out/decoding.log"; exit 1; }
fi
if [ -x "$beside/steps" ] && python3 -c 'import torch, transformers, peft'; then
  echo "== steps of training beside PyTorch"
  python3 tests/peers/training.py "$beside/steps" random random "$(nproc)" 1 cuda 2>"$out/training.log" || { tail -n 20 "$out/training.log"; exit 1; }
fi
echo "all GPU checks passed"
