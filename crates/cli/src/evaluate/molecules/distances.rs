//! Distances between a set of generated molecules and a reference set.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use equidrift_backend::atomic::write_atomically;
use equidrift_molecule::MoleculeError;
use equidrift_molecule::metrics::fcd::FrechetPivot;
use equidrift_molecule::metrics::resampling::standard_error;
use equidrift_molecule::metrics::set_statistics::SetMoments;
use equidrift_molecule::metrics::{SetDistances, SetStatistics, Wanted};
use serde::Serialize;

use super::failure;
use crate::exit::{Exit, Failure};
use crate::progress;

/// What `--json` says of them.
#[derive(Serialize)]
pub(super) struct Distances {
    /// The reference set or its statistics.
    pub(super) reference: PathBuf,
    pub(super) generated_molecules: usize,
    pub(super) reference_molecules: usize,
    #[serde(flatten)]
    pub(super) figures: SetDistances,
    /// those of the figures.
    pub(super) standard_errors: SetDistances,
    /// What tells the weights from others.
    chemnet_weights: Option<String>,
}

/// Where the reference set's statistics come from.
pub(super) enum Reference<'a> {
    /// A file of them.
    Statistics(&'a Path),
    /// What was found in a file of molecules.
    Molecules(&'a Path, &'a SetMoments),
}

/// What is to be computed and how.
pub(super) struct Task<'a> {
    pub(super) wanted: Wanted<'a>,
    pub(super) threads: usize,
    /// Replicates behind the standard errors.
    pub(super) halves: &'a [Vec<u32>],
    /// Where the reference set's statistics are kept.
    pub(super) save: Option<&'a Path>,
}

impl Task<'_> {
    /// Whether there is anything to compute.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.nspdk || self.wanted.chemnet.is_some()
    }

    pub(super) fn run(&self, generated: &SetMoments, reference: Reference<'_>) -> Result<Distances, Failure> {
        let (path, reference) = match reference {
            Reference::Statistics(path) => (path, self.stored(path)?),
            Reference::Molecules(path, moments) => {
                (path, moments.statistics().map_err(|error| at(path, &error))?)
            }
        };
        warn_of_few(&reference, "reference");
        if let Some(path) = self.save {
            let bytes = reference.to_bytes().map_err(failure)?;
            write_atomically(path, |file| file.write_all(&bytes)).map_err(|error| {
                Failure::message(Exit::Failure, format_args!("{}: {error}", path.display()))
            })?;
        }
        let none = SetDistances { nspdk_mmd: None, fcd: None };
        let (figures, standard_errors) = match generated.statistics() {
            Ok(statistics) => {
                warn_of_few(&statistics, "generated");
                let figures = statistics.distances(&reference).map_err(failure)?;
                (figures, self.errors(generated, &reference))
            }
            // No reason to withhold the other figures.
            Err(error @ MoleculeError::TooFewMolecules { .. }) => {
                progress::note(&format!("warning: no distances of the generated molecules: {error}"));
                (none, none)
            }
            Err(error) => return Err(failure(error)),
        };
        Ok(Distances {
            reference: path.to_owned(),
            generated_molecules: generated.molecules(),
            reference_molecules: reference.molecules(),
            figures,
            standard_errors,
            chemnet_weights: self.wanted.chemnet.map(|net| format!("{:016x}", net.fingerprint())),
        })
    }

    fn errors(&self, generated: &SetMoments, reference: &SetStatistics) -> SetDistances {
        let nspdk_mmd =
            generated.neighbourhoods().zip(reference.neighbourhoods()).and_then(|(sums, mean)| {
                standard_error(self.halves, self.threads, |times| Some(sums.of_groups(times).ok()?.mmd(mean)))
            });
        let fcd = generated.activations().zip(reference.activations()).and_then(|(moments, activations)| {
            let pivot = FrechetPivot::of(activations);
            let bar = progress::bar(self.halves.len() as u64, "replicates of FCD");
            let error = standard_error(self.halves, self.threads, |times| {
                let distance = pivot.distance(&moments.of_groups(times).ok()?);
                bar.inc(1);
                Some(distance)
            });
            bar.finish_and_clear();
            error
        });
        SetDistances { nspdk_mmd, fcd }
    }

    /// Statistics from a file, which must have what is asked for.
    fn stored(&self, path: &Path) -> Result<SetStatistics, Failure> {
        let statistics = SetStatistics::read(path).map_err(failure)?;
        let lacks = |what: &str| {
            let message = format_args!("{}: it has no statistics for {what}", path.display()).to_string();
            Err(Failure::message(Exit::Mismatch, message))
        };
        if self.wanted.nspdk && statistics.neighbourhoods().is_none() {
            return lacks("--nspdk");
        }
        if self.wanted.chemnet.is_some() && statistics.activations().is_none() {
            return lacks("--chemnet");
        }
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
