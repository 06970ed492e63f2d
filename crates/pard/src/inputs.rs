//! A batch on a device: masks, and indices into the tables of the input embedding.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use equidrift_nn::{BlockMask, PairMean};

use crate::block_batch::{BlockBatch, BlockQuestions};
use crate::error::PardError;
use crate::network_config::{NetworkConfig, Sequence};

/// Features of the structure of noisy graphs, for networks on prefixes. Rows as in the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct StructureFeatures {
    /// `[B, N, 3]`: cycles of length 3, 4, 5 through each node, tenths, at most 1.
    pub cycles: Vec<f64>,
    /// `[B, N, 9]`: the cycles, and six numbers from the eigenvectors of the Laplacian. None where only cycles are taken.
    pub spectral: Option<Vec<f64>>,
}

/// What both networks need of a batch.
#[derive(Debug, Clone)]
pub struct Inputs {
    pub(crate) batch: usize,
    pub(crate) nodes: usize,
    pub(crate) mask: BlockMask,
    /// Class, or the number of classes for the zero vector, `[B N]`.
    pub(crate) node_class: Tensor<1, Int>,
    /// The same of pairs, `[B N N]`.
    pub(crate) edge_class: Tensor<1, Int>,
    /// Block + 1, 0 for padding, `[B N]`.
    pub(crate) block: Tensor<1, Int>,
    /// Degree of the node's block, `[B N]`.
    pub(crate) degree: Tensor<1, Int>,
    /// Difference of blocks, `[B N N]`.
    pub(crate) distance: Tensor<1, Int>,
    /// Virtual nodes `[B, N, 1]`.
    pub(crate) virtual_nodes: Tensor<3>,
    pub(crate) cycles: Option<Tensor<3>>,
    pub(crate) spectral: Option<Tensor<3>>,
    pub(crate) device: Device,
    pub(crate) dtype: DType,
}

