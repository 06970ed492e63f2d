//! Denoising score matching for the pair of diffusions of GDSS.
//!
//! Per graph, with one time `t` for both networks and masked noise `z` (symmetric with zero diagonal for the
//! adjacency):
//!
//! ```text
//! t = eps + (1 - eps) u                       u uniform in [0, 1), eps = 1e-5
//! x_t = alpha_x(t) x + sigma_x(t) z_x         a_t = alpha_a(t) a + sigma_a(t) z_a, both masked
//! loss_x   = mean over graphs of 1/2 sum |sigma_x(t) s_theta(x_t, a_t) + z_x|^2
//! loss_adj = mean over graphs of 1/2 sum |sigma_a(t) s_phi(x_t, a_t) + z_a|^2     over all N^2 entries
//! ```
//!
//! A network that returns something else than score or noise ([`PredictionKind`]) has the loss `1/2 w(t) sum |net - p|^2` with
//! that prediction `p` of the data and noise, and the weights `w` of a [`LossWeighting`].
//!
//! | symbol | here |
//! | --- | --- |
//! | `alpha`, `sigma` | mean coefficient and standard deviation of the [`Path`] |
//! | `s_theta`, `s_phi` | scores; `sigma s = scale * net`, with `scale = sigma` (VE: the network is the score) or `-1` (VP, sub-VP: the network is the noise) |
//! | mask | nodes that have an edge in the clean graph |
//!
//! **Input perturbation** of strength `g` shows the networks `x_t + g sigma_x(t) e` with further noise `e`, and asks for the
//! same `z`: in sampling they see states that carry the errors of the steps before, which clean training data never do.
//!
//! By default the loss weights all times alike because `sigma s + z` is the residual of the noise. Cost: one forward and one
//! backward pass of both networks per graph and epoch. Times and noise are functions of (seed, epoch, row of the
//! data) alone.
//!
//! Reference: Jo, Lee and Hwang, "Score-based generative modeling of graphs via the system of stochastic
//! differential equations", 2022, equation 6; Vincent, "A connection between score matching and denoising
//! autoencoders", 2011; Ning, Sangineto, Porrello, Calderara and Cucchiara, "Input perturbation reduces exposure bias in
//! diffusion models", 2023, algorithm 1.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use equidrift_backend::normal::standard_normals;
use equidrift_backend::philox::philox4x32_10;
use equidrift_backend::weights::{HostTensor, ParameterSet, Values};
use equidrift_sampler::PredictionKind;
use equidrift_sampler::path::{Marginal, Path};
use equidrift_train::{Evaluation, Group, LossWeighting, Objective, TrainError};

use crate::config::PathsConfig;
use crate::engine::{EngineError, GradientEngine, GraphBatch, LossAndGradient, ScoreMatchingBatch};
use crate::graph_dataset::{CleanGraphs, GraphDataset};

/// Smallest time trained on: at `t = 0` the preserving paths have no noise to predict.
pub const SMALLEST_TIME: f64 = 1e-5;

/// Optimiser groups: each network is clipped by its own gradient norm.
pub const GROUPS: [Group; 2] = [Group { name: "x", prefix: "x." }, Group { name: "adj", prefix: "adj." }];

/// Graphs evaluated together. Small enough that an evaluation stays in the caches, and a fixed number, so that the
/// order of the sums, and with it every bit of the gradient, does not depend on the number of threads.
const SHARD: usize = 128;

/// Keeps these numbers apart from every other use of the same seed.
const STREAM: u32 = 0x6473_6d20; // "dsm "
/// The same for the noise of input perturbation.
const PERTURBATION: u32 = 0x6e69_6e67; // "ning"

/// How the data of one component are noised, and what its network is to say of it.
struct Noising {
    path: Box<dyn Path>,
    kind: PredictionKind,
    weighting: LossWeighting,
    /// Factor on the data.
    scale: f64,
}

/// A [`Noising`] at one time: `scale net + (data clean + noise z)` is the residual.
struct NoisingAt {
    at: Marginal,
    scale: f64,
    data: f64,
    noise: f64,
}

impl Noising {
    fn at(&self, t: f64) -> NoisingAt {
        let at = self.path.marginal(t);
        // The score is trained as noise: sigma s + z.
        let (scale, data, noise) = match self.kind {
            PredictionKind::Score => (at.sigma, 0.0, 1.0),
            PredictionKind::X0 => (-1.0, 1.0, 0.0),
            PredictionKind::V => (-1.0, -at.sigma, at.alpha),
            PredictionKind::Velocity => (-1.0, at.d_alpha, at.d_sigma),
            _ => (-1.0, 0.0, 1.0),
        };
        let root = self.weighting.weight(self.kind, &at).sqrt();
        NoisingAt { at, scale: root * scale, data: root * data, noise: root * noise }
    }
}

