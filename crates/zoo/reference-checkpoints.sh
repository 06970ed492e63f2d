#!/usr/bin/env bash
# Converts the seven released GDSS checkpoints, samples them at their released settings, and prints the table of
# book/src/look-up/reference-checkpoints.md.
#
#   crates/zoo/reference-checkpoints.sh REFERENCE DATA WORK [SET...]
#
# REFERENCE holds NAME.json and NAME.safetensors of each checkpoint and mmd.golden.json; DATA holds molecules/, graphs/ and
# metrics/chemnet_v0.13.npz as shared/data/README.md describes them. WORK gets the model folders and samples; a run that was
# stopped goes on where it was. SETs are qm9, zinc250k, zinc250k_v2, community_small, ego_small, enzymes, grid; all without any.
# THREADS (1) is the number of threads. On one core of 2026: qm9 4 min, zinc250k 15 min each, enzymes 10 min, grid 2 h.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,12p' "$0" >&2; exit 2; }
reference=$(realpath "$1") data=$(realpath "$2")
mkdir -p "$3"
work=$(realpath "$3")
shift 3
sets=${*:-qm9 zinc250k zinc250k_v2 community_small ego_small enzymes grid}
threads=${THREADS:-1}
cd "$(dirname "$0")/../.."
if [ -z "${EQUIDRIFT:-}" ]; then
  cargo build --release --quiet -p equidrift-cli
  EQUIDRIFT=${CARGO_TARGET_DIR:-target}/release/equidrift
fi

field() { sed -n "s/^ *\"$1\": \([^,]*\),*$/\1/p" "$2" | head -1; }
number() { awk -v value="$1" -v digits="$2" 'BEGIN { printf "%." digits "f", value }'; }
percent() { awk -v share="$1" 'BEGIN { printf "%.2f %%", 100 * share }'; }

# Rows of a SMILES file that are, or are not, named in a list of 0-based row numbers.
rows() { # in|out, list, file
  awk -v wanted="$1" 'NR == FNR { row[$1] = 1; next } ((FNR - 1) in row) == (wanted == "in")' "$2" "$3"
}

molecules() { # set, samples, SMILES file, list of test rows
  local name=$1 num=$2 smiles=$3 list=$4
  [ -f "$work/$name.train.smi" ] || rows out "$list" "$smiles" >"$work/$name.train.smi"
  # As many test molecules as samples, evenly spread over the test set.
  [ -f "$work/$name.test.smi" ] || rows in "$list" "$smiles" | awk -v num="$num" '
    { line[NR] = $0 } END { for (k = 0; k < num; k++) print line[int(k * NR / num) + 1] }' >"$work/$name.test.smi"
  [ -d "$work/$name" ] || "$EQUIDRIFT" convert gdss "$reference/$name.json" -o "$work/$name" --sizes-from "$work/$name.train.smi"
  "$EQUIDRIFT" generate molecules --model "$work/$name" --num "$num" --seed 7 --threads "$threads" --resume --json \
    --train "$work/$name.train.smi" -o "$work/$name.smi" 2>"$work/$name.summary.json"
  "$EQUIDRIFT" evaluate molecules "$work/$name.smi" --reference "$work/$name.test.smi" --nspdk --threads "$threads" \
    --chemnet "$data/metrics/chemnet_v0.13.npz" --json >"$work/$name.report.json"
  local summary=$work/$name.summary.json report=$work/$name.report.json
  echo "| $name | $num | $(percent "$(field validity_before_repair "$summary")") | $(percent "$(field validity "$summary")") |" \
    "$(percent "$(field uniqueness "$summary")") | $(percent "$(field novelty "$summary")") |" \
    "$(percent "$(field connectedness "$summary")") | $(number "$(field fcd "$report")" 2) |" \
    "$(number "$(field nspdk_mmd "$report")" 4) |"
}
