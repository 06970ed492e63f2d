//! Distances between a set of generated molecules and a reference set.

use std::path::{Path, PathBuf};

use equidrift_molecule::MoleculeError;
use equidrift_molecule::metrics::{ChemNet, SetDistances, SetStatistics, Wanted, available_threads};
use serde::Serialize;

use super::failure;
use crate::exit::{Exit, Failure};
use crate::progress;

/// What `--json` says of them.
#[derive(Serialize)]
pub(super) struct Distances {
    /// The reference set or its statistics.
    reference: PathBuf,
    generated_molecules: usize,
    reference_molecules: usize,
    #[serde(flatten)]
    pub(super) figures: SetDistances,
    /// What tells the weights from others.
    chemnet_weights: Option<String>,
}

/// Where the reference set's statistics come from.
pub(super) enum Reference<'a> {
    /// A file of them.
    Statistics(&'a Path),
    /// Canonical SMILES of the molecules of a file.
    Molecules(&'a Path, Vec<String>),
}

/// What is to be computed and how.
pub(super) struct Task<'a> {
    pub(super) chemistry: &'static str,
    pub(super) nspdk: bool,
    pub(super) chemnet: Option<ChemNet>,
    pub(super) threads: Option<usize>,
    /// Where the reference set's statistics are kept.
    pub(super) save: Option<&'a Path>,
}

impl Task<'_> {
    pub(super) fn run(&self, generated: &[String], reference: Reference<'_>) -> Result<Distances, Failure> {
        let (path, reference) = match reference {
            Reference::Statistics(path) => (path, self.stored(path)?),
            Reference::Molecules(path, smiles) => {
                let statistics = self.statistics(&smiles, "reference")?;
                (path, statistics.map_err(|error| at(path, &error))?)
            }
        };
        if let Some(path) = self.save {
            reference.write(path).map_err(failure)?;
        }
        let figures = match self.statistics(generated, "generated")? {
            Ok(generated) => generated.distances(&reference).map_err(failure)?,
            // No reason to withhold the other figures.
            Err(error) => {
                progress::note(&format!("warning: no distances of the generated molecules: {error}"));
                SetDistances { nspdk_mmd: None, fcd: None }
            }
        };
        Ok(Distances {
            reference: path.to_owned(),
            generated_molecules: generated.len(),
            reference_molecules: reference.molecules(),
            figures,
            chemnet_weights: self.chemnet.as_ref().map(|net| format!("{:016x}", net.fingerprint())),
        })
    }

    /// Statistics of a set; too few molecules are an error of its own.
    fn statistics(
        &self,
        smiles: &[String],
        which: &'static str,
    ) -> Result<Result<SetStatistics, MoleculeError>, Failure> {
        let wanted = Wanted { nspdk: self.nspdk, chemnet: self.chemnet.as_ref() };
        let total = if self.chemnet.is_some() { smiles.len() as u64 } else { 0 };
        let bar = progress::bar(total, &format!("{which} molecules"));
        let threads = self.threads.unwrap_or_else(available_threads);
        let advance = |encoded: usize| bar.inc(encoded as u64);
        let result = SetStatistics::of_canonical(smiles, self.chemistry, wanted, threads, &advance);
        bar.finish_and_clear();
        match result {
            Ok(statistics) => {
                warn_of_few(&statistics, which);
                Ok(Ok(statistics))
            }
            Err(error @ MoleculeError::TooFewMolecules { .. }) => Ok(Err(error)),
            Err(error) => Err(failure(error)),
        }
    }

    /// Statistics from a file, which must have what is asked for.
    fn stored(&self, path: &Path) -> Result<SetStatistics, Failure> {
        let statistics = SetStatistics::read(path).map_err(failure)?;
        let lacks = |what: &str| {
            let message = format_args!("{}: it has no statistics for {what}", path.display()).to_string();
            Err(Failure::message(Exit::Mismatch, message))
        };
        if self.nspdk && statistics.neighbourhoods().is_none() {
            return lacks("--nspdk");
        }
        if self.chemnet.is_some() && statistics.activations().is_none() {
            return lacks("--chemnet");
        }
        warn_of_few(&statistics, "reference");
        Ok(statistics)
    }
}

fn warn_of_few(statistics: &SetStatistics, which: &str) {
    if let Some(activations) = statistics.activations().filter(|activations| activations.is_degenerate()) {
        progress::note(&format!(
            "warning: {} {which} molecules are too few for the covariance of {} activations: the FCD is too large",
            activations.molecules(),
            activations.mean().len()
        ));
    }
}

fn at(path: &Path, error: &MoleculeError) -> Failure {
    Failure::message(Exit::BadInput, format_args!("{}: {error}", path.display()))
}
