"""What RDKit says of molecules, for the tests of the crate.

    python rdkit_values.py values < SMILES            one JSON object a line, in the order of the input
    python rdkit_values.py patterns FILE atoms|counts < SMILES
                                                      of each molecule, the numbers of matches of the patterns of FILE (the
                                                      last column), hydrogens being atoms or counts
    python rdkit_values.py fixture QM9 ZINC MOSES > fixtures/rdkit_values.jsonl
                                                      the values of 25 molecules spread over each file, and of a few odd ones

The fixture was written with RDKit 2026.09.1.
"""

import gzip
import json
import os
import sys

from rdkit import Chem, RDConfig, RDLogger
from rdkit.Chem import Crippen, Descriptors, GraphDescriptors, MolSurf, QED
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors
from rdkit.Chem.Scaffolds import MurckoScaffold

sys.path.append(os.path.join(RDConfig.RDContribDir, "SA_Score"))
import sascorer  # noqa: E402

RDLogger.DisableLog("rdApp.*")
MORGAN = rdFingerprintGenerator.GetMorganGenerator(radius=2)

# Charges, isotopes, cages, spiro atoms, macrocycles, stereo marks, salts, hypervalent atoms, hydrogens that are atoms.
ODD = [
    "C",
    "[H][H]",
    "O=C=O",
    "[2H]C([2H])([2H])O",
    "[13CH3]c1ccccc1",
    "[NH4+].[Cl-]",
    "C1CC2CCC1CC2",
    "C1C2CC3CC1CC(C2)C3",
    "C1CCC2(CC1)CCCCC2",
    "C1CCCCCCCCCCC1",
    "O=S(=O)(O)c1ccccc1",
    "CP(=O)(OC)OC",
    "C[N+](C)(C)C",
    "O=[N+]([O-])c1ccc(F)cc1",
    "F/C=C/F",
    "C[C@H](N)C(=O)O",
    "C[C@H]1CC[C@@H](C)CC1",
    "c1ccc2c(c1)Cc1ccccc1-2",
    "C12C3C4C1C5C2C3C45",
    "[O-][n+]1ccccc1",
    "c1cc[nH]c1",
    "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "FC(F)(F)c1cc(Br)c(I)cc1Cl",
    "B(O)(O)c1ccccc1",
    "C[Si](C)(C)C#C",
]


def values(smiles):
    mol = Chem.MolFromSmiles(smiles)
    # What is listed atom by atom is in the order of the canonical SMILES.
    ordered = Chem.MolFromSmiles(Chem.MolToSmiles(mol))
    environments = MORGAN.GetSparseCountFingerprint(mol).GetNonzeroElements()
    aromatic = rdMolDescriptors.CalcNumAromaticRings(mol)
    fragments = Chem.MolToSmiles(Chem.FragmentOnBRICSBonds(mol)).split(".")
    scaffold = MurckoScaffold.GetScaffoldForMol(mol)
    return {
        "smiles": smiles,
        "canonical": Chem.MolToSmiles(mol),
        "hydrogens": [atom.GetTotalNumHs() for atom in ordered.GetAtoms()],
        "valences": [atom.GetTotalValence() for atom in ordered.GetAtoms()],
        "rings": sorted(sorted(ring) for ring in ordered.GetRingInfo().AtomRings()),
        "heavy_atoms": mol.GetNumHeavyAtoms(),
        "molecular_weight": Descriptors.MolWt(mol),
        "log_p": Crippen.MolLogP(mol),
        "polar_surface_area": MolSurf.TPSA(mol),
        "drug_likeness": QED.qed(mol),
        "bertz_complexity": GraphDescriptors.BertzCT(mol),
        "acceptors": rdMolDescriptors.CalcNumHBA(mol),
        "donors": rdMolDescriptors.CalcNumHBD(mol),
        "rotatable_bonds": rdMolDescriptors.CalcNumRotatableBonds(mol),
        "aliphatic_rings": rdMolDescriptors.CalcNumAliphaticRings(mol),
        "aromatic_rings": aromatic,
        "spiro_atoms": rdMolDescriptors.CalcNumSpiroAtoms(mol),
        "bridgehead_atoms": rdMolDescriptors.CalcNumBridgeheadAtoms(mol),
        "stereocentres": len(Chem.FindMolChiralCenters(mol, includeUnassigned=True)),
        "synthetic_accessibility": sascorer.calculateScore(mol),
        "morgan": sorted(number for number, count in environments.items() for _ in range(count)),
        "fragments": sorted(fragments),
        "scaffold": Chem.MolToSmiles(scaffold),
        "scaffold_rings": scaffold.GetRingInfo().NumRings(),
    }


def patterns(path, hydrogens):
    rows = [line.rstrip("\n") for line in open(path) if line.strip() and not line.startswith("# ")]
    columns = [row.split("\t") for row in rows]
    smarts = [row[0] if len(row) == 1 else row[1] for row in columns]
    queries = [Chem.MolFromSmarts(pattern) for pattern in smarts]
    for line in sys.stdin:
        mol = Chem.MolFromSmiles(line.strip())
        if hydrogens == "atoms":
            mol = Chem.AddHs(mol)
        print(json.dumps([len(mol.GetSubstructMatches(query)) for query in queries]))


def spread(path, count):
    opener = gzip.open if path.endswith(".gz") else open
    lines = [line.split()[0] for line in opener(path, "rt")]
    return lines[:: len(lines) // count][:count]


if __name__ == "__main__":
    if sys.argv[1] == "values":
        for line in sys.stdin:
            print(json.dumps(values(line.strip())))
    elif sys.argv[1] == "patterns":
        patterns(sys.argv[2], sys.argv[3])
    else:
        for smiles in [s for path in sys.argv[2:] for s in spread(path, 25)] + ODD:
            print(json.dumps(values(smiles)))
