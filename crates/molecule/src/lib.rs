//! Molecules: decoding, valence repair, SMILES, files and metrics.