impl Inputs {
    /// A batch for networks of this configuration; `mean` is used on prefixes only.
    ///
    /// # Errors
    /// [`PardError::Unknown`] for a class, block or degree that the networks have no parameters for.
    pub fn new(
        config: &NetworkConfig,
        batch: &BlockBatch,
        mean: PairMean,
        structure: Option<&StructureFeatures>,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, PardError> {
        let (b, n) = (batch.batch, batch.nodes);
        let classes = |values: &[i32], what, known: usize| {
            let indices = values.iter().map(|&class| match usize::try_from(class) {
                Ok(class) if class >= known => Err(PardError::Unknown { what, value: class, known }),
                Ok(class) => Ok(class as i64),
                Err(_) => Ok(known as i64),
            });
            Ok::<_, PardError>(index(indices.collect::<Result<_, _>>()?, device))
        };
        let mut degrees = Vec::with_capacity(b * n);
        for (at, &block) in batch.block.iter().enumerate() {
            let Ok(block) = usize::try_from(block) else {
                degrees.push(0);
                continue;
            };
            let known = config.max_blocks;
            if config.absolute_blocks && block >= known {
                return Err(PardError::Unknown { what: "block", value: block, known });
            }
            let degree = batch.degrees[at / n * batch.blocks + block];
            let known = config.block_degrees;
            if degree >= known {
                return Err(PardError::Unknown { what: "block degree", value: degree, known });
            }
            degrees.push(degree as i64);
        }
        let mut distances = Vec::with_capacity(b * n * n);
        for blocks in batch.block.chunks_exact(n.max(1)) {
            for &i in blocks {
                distances.extend(blocks.iter().map(|&j| i64::from(i.abs_diff(j))));
            }
        }
        let mask = match config.sequence {
            Sequence::Doubled => BlockMask::causal(&batch.block, &batch.virtual_nodes, [b, n], device, dtype),
            Sequence::Prefixes => BlockMask::prefixes(&batch.block, [b, n], mean, device, dtype),
        };
        let features = |values: &Vec<f64>, width: usize| tensor(values.clone(), [b, n, width], device, dtype);
        Ok(Self {
            batch: b,
            nodes: n,
            mask,
            node_class: classes(&batch.node_class, "node class", config.node_classes)?,
            edge_class: classes(&batch.edge_class, "edge class", config.edge_classes)?,
            block: index(batch.block.iter().map(|&block| i64::from(block) + 1).collect(), device),
            degree: index(degrees, device),
            distance: index(distances, device),
            virtual_nodes: tensor(
                batch.virtual_nodes.iter().map(|&flag| f64::from(u8::from(flag))).collect(),
                [b, n, 1],
                device,
                dtype,
            ),
            cycles: structure.map(|structure| features(&structure.cycles, 3)),
            spectral: structure
                .and_then(|structure| structure.spectral.as_ref())
                .map(|values| features(values, 9)),
            device: device.clone(),
            dtype,
        })
    }

    /// One-hot rows of classes, zero where there is none, `[K, classes]`.
    pub(crate) fn one_hot(&self, class: Tensor<1, Int>, classes: usize) -> Tensor<2> {
        let rows = (0..(classes + 1) * classes).map(|at| f64::from(u8::from(at / classes == at % classes)));
        tensor(rows.collect(), [classes + 1, classes], &self.device, self.dtype).select(0, class)
    }
}

/// Questions about blocks, on a device.
#[derive(Debug, Clone)]
pub(crate) struct QuestionInputs {
    /// Which nodes belong to the prefix of each question, `[B, H, N]`.
    pub(crate) members: Tensor<3>,
    /// Which questions there are, `[B, H, 1]`.
    pub(crate) mask: Tensor<3>,
    /// Size of the next block, `[B H]`.
    pub(crate) next_size: Tensor<1, Int>,
    /// Size of the first block, `[B]`.
    pub(crate) first_size: Tensor<1, Int>,
}

impl QuestionInputs {
    pub(crate) fn new(
        config: &NetworkConfig,
        batch: &BlockBatch,
        questions: &BlockQuestions,
        device: &Device,
        dtype: DType,
    ) -> Result<Self, PardError> {
        let (b, n, h) = (batch.batch, batch.nodes, questions.per_graph);
        let sizes = |sizes: &mut dyn Iterator<Item = usize>| {
            let known = config.block_sizes;
            let sizes = sizes.map(|size| match size {
                size if size < known => Ok(size as i64),
                value => Err(PardError::Unknown { what: "block size", value, known }),
            });
            Ok::<_, PardError>(index(sizes.collect::<Result<_, _>>()?, device))
        };
        let mut members = Vec::with_capacity(b * h * n);
        for (at, last) in questions.last_block.iter().enumerate() {
            let graph = at / h * n;
            members.extend((graph..graph + n).map(|node| {
                let inside = last.is_some_and(|last| (0..=last as i32).contains(&batch.block[node]));
                f64::from(u8::from(inside && !batch.virtual_nodes[node]))
            }));
        }
        let asked = questions.last_block.iter().map(|last| f64::from(u8::from(last.is_some())));
        Ok(Self {
            members: tensor(members, [b, h, n], device, dtype),
            mask: tensor(asked.collect(), [b, h, 1], device, dtype),
            next_size: sizes(&mut questions.next_size.iter().copied())?,
            first_size: sizes(&mut (0..b).map(|graph| batch.first_block(graph).0))?,
        })
    }
}

pub(crate) fn index(indices: Vec<i64>, device: &Device) -> Tensor<1, Int> {
    let length = indices.len();
    Tensor::from_data(TensorData::new(indices, [length]), device)
}

pub(crate) fn tensor<const D: usize>(
    values: Vec<f64>,
    shape: [usize; D],
    device: &Device,
    dtype: DType,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape).convert_dtype(dtype), (device, dtype))
}
