//! A prior that is known before anything is learnt: the linear forecast of each node from its own given frames, with the size
//! of that forecast's error.
//!
//! ```text
//! x_ref[s] = y_last + sum_{t < last} w_ts (y_t - y_last)          z_0[s] = (x_0[s] - x_ref[s]) / d_s
//! ```
//!
//! The weights are those of least squares over the training windows and d_s the root mean square of what they leave, so that
//! z_0 has variance 1 in every frame and the diffusion ends in what the data look like. The network is shown
//! `x_ref + √ᾱ d z`, the best linear guess of the positions: with much noise the forecast itself, with little the trajectory, in
//! the lengths of the system at every level. Weights act on vectors and d_s is a number, so everything
//! turns, mirrors and moves with the given frames, as with the learned prior, of which this is a fixed member: there the
//! weights come of a network (Han et al., NeurIPS 2024, section 4.3). Flow models of trajectories start from forecasts, too
//! (STFlow, arXiv 2505.18647).

use std::collections::BTreeMap;

use equidrift_trajectory::baselines::{LinearRegression, Sharing};
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::environments::{environments, feature_bits};
use crate::error::GeotdmError;
use crate::system::{System, SystemGraph};
use crate::training_examples::{TrainingExample, TrainingExamples};

/// Most kinds of nodes.
const MOST_CLASSES: usize = 256;
/// Smallest scale relative to the largest of a class, and to how far its nodes move: what follows exactly has no error to be
/// divided by, only rounding.
const LEAST_SCALE: [f64; 2] = [1e-4, 1e-6];

/// Forecasts of all kinds of nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extrapolation {
    /// One for each set of node features; or a single one without features, which is for all nodes.
    pub classes: Vec<NodeForecast>,
}

/// Which nodes have weights of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KindsOfNodes {
    /// None: the weights are for all.
    All,
    /// Those of equal features.
    Features,
    /// Those of equal features whose neighbours up to two edges away look the same ([`environments`]); and beside them, for nodes
    /// in an environment that was not trained on, those of equal features.
    Environments,
}

/// The forecast of one kind of node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeForecast {
    /// The features of the nodes it is for, `[F]`; empty: for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<f64>,
    /// The environment of the nodes it is for, if it is not for all with these features: 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// `w`, `[T, given - 1]`.
    pub weights: Vec<Vec<f64>>,
    /// `d`, `[T]`, lengths.
    pub scales: Vec<f64>,
}

/// What a system's trajectories are measured from, and by.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// `x_ref`, `[N, T, D]`.
    pub reference: Vec<f64>,
    /// `d`, `[N, T, D]`: the same for all coordinates of a position.
    pub scale: Vec<f64>,
}

impl Forecast {
    /// `(x - x_ref) / d`.
    #[must_use]
    pub fn standardised(&self, trajectory: &[f64]) -> Vec<f64> {
        let parts = trajectory.iter().zip(&self.reference).zip(&self.scale);
        parts.map(|((x, reference), scale)| (x - reference) / scale).collect()
    }

    /// `x_ref + d z`.
    #[must_use]
    pub fn trajectory(&self, z: &[f64]) -> Vec<f64> {
        let parts = z.iter().zip(&self.reference).zip(&self.scale);
        parts.map(|((z, reference), scale)| reference + scale * z).collect()
    }
}

/// A kind of node: bits of its features, and its environment where that matters.
type Kind = (Vec<u64>, Option<u64>);

fn named(environment: u64) -> String {
    format!("{environment:016x}")
}

