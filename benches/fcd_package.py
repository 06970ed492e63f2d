"""Times the Fréchet ChemNet Distance of equidrift and of the PyPI package fcd on the same molecules, in one run.

    python benches/fcd_package.py generated.smi reference.smi chemnet_v0.13.npz [equidrift] [threads]

Needs a Python with fcd and torch. Both sides get the same number of threads (default: all processors) and take turns; the
machine should have nothing else to do. Whole process: start, reading, canonical SMILES, network, distance. Of the package, the time
of the network alone (its get_predictions, batches of 128 as it comes, worker process as it comes) is shown as well.
"""

import json
import os
import resource
import subprocess
import sys
import time

ROUNDS = 2

PACKAGE = r"""
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import numpy as np, torch, fcd
torch.set_num_threads(int(sys.argv[3]))
smiles = [[line.split()[0] for line in open(path) if line.strip()] for path in sys.argv[1:3]]
model = fcd.load_ref_model()
canonical = [[s for s in fcd.canonical_smiles(part) if s is not None] for part in smiles]
start = time.perf_counter()
activations = [fcd.get_predictions(model, part, device="cpu") for part in canonical]
network = time.perf_counter() - start
a, b = activations
distance = fcd.calculate_frechet_distance(np.mean(a, axis=0), np.cov(a.T), np.mean(b, axis=0), np.cov(b.T))
print(json.dumps({"fcd": float(distance), "network": network, "molecules": len(a) + len(b)}))
"""


def timed(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, json.loads(output)


def main(generated, reference, chemnet, equidrift="target/release/equidrift", threads=None):
    threads = str(threads or os.cpu_count())
    ours = [equidrift, "evaluate", "molecules", generated, "--reference", reference, "--chemnet", chemnet,
            "--bootstrap", "0", "--threads", threads, "--json"]
    theirs = [sys.executable, "-c", PACKAGE, generated, reference, threads]
    print(f"{'':28}{'wall s':>10}{'CPU s':>10}{'FCD':>12}")
    for _ in range(ROUNDS):
        wall, cpu, report = timed(ours)
        print(f"{'equidrift, whole process':28}{wall:10.1f}{cpu:10.1f}{report['distances']['fcd']:12.5f}")
        wall, cpu, report = timed(theirs)
        print(f"{'fcd, whole process':28}{wall:10.1f}{cpu:10.1f}{report['fcd']:12.5f}")
        print(f"{'fcd, network alone':28}{report['network']:10.1f}{'':10}{report['molecules']:12,} molecules")


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
