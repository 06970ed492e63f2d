"""The Fréchet ChemNet Distance of two sets by the PyPI package fcd: SMILES on standard input, a blank line between the sets.

Prints one line of JSON: the distance, and how many strings RDKit spells otherwise than they came.
"""

import json
import sys
import warnings

warnings.filterwarnings("ignore")

import fcd
import numpy as np

sets = [part.split("\n") for part in sys.stdin.read().strip().split("\n\n")]
canonical = [fcd.canonical_smiles(smiles) for smiles in sets]
different = sum(a != b for given, spelt in zip(sets, canonical) for a, b in zip(given, spelt))
model = fcd.load_ref_model()
moments = []
for smiles in canonical:
    activations = fcd.get_predictions(model, [s for s in smiles if s is not None])
    moments += [np.mean(activations, axis=0), np.cov(activations.T)]
distance = fcd.calculate_frechet_distance(moments[0], moments[1], moments[2], moments[3])
print(json.dumps({"fcd": float(distance), "different": different, "sizes": [len(s) for s in canonical]}))