impl Extrapolation {
    /// Least squares over examples that all have `given` and `made` frames of `D` coordinates. Cost: two passes over the examples.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] for features that change from frame to frame or too many kinds of nodes;
    /// [`GeotdmError::Trajectory`] for fewer than two given frames or examples in which nothing moves.
    pub fn fit<const D: usize>(
        examples: &dyn TrainingExamples,
        given: usize,
        made: usize,
        kinds: KindsOfNodes,
    ) -> Result<Self, GeotdmError> {
        let mut regressions: BTreeMap<Kind, LinearRegression> = BTreeMap::new();
        for_all_nodes::<D>(examples, kinds, |class, window| {
            if !regressions.contains_key(class) {
                let (what, found) = ("kinds of nodes, at most", regressions.len() + 1);
                if found > MOST_CLASSES {
                    return Err(GeotdmError::Count { what, expected: MOST_CLASSES, found });
                }
                let fresh = LinearRegression::new(given, made, Sharing::Shared, 0)?;
                regressions.insert(class.clone(), fresh);
            }
            if let Some(regression) = regressions.get_mut(class) {
                regression.learn(window, 1)?;
            }
            Ok(())
        })?;
        for regression in regressions.values_mut() {
            regression.solve()?;
        }
        // Of a class: squared errors of each frame, squared ways to the last, coordinates.
        let mut sums: BTreeMap<Kind, (Vec<f64>, f64, usize)> = BTreeMap::new();
        for_all_nodes::<D>(examples, kinds, |class, window| {
            let Some(regression) = regressions.get(class) else { return Ok(()) };
            let predicted = regression.predict(&window[..given], 1)?;
            let (sums, ways, count) = sums.entry(class.clone()).or_insert_with(|| (vec![0.0; made], 0.0, 0));
            let square = |a: &[f32; D], b: &[f32; D]| {
                a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
            };
            for ((sum, found), truth) in sums.iter_mut().zip(&predicted).zip(&window[given..]) {
                *sum += square(found, truth);
            }
            *ways += square(&window[given + made - 1], &window[given - 1]);
            *count += D;
            Ok(())
        })?;
        let classes =
            regressions.iter().zip(sums.into_values()).map(|((kind, regression), (sums, ways, count))| {
                let scales: Vec<f64> = sums.iter().map(|sum| (sum / count as f64).sqrt()).collect();
                let largest = scales.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
                let [of_errors, of_ways] = LEAST_SCALE;
                let least = (of_errors * largest).max(of_ways * (ways / count as f64).sqrt());
                NodeForecast {
                    features: kind.0.iter().map(|&bits| f64::from_bits(bits)).collect(),
                    environment: kind.1.map(named),
                    weights: regression.shared_weights().unwrap_or_default(),
                    scales: scales.into_iter().map(|scale| scale.max(least)).collect(),
                }
            });
        Ok(Self { classes: classes.collect() })
    }

    /// The measure of unconditional trajectories of `made` frames: no forecast, and the root mean square of the coordinates about
    /// the joint mean of each example as the one scale. Cost: one pass over the examples.
    ///
    /// # Errors
    /// [`GeotdmError::Spread`] for examples that are but one point.
    pub fn spread(examples: &dyn TrainingExamples, made: usize) -> Result<Self, GeotdmError> {
        let (mut sum, mut count) = (0.0, 0_usize);
        for index in 0..examples.count() {
            let TrainingExample { system, mut clean } = examples.example(index)?;
            let d = system.dimensions;
            let points = (clean.len() / d) as f64;
            for k in 0..d {
                let mean = clean.iter().skip(k).step_by(d).sum::<f64>() / points;
                clean.iter_mut().skip(k).step_by(d).for_each(|x| *x -= mean);
            }
            sum += clean.iter().map(|x| x * x).sum::<f64>();
            count += clean.len();
        }
        let scale = (sum / count.max(1) as f64).sqrt();
        if !(scale.is_finite() && scale > 0.0) {
            return Err(GeotdmError::Spread { found: scale });
        }
        let everything =
            NodeForecast { weights: vec![Vec::new(); made], scales: vec![scale; made], ..Default::default() };
        Ok(Self { classes: vec![everything] })
    }

