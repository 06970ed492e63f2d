//! What a sampler makes of a molecule model.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use equidrift::{GenerateRequest, Generator};
use equidrift_backend::checksum::sha256;
use equidrift_molecule::SmilesLines;
use equidrift_molecule::metrics::{ChemNet, SetStatistics, Wanted, available_threads};
use equidrift_sampler::{Plan, SamplerConfig};
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};
use crate::progress;

/// Which model, and what its molecules are compared with.
#[derive(Debug, Args)]
pub(super) struct ModelArgs {
    /// Draw from this molecule model (embedded name or folder) instead of the exact problems
    #[arg(long = "model", value_name = "NAME|DIR")]
    name: Option<String>,
    /// Molecules per sampler and number of calls
    #[arg(long, default_value_t = 300, requires = "name", value_parser = clap::value_parser!(u64).range(2..))]
    pub(super) num: u64,
    /// Seed of sizes and noise
    #[arg(long, default_value_t = 0, requires = "name")]
    pub(super) seed: u64,
    /// Start from a prior with the moments of the noised training data, as `generate molecules --match-prior`
    #[arg(long, requires = "name")]
    pub(super) match_prior: bool,
    /// Molecules to compare with: .smi (may be compressed)
    #[arg(long, value_name = "FILE", requires = "name")]
    pub(super) reference: Option<PathBuf>,
    /// At most this many lines of the reference
    #[arg(long, value_name = "N", requires = "reference")]
    reference_rows: Option<usize>,
    /// Weights of ChemNet, for FCD
    #[arg(long, value_name = "FILE.npz", requires = "reference")]
    chemnet: Option<PathBuf>,
}

/// How good the molecules are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Quality {
    /// Network calls a sample took.
    #[serde(rename = "calls_per_sample")]
    pub(super) calls: usize,
    pub(super) samples: usize,
    /// Samples whose valences fitted as decoded / samples.
    pub(super) validity_before_repair: f64,
    /// Samples of one fragment, before one is kept / valid samples.
    pub(super) connectedness: f64,
    /// Distinct canonical SMILES / valid samples.
    pub(super) uniqueness: f64,
    pub(super) fcd: Option<f64>,
    pub(super) nspdk: Option<f64>,
    /// Time to sample.
    pub(super) seconds: f64,
}

/// A model with what its molecules are compared with.
pub(super) struct Judge<'a> {
    pub(super) args: &'a ModelArgs,
    name: &'a str,
    pub(super) model: equidrift::Model,
    chemnet: Option<ChemNet>,
    reference: Option<SetStatistics>,
    /// Tells one reference, and the network that judges it, from another.
    pub(super) reference_digest: String,
}

impl ModelArgs {
    /// Whether a model is asked for.
    pub(super) fn is_given(&self) -> bool {
        self.name.is_some()
    }

    /// The judge, if a model is asked for.
    pub(super) fn open(&self) -> Result<Option<Judge<'_>>, Failure> {
        let Some(name) = &self.name else { return Ok(None) };
        let read = |error| Failure::from(equidrift::Error::from(error));
        let model = equidrift::Model::open(name)?;
        if !self.match_prior {
            super::warn_of_prior(&model, name);
        }
        let chemnet = self.chemnet.as_deref().map(ChemNet::read).transpose().map_err(read)?;
        let mut judge =
            Judge { args: self, name, model, chemnet, reference: None, reference_digest: String::new() };
        if let Some(path) = &self.reference {
            let chemistry = equidrift::chemistry();
            let mut smiles = Vec::new();
            for line in SmilesLines::open(path).map_err(read)? {
                if self.reference_rows.is_some_and(|rows| smiles.len() >= rows) {
                    break;
                }
                let line = line.map_err(read)?;
                smiles.push(chemistry.canonicalise(&line.smiles).map_err(|error| {
                    let place = format_args!("{}: line {}: {error}", path.display(), line.line).to_string();
                    Failure::message(Exit::BadInput, place)
                })?);
            }
            judge.reference = judge.statistics(&smiles)?;
            let network: u64 = judge.chemnet.as_ref().map(ChemNet::fingerprint).unwrap_or_default();
            judge.reference_digest = sha256(format!("{network}\n{}", smiles.join("\n")).as_bytes());
        }
        Ok(Some(judge))
    }
}

