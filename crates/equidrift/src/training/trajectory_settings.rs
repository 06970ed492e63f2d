//! The settings of a training run over trajectories: published ones, a file over them, flags over both.

use std::path::PathBuf;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{EngineKind, SamplingWeights};
use equidrift_geotdm::{AtomFeatures, MolecularEdges, Temporal, TrajectoryDiffusion, published_sampler};
use equidrift_sampler::SamplerConfig;
use equidrift_train::adam::{AdamConfig, WeightDecay};
use equidrift_train::{Intervals, LearningRate, TrainerConfig, ValidationConfig, Weights};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::training::held_out::setting;
use crate::training::settings::{overlay, spelt_out};
use crate::training::tables::{Keep, Optimiser, ScheduleSettings};

/// Most levels of a diffusion.
const MOST_LEVELS: usize = 1_000_000;

/// Most frames of each part of a window; no model has more.
const MOST_FRAMES: usize = 1_000_000;
/// Most held-out runs, which are simulated in addition.
const MOST_RUNS: u64 = 1 << 20;

/// What the diffusion of a model ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrajectoryPrior {
    /// Noise around a reference that a network makes of the given frames.
    Learned,
    /// Noise around the mean of the given frames.
    CentreOfMass,
    /// Noise around 0: an unconditional model, which is given no frames.
    Unconditional,
    /// The same in the measure of the data's spread, with a network that is shown the best linear guess: learns faster.
    Standardised,
    /// Noise around the linear forecast of each node, as large as its error.
    Extrapolated,
}

impl TrajectoryPrior {
    /// Whether no frames are given.
    #[must_use]
    pub fn is_unconditional(self) -> bool {
        matches!(self, Self::Unconditional | Self::Standardised)
    }
}

/// Held-out windows and what their loss decides. They lie behind those that are trained on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrajectoryValidation {
    /// Windows of each run of a file at most; of walkers, tracks of all recordings. 0: no validation.
    pub windows: usize,
    /// Simulated runs, in addition to those trained on; 0: no validation.
    pub runs: u64,
    /// Of walkers: where each recording's validation part begins, as `splits.json` of the data set; else the last fifth of the
    /// frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splits: Option<PathBuf>,
    /// Epochs from one validation to the next.
    pub every: u64,
    /// Draws of level and noise per window.
    pub draws: u64,
    /// Validations without improvement that end the run; 0: none do.
    pub patience: u64,
    /// Smallest fall of the loss that is an improvement for `patience`.
    pub min_delta: f64,
}

/// Forecasts of held-out windows drawn during training, with the weights that the model folder gets, and their errors in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrajectorySampling {
    /// Epochs from one drawing to the next; 0: never.
    pub every: u64,
    /// Held-out windows of a drawing at most, at even spacing.
    pub windows: usize,
    /// Samples of each window.
    pub num: u64,
    /// Their seed, the same each time.
    pub seed: u64,
    /// Sampler, if it is not to be the model's.
    pub sampler: Option<SamplerConfig>,
    /// Its steps, if not the model's.
    pub steps: Option<usize>,
}

impl Default for TrajectorySampling {
    fn default() -> Self {
        Self { every: 0, windows: 50, num: 5, seed: 0, sampler: None, steps: None }
    }
}

impl Default for TrajectoryValidation {
    fn default() -> Self {
        Self { windows: 256, runs: 256, splits: None, every: 1, draws: 1, patience: 0, min_delta: 0.0 }
    }
}