impl NoisingAt {
    /// The noised entry and the part of the residual that is not the network's.
    fn entry(&self, clean: f64, z: f64) -> (f64, f64) {
        (self.at.alpha * clean + self.at.sigma * z, self.data * clean + self.noise * z)
    }
}

/// The two paths, ready to be evaluated.
pub struct PathPair {
    x: Noising,
    adj: Noising,
}

impl PathPair {
    /// Builds both paths; all times weigh alike.
    pub fn new(paths: &PathsConfig) -> Self {
        Self::weighted(paths, LossWeighting::Uniform)
    }

    /// Builds both paths.
    pub fn weighted(paths: &PathsConfig, weighting: LossWeighting) -> Self {
        let [x, adj] = paths.kinds();
        Self {
            x: Noising { path: paths.x.build(), kind: x, weighting, scale: paths.scales.x },
            adj: Noising { path: paths.adj.build(), kind: adj, weighting, scale: paths.scales.adj },
        }
    }
}

/// Perturbed graphs with the noise that perturbed them: the owner behind a [`ScoreMatchingBatch`].
#[derive(Debug, Clone, PartialEq)]
pub struct PerturbedGraphs<T> {
    batch: usize,
    nodes: usize,
    features: usize,
    x: Vec<T>,
    adj: Vec<T>,
    mask: Vec<T>,
    times: Vec<f64>,
    scale_x: Vec<T>,
    z_x: Vec<T>,
    scale_adj: Vec<T>,
    z_adj: Vec<T>,
}

impl<T> PerturbedGraphs<T> {
    /// What an engine takes.
    pub fn view(&self) -> ScoreMatchingBatch<'_, T> {
        ScoreMatchingBatch {
            graphs: GraphBatch {
                batch: self.batch,
                nodes: self.nodes,
                features: self.features,
                x: &self.x,
                adj: &self.adj,
                mask: &self.mask,
                times: &self.times,
            },
            scale_x: &self.scale_x,
            z_x: &self.z_x,
            scale_adj: &self.scale_adj,
            z_adj: &self.z_adj,
        }
    }
}

impl PerturbedGraphs<f64> {
    /// Perturbs `clean` at the times `times` `[B]` with the standard normal numbers `z_x` `[B, N, F]` and `z_adj`
    /// `[B, N, N]`, of which only the strict upper triangle is read. Masking is done here.
    ///
    /// # Panics
    /// If a slice has another length.
    pub fn new(clean: &CleanGraphs, paths: &PathPair, times: &[f64], z_x: &[f64], z_adj: &[f64]) -> Self {
        let CleanGraphs { batch, nodes: n, features: f, .. } = *clean;
        assert_eq!(times.len(), batch, "one time per graph");
        assert_eq!(z_x.len(), clean.x.len(), "z_x is not [B, N, F]");
        assert_eq!(z_adj.len(), clean.adj.len(), "z_adj is not [B, N, N]");
        let mut perturbed = Self {
            batch,
            nodes: n,
            features: f,
            x: vec![0.0; clean.x.len()],
            adj: vec![0.0; clean.adj.len()],
            mask: clean.mask.iter().map(|&real| f64::from(u8::from(real))).collect(),
            times: times.to_vec(),
            scale_x: Vec::with_capacity(batch),
            z_x: vec![0.0; z_x.len()],
            scale_adj: Vec::with_capacity(batch),
            z_adj: vec![0.0; z_adj.len()],
        };
        for (b, &t) in times.iter().enumerate() {
            let (x, adj) = (paths.x.at(t), paths.adj.at(t));
            perturbed.scale_x.push(x.scale);
            perturbed.scale_adj.push(adj.scale);
            let mask = &clean.mask[b * n..][..n];
            for i in (0..n).filter(|&i| mask[i]) {
                let features = (b * n + i) * f..(b * n + i + 1) * f;
                let given = clean.x[features.clone()].iter().zip(&z_x[features.clone()]);
                let made = perturbed.x[features.clone()].iter_mut().zip(&mut perturbed.z_x[features]);
                for ((value, target), (clean, &z)) in made.zip(given) {
                    (*value, *target) = x.entry(paths.x.scale * clean, z);
                }
                for j in (i + 1..n).filter(|&j| mask[j]) {
                    let (upper, lower) = ((b * n + i) * n + j, (b * n + j) * n + i);
                    let (value, z) = adj.entry(paths.adj.scale * clean.adj[upper], z_adj[upper]);
                    (perturbed.z_adj[upper], perturbed.z_adj[lower]) = (z, z);
                    (perturbed.adj[upper], perturbed.adj[lower]) = (value, value);
                }
            }
        }
        perturbed
    }

