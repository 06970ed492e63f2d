//! The embedded back end: the pure-Rust library `chematic` 1.2.1, on its port of RDKit's sanitisation and canonical
//! SMILES, so that strings are those of RDKit 2026.
//!
//! The library's own SMILES parser lets through some malformed strings; [`super::smiles_syntax`] refuses them first.
//! A molecular graph becomes a library molecule without explicit hydrogen counts, so implicit hydrogens follow from
//! valence and charge; hydrogens that are atoms of the graph are folded into their neighbour, as RDKit does when it
//! reads a string.
//!
//! RDKit's ring finder changes to an approximation for some very ringed molecules (about one in 500 random graphs of 38
//! atoms with four bonds each; no drug), which the port has not. Those are spelt by the library's own canonical form of
//! the Kekulé graph: as unique and as readable as the other, but another string than RDKit's. Scaffold, drawing and
//! drug-likeness of such a molecule are errors.

use chematic::core::{
    Atom as LibraryAtom, AtomIdx, BondOrder as LibraryBond, Element as LibraryElement, Molecule,
    MoleculeBuilder, apply_kekule, kekulize,
};
use chematic::smiles::{
    CanonicalizationLimits, RdkitMolBlock, RdkitSmilesError, RdkitSmilesParams, SmilesError,
    canonical_smiles_with_limits, parse, rdkit_2d_coords, rdkit_canonical_smiles,
    rdkit_detect_chemistry_problems, rdkit_mol_block, rdkit_murcko_scaffold, rdkit_smiles,
};

use super::{Chemistry, Problem, ProblemKind, Verdict, smiles_syntax, unreadable, valence_problems};
use crate::element::Element;
use crate::error::MoleculeError;
use crate::molecule::{Atom, BondOrder, MolecularGraph, bonds, molecule_from};

const NAME: &str = "chematic";

/// The most work the library's own canonical form may take; real molecules need a few dozen steps, and a search that gets
/// here would run for minutes.
const SEARCH_LIMITS: CanonicalizationLimits =
    CanonicalizationLimits { max_search_nodes: Some(100_000), max_automorphism_tests: Some(100_000) };

/// The back end; it has no state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chematic;