/// Every setting of `train trajectories`; what a configuration file and flags are laid over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrajectorySettings {
    /// Name of the model, for people.
    pub name: String,
    /// Frames that are given; none means as published: 10, of walkers 8, of an unconditional model 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub frames_in: Option<usize>,
    /// Frames that are made; none means as published: 20, of walkers 12.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub frames_out: Option<usize>,
    /// Frames that are given behind the made ones, beside those before them: a model that fills gaps. Needs prior `extrapolated`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub frames_behind: Option<usize>,
    /// Look only at every so many frames of the data.
    pub every: usize,
    /// Windows of each run of a file at most that are trained on.
    pub windows: usize,
    /// Which pairs of a molecule's atoms are joined by edges: `near` (three bonds) or `all`.
    pub edges: MolecularEdges,
    /// What is told of an atom: its `charge`, or its `environment`, too.
    #[serde(default, skip_serializing_if = "AtomFeatures::are_published")]
    pub atom_features: AtomFeatures,
    /// Walkers of a system at most.
    pub walkers: usize,
    /// What the diffusion ends in.
    pub prior: TrajectoryPrior,
    /// Learn the mean of what follows only, to be drawn by one step; needs prior `extrapolated`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub regression: bool,
    /// Layers of the network.
    pub layers: usize,
    /// What joins the frames: `attention`, or `none` for the network EGNN, which needs prior `extrapolated`.
    #[serde(default, skip_serializing_if = "Temporal::is_attention")]
    pub temporal: Temporal,
    /// Layers of the network of a learned prior.
    pub prior_layers: usize,
    /// Width of the network.
    pub hidden: usize,
    /// Sines and cosines of a time, together.
    pub time_features: usize,
    /// Noise levels of the diffusion.
    pub noise_levels: usize,
    /// Their β: `linear` or `cosine`.
    pub noise_schedule: NoiseSchedule,
    /// Passes over the training set.
    pub epochs: u64,
    /// Windows evaluated at once.
    pub batch: usize,
    /// Batches per optimiser step.
    pub accumulate: usize,
    /// Learning rate of the first epoch, or after the warm-up.
    pub learning_rate: f64,
    /// Factor on the learning rate after each epoch, for schedule `exponential`.
    pub learning_rate_decay: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Epochs of linear warm-up; they and `warmup_steps` add up.
    pub warmup_epochs: u64,
    /// `adam` or `adamw`.
    pub optimiser: Optimiser,
    /// Decay of the mean of the gradient.
    pub beta1: f64,
    /// Decay of the mean of the squared gradient.
    pub beta2: f64,
    /// Added to the root of that mean.
    pub epsilon: f64,
    /// Multiple of the parameters added to their gradient, or with `adamw` of the learning rate and the parameters taken
    /// from them.
    pub weight_decay: f64,
    /// Largest gradient norm.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights.
    pub average_decay: f64,
    /// Seed of initial weights, order, levels and noise.
    pub seed: u64,
    /// What computes the gradients.
    pub engine: EngineKind,
    /// Where, for engine `burn`.
    pub device: DeviceKind,
    /// Threads; 0 takes all processors. They change the speed only.
    pub threads: usize,
    /// Keep a checkpoint, and write the model folder, every this many epochs (0: only at the end).
    pub checkpoint_every: u64,
    /// Write the newest state every this many steps; 0: by time only.
    pub checkpoint_steps: u64,
    /// Write the newest state when this many seconds have passed; 0: at the end of every epoch.
    pub checkpoint_seconds: f64,
    /// Which weights the model folder gets, and which are judged by validation.
    pub weights: SamplingWeights,
    /// Which state the model folder gets.
    pub keep: Keep,
    /// Keep the log as a table, too.
    pub csv: bool,
    /// Draw the losses whenever a checkpoint is kept.
    pub plot: bool,
    /// How the learning rate goes on after the warm-up.
    pub schedule: ScheduleSettings,
    /// Held-out windows.
    pub validation: TrajectoryValidation,
    /// Forecasts drawn during training.
    #[serde(default)]
    pub sampling: TrajectorySampling,
    /// Steps of the default sampler; 0: as many as there are noise levels.
    pub steps: usize,
    /// Default sampler of the model.
    pub sampler: SamplerConfig,
}

/// How the noise levels lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseSchedule {
    /// β even from 0.1 / T to 20 / T, as published.
    Linear,
    /// The squared cosine of Nichol & Dhariwal (2021).
    Cosine,
}

/// Names of the presets of models of trajectories: what learns fast, and what was published.
pub const TRAJECTORY_PRESETS: [&str; 2] = ["forecast", "published"];

