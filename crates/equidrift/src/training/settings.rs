//! The settings of a training run: a preset, a file over it, flags over both.

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{BondsConfig, EngineKind, NetworksConfig, PathsConfig, SamplingWeights};
use equidrift_sampler::SamplerConfig;
use equidrift_train::adam::{AdamConfig, WeightDecay};
use equidrift_train::{Intervals, LearningRate, LossWeighting, TrainerConfig, ValidationConfig, Weights};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::training::graph_presets::{GRAPH_PRESETS, graph_preset};
use crate::training::held_out::setting;
use crate::training::molecules::Hydrogens;
use crate::training::pard::{PardSettings, usual_for_pard};
use crate::training::pard_presets::{PARD_ONLY, pard_preset};
use crate::training::tables::{Keep, Optimiser, SamplingSettings, ScheduleSettings, ValidationSettings};

/// What to do with a line that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unusable {
    /// Leave it out and count it.
    Skip,
    /// End with an error that names the line.
    Fail,
}

/// Every setting of `train molecules` and `train graphs`; what a preset, a configuration file and flags are merged into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Name of the model, for people.
    pub name: String,
    /// Passes over the training set.
    pub epochs: u64,
    /// Molecules evaluated at once.
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
    /// Largest gradient norm of each network.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights.
    pub average_decay: f64,
    /// Seed of initial weights, order, times and noise.
    pub seed: u64,
    /// A model whose weights training begins with: the name of an embedded one, or a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
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
    /// Which weights the model folder gets, and which are judged by validation and sampling.
    pub weights: SamplingWeights,
    /// Which state the model folder gets.
    pub keep: Keep,
    /// Keep the log as a table, too.
    pub csv: bool,
    /// Draw the losses whenever a checkpoint is kept.
    pub plot: bool,
    /// Element symbols in the order of the node features; empty: all elements of the data by atomic number.
    pub atoms: Vec<String>,
    /// What the entries of the adjacency of molecules stand for: `orders` or `aromatic`.
    #[serde(default, skip_serializing_if = "BondsConfig::are_orders")]
    pub bonds: BondsConfig,
    /// What to do with lines that are no molecule, and with graphs that are not undirected and simple.
    pub on_bad_line: Unusable,
    /// What to do with molecules that have an atom outside `atoms`.
    pub on_unknown_atom: Unusable,
    /// Whether hydrogens are atoms of the graphs.
    #[serde(default)]
    pub hydrogens: Hydrogens,
    /// How the learning rate goes on after the warm-up.
    pub schedule: ScheduleSettings,
    /// Held-out molecules.
    pub validation: ValidationSettings,
    /// Samples drawn during training.
    pub sampling: SamplingSettings,
    /// Steps of the default sampler.
    pub steps: usize,
    /// Default sampler of the model.
    pub sampler: SamplerConfig,
    /// Weights of the times in the loss.
    #[serde(default)]
    pub weighting: LossWeighting,
    /// Strength of the further noise that the networks of family `gdss` are shown in training, in standard deviations of the
    /// noise at the time (Ning et al. 2023, who use 0.1); 0: none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub input_perturbation: f64,
    /// Noising paths, what the networks predict and the scales of the data.
    pub paths: PathsConfig,
    /// Layer sizes; `max_feat_num` and `max_node_num` follow from the data.
    pub networks: NetworksConfig,
    /// Of family `pard`; where it is there, the paths, networks, sampler and weights of times, which are those of family
    /// `gdss`, have no meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pard: Option<PardSettings>,
}

// Serde hands the field over by reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Names of the presets of `train molecules`.
pub const PRESETS: [&str; 3] = ["qm9", "zinc250k", "qm9-hydrogens"];

impl TrainingSettings {
    /// The fastest engine that computes this loss on this device.
    #[must_use]
    pub fn usual_engine(&self) -> EngineKind {
        // The fused engine of Pard knows the cross-entropy alone.
        match &self.pard {
            Some(pard) if pard.loss.bound != 0.0 => EngineKind::Burn,
            _ => EngineKind::for_device(self.device),
        }
    }

    /// Merges `preset` (or the layer sizes of `qm9` with the elements of the data, if `None`), then the tables of
    /// `over` in their order: a later table wins, nested tables are merged key by key.
    ///
    /// # Errors
    /// [`Error::UnknownPreset`]; [`Error::TrainingSetting`] for a key or a value that is none.
    pub fn merge(preset: Option<&str>, over: &[Value]) -> Result<Self, Error> {
        let published = match preset {
            None => qm9(),
            Some(name) => published(name)?,
        };
        let mut merged = usual();
        overlay(&mut merged, &published);
        if preset.is_none() {
            merged["name"] = json!("gdss");
            merged["atoms"] = json!([]);
        }
        Self::under(merged, preset, over)
    }

