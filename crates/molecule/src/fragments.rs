//! Keeping one fragment of a molecule that fell apart.
//!
//! GDSS keeps the fragment with the longest SMILES *string* (not the most atoms). The string is the canonical one of the
//! Kekulé form, because aromaticity has not been looked for at that point: benzene counts 11 characters, not 8. Of equally
//! long strings the first in alphabetical order stays, which is the order in which SMILES of a whole list its fragments.
//!
//! What is kept is read back from its canonical SMILES, so that the string is one that reading does not change (reading may
//! move charges: `O=[IH]` becomes `[O-][IH+]`). A string that its own back end cannot read stays as it is.

use petgraph::graph::NodeIndex;

use crate::chemistry::Chemistry;
use crate::error::MoleculeError;
use crate::molecule::{MolecularGraph, bonds};

/// The fragment kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its canonical SMILES; empty for a molecule without atoms.
    pub smiles: String,
    /// How many fragments there were.
    pub fragments: usize,
    /// The fragment's atoms and bonds, in the order of the whole (in that of the SMILES if reading it changed it).
    pub graph: MolecularGraph,
}

/// Keep the fragment with the longest Kekulé SMILES, ties first.
///
/// # Errors
/// [`MoleculeError::Chemistry`] if the molecule is not valid.
pub fn keep_longest(molecule: MolecularGraph, chemistry: &dyn Chemistry) -> Result<Kept, MoleculeError> {
    let components = equidrift_graph::components(&molecule);
    let fragments = components.len();
    let graph = if fragments <= 1 {
        molecule
    } else {
        let mut best: Option<(String, MolecularGraph)> = None;
        for component in &components {
            let graph = induced(&molecule, component);
            let string = chemistry.kekule_smiles(&graph)?;
            if best.as_ref().is_none_or(|(kept, _)| comes_before(&string, kept)) {
                best = Some((string, graph));
            }
        }
        best.map_or(molecule, |(_, graph)| graph)
    };
    let smiles = chemistry.canonical_smiles(&graph)?;
    if let Ok(settled) = chemistry.canonicalise(&smiles)
        && settled != smiles
        && let Ok(graph) = chemistry.parse_smiles(&settled)
    {
        return Ok(Kept { smiles: settled, fragments, graph });
    }
    Ok(Kept { smiles, fragments, graph })
}

/// Longer first, then alphabetical.
fn comes_before(string: &str, other: &str) -> bool {
    (other.len(), string) < (string.len(), other)
}

/// The molecule of some atoms (ascending) and the bonds between them.
fn induced(molecule: &MolecularGraph, atoms: &[NodeIndex]) -> MolecularGraph {
    let mut new_index = vec![None; molecule.node_count()];
    let mut graph = MolecularGraph::with_capacity(atoms.len(), atoms.len());
    for atom in atoms {
        new_index[atom.index()] = Some(graph.add_node(molecule[*atom]));
    }
    for (first, second, order) in bonds(molecule) {
        if let (Some(first), Some(second)) = (new_index[first], new_index[second]) {
            graph.add_edge(first, second, order);
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chemistry::chematic::Chematic;

    fn kept(smiles: &str) -> (String, usize, usize) {
        let whole = Chematic.parse_smiles(smiles).unwrap();
        let kept = keep_longest(whole, &Chematic).unwrap();
        (kept.smiles, kept.fragments, kept.graph.node_count())
    }

    #[test]
    fn the_longest_string_wins_even_with_fewer_atoms() {
        assert_eq!(kept("CCCC.[NH4+]"), ("[NH4+]".to_owned(), 2, 1));
    }

    #[test]
    fn the_string_is_that_of_the_kekule_form() {
        // c1ccccc1 has 8 characters, C1=CC=CC=C1 has 11, CCCCCCCCC 9.
        assert_eq!(kept("CCCCCCCCC.c1ccccc1"), ("c1ccccc1".to_owned(), 2, 6));
    }

    #[test]
    fn of_equally_long_strings_the_first_in_alphabetical_order_stays() {
        assert_eq!(kept("CO.C.CN"), ("CN".to_owned(), 3, 2));
        assert!(comes_before("CN", "CO") && !comes_before("CO", "CN") && !comes_before("CN", "CN"));
    }

    #[test]
    fn the_molecule_kept_is_the_one_its_smiles_is_read_as() {
        use crate::element::Element;
        use crate::molecule::{Atom, BondOrder, molecule_from};
        let atoms = [Atom::neutral(Element::O), Atom::neutral(Element::I)];
        let iodosyl = molecule_from(atoms, [(0, 1, BondOrder::Double)]).unwrap();
        let kept = keep_longest(iodosyl, &Chematic).unwrap();
        assert_eq!(kept.smiles, "[O-][IH+]");
        assert_eq!(kept.graph.node_weights().map(|atom| atom.charge).collect::<Vec<_>>(), [-1, 1]);
        assert_eq!(Chematic.canonicalise(&kept.smiles).unwrap(), kept.smiles);
    }

    #[test]
    fn a_molecule_without_atoms_has_no_fragment() {
        let kept = keep_longest(MolecularGraph::default(), &Chematic).unwrap();
        assert_eq!((kept.smiles.as_str(), kept.fragments), ("", 0));
    }
}
