"""Converts the tables and weights that some metrics need from what Python packages ship to the .npz files equidrift reads.

    pip install fcd==1.2.2 torch        # or fcd_torch==1.0.7; ChemNet, for --chemnet (FCD)
    python datasets/metric_weights.py chemnet chemnet_v0.13.npz

    pip install rdkit                   # fragment scores of the synthetic accessibility score
    python datasets/metric_weights.py sa-fragment-scores sa_fragment_scores.npz

A second path after the output names the source file, where it is not that of an installed package. Nothing that a source
file holds is executed: the PyTorch file is read with weights_only, the pickle with a reader that knows no class. What is
written is checked against the SHA-256 of the arrays, so it is either exactly what the figures of equidrift were measured with
or an error. Needs numpy.
"""

import gzip
import hashlib
import importlib.util
import io
import pathlib
import pickle
import sys

import numpy

# SHA-256 over the names and the little-endian bytes of the arrays, in order of their names.
EXPECTED = {
    "chemnet": "8de74cf64a3ff9d548e565d7f98e1a533e5e04bf6ead9bb431b1b314dcb4f1bc",
    "sa-fragment-scores": "789ab0c313cef70dbd4e9569114ebd7a9260da96fd06586ef05efd8f7a89ee9a",
}


def package_file(packages, name):
    """The path of a file inside the first of these packages that is installed, without importing it."""
    for package in packages:
        spec = importlib.util.find_spec(package)
        for folder in spec.submodule_search_locations if spec else []:
            path = pathlib.Path(folder) / name
            if path.is_file():
                return path
    sys.exit(f"{name} not found: install one of {', '.join(packages)}, or name the file")


def chemnet(source):
    """ChemNet v0.13: a list of (kind, (state, configuration, ...)), one per layer."""
    import torch

    source = source or package_file(["fcd", "fcd_torch"], "ChemNet_v0.13_pretrained.pt")
    layers = torch.load(source, map_location="cpu", weights_only=True)
    return {
        f"{index}.{kind.lower()}.{name}": value.numpy().astype("<f4")
        for index, (kind, (state, *_)) in enumerate(layers)
        for name, value in state.items()
    }


class PlainData(pickle.Unpickler):
    """Lists and numbers only."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"the file asks for {module}.{name}; plain lists and numbers were expected")


def sa_fragment_scores(source):
    """fpscores.pkl.gz of RDKit Contrib: lists of a score and the fragments that have it."""
    source = source or package_file(["rdkit"], "Contrib/SA_Score/fpscores.pkl.gz")
    with gzip.open(source) as file:
        rows = PlainData(io.BytesIO(file.read())).load()
    scores = {fragment: row[0] for row in rows for fragment in row[1:]}
    fragments = sorted(scores)
    return {
        "id": numpy.array(fragments, dtype="<u4"),
        "score": numpy.array([scores[fragment] for fragment in fragments], dtype="<f4"),
    }


def fingerprint(arrays):
    digest = hashlib.sha256()
    for name in sorted(arrays):
        # The two packages differ in the sign of some zeros; adding zero makes all of them positive.
        digest.update(name.encode() + b"\n" + (arrays[name] + arrays[name].dtype.type(0)).tobytes())
    return digest.hexdigest()


def main(what, output, source=None):
    arrays = {"chemnet": chemnet, "sa-fragment-scores": sa_fragment_scores}[what](source)
    found = fingerprint(arrays)
    if found != EXPECTED[what]:
        sys.exit(f"the source holds other numbers: fingerprint {found}, expected {EXPECTED[what]}")
    numpy.savez_compressed(output, **arrays)
    print(f"{output}: {len(arrays)} arrays, {sum(array.size for array in arrays.values()):,} numbers")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in EXPECTED:
        sys.exit(__doc__)
    main(*sys.argv[1:])
