//! The SMILES of an output that an earlier run wrote, so that a resumed run can report on all of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use equidrift_molecule::Format;
use serde::Deserialize;

use crate::error::Error;

/// Hands every SMILES in the first `bytes` bytes of `path` to `found`, in order.
///
/// # Errors
/// [`Error::Read`].
pub(crate) fn written_smiles(
    path: &Path,
    bytes: u64,
    format: Format,
    mut found: impl FnMut(&str),
) -> Result<(), Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let lines = BufReader::new(File::open(path).map_err(read)?.take(bytes)).lines();
    let mut in_smiles_item = false;
    for line in lines {
        let line = line.map_err(read)?;
        match format {
            Format::Smi if !line.is_empty() => found(&line),
            Format::Jsonl => {
                #[derive(Deserialize)]
                struct Record {
                    smiles: Option<String>,
                }
                let record: Record = serde_json::from_str(&line).map_err(|e| read(io::Error::from(e)))?;
                if let Some(smiles) = record.smiles {
                    found(&smiles);
                }
            }
            Format::Sdf => {
                if in_smiles_item {
                    found(&line);
                }
                in_smiles_item = line.starts_with('>') && line.contains("<SMILES>");
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use equidrift_molecule::metrics::stability::StabilityTally;
    use equidrift_molecule::{Atom, BondOrder, Element, GeneratedMolecule, molecule_from};
    use std::io::Write as _;

    #[test]
    fn every_format_gives_back_the_smiles_written() {
        let molecule = |id, smiles: &str| {
            let atoms = [Atom::neutral(Element::C), Atom::neutral(Element::O)];
            let graph = molecule_from(atoms, [(0, 1, BondOrder::Single)]).unwrap();
            let smiles = smiles.to_owned();
            GeneratedMolecule {
                id,
                smiles,
                valid_without_correction: true,
                repaired: false,
                fragments: 1,
                graph,
                stability: StabilityTally::new(),
            }
        };
        for format in [Format::Smi, Format::Jsonl, Format::Sdf] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            let mut bytes = Vec::new();
            let mut writer = format.writer(Box::new(&mut bytes), 7);
            for (id, smiles) in [(0, "CO"), (1, ""), (2, "OC")] {
                writer.write(&molecule(id, smiles)).unwrap();
            }
            drop(writer);
            file.write_all(&bytes).unwrap();
            // What lies behind the recorded bytes does not count.
            file.write_all(b"half a rec").unwrap();
            let mut found = Vec::new();
            written_smiles(file.path(), bytes.len() as u64, format, |smiles| found.push(smiles.to_owned()))
                .unwrap();
            assert_eq!(found, ["CO", "OC"], "{format:?}");
        }
    }
}
