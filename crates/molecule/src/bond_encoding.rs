//! What the entries of a model's adjacency stand for.
//!
//! | level | `orders` | `aromatic` |
//! | --- | --- | --- |
//! | 0 | no bond | no bond |
//! | 1 | single | single |
//! | 2 | double | aromatic |
//! | 3 | triple | double |
//! | 4 | | triple |
//!
//! An entry is read as the nearest level, with thresholds half-way.
//!
//! `orders` is the encoding of GDSS (Jo, Lee & Hwang 2022). In it an aromatic ring is one of two alternating patterns of single
//! and double bonds, and all bonds of all fused rings must agree on one; a network that denoises every bond for itself cannot
//! see which. In `aromatic` they are all alike, and the pattern is found when a sample is decoded ([`crate::kekulise()`]).
//! Levels rise with the bond order (0, 1, 1.5, 2, 3), so that neighbours, which are confused most easily, differ least in what they
//! do to the valence of their atoms: a single bond of a ring taken for an aromatic one, or the other way about, by half an order.
//! "No bond" has only "single" next to it, because bonds that come and go are the faults that no decoder can mend.
//!
//! **Hydrogens on nitrogen.** Where a ring has more than one N, aromatic bonds alone do not say which N has a hydrogen, as in
//! 4-methylimidazole and 5-methylimidazole. The bonds of an aromatic atom without a double bond are encoded as single where the decoder
//! would have given it one, so that the molecule comes back as it was (about 2 % of drug-like molecules). A molecule for which
//! that does not help (pyrylium) is encoded with its Kekulé bonds; none of it is aromatic then.

use serde::{Deserialize, Serialize};

use crate::chemistry::aromatic_bonds::aromatic_bonds;
use crate::chemistry::aromatic_form::AromaticBond;
use crate::element::Element;
use crate::error::MoleculeError;
use crate::kekulise::kekulise;
use crate::molecule::{BondOrder, MolecularGraph, bonds};

/// What the entries of the adjacency stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BondEncoding {
    /// The bond orders of a Kekulé form.
    #[default]
    Orders,
    /// Single, aromatic, double and triple bonds.
    Aromatic,
}

impl BondEncoding {
    /// Number of levels, "no bond" among them.
    #[must_use]
    pub const fn levels(self) -> usize {
        match self {
            Self::Orders => 4,
            Self::Aromatic => 5,
        }
    }

    /// The bonds of a molecule as `(one end, other end, level)`, in its order. The formal charges of the molecule matter to what is
    /// aromatic, and are not encoded. Cost: about 30 µs for a drug-like molecule with `aromatic`.
    ///
    /// # Errors
    /// With `aromatic`, [`MoleculeError::Chemistry`] for a molecule whose valences do not fit.
    pub fn encode(self, molecule: &MolecularGraph) -> Result<Vec<(usize, usize, u8)>, MoleculeError> {
        let orders = || bonds(molecule).map(|(first, second, order)| (first, second, order.number()));
        match self {
            Self::Orders => Ok(orders().collect()),
            Self::Aromatic => {
                let levels = |(first, second, bond)| (first, second, level(bond));
                Ok(with_aromatic_bonds(molecule)?.into_iter().map(levels).collect())
            }
        }
    }

    /// The bond of an adjacency entry; `None` for no bond and for NaN.
    #[must_use]
    pub(crate) fn quantise(self, value: f32) -> Option<AromaticBond> {
        let levels: &[AromaticBond] = match self {
            Self::Orders => &[AromaticBond::Single, AromaticBond::Double, AromaticBond::Triple],
            Self::Aromatic => {
                &[AromaticBond::Single, AromaticBond::Aromatic, AromaticBond::Double, AromaticBond::Triple]
            }
        };
        let reached =
            levels.iter().zip([0.5, 1.5, 2.5, 3.5]).take_while(|(_, threshold)| value >= *threshold);
        reached.last().map(|(bond, _)| *bond)
    }
}

/// The level of a bond in encoding `aromatic`.
const fn level(bond: AromaticBond) -> u8 {
    match bond {
        AromaticBond::Single => 1,
        AromaticBond::Aromatic => 2,
        AromaticBond::Double => 3,
        AromaticBond::Triple => 4,
    }
}

