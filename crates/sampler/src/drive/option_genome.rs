//! The options of any sampler as a genome.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Draws, Genome};
use crate::error::SamplerError;
use crate::path::PathConfig;
use crate::plan::{Plan, SamplerConfig};

/// The values an option may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptionRange {
    /// A number between two bounds; moves are relative to the range.
    Real {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
    },
    /// A positive number between two bounds; moves are relative to the range of its logarithm.
    Logarithmic {
        /// Smallest value, above 0.
        low: f64,
        /// Largest value.
        high: f64,
    },
    /// One of these values.
    Choice {
        /// The values.
        values: Vec<Value>,
    },
}

/// An option of a sampler that the search may change: the path of a field in the sampler's JSON, for instance `/snr` or
/// `/scale_eps/1`, and its range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchedOption {
    /// JSON pointer (RFC 6901) of the field.
    pub field: String,
    /// What it may be.
    pub range: OptionRange,
}

/// All settings of some options of one sampler, for a fixed number of evaluations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionSpace {
    /// The sampler; its options as they are make the first genome.
    pub sampler: SamplerConfig,
    /// The options that change. Where the JSON of the sampler leaves a field out, because it has its default, that counts as
    /// the first value of the range.
    pub options: Vec<SearchedOption>,
    /// The components' paths.
    pub paths: Vec<PathConfig>,
    /// Evaluations of a plan at most: it has as many steps as they allow.
    pub evaluations: usize,
    /// Probability that an option of a child changes.
    pub rate: f64,
    /// Standard deviation of a number's move, as a share of its range.
    pub jitter: f64,
}

/// One setting of the searched options: a number in [0, 1] for each, its place in its range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OptionGenome {
    places: Vec<f64>,
}

impl OptionRange {
    fn value(&self, place: f64) -> Value {
        match self {
            Self::Real { low, high } => Value::from(low + place * (high - low)),
            Self::Logarithmic { low, high } => Value::from(low * libm::pow(high / low, place)),
            Self::Choice { values } => {
                let last = values.len().saturating_sub(1);
                values.get(((place * values.len() as f64) as usize).min(last)).cloned().unwrap_or(Value::Null)
            }
        }
    }

    /// The place of a value that the sampler leaves out of its JSON: the first, or the lowest.
    fn absent(&self) -> f64 {
        match self {
            Self::Real { .. } | Self::Logarithmic { .. } => 0.0,
            Self::Choice { values } => 0.5 / values.len().max(1) as f64,
        }
    }

    /// The place of a value; the middle for one that is outside.
    fn place(&self, value: &Value) -> f64 {
        let number = value.as_f64();
        let place = match self {
            Self::Real { low, high } => number.map(|x| (x - low) / (high - low)),
            Self::Logarithmic { low, high } => number.map(|x| libm::log(x / low) / libm::log(high / low)),
            Self::Choice { values } => values
                .iter()
                .position(|known| known == value)
                .map(|index| (index as f64 + 0.5) / values.len() as f64),
        };
        place.filter(|p| (0.0..=1.0).contains(p)).unwrap_or(0.5)
    }
}

impl OptionGenome {
    /// The sampler with these options.
    ///
    /// # Errors
    /// [`SamplerError::SearchedOption`] if a field does not exist or the sampler refuses a value.
    pub fn sampler(&self, space: &OptionSpace) -> Result<SamplerConfig, SamplerError> {
        let reject =
            |field: &str, problem: String| SamplerError::SearchedOption { field: field.to_owned(), problem };
        let mut json = serde_json::to_value(&space.sampler).map_err(|error| reject("", error.to_string()))?;
        for (option, place) in space.options.iter().zip(&self.places) {
            match json.pointer_mut(&option.field) {
                Some(field) => *field = option.range.value(*place),
                // An option at its default may be left out of the JSON; one that does not exist is refused below.
                None => {
                    let (parent, key) = option.field.rsplit_once('/').unwrap_or_default();
                    let parent = json.pointer_mut(parent).and_then(Value::as_object_mut);
                    let fault = || reject(&option.field, "the sampler has no such field".to_owned());
                    parent.ok_or_else(fault)?.insert(key.to_owned(), option.range.value(*place));
                }
            }
        }
        serde_json::from_value(json).map_err(|error| {
            let fields: Vec<&str> = space.options.iter().map(|option| option.field.as_str()).collect();
            reject(&fields.join(", "), error.to_string())
        })
    }
}

impl Genome for OptionGenome {
    type Space = OptionSpace;

    fn seeds(space: &OptionSpace) -> Vec<(String, Self)> {
        let Ok(json) = serde_json::to_value(&space.sampler) else { return Vec::new() };
        let places = space.options.iter().map(|option| {
            let value = json.pointer(&option.field);
            value.map_or_else(|| option.range.absent(), |value| option.range.place(value))
        });
        vec![(space.sampler.name().to_owned(), Self { places: places.collect() })]
    }

    fn mutate(&self, space: &OptionSpace, draws: &mut Draws) -> Self {
        let mut child = self.clone();
        let forced = draws.index(child.places.len());
        for (index, (place, option)) in child.places.iter_mut().zip(&space.options).enumerate() {
            if !draws.happens(space.rate) && index != forced {
                continue;
            }
            *place = match option.range {
                OptionRange::Choice { .. } => draws.uniform(),
                // Reflected at the bounds.
                _ => {
                    let moved = (*place + space.jitter * draws.normal()).rem_euclid(2.0);
                    if moved > 1.0 { 2.0 - moved } else { moved }
                }
            };
        }
        child
    }

    fn crossover(&self, other: &Self, _space: &OptionSpace, draws: &mut Draws) -> Self {
        let places = self.places.iter().zip(&other.places);
        Self {
            places: places.map(|(mine, theirs)| if draws.happens(0.5) { *mine } else { *theirs }).collect(),
        }
    }

    fn plan(&self, space: &OptionSpace) -> Result<Plan, SamplerError> {
        let sampler = self.sampler(space)?;
        let steps = sampler.planner().steps_for(space.evaluations, space.paths.len());
        let steps = steps.ok_or_else(|| SamplerError::SearchedOption {
            field: String::new(),
            problem: format!("not one step fits into {} evaluations", space.evaluations),
        })?;
        sampler.plan(&space.paths, steps)
    }

    fn features(&self, space: &OptionSpace) -> Vec<f64> {
        let mut features = Vec::new();
        for (place, option) in self.places.iter().zip(&space.options) {
            match &option.range {
                OptionRange::Choice { values } => {
                    let chosen = option.range.value(*place);
                    features.extend(values.iter().map(|value| if *value == chosen { 1.0 } else { 0.0 }));
                }
                _ => features.push(*place),
            }
        }
        features
    }
}
