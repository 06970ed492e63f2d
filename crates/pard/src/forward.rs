//! Networks and losses on the tensors of a file, for checking converted weights.

use std::path::Path;

use burn::tensor::{DType, Device, Tensor};
use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::{HostTensor, TensorFile};
use equidrift_nn::{BatchMoments, Phase};

use crate::block_batch::BlockQuestions;
use crate::block_loss::block_loss;
use crate::denoising_loss::{DenoisingLoss, GraphDiffusion, NoisyTargets};
use crate::error::PardError;
use crate::file_batch::FileBatch;
use crate::heads::{BlockLogits, ClassLogits};
use crate::inputs::tensor;
use crate::model::PardModel;
use crate::network_config::{Sequence, Tasks};
use crate::networks::{DenoiserBatch, PardNetworks};

/// In what precision the networks compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single, as for generation.
    #[default]
    F32,
    /// Double.
    F64,
}

/// Evaluates the networks on the graphs of `inputs` (see [`FileBatch`]).
///
/// Returns, once with `PHASE` = `train` (batch norm by the batch) and once with `eval` (by the running moments):
///
/// | tensor | shape | content |
/// | --- | --- | --- |
/// | `out.PHASE.node_logit` | `[B, N, F]` | logits of the clean classes, 0 on padding |
/// | `out.PHASE.edge_logit` | `[B, N, N, C]` | the same of pairs, 0 where neither end sees the other |
/// | `out.PHASE.loss` | `[5]` | total, bound of nodes, cross-entropy of nodes, bound of edges, cross-entropy of edges, a graph; total = the configuration's `loss` (bound and cross-entropy weighted); of a combined network `[6]`, the last the loss of blocks, which the total contains |
/// | `out.PHASE.block.size_logit`, `out.PHASE.block.degree_logit` | `[B, M, classes]` | of the block after each (prefixes: `[B, classes]`) |
/// | `out.PHASE.block.first_degree_logit` | `[B, classes]` | of the first block |
/// | `out.PHASE.block.size_target`, `.degree_target`, `.mask` | `[B, M]` | what follows, and where there is a question (doubled sequences) |
/// | `out.PHASE.block.first_degree_target` | `[B]` | the first block's degree (doubled sequences) |
/// | `out.PHASE.block.loss` | `[1]` | loss of the block model (separate networks) |
///
/// Losses are computed in double precision from the logits.
///
/// # Errors
/// As [`FileBatch::read`]; [`PardError::Unknown`] for what the networks have no parameters for; [`PardError::Device`].
pub fn forward(
    model: &PardModel,
    inputs: &TensorFile,
    origin: &Path,
    precision: Precision,
    device: &Device,
) -> Result<TensorFile, PardError> {
    let config = model.config();
    let diffusion = config.diffusion.build()?;
    let file = FileBatch::read(&config.network, diffusion.nodes.steps(), inputs, origin)?;
    let dtype = match precision {
        Precision::F32 => DType::F32,
        Precision::F64 => DType::F64,
    };
    let networks = PardNetworks::read(&config.network, model.parameters(), device, dtype)?;
    let mut out = Outputs { precision, file: TensorFile::default() };
    for name in ["train", "eval"] {
        let moments = BatchMoments::default();
        let phase = if name == "train" { Phase::Training(&moments) } else { Phase::Evaluation };
        Pass { model, diffusion: &diffusion, networks: &networks, file: &file }.run(name, phase, &mut out)?;
    }
    Ok(out.file)
}

/// One evaluation of everything.
struct Pass<'a> {
    model: &'a PardModel,
    diffusion: &'a GraphDiffusion,
    networks: &'a PardNetworks,
    file: &'a FileBatch,
}

