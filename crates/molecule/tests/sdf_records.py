"""Connection tables by RDKit: SMILES on standard input, one a line.

Prints for each one line of JSON: the records V2000 and V3000 without hydrogens, V2000 with all hydrogens, and the SMILES of the
same molecule without stereo marks.
"""

import json
import sys

from rdkit import Chem

for line in sys.stdin.read().split("\n"):
    molecule = Chem.MolFromSmiles(line)
    Chem.RemoveStereochemistry(molecule)
    plain = Chem.MolToSmiles(molecule)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    records = [
        Chem.MolToMolBlock(molecule),
        Chem.MolToV3KMolBlock(molecule),
        Chem.MolToMolBlock(Chem.AddHs(molecule)),
    ]
    print(json.dumps({"smiles": plain, "records": records}))
