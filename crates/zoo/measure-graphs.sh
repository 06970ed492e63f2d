#!/usr/bin/env bash
# Measures a graph model and prints what its model card says.
#
#   crates/zoo/measure-graphs.sh MODEL DATA.json SCHEME "EVALUATE OPTIONS" [SEEDS [GENERATE OPTIONS...]]
#
# MODEL is a name from the zoo or a model folder. DATA.json:SCHEME:test are the test graphs: each seed (0, 1, ...; SEEDS of
# them, 10 unless given) draws as many, or NUM. EVALUATE OPTIONS, such as "--kernel spectre --kind planar", go to `equidrift evaluate
# graphs`, GENERATE OPTIONS to `equidrift generate graphs`. Figures are means over the seeds; in brackets their standard deviation.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,9p' "$0" >&2; exit 2; }
model=$1 data=$(realpath "$2") scheme=$3 seeds=${5:-10}
read -ra evaluate <<<"$4"
[ ! -d "$model" ] || model=$(realpath "$model")
shift $(($# < 5 ? 4 : 5))
threads=${THREADS:-$(nproc)}
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${EQUIDRIFT:-}" ]; then
  cargo build --release --quiet -p equidrift-cli
  EQUIDRIFT=${CARGO_TARGET_DIR:-target}/release/equidrift
fi

num=${NUM:-$("$EQUIDRIFT" evaluate graphs "$data" --generated-split "$scheme:test" | awk '$1 == "graphs" { print $2 }')}
for seed in $(seq 0 $((seeds - 1))); do
  "$EQUIDRIFT" generate graphs --model "$model" --num "$num" --seed "$seed" --threads "$threads" --json \
    -o "$work/$seed.jsonl" "$@" 2>"$work/summary.json" || { cat "$work/summary.json" >&2; exit 1; }
  "$EQUIDRIFT" evaluate graphs "$work/$seed.jsonl" --reference "$data" --split "$scheme:test" --train "$data" \
    "${evaluate[@]}" --threads "$threads" --bootstrap 0 >>"$work/figures.txt"
done
calls=$(sed -n 's/^ *"evaluations_per_sample": \([^,]*\),*$/\1/p' "$work/summary.json")
echo "$seeds seeds of $num graphs, $calls calls per sample"
awk '/^[a-zA-Z][^0-9]*  +[0-9.]+/ {
    match($0, /  +[0-9.]+/); name = substr($0, 1, RSTART - 1); value = substr($0, RSTART) + 0
    if (!(name in count)) order[++names] = name
    sum[name] += value; square[name] += value * value; count[name]++
  }
  END { for (k = 1; k <= names; k++) {
    name = order[k]; mean = sum[name] / count[name]; variance = square[name] / count[name] - mean * mean
    printf "%-24s %.4f (%.4f)\n", name, mean, sqrt(variance > 0 ? variance : 0) } }' "$work/figures.txt"