impl Judge<'_> {
    /// The molecules of a sampler of `steps` steps; `None` if it has no plan for so few.
    pub(super) fn measure(&self, sampler: &SamplerConfig, steps: usize) -> Result<Option<Quality>, Failure> {
        let request = GenerateRequest {
            sampler: Some(sampler.clone()),
            steps: Some(steps),
            match_prior: self.args.match_prior,
            ..self.request(self.args.seed)
        };
        let generator = match Generator::open(&request) {
            Ok(generator) => generator,
            // Some samplers have no plan for so few steps, or none for the model's paths: that is a blank in the table.
            Err(equidrift::Error::Sampler(error)) => {
                progress::note(&format!("note: {error}"));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let quality = self.draw(&generator)?;
        progress::note(&format!(
            "{} {steps} steps: {:.2} % valid before repair, {:.1} s",
            sampler.name(),
            100.0 * quality.validity_before_repair,
            quality.seconds
        ));
        Ok(Some(quality))
    }

    /// The molecules of a plan, with this seed.
    pub(super) fn measure_plan(&self, plan: &Plan, seed: u64) -> Result<Quality, Failure> {
        let request = GenerateRequest { plan: Some(plan.clone()), ..self.request(seed) };
        self.draw(&Generator::open(&request)?)
    }

    fn request(&self, seed: u64) -> GenerateRequest {
        let model = self.name.to_owned();
        GenerateRequest { num: self.args.num, seed, model, ..GenerateRequest::default() }
    }

    fn draw(&self, generator: &Generator) -> Result<Quality, Failure> {
        let start = Instant::now();
        let molecules = generator.molecules()?;
        let seconds = start.elapsed().as_secs_f64();
        let share = |count: usize, whole: usize| count as f64 / whole.max(1) as f64;
        let valid: Vec<_> = molecules.iter().filter(|molecule| molecule.is_valid()).collect();
        let connected = valid.iter().filter(|molecule| molecule.fragments == 1).count();
        let distinct: BTreeSet<&str> = valid.iter().map(|molecule| molecule.smiles.as_str()).collect();
        let smiles: Vec<String> = valid.iter().map(|molecule| molecule.smiles.clone()).collect();
        let distances = match (&self.reference, self.statistics(&smiles)?) {
            (Some(reference), Some(generated)) => {
                Some(generated.distances(reference).map_err(equidrift::Error::from)?)
            }
            _ => None,
        };
        Ok(Quality {
            calls: generator.course().evaluations().unwrap_or(0),
            samples: molecules.len(),
            validity_before_repair: share(
                molecules.iter().filter(|molecule| molecule.valid_without_correction).count(),
                molecules.len(),
            ),
            connectedness: share(connected, valid.len()),
            uniqueness: share(distinct.len(), valid.len()),
            fcd: distances.as_ref().and_then(|distances| distances.fcd),
            nspdk: distances.as_ref().and_then(|distances| distances.nspdk_mmd),
            seconds,
        })
    }

    /// Statistics for the distances, where a reference is given and there are molecules enough.
    fn statistics(&self, canonical: &[String]) -> Result<Option<SetStatistics>, Failure> {
        if self.args.reference.is_none() || canonical.len() < 2 {
            return Ok(None);
        }
        let wanted = Wanted { nspdk: true, chemnet: self.chemnet.as_ref() };
        let name = equidrift::chemistry().name();
        let statistics = SetStatistics::of_canonical(canonical, name, wanted, available_threads(), &|_| {});
        Ok(Some(statistics.map_err(equidrift::Error::from)?))
    }
}
