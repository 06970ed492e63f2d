//! The two chemistry back ends, `Chematic` and `Rdkit`, asked the same questions (feature `rdkit`).
//!
//! Canonical SMILES are compared as molecules: an older RDKit spells some of them otherwise. Two strings are the same
//! molecule if *both* back ends say so, each by its own canonical form.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use equidrift_molecule::fragments::keep_longest;
use equidrift_molecule::valence::ValenceSums;
use equidrift_molecule::{
    Atom, BondOrder, Chematic, Chemistry, Element, MolecularGraph, ProblemKind, Rdkit, SmilesLines, Verdict,
    bonds, decode, molecule_from, repair,
};
use safetensors::SafeTensors;

use crate::decodings::{compare, f32s, vocabulary};
use crate::random::{self, Random};
use crate::reference::{data_dir, files, reference_dir};

/// Molecules of the corpus that are parsed, and of which scaffold and drug-likeness are compared.
const PARSED: usize = 3_000;
const DESCRIBED: usize = 1_000;
/// Random graphs.
const GRAPHS: usize = 3_000;

/// Whether two SMILES are one molecule, for both back ends.
fn same_molecule(left: &str, right: &str) -> bool {
    left == right
        || [&Chematic as &dyn Chemistry, &Rdkit]
            .iter()
            .all(|chemistry| chemistry.canonicalise(left).unwrap() == chemistry.canonicalise(right).unwrap())
}

/// What a verdict says about the atoms that are not disputed, without the wording and the order.
fn findings(verdict: &Verdict, disputed: &[usize]) -> Vec<(ProblemKind, Vec<usize>)> {
    let mut found: Vec<_> = verdict
        .problems
        .iter()
        .filter(|problem| !problem.atoms.iter().any(|atom| disputed.contains(atom)))
        .map(|problem| (problem.kind, problem.atoms.clone()))
        .collect();
    found.sort_by_key(|(_, atoms)| atoms.clone());
    found
}

/// An atom as the valence rules see it: element, charge, sum of bond orders.
type Valence = (Element, i8, u32);

/// The two back ends side by side.
#[derive(Default)]
struct Comparison {
    /// Whether both judge an atom alike that stands alone with this many single bonds. Rules of valence have changed
    /// between releases of RDKit (2022.09 lets neutral phosphorus have seven bonds, 2026.09 five), and the embedded
    /// back end follows 2026.09.
    agreed: HashMap<Valence, bool>,
    disputed: BTreeSet<(Element, i8)>,
    graphs: usize,
    graphs_with_disputed_atoms: usize,
    valid: usize,
    spelt_alike: usize,
}

impl Comparison {
    fn agreed(&mut self, valence: Valence) -> bool {
        let (element, charge, sum) = valence;
        *self.agreed.entry(valence).or_insert_with(|| {
            let centre = std::iter::once(Atom { element, charge });
            let atoms = centre.chain((0..sum).map(|_| Atom::neutral(Element::F)));
            let star =
                molecule_from(atoms, (0..sum as usize).map(|end| (0, end + 1, BondOrder::Single))).unwrap();
            Chematic.verdict(&star).valid == Rdkit.verdict(&star).valid
        })
    }

    /// The verdicts on one graph, and that it has SMILES exactly if it is valid. Returns the canonical SMILES of both
    /// if both call it valid by the same rules.
    fn judge(&mut self, graph: &MolecularGraph, name: &str) -> Option<(String, String)> {
        self.graphs += 1;
        let sums = ValenceSums::of(graph);
        let mut disputed = Vec::new();
        for (index, atom) in graph.node_weights().enumerate() {
            if !self.agreed((atom.element, atom.charge, sums.of_atom(index))) {
                disputed.push(index);
                self.disputed.insert((atom.element, atom.charge));
            }
        }
        let (ours, theirs) = (Chematic.verdict(graph), Rdkit.verdict(graph));
        assert_eq!(findings(&ours, &disputed), findings(&theirs, &disputed), "{name}: {ours:?} {theirs:?}");
        let (left, right) = (Chematic.canonical_smiles(graph), Rdkit.canonical_smiles(graph));
        assert_eq!((left.is_ok(), right.is_ok()), (ours.valid, theirs.valid), "{name}: {left:?} {right:?}");
        assert_eq!(Rdkit.kekule_smiles(graph).is_ok(), theirs.valid, "{name}");
        if !disputed.is_empty() {
            self.graphs_with_disputed_atoms += 1;
            return None;
        }
        let both = left.ok().zip(right.ok())?;
        self.valid += 1;
        self.spelt_alike += usize::from(both.0 == both.1);
        Some(both)
    }

