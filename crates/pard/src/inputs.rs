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
    /// Classes of nodes, `[B, N, node classes]`.
    pub(crate) node_classes: OneHot,
    /// Classes of pairs, `[B, edge classes, N, N]`.
    pub(crate) edge_classes: Tensor<4>,
    /// Which pairs are edges of a real class, `[B, N, N]`.
    pub(crate) adjacency: Tensor<3>,
    /// Block + 1, 0 for padding.
    pub(crate) block: OneHot,
    /// Degree of the node's block.
    pub(crate) degree: OneHot,
    /// Size of the node's block.
    pub(crate) size: OneHot,
    /// Difference of blocks, `[B, M + 1, N, N]`.
    pub(crate) distance: Option<Tensor<4>>,
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
        check_known(config, batch)?;
        let classes = |values: &[i32], known: usize| {
            let index = |&class: &i32| if class < 0 { known as i64 } else { i64::from(class) };
            values.iter().map(index).collect()
        };
        // Of padding, any.
        let of_blocks = |values: &[usize]| {
            let of = |(at, &block): (usize, &i32)| {
                usize::try_from(block).map_or(0, |block| values[at / n * batch.blocks + block] as i64)
            };
            batch.block.iter().enumerate().map(of).collect()
        };
        let one_hot = |index: Vec<i64>, classes: usize| OneHot::new(index, classes, device, dtype);
        let over_pairs = |index: Vec<i64>, classes: usize| {
            let rows = one_hot(index, classes).rows;
            rows.transpose().reshape([classes, b, n, n]).swap_dims(0, 1)
        };
        let distance = config.relative_blocks.then(|| {
            let mut distances = Vec::with_capacity(b * n * n);
            for blocks in batch.block.chunks_exact(n.max(1)) {
                for &i in blocks {
                    distances.extend(blocks.iter().map(|&j| i64::from(i.abs_diff(j))));
                }
            }
            // Blocks are numbered below M, and padding is -1.
            over_pairs(distances, batch.blocks + 1)
        });
        let edge_classes = over_pairs(classes(&batch.edge_class, config.edge_classes), config.edge_classes);
        let adjacency = edge_classes.clone().narrow(1, 1, config.edge_classes - 2).sum_dim(1);
        let mask = match config.sequence {
            Sequence::Doubled => BlockMask::causal(&batch.block, &batch.virtual_nodes, [b, n], device, dtype),
            Sequence::Prefixes => BlockMask::prefixes(&batch.block, [b, n], mean, device, dtype),
        };
        let features = |values: &Vec<f64>, width: usize| tensor(values.clone(), [b, n, width], device, dtype);
        Ok(Self {
            batch: b,
            nodes: n,
            mask,
            node_classes: one_hot(classes(&batch.node_class, config.node_classes), config.node_classes),
            edge_classes,
            adjacency: adjacency.reshape([b, n, n]),
            block: one_hot(
                batch.block.iter().map(|&block| i64::from(block) + 1).collect(),
                config.max_blocks + 1,
            ),
            degree: one_hot(of_blocks(&batch.degrees), config.block_degrees),
            size: one_hot(of_blocks(&batch.sizes), config.block_sizes),
            distance,
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
}

/// Whether the networks have parameters for everything in a batch.
///
/// # Errors
/// [`PardError::Unknown`] for a class, block, size or degree that they have none for.
pub(crate) fn check_known(config: &NetworkConfig, batch: &BlockBatch) -> Result<(), PardError> {
    let check = |what, value: usize, known: usize| {
        if value < known { Ok(()) } else { Err(PardError::Unknown { what, value, known }) }
    };
    for (classes, what, known) in [
        (&batch.node_class, "node class", config.node_classes),
        (&batch.edge_class, "edge class", config.edge_classes),
    ] {
        let given = classes.iter().filter_map(|&class| usize::try_from(class).ok());
        given.into_iter().try_for_each(|class| check(what, class, known))?;
    }
    for (at, &block) in batch.block.iter().enumerate() {
        let Ok(block) = usize::try_from(block) else { continue };
        if config.absolute_blocks || config.relative_blocks {
            check("block", block, config.max_blocks)?;
        }
        let of_block = at / batch.nodes * batch.blocks + block;
        check("block degree", batch.degrees[of_block], config.block_degrees)?;
        if config.sizes_of_blocks {
            check("block size", batch.sizes[of_block], config.block_sizes)?;
        }
    }
    Ok(())
}

/// Classes as one-hot rows `[K, classes]`; a class beyond the last is the row of zeros.
///
/// A row of a table is taken by a product with them rather than by its number: the gradient of a look-up adds up row after
/// row, which on a device with many processors is slow.
#[derive(Debug, Clone)]
pub(crate) struct OneHot {
    pub(crate) rows: Tensor<2>,
}

impl OneHot {
    pub(crate) fn new(class: Vec<i64>, classes: usize, device: &Device, dtype: DType) -> Self {
        let identity =
            (0..(classes + 1) * classes).map(|at| f64::from(u8::from(at / classes == at % classes)));
        let identity = tensor(identity.collect(), [classes + 1, classes], device, dtype);
        let last = classes as i64;
        let class = class.into_iter().map(|class| class.min(last)).collect();
        Self { rows: identity.select(0, index(class, device)) }
    }

    /// The rows of a table `[classes, W]`, `[K, W]`.
    pub(crate) fn of(&self, table: Tensor<2>) -> Tensor<2> {
        self.rows.clone().matmul(table)
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
    pub(crate) next_size: OneHot,
    /// Size of the first block, `[B]`.
    pub(crate) first_size: OneHot,
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
            Ok::<_, PardError>(OneHot::new(sizes.collect::<Result<_, _>>()?, known, device, dtype))
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