    /// The same for plain graphs: without a preset, the settings of `community_small`.
    ///
    /// # Errors
    /// As [`TrainingSettings::merge`].
    pub fn merge_for_graphs(preset: Option<&str>, over: &[Value]) -> Result<Self, Error> {
        let mut merged = usual();
        overlay(&mut merged, &published(preset.unwrap_or(GRAPH_PRESETS[0]))?);
        if preset.is_none() {
            merged["name"] = json!("gdss");
        }
        Self::under(merged, preset, over)
    }

    /// Names of the settings that have no meaning for the family that is trained.
    #[must_use]
    pub fn without_meaning(&self) -> &'static [&'static str] {
        if self.pard.is_some() {
            &["paths", "networks", "sampler", "weighting", "input_perturbation"]
        } else {
            &[]
        }
    }

    /// The tables over settings of GDSS; where the family is Pard, over its settings and those of the preset of this name.
    fn under(mut merged: Value, preset: Option<&str>, over: &[Value]) -> Result<Self, Error> {
        let only_pard = preset.filter(|name| PARD_ONLY.contains(name));
        if only_pard.is_some() || over.iter().any(|table| table.get("pard").is_some_and(Value::is_object)) {
            overlay(&mut merged, &usual_for_pard());
            if let Some(published) = preset.and_then(pard_preset) {
                overlay(&mut merged, &published);
            }
        }
        over.iter().for_each(|table| overlay(&mut merged, &spelt_out(table)));
        let settings: Self =
            serde_json::from_value(merged).map_err(|source| Error::TrainingSetting { source })?;
        match only_pard {
            Some(name) if settings.pard.is_none() => {
                Err(setting(&format!("preset {name} is of family pard")))
            }
            _ => Ok(settings),
        }
    }

    /// Settings of the loop.
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
        let ValidationSettings { every, draws, patience, min_delta, .. } = self.validation;
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

    /// Checks the ranges of what is not about networks, paths and samplers.
    ///
    /// # Errors
    /// [`Error::Training`] or [`Error::TrainingSetting`] naming the first setting that is out of range.
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.trainer().validate()?;
        if self.checkpoint_seconds.is_nan() || self.checkpoint_seconds < 0.0 {
            return Err(setting("checkpoint_seconds must be at least 0"));
        }
        if !self.weighting.is_valid() {
            return Err(setting("weighting: gamma must be above 0 and finite"));
        }
        if !(0.0..=1.0).contains(&self.input_perturbation) {
            return Err(setting("input_perturbation must be between 0 and 1"));
        }
        Ok(())
    }

    /// When the newest state is written.
    pub fn intervals(&self) -> Intervals {
        Intervals { steps: self.checkpoint_steps, seconds: self.checkpoint_seconds }
    }
}

/// The settings of a preset, of molecules or graphs.
fn published(name: &str) -> Result<Value, Error> {
    match name {
        "qm9" => Ok(qm9()),
        "zinc250k" => Ok(zinc250k()),
        // What they have in common with others; the rest is laid over it.
        "qm9-hydrogens" => Ok(qm9()),
        "comm20" | "planar" => published(GRAPH_PRESETS[0]),
        other => graph_preset(other).ok_or_else(|| Error::UnknownPreset { name: other.to_owned() }),
    }
}

/// A table whose schedules and samplers that are only named have become tables, so that options can be laid over them.
pub(super) fn spelt_out(table: &Value) -> Value {
    let mut table = table.clone();
    for key in ["schedule", "sampler"] {
        if let Some(name @ Value::String(_)) = table.get(key) {
            table[key] = json!({ "name": name });
        }
    }
    if let Some(name @ Value::String(_)) = table.get("sampling").and_then(|table| table.get("sampler")) {
        table["sampling"]["sampler"] = json!({ "name": name });
    }
    table
}

