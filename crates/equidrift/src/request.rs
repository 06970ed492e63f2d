//! What is asked of a generation run: one plain value, the same from the command line, a file, or a service.

use std::ops::Range;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::EngineKind;
use equidrift_molecule::Correction;
use equidrift_pard::{PardError, ReverseStep, StepGrid, Temperature};
use equidrift_sampler::plan::{AdaptiveConfig, NormScope, PerComponent};
use equidrift_sampler::{Op, Plan, SamplerConfig};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Error;
use crate::output::sha256_of_json;
use crate::shard::Shard;
use crate::trajectories::TrajectoryRequest;

/// The model of a request that names none.
pub const DEFAULT_MODEL: &str = "qm9-pard";

/// The model of a request that names none, but a sampler or a plan: those are for models of real numbers.
pub const DEFAULT_SCORE_MODEL: &str = "qm9-gdss";

/// The embedded plan of this name (`qm9-gdss-20` samples `qm9-gdss` with 20 network calls), if there is one.
pub fn embedded_plan(name: &str) -> Option<Plan> {
    // The zoo's tests read every one of them.
    serde_json::from_str(equidrift_zoo::find_plan(name)?.plan).ok()
}

/// Names of the embedded plans.
pub fn embedded_plans() -> Vec<&'static str> {
    equidrift_zoo::plans().iter().map(|plan| plan.name).collect()
}

/// A generation run. Every field may be left out of a file; unknown fields are refused.
///
/// ```
/// let request: equidrift::GenerateRequest = serde_json::from_str(r#"{"num": 10, "seed": 7}"#)?;
/// assert_eq!(request.ids(), 0..10);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerateRequest {
    /// Samples of the whole run, over all shards.
    pub num: u64,
    /// The seed. Sample `id` is a function of (seed, id) and of nothing else in the run.
    pub seed: u64,
    /// Name of an embedded model, or a model folder. If it is empty, [`GenerateRequest::model_name`] has the default.
    pub model: String,
    /// The sampler: its name, or `{"name": ..}` with options; none means the model's own default.
    #[serde(deserialize_with = "name_or_options")]
    pub sampler: Option<SamplerConfig>,
    /// Its number of steps; none means the model's own default.
    pub steps: Option<usize>,
    /// At which steps of the diffusion a model of family `pard` calls its denoiser: `uniform`, or `polynomial:2` for steps that
    /// become smaller towards the data; none means the model's own default.
    #[serde(with = "grid_text", skip_serializing_if = "Option::is_none")]
    pub grid: Option<StepGrid>,
    /// By how many of its own lengths each step of a model of family `pard` goes too far before it is noised back
    /// ([`ReverseStep`](equidrift_pard::ReverseStep)); none means the model's own default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub churn: Option<f64>,
    /// What the logits of a model of family `pard` are divided by, the same at all steps or along a line, `"1.3:0.9"`; none means
    /// the model's own default. Of trajectories what the noise of the sampler is multiplied with, one number
    /// ([`TemperedNoise`](equidrift_sampler::TemperedNoise)); none means 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Temperature>,
    /// A sampler that chooses its steps sample by sample, in place of `sampler` and `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adaptive: Option<AdaptiveConfig>,
    /// A compiled plan, for instance one that a search has found, in place of a sampler with its steps and options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Whether to start from a prior with the mean and variance of the noised training data
    /// ([`MatchedPrior`](equidrift_sampler::plan::MatchedPrior)), with the sampler; a plan has its start in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub match_prior: bool,
    /// Signal-to-noise ratio of the Langevin corrector, in place of the sampler's.
    pub snr: Option<f64>,
    /// Scale of the Langevin corrector's noise, in place of the sampler's.
    pub scale_eps: Option<f64>,
    /// Of trajectories: what is continued, and how far. There, `num` is the number of samples for each starting window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trajectories: Option<TrajectoryRequest>,
    /// What to do with molecules over a valence limit.
    pub correction: Correction,
    /// The part of the run to do.
    pub shard: Shard,
    /// What evaluates the networks; none means the fastest for the device.
    pub engine: Option<EngineKind>,
    /// The device: `cpu`, `tch`, `cuda[:i]`, `wgpu[:i]`.
    pub device: DeviceKind,
    /// Samples per batch at most. Changes speed and memory, never a sample.
    pub batch: usize,
    /// Worker threads; 0 means one per processor. Changes speed and memory, never a sample.
    pub threads: usize,
    /// Bytes that the batches of a model of family `pard` may use together; none means three quarters of what is free. Batches and
    /// workers are cut to it; a graph that does not fit is refused. Never changes a sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<u64>,
}

