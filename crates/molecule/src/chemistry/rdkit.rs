//! The back end of feature `rdkit`: the RDKit library of the system, through `equidrift-rdkit`.
//!
//! It answers as the embedded back end does, up to what differs between releases of RDKit: the embedded one follows
//! RDKit 2026, while a distribution may ship an older one with other rules of valence. RDKit 2022.09 (Debian 12) lets
//! neutral phosphorus have six or seven bonds, where 2026.09 stops at five, and has other limits for metals and for
//! charged atoms except the ones that decoding makes (nitrogen and oxygen +1), which are counted alike.
//!
//! Strings pass the same syntax check as in the embedded back end before RDKit reads them: what is SMILES does not
//! depend on the back end, and neither are the limits on its size.

use equidrift_rdkit::{Bond as RdkitBond, Graph, Molecule, RdkitError};

use super::{Chemistry, Problem, ProblemKind, Verdict, smiles_syntax};
use crate::element::Element;
use crate::error::MoleculeError;
use crate::molecule::{Atom, BondOrder, MolecularGraph, bonds, molecule_from};

const NAME: &str = "rdkit";

/// The back end; it has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rdkit;

impl Chemistry for Rdkit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn verdict(&self, molecule: &MolecularGraph) -> Verdict {
        let problems = match to_rdkit(molecule).verdict() {
            Ok(verdict) => verdict.problems.into_iter().map(problem_from).collect(),
            Err(error) => {
                vec![Problem { kind: ProblemKind::Other, atoms: Vec::new(), message: error.to_string() }]
            }
        };
        Verdict::new(problems)
    }

    fn canonical_smiles(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError> {
        let task = "write canonical SMILES of";
        answer(task, || accepted(molecule)?.canonical_smiles())
    }

    fn kekule_smiles(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError> {
        answer("write Kekulé SMILES of", || to_rdkit(molecule).kekule_smiles())
    }

    fn parse_smiles(&self, smiles: &str) -> Result<MolecularGraph, MoleculeError> {
        let graph = read(smiles)?.kekulised().map_err(|error| unreadable(smiles, error))?;
        from_rdkit(&graph).map_err(|reason| unreadable(smiles, reason))
    }

    fn canonicalise(&self, smiles: &str) -> Result<String, MoleculeError> {
        read(smiles)?.canonical_smiles().map_err(|error| unreadable(smiles, error))
    }

    fn murcko_scaffold(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError> {
        answer("find the scaffold of", || accepted(molecule)?.murcko_scaffold()?.canonical_smiles())
    }

    fn qed(&self, molecule: &MolecularGraph) -> Result<f64, MoleculeError> {
        answer("estimate the drug-likeness of", || accepted(molecule)?.qed())
    }
}

/// The sanitised molecule of a graph without problems; hydrogens that are atoms of the graph are folded into their
/// neighbours.
fn accepted(molecule: &MolecularGraph) -> Result<Molecule, RdkitError> {
    Molecule::from_graph(&to_rdkit(molecule))?.without_hydrogen_atoms()
}

fn answer<T>(task: &'static str, ask: impl FnOnce() -> Result<T, RdkitError>) -> Result<T, MoleculeError> {
    ask().map_err(|error| MoleculeError::Chemistry { backend: NAME, task, reason: error.to_string() })
}

fn read(smiles: &str) -> Result<Molecule, MoleculeError> {
    smiles_syntax::check(smiles).map_err(|fault| super::unreadable(smiles, fault.kind, fault.reason))?;
    Molecule::from_smiles(smiles).map_err(|error| unreadable(smiles, error))
}

/// RDKit's reader does not say which rule a string breaks; its words do.
fn kind_of_refusal(words: &str) -> ProblemKind {
    let holds = |part: &str| words.to_lowercase().contains(part);
    match () {
        () if holds("valence") => ProblemKind::Valence,
        () if holds("non-ring atom") => ProblemKind::Aromaticity,
        () if holds("kekulize") => ProblemKind::Kekulisation,
        () if holds("syntax") => ProblemKind::Syntax,
        () => ProblemKind::Other,
    }
}

fn unreadable(smiles: &str, error: impl ToString) -> MoleculeError {
    let words = error.to_string();
    super::unreadable(smiles, kind_of_refusal(&words), words)
}

fn problem_from(problem: equidrift_rdkit::Problem) -> Problem {
    use equidrift_rdkit::ProblemKind as Found;
    Problem {
        kind: match problem.kind {
            Found::Valence => ProblemKind::Valence,
            Found::Kekulisation => ProblemKind::Kekulisation,
            Found::Aromaticity => ProblemKind::Aromaticity,
            _ => ProblemKind::Other,
        },
        atoms: problem.atoms.into_iter().map(|atom| atom as usize).collect(),
        message: problem.message,
    }
}

fn to_rdkit(molecule: &MolecularGraph) -> Graph {
    use equidrift_rdkit::BondOrder as Order;
    Graph {
        atoms: molecule
            .node_weights()
            .map(|atom| equidrift_rdkit::Atom {
                atomic_number: atom.element.atomic_number(),
                charge: atom.charge,
                // A hydrogen alone is an atom, as `[H]` is in SMILES; implicit hydrogens would make it dihydrogen.
                hydrogens: (atom.element == Element::H).then_some(0),
            })
            .collect(),
        bonds: bonds(molecule)
            .map(|(begin, end, order)| RdkitBond {
                // Node numbers of a petgraph graph are u32.
                begin: begin as u32,
                end: end as u32,
                order: match order {
                    BondOrder::Single => Order::Single,
                    BondOrder::Double => Order::Double,
                    BondOrder::Triple => Order::Triple,
                },
            })
            .collect(),
    }
}

fn from_rdkit(graph: &Graph) -> Result<MolecularGraph, String> {
    let atoms = graph
        .atoms
        .iter()
        .map(|atom| {
            let element = Element::from_atomic_number(atom.atomic_number);
            let element = element.ok_or_else(|| format!("{} is no atomic number", atom.atomic_number))?;
            Ok(Atom { element, charge: atom.charge })
        })
        .collect::<Result<Vec<_>, String>>()?;
    let list = graph
        .bonds
        .iter()
        .map(|bond| {
            let order = BondOrder::from_number(bond.order as u8).ok_or("an aromatic bond is left")?;
            Ok((bond.begin as usize, bond.end as usize, order))
        })
        .collect::<Result<Vec<_>, &str>>()?;
    molecule_from(atoms, list).map_err(|error| error.to_string())
}
