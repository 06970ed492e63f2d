#!/usr/bin/env bash
# Converts the seven released GDSS checkpoints, samples them at their released settings, and prints the figures of
# book/src/look-up/reference-checkpoints.md.
#
#   crates/zoo/reference-checkpoints.sh REFERENCE DATA WORK [SET...]
#
# REFERENCE holds NAME.json and NAME.safetensors of each checkpoint and mmd.golden.json; DATA holds molecules/, graphs/ and
# metrics/chemnet_v0.13.npz as shared/data/README.md describes them. WORK gets the model folders and samples; a run that was
# stopped goes on where it was. SETs are qm9, zinc250k, zinc250k_v2, community_small, ego_small, enzymes, grid; all without any.
# THREADS (1) is the number of threads. On one core of 2026: qm9 4 min, zinc250k 15 min each, enzymes 10 min, grid
# 20 min (reckoned from its evaluations).
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,11p' "$0" >&2; exit 2; }
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
percent() { awk -v share="$1" 'BEGIN { printf "%.2f %%", 100 * share }'; }

# Rows of a SMILES file that are, or are not, named in a list of 0-based row numbers.
rows() { # in|out, list, file
  awk -v wanted="$1" 'NR == FNR { row[$1] = 1; next } ((FNR - 1) in row) == (wanted == "in")' "$2" "$3"
}

molecules() { # set, samples, SMILES file, list of test rows, test molecules to compare with (0: all)
  local name=$1 num=$2 smiles=$3 list=$4 compared=$5
  [ -f "$work/$name.train.smi" ] || rows out "$list" "$smiles" >"$work/$name.train.smi"
  # Spread evenly over the test set.
  [ -f "$work/$name.test.smi" ] || rows in "$list" "$smiles" | awk -v num="$compared" '
    { line[NR] = $0 } END { if (num == 0) num = NR; for (k = 0; k < num; k++) print line[int(k * NR / num) + 1] }' \
    >"$work/$name.test.smi"
  [ -d "$work/$name" ] || "$EQUIDRIFT" convert gdss "$reference/$name.json" -o "$work/$name" \
    --sizes-from "$work/$name.train.smi" >&2
  "$EQUIDRIFT" generate molecules --model "$work/$name" --num "$num" --seed 7 --threads "$threads" --resume --json \
    --train "$work/$name.train.smi" -o "$work/$name.smi" 2>"$work/$name.summary.json"
  "$EQUIDRIFT" evaluate molecules "$work/$name.smi" --reference "$work/$name.test.smi" --nspdk --threads "$threads" \
    --chemnet "$data/metrics/chemnet_v0.13.npz" >"$work/$name.report.txt" 2>&1
  local summary=$work/$name.summary.json
  echo
  echo "## $name: $num molecules, seed 7, against $(wc -l <"$work/$name.test.smi") test molecules"
  for share in validity_before_repair validity uniqueness novelty connectedness; do
    echo "$share $(percent "$(field $share "$summary")")"
  done
  grep -E 'NSPDK|FCD' "$work/$name.report.txt"
}

# A run that is stopped goes on behind the last batch that was done: small ones where a graph takes minutes.
graphs() { # set, graphs, as many as the test set has, data, part of the training set, test data, part of the test set
  local name=$1 num=$2 released=$3 train=$4 train_part=$5 test=$6 test_part=$7
  [ -d "$work/$name" ] || "$EQUIDRIFT" convert gdss "$reference/$name.json" -o "$work/$name" \
    --sizes-from "$train${train_part:+:$train_part}" >&2
  "$EQUIDRIFT" generate graphs --model "$work/$name" --num "$num" --seed 7 --threads "$threads" --batch 8 --resume --json \
    -o "$work/$name.jsonl" 2>"$work/$name.summary.json"
  head -n "$released" "$work/$name.jsonl" >"$work/$name.released.jsonl"
  local part=()
  [ -z "$test_part" ] || part=(--split "$test_part")
  for file in released.jsonl jsonl; do
    echo
    echo "## $name: $(wc -l <"$work/$name.$file") graphs, seed 7"
    "$EQUIDRIFT" evaluate graphs "$work/$name.$file" --reference "$test" "${part[@]}" --threads "$threads"
    [ "$num" != "$released" ] || break
  done
}

# The released data of ego_small are not at hand; the reference's MMD vectors carry its 40 test graphs.
ego_test() {
  python3 - "$reference/mmd.golden.json" "$work/ego_small.test.json" <<'PYTHON'
import json, sys
graphs = json.load(open(sys.argv[1]))["ego_small"]["ref"]
json.dump({"graphs": graphs}, open(sys.argv[2], "w"))
PYTHON
}

for set in $sets; do
  case $set in
    qm9) molecules qm9 3000 "$data/molecules/qm9.smi" "$data/molecules/qm9_test_idx.txt" 3000 ;;
    zinc250k | zinc250k_v2)
      [ -f "$work/zinc250k_all.smi" ] || gzip -dc "$data/molecules/zinc250k.smi.gz" >"$work/zinc250k_all.smi"
      molecules "$set" 1000 "$work/zinc250k_all.smi" "$data/molecules/zinc250k_test_idx.txt" 0
      ;;
    community_small)
      file=$data/graphs/community_small.json
      graphs community_small 128 20 "$file" gdss:train "$file" gdss:test
      ;;
    ego_small)
      ego_test
      graphs ego_small 128 40 "$work/ego_small.test.json" "" "$work/ego_small.test.json" ""
      ;;
    enzymes) graphs enzymes 117 117 "$data/graphs/enzymes.json" gdss:train "$data/graphs/enzymes.json" gdss:test ;;
    grid) graphs grid 20 20 "$data/graphs/grid.json" gdss:train "$data/graphs/grid.json" gdss:test ;;
    *) echo "no set $set" >&2; exit 2 ;;
  esac
done
