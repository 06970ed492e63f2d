//! Molecules through the encodings of bonds and back, and Kekulé forms of random graphs.

use std::path::Path;

use equidrift_molecule::chemistry::aromatic_bonds::aromatic_bonds;
use equidrift_molecule::chemistry::aromatic_form::AromaticBond;
use equidrift_molecule::{
    BondEncoding, Chematic, Chemistry, Decoded, Element, MolecularGraph, SmilesLines, decode_as, kekulise,
};

use crate::random::Random;
use crate::reference::data_dir;

const VOCABULARY: [Element; 9] = [
    Element::C,
    Element::N,
    Element::O,
    Element::F,
    Element::P,
    Element::S,
    Element::Cl,
    Element::Br,
    Element::I,
];

/// What a model that makes no errors would give back of a molecule: elements and the levels of bonds, no charges.
fn there_and_back(molecule: &MolecularGraph, encoding: BondEncoding) -> Decoded {
    let (nodes, features) = (molecule.node_count(), VOCABULARY.len());
    let (mut x, mut adj) = (vec![0.0; nodes * features], vec![0.0; nodes * nodes]);
    for (node, atom) in molecule.node_weights().enumerate() {
        let class = VOCABULARY.iter().position(|element| *element == atom.element).unwrap();
        x[node * features + class] = 1.0;
    }
    for (a, b, level) in encoding.encode(molecule).unwrap() {
        adj[a * nodes + b] = f32::from(level);
        adj[b * nodes + a] = f32::from(level);
    }
    decode_as(encoding, &x, &adj, &VOCABULARY).unwrap()
}

fn spelt(decoded: &Decoded) -> Option<String> {
    decoded.valid_without_correction.then(|| Chematic.canonical_smiles(&decoded.graph).unwrap())
}

/// Every so many molecules of a file that are in the vocabulary, through both encodings: (molecules, same, those of them that
/// would not come back if all aromatic bonds were encoded as such).
fn compare(path: &Path, step: usize) -> (usize, usize, usize) {
    let (mut all, mut same, mut mended, mut plain) = (0, 0, 0, 0);
    for line in SmilesLines::open(path).unwrap().step_by(step) {
        let molecule = Chematic.parse_smiles(&line.unwrap().smiles).unwrap();
        if molecule.edge_count() == 0 {
            continue;
        }
        all += 1;
        let [orders, aromatic] = [BondEncoding::Orders, BondEncoding::Aromatic]
            .map(|encoding| spelt(&there_and_back(&molecule, encoding)));
        if orders == aromatic {
            same += 1;
        } else {
            println!("{orders:?} comes back as {aromatic:?}");
        }
        let perceived = aromatic_bonds(&molecule).unwrap().into_iter().filter(|aromatic| *aromatic).count();
        let encoded = BondEncoding::Aromatic.encode(&molecule).unwrap();
        let encoded = encoded.iter().filter(|bond| bond.2 == 2).count();
        mended += usize::from(encoded != perceived);
        plain += usize::from(encoded == 0 && perceived > 0);
    }
    let path = path.display();
    println!(
        "{path}: {same} of {all} the same, {mended} with fewer aromatic bonds encoded, {plain} with none"
    );
    (all, same, mended)
}

#[test]
fn molecules_come_back_through_aromatic_bonds_as_through_orders() {
    let Some(folder) = data_dir("molecules") else { return };
    for (name, step, least) in [("zinc250k.smi.gz", 124, 2_000), ("qm9.smi", 30, 4_000)] {
        let (all, same, mended) = compare(&folder.join(name), step);
        assert!(all >= least, "{name}: {all}");
        assert!(same as f64 >= 0.999 * all as f64, "{name}: {same} of {all}");
        assert!((mended as f64) < 0.06 * all as f64, "{name}: {mended} of {all}");
    }
}

/// A random graph of fused rings and chains, mostly aromatic.
fn rings(random: &mut Random) -> (Vec<Element>, Vec<(usize, usize, AromaticBond)>) {
    use AromaticBond::{Aromatic, Double, Single};
    use Element::{C, N, O, S};
    let mut bonds: Vec<(usize, usize, AromaticBond)> = Vec::new();
    let mut count = 0;
    for _ in 0..1 + random.below(3) {
        let size = 4 + random.below(4);
        let bond = |random: &mut Random| [Aromatic, Aromatic, Aromatic, Aromatic, Single][random.below(5)];
        let aromatic = bonds.iter().position(|bond| bond.2 == Aromatic && random.below(3) == 0);
        let (first, second, new) = match aromatic.map(|place| bonds[place]) {
            Some((a, b, _)) => (a, b, size - 2), // fused
            None => (count, count + 1, size - 2),
        };
        if first == count {
            let fresh = bond(random);
            bonds.push((first, second, fresh));
            count += 2;
        }
        let path: Vec<usize> = [first].into_iter().chain(count..count + new).chain([second]).collect();
        count += new;
        for pair in path.windows(2) {
            let level = bond(random);
            bonds.push((pair[0], pair[1], level));
        }
    }
    for _ in 0..random.below(4) {
        let to = random.below(count);
        bonds.push((to, count, [Single, Single, Double, Aromatic][random.below(4)]));
        count += 1;
    }
    let atoms = (0..count).map(|_| [C, C, C, C, C, N, N, O, S][random.below(9)]).collect();
    (atoms, bonds)
}

#[test]
fn the_order_of_atoms_does_not_change_whether_there_is_a_kekule_form() {
    let (mut complete, mut incomplete) = (0, 0);
    for seed in 0..4_000 {
        let random = &mut Random(seed);
        let (atoms, bonds) = rings(random);
        let mut places: Vec<usize> = (0..atoms.len()).collect();
        for place in (1..places.len()).rev() {
            places.swap(place, random.below(place + 1));
        }
        let mut moved_atoms = atoms.clone();
        for (atom, &place) in places.iter().enumerate() {
            moved_atoms[place] = atoms[atom];
        }
        let mut moved: Vec<_> = bonds.iter().map(|&(a, b, bond)| (places[b], places[a], bond)).collect();
        for place in (1..moved.len()).rev() {
            moved.swap(place, random.below(place + 1));
        }
        let (one, other) = (kekulise(&atoms, &bonds), kekulise(&moved_atoms, &moved));
        assert_eq!(one.complete, other.complete, "seed {seed}");
        for element in [Element::C, Element::N] {
            let count = |atoms: &[Element], doubled: &[bool]| {
                atoms.iter().zip(doubled).filter(|(atom, doubled)| **atom == element && **doubled).count()
            };
            let [before, after] = [count(&atoms, &one.doubled), count(&moved_atoms, &other.doubled)];
            assert_eq!(before, after, "seed {seed}, {element}");
        }
        // Which form it is follows from the order of atoms alone.
        let back: Vec<_> = bonds.iter().rev().map(|&(a, b, bond)| (b, a, bond)).collect();
        assert_eq!(kekulise(&atoms, &back).doubled, one.doubled, "seed {seed}");
        *if one.complete { &mut complete } else { &mut incomplete } += 1;
    }
    assert!(complete > 500 && incomplete > 500, "{complete} {incomplete}");
}
