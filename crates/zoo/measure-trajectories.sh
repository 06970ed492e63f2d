#!/usr/bin/env bash
# Measures a conditional trajectory model and prints the rows of its model card.
#
#   crates/zoo/measure-trajectories.sh MODEL springs|charged|gravity [RUNS]
#   crates/zoo/measure-trajectories.sh MODEL FILE.npz EVERY [WINDOWS]
#   crates/zoo/measure-trajectories.sh MODEL RECORDING.csv[,RECORDING.csv...]
#
# MODEL is a name from the zoo or a model folder. Bodies: RUNS (2,000) fresh runs of simulation seed 2; the regression learns from
# the 3,000 runs of seed 43. Molecules: WINDOWS (500) windows at even spacing in the last fifth of FILE, which no training sees;
# the regression learns from the first three fifths. K = 5 samples of seed 1 for each window. Walkers: all tracks of the recordings,
# K = 20. STEPS ("20 10") are the numbers of steps of dpm-solver++ that are measured, TEMPERATURES (0.1; or "") those at which 20
# steps are, too; FULL=1 measures the ancestral chain of all levels on a tenth of the windows, and the solver on the same windows
# beside it. REGRESSOR is the folder of a forecaster of the same size (`--regression`), EGNN that of one without attention
# (`--regression --temporal none`), if there are any. THREADS is the number of threads, all unless set.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,13p' "$0" >&2; exit 2; }
model=$1 system=$2
[ ! -d "$model" ] || model=$(realpath "$model")
[ -z "${REGRESSOR:-}" ] || REGRESSOR=$(realpath "$REGRESSOR")
[ -z "${EGNN:-}" ] || EGNN=$(realpath "$EGNN")
threads=${THREADS:-$(nproc)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
samples=5
case $system in
  springs | charged | gravity) runs=${3:-2000} ;;
  *.csv)
    IFS=, read -ra recordings <<<"$system"
    for k in "${!recordings[@]}"; do recordings[k]=$(realpath "${recordings[k]}"); done
    runs=all samples=20
    ;;
  *) system=$(realpath "$system") every=$3 runs=${4:-500} ;;
esac
cd "$(dirname "$0")/../.."
if [ -z "${EQUIDRIFT:-}" ]; then
  cargo build --release --quiet -p equidrift-cli
  EQUIDRIFT=${CARGO_TARGET_DIR:-target}/release/equidrift
fi

generate() { # windows, samples for each, model, options...
  local windows=$1 num=$2 from=$3
  shift 3
  case $system in
    springs | charged | gravity) set -- --simulate "$system" --runs "$windows" --simulation-seed 2 "$@" ;;
    *.csv) set -- --from "${recordings[@]}" --with-given --truth "$work/truth.npz" "$@" ;;
    *) set -- --from "$system" --every "$every" --windows "$windows" --part test "$@" ;;
  esac
  "$EQUIDRIFT" generate trajectories --model "$from" --num "$num" --seed 1 --threads "$threads" -o "$work/samples.npz" "$@" \
    >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
}
evaluate() { # name of the row
  "$EQUIDRIFT" evaluate trajectories "$work/samples.npz" "${reference[@]}" --bootstrap 200 --json 2>"$work/log" >"$work/report.json" ||
    { cat "$work/log" >&2; exit 1; }
  python3 - "$work/report.json" "$1" "${2:-}" <<'PYTHON'
import json, sys
path, name, baselines = sys.argv[1:]
rows = json.load(open(path))["forecast"]["rows"]
number = lambda e: "" if e is None else f"{e['value']:.3g} ± {e['standard_error']:.1g}"
for row in rows if baselines else rows[:1]:
    label = name if row is rows[0] else row["name"]
    best = "" if row["best_ade"] is None else f"{row['best_ade']['value']:.3g} / {row['best_fde']['value']:.3g}"
    print(f"| {label} | {number(row['ade'])} | {number(row['fde'])} | {best} |")
PYTHON
}
case $system in
  springs | charged | gravity)
    "$EQUIDRIFT" simulate "$system" --runs "$runs" --seed 2 -o "$work/test.npz" >/dev/null
    "$EQUIDRIFT" simulate "$system" --runs 3000 --seed 43 -o "$work/train.npz" >/dev/null
    reference=(--reference "$work/test.npz" --train "$work/train.npz")
    ;;
  *.csv) reference=(--reference "$work/truth.npz" --condition-frames 8 --samples-with-given) ;;
  *) reference=(--reference "$system" --train "$system") ;;
esac

echo "| predictor | ADE | FDE | best of $samples |"
echo "| --- | --- | --- | --- |"
first=yes
for steps in ${STEPS:-20 10}; do
  generate "$runs" "$samples" "$model" --sampler dpm-solver++ --steps "$steps"
  evaluate "model, $steps calls" "$first"
  first=
done
for temperature in ${TEMPERATURES-0.1}; do
  generate "$runs" "$samples" "$model" --sampler dpm-solver++ --steps 20 --temperature "$temperature"
  evaluate "model, 20 calls, temperature $temperature"
done
forecaster() { # name of the row, model
  [ -n "$2" ] || return 0
  generate "$runs" 1 "$2" --sampler dpm-solver++ --steps 1
  evaluate "$1"
}
forecaster "the same network as a forecaster" "${REGRESSOR:-}"
forecaster "EGNN as a forecaster" "${EGNN:-}"
if [ -n "${FULL:-}" ]; then
  part=$((runs / 10))
  generate "$part" 5 "$model" --sampler '{"name": "ddim", "eta": 1.0}' --steps 100
  evaluate "$part windows, ancestral chain"
  for steps in ${STEPS:-20 10}; do
    generate "$part" 5 "$model" --sampler dpm-solver++ --steps "$steps"
    evaluate "$part windows, $steps calls"
  done
fi
