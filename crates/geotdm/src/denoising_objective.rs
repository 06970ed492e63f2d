//! The loss of GeoTDM over a set of trajectories, as the trainer takes it.
//!
//! Levels and noise are functions of (seed, epoch, example) alone. A batch is evaluated a few systems at a time, each few
//! with a backward pass of their own, and the gradients are added up in the order of the batch: memory is that of the few,
//! and neither it nor the number of threads changes a bit of the result.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::{DType, Device};
use equidrift_backend::normal::standard_normals;
use equidrift_backend::philox::philox4x32_10;
use equidrift_backend::weights::{HostTensor, ParameterSet};
use equidrift_train::{Evaluation, Group, Objective, TrainError};

use crate::denoising_loss::{CountedNodes, NoisedGroup, system_losses};
use crate::diffusion::TrajectoryDiffusion;
use crate::error::GeotdmError;
use crate::fused::{FusedNetwork, NoisyExample};
use crate::network::GeotdmNetwork;
use crate::network_config::NetworkConfig;
use crate::system::{System, groups_of_like_shape};
use crate::system_group::{SystemGroup, from_host, to_host};
use crate::training_examples::{TrainingExample, TrainingExamples};

/// The parameters are clipped together.
pub const GROUPS: [Group; 1] = [Group { name: "network", prefix: "" }];

/// Edges times frames of the systems that have a backward pass together.
const ROWS_SIDE_BY_SIDE: usize = 1 << 13;
/// A batch is cut into so many parts at least, for the threads.
const PARTS: usize = 8;
/// Most examples whose gradients are summed in single precision.
const LONGEST_PART: usize = 16;

/// Keeps these numbers apart from every other use of the same seed.
const STREAM: u32 = 0x6765_6f74; // "geot"

/// What is put on an example in an epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseDraw {
    /// The level, uniform.
    pub level: usize,
    /// The noise, as many numbers as the trajectory has.
    pub noise: Vec<f64>,
}

/// What evaluates the loss.
#[derive(Debug, Clone)]
pub enum TrainingEngine {
    /// The fused kernels: processor only, the fastest there.
    Fused,
    /// The tensor library on a device.
    TensorLibrary(Device),
}

/// The mean squared error of the noise.
pub struct DenoisingObjective<'a> {
    config: NetworkConfig,
    diffusion: TrajectoryDiffusion,
    counted: CountedNodes,
    examples: &'a dyn TrainingExamples,
    seed: u64,
    engine: TrainingEngine,
    threads: NonZeroUsize,
    side_by_side: usize,
    regression: bool,
}

/// Loss and gradient of a few systems, both divided by the size of the whole batch.
type Part = (f64, ParameterSet);

impl<'a> DenoisingObjective<'a> {
    /// The loss over `examples` with levels and noise from `seed`. The threads change the speed only.
    pub fn new(
        config: NetworkConfig,
        diffusion: TrajectoryDiffusion,
        counted: CountedNodes,
        examples: &'a dyn TrainingExamples,
        seed: u64,
        engine: TrainingEngine,
        threads: NonZeroUsize,
    ) -> Self {
        let side_by_side = ROWS_SIDE_BY_SIDE;
        let regression = false;
        Self { config, diffusion, counted, examples, seed, engine, threads, side_by_side, regression }
    }

    /// Draws the last level only, where all but the given frames is noise: what is learnt is the mean of what follows, a
    /// forecaster as the published comparisons have them (EGNN and others), to be drawn by one step.
    #[must_use]
    pub fn with_regression(mut self, regression: bool) -> Self {
        self.regression = regression;
        self
    }

    /// How many rows of edges and frames have a backward pass of the tensor library together. More suits devices with much
    /// memory.
    #[must_use]
    pub fn with_side_by_side(mut self, rows: usize) -> Self {
        self.side_by_side = rows.max(1);
        self
    }

