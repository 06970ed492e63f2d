#!/usr/bin/env bash
# Measures an unconditional trajectory model of one molecule and prints the rows of its model card.
#
#   crates/zoo/measure-ensembles.sh MODEL FILE.npz [CONFORMERS]
#
# MODEL is a name from the zoo or a model folder, FILE.npz the molecular dynamics that it is compared with, all frames of all runs.
# CONFORMERS (10,000) frames are drawn with seed 1, in as many trajectories as that makes, by the default sampler. STEPS is
# another number of its steps. SELECT (heavy) are the atoms that count for bonds and angles. REPORT is a page to be written with the
# torsion maps, MAPS a picture (.svg) of the two side by side. THREADS is the number of threads, all unless set.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,9p' "$0" >&2; exit 2; }
model=$1 reference=$(realpath "$2") conformers=${3:-10000}
[ ! -d "$model" ] || model=$(realpath "$model")
report=${REPORT:+$(realpath "$REPORT")} maps=${MAPS:+$(realpath "$MAPS")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$(dirname "$0")/../.."
if [ -z "${EQUIDRIFT:-}" ]; then
  cargo build --release --quiet -p equidrift-cli
  EQUIDRIFT=${CARGO_TARGET_DIR:-target}/release/equidrift
fi
frames=$("$EQUIDRIFT" inspect "$model" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["config"]["frames"])')
"$EQUIDRIFT" generate trajectories --model "$model" --num $((conformers / frames)) --seed 1 --threads "${THREADS:-$(nproc)}" \
  ${STEPS:+--steps "$STEPS"} -o "$work/samples.npz" >/dev/null 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
evaluate() { "$EQUIDRIFT" evaluate trajectories "$1" --kind ensemble --reference "$reference" --select "${SELECT:-heavy}" "${@:2}"; }
evaluate "$work/samples.npz" --report "$work/report.html" --json >"$work/report.json" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
[ -z "$report" ] || cp "$work/report.html" "$report"
# What as many windows of the dynamics themselves have, their frames as far apart as the samples', at even spacing.
python3 - "$reference" "$frames" $((conformers / frames)) "$work/samples.npz" "$work/windows.npz" <<'PYTHON'
import sys

import numpy

path, frames, count, samples, to = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
real = numpy.load(path)
runs = real["R"].reshape(-1, *real["R"].shape[-3:])
step = float(real["dt_fs"] if "dt_fs" in real else 1e3 * real["dt_ps"])
every = round(float(numpy.load(samples)["dt_fs"]) / step)
starts = runs.shape[1] - (frames - 1) * every
places = numpy.linspace(0, len(runs) * starts - 1, count).astype(int)
windows = [runs[place // starts, place % starts :: every][:frames] for place in places]
numpy.savez(to, R=numpy.stack(windows), z=real["z"], bonds=real["bonds"], dt_fs=every * step)
PYTHON
evaluate "$work/windows.npz" --json >"$work/windows.json" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
python3 - "$work/report.json" "$work/windows.json" "$work/report.html" "$maps" <<'PYTHON'
import json, re, sys

found, real = (json.load(open(path))["ensemble"] for path in sys.argv[1:3])
torsions, internal = found["torsion_map"], found["internal"]
names = {"torsions": "torsions of the atoms", "angles": "bond angles", "bonds": "bond lengths"}
kinds = [kind for kind in names if internal[kind]]
print("| divergence (Jensen and Shannon, bits) | samples | as many windows of the reference | its halves |")
print("| --- | --- | --- | --- |")
if torsions:
    print(f"| map of phi and psi | {torsions['divergence']:.4f} | {real['torsion_map']['divergence']:.4f} | {torsions['reference_halves']:.4f} |")
for kind in kinds:
    row, count = internal[kind], len(internal[kind]["coordinates"])
    print(f"| {names[kind]}, mean of {count} | {row['mean']:.4f} | {real['internal'][kind]['mean']:.4f} | {row['reference_halves']:.4f} |")
pairs, of_real = found["radial_distribution"], real["radial_distribution"]
print(f"| pair distances | {pairs['divergence']:.5f} | {of_real['divergence']:.5f} | {pairs['reference_halves']:.5f} |")
correlation = found["velocity_autocorrelation"]
if correlation:
    of_real = real["velocity_autocorrelation"]["mean_difference"]
    print(f"| velocity autocorrelation, mean difference | {correlation['mean_difference']:.4f} | {of_real:.4f} | |")
if torsions:
    print()
    print(f"| population, {found['generated']['samples']} trajectories of {found['generated']['frames']} frames | samples | reference |")
    print("| --- | --- | --- |")
    for basin in torsions["basins"]:
        print(f"| {basin['name']} | {100 * basin['generated']:.2f} % | {100 * basin['reference']:.2f} % |")

if sys.argv[4]:
    page = open(sys.argv[3], encoding="utf-8").read()
    drawn = re.findall(r'<svg class="chart"[^>]*aria-label="free energy[^"]*">(.*?)</svg>', page, re.S)
    style = ("text{font:11px sans-serif;fill:#5d666f}.name{font-size:13px;fill:#1d2125}.frame{fill:#fff;stroke:#ccd0d4}"
             ".shade{fill:#2f6fb5}")
    with open(sys.argv[4], "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 322"><style>{style}</style>')
        for place, (name, map_) in enumerate(zip(["samples", "molecular dynamics"], drawn)):
            file.write(f'<g transform="translate({320 * place} 22)"><text class="name" x="46" y="-4">{name}</text>{map_}</g>')
        file.write("</svg>\n")
PYTHON
