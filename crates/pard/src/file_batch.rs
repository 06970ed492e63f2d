//! Batches as files of tensors hold them: `B` graphs padded to `N` nodes and `M` blocks.
//!
//! | tensor | shape | content |
//! | --- | --- | --- |
//! | `in.nodes_blockid` | `[B, N]` | blocks from 0, -1 for padding |
//! | `in.virtual` | `[B, N]` | 1 at virtual nodes |
//! | `in.block_size`, `in.block_degree` | `[B, M]` | 0 where there is no block |
//! | `in.t` | `[B]` | steps 1..=T |
//! | `in.nodes_x_t` or `in.nodes_t` | `[B, N, F]` or `[B, N]` | what the denoiser sees: one-hot rows, or numbers of classes |
//! | `in.edges_x_t` or `in.edges_t` | `[B, N, N, C]` or `[B, N, N]` | the same of pairs |
//! | `in.nodes`, `in.edges` | one-hot | prefixes only: the clean classes |
//! | `in.structure.all` | `[B, N, 9]` | prefixes only: features of the noisy structure |
//! | `in.structure.cycles`, `in.structure.cycles_block` | `[B, N, 3]` | cycles in the noisy and the clean graphs; counted where absent |
//! | `in.next_block_size`, `in.next_block_degree` | `[B]` | prefixes only: the next block, 0 for none |
//!
//! Networks on [doubled](Sequence::Doubled) sequences take the real nodes of a graph, then a virtual copy of each, then padding;
//! the block model sees the real nodes. Networks on [prefixes](Sequence::Prefixes) take every prefix as a graph of its own.

use std::path::Path;

use equidrift_backend::weights::{HostTensor, TensorFile};
use equidrift_nn::PADDING;

use crate::block_batch::{BlockBatch, BlockQuestions, NO_CLASS, Targets};
use crate::block_graph::{BlockGraph, pair_index};
use crate::cycle_features::cycle_features;
use crate::error::PardError;
use crate::inputs::StructureFeatures;
use crate::network_config::{NetworkConfig, Sequence};

/// The noisy graphs of a file, and what the block model is asked about the clean ones.
#[derive(Debug, Clone)]
pub struct FileBatch {
    /// What the denoiser sees.
    pub batch: BlockBatch,
    /// The step of each graph.
    pub times: Vec<usize>,
    /// The nodes that are denoised, with their clean classes.
    pub nodes: Targets,
    /// The pairs that are denoised, with their clean classes.
    pub pairs: Targets,
    /// Their noisy classes: of nodes, of pairs.
    pub noisy: [Vec<usize>; 2],
    /// What the block model sees.
    pub asked: BlockBatch,
    /// What it is asked.
    pub questions: BlockQuestions,
    /// Features of the noisy graphs, for networks on prefixes.
    pub structure: Option<StructureFeatures>,
    /// Features of the clean graphs.
    pub asked_structure: Option<StructureFeatures>,
}

impl FileBatch {
    /// Reads a batch for networks of this configuration whose diffusion has `steps` steps. `origin` is the file named in errors.
    ///
    /// # Errors
    /// [`PardError::Weights`] if a tensor is missing, [`PardError::InputShape`], [`PardError::InputValue`].
    pub fn read(
        config: &NetworkConfig,
        steps: usize,
        file: &TensorFile,
        origin: &Path,
    ) -> Result<Self, PardError> {
        let input = Input { file, origin };
        let mut batch = input.blocks()?;
        let times = input.whole("in.t", &[batch.batch])?;
        if let Some(position) = times.iter().position(|t| !(1..=steps).contains(t)) {
            let expected = "a step of the diffusion, 1 to T";
            return Err(input.value("in.t", expected, times[position] as f64, position));
        }
        let nodes = ["in.nodes_x_t", "in.nodes_t"];
        let edges = ["in.edges_x_t", "in.edges_t"];
        (batch.node_class, batch.edge_class) = input.classes(config, &batch, nodes, edges)?;
        match config.sequence {
            Sequence::Doubled => Self::doubled(&input, batch, times),
            Sequence::Prefixes => Self::prefixes(&input, config, batch, times),
        }
    }