    /// The level and the noise of example `index` with `count` numbers, in epoch `epoch`.
    #[must_use]
    pub fn draw(&self, index: usize, epoch: u64, count: usize) -> NoiseDraw {
        let key = [self.seed as u32, (self.seed >> 32) as u32];
        let block = |block: u32| philox4x32_10([block, index as u32, epoch as u32, STREAM], key);
        // Block 0 is for the level: 64 bits times T, the high word of the product.
        let [high, low, ..] = block(0);
        let word = u128::from(u64::from(high) << 32 | u64::from(low));
        let drawn = ((word * self.diffusion.steps() as u128) >> 64) as usize;
        let level = if self.regression { self.diffusion.steps() - 1 } else { drawn };
        let words: Vec<u32> = (1..).flat_map(block).take(count).collect();
        let mut noise = vec![0.0; count];
        standard_normals(&words, &mut noise);
        NoiseDraw { level, noise }
    }

    /// Loss, and gradient where it is asked for, of these examples of a batch of `batch`.
    fn part(
        &self,
        network: &GeotdmNetwork,
        members: &[(usize, &TrainingExample)],
        epoch: u64,
        batch: usize,
        gradient: bool,
    ) -> Result<Part, GeotdmError> {
        let systems: Vec<&System> = members.iter().map(|(_, example)| &example.system).collect();
        let (device, dtype) = (network.device(), network.dtype());
        let group = SystemGroup::new(&self.config, &systems, device, dtype)?;
        let draws: Vec<NoiseDraw> =
            members.iter().map(|(index, example)| self.draw(*index, epoch, example.clean.len())).collect();
        let expected: usize = group.shape().iter().product();
        let tensor = |what, values: Vec<f64>| {
            let found = values.len();
            if found == expected {
                Ok(from_host::<3>(values, group.shape(), device, dtype))
            } else {
                Err(GeotdmError::Count { what, expected, found })
            }
        };
        let clean = members.iter().flat_map(|(_, example)| example.clean.iter().copied()).collect();
        let noise = draws.iter().flat_map(|draw| draw.noise.iter().copied()).collect();
        let levels: Vec<usize> = draws.iter().map(|draw| draw.level).collect();
        let noised = NoisedGroup::new(
            network,
            &self.diffusion,
            &group,
            tensor("numbers of trajectories", clean)?,
            tensor("numbers of noise", noise)?,
            &levels,
        )?;
        let denoised = noised.denoise(network, &self.diffusion, &group)?;
        let losses = system_losses(noised.node_losses(&denoised, &group), self.counted);
        let loss = losses.sum().mul_scalar(1.0 / batch as f64);
        if gradient {
            let value = to_host("the loss", loss.clone().inner())?;
            return Ok((value[0], network.gradients(&mut loss.backward())?));
        }
        Ok((to_host("the loss", loss)?[0], ParameterSet::new()))
    }

    /// All parts of a batch, in its order.
    fn parts(
        &self,
        parameters: &ParameterSet,
        indices: &[usize],
        epoch: u64,
        gradient: bool,
    ) -> Result<Vec<Part>, GeotdmError> {
        let examples =
            indices.iter().map(|&index| self.examples.example(index)).collect::<Result<Vec<_>, _>>()?;
        let longest = indices.len().div_ceil(PARTS).clamp(1, LONGEST_PART);
        let members = |places: &[usize]| -> Vec<(usize, &TrainingExample)> {
            places.iter().map(|&place| (indices[place], &examples[place])).collect()
        };
        match &self.engine {
            TrainingEngine::Fused => {
                let network = FusedNetwork::new(&self.config, parameters)?;
                let places: Vec<usize> = (0..indices.len()).collect();
                let parts: Vec<&[usize]> = places.chunks(longest).collect();
                self.in_threads(
                    &parts,
                    || Ok(&network),
                    |network, places| {
                        self.fused_part(network, &members(places), epoch, indices.len(), gradient)
                    },
                )
            }
            TrainingEngine::TensorLibrary(device) => {
                let device = if gradient { device.clone().autodiff() } else { device.clone() };
                let systems: Vec<&System> = examples.iter().map(|example| &example.system).collect();
                let most = |system: &System| system.most_within(self.side_by_side).min(longest);
                let groups = groups_of_like_shape(&systems, most);
                // A network for each thread: backward passes that share a parameter wait for one another, in the tensor
                // library's present version for ever.
                let network = || GeotdmNetwork::read(&self.config, parameters, &device, DType::F32);
                self.in_threads(&groups, network, |network, places| {
                    self.part(network, &members(places), epoch, indices.len(), gradient)
                })
            }
        }
    }