/// What learns in minutes on a processor: a linear forecast as the prior, a smaller network, small batches at a rate that falls, and
/// few steps of a fast solver. Laid over the published settings.
fn forecast() -> Value {
    json!({
        "prior": "extrapolated",
        "layers": 4,
        "hidden": 64,
        "epochs": 20,
        "batch": 32,
        "learning_rate": 1e-3,
        "warmup_steps": 100,
        "schedule": "cosine",
        "weights": "ema",
        "average_decay": 0.998,
        "sampler": "dpm-solver++",
        "steps": 20,
    })
}

/// The settings of the released configurations (Han et al. 2024; 5,000 epochs there), and what they leave open: no decay, no
/// validation that decides anything.
fn published() -> Value {
    json!({
        "name": "geotdm",
        "every": 1,
        "windows": 5000,
        "edges": "near",
        "walkers": 1,
        "prior": "learned",
        "layers": 6,
        "prior_layers": 2,
        "hidden": 128,
        "time_features": 32,
        "noise_levels": 100,
        "noise_schedule": "linear",
        "epochs": 100,
        "batch": 128,
        "accumulate": 1,
        "learning_rate": 1e-4,
        "learning_rate_decay": 0.999,
        "warmup_steps": 0,
        "warmup_epochs": 0,
        "optimiser": "adam",
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "weight_decay": 0.0,
        "clip_norm": 1.0,
        "average_decay": 0.999,
        "seed": 42,
        "engine": "fused",
        "device": "cpu",
        "threads": 0,
        "checkpoint_every": 10,
        "checkpoint_steps": 0,
        "checkpoint_seconds": 60.0,
        "weights": "raw",
        "keep": "last",
        "csv": false,
        "plot": true,
        "schedule": {"name": "constant"},
        "validation": TrajectoryValidation::default(),
        "steps": 0,
        "sampler": published_sampler(),
    })
}

impl TrajectorySettings {
    /// A preset, one of [`TRAJECTORY_PRESETS`] (the first, unless one is named), with the tables of `over` over it in their order:
    /// a later table wins, nested tables are merged key by key.
    ///
    /// # Errors
    /// [`Error::UnknownPreset`]; [`Error::TrainingSetting`] for a key or a value that is none.
    pub fn merge(preset: Option<&str>, over: &[Value]) -> Result<Self, Error> {
        let mut merged = published();
        match preset {
            None | Some("forecast") => overlay(&mut merged, &spelt_out(&forecast())),
            Some("published") => {}
            Some(other) => return Err(Error::UnknownPreset { name: other.to_owned() }),
        }
        over.iter().for_each(|table| overlay(&mut merged, &spelt_out(table)));
        serde_json::from_value(merged).map_err(|source| Error::TrainingSetting { source })
    }

    /// Settings of the loop.
    #[must_use]
    pub fn trainer(&self) -> TrainerConfig {
        let decay = match self.optimiser {
            Optimiser::Adam => WeightDecay::L2,
            Optimiser::AdamW => WeightDecay::Decoupled,
        };
        let (beta1, beta2, epsilon, weight_decay) = (self.beta1, self.beta2, self.epsilon, self.weight_decay);
        let judged = match self.weights {
            SamplingWeights::Raw => Weights::Raw,
            SamplingWeights::Ema => Weights::Average,
        };
        let TrajectoryValidation { every, draws, patience, min_delta, .. } = self.validation;
        TrainerConfig {
            epochs: self.epochs,
            batch: self.batch,
            accumulate: self.accumulate,
            learning_rate: LearningRate {
                initial: self.learning_rate,
                schedule: self.schedule.schedule(self.learning_rate_decay, self.epochs),
                warmup_steps: self.warmup_steps,
                warmup_epochs: self.warmup_epochs,
            },
            adam: AdamConfig { beta1, beta2, epsilon, weight_decay, decay },
            clip_norm: self.clip_norm,
            average_decay: self.average_decay,
            seed: self.seed,
            validation: ValidationConfig { every, draws, judged, patience, min_delta },
        }
    }

    /// When the newest state is written.
    #[must_use]
    pub fn intervals(&self) -> Intervals {
        Intervals { steps: self.checkpoint_steps, seconds: self.checkpoint_seconds }
    }