    fn doubled(input: &Input<'_>, batch: BlockBatch, times: Vec<usize>) -> Result<Self, PardError> {
        let n = batch.nodes;
        let mut graphs = Vec::with_capacity(batch.batch);
        for row in 0..batch.batch {
            let (blocks, copies) = (&batch.block[row * n..][..n], &batch.virtual_nodes[row * n..][..n]);
            let present = blocks.iter().filter(|&&block| block != PADDING).count();
            let half = present / 2;
            let wrong = (0..n).find(|&i| {
                let expected =
                    if i < half { blocks[i] } else { blocks.get(i - half).copied().unwrap_or(PADDING) };
                let padding = i >= 2 * half;
                (blocks[i] == PADDING) != padding
                    || (!padding && (blocks[i] != expected || copies[i] != (i >= half)))
            });
            if let Some(i) = wrong {
                let expected = "the blocks of the real nodes, the same for their virtual copies, then -1";
                let at = row * n + i;
                return Err(input.value("in.nodes_blockid", expected, f64::from(batch.block[at]), at));
            }
            graphs.push(input.real_half(&batch, row, half)?);
        }
        let (nodes, pairs) = batch.targets_of_copies();
        let noisy = input.noisy(&batch, &nodes, &pairs)?;
        let asked = BlockBatch::single(&graphs);
        let questions = asked.questions();
        let (structure, asked_structure) = (None, None);
        Ok(Self { batch, times, nodes, pairs, noisy, asked, questions, structure, asked_structure })
    }

    fn prefixes(
        input: &Input<'_>,
        config: &NetworkConfig,
        batch: BlockBatch,
        times: Vec<usize>,
    ) -> Result<Self, PardError> {
        if let Some(at) = batch.virtual_nodes.iter().position(|&flag| flag) {
            return Err(input.value("in.virtual", "0: prefixes have no virtual nodes", 1.0, at));
        }
        let (b, n, m) = (batch.batch, batch.nodes, batch.blocks);
        let mut asked = batch.clone();
        let names = [["in.nodes"; 2], ["in.edges"; 2]];
        (asked.node_class, asked.edge_class) = input.classes(config, &batch, names[0], names[1])?;
        let (nodes, pairs) = asked.targets_of_last_blocks();
        let noisy = input.noisy(&batch, &nodes, &pairs)?;
        let mut last_block = Vec::with_capacity(b);
        for row in 0..b {
            last_block.push(batch.sizes[row * m..][..m].iter().rposition(|&size| size > 0));
        }
        let [next_size, next_degree] =
            [("in.next_block_size", config.block_sizes), ("in.next_block_degree", config.block_degrees)].map(
                |(name, known)| {
                    let found = input.whole(name, &[b])?;
                    match found.iter().position(|&value| value >= known) {
                        Some(at) => {
                            Err(input.value(name, "a number that the network knows", found[at] as f64, at))
                        }
                        None => Ok(found),
                    }
                },
            );
        let questions = BlockQuestions {
            per_graph: 1,
            counts_first: last_block.iter().map(|last| *last == Some(0)).collect(),
            last_block,
            next_size: next_size?,
            next_degree: next_degree?,
        };
        let cycles = |name, of: &BlockBatch| match file_has(input.file, name) {
            true => Ok(input.shaped(name, &[b, n, 3])?.to_f64()),
            false => Ok::<_, PardError>(cycle_features(of)),
        };
        let structure = StructureFeatures {
            cycles: cycles("in.structure.cycles", &batch)?,
            spectral: Some(input.shaped("in.structure.all", &[b, n, 9])?.to_f64()),
        };
        let asked_structure =
            StructureFeatures { cycles: cycles("in.structure.cycles_block", &asked)?, spectral: None };
        let (structure, asked_structure) = (Some(structure), Some(asked_structure));
        Ok(Self { batch, times, nodes, pairs, noisy, asked, questions, structure, asked_structure })
    }
}

fn file_has(file: &TensorFile, name: &str) -> bool {
    file.tensors.contains_key(name)
}

/// Tensors of a file, with errors that name it.
struct Input<'a> {
    file: &'a TensorFile,
    origin: &'a Path,
}