impl Chemistry for Chematic {
    fn name(&self) -> &'static str {
        NAME
    }

    fn verdict(&self, molecule: &MolecularGraph) -> Verdict {
        let mut problems = valence_problems(molecule);
        match to_library(molecule).map(|library| rdkit_detect_chemistry_problems(&library)) {
            Ok(Ok(found)) => {
                for problem in found {
                    let problem = Problem {
                        kind: kind_of(&problem.kind),
                        atoms: problem.atoms,
                        message: problem.message,
                    };
                    // The table's faults come first; the library reports most of them again.
                    if !problems
                        .iter()
                        .any(|known| known.kind == problem.kind && known.atoms == problem.atoms)
                    {
                        problems.push(problem);
                    }
                }
            }
            Ok(Err(error)) => problems.push(other(error.to_string())),
            Err(error) => problems.push(other(error.to_string())),
        }
        Verdict::new(problems)
    }

    fn canonical_smiles(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError> {
        let task = "write canonical SMILES of";
        self.answer(molecule, task, |library| spelt(library, &RdkitSmilesParams::default()))
    }

    fn kekule_smiles(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError> {
        let params = RdkitSmilesParams { kekule: true, ..RdkitSmilesParams::default() };
        let task = "write Kekulé SMILES of";
        self.answer(molecule, task, |library| spelt(library, &params))
    }

    fn parse_smiles(&self, smiles: &str) -> Result<MolecularGraph, MoleculeError> {
        let library = read(smiles)?;
        let graph = match rdkit_mol_block(&library) {
            Ok(block) => from_block(&block),
            Err(RdkitSmilesError::Unsupported(_)) => from_library(&library),
            Err(error) => Err(error.to_string()),
        };
        graph.map_err(|reason| unreadable(smiles, kind_of_refusal(&library), reason))
    }

    fn canonicalise(&self, smiles: &str) -> Result<String, MoleculeError> {
        let library = read(smiles)?;
        match rdkit_canonical_smiles(&library) {
            Ok(canonical) => Ok(canonical),
            Err(RdkitSmilesError::Unsupported(_)) => self.canonical_smiles(&self.parse_smiles(smiles)?),
            Err(error) => Err(unreadable(smiles, kind_of_refusal(&library), error)),
        }
    }

    fn murcko_scaffold(&self, molecule: &MolecularGraph) -> Result<String, MoleculeError> {
        let task = "find the scaffold of";
        self.answer(molecule, task, |library| {
            rdkit_murcko_scaffold(library).map_err(|error| error.to_string())
        })
    }

    fn qed(&self, molecule: &MolecularGraph) -> Result<f64, MoleculeError> {
        let library = accepted(molecule, "estimate the drug-likeness of")?;
        // The estimate itself cannot fail, so a molecule the library would refuse has to be found out first.
        rdkit_canonical_smiles(&library).map_err(|error| refused("estimate the drug-likeness of", error))?;
        Ok(chematic::chem::qed(&library))
    }
}

impl Chematic {
    /// Coordinates in the plane, Å, one pair per atom of the graph (bonds are 1.5 long): RDKit's depiction.
    ///
    /// # Errors
    /// As [`Chemistry::canonical_smiles`]; also for a molecule with hydrogen atoms in the graph, which the depiction
    /// leaves out.
    pub fn layout(&self, molecule: &MolecularGraph) -> Result<Vec<[f64; 2]>, MoleculeError> {
        let task = "lay out";
        if molecule.node_count() == 0 {
            return Ok(Vec::new());
        }
        let library = accepted(molecule, task)?;
        let coordinates = rdkit_2d_coords(&library).map_err(|error| refused(task, error))?;
        if coordinates.len() != molecule.node_count() {
            return Err(refused(task, "it has explicit hydrogen atoms"));
        }
        Ok(coordinates)
    }

    fn answer(
        self,
        molecule: &MolecularGraph,
        task: &'static str,
        ask: impl FnOnce(&Molecule) -> Result<String, String>,
    ) -> Result<String, MoleculeError> {
        if molecule.node_count() == 0 {
            return Ok(String::new());
        }
        ask(&accepted(molecule, task)?).map_err(|reason| refused(task, reason))
    }
}

/// The library's molecule of a graph whose valences fit. The check is ours, because the library's clean-up would turn a
/// five-valent nitrogen into a nitro group and call it well.
pub(super) fn accepted(molecule: &MolecularGraph, task: &'static str) -> Result<Molecule, MoleculeError> {
    match valence_problems(molecule).into_iter().next() {
        Some(problem) => Err(refused(task, problem.message)),
        None => to_library(molecule),
    }
}

fn to_library(molecule: &MolecularGraph) -> Result<Molecule, MoleculeError> {
    let mut builder = MoleculeBuilder::with_capacity(molecule.node_count(), molecule.edge_count());
    for atom in molecule.node_weights() {
        let number = atom.element.atomic_number();
        let element = LibraryElement::from_atomic_number(number)
            .ok_or_else(|| refused("represent", format!("it does not know element {number}")))?;
        let mut library_atom = LibraryAtom::new(element);
        library_atom.charge = atom.charge;
        if atom.element == Element::H {
            // The mark of a hydrogen that was read from a string; without it, it would stay an atom of its own.
            library_atom.hydrogen_count = Some(0);
        }
        builder.add_atom(library_atom);
    }
    for (first, second, order) in bonds(molecule) {
        let order = match order {
            BondOrder::Single => LibraryBond::Single,
            BondOrder::Double => LibraryBond::Double,
            BondOrder::Triple => LibraryBond::Triple,
        };
        if first == second {
            return Err(refused("represent", format!("atom {first} is bonded to itself")));
        }
        // Node numbers of a petgraph graph are u32.
        let (first, second) = (AtomIdx(first as u32), AtomIdx(second as u32));
        builder.add_bond(first, second, order).map_err(|error| refused("represent", format!("{error:?}")))?;
    }
    Ok(builder.build())
}

fn read(smiles: &str) -> Result<Molecule, MoleculeError> {
    smiles_syntax::check(smiles).map_err(|fault| unreadable(smiles, fault.kind, fault.reason))?;
    parse(smiles).map_err(|error| {
        let kind = match error {
            SmilesError::InvalidValence { .. } => ProblemKind::Valence,
            SmilesError::ResourceLimit { .. } | SmilesError::NestingTooDeep { .. } => ProblemKind::Size,
            _ => ProblemKind::Syntax,
        };
        unreadable(smiles, kind, error)
    })
}

/// Which rule a molecule breaks that the library would not spell. Asked only then, so it may cost a second look.
fn kind_of_refusal(library: &Molecule) -> ProblemKind {
    let found = rdkit_detect_chemistry_problems(library);
    found.ok().and_then(|found| found.first().map(|first| kind_of(&first.kind))).unwrap_or(ProblemKind::Other)
}

/// SMILES of a Kekulé molecule: RDKit's where its port can, else the library's own.
fn spelt(library: &Molecule, params: &RdkitSmilesParams) -> Result<String, String> {
    match rdkit_smiles(library, params) {
        Ok(smiles) => Ok(smiles),
        Err(RdkitSmilesError::Unsupported(_)) => {
            let own =
                canonical_smiles_with_limits(library, &SEARCH_LIMITS).map_err(|error| error.to_string())?;
            // Whether the ring finder gives up can depend on the order of atoms. The canonical order is one for all
            // ways in which this molecule may come, so it decides.
            let again = parse(&own).ok().and_then(|ordered| rdkit_smiles(&ordered, params).ok());
            Ok(again.unwrap_or(own))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A molecule that was read, without RDKit's sanitisation: kekulised, hydrogens with one neighbour folded in.
fn from_library(library: &Molecule) -> Result<MolecularGraph, String> {
    let graph = graph_of(library, true)?;
    match valence_problems(&graph).into_iter().next() {
        Some(problem) => Err(problem.message),
        None => Ok(graph),
    }
}

/// The atoms that a SMILES writes as atoms, hydrogens among them, and their bonds; valences are not checked, and no hydrogen is
/// added. `None` for what is no SMILES, has no Kekulé form or another kind of bond.
pub(crate) fn written_atoms(smiles: &str) -> Option<MolecularGraph> {
    smiles_syntax::check(smiles).ok()?;
    graph_of(&parse(smiles).ok()?, false).ok()
}

/// The Kekulé graph; `fold` leaves out hydrogens with one bond.
fn graph_of(library: &Molecule, fold: bool) -> Result<MolecularGraph, String> {
    let kekule = kekulize(library).map_err(|error| error.to_string())?;
    let library = apply_kekule(library, &kekule);
    let mut place = vec![None; library.atom_count()];
    let mut atoms = Vec::with_capacity(library.atom_count());
    for (index, atom) in library.atoms() {
        let element =
            Element::from_atomic_number(atom.element.atomic_number()).ok_or("it has an unknown element")?;
        let folded = fold && element == Element::H && atom.charge == 0 && library.degree(index) == 1;
        if !folded {
            place[index.0 as usize] = Some(atoms.len());
            atoms.push(Atom { element, charge: atom.charge });
        }
    }
    let mut list = Vec::with_capacity(library.bond_count());
    for (_, bond) in library.bonds() {
        let order = match bond.order {
            LibraryBond::Single | LibraryBond::Up | LibraryBond::Down => BondOrder::Single,
            LibraryBond::Double => BondOrder::Double,
            LibraryBond::Triple => BondOrder::Triple,
            _ => return Err("it has a bond that is not single, double, triple or aromatic".to_owned()),
        };
        if let (Some(first), Some(second)) = (place[bond.atom1.0 as usize], place[bond.atom2.0 as usize]) {
            list.push((first, second, order));
        }
    }
    molecule_from(atoms, list).map_err(|error| error.to_string())
}

fn from_block(block: &RdkitMolBlock) -> Result<MolecularGraph, String> {
    let mut atoms = Vec::with_capacity(block.atoms.len());
    for atom in &block.atoms {
        let element = u8::try_from(atom.atomic_num).ok().and_then(Element::from_atomic_number);
        let element = element.ok_or_else(|| format!("{:?} is no element", atom.symbol))?;
        let charge = i8::try_from(atom.formal_charge)
            .map_err(|_| format!("a charge of {} is out of range", atom.formal_charge))?;
        atoms.push(Atom { element, charge });
    }
    let mut list = Vec::with_capacity(block.bonds.len());
    for bond in &block.bonds {
        let order = u8::try_from(bond.bond_type).ok().and_then(BondOrder::from_number);
        let order = order.ok_or("it has a bond that is not single, double, triple or aromatic")?;
        list.push((bond.begin, bond.end, order));
    }
    molecule_from(atoms, list).map_err(|error| error.to_string())
}

fn kind_of(name: &str) -> ProblemKind {
    match name {
        "AtomValenceException" => ProblemKind::Valence,
        "KekulizeException" => ProblemKind::Kekulisation,
        "AtomKekulizeException" => ProblemKind::Aromaticity,
        _ => ProblemKind::Other,
    }
}

fn other(message: String) -> Problem {
    Problem { kind: ProblemKind::Other, atoms: Vec::new(), message }
}

pub(super) fn refused(task: &'static str, reason: impl ToString) -> MoleculeError {
    MoleculeError::Chemistry { backend: NAME, task, reason: reason.to_string() }
}
