#!/bin/sh
# command.sh POOLWISE PYTHON: the command on two simulated GPUs beside the command on the CPU. 77 without the simulator.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
poolwise=$1 python=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"$python" - <<'END'
import numpy as np
rng = np.random.default_rng(1)
logits = np.zeros((400, 3), np.float32)  # margins and entropies that lie far apart
logits[:, 0] = 0.01 * rng.permutation(400)
np.save("logits.npy", logits)
np.save("committee.npy", rng.normal(size=(3, 400, 3)).astype(np.float32))
np.save("embeddings.npy", rng.normal(size=(400, 8)).astype(np.float32))
np.save("labelled.npy", np.arange(10))
END
on_gpus() { "$here/../gpusim.sh" GPUSIM_DEVICES=2 GPUSIM_LEAK=1 "$poolwise" "$@" --device cuda:0,1; }

for strategy in entropy margin kcenter badge margin/10x/kcenter entropy/5x/badge facility_location graph_cut probcover \
  typiclust; do
  set -- select --logits logits.npy --embeddings embeddings.npy --labelled labelled.npy --strategy $strategy --batch 12
  "$poolwise" "$@" >cpu.csv
  on_gpus "$@" >gpu.csv || exit $?
  # Scores of rankings differ in their last bits; the rows and their order may not.
  cut -d, -f1-3 cpu.csv >cpu.rows
  cut -d, -f1-3 gpu.csv >gpu.rows
  cmp cpu.rows gpu.rows || { echo "$strategy picks otherwise on the GPUs"; exit 1; }
done

# What no device computes is refused there, not moved.
refused=$("$poolwise" strategies --json | "$python" -c 'import json, sys
print(*(s["name"] for s in json.load(sys.stdin)["strategies"] if s["on_devices"] == "refused"))')
[ "$refused" = "batchbald dpp" ]
for strategy in $refused; do
  status=0
  on_gpus select --embeddings embeddings.npy --committee committee.npy --strategy "$strategy" --batch 12 2>why || status=$?
  [ $status -eq 1 ] || { echo "$strategy on GPUs: exit code $status"; exit 1; }
  grep -q "no CUDA kernel" why
done

set -- score --logits logits.npy --committee committee.npy --acquisition entropy,margin,bald,vote_entropy
"$poolwise" "$@" --out cpu.npy
on_gpus "$@" --out gpu.npy
"$python" -c 'import numpy as np; np.testing.assert_allclose(np.load("gpu.npy"), np.load("cpu.npy"), rtol=4e-6, atol=1e-6)'
