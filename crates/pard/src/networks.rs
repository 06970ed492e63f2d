//! Pard's networks: a denoiser of blocks, and a model of the size and degree of the next block.

use burn::tensor::{DType, Device, Gradients, Tensor};
use equidrift_backend::weights::ParameterSet;
use equidrift_nn::{
    HigherOrderTransformer, LayerError, PairMean, ParameterReader, ParameterTracker, Phase, TrackedParameters,
};

use crate::block_batch::{BlockBatch, BlockQuestions};
use crate::error::PardError;
use crate::heads::{BlockHead, BlockLogits, ClassHead, ClassLogits, rows_on_host};
use crate::input_embedding::{InputEmbedding, Role};
use crate::inputs::{Inputs, OneHot, QuestionInputs, StructureFeatures, tensor};
use crate::network_config::{NetworkConfig, Tasks};

/// Embedding and layers of one network.
#[derive(Debug, Clone)]
struct Trunk {
    embedding: InputEmbedding,
    net: HigherOrderTransformer,
}

impl Trunk {
    fn read(from: &ParameterTracker<'_>, config: &NetworkConfig, role: Role) -> Result<Self, LayerError> {
        Ok(Self {
            embedding: InputEmbedding::read(from, config, role)?,
            net: HigherOrderTransformer::read(
                from,
                role.prefix(),
                config.shape(),
                config.layers,
                config.streams(),
            )?,
        })
    }

    fn forward(
        &self,
        inputs: &Inputs,
        times: Option<&[usize]>,
        phase: Phase<'_>,
    ) -> Result<(Tensor<3>, Tensor<4>), PardError> {
        let (h, e) = self.embedding.forward(inputs, times)?;
        Ok(self.net.forward(h, e, &inputs.mask, phase))
    }
}

/// The networks of a model on a device, in one precision. On a device with automatic differentiation the parameters are
/// tracked.
#[derive(Debug, Clone)]
pub struct PardNetworks {
    config: NetworkConfig,
    device: Device,
    dtype: DType,
    denoiser: Trunk,
    classes: ClassHead,
    /// None where the denoiser's trunk serves both tasks, or there is but one.
    block_model: Option<Trunk>,
    /// None for a denoiser alone.
    blocks: Option<BlockHead>,
    parameters: TrackedParameters,
}

/// What is read of the parameters.
struct Parts {
    denoiser: Trunk,
    classes: ClassHead,
    block_model: Option<Trunk>,
    blocks: Option<BlockHead>,
}

impl Parts {
    fn read(from: &ParameterTracker<'_>, config: &NetworkConfig) -> Result<Self, LayerError> {
        let denoiser = Trunk::read(from, config, Role::Denoiser)?;
        let classes = ClassHead::read(from, "denoise.out_decoder", config)?;
        let (block_model, blocks) = match config.tasks {
            Tasks::Separate => (
                Some(Trunk::read(from, config, Role::BlockModel)?),
                Some(BlockHead::read(from, "block.out_decoder", config)?),
            ),
            Tasks::Combined => (None, Some(BlockHead::read(from, "denoise.real_block_out_decoder", config)?)),
            Tasks::DenoiserOnly => (None, None),
        };
        Ok(Self { denoiser, classes, block_model, blocks })
    }
}

/// A noisy batch for the denoiser.
#[derive(Debug, Clone, Copy)]
pub struct DenoiserBatch<'a> {
    /// The graphs, targets with their noisy classes.
    pub batch: &'a BlockBatch,
    /// The step t of each graph, 1..=T.
    pub times: &'a [usize],
    /// T.
    pub steps: usize,
    /// Over which pairs the heads of networks on prefixes take means.
    pub mean: PairMean,
    /// For networks on prefixes.
    pub structure: Option<&'a StructureFeatures>,
    /// For a combined network: what is asked about blocks at the same time.
    pub questions: Option<&'a BlockQuestions>,
}