pub(super) fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            // Another kind of sampler, path or network has other fields: it replaces the whole table.
            let tagged = |key: &str| match (base.get(key), over.get(key)) {
                (Some(old), Some(new)) => old != new,
                _ => false,
            };
            if ["type", "model_type"].into_iter().any(tagged)
                || (tagged("name") && !base.contains_key("batch"))
            {
                *base = over.clone();
                return;
            }
            for (key, value) in over {
                match base.get_mut(key) {
                    Some(old) => overlay(old, value),
                    None => {
                        base.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// What the published settings leave open, as their programmes have it: plain Adam, no validation.
pub(super) fn usual() -> Value {
    json!({
        "accumulate": 1,
        "warmup_steps": 0,
        "warmup_epochs": 0,
        "optimiser": "adam",
        "beta1": 0.9,
        "beta2": 0.999,
        "epsilon": 1e-8,
        "checkpoint_steps": 0,
        "checkpoint_seconds": 60.0,
        "keep": "last",
        "csv": false,
        "plot": true,
        "schedule": {"name": "exponential"},
        "validation": ValidationSettings::default(),
        "sampling": SamplingSettings::default(),
    })
}

/// The settings published for QM9 (Jo, Lee and Hwang 2022, table 8), with the sampler of the released configuration.
fn qm9() -> Value {
    json!({
        "name": "gdss-qm9",
        "epochs": 300,
        "batch": 1024,
        "learning_rate": 0.005,
        "learning_rate_decay": 0.999,
        "weight_decay": 1e-4,
        "clip_norm": 1.0,
        "average_decay": 0.999,
        "seed": 42,
        "engine": "fused",
        "device": "cpu",
        "threads": 0,
        "checkpoint_every": 10,
        "weights": "raw",
        "atoms": ["C", "N", "O", "F"],
        "on_bad_line": "skip",
        "on_unknown_atom": "fail",
        "steps": 1000,
        "sampler": {
            "name": "predictor-corrector", "predictor": "reverse", "corrector": "langevin",
            "snr": 0.2, "scale_eps": 0.7, "n_steps": 1
        },
        "paths": {
            "x": {"type": "VE", "beta_min": 0.1, "beta_max": 1.0},
            "adj": {"type": "VE", "beta_min": 0.1, "beta_max": 1.0}
        },
        "networks": {
            "x": {"model_type": "ScoreNetworkX", "max_feat_num": 4, "depth": 2, "nhid": 16},
            "adj": {
                "model_type": "ScoreNetworkA", "max_feat_num": 4, "max_node_num": 9, "nhid": 16, "num_layers": 3,
                "num_linears": 3, "c_init": 2, "c_hid": 8, "c_final": 4, "adim": 16, "num_heads": 4, "conv": "GCN"
            }
        }
    })
}

/// The settings published for ZINC250k (same table), with the sampler of the released configuration.
fn zinc250k() -> Value {
    let mut settings = qm9();
    overlay(
        &mut settings,
        &json!({
            "name": "gdss-zinc250k",
            "epochs": 500,
            "atoms": ["C", "N", "O", "F", "P", "S", "Cl", "Br", "I"],
            "sampler": {"scale_eps": 0.9},
            "paths": {"x": {"type": "VP", "beta_min": 0.1, "beta_max": 1.0}, "adj": {"beta_min": 0.2}},
            "networks": {"x": {"max_feat_num": 9}, "adj": {"max_feat_num": 9, "max_node_num": 38, "num_layers": 6}}
        }),
    );
    settings
}

#[cfg(test)]
mod tests {
    use equidrift_sampler::PathConfig;
    use equidrift_train::Schedule;

    use super::*;

    #[test]
    fn presets_are_complete_and_consistent() {
        for preset in PRESETS {
            let settings = TrainingSettings::merge(Some(preset), &[]).unwrap();
            settings.networks.check().unwrap();
            settings.trainer().validate().unwrap();
            assert!(settings.pard.is_some() || settings.networks.features() == settings.atoms.len());
        }
        let zinc = TrainingSettings::merge(Some("zinc250k"), &[]).unwrap();
        assert_eq!(zinc.paths.x, PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 });
        assert_eq!(zinc.paths.adj, PathConfig::VarianceExploding { beta_min: 0.2, beta_max: 1.0 });
        assert!(TrainingSettings::merge(None, &[]).unwrap().atoms.is_empty());
        for preset in GRAPH_PRESETS {
            let settings = TrainingSettings::merge_for_graphs(Some(preset), &[]).unwrap();
            settings.networks.check().unwrap();
            settings.trainer().validate().unwrap();
            settings.sampler.plan(&[settings.paths.x.clone(), settings.paths.adj.clone()], 20).unwrap();
            assert!(settings.atoms.is_empty() && settings.name.ends_with(preset));
        }
        let unnamed =
            TrainingSettings::merge_for_graphs(None, &[json!({"networks": {"x": {"depth": 1}}})]).unwrap();
        assert_eq!((unnamed.name.as_str(), unnamed.batch), ("gdss", 128));
        let error = TrainingSettings::merge(Some("qm8"), &[]).unwrap_err();
        assert!(error.to_string().contains("qm9, zinc250k"), "{error}");
    }

    #[test]
    fn later_tables_win_key_by_key() {
        let file = json!({"batch": 64, "networks": {"adj": {"num_layers": 4}}, "sampler": {"snr": 0.1}});
        let flags = json!({"batch": 32});
        let settings = TrainingSettings::merge(None, &[file, flags]).unwrap();
        assert_eq!(settings.batch, 32);
        assert_eq!(settings.networks.adj_sizes().num_layers, 4);
        assert_eq!(settings.networks.adj_sizes().c_hid, 8);
        let SamplerConfig::PredictorCorrector(sampler) = settings.sampler else { panic!() };
        assert_eq!((sampler.snr, sampler.scale_eps), (0.1.into(), 0.7.into()));
    }

    #[test]
    fn another_sampler_brings_its_own_defaults() {
        let settings =
            TrainingSettings::merge(None, &[json!({"sampler": {"name": "heun"}, "name": "mine"})]).unwrap();
        assert_eq!(settings.sampler.name(), "heun");
        assert_eq!(settings.name, "mine");
    }

    #[test]
    fn a_schedule_may_be_named_and_its_options_come_from_later_tables() {
        let tables = [json!({"schedule": "cosine"}), json!({"schedule": {"floor": 1e-5}, "warmup_steps": 7})];
        let rate = TrainingSettings::merge(None, &tables).unwrap().trainer().learning_rate;
        assert_eq!(rate.schedule, Schedule::Cosine { floor: 1e-5, epochs: 300 });
        assert_eq!((rate.initial, rate.warmup_steps), (0.005, 7));
        let replaced =
            [json!({"schedule": {"name": "cosine", "epochs": 9}}), json!({"schedule": "constant"})];
        let rate = TrainingSettings::merge(None, &replaced).unwrap().trainer().learning_rate;
        assert_eq!(rate.schedule, Schedule::Constant);
        // The settings of runs from before there was a choice.
        let rate = TrainingSettings::merge(None, &[json!({"learning_rate_decay": 0.9})]).unwrap();
        assert_eq!(rate.trainer().learning_rate, LearningRate::exponential(0.005, 0.9));
    }

    #[test]
    fn settings_survive_their_record() {
        let over = json!({
            "schedule": {"name": "plateau", "patience": 3}, "validation": {"fraction": 0.1},
            "sampling": {"every": 5, "sampler": "heun", "steps": 20}, "optimiser": "adamw", "keep": "best"
        });
        let settings = TrainingSettings::merge(Some("zinc250k"), &[over]).unwrap();
        assert!(settings.bonds.are_orders());
        let aromatic = TrainingSettings::merge(None, &[json!({"bonds": "aromatic"})]).unwrap();
        let record = serde_json::to_value(&aromatic).unwrap();
        assert_eq!(TrainingSettings::merge(None, &[record]).unwrap().bonds, BondsConfig::Aromatic);
        assert_eq!(settings.sampling.sampler.as_ref().unwrap().name(), "heun");
        let record = serde_json::to_value(&settings).unwrap();
        assert_eq!(TrainingSettings::merge(None, &[record]).unwrap(), settings);
    }

    #[test]
    fn values_out_of_range_are_errors_that_name_the_setting() {
        for (table, word) in [
            (json!({"weighting": {"type": "min-snr", "gamma": 0.0}}), "gamma"),
            (json!({"input_perturbation": -0.1}), "input_perturbation"),
            (json!({"checkpoint_seconds": -1.0}), "checkpoint_seconds"),
            (json!({"average_decay": 1.5}), "average decay"),
        ] {
            let error = TrainingSettings::merge(None, &[table]).unwrap().check().unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
        let weighted = json!({"weighting": {"type": "min-snr", "gamma": 5.0}});
        TrainingSettings::merge(None, &[weighted]).unwrap().check().unwrap();
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_errors_that_name_them() {
        for (table, word) in [(json!({"epoch": 3}), "epoch"), (json!({"batch": "many"}), "many")] {
            let error = TrainingSettings::merge(None, &[table]).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
