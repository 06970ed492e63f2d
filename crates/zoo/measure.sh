#!/usr/bin/env bash
# Measures a molecule model and prints the table of its model card.
#
#   crates/zoo/measure.sh MODEL QM9.smi TEST_ROWS.txt [SAMPLES]
#
# MODEL is a name from the zoo or a model folder; the training set is QM9.smi without the rows of TEST_ROWS.txt, as
# `equidrift train molecules --data QM9.smi --test-rows TEST_ROWS.txt` takes it. Every line of the table is one run with
# seed 7; the paper's sampler draws SAMPLES (10,000 unless given), the others a fifth.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,8p' "$0" >&2; exit 2; }
model=$1 data=$2 rows=$3 samples=${4:-10000}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --release --quiet -p equidrift-cli
equidrift=${CARGO_TARGET_DIR:-target}/release/equidrift

# Row k, from 0, is line k + 1.
awk 'NR == FNR { test[$1] = 1; next } !((FNR - 1) in test)' "$rows" "$data" >"$work/train.smi"

field() { sed -n "s/^ *\"$1\": \([^,]*\),*$/\1/p" "$work/summary.json"; }
percent() { awk -v share="$(field "$1")" 'BEGIN { printf "%.2f %%", 100 * share }'; }

echo "| sampler | calls per sample | samples | valid before repair | valid | unique | novel | connected | molecules/s |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
row() { # label, samples, options...
  local label=$1 num=$2
  shift 2
  "$equidrift" generate molecules --model "$model" --num "$num" --seed 7 --train "$work/train.smi" --json \
    -o "$work/molecules.smi" "$@" 2>"$work/summary.json" >&2 || { cat "$work/summary.json" >&2; exit 1; }
  printf '| %s | %s | %s | %s | %s | %s | %s | %s | %.0f |\n' "$label" "$(field evaluations_per_sample)" "$num" \
    "$(percent validity_before_repair)" "$(percent validity)" "$(percent uniqueness)" "$(percent novelty)" \
    "$(percent connectedness)" "$(field molecules_per_second)"
}
pc="--sampler predictor-corrector"
row "predictor–corrector, 1000 steps, snr 0.2, scale 0.7 (the paper's)" "$samples" $pc --steps 1000 --snr 0.2 --scale-eps 0.7
plan=crates/zoo/plans/$(basename "$model")-20.json
[ ! -f "$plan" ] || row "searched plan (\`--plan $plan\`)" "$samples" --plan "$plan"
few=$((samples / 5))
row "predictor–corrector, 25 steps, snr 0.3, \`--match-prior\`" "$few" $pc --steps 25 --snr 0.3 --scale-eps 0.7 --match-prior
row "predictor–corrector, 100 steps, snr 0.4" "$few" $pc --steps 100 --snr 0.4 --scale-eps 0.7
row "predictor–corrector, 25 steps, snr 0.4" "$few" $pc --steps 25 --snr 0.4 --scale-eps 0.7
row "predictor–corrector, 10 steps, snr 0.4" "$few" $pc --steps 10 --snr 0.4 --scale-eps 0.7
row "S4, 1000 steps" "$few" --sampler s4 --steps 1000
row "S4, 100 steps" "$few" --sampler s4 --steps 100
row "DPM-Solver++ 2M, 20 steps" "$few" --sampler dpm-solver++ --steps 20
row "Heun, 20 steps" "$few" --sampler heun --steps 20