    /// The diffusion.
    pub(crate) fn diffusion(&self) -> Result<TrajectoryDiffusion, Error> {
        // A table of all levels is made.
        if self.noise_levels > MOST_LEVELS {
            return Err(setting(&format!("noise_levels must be at most {MOST_LEVELS}")));
        }
        let made = match self.noise_schedule {
            NoiseSchedule::Linear => TrajectoryDiffusion::linear(self.noise_levels),
            NoiseSchedule::Cosine => TrajectoryDiffusion::cosine(self.noise_levels),
        };
        made.map_err(|error| setting(&format!("noise_levels: {error} (linear needs at least 21)")))
    }

    /// Checks the ranges of what is not about networks and samplers.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.trainer().validate()?;
        if self.checkpoint_seconds.is_nan() || self.checkpoint_seconds < 0.0 {
            return Err(setting("checkpoint_seconds must be at least 0"));
        }
        for (name, value) in [
            ("sampling.windows", self.sampling.windows),
            ("sampling.num", self.sampling.num as usize),
            ("every", self.every),
            ("windows", self.windows),
            ("walkers", self.walkers),
            ("layers", self.layers),
        ] {
            if value == 0 {
                return Err(setting(&format!("{name} must be at least 1")));
            }
        }
        if self.regression && self.prior != TrajectoryPrior::Extrapolated {
            return Err(setting("regression needs prior = \"extrapolated\""));
        }
        if self.temporal == Temporal::None && self.prior != TrajectoryPrior::Extrapolated {
            return Err(setting("temporal = \"none\" needs prior = \"extrapolated\""));
        }
        if self.frames_behind.is_some_and(|behind| behind > 0) && self.prior != TrajectoryPrior::Extrapolated
        {
            return Err(setting("frames_behind needs prior = \"extrapolated\""));
        }
        if self.validation.runs > MOST_RUNS {
            return Err(setting(&format!("validation.runs must be at most {MOST_RUNS}")));
        }
        let of_window = [self.frames_in, self.frames_behind, self.frames_out];
        if of_window.into_iter().flatten().any(|frames| frames > MOST_FRAMES) {
            return Err(setting(&format!(
                "frames_in, frames_behind, frames_out must be at most {MOST_FRAMES}"
            )));
        }
        let unconditional = self.prior.is_unconditional();
        match (self.frames_in, self.frames_out) {
            (_, Some(0)) => Err(setting("frames_out must be at least 1")),
            (Some(0), _) if !unconditional => Err(setting(
                "frames_in must be at least 1; a model without given frames has prior = \"standardised\" or \"unconditional\"",
            )),
            (Some(1..), _) if unconditional => {
                Err(setting("frames_in: an unconditional model is given no frames"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_setting_is_refused() {
        let settings =
            TrajectorySettings::merge(Some("published"), &[json!({"schedule": "cosine", "hidden": 8})])
                .unwrap();
        assert_eq!((settings.hidden, settings.layers), (8, 6));
        settings.check().unwrap();
        assert!(TrajectorySettings::merge(None, &[json!({"hiden": 8})]).is_err());
        for bad in [
            json!({"frames_in": 0}),
            json!({"frames_out": 0}),
            json!({"temporal": "none", "prior": "learned"}),
            json!({"every": 0}),
            json!({"prior": "unconditional", "frames_in": 3}),
            json!({"prior": "learned", "frames_behind": 3}),
            json!({"frames_behind": usize::MAX}),
            json!({"checkpoint_seconds": -1.0}),
            json!({"batch": 0}),
            json!({"sampling": {"num": 0}}),
            json!({"sampling": {"windows": 0}}),
        ] {
            assert!(
                TrajectorySettings::merge(None, std::slice::from_ref(&bad)).unwrap().check().is_err(),
                "{bad}"
            );
        }
        let settings = TrajectorySettings::merge(None, &[json!({"noise_levels": 20})]).unwrap();
        assert!(settings.diffusion().is_err(), "the last beta reaches 1");
        assert_eq!((settings.prior, settings.hidden), (TrajectoryPrior::Extrapolated, 64), "the preset");
        assert!(matches!(TrajectorySettings::merge(Some("fast"), &[]), Err(Error::UnknownPreset { .. })));
    }
}
