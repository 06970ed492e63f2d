//! Quantitative estimate of drug-likeness (Bickerton, Paolini, Besnard, Muresan & Hopkins, Nature Chem. 4, 90, 2012).

use super::Descriptors;
use crate::smarts::Matcher;
use crate::substructures::SKELETON;

/// An asymmetric double sigmoid and the property's weight (mean weights, QED_w,mo).
struct Desirability {
    a: f64,
    b: f64,
    c: f64,
    d: f64,
    e: f64,
    f: f64,
    largest: f64,
    weight: f64,
}

impl Desirability {
    const fn new([a, b, c, d, e, f, largest]: [f64; 7], weight: f64) -> Self {
        Self { a, b, c, d, e, f, largest, weight }
    }

    fn of(&self, x: f64) -> f64 {
        let rise = 1.0 + (-(x - self.c + self.d / 2.0) / self.e).exp();
        let fall = 1.0 + (-(x - self.c - self.d / 2.0) / self.f).exp();
        (self.a + self.b / rise * (1.0 - 1.0 / fall)) / self.largest
    }
}

/// Molecular weight, log P, acceptors, donors, polar surface, rotatable bonds, aromatic rings, alerts (table S1).
const DESIRABILITIES: [Desirability; 8] = [
    Desirability::new(
        [2.817065973, 392.5754953, 290.7489764, 2.419764353, 49.22325677, 65.37051707, 104.9805561],
        0.66,
    ),
    Desirability::new(
        [3.172690585, 137.8624751, 2.534937431, 4.581497897, 0.822739154, 0.576295591, 131.3186604],
        0.46,
    ),
    Desirability::new(
        [2.948620388, 160.4605972, 3.615294657, 4.435986202, 0.290141953, 1.300669958, 148.7763046],
        0.05,
    ),
    Desirability::new(
        [1.618662227, 1010.051101, 0.985094388, 0.000000001, 0.713820843, 0.920922555, 258.1632616],
        0.61,
    ),
    Desirability::new(
        [1.876861559, 125.2232657, 62.90773554, 87.83366614, 12.01999824, 28.51324732, 104.5686167],
        0.06,
    ),
    Desirability::new(
        [0.010000000, 272.4121427, 2.558379970, 1.565547684, 1.271567166, 2.758063707, 105.4420403],
        0.65,
    ),
    Desirability::new(
        [3.217788970, 957.7374108, 2.274627939, 0.000000001, 1.317690384, 0.375760881, 312.3372610],
        0.48,
    ),
    Desirability::new(
        [0.010000000, 1199.094025, -0.09002883, 0.000000001, 0.185904477, 0.875193782, 417.7253140],
        0.95,
    ),
];

/// The estimate in 0..=1 (RDKit's `QED.qed`): the weighted geometric mean of eight desirabilities. `matcher` holds the
/// molecule with its hydrogens as counts, `known` the descriptors it is made of.
pub(super) fn drug_likeness(matcher: &mut Matcher<'_>, known: &Descriptors) -> f64 {
    let patterns = &*SKELETON;
    let acceptors: usize = patterns.qed_acceptors.iter().map(|pattern| matcher.count(*pattern)).sum();
    let alerts = patterns.qed_alerts.iter().filter(|pattern| matcher.has(**pattern)).count();
    let properties = [
        known.molecular_weight,
        known.log_p,
        acceptors as f64,
        f64::from(known.donors),
        known.polar_surface_area,
        f64::from(known.rotatable_bonds),
        rings_without_aliphatic_atoms(matcher) as f64,
        alerts as f64,
    ];
    let (mut sum, mut weights) = (0.0, 0.0);
    for (desirability, property) in DESIRABILITIES.iter().zip(properties) {
        sum += desirability.weight * desirability.of(property).ln();
        weights += desirability.weight;
    }
    (sum / weights).exp()
}

/// Rings that are left when aliphatic ring atoms next to an atom that is not aromatic are taken away: the estimate's own
/// count of aromatic rings, more than theirs where an aliphatic atom sits between two of them.
fn rings_without_aliphatic_atoms(matcher: &mut Matcher<'_>) -> usize {
    let molecule = matcher.molecule();
    if molecule.rings().is_empty() {
        return 0;
    }
    let kept: Vec<bool> = (0..molecule.atoms().len() as u16)
        .map(|atom| !matcher.begins_at(SKELETON.aliphatic_ring_atom, atom))
        .collect();
    let bonds = molecule.bonds().iter().filter(|bond| bond.ends.iter().all(|end| kept[usize::from(*end)]));
    let bonds: Vec<[u16; 2]> = bonds.map(|bond| bond.ends).collect();
    // Bonds that join pieces are those of a tree; each other one closes a ring.
    let mut pieces: Vec<u16> = (0..molecule.atoms().len() as u16).collect();
    let mut rings = 0;
    for [first, second] in bonds {
        let (one, other) = (pieces[usize::from(first)], pieces[usize::from(second)]);
        if one == other {
            rings += 1;
        } else {
            pieces.iter_mut().filter(|piece| **piece == other).for_each(|piece| *piece = one);
        }
    }
    rings
}