    /// Checks that it forecasts `frames` frames from `given`; if these are `centred`, that one scale is for all.
    pub(crate) fn check(&self, given: usize, frames: usize, centred: bool) -> Result<(), ConfigError> {
        let range = |field, found, minimum: usize, maximum: usize| {
            if (minimum..=maximum).contains(&found) {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { field, found, minimum, maximum })
            }
        };
        range(
            "network.extrapolation.classes",
            self.classes.len(),
            1,
            if centred { 1 } else { MOST_CLASSES },
        )?;
        for class in &self.classes {
            range("network.extrapolation.weights", class.weights.len(), frames, frames)?;
            range("network.extrapolation.scales", class.scales.len(), frames, frames)?;
            for row in &class.weights {
                range(
                    "network.extrapolation.weights",
                    row.len(),
                    given.saturating_sub(1),
                    given.saturating_sub(1),
                )?;
            }
            let scale = class.scales.iter().find(|scale| !(scale.is_finite() && **scale > 0.0));
            if let Some(&found) = scale {
                return Err(ConfigError::NotPositive { field: "network.extrapolation.scales", found });
            }
            let first = class.scales.first();
            if let Some(&found) = class.scales.iter().find(|scale| centred && Some(*scale) != first) {
                return Err(ConfigError::UnequalScales { found });
            }
        }
        Ok(())
    }

    /// Which class a node belongs to: that of its environment, if it is known, or else that of its features.
    fn class(
        &self,
        graph: &SystemGraph,
        node: usize,
        environment: Option<&str>,
    ) -> Result<&NodeForecast, GeotdmError> {
        let width = graph.node_width();
        let fits = |class: &&NodeForecast| {
            class.features.is_empty()
                || graph.feature_frames() == 1
                    && class.features == graph.node_features()[node * width..][..width]
        };
        let of_kind = |environment: Option<&str>| {
            self.classes.iter().filter(|class| class.environment.as_deref() == environment).find(fits)
        };
        of_kind(environment)
            .or_else(|| of_kind(None))
            .ok_or(GeotdmError::UnknownNode { node, known: self.classes.len() })
    }

    /// The forecast of a system.
    ///
    /// # Errors
    /// [`GeotdmError::UnknownNode`] for a node unlike all that were trained on; [`GeotdmError::Count`] for another number of
    /// given frames, or more frames than can be forecast.
    pub fn forecast(&self, system: &System) -> Result<Forecast, GeotdmError> {
        let (nodes, d, made, given) =
            (system.graph.nodes(), system.dimensions, system.frames, system.given_frames());
        let mut forecast = Forecast {
            reference: Vec::with_capacity(nodes * made * d),
            scale: Vec::with_capacity(nodes * made * d),
        };
        let told_apart = self.classes.iter().any(|class| class.environment.is_some());
        let environments: Vec<String> = if told_apart {
            environments(&system.graph).into_iter().map(named).collect()
        } else {
            Vec::new()
        };
        for node in 0..nodes {
            let class = self.class(&system.graph, node, environments.get(node).map(String::as_str))?;
            let known = class.weights.first().map_or(0, |row| row.len() + 1);
            if known.max(1) != given.max(1) {
                return Err(GeotdmError::Count { what: "given frames", expected: known, found: given });
            }
            if made > class.weights.len() {
                let (what, expected) =
                    ("frames to be made, of an extrapolation at most", class.weights.len());
                return Err(GeotdmError::Count { what, expected, found: made });
            }
            // Nothing given, nothing forecast: measured from the origin.
            let y = &system.given[node * given * d..][..given * d];
            let origin = vec![0.0; d];
            let last = if given == 0 { &origin[..] } else { &y[(given - 1) * d..] };
            for (weights, scale) in class.weights.iter().zip(&class.scales).take(made) {
                for k in 0..d {
                    let moved: f64 = weights
                        .iter()
                        .zip(y.chunks_exact(d))
                        .map(|(weight, point)| weight * (point[k] - last[k]))
                        .sum();
                    forecast.reference.push(last[k] + moved);
                    forecast.scale.push(*scale);
                }
            }
        }
        Ok(forecast)
    }
}

/// Shows every node of every example: its kind and its positions `[given + made]`; as often as there are kinds it is of.
fn for_all_nodes<const D: usize>(
    examples: &dyn TrainingExamples,
    kinds: KindsOfNodes,
    mut show: impl FnMut(&Kind, &[[f32; D]]) -> Result<(), GeotdmError>,
) -> Result<(), GeotdmError> {
    for index in 0..examples.count() {
        let example = examples.example(index)?;
        let system = &example.system;
        let (given, made) = (system.given_frames(), system.frames);
        let (frames, expected) = (system.graph.feature_frames(), 1);
        if kinds != KindsOfNodes::All && frames != expected {
            return Err(GeotdmError::Count { what: "frames of node features", expected, found: frames });
        }
        let environments = match kinds {
            KindsOfNodes::Environments => environments(&system.graph),
            KindsOfNodes::All | KindsOfNodes::Features => Vec::new(),
        };
        for node in 0..system.graph.nodes() {
            let before = system.given[node * given * D..][..given * D].iter();
            let after = example.clean[node * made * D..][..made * D].iter();
            let numbers: Vec<f32> = before.chain(after).map(|&x| x as f32).collect();
            let features =
                if kinds == KindsOfNodes::All { Vec::new() } else { feature_bits(&system.graph, node) };
            let window = numbers.as_chunks::<D>().0;
            if let Some(&environment) = environments.get(node) {
                show(&(features.clone(), Some(environment)), window)?;
            }
            show(&(features, None), window)?;
        }
    }
    Ok(())
}