impl PardNetworks {
    /// Reads all parameters.
    ///
    /// # Errors
    /// [`PardError::Setting`], [`PardError::Layer`].
    pub fn read(
        config: &NetworkConfig,
        parameters: &ParameterSet,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, PardError> {
        config.check()?;
        let from = ParameterTracker::new(ParameterReader { parameters, device, dtype });
        let Parts { denoiser, classes, block_model, blocks } = Parts::read(&from, config)?;
        let (config, device) = (config.clone(), device.clone());
        Ok(Self { config, device, dtype, denoiser, classes, block_model, blocks, parameters: from.finish() })
    }

    /// Names and shapes of all parameters of networks of this configuration.
    ///
    /// # Errors
    /// [`PardError::Setting`].
    pub fn parameter_shapes(config: &NetworkConfig) -> Result<Vec<(String, Vec<usize>)>, PardError> {
        config.check()?;
        Ok(ParameterTracker::shapes(|from| Parts::read(from, config))?)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Whether there are heads for sizes and degrees of blocks.
    #[must_use]
    pub fn has_block_heads(&self) -> bool {
        self.blocks.is_some()
    }

    /// Where the parameters are.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The precision.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The gradients of all parameters that took part, by name.
    ///
    /// # Errors
    /// [`PardError::Layer`].
    pub fn gradients(&self, gradients: &mut Gradients) -> Result<ParameterSet, PardError> {
        Ok(self.parameters.gradients(gradients)?)
    }

    /// Logits of clean classes; and, of a combined network that is asked, about blocks.
    ///
    /// # Errors
    /// [`PardError::Unknown`], [`PardError::MissingInput`].
    pub fn denoise(
        &self,
        noisy: &DenoiserBatch<'_>,
        phase: Phase<'_>,
    ) -> Result<(ClassLogits, Option<BlockLogits>), PardError> {
        let inputs = self.inputs(noisy.batch, noisy.mean, noisy.structure)?;
        let streams = self.denoiser.forward(&inputs, Some(noisy.times), phase)?;
        let remaining = noisy.times.iter().map(|&t| 1.0 - t as f64 / noisy.steps as f64).collect();
        let remaining = tensor(remaining, [noisy.times.len(), 1, 1], &self.device, self.dtype);
        let blocks = match (&self.block_model, noisy.questions) {
            (None, Some(questions)) => Some(self.block_head()?.forward(
                &inputs,
                streams.clone(),
                &self.questions(noisy.batch, questions)?,
                phase,
            )),
            _ => None,
        };
        Ok((self.classes.forward(&inputs, streams, remaining, phase), blocks))
    }

    /// Logits about the blocks after prefixes of clean graphs. A combined network sees them without a time.
    ///
    /// # Errors
    /// [`PardError::Unknown`], [`PardError::MissingInput`].
    pub fn ask(
        &self,
        batch: &BlockBatch,
        questions: &BlockQuestions,
        structure: Option<&StructureFeatures>,
        phase: Phase<'_>,
    ) -> Result<BlockLogits, PardError> {
        let inputs = self.inputs(batch, PairMean::All, structure)?;
        let trunk = self.block_model.as_ref().unwrap_or(&self.denoiser);
        let streams = trunk.forward(&inputs, None, phase)?;
        Ok(self.block_head()?.forward(&inputs, streams, &self.questions(batch, questions)?, phase))
    }

    /// The size of the next block of each graph and its degree, chosen by `choose_size` and `choose_degree` from
    /// logits: a row and its logits to a class.
    ///
    /// # Errors
    /// [`PardError::Unknown`], [`PardError::MissingInput`], [`PardError::Device`].
    pub fn next_blocks(
        &self,
        batch: &BlockBatch,
        structure: Option<&StructureFeatures>,
        mut choose_size: impl FnMut(usize, &[f64]) -> usize,
        mut choose_degree: impl FnMut(usize, &[f64]) -> usize,
    ) -> Result<Vec<(usize, usize)>, PardError> {
        let inputs = self.inputs(batch, PairMean::All, structure)?;
        let trunk = self.block_model.as_ref().unwrap_or(&self.denoiser);
        let streams = trunk.forward(&inputs, None, Phase::Evaluation)?;
        let last = |graph: usize| {
            let sizes = &batch.sizes[graph * batch.blocks..][..batch.blocks];
            sizes.iter().rposition(|&size| size > 0)
        };
        let questions = BlockQuestions {
            per_graph: 1,
            last_block: (0..batch.batch).map(last).collect(),
            next_size: vec![0; batch.batch],
            next_degree: vec![0; batch.batch],
            counts_first: vec![true; batch.batch],
        };
        let questions = self.questions(batch, &questions)?;
        let blocks = self.block_head()?;
        let prefixes = blocks.prefixes(&inputs, streams, &questions);
        let logits = blocks.size(prefixes.clone(), &questions, Phase::Evaluation);
        let rows = rows_on_host(logits, "logits of sizes")?;
        let sizes: Vec<usize> =
            rows.iter().enumerate().map(|(row, logits)| choose_size(row, logits)).collect();
        let next = self.sizes(&sizes);
        let logits = blocks.degree(prefixes, next, &questions, Phase::Evaluation);
        let rows = rows_on_host(logits, "logits of degrees")?;
        let degrees = rows.iter().enumerate().map(|(row, logits)| choose_degree(row, logits));
        Ok(sizes.iter().copied().zip(degrees).collect())
    }

    /// Logits of the degree of a first block of each of these sizes, `[B, 1, block degrees]`.
    ///
    /// # Errors
    /// [`PardError::Unknown`].
    pub fn first_degree(&self, sizes: &[usize]) -> Result<Tensor<3>, PardError> {
        let known = self.config.block_sizes;
        if let Some(&value) = sizes.iter().find(|&&size| size >= known) {
            return Err(PardError::Unknown { what: "block size", value, known });
        }
        Ok(self.block_head()?.first_degree(self.sizes(sizes), Phase::Evaluation))
    }

    fn sizes(&self, sizes: &[usize]) -> OneHot {
        let sizes = sizes.iter().map(|&size| size as i64).collect();
        OneHot::new(sizes, self.config.block_sizes, &self.device, self.dtype)
    }

    fn block_head(&self) -> Result<&BlockHead, PardError> {
        self.blocks.as_ref().ok_or(PardError::NoBlockModel)
    }

    fn inputs(
        &self,
        batch: &BlockBatch,
        mean: PairMean,
        structure: Option<&StructureFeatures>,
    ) -> Result<Inputs, PardError> {
        Inputs::new(&self.config, batch, mean, structure, &self.device, self.dtype)
    }

    fn questions(&self, batch: &BlockBatch, questions: &BlockQuestions) -> Result<QuestionInputs, PardError> {
        QuestionInputs::new(&self.config, batch, questions, &self.device, self.dtype)
    }
}