    /// All questions about one graph, valid or not. Returns whether both call it valid.
    fn ask(&mut self, graph: &MolecularGraph, name: &str) -> bool {
        let Some((left, right)) = self.judge(graph, name) else { return false };
        assert!(same_molecule(&left, &right), "{name}: {left} {right}");
        let kept = |chemistry: &dyn Chemistry| keep_longest(graph.clone(), chemistry).unwrap();
        let (left, right) = (kept(&Chematic), kept(&Rdkit));
        assert_eq!(left.fragments, right.fragments, "{name}");
        assert!(same_molecule(&left.smiles, &right.smiles), "{name}: {} {}", left.smiles, right.smiles);
        true
    }

    /// Only phosphorus may be disputed among what decoding gives: all releases agree on the rest.
    fn assert_only_phosphorus_is_disputed(&self) {
        assert!(self.disputed.iter().all(|(element, _)| *element == Element::P), "{:?}", self.disputed);
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} graphs, {} valid, of these {} spelt alike; {} with valences that this RDKit judges by other rules {:?}",
            self.graphs, self.valid, self.spelt_alike, self.graphs_with_disputed_atoms, self.disputed
        )
    }
}

/// Rows of the MOSES test sets, spread evenly.
fn corpus(rows: usize) -> Vec<String> {
    let Some(folder) = data_dir("molecules") else { return Vec::new() };
    let sets: Vec<PathBuf> = files(&folder, "moses_test", ".smi.gz");
    let path = sets.first().expect("no MOSES test set");
    let all: Vec<String> = SmilesLines::open(path).unwrap().map(|line| line.unwrap().smiles).collect();
    assert!(all.len() >= rows);
    let step = all.len() / rows;
    all.into_iter().step_by(step).take(rows).collect()
}

#[test]
fn rdkit_reproduces_every_field_of_the_reference_decodings() {
    let Some(folder) = reference_dir("gdss") else { return };
    let found = files(&folder, "decode.", ".safetensors");
    assert!(!found.is_empty());
    for path in found {
        let (samples, other_spelling) = compare(&path, &Rdkit);
        println!("{}: {samples} samples, {other_spelling} SMILES spelt otherwise", path.display());
    }
}

#[test]
fn both_answer_alike_on_the_reference_samples() {
    let Some(folder) = reference_dir("gdss") else { return };
    for path in files(&folder, "decode.", ".safetensors") {
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let (shape, x) = f32s(&file, "x");
        let (_, adj) = f32s(&file, "adj");
        let [samples, nodes, features] = shape[..] else { panic!("x has shape {shape:?}") };
        let mut comparison = Comparison::default();
        for sample in 0..samples {
            let x = &x[sample * nodes * features..(sample + 1) * nodes * features];
            let adj = &adj[sample * nodes * nodes..(sample + 1) * nodes * nodes];
            let graph = decode(x, adj, vocabulary(features)).unwrap().graph;
            comparison.ask(&graph, &format!("sample {sample}"));
            assert!(comparison.ask(&repair(&graph), &format!("sample {sample}, repaired")));
        }
        comparison.assert_only_phosphorus_is_disputed();
        println!("{}: {comparison}", path.display());
    }
}