impl Default for GenerateRequest {
    fn default() -> Self {
        Self {
            num: 100,
            seed: 0,
            model: String::new(),
            sampler: None,
            steps: None,
            grid: None,
            churn: None,
            temperature: None,
            adaptive: None,
            plan: None,
            match_prior: false,
            snr: None,
            scale_eps: None,
            trajectories: None,
            correction: Correction::Repair,
            shard: Shard::WHOLE,
            engine: None,
            device: DeviceKind::Cpu,
            batch: 128,
            threads: 0,
            max_memory: None,
        }
    }
}

impl GenerateRequest {
    /// The model, or what is meant by none: [`DEFAULT_MODEL`] with its own sampler, and [`DEFAULT_SCORE_MODEL`] where a sampler,
    /// a plan or an option of theirs is asked for.
    #[must_use]
    pub fn model_name(&self) -> &str {
        let real = self.sampler.is_some()
            || self.adaptive.is_some()
            || self.plan.is_some()
            || self.match_prior
            || self.snr.is_some()
            || self.scale_eps.is_some();
        let classes = self.grid.is_some() || self.churn.is_some() || self.temperature.is_some();
        match (self.model.as_str(), real && !classes) {
            ("", true) => DEFAULT_SCORE_MODEL,
            ("", false) => DEFAULT_MODEL,
            (named, _) => named,
        }
    }

    /// The ids of this request's shard.
    pub fn ids(&self) -> Range<u64> {
        self.shard.ids(self.total())
    }

    /// Samples over all shards and, where the source of trajectories has been read, all starting windows.
    fn total(&self) -> u64 {
        let starts = self.trajectories.as_ref().and_then(|asked| asked.starts).unwrap_or(1);
        self.num.saturating_mul(starts)
    }

    /// Fills in what the request left to the model: afterwards `engine` and one of `plan`, `adaptive`, or `sampler` (with
    /// `snr` and `scale_eps` in it) and `steps` are there, and equal runs have equal requests.
    ///
    /// # Errors
    /// [`Error::Request`] where an option is given that the sampler does not have.
    pub fn resolve(&self, default_sampler: &SamplerConfig, default_steps: usize) -> Result<Self, Error> {
        for (field, given) in [("grid", self.grid.is_some()), ("churn", self.churn.is_some())] {
            if given {
                let reason = "only models of family pard draw classes step by step; other samplers have options of their own";
                return Err(Error::Request { field, reason });
            }
        }
        if self.temperature.is_some() && self.trajectories.is_none() {
            let reason = "only models of family pard and of trajectories have a temperature";
            return Err(Error::Request { field: "temperature", reason });
        }
        if self.temperature.is_some_and(|temperature| temperature.noise != temperature.data) {
            let reason = "trajectories have one temperature, a number, on the whole way";
            return Err(Error::Request { field: "temperature", reason });
        }
        let engine = Some(self.engine.unwrap_or_else(|| EngineKind::for_device(self.device)));
        let options = self.snr.is_some() || self.scale_eps.is_some();
        let planned = options || self.sampler.is_some() || self.steps.is_some();
        if self.plan.is_some() {
            if planned || self.match_prior || self.adaptive.is_some() {
                let reason = "a plan is a sampler with its steps and options: give one or the other";
                return Err(Error::Request { field: "plan", reason });
            }
            return Ok(Self { engine, ..self.clone() });
        }
        if self.adaptive.is_some() {
            if planned {
                let reason = "an adaptive sampler chooses its steps by its tolerance, and has no corrector";
                return Err(Error::Request { field: "adaptive", reason });
            }
            return Ok(Self { engine, ..self.clone() });
        }
        let mut sampler = self.sampler.clone().unwrap_or_else(|| default_sampler.clone());
        let refuse = |field| Err(Error::Request { field, reason: "this sampler has no Langevin corrector" });
        let (snr, scale_eps) = match &mut sampler {
            SamplerConfig::PredictorCorrector(sampler) => (&mut sampler.snr, &mut sampler.scale_eps),
            SamplerConfig::S4(sampler) => (&mut sampler.snr, &mut sampler.scale_eps),
            _ if self.snr.is_some() => return refuse("snr"),
            _ if self.scale_eps.is_some() => return refuse("scale_eps"),
            _ => (&mut PerComponent::All(0.0), &mut PerComponent::All(0.0)),
        };
        for (option, given) in [(snr, self.snr), (scale_eps, self.scale_eps)] {
            if let Some(value) = given {
                *option = value.into();
            }
        }
        Ok(Self {
            sampler: Some(sampler),
            steps: Some(self.steps.unwrap_or(default_steps)),
            snr: None,
            scale_eps: None,
            engine,
            ..self.clone()
        })
    }

