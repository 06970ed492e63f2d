"""The MOSES suite of the package molsets 0.3.1, for the tests of the crate.

    python moses_values.py < LINES      lines "g SMILES" of a generated set and "r SMILES" of a reference; prints the figures
                                        as one JSON object
    python moses_values.py fixture GENERATED REFERENCE > fixtures/moses_values.json
                                        the same for 150 molecules spread over each file, and the molecules

The package is of 2020: modules that it only imports, or that have changed since, are stood in for here. `molsets` 0.3.1 must
be importable (its wheel unpacked on PYTHONPATH will do), with RDKit, NumPy, SciPy and PyTorch. The fixture was written with
RDKit 2026.09.1, NumPy 2.4 and PyTorch 2.15.
"""

import csv
import json
import sys
import types


class Column:
    def __init__(self, values):
        self.values = values


class Table:
    """As much of a pandas data frame as the filters need."""

    def __init__(self, smarts):
        self.smarts = smarts

    def append(self, other, sort=True):
        return Table(self.smarts + other.smarts)

    def __getitem__(self, name):
        assert name == "smarts"
        return Column(self.smarts)


def read_csv(path, names=None):
    with open(path) as file:
        rows = list(csv.reader(file))
    column = (names or rows[0]).index("smarts")
    return Table([row[column].strip() for row in (rows if names else rows[1:])])


def stand_in(name, **members):
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


stand_in("pandas", read_csv=read_csv, Series=type("Series", (), {}))
stand_in("fcd_torch", FCD=object)
stand_in("tqdm", tqdm=lambda items, **_: items)
stand_in("matplotlib", pyplot=None)
stand_in("rdkit.six", iteritems=lambda table: iter(table.items()))
package = types.ModuleType("moses")  # its own __init__ imports models, which need more packages
for folder in sys.path:
    path = f"{folder}/moses"
    try:
        open(f"{path}/metrics/metrics.py").close()
    except OSError:
        continue
    package.__path__ = [path]
    sys.modules["moses"] = package
    stand_in("moses.dataset", get_dataset=None, get_statistics=None)
    break

from rdkit import RDLogger  # noqa: E402

from moses.metrics import metrics as suite  # noqa: E402
from moses.metrics.utils import QED, SA, get_mol, logP, weight  # noqa: E402

RDLogger.DisableLog("rdApp.*")


def figures(generated, reference):
    generated = suite.remove_invalid(generated, canonize=True)
    mols, test = [get_mol(s) for s in generated], [get_mol(s) for s in reference]
    found = {
        "unique@10": suite.fraction_unique(generated, 10),
        "unique@100": suite.fraction_unique(generated, 100),
        "SNN": suite.SNNMetric()(gen=mols, ref=test),
        "Frag": suite.FragMetric()(gen=mols, ref=test),
        "Scaf": suite.ScafMetric()(gen=mols, ref=test),
        "IntDiv": suite.internal_diversity(mols),
        "IntDiv2": suite.internal_diversity(mols, p=2),
        "Filters": suite.fraction_passes_filters(mols),
    }
    for name, function in [("logP", logP), ("SA", SA), ("QED", QED), ("weight", weight)]:
        found[name] = suite.WassersteinMetric(function)(gen=mols, ref=test)
    return {name: float(value) for name, value in found.items()}


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
