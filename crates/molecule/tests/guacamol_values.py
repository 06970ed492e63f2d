"""The KL divergence benchmark of the package guacamol 0.5.5, for the tests of the crate.

    python guacamol_values.py < LINES   lines "g SMILES" of a generated set and "r SMILES" of a training set; prints the
                                        divergences and the score as one JSON object
    python guacamol_values.py fixture GENERATED REFERENCE > fixtures/guacamol_values.json
                                        the same for 150 molecules spread over each file, and the molecules

`guacamol` 0.5.5 must be importable (its wheel unpacked on PYTHONPATH will do), with RDKit, NumPy and SciPy. What SciPy has lost
since is put back here. The fixture was written with RDKit 2026.09.1, NumPy 2.4 and SciPy 1.17.
"""

import json
import sys
import types

import numpy
import scipy

scipy.histogram = numpy.histogram
progress = types.ModuleType("tqdm")  # only subclassed, for downloads
progress.tqdm = object
sys.modules.setdefault("tqdm", progress)

from rdkit import RDLogger  # noqa: E402

from guacamol.distribution_learning_benchmark import KLDivBenchmark  # noqa: E402

RDLogger.DisableLog("rdApp.*")


class Generated:
    """A generator that has one set to give."""

    def __init__(self, smiles):
        self.smiles = smiles

    def generate(self, number_samples):
        return self.smiles[:number_samples]


def figures(generated, reference):
    generated = list(dict.fromkeys(generated))
    # The benchmark draws its training molecules at random; of all of them there is one choice only.
    benchmark = KLDivBenchmark(number_samples=len(reference), training_set=reference)
    benchmark.number_samples = len(generated)
    result = benchmark.assess_model(Generated(generated))
    divergences = {name: float(value) for name, value in result.metadata["kl_divs"].items()}
    return {"divergences": divergences, "score": float(result.score)}


if __name__ == "__main__":
    if sys.argv[1:2] == ["fixture"]:
        from rdkit_values import spread

        sets = [spread(path, 150) for path in sys.argv[2:4]]
        print(json.dumps({"generated": sets[0], "reference": sets[1], "figures": figures(*sets)}))
    else:
        sets = {"g": [], "r": []}
        for line in sys.stdin:
            which, smiles = line.split()
            sets[which].append(smiles)
        print(json.dumps(figures(sets["g"], sets["r"])))