    /// Refuses what no run can do, before anything is opened.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |field, reason| Err(Error::Request { field, reason });
        if self.num == 0 {
            refuse("num", "at least one sample must be asked for")
        } else if self.total() > MAX_SAMPLES {
            refuse("num", "sample ids have 48 bits, so a run has at most 281474976710656 samples")
        } else if self.batch == 0 {
            refuse("batch", "a batch holds at least one sample")
        } else if self.steps == Some(0) {
            refuse("steps", "a sampler makes at least one step")
        } else {
            match self.reverse_step(ReverseStep::default()).check() {
                Err(PardError::Churn { .. }) => refuse("churn", "expected a number from 0 to 1000"),
                Err(PardError::Temperature { .. }) => {
                    refuse("temperature", "expected numbers from 0.01 to 100")
                }
                Err(error) => Err(error.into()),
                Ok(()) => Ok(()),
            }
        }
    }

    /// How a model of family `pard` with this default draws classes.
    pub(crate) fn reverse_step(&self, default: ReverseStep) -> ReverseStep {
        ReverseStep {
            churn: self.churn.unwrap_or(default.churn),
            temperature: self.temperature.unwrap_or(default.temperature),
        }
    }

    /// Over what the Langevin corrector takes its norms.
    pub(crate) fn norm(&self) -> NormScope {
        let in_plan = |op: &Op| matches!(op, Op::Langevin { norm: NormScope::BatchMean, .. });
        match &self.sampler {
            Some(SamplerConfig::PredictorCorrector(sampler)) => sampler.norm,
            Some(SamplerConfig::S4(sampler)) => sampler.norm,
            _ if self.plan.iter().flat_map(Plan::ops).any(in_plan) => NormScope::BatchMean,
            _ => NormScope::PerSample,
        }
    }

    /// SHA-256 of everything that decides the samples of the undivided run: not the shard, the batch size or the
    /// threads, and not where the model lies (its own digest stands beside this one).
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn digest(&self) -> Result<String, Error> {
        // Norms taken over the batch, as in the published programmes, make its size matter.
        let batch = if self.norm() == NormScope::PerSample { 0 } else { self.batch };
        let trajectories = self.trajectories.as_ref().map(TrajectoryRequest::neutral);
        let neutral = Self {
            model: String::new(),
            shard: Shard::WHOLE,
            batch,
            threads: 0,
            trajectories,
            max_memory: None,
            ..self.clone()
        };
        sha256_of_json(&neutral)
    }
}

/// `"s4"` for `{"name": "s4"}`.
fn name_or_options<'de, D: Deserializer<'de>>(input: D) -> Result<Option<SamplerConfig>, D::Error> {
    use serde::de::Error as _;
    let value = Option::<serde_json::Value>::deserialize(input)?;
    match value {
        None => Ok(None),
        Some(serde_json::Value::String(name)) => {
            SamplerConfig::by_name(&name).map(Some).map_err(D::Error::custom)
        }
        Some(options) => serde_json::from_value(options).map(Some).map_err(D::Error::custom),
    }
}

