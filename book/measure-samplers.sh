#!/usr/bin/env bash
# Measures what the page "Choose a sampler" shows: samplers against network calls, on exact problems and on the published QM9
# checkpoint of GDSS.
#
#   book/measure-samplers.sh QM9.smi TEST_ROWS.txt CHECKPOINT.json CHEMNET.npz OUT
#
# CHECKPOINT.json is the published configuration with its weights beside it, as `equidrift convert gdss` takes it. The reference
# of the distances is the first 3,000 molecules of TEST_ROWS.txt, in its order. Everything is drawn with seed 1, 3,000
# molecules a line; the searches take most of the time. OUT gets the tables, the plots and the plans; a
# search that stands there already is not repeated.
set -euo pipefail
[ $# -eq 5 ] || { sed -n '2,13p' "$0" >&2; exit 2; }
data=$1 rows=$2 checkpoint=$3 chemnet=$4 out=$5
top=$(cd "$(dirname "$0")/.." && pwd)
equidrift=${EQUIDRIFT:-$top/target/release/equidrift}
[ -n "${EQUIDRIFT:-}" ] || cargo build --release --quiet --manifest-path "$top/Cargo.toml" -p equidrift-cli
mkdir -p "$out"

# Row k, from 0, is line k + 1.
awk 'NR == FNR { test[$1] = 1; next } !((FNR - 1) in test)' "$rows" "$data" >"$out/train.smi"
awk 'NR == FNR { line[FNR - 1] = $0; next } FNR <= 3000 { print line[$1] }' "$data" "$rows" >"$out/test.smi"
"$equidrift" convert gdss "$checkpoint" -o "$out/model" --sizes-from "$out/train.smi"

against=(--model "$out/model" --num 3000 --seed 1 --reference "$out/test.smi" --chemnet "$chemnet")
tuned='"name": "predictor-corrector", "snr": 0.3, "eps": 0.1'

echo "== exact problems"
"$equidrift" samplers compare --calls 5,10,20,50,100,200 --plot "$out/exact.svg" | tee "$out/exact.txt"

echo "== the published checkpoint"
"$equidrift" samplers compare "${against[@]}" --calls 5,10,20,50,100,200,2000 --plot "$out/model.svg" \
  --samplers ddim,dpm-solver++,uni-pc,heun,sde-dpm-solver++,s4 \
  --sampler 'published={"name": "predictor-corrector"}' \
  --sampler "tuned={$tuned}" | tee "$out/model.txt"

echo "== sizes of the corrector, 25 steps"
sizes=()
for snr in 0.2 0.25 0.3 0.35 0.4; do sizes+=(--sampler "snr-$snr={\"name\": \"predictor-corrector\", \"snr\": $snr}"); done
for scale in 0.6 0.85 1.0; do
  sizes+=(--sampler "snr-0.3-scale-$scale={\"name\": \"predictor-corrector\", \"snr\": 0.3, \"scale_eps\": $scale}")
done
"$equidrift" samplers compare "${against[@]}" --calls 50 "${sizes[@]}" | tee "$out/corrector.txt"

echo "== one evaluation for both halves of a step, or two"
"$equidrift" samplers compare "${against[@]}" --match-prior --calls 20,50 \
  --sampler 'shared={"name": "predictor-corrector", "snr": 0.22, "share_evaluation": true}' \
  --sampler 'separate={"name": "predictor-corrector", "snr": 0.3}' | tee "$out/shared.txt"

echo "== searches"
search() { # name, calls, evaluations of options, evaluations of numbers
  "$equidrift" samplers search "${against[@]}" --calls "$2" --match-prior --evaluations "$3" --resume -o "$out/options-$1.json" \
    --sampler '{"name": "predictor-corrector", "snr": 0.22, "share_evaluation": true}'
  "$equidrift" samplers search "${against[@]}" --plan "$out/options-$1.json" --evaluations "$4" --resume -o "$out/plan-$1.json"
}
search 20 20 100 120 | tee "$out/search-20.txt"

echo "== the same with a matched prior"
"$equidrift" samplers compare "${against[@]}" --match-prior --calls 5,10,20,50,100,200,2000 --plot "$out/matched.svg" \
  --samplers dpm-solver++,sde-dpm-solver++,s4 \
  --sampler 'published={"name": "predictor-corrector"}' \
  --sampler "tuned={$tuned}" \
  --plan "searched=$out/plan-20.json" | tee "$out/matched.txt"

# The tables of the page.
markdown() {
  echo "| sampler | calls | valid before repair | fragmented | unique | FCD | NSPDK |"
  echo "| --- | --- | --- | --- | --- | --- | --- |"
  awk 'NR > 1 { printf "| %s | %d | %.2f %% | %.2f %% | %.2f %% | %s | %s |\n", $1, $2, $4, 100 - $6, $8, $10, $11 }' "$1"
}
markdown "$out/model.txt" >"$out/model.md"
markdown "$out/matched.txt" >"$out/matched.md"