impl Pass<'_> {
    fn run(&self, name: &str, phase: Phase<'_>, out: &mut Outputs) -> Result<(), PardError> {
        let Self { model, diffusion, networks, file } = *self;
        let network = &model.config().network;
        let combined = network.tasks == Tasks::Combined;
        // The combined network is asked together with the denoiser, about the real half of what it sees.
        let questions = if combined { file.batch.questions() } else { file.questions.clone() };
        let input = DenoiserBatch {
            batch: &file.batch,
            times: &file.times,
            steps: diffusion.nodes.steps(),
            mean: network.training_mean(),
            structure: file.structure.as_ref(),
            questions: combined.then_some(&questions),
        };
        let (logits, blocks) = networks.denoise(&input, phase)?;
        let logits = ClassLogits { nodes: on_host(logits.nodes)?, pairs: on_host(logits.pairs)? };
        out.put(name, "node_logit", logits.nodes.clone())?;
        out.put(name, "edge_logit", logits.pairs.clone().permute([0, 2, 3, 1]))?;

        let asked = if combined { &file.batch } else { &file.asked };
        let blocks = match blocks {
            None if network.tasks == Tasks::Separate => {
                Some(networks.ask(&file.asked, &questions, file.asked_structure.as_ref(), phase)?)
            }
            blocks => blocks,
        };
        let mut of_blocks = None;
        if let Some(BlockLogits { size, degree, first_degree }) = blocks {
            let blocks = BlockLogits {
                size: on_host(size)?,
                degree: on_host(degree)?,
                first_degree: on_host(first_degree)?,
            };
            self.put_blocks(name, &blocks, &questions, out)?;
            of_blocks = Some(block_loss(blocks, asked, &questions));
        }
        let [node_classes, pair_classes] = &file.noisy;
        let loss = DenoisingLoss::new(
            diffusion,
            logits,
            &file.times,
            NoisyTargets { targets: &file.nodes, noisy: node_classes },
            NoisyTargets { targets: &file.pairs, noisy: pair_classes },
        );
        let weights = model.config().loss.unwrap_or_default();
        let bound = (loss.node_bound.clone() + loss.edge_bound.clone()).mul_scalar(weights.bound);
        let entropy = loss.node_cross_entropy.clone() + loss.edge_cross_entropy.clone();
        let total = bound + entropy.mul_scalar(weights.cross_entropy);
        let parts =
            [loss.node_bound, loss.node_cross_entropy, loss.edge_bound, loss.edge_cross_entropy].to_vec();
        let losses = match of_blocks {
            Some(of_blocks) if combined => [vec![total + of_blocks.clone()], parts, vec![of_blocks]].concat(),
            of_blocks => {
                if let Some(of_blocks) = of_blocks {
                    out.put(name, "block.loss", of_blocks)?;
                }
                [vec![total], parts].concat()
            }
        };
        out.put(name, "loss", Tensor::cat(losses, 0))
    }

    fn put_blocks(
        &self,
        name: &str,
        blocks: &BlockLogits,
        questions: &BlockQuestions,
        out: &mut Outputs,
    ) -> Result<(), PardError> {
        let BlockLogits { size, degree, first_degree } = blocks.clone();
        let prefixes = self.model.config().network.sequence == Sequence::Prefixes;
        for (what, logits) in [("block.size_logit", size), ("block.degree_logit", degree)] {
            match prefixes {
                true => out.put(name, what, logits.squeeze_dim::<2>(1))?,
                false => out.put(name, what, logits)?,
            }
        }
        out.put(name, "block.first_degree_logit", first_degree.squeeze_dim::<2>(1))?;
        if !prefixes {
            let batch = self.file.batch.batch;
            let by_block = |values: Vec<f64>| (vec![batch, questions.per_graph], values);
            let numbers = |values: &[usize]| by_block(values.iter().map(|&value| value as f64).collect());
            out.insert(name, "block.size_target", numbers(&questions.next_size));
            out.insert(name, "block.degree_target", numbers(&questions.next_degree));
            let asked = questions.last_block.iter().map(|last| f64::from(u8::from(last.is_some())));
            out.insert(name, "block.mask", by_block(asked.collect()));
            let first = (0..batch).map(|graph| self.file.batch.first_block(graph).1 as f64);
            out.insert(name, "block.first_degree_target", (vec![batch], first.collect()));
        }
        Ok(())
    }
}

/// The same numbers in double precision in the memory of the host.
fn on_host<const D: usize>(values: Tensor<D>) -> Result<Tensor<D>, PardError> {
    let failed = |reason: String| PardError::Device { what: "logits", reason };
    let host = DeviceKind::Cpu.open().map_err(|error| failed(error.to_string()))?;
    let shape = values.dims();
    let values = values.try_into_vec_as::<f64>().map_err(|error| failed(error.to_string()))?;
    Ok(tensor(values, shape, &host, DType::F64))
}

/// The tensors to be written.
struct Outputs {
    precision: Precision,
    file: TensorFile,
}

impl Outputs {
    fn put<const D: usize>(&mut self, phase: &str, name: &str, values: Tensor<D>) -> Result<(), PardError> {
        let shape = values.dims().to_vec();
        let failed = |reason: String| PardError::Device { what: "outputs", reason };
        let values = values.try_into_vec_as::<f64>().map_err(|error| failed(error.to_string()))?;
        self.insert(phase, name, (shape, values));
        Ok(())
    }

    fn insert(&mut self, phase: &str, name: &str, (shape, values): (Vec<usize>, Vec<f64>)) {
        let tensor = match self.precision {
            Precision::F32 => HostTensor::f32(shape, values.into_iter().map(|value| value as f32).collect()),
            Precision::F64 => HostTensor::f64(shape, values),
        };
        self.file.tensors.insert(format!("out.{phase}.{name}"), tensor);
    }
}
