//! The `cxx` bridge to `cpp/bridge.cc`. Molecules are rdkit-sys's own types, so both crates' functions take them.

// The code that cxx generates calls C++ and is unsafe by nature; nothing outside this module is.
#![allow(unsafe_code, missing_docs, unreachable_pub)]

#[cxx::bridge(namespace = "equidrift")]
pub(crate) mod ffi {
    /// An atom as it crosses the bridge.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct AtomRecord {
        atomic_number: u8,
        charge: i8,
        /// Hydrogens on it, or -1 for as many as its valence asks for.
        hydrogens: i16,
    }

    /// A bond as it crosses the bridge; orders 1, 2, 3 and 4 = aromatic.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct BondRecord {
        begin: u32,
        end: u32,
        order: u8,
    }

    #[derive(Debug)]
    struct GraphRecord {
        atoms: Vec<AtomRecord>,
        bonds: Vec<BondRecord>,
    }

    #[derive(Debug)]
    struct ProblemRecord {
        kind: String,
        atoms: Vec<u32>,
        message: String,
    }

    #[derive(Debug)]
    struct FragmentRecord {
        atoms: Vec<u32>,
        smiles: String,
    }

    #[derive(Debug, Clone, Copy)]
    struct DescriptorRecord {
        molecular_weight: f64,
        log_p: f64,
        polar_surface_area: f64,
        hydrogen_bond_donors: u32,
        rotatable_bonds: u32,
    }

    unsafe extern "C++" {
        include!("bridge.h");

        #[namespace = "RDKit"]
        type ROMol = rdkit_sys::ro_mol_ffi::ROMol;
        #[namespace = "RDKit"]
        type RWMol = rdkit_sys::rw_mol_ffi::RWMol;

        fn build(atoms: &[AtomRecord], bonds: &[BondRecord]) -> Result<SharedPtr<ROMol>>;
        fn sanitised(molecule: &SharedPtr<ROMol>) -> Result<SharedPtr<ROMol>>;
        fn problems(molecule: &SharedPtr<ROMol>) -> Result<Vec<ProblemRecord>>;
        /// The atom that RDKit's property sanitisation reports, or -1.
        fn first_overloaded_atom(molecule: &SharedPtr<ROMol>) -> Result<i32>;

        fn canonical_smiles(molecule: &SharedPtr<ROMol>) -> Result<String>;
        /// Of a molecule that is not sanitised.
        fn kekule_smiles_of_raw(molecule: &SharedPtr<ROMol>) -> Result<String>;
        fn kekulised(molecule: &SharedPtr<ROMol>) -> Result<GraphRecord>;
        fn fragments(molecule: &SharedPtr<ROMol>) -> Result<Vec<FragmentRecord>>;
        fn murcko_scaffold(molecule: &SharedPtr<ROMol>) -> Result<SharedPtr<ROMol>>;

        fn without_hydrogen_atoms(molecule: &SharedPtr<ROMol>) -> Result<SharedPtr<ROMol>>;
        fn descriptors(molecule: &SharedPtr<ROMol>) -> Result<DescriptorRecord>;
        fn count_matches(molecule: &SharedPtr<ROMol>, pattern: &SharedPtr<RWMol>, limit: u32) -> Result<u32>;
        fn rings_after_deleting(molecule: &SharedPtr<ROMol>, pattern: &SharedPtr<RWMol>) -> Result<u32>;

        fn rdkit_version() -> Result<String>;
        fn silence() -> Result<()>;
    }
}
