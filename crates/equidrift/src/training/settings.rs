//! The settings of a training run: a preset, a file over it, flags over both.

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{EngineKind, NetworksConfig, PathsConfig, SamplingWeights};
use equidrift_sampler::SamplerConfig;
use equidrift_train::adam::AdamConfig;
use equidrift_train::{LearningRate, LossWeighting, TrainerConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;

/// What to do with a line that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unusable {
    /// Leave it out and count it.
    Skip,
    /// End with an error that names the line.
    Fail,
}

/// Every setting of `train molecules`; what a preset, a configuration file and flags are merged into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Name of the model, for people.
    pub name: String,
    /// Passes over the training set.
    pub epochs: u64,
    /// Molecules per optimiser step.
    pub batch: usize,
    /// Learning rate of the first epoch.
    pub learning_rate: f64,
    /// Factor on the learning rate after each epoch.
    pub learning_rate_decay: f64,
    /// Multiple of the parameters added to their gradient.
    pub weight_decay: f64,
    /// Largest gradient norm of each network.
    pub clip_norm: f64,
    /// Decay of the moving average of the weights.
    pub average_decay: f64,
    /// Seed of initial weights, order, times and noise.
    pub seed: u64,
    /// What computes the gradients.
    pub engine: EngineKind,
    /// Where, for engine `burn`.
    pub device: DeviceKind,
    /// Threads; 0 takes all processors. They change the speed only.
    pub threads: usize,
    /// Keep a checkpoint, and write the model folder, every this many epochs (0: only at the end).
    pub checkpoint_every: u64,
    /// Which weights the model folder gets.
    pub weights: SamplingWeights,
    /// Element symbols in the order of the node features; empty: all elements of the data by atomic number.
    pub atoms: Vec<String>,
    /// What to do with lines that are no molecule.
    pub on_bad_line: Unusable,
    /// What to do with molecules that have an atom outside `atoms`.
    pub on_unknown_atom: Unusable,
    /// Steps of the default sampler.
    pub steps: usize,
    /// Default sampler of the model.
    pub sampler: SamplerConfig,
    /// Weights of the times in the loss.
    pub weighting: LossWeighting,
    /// Noising paths, what the networks predict and the scales of the data.
    pub paths: PathsConfig,
    /// Layer sizes; `max_feat_num` and `max_node_num` follow from the data.
    pub networks: NetworksConfig,
}

/// Names of the presets.
pub const PRESETS: [&str; 2] = ["qm9", "zinc250k"];

impl TrainingSettings {
    /// Merges `preset` (or the layer sizes of `qm9` with the elements of the data, if `None`), then the tables of
    /// `over` in their order: a later table wins, nested tables are merged key by key.
    ///
    /// # Errors
    /// [`Error::UnknownPreset`]; [`Error::TrainingSetting`] for a key or a value that is none.
    pub fn merge(preset: Option<&str>, over: &[Value]) -> Result<Self, Error> {
        let mut merged = match preset {
            None | Some("qm9") => qm9(),
            Some("zinc250k") => zinc250k(),
            Some(other) => return Err(Error::UnknownPreset { name: other.to_owned() }),
        };
        if preset.is_none() {
            merged["name"] = json!("gdss");
            merged["atoms"] = json!([]);
        }
        over.iter().for_each(|table| overlay(&mut merged, table));
        serde_json::from_value(merged).map_err(|source| Error::TrainingSetting { source })
    }

    /// Settings of the loop.
    pub fn trainer(&self) -> TrainerConfig {
        TrainerConfig {
            epochs: self.epochs,
            batch: self.batch,
            learning_rate: LearningRate { initial: self.learning_rate, factor: self.learning_rate_decay },
            adam: AdamConfig { weight_decay: self.weight_decay, ..AdamConfig::default() },
            clip_norm: self.clip_norm,
            average_decay: self.average_decay,
            seed: self.seed,
        }
    }
}

fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            // Another kind of sampler, path or network has other fields: it replaces the whole table.
            let tagged = |key: &str| match (base.get(key), over.get(key)) {
                (Some(old), Some(new)) => old != new,
                _ => false,
            };
            if ["type", "model_type"].into_iter().any(tagged)
                || (tagged("name") && !base.contains_key("epochs"))
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
        "weighting": {"type": "uniform"},
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

    use super::*;

    #[test]
    fn presets_are_complete_and_consistent() {
        for preset in PRESETS {
            let settings = TrainingSettings::merge(Some(preset), &[]).unwrap();
            settings.networks.check().unwrap();
            settings.trainer().validate().unwrap();
            assert_eq!(settings.networks.features(), settings.atoms.len());
        }
        let zinc = TrainingSettings::merge(Some("zinc250k"), &[]).unwrap();
        assert_eq!(zinc.paths.x, PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 });
        assert_eq!(zinc.paths.adj, PathConfig::VarianceExploding { beta_min: 0.2, beta_max: 1.0 });
        assert!(TrainingSettings::merge(None, &[]).unwrap().atoms.is_empty());
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
    fn unknown_keys_and_wrong_types_are_errors_that_name_them() {
        for (table, word) in [(json!({"epoch": 3}), "epoch"), (json!({"batch": "many"}), "many")] {
            let error = TrainingSettings::merge(None, &[table]).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