    /// Adds noise of `strength` times the standard deviation of each graph's time to what the networks see; `e_x` and
    /// `e_adj` are standard normal numbers as in [`PerturbedGraphs::new`].
    fn add_noise(&mut self, paths: &PathPair, strength: f64, e_x: &[f64], e_adj: &[f64]) {
        let (n, f) = (self.nodes, self.features);
        for (b, &t) in self.times.iter().enumerate() {
            let [x, adj] = [&paths.x, &paths.adj].map(|noising| strength * noising.path.marginal(t).sigma);
            let mask = &self.mask[b * n..][..n];
            for i in (0..n).filter(|&i| mask[i] > 0.0) {
                let features = (b * n + i) * f..(b * n + i + 1) * f;
                for (value, e) in self.x[features.clone()].iter_mut().zip(&e_x[features]) {
                    *value += x * e;
                }
                for j in (i + 1..n).filter(|&j| mask[j] > 0.0) {
                    let (upper, lower) = ((b * n + i) * n + j, (b * n + j) * n + i);
                    self.adj[upper] += adj * e_adj[upper];
                    self.adj[lower] = self.adj[upper];
                }
            }
        }
    }

    /// The same in single precision.
    pub fn to_single(&self) -> PerturbedGraphs<f32> {
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect();
        PerturbedGraphs {
            batch: self.batch,
            nodes: self.nodes,
            features: self.features,
            x: single(&self.x),
            adj: single(&self.adj),
            mask: single(&self.mask),
            times: self.times.clone(),
            scale_x: single(&self.scale_x),
            z_x: single(&self.z_x),
            scale_adj: single(&self.scale_adj),
            z_adj: single(&self.z_adj),
        }
    }
}

/// The time of a uniform number in [0, 1).
pub fn training_time(uniform: f64) -> f64 {
    uniform * (1.0 - SMALLEST_TIME) + SMALLEST_TIME
}

/// The two losses of GDSS over a set of graphs.
pub struct DenoisingScoreMatching<'a> {
    engine: Box<dyn GradientEngine>,
    data: &'a GraphDataset,
    paths: PathPair,
    input_perturbation: f64,
    seed: u64,
    threads: NonZeroUsize,
}

impl<'a> DenoisingScoreMatching<'a> {
    /// Losses of the engine's networks over `data`, with times and noise from `seed`, evaluated on `threads` threads.
    /// The threads change the speed only.
    pub fn new(
        engine: Box<dyn GradientEngine>,
        data: &'a GraphDataset,
        paths: &PathsConfig,
        seed: u64,
        threads: NonZeroUsize,
    ) -> Self {
        Self { engine, data, paths: PathPair::new(paths), input_perturbation: 0.0, seed, threads }
    }

    /// The same losses with other weights of the times.
    #[must_use]
    pub fn weighted(mut self, weighting: LossWeighting) -> Self {
        self.paths.x.weighting = weighting;
        self.paths.adj.weighting = weighting;
        self
    }

    /// The same losses at states with further noise, `strength` times that of their time.
    #[must_use]
    pub fn with_input_perturbation(mut self, strength: f64) -> Self {
        self.input_perturbation = strength;
        self
    }

    /// The perturbed graphs of these examples in epoch `epoch`.
    pub fn perturbed(&self, examples: &[usize], epoch: u64) -> PerturbedGraphs<f64> {
        let clean = self.data.dense(examples);
        let mut times = Vec::with_capacity(examples.len());
        for &example in examples {
            let [high, low, ..] = self.block(STREAM, self.data.row(example), epoch, 0);
            // The 53 leading bits of two words: uniform in [0, 1).
            let uniform = ((u64::from(high) << 32 | u64::from(low)) >> 11) as f64 / (1u64 << 53) as f64;
            times.push(training_time(uniform));
        }
        let [z_x, z_adj] = self.normals(STREAM, examples, epoch, &clean);
        let mut perturbed = PerturbedGraphs::new(&clean, &self.paths, &times, &z_x, &z_adj);
        if self.input_perturbation > 0.0 {
            let [e_x, e_adj] = self.normals(PERTURBATION, examples, epoch, &clean);
            perturbed.add_noise(&self.paths, self.input_perturbation, &e_x, &e_adj);
        }
        perturbed
    }

