#!/usr/bin/env bash
# All grids with sides from LOW to HIGH, each COPIES times (default 1), as a graph file for `equidrift train graphs`:
#
#   grids.sh LOW HIGH [COPIES] > grids.json
#
# There is one grid of each size, so split `all` has every graph in both parts, train and test.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
awk -v low="$1" -v high="$2" -v copies="${3:-1}" 'BEGIN {
  printf "{\"graphs\": ["
  for (rows = low; rows <= high; rows++) for (columns = rows; columns <= high; columns++) for (copy = 0; copy < copies; copy++) {
    printf "%s\n{\"n\": %d, \"edges\": [", (count++ ? "," : ""), rows * columns
    edges = 0
    for (i = 0; i < rows; i++) for (j = 0; j < columns; j++) {
      node = i * columns + j
      if (j + 1 < columns) printf "%s[%d, %d]", (edges++ ? ", " : ""), node, node + 1
      if (i + 1 < rows) printf "%s[%d, %d]", (edges++ ? ", " : ""), node, node + columns
    }
    printf "]}"
  }
  numbers = ""
  for (k = 0; k < count; k++) numbers = numbers (k ? ", " : "") k
  printf "],\n\"splits\": {\"all\": {\"train\": [%s], \"test\": [%s]}}}\n", numbers, numbers
}'