impl<'a> Input<'a> {
    /// Blocks, their sizes and degrees, and virtual nodes; all classes are [`NO_CLASS`].
    fn blocks(&self) -> Result<BlockBatch, PardError> {
        let two = |name| {
            let tensor = self.tensor(name)?;
            match *tensor.shape.as_slice() {
                [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
                _ => Err(self.shape(name, "two dimensions above 0".to_owned(), tensor)),
            }
        };
        let [b, n] = two("in.nodes_blockid")?;
        let [_, m] = two("in.block_size")?;
        let (sizes, degrees) =
            (self.whole("in.block_size", &[b, m])?, self.whole("in.block_degree", &[b, m])?);
        let found = self.shaped("in.nodes_blockid", &[b, n])?.to_f64();
        let mut block = Vec::with_capacity(b * n);
        for (at, &number) in found.iter().enumerate() {
            let row = &sizes[at / n * m..][..m];
            let real =
                number >= 0.0 && number.fract() == 0.0 && row.get(number as usize).is_some_and(|&s| s > 0);
            if !real && number != -1.0 {
                let expected = "-1, or a block whose size in `in.block_size` is above 0";
                return Err(self.value("in.nodes_blockid", expected, number, at));
            }
            block.push(number as i32);
        }
        let flags = self.whole("in.virtual", &[b, n])?;
        if let Some(at) = flags.iter().position(|&flag| flag > 1) {
            return Err(self.value("in.virtual", "0 or 1", flags[at] as f64, at));
        }
        for (at, &size) in sizes.iter().enumerate() {
            let (row, number) = (at / m * n..(at / m + 1) * n, (at % m) as i32);
            let members = row.filter(|&i| flags[i] == 0 && block[i] == number).count();
            if members != size {
                let expected = "the number of the block's real nodes in `in.nodes_blockid`";
                return Err(self.value("in.block_size", expected, size as f64, at));
            }
        }
        Ok(BlockBatch {
            batch: b,
            nodes: n,
            blocks: m,
            node_class: vec![NO_CLASS; b * n],
            edge_class: Vec::new(),
            block,
            virtual_nodes: flags.into_iter().map(|flag| flag == 1).collect(),
            sizes,
            degrees,
        })
    }

    /// Classes of nodes and of pairs: [`NO_CLASS`] on padding, between a node and itself, and for rows of zeros.
    fn classes(
        &self,
        config: &NetworkConfig,
        batch: &BlockBatch,
        nodes: [&'static str; 2],
        edges: [&'static str; 2],
    ) -> Result<(Vec<i32>, Vec<i32>), PardError> {
        let (b, n) = (batch.batch, batch.nodes);
        let mut of_nodes = self.one_hot_or_numbers(nodes, &[b, n], config.node_classes)?;
        let mut of_pairs = self.one_hot_or_numbers(edges, &[b, n, n], config.edge_classes)?;
        let real = |at: usize| batch.block[at] != PADDING;
        for (at, class) in of_nodes.iter_mut().enumerate().filter(|(at, _)| !real(*at)) {
            debug_assert!(at < b * n);
            *class = NO_CLASS;
        }
        for (at, class) in of_pairs.iter_mut().enumerate() {
            let (row, i, j) = (at / (n * n), at / n % n, at % n);
            if i == j || !real(row * n + i) || !real(row * n + j) {
                *class = NO_CLASS;
            }
        }
        let reverse = |at: usize| (at / (n * n) * n + at % n) * n + at / n % n;
        if let Some(at) = (0..of_pairs.len()).find(|&at| of_pairs[at] != of_pairs[reverse(at)]) {
            let name = if file_has(self.file, edges[0]) { edges[0] } else { edges[1] };
            return Err(self.value(name, "the class of the reverse pair", f64::from(of_pairs[at]), at));
        }
        Ok((of_nodes, of_pairs))
    }

    /// One-hot rows of the tensor named first, or numbers of the one named second.
    fn one_hot_or_numbers(
        &self,
        [one_hot, numbers]: [&'static str; 2],
        shape: &[usize],
        classes: usize,
    ) -> Result<Vec<i32>, PardError> {
        if !file_has(self.file, one_hot) && one_hot != numbers {
            let found = self.whole(numbers, shape)?;
            return match found.iter().position(|&class| class >= classes) {
                Some(at) => Err(self.value(numbers, "the number of a class", found[at] as f64, at)),
                None => Ok(found.into_iter().map(|class| class as i32).collect()),
            };
        }
        let values = self.shaped(one_hot, &[shape, &[classes]].concat())?.to_f64();
        let row = |(row, values): (usize, &[f64])| {
            let ones = values.iter().filter(|&&value| value == 1.0).count();
            match values.iter().position(|&value| value != 0.0) {
                None => Ok(NO_CLASS),
                Some(class) if ones == 1 && values.iter().sum::<f64>() == 1.0 => Ok(class as i32),
                Some(class) => {
                    Err(self.value(one_hot, "rows with one 1, or none", values[class], row * classes + class))
                }
            }
        };
        values.chunks_exact(classes).enumerate().map(row).collect()
    }

    /// The graph of the real nodes of a doubled one.
    fn real_half(&self, batch: &BlockBatch, row: usize, nodes: usize) -> Result<BlockGraph, PardError> {
        let (n, m) = (batch.nodes, batch.blocks);
        let class = |name, class: i32, at| {
            let wrong = || self.value(name, "a class for every real node and pair", f64::from(class), at);
            usize::try_from(class).map_err(|_| wrong())
        };
        let mut node_classes = Vec::with_capacity(nodes);
        let mut pair_classes = vec![0; nodes * nodes.saturating_sub(1) / 2];
        for i in 0..nodes {
            let at = row * n + i;
            node_classes.push(class("in.nodes_x_t", batch.node_class[at], at)?);
            for j in 0..i {
                let pair = at * n + j;
                pair_classes[pair_index(i, j)] = class("in.edges_x_t", batch.edge_class[pair], pair)?;
            }
        }
        let blocks = batch.sizes[row * m..][..m].iter().take_while(|&&size| size > 0).count();
        Ok(BlockGraph {
            node_classes,
            pair_classes,
            block: batch.block[row * n..][..nodes].iter().map(|&block| block as usize).collect(),
            sizes: batch.sizes[row * m..][..blocks].to_vec(),
            degrees: batch.degrees[row * m..][..blocks].to_vec(),
        })
    }

    /// The noisy classes of targets.
    fn noisy(
        &self,
        batch: &BlockBatch,
        nodes: &Targets,
        pairs: &Targets,
    ) -> Result<[Vec<usize>; 2], PardError> {
        let of = |name, targets: &Targets, classes: &[i32]| {
            let noisy = targets.place.iter().map(|&place| {
                let wrong = || self.value(name, "a class for every target", f64::from(classes[place]), place);
                usize::try_from(classes[place]).map_err(|_| wrong())
            });
            noisy.collect::<Result<Vec<usize>, PardError>>()
        };
        Ok([of("in.nodes_x_t", nodes, &batch.node_class)?, of("in.edges_x_t", pairs, &batch.edge_class)?])
    }

    fn tensor(&self, name: &str) -> Result<&'a HostTensor, PardError> {
        Ok(self.file.require(name, self.origin)?)
    }

    fn shaped(&self, name: &'static str, shape: &[usize]) -> Result<&'a HostTensor, PardError> {
        let tensor = self.tensor(name)?;
        if tensor.shape == shape { Ok(tensor) } else { Err(self.shape(name, format!("{shape:?}"), tensor)) }
    }

    /// Whole numbers from 0 on.
    fn whole(&self, name: &'static str, shape: &[usize]) -> Result<Vec<usize>, PardError> {
        let numbers = self.shaped(name, shape)?.to_f64();
        let whole = |(position, &number): (usize, &f64)| {
            if number >= 0.0 && number.fract() == 0.0 && number < 1e9 {
                Ok(number as usize)
            } else {
                Err(self.value(name, "a whole number from 0 on", number, position))
            }
        };
        numbers.iter().enumerate().map(whole).collect()
    }

    fn shape(&self, name: &'static str, expected: String, tensor: &HostTensor) -> PardError {
        PardError::InputShape { path: self.origin.to_owned(), name, expected, found: tensor.shape.clone() }
    }

    fn value(&self, name: &'static str, expected: &'static str, found: f64, position: usize) -> PardError {
        PardError::InputValue { path: self.origin.to_owned(), name, expected, found, position }
    }
}
