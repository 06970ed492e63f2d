//! The torsions of a peptide's backbone, found in its bond graph.

use crate::element::Element;
use crate::topology::Topology;

/// φ and ψ (IUPAC 1970): C'–N–Cα–C' and N–Cα–C'–N.
pub type PhiPsi = [[usize; 4]; 2];

const CARBON: Element = Element(6);
const NITROGEN: Element = Element(7);
const OXYGEN: Element = Element(8);

/// φ and ψ of each residue between two peptide bonds, by its Cα. A peptide bond is a nitrogen bonded to a carbon that has an
/// oxygen of its own.
#[must_use]
pub fn phi_psi(topology: &Topology) -> Vec<PhiPsi> {
    let neighbours = topology.neighbours();
    let elements = topology.elements();
    let bonded = |atom: usize, element: Element| {
        neighbours[atom].iter().copied().filter(move |other| elements[*other] == element)
    };
    let carbonyl = |atom: usize| bonded(atom, OXYGEN).any(|oxygen| neighbours[oxygen].len() == 1);
    let mut residues = Vec::new();
    for alpha in (0..topology.atoms()).filter(|atom| elements[*atom] == CARBON) {
        for nitrogen in bonded(alpha, NITROGEN) {
            let before = bonded(nitrogen, CARBON).find(|other| *other != alpha && carbonyl(*other));
            for carbon in bonded(alpha, CARBON).filter(|other| carbonyl(*other)) {
                let after = bonded(carbon, NITROGEN).find(|other| *other != nitrogen);
                if let (Some(before), Some(after)) = (before, after) {
                    residues.push([[before, nitrogen, alpha, carbon], [nitrogen, alpha, carbon, after]]);
                }
            }
        }
    }
    residues
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Heavy atoms of ACE-ALA-NME: CH3 C O N CA CB C O N CH3.
    #[test]
    fn alanine_dipeptide_has_one_pair() {
        let elements = [6, 6, 8, 7, 6, 6, 6, 8, 7, 6].map(Element).to_vec();
        let mut topology = Topology::of_elements(elements);
        let bonds = [[0, 1], [1, 2], [1, 3], [3, 4], [4, 5], [4, 6], [6, 7], [6, 8], [8, 9]];
        topology.set_bonds(bonds.to_vec()).unwrap();
        assert_eq!(phi_psi(&topology), [[[1, 3, 4, 6], [3, 4, 6, 8]]]);
        assert!(phi_psi(&Topology::unknown(4)).is_empty());
    }
}
