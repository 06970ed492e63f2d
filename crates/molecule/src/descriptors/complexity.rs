//! The complexity index C_T of Bertz (J. Am. Chem. Soc. 103, 3599, 1981): the information content of pairs of bonds and of
//! the elements.

use std::collections::HashMap;

use crate::perceived::PerceivedMolecule;

/// A distance to another piece of the molecule (RDKit's).
const APART: f64 = 1e8;
/// Atoms are told apart by so many of their distances.
const CUTOFF: usize = 100;

/// The index as RDKit computes it (`BertzCT` 2.0.0): atoms are of one class if their sorted distances to all others are equal
/// to four decimals, bonds being 1 / order long (1 / 1.5 in aromatic rings). Cost: the cube of the number of atoms.
#[must_use]
pub fn bertz_complexity(molecule: &PerceivedMolecule) -> f64 {
    let atoms = molecule.atoms().len();
    if atoms < 2 {
        return 0.0;
    }
    let classes = classes(molecule);
    // Pairs of bonds at an atom, by the classes of the three atoms; multiple bonds as pairs with themselves.
    let mut pairs: HashMap<(u32, u32, u32), f64> = HashMap::new();
    for atom in 0..atoms {
        let centre = classes[atom];
        let neighbours = molecule.neighbours(atom as u16);
        for (place, (first, bond)) in neighbours.iter().enumerate() {
            let order = molecule.bonds()[usize::from(*bond)].order.value();
            let class = classes[usize::from(*first)];
            if order > 1.0 && usize::from(*first) > atom {
                let key = (centre.min(class), u32::MAX, centre.max(class));
                *pairs.entry(key).or_default() += order * (order - 1.0) / 2.0;
            }
            for (second, other_bond) in &neighbours[place + 1..] {
                let other_order = molecule.bonds()[usize::from(*other_bond)].order.value();
                let other = classes[usize::from(*second)];
                *pairs.entry((class.min(other), centre, class.max(other))).or_default() +=
                    order * other_order;
            }
        }
    }
    let mut elements = [0.0; 256];
    molecule.atoms().iter().for_each(|atom| elements[usize::from(atom.number)] += 1.0);
    // Sorted, because the order in which a hash map gives its values differs from run to run, and so would the last digit.
    let mut connections: Vec<f64> = pairs.into_values().collect();
    connections.sort_unstable_by(f64::total_cmp);
    if connections.is_empty() {
        connections.push(1.0);
    }
    let total: f64 = connections.iter().sum();
    total * (entropy(&connections) + total.log2()) + atoms as f64 * entropy(&elements)
}

/// Entropy of a distribution given by counts, in bits.
fn entropy(counts: &[f64]) -> f64 {
    let total: f64 = counts.iter().sum();
    -counts
        .iter()
        .filter(|count| **count > 0.0)
        .map(|count| count / total * (count / total).log2())
        .sum::<f64>()
}

/// A class for each atom.
fn classes(molecule: &PerceivedMolecule) -> Vec<u32> {
    let distances = distances(molecule);
    let atoms = molecule.atoms().len();
    let mut known: HashMap<Vec<u64>, u32> = HashMap::new();
    let mut classes = Vec::with_capacity(atoms);
    for row in distances.chunks_exact(atoms) {
        let mut row = row.to_vec();
        row.sort_unstable_by(f64::total_cmp);
        row.truncate(CUTOFF);
        let key = row.iter().map(|distance| (distance * 1e4).round() as u64).collect();
        let next = known.len() as u32;
        classes.push(*known.entry(key).or_insert(next));
    }
    classes
}

/// Lengths of shortest paths between all atoms, `[atoms][atoms]`, by the algorithm of Floyd and Warshall.
fn distances(molecule: &PerceivedMolecule) -> Vec<f64> {
    let atoms = molecule.atoms().len();
    let mut distances = vec![APART; atoms * atoms];
    for atom in 0..atoms {
        distances[atom * atoms + atom] = 0.0;
    }
    for bond in molecule.bonds() {
        let [a, b] = bond.ends.map(usize::from);
        let length = 1.0 / bond.order.value();
        distances[a * atoms + b] = length;
        distances[b * atoms + a] = length;
    }
    let mut through = vec![0.0; atoms];
    for middle in 0..atoms {
        through.copy_from_slice(&distances[middle * atoms..(middle + 1) * atoms]);
        for row in distances.chunks_exact_mut(atoms) {
            let to_middle = row[middle];
            if to_middle >= APART {
                continue;
            }
            row.iter_mut().zip(&through).for_each(|(known, rest)| *known = known.min(to_middle + rest));
        }
    }
    distances
}