#[test]
fn both_read_a_corpus_alike() {
    let mut comparison = Comparison::default();
    let (mut same_bonds, mut total) = (0, 0);
    for smiles in corpus(PARSED) {
        let (left, right) = (Chematic.parse_smiles(&smiles).unwrap(), Rdkit.parse_smiles(&smiles).unwrap());
        let atoms = |graph: &MolecularGraph| graph.node_weights().copied().collect::<Vec<_>>();
        assert_eq!(atoms(&left), atoms(&right), "{smiles}");
        let list = |graph: &MolecularGraph| {
            let mut list: Vec<_> = bonds(graph).map(|(a, b, order)| (a.min(b), a.max(b), order)).collect();
            list.sort_unstable();
            list
        };
        let (left_bonds, right_bonds) = (list(&left), list(&right));
        let ends = |list: &[(usize, usize, _)]| list.iter().map(|&(a, b, _)| (a, b)).collect::<Vec<_>>();
        assert_eq!(ends(&left_bonds), ends(&right_bonds), "{smiles}");
        same_bonds += usize::from(left_bonds == right_bonds);
        // The graph that one made, spelt by both; and the other's.
        for graph in [&left, &right] {
            assert!(comparison.ask(graph, &smiles), "{smiles}");
        }
        let (left, right) = (Chematic.canonicalise(&smiles).unwrap(), Rdkit.canonicalise(&smiles).unwrap());
        assert!(same_molecule(&left, &right), "{smiles}: {left} {right}");
        total += 1;
    }
    println!("{total} molecules, {same_bonds} with the same double bonds; {comparison}");
}

#[test]
fn both_find_the_same_scaffolds_and_drug_likeness() {
    let mut worst = 0.0_f64;
    let mut alike = 0;
    let molecules = corpus(DESCRIBED);
    for smiles in &molecules {
        let graph = Chematic.parse_smiles(smiles).unwrap();
        let (left, right) = (Chematic.qed(&graph).unwrap(), Rdkit.qed(&graph).unwrap());
        assert!((left - right).abs() <= 1e-6, "{smiles}: QED {left} {right}");
        worst = worst.max((left - right).abs());
        let (left, right) =
            (Chematic.murcko_scaffold(&graph).unwrap(), Rdkit.murcko_scaffold(&graph).unwrap());
        assert_eq!(left.is_empty(), right.is_empty(), "{smiles}");
        assert!(left.is_empty() || same_molecule(&left, &right), "{smiles}: {left} {right}");
        alike += usize::from(left == right);
    }
    println!("{} molecules: QED off by {worst:e} at most, {alike} scaffolds spelt alike", molecules.len());
}

#[test]
fn both_judge_what_a_sampler_emits_alike() {
    use Element::{Br, C, Cl, F, I, N, O, P, S};
    let zinc = [C, N, O, F, P, S, Cl, Br, I];
    let mut random = Random(2024);
    let mut comparison = Comparison::default();
    let mut valid = 0;
    for index in 0..GRAPHS {
        // One in three of the size of QM9, the others up to 20 atoms; atoms mostly carbon, as in the data.
        let nodes = if index % 3 == 0 { 9 } else { 5 + random.below(16) };
        let mut x = vec![0.0_f32; nodes * zinc.len()];
        for row in x.chunks_exact_mut(zinc.len()) {
            let class = if random.below(2) == 0 { 0 } else { random.below(zinc.len()) };
            row[class] = 1.0;
        }
        // A random tree, so that most atoms hang together, and a few further bonds that close rings.
        let mut adj = vec![0.0_f32; nodes * nodes];
        let mut bond = |i: usize, j: usize, order: f32| {
            adj[i * nodes + j] = order;
            adj[j * nodes + i] = order;
        };
        for i in 1..nodes {
            bond(i, random.below(i), [1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 0.0][random.below(9)]);
        }
        for _ in 0..random.below(4) {
            let (i, j) = (random.below(nodes), random.below(nodes));
            if i != j {
                bond(i, j, [1.0, 2.0][random.below(2)]);
            }
        }
        let graph = decode(&x, &adj, &zinc).unwrap().graph;
        valid += usize::from(comparison.ask(&graph, &format!("graph {index}")));
        assert!(comparison.ask(&repair(&graph), &format!("graph {index}, repaired")));
    }
    comparison.assert_only_phosphorus_is_disputed();
    println!("{GRAPHS} graphs, {valid} valid before repair; {comparison}");
    assert!(valid > GRAPHS / 20 && valid < GRAPHS, "the graphs test one verdict only");
}

#[test]
fn both_judge_arbitrary_graphs_alike_up_to_the_valence_rules_of_the_release() {
    let mut random = Random(7);
    let mut comparison = Comparison::default();
    for index in 0..GRAPHS {
        // Verdicts only: RDKit 2026 writes bonds to metals as dative ones, which no older release does.
        comparison.judge(&random::molecule(&mut random), &format!("graph {index}"));
    }
    println!("{comparison}");
}
