//! Everything that the metrics ask of one molecule, from one reading of its canonical SMILES.
//!
//! A [`MoleculeProfile`] is a plain value: profiles are made in any number of threads ([`Profiler`], one each) and added in
//! order to the sets that are compared ([`super::moses::MosesSet`], [`super::guacamol::GuacamolSet`]).

use std::sync::{Mutex, PoisonError};

use chematic::smiles::{RdkitSmilesParams, rdkit_smiles};
use equidrift_graph::threads::map_in_threads;

use super::moses::filters;
use crate::descriptors::stereocentres::stereocentres;
use crate::descriptors::{DescriptorCalculator, Descriptors, FragmentScores};
use crate::error::MoleculeError;
use crate::fingerprint::{Fingerprint, morgan_environments};
use crate::perceived::PerceivedMolecule;
use crate::piece_spelling::SpellingCache;
use crate::smarts::Matcher;
use crate::substructures::SKELETON;
use crate::{brics, scaffold};

/// Scaffolds of fewer rings are not counted (MOSES).
const FEWEST_SCAFFOLD_RINGS: usize = 2;

/// Molecules whose profiles are held at a time, and of those how many a thread takes.
const BATCH: usize = 8_192;
const CHUNK: usize = 64;

/// What is wanted of a molecule beside its descriptors.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProfileScope<'a> {
    /// What MOSES asks for.
    pub moses: bool,
    /// What GuacaMol asks for.
    pub guacamol: bool,
    /// The table for the synthetic accessibility score, which is not computed without.
    pub fragment_scores: Option<&'a FragmentScores>,
}

/// What the metrics know of a molecule.
#[derive(Debug, Clone, PartialEq)]
pub struct MoleculeProfile {
    /// Its descriptors.
    pub descriptors: Descriptors,
    /// Its synthetic accessibility score, if the table was given.
    pub synthetic_accessibility: Option<f64>,
    /// What MOSES asks for, if wanted.
    pub moses: Option<MosesFeatures>,
    /// What GuacaMol asks for, if wanted.
    pub guacamol: Option<Box<GuacamolFeatures>>,
}

/// What MOSES asks of a molecule.
#[derive(Debug, Clone, PartialEq)]
pub struct MosesFeatures {
    /// Morgan fingerprint of radius 2, 1024 bits.
    pub fingerprint: Fingerprint<16>,
    /// Whether it passes [`super::moses::filters`].
    pub passes_filters: bool,
    /// Its BRICS fragments as canonical SMILES.
    pub fragments: Vec<String>,
    /// Its Bemis–Murcko scaffold as canonical SMILES, if that has two rings or more.
    pub scaffold: Option<String>,
}

/// What GuacaMol asks of a molecule.
#[derive(Debug, Clone, PartialEq)]
pub struct GuacamolFeatures {
    /// Morgan fingerprint of radius 2, 4096 bits.
    pub fingerprint: Fingerprint<64>,
    /// Canonical SMILES without stereo marks and isotopes.
    pub flat: String,
}

/// Makes profiles of one molecule after another. It remembers kinds of atoms, fragments and scaffolds, so one that is kept for
/// many molecules is faster; a few megabytes at most.
#[derive(Debug, Default)]
pub struct Profiler<'a> {
    scope: ProfileScope<'a>,
    calculator: DescriptorCalculator,
    cache: SpellingCache,
}

impl<'a> Profiler<'a> {
    /// A profiler of this scope.
    #[must_use]
    pub fn new(scope: ProfileScope<'a>) -> Self {
        Self { scope, ..Self::default() }
    }

