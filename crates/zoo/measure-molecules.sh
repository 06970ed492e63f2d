#!/usr/bin/env bash
# Measures a molecule model and prints the table of its model card.
#
#   crates/zoo/measure-molecules.sh MODEL DATA.smi[.gz] TEST_ROWS.txt CHEMNET.npz [SAMPLES]
#
# MODEL is a name from the zoo or a model folder; its training set is DATA without the rows of TEST_ROWS.txt, as
# `equidrift train molecules --data DATA --test-rows TEST_ROWS.txt` takes it, and distances are to all molecules of those rows.
# Every line of the table is one run with seed 7 of SAMPLES (10,000 unless given) samples; those that end in "fifth" draw a fifth.
# THREADS is the number of threads, all unless set; SEED another seed. CHEMNET.npz: see datasets/chemnet.toml.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,11p' "$0" >&2; exit 2; }
model=$1 data=$(realpath "$2") rows=$(realpath "$3") chemnet=$(realpath "$4") samples=${5:-10000}
[ ! -d "$model" ] || model=$(realpath "$model")
threads=${THREADS:-$(nproc)} seed=${SEED:-7}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "${EQUIDRIFT:-}" ]; then
  cargo build --release --quiet -p equidrift-cli
  EQUIDRIFT=${CARGO_TARGET_DIR:-target}/release/equidrift
fi

case $data in *.gz) gzip -dc "$data" ;; *) cat "$data" ;; esac >"$work/data.smi"
# Row k, from 0, is line k + 1.
for part in test train; do
  awk -v part=$part 'NR == FNR { test[$1] = 1; next } ((FNR - 1) in test) == (part == "test")' "$rows" "$work/data.smi" \
    >"$work/$part.smi"
done

field() { sed -n "s/^ *\"$1\": \([^,]*\),*$/\1/p" "$work/summary.json"; }
percent() { awk -v share="$(field "$1")" 'BEGIN { printf "%.2f %%", 100 * share }'; }
reference=("--reference" "$work/test.smi" "--save-statistics" "$work/test.safetensors")
figure() { sed -n "s/^$1  *//p" "$work/report.txt"; }

echo "| sampler | calls per sample | samples | valid before repair | unique | novel | connected | NSPDK MMD | FCD | molecules/s |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
row() { # label, samples, options...
  local label=$1 num=$2
  shift 2
  "$EQUIDRIFT" generate molecules --model "$model" --num "$num" --seed "$seed" --train "$work/train.smi" --json \
    --threads "$threads" -o "$work/molecules.smi" "$@" 2>"$work/summary.json" >&2 ||
    { cat "$work/summary.json" >&2; exit 1; }
  "$EQUIDRIFT" evaluate molecules "$work/molecules.smi" "${reference[@]}" --nspdk --chemnet "$chemnet" \
    --threads "$threads" >"$work/report.txt" 2>/dev/null
  reference=("--reference" "$work/test.safetensors")
  printf '| %s | %s | %s | %s | %s | %s | %s | %s | %s | %.0f |\n' "$label" "$(field evaluations_per_sample)" "$num" \
    "$(percent validity_before_repair)" "$(percent uniqueness)" "$(percent novelty)" "$(percent connectedness)" \
    "$(figure 'NSPDK MMD')" "$(figure FCD)" "$(field molecules_per_second)"
}
fifth=$((samples / 5))
name=$(basename "$model")
row "the model's own" "$samples"
plan=crates/zoo/plans/$name-20.json
[ ! -f "$plan" ] || row "\`--plan $name-20\`" "$samples" --plan "$plan"
case $name in
  *-ve)
    pc="--sampler predictor-corrector"
    row "predictor–corrector, 25 steps, snr 0.3, \`--match-prior\`" "$fifth" $pc --steps 25 --snr 0.3 --scale-eps 0.7 --match-prior
    row "predictor–corrector, 100 steps, snr 0.4" "$fifth" $pc --steps 100 --snr 0.4 --scale-eps 0.7
    row "predictor–corrector, 10 steps, snr 0.4" "$fifth" $pc --steps 10 --snr 0.4 --scale-eps 0.7
    row "S4, 100 steps, \`--match-prior\`" "$fifth" --sampler s4 --steps 100 --match-prior
    row "DPM-Solver++ 2M, 20 steps" "$fifth" --sampler dpm-solver++ --steps 20
    ;;
  *-pard*)
    own=$("$EQUIDRIFT" inspect "$model" --json | sed -n 's/^ *"steps": \([0-9]*\),*$/\1/p' | tail -1)
    few=$((own > 20 ? 20 : own / 2))
    plain="--churn 0 --temperature 1"
    row "the plain posterior (\`$plain\`)" "$samples" $plain
    row "\`$plain --steps $few\`" "$samples" $plain --steps $few
    row "\`$plain --steps $((own * 2))\`" "$fifth" $plain --steps $((own * 2))
    ;;
  zinc250k-gdss)
    row "predictor–corrector, 100 steps, scale 0.7" "$fifth" --scale-eps 0.7
    row "SDE-DPM-Solver++ 2M, 100 steps" "$fifth" --sampler sde-dpm-solver++ --steps 100
    row "SDE-DPM-Solver++ 2M, 20 steps" "$fifth" --sampler sde-dpm-solver++ --steps 20
    noisy='{"name": "sde-dpm-solver++", "grid": "uniform-time", "t_end": 0.05, "eta": 2}'
    row "the same, even times to 0.05, eta 2" "$samples" --sampler "$noisy" --steps 20
    ;;
  *)
    row "SDE-DPM-Solver++ 2M, 100 steps" "$samples" --sampler sde-dpm-solver++ --steps 100
    swelling='{"name": "sde-dpm-solver++", "grid": "uniform-time", "t_end": 0.02, "eta": 0.7, "eta_middle": 4.3}'
    row "the same, even times to 0.02, eta 0.7 to 4.3" "$samples" --sampler "$swelling" --steps 100
    row "SDE-DPM-Solver++ 2M, 20 steps" "$fifth" --sampler sde-dpm-solver++ --steps 20
    row "DPM-Solver++ 2M, 20 steps" "$fifth" --sampler dpm-solver++ --steps 20
    row "UniPC, 10 steps" "$fifth" --sampler uni-pc --steps 10
    row "Heun, 20 steps" "$fifth" --sampler heun --steps 20
    ;;
esac