/// The bonds of a molecule with those marked aromatic from which [`kekulise`] gets it back.
fn with_aromatic_bonds(
    molecule: &MolecularGraph,
) -> Result<Vec<(usize, usize, AromaticBond)>, MoleculeError> {
    let kekule = |order| match order {
        BondOrder::Single => AromaticBond::Single,
        BondOrder::Double => AromaticBond::Double,
        BondOrder::Triple => AromaticBond::Triple,
    };
    let plain: Vec<_> =
        bonds(molecule).map(|(first, second, order)| (first, second, kekule(order))).collect();
    let atoms: Vec<Element> = molecule.node_weights().map(|atom| atom.element).collect();
    let mut marked = plain.clone();
    // The atoms that have a double bond among the aromatic ones: two Kekulé forms with the same are one molecule.
    let mut doubled = vec![false; atoms.len()];
    for (bond, aromatic) in marked.iter_mut().zip(aromatic_bonds(molecule)?) {
        if aromatic {
            let double = bond.2 == AromaticBond::Double;
            doubled[bond.0] |= double;
            doubled[bond.1] |= double;
            bond.2 = AromaticBond::Aromatic;
        }
    }
    loop {
        let found = kekulise(&atoms, &marked);
        if found.complete && found.doubled == doubled {
            return Ok(marked);
        }
        // Atoms that were given a double bond they have not.
        let wrong = |atom: usize| found.doubled[atom] && !doubled[atom];
        let mut changed = false;
        for bond in &mut marked {
            if bond.2 == AromaticBond::Aromatic && (wrong(bond.0) || wrong(bond.1)) {
                bond.2 = AromaticBond::Single;
                changed = true;
            }
        }
        if !changed {
            return Ok(plain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chemistry::Chemistry;
    use crate::chemistry::chematic::Chematic;

    fn levels(smiles: &str) -> Vec<u8> {
        let molecule = Chematic.parse_smiles(smiles).unwrap();
        let mut levels: Vec<u8> =
            BondEncoding::Aromatic.encode(&molecule).unwrap().into_iter().map(|bond| bond.2).collect();
        levels.sort_unstable();
        levels
    }

    #[test]
    fn thresholds_lie_half_way_between_the_levels() {
        use AromaticBond::{Aromatic, Double, Single, Triple};
        let read = |encoding: BondEncoding| {
            [f32::NAN, -1.0, 0.49, 0.5, 1.49, 1.5, 2.49, 2.5, 3.49, 3.5, 9.0]
                .map(|value| encoding.quantise(value))
        };
        let (s, d, t, a) = (Some(Single), Some(Double), Some(Triple), Some(Aromatic));
        assert_eq!(read(BondEncoding::Orders), [None, None, None, s, s, d, d, t, t, t, t]);
        assert_eq!(read(BondEncoding::Aromatic), [None, None, None, s, s, a, a, d, d, t, t]);
        for encoding in [BondEncoding::Orders, BondEncoding::Aromatic] {
            assert!(encoding.quantise((encoding.levels() - 1) as f32).is_some());
        }
    }

    #[test]
    fn rings_are_encoded_alike_whatever_their_kekule_form() {
        assert_eq!(levels("CC1=CC=CC=C1"), [1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(levels("c1ccc2ccccc2c1"), [2; 11]);
        assert_eq!(levels("C1=CC=CC1"), [1, 1, 1, 3, 3], "not aromatic");
        assert_eq!(levels("O=C(C#N)c1ccco1"), [1, 1, 2, 2, 2, 2, 2, 3, 4]);
    }

    #[test]
    fn hydrogens_on_nitrogen_are_encoded_where_they_must_be() {
        // One of the two needs its N-H made plain, the other does not.
        let [one, other] = ["Cc1c[nH]cn1", "Cc1cnc[nH]1"].map(levels);
        let plain = vec![1, 2, 2, 2, 2, 2];
        assert!((one == plain) != (other == plain), "{one:?} {other:?}");
        assert!(one == [1, 1, 1, 2, 2, 2] || other == [1, 1, 1, 2, 2, 2]);
        // A hydrogen that follows from the rest is not.
        assert_eq!(levels("c1cc[nH]c1"), [2; 5]);
        assert_eq!(levels("c1cc[o+]cc1"), [1, 1, 1, 3, 3, 3], "pyrylium: Kekulé bonds");
    }

    #[test]
    fn a_molecule_whose_valences_do_not_fit_is_an_error() {
        use crate::molecule::{Atom, molecule_from};
        let atoms = vec![Atom::neutral(Element::C); 6];
        let crowded = molecule_from(atoms, (1..6).map(|other| (0, other, BondOrder::Single))).unwrap();
        assert!(BondEncoding::Aromatic.encode(&crowded).is_err());
        assert_eq!(BondEncoding::Orders.encode(&crowded).unwrap().len(), 5);
    }
}
