//! RDKit bindings: what `rdkit-sys` lacks for generated molecules.
//!
//! [`rdkit_sys`] reads SMILES and SMARTS and links the library; this crate adds, over its own `cxx` bridge to the same
//! types, molecules from atoms and bonds, the verdict on them, kekulisation, fragments, Murcko scaffolds and QED.
//!
//! ```
//! use equidrift_rdkit::{Atom, Bond, BondOrder, Graph, Molecule};
//!
//! let ethanol = Graph {
//!     atoms: vec![Atom::new(6, 0), Atom::new(6, 0), Atom::new(8, 0)],
//!     bonds: vec![
//!         Bond { begin: 0, end: 1, order: BondOrder::Single },
//!         Bond { begin: 1, end: 2, order: BondOrder::Single },
//!     ],
//! };
//! assert!(ethanol.verdict()?.valid);
//! assert_eq!(Molecule::from_graph(&ethanol)?.canonical_smiles()?, "CCO");
//! # Ok::<(), equidrift_rdkit::RdkitError>(())
//! ```
//!
//! Everything RDKit throws comes back as an [`RdkitError`]; nothing is written to standard error.

mod bridge;
mod error;
mod graph;
mod molecule;
mod qed;
mod structural_alerts;
mod verdict;

pub use error::RdkitError;
pub use graph::{Atom, Bond, BondOrder, Graph, MAX_ATOMS};
pub use molecule::{Fragment, Molecule, rdkit_version};
pub use qed::QedProperties;
pub use verdict::{Problem, ProblemKind, Verdict};