    /// Loss, and gradient where it is asked for, of these examples of a batch of `batch`, by the fused kernels.
    fn fused_part(
        &self,
        network: &FusedNetwork,
        members: &[(usize, &TrainingExample)],
        epoch: u64,
        batch: usize,
        gradient: bool,
    ) -> Result<Part, GeotdmError> {
        let draws: Vec<NoiseDraw> =
            members.iter().map(|(index, example)| self.draw(*index, epoch, example.clean.len())).collect();
        let noisy: Vec<NoisyExample<'_>> = members
            .iter()
            .zip(&draws)
            .map(|((_, example), draw)| NoisyExample {
                example,
                noise: &draw.noise,
                level: self.diffusion.level(draw.level),
            })
            .collect();
        network.loss_and_gradient(&noisy, self.counted, 1.0 / batch as f64, gradient)
    }

    /// `work` of every part, in their order. Each thread has its own `tool`, and takes the next part as it becomes free.
    fn in_threads<P: Sync, T>(
        &self,
        parts: &[P],
        tool: impl Fn() -> Result<T, GeotdmError> + Sync,
        work: impl Fn(&T, &P) -> Result<Part, GeotdmError> + Sync,
    ) -> Result<Vec<Part>, GeotdmError> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Part)>, GeotdmError> {
            let tool = tool()?;
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(part) = parts.get(number) else { return Ok(done) };
                done.push((number, work(&tool, part)?));
            }
        };
        let helpers = self.threads.get().min(parts.len()).saturating_sub(1);
        let mut done = std::thread::scope(|scope| {
            let helpers: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            for helper in helpers {
                let more = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                done = done.and_then(|mut done| {
                    done.extend(more?);
                    Ok(done)
                });
            }
            done
        })?;
        done.sort_by_key(|(number, _)| *number);
        Ok(done.into_iter().map(|(_, part)| part).collect())
    }
}

impl Objective for DenoisingObjective<'_> {
    fn losses(&self) -> &[&'static str] {
        &["noise"]
    }

    fn examples(&self) -> usize {
        self.examples.count()
    }

    fn evaluate(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Evaluation, TrainError> {
        let parts = self.parts(parameters, examples, epoch, true).map_err(failed)?;
        let losses = vec![parts.iter().map(|(loss, _)| loss).sum()];
        let mut sums: BTreeMap<String, (Vec<usize>, Vec<f64>)> = BTreeMap::new();
        for (name, tensor) in parts.into_iter().flat_map(|(_, gradient)| gradient) {
            let (_, sum) =
                sums.entry(name).or_insert_with(|| (tensor.shape.clone(), vec![0.0; tensor.len()]));
            sum.iter_mut().zip(tensor.to_f64()).for_each(|(sum, value)| *sum += value);
        }
        let gradient =
            sums.into_iter().map(|(name, (shape, sum))| (name, HostTensor::f64(shape, sum))).collect();
        Ok(Evaluation { losses, gradient })
    }

    fn evaluate_losses(
        &mut self,
        parameters: &ParameterSet,
        examples: &[usize],
        epoch: u64,
    ) -> Result<Vec<f64>, TrainError> {
        let parts = self.parts(parameters, examples, epoch, false).map_err(failed)?;
        Ok(vec![parts.iter().map(|(loss, _)| loss).sum()])
    }
}

fn failed(error: GeotdmError) -> TrainError {
    TrainError::Objective(Box::new(error))
}
