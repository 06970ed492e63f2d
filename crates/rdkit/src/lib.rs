//! RDKit bindings: what rdkit-sys lacks for generated molecules.