/// A grid of steps as the command line has it.
mod grid_text {
    use equidrift_pard::StepGrid;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(grid: &Option<StepGrid>, output: S) -> Result<S::Ok, S::Error> {
        match grid {
            Some(grid) => output.collect_str(grid),
            None => output.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<StepGrid>, D::Error> {
        let text = Option::<String>::deserialize(input)?;
        text.map(|text| text.parse().map_err(D::Error::custom)).transpose()
    }
}

/// The noise keys carry 48 bits of the sample id.
const MAX_SAMPLES: u64 = 1 << 48;

#[cfg(test)]
mod tests {
    use equidrift_sampler::PathConfig;

    use super::*;

    #[test]
    fn unknown_fields_are_refused_by_name() {
        let error = serde_json::from_str::<GenerateRequest>(r#"{"num": 3, "sede": 7}"#).unwrap_err();
        assert!(error.to_string().contains("sede"), "{error}");
    }

    #[test]
    fn requests_survive_a_round_trip() {
        let request = GenerateRequest {
            num: 12,
            shard: "1/3".parse().unwrap(),
            sampler: SamplerConfig::by_name("s4").ok(),
            grid: "polynomial:1.5".parse().ok(),
            ..GenerateRequest::default()
        };
        assert!(request.grid.is_some());
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<GenerateRequest>(&text).unwrap(), request);
    }

    #[test]
    fn the_digest_sees_what_changes_samples_and_nothing_else() {
        let request = GenerateRequest::default();
        let digest = request.digest().unwrap();
        let same = GenerateRequest {
            batch: 7,
            threads: 3,
            max_memory: Some(1 << 30),
            shard: "1/3".parse().unwrap(),
            model: "elsewhere".into(),
            ..request.clone()
        };
        assert_eq!(same.digest().unwrap(), digest);
        for other in [
            GenerateRequest { num: 101, ..request.clone() },
            GenerateRequest { seed: 1, ..request.clone() },
            GenerateRequest { steps: Some(10), ..request.clone() },
            GenerateRequest { correction: Correction::None, ..request.clone() },
            GenerateRequest { device: DeviceKind::Tch, ..request.clone() },
            GenerateRequest { grid: "polynomial:2".parse().ok(), ..request.clone() },
            GenerateRequest { churn: Some(1.0), ..request.clone() },
            GenerateRequest { temperature: "1.1".parse().ok(), ..request.clone() },
        ] {
            assert_ne!(other.digest().unwrap(), digest);
        }
    }

    #[test]
    fn a_sampler_may_be_named_or_spelt_out() {
        let named: GenerateRequest = serde_json::from_str(r#"{"sampler": "s4"}"#).unwrap();
        let spelt: GenerateRequest = serde_json::from_str(r#"{"sampler": {"name": "s4"}}"#).unwrap();
        assert_eq!(named, spelt);
        assert!(named.sampler.is_some());
        let error = serde_json::from_str::<GenerateRequest>(r#"{"sampler": "s5"}"#).unwrap_err();
        assert!(error.to_string().contains("predictor-corrector"), "{error}");
    }

    #[test]
    fn options_of_the_corrector_go_into_the_sampler_or_are_refused() {
        let default = SamplerConfig::by_name("predictor-corrector").unwrap();
        let request = GenerateRequest { snr: Some(0.4), ..GenerateRequest::default() };
        let resolved = request.resolve(&default, 1000).unwrap();
        let Some(SamplerConfig::PredictorCorrector(sampler)) = &resolved.sampler else {
            panic!("{resolved:?}")
        };
        assert_eq!((&sampler.snr, resolved.snr, resolved.steps), (&0.4.into(), None, Some(1000)));
        let heun = GenerateRequest { sampler: SamplerConfig::by_name("heun").ok(), ..request };
        assert!(matches!(heun.resolve(&default, 10), Err(Error::Request { field: "snr", .. })));
    }

    #[test]
    fn a_plan_takes_the_place_of_the_sampler_and_decides_the_digest() {
        let default = SamplerConfig::by_name("predictor-corrector").unwrap();
        let paths = vec![PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 }; 2];
        let with = |steps| GenerateRequest {
            plan: Some(default.plan(&paths, steps).unwrap()),
            ..GenerateRequest::default()
        };
        let resolved = with(5).resolve(&default, 1000).unwrap();
        assert!(resolved.plan == with(5).plan && resolved.sampler.is_none() && resolved.steps.is_none());
        assert_ne!(resolved.digest().unwrap(), with(6).resolve(&default, 1000).unwrap().digest().unwrap());
        let text = serde_json::to_string(&resolved).unwrap();
        assert_eq!(serde_json::from_str::<GenerateRequest>(&text).unwrap(), resolved);
        let both = GenerateRequest { steps: Some(5), ..with(5) };
        assert!(matches!(both.resolve(&default, 1000), Err(Error::Request { field: "plan", .. })));
    }

    #[test]
    fn impossible_requests_are_refused() {
        let ok = GenerateRequest::default();
        assert!(ok.check().is_ok());
        for bad in [
            GenerateRequest { num: 0, ..ok.clone() },
            GenerateRequest { num: u64::MAX, ..ok.clone() },
            GenerateRequest { batch: 0, ..ok.clone() },
            GenerateRequest { steps: Some(0), ..ok.clone() },
        ] {
            assert!(matches!(bad.check(), Err(Error::Request { .. })));
        }
    }
}