    /// Four words of a stream; block 0 of every stream is that of the time.
    fn block(&self, stream: u32, row: u64, epoch: u64, block: u32) -> [u32; 4] {
        philox4x32_10([block, row as u32, epoch as u32, stream], [self.seed as u32, (self.seed >> 32) as u32])
    }

    /// Standard normal numbers of a stream for the node features `[B, N, F]` and for the strict upper triangle of the
    /// adjacency `[B, N, N]`.
    fn normals(&self, stream: u32, examples: &[usize], epoch: u64, clean: &CleanGraphs) -> [Vec<f64>; 2] {
        let (n, f) = (clean.nodes, clean.features);
        let mut z_x = vec![0.0; clean.x.len()];
        let mut z_adj = vec![0.0; clean.adj.len()];
        // Per graph one word per node feature and per unordered pair, in this order.
        let pairs = n * n.saturating_sub(1) / 2;
        let mut words = Vec::with_capacity(n * f + pairs + 4);
        let mut normals = vec![0.0; n * f + pairs];
        for (slot, &example) in examples.iter().enumerate() {
            words.clear();
            for index in 1.. {
                if words.len() >= normals.len() {
                    break;
                }
                words.extend(self.block(stream, self.data.row(example), epoch, index));
            }
            standard_normals(&words[..normals.len()], &mut normals);
            z_x[slot * n * f..][..n * f].copy_from_slice(&normals[..n * f]);
            let mut pair = normals[n * f..].iter();
            for i in 0..n {
                for (j, z) in (i + 1..n).zip(pair.by_ref()) {
                    z_adj[(slot * n + i) * n + j] = *z;
                }
            }
        }
        [z_x, z_adj]
    }

    /// Losses and gradient of every shard, in their order. Threads take the next shard as they become free.
    fn shards(&self, examples: &[usize], epoch: u64) -> Vec<(usize, Result<LossAndGradient, EngineError>)> {
        let shards: Vec<&[usize]> = examples.chunks(SHARD).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(examples) = shards.get(index) else { return done };
                let perturbed = self.perturbed(examples, epoch).to_single();
                let result = self.engine.loss_and_gradient(&perturbed.view());
                done.push((index, examples.len(), result));
            }
        };
        let mut done = std::thread::scope(|scope| {
            let helpers = self.threads.get().min(shards.len()) - 1;
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for helper in helpers {
                match helper.join() {
                    Ok(more) => done.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            done
        });
        done.sort_by_key(|(index, ..)| *index);
        done.into_iter().map(|(_, examples, result)| (examples, result)).collect()
    }
}

impl Objective for DenoisingScoreMatching<'_> {
    fn losses(&self) -> &[&'static str] {
        &["x", "adj"]
    }

    fn examples(&self) -> usize {
        self.data.len()
    }

    fn evaluate(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Evaluation, TrainError> {
        let failed = |error: EngineError| TrainError::Objective(Box::new(error));
        self.engine.set_parameters(parameters).map_err(failed)?;
        // Graphs of like sizes side by side need little padding.
        let mut by_size = examples.to_vec();
        by_size.sort_by_key(|&example| self.data.size(example));
        let examples = &by_size;
        let mut losses = vec![0.0; 2];
        let mut sums: BTreeMap<String, (Vec<usize>, Vec<f64>)> = BTreeMap::new();
        for (size, shard) in self.shards(examples, epoch) {
            let shard = shard.map_err(failed)?;
            let weight = size as f64 / examples.len() as f64;
            losses[0] += weight * shard.loss_x;
            losses[1] += weight * shard.loss_adj;
            for (name, tensor) in shard.gradient {
                let (_, sum) =
                    sums.entry(name).or_insert_with(|| (tensor.shape.clone(), vec![0.0; tensor.len()]));
                match &tensor.values {
                    Values::F32(g) => sum.iter_mut().zip(g).for_each(|(s, &g)| *s += weight * f64::from(g)),
                    Values::F64(g) => sum.iter_mut().zip(g).for_each(|(s, &g)| *s += weight * g),
                }
            }
        }
        let gradient =
            sums.into_iter().map(|(name, (shape, sum))| (name, HostTensor::f64(shape, sum))).collect();
        Ok(Evaluation { losses, gradient })
    }
}
