#!/usr/bin/env bash
# Measures a model of QM9 with its hydrogens as atoms by the protocol of DiGress and Pard, and prints the table of its model card.
#
#   crates/zoo/measure-hydrogens.sh MODEL QM9.smi UNCHARACTERISED.txt CHEMNET.npz [SAMPLES] [OPTIONS...]
#
# MODEL is a name from the zoo or a model folder. The split is that of datasets/qm9.toml named `digress`, UNCHARACTERISED.txt the
# rows it leaves out. Nothing is repaired: invalid samples have no SMILES. Distances are to the test molecules, without their
# hydrogens. Seed 7, or SEED; 10,000 samples unless SAMPLES says otherwise; THREADS threads, all unless set. OPTIONS go to
# `generate molecules`: with any, only that one line is printed. Needs Python with NumPy for the split.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,9p' "$0" >&2; exit 2; }
model=$1 data=$(realpath "$2") left_out=$(realpath "$3") chemnet=$(realpath "$4") samples=${5:-10000}
shift $(($# < 5 ? $# : 5))
[ ! -d "$model" ] || model=$(realpath "$model")
threads=${THREADS:-$(nproc)} seed=${SEED:-7}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "${EQUIDRIFT:-}" ]; then
  cargo build --release --quiet -p equidrift-cli
  EQUIDRIFT=${CARGO_TARGET_DIR:-target}/release/equidrift
fi

python3 - "$data" "$left_out" "$work" <<'PYTHON'
import sys
import numpy as np
data, left_out, work = sys.argv[1:]
lines = open(data).read().splitlines()
left_out = {int(line) for line in open(left_out) if line.strip() and not line.startswith("#")}
order = np.random.RandomState(42).permutation(len(lines))
for part, rows in [("train", order[:100000]), ("test", order[120497:])]:
    with open(f"{work}/{part}.smi", "w") as out:
        out.writelines(lines[row].split()[0] + "\n" for row in sorted(rows) if row not in left_out)
PYTHON

field() { sed -n "s/^ *\"$1\": \([^,]*\),*$/\1/p" "$work/summary.json"; }
percent() { awk -v share="$(field "$1")" 'BEGIN { printf "%.2f %%", 100 * share }'; }
figure() { sed -n "s/^$1  *//p" "$work/report.txt"; }
reference=("--reference" "$work/test.smi" "--save-statistics" "$work/test.safetensors")

echo "| sampler | calls per sample | samples | valid | unique | novel | connected | stable atoms | stable molecules | FCD | molecules/s |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
row() { # label, samples, options...
  local label=$1 num=$2
  shift 2
  local code=0
  "$EQUIDRIFT" generate molecules --model "$model" --num "$num" --seed "$seed" --train "$work/train.smi" --no-repair \
    --json --threads "$threads" -o "$work/molecules.smi" "$@" 2>"$work/summary.json" >&2 || code=$?
  # 5: fewer valid molecules than samples.
  case $code in 0 | 5) ;; *) cat "$work/summary.json" >&2; exit 1 ;; esac
  "$EQUIDRIFT" evaluate molecules "$work/molecules.smi" "${reference[@]}" --chemnet "$chemnet" --threads "$threads" \
    >"$work/report.txt" 2>/dev/null
  reference=("--reference" "$work/test.safetensors")
  printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %.0f |\n' "$label" "$(field evaluations_per_sample)" "$num" \
    "$(percent validity)" "$(percent uniqueness)" "$(percent novelty)" "$(percent connectedness)" "$(percent atm_stable)" \
    "$(percent mol_stable)" "$(figure FCD)" "$(field molecules_per_second)"
}
if [ $# -gt 0 ]; then
  row "\`$*\`" "$samples" "$@"
else
  row "the model's own" "$samples"
  row "without churn (\`--churn 0\`)" "$samples" --churn 0
fi