    /// The profile of a molecule by its canonical SMILES. Cost: about 0.2 ms for a drug-like molecule with everything wanted,
    /// 0.1 ms for descriptors alone.
    ///
    /// # Errors
    /// [`MoleculeError::Smiles`] as of [`PerceivedMolecule::of_canonical`]; [`MoleculeError::Chemistry`] where the library
    /// cannot answer.
    pub fn profile(&mut self, canonical: &str) -> Result<MoleculeProfile, MoleculeError> {
        let (molecule, library) = PerceivedMolecule::read(canonical)?;
        let scope = self.scope;
        let wants_filters = scope.moses && filters::admits_atoms_and_rings(&molecule);
        let (descriptors, passes_filters) = self.calculator.calculate_with(&molecule, |hydrogenated| {
            wants_filters && filters::has_no_filtered_substructure(hydrogenated)
        });
        let wants_environments = scope.moses || scope.guacamol || scope.fragment_scores.is_some();
        let environments = if wants_environments { morgan_environments(&molecule, 2) } else { Vec::new() };
        let synthetic_accessibility = match scope.fragment_scores {
            Some(scores) => Some(scores.score(&molecule, &environments, stereocentres(&molecule, &library)?)),
            None => None,
        };
        let has_stereo = canonical.contains(['@', '/', '\\']);
        let moses = if scope.moses {
            let mut matcher = Matcher::new(&SKELETON.set, &molecule, self.calculator.skeleton_memory());
            let fragments = brics::fragments(&mut matcher, &library, canonical, has_stereo, &mut self.cache)?;
            let scaffold = (molecule.rings().len() >= FEWEST_SCAFFOLD_RINGS)
                .then(|| scaffold::scaffold(&molecule, &library, has_stereo, &mut self.cache))
                .transpose()?;
            let fingerprint = Fingerprint::of_environments(&environments);
            Some(MosesFeatures { fingerprint, passes_filters, fragments, scaffold })
        } else {
            None
        };
        let guacamol = if scope.guacamol {
            let flat = if has_stereo || molecule.atoms().iter().any(|atom| atom.isotope > 0) {
                let params = RdkitSmilesParams { isomeric: false, ..RdkitSmilesParams::default() };
                rdkit_smiles(&library, &params).map_err(|error| MoleculeError::Chemistry {
                    backend: "chematic",
                    task: "write canonical SMILES of",
                    reason: error.to_string(),
                })?
            } else {
                canonical.to_owned()
            };
            Some(Box::new(GuacamolFeatures {
                fingerprint: Fingerprint::of_environments(&environments),
                flat,
            }))
        } else {
            None
        };
        Ok(MoleculeProfile { descriptors, synthetic_accessibility, moses, guacamol })
    }
}

/// Profilers that are handed on from one piece of work to the next, because they learn.
#[derive(Debug)]
pub(crate) struct Profilers<'a> {
    scope: ProfileScope<'a>,
    idle: Mutex<Vec<Profiler<'a>>>,
}

impl<'a> Profilers<'a> {
    pub(crate) fn new(scope: ProfileScope<'a>) -> Self {
        Self { scope, idle: Mutex::new(Vec::new()) }
    }

    /// The profile of each canonical SMILES.
    pub(crate) fn profiles<S: AsRef<str>>(
        &self,
        canonical: &[S],
    ) -> Vec<Result<MoleculeProfile, MoleculeError>> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut profiler = idle().pop().unwrap_or_else(|| Profiler::new(self.scope));
        let profiles = canonical.iter().map(|smiles| profiler.profile(smiles.as_ref())).collect();
        idle().push(profiler);
        profiles
    }
}

/// Profiles of many molecules by their canonical SMILES, handed to `add` in order with their places; memory does not grow with
/// their number.
pub fn for_each_profile<S: AsRef<str> + Sync>(
    canonical: &[S],
    scope: ProfileScope<'_>,
    threads: usize,
    mut add: impl FnMut(usize, Result<MoleculeProfile, MoleculeError>),
) {
    let profilers = Profilers::new(scope);
    let mut place = 0;
    for batch in canonical.chunks(BATCH) {
        let chunks = map_in_threads(batch, CHUNK, threads, |chunk| profilers.profiles(chunk));
        for profile in chunks.into_iter().flatten() {
            add(place, profile);
            place += 1;
        }
    }
}
