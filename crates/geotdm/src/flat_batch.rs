//! Batches as files of tensors hold them: the nodes of all systems one after another, the frame as the last index.
//!
//! | tensor | shape | content |
//! | --- | --- | --- |
//! | `in.x` | `[nodes, D, frames]` | positions, given frames first |
//! | `in.h` | `[nodes, F]` or `[nodes, F, frames]` | features of nodes |
//! | `in.edge_index` | `[2, edges]` | receivers, then senders |
//! | `in.edge_attr` | `[edges, E]` | features of edges; absent if E = 0 |
//! | `in.batch` | `[nodes]` | the system of each node, ascending from 0 |
//! | `in.t_graph` | `[systems]` | noise levels |
//! | `in.noise` | `[nodes, D, made frames]` | noise |

use std::path::Path;
use std::sync::Arc;

use equidrift_backend::weights::{HostTensor, TensorFile};

use crate::config::GeotdmConfig;
use crate::error::GeotdmError;
use crate::system::{System, SystemGraph};

/// The systems of a file.
#[derive(Debug, Clone)]
pub struct FlatBatch {
    /// The systems, with their given frames.
    pub systems: Vec<System>,
    /// The made frames of each system, `[N, T, D]`.
    pub clean: Vec<Vec<f64>>,
    /// Place of each system's first node.
    first_node: Vec<usize>,
    nodes: usize,
    dimensions: usize,
    frames: usize,
}

impl FlatBatch {
    /// Reads `in.x`, `in.h`, `in.edge_index`, `in.edge_attr` and `in.batch` for a model. `origin` is the file named in errors.
    ///
    /// # Errors
    /// [`GeotdmError::Weights`] if a tensor is missing, [`GeotdmError::InputShape`], [`GeotdmError::InputValue`].
    pub fn read(file: &TensorFile, origin: &Path, config: &GeotdmConfig) -> Result<Self, GeotdmError> {
        let input = Input { file, origin };
        let (given, node_width) = (config.given_frames, config.network.node_features);
        let x = input.tensor("in.x")?;
        let (nodes, dimensions, all) = match x.shape.as_slice() {
            &[nodes, dimensions, frames] if nodes > 0 && dimensions > 0 && frames > given => {
                (nodes, dimensions, frames)
            }
            _ => return Err(input.shape("in.x", format!("[nodes, D, more than {given} frames]"), x)),
        };
        let batch = input.whole("in.batch", &[nodes])?;
        let mut first_node = Vec::new();
        for (position, &system) in batch.iter().enumerate() {
            match system {
                same if same + 1 == first_node.len() => {}
                next if next == first_node.len() => first_node.push(position),
                found => {
                    let expected = "numbers ascending from 0 without gaps".to_owned();
                    return Err(input.value("in.batch", expected, found as f64, position));
                }
            }
        }
        let h = input.tensor("in.h")?;
        let feature_frames = match *h.shape.as_slice() {
            [n, f] if n == nodes && f == node_width => 1,
            [n, f, t] if n == nodes && f == node_width && t == all => all,
            _ => {
                let expected = format!("[{nodes}, {node_width}] or [{nodes}, {node_width}, {all}]");
                return Err(input.shape("in.h", expected, h));
            }
        };
        let edge_index = input.tensor("in.edge_index")?;
        let edges = match edge_index.shape.as_slice() {
            &[2, edges] => edges,
            _ => return Err(input.shape("in.edge_index", "[2, edges]".to_owned(), edge_index)),
        };
        let ends = input.whole("in.edge_index", &[2, edges])?;
        let edge_width = config.network.edge_features;
        let edge_features = match edge_width {
            0 => Vec::new(),
            _ => input.shaped("in.edge_attr", &[edges, edge_width])?.to_f64(),
        };
        let (positions, features) = (x.to_f64(), h.to_f64());
        let systems = first_node.len();
        let mut lists: Vec<(Vec<[usize; 2]>, Vec<f64>)> = vec![Default::default(); systems];
        for edge in 0..edges {
            let (receiver, sender) = (ends[edge], ends[edges + edge]);
            for (end, position) in [(receiver, edge), (sender, edges + edge)] {
                if end >= nodes || batch[end] != batch[receiver.min(nodes - 1)] {
                    let expected = format!("one of the {nodes} nodes, of the receiver's system");
                    return Err(input.value("in.edge_index", expected, end as f64, position));
                }
            }
            let (list, features) = &mut lists[batch[receiver]];
            let first = first_node[batch[receiver]];
            list.push([receiver - first, sender - first]);
            features.extend_from_slice(&edge_features[edge * edge_width..][..edge_width]);
        }
        let mut read = Self {
            systems: Vec::with_capacity(systems),
            clean: Vec::with_capacity(systems),
            first_node,
            nodes,
            dimensions,
            frames: all - given,
        };
        for (system, (edges, edge_features)) in lists.into_iter().enumerate() {
            let of_nodes = read.nodes_of(system);
            let count = of_nodes.len();
            let rows = |values: &[f64], width: usize, frames: usize, from: usize, to: usize| {
                of_nodes
                    .clone()
                    .flat_map(|node| frame_major(&values[node * width * frames..], width, frames, from, to))
                    .collect::<Vec<f64>>()
            };
            let node_features = rows(&features, node_width, feature_frames, 0, feature_frames);
            let graph = SystemGraph::new(count, node_features, feature_frames, edges, edge_features)?;
            let system = System {
                graph: Arc::new(graph),
                dimensions,
                frames: all - given,
                given: rows(&positions, dimensions, all, 0, given),
                behind: 0,
            };
            read.clean.push(rows(&positions, dimensions, all, given, all));
            read.systems.push(system);
        }
        Ok(read)
    }

    /// `in.t_graph`: a noise level below `levels` for each system.
    ///
    /// # Errors
    /// As [`FlatBatch::read`].
    pub fn levels(&self, file: &TensorFile, origin: &Path, levels: usize) -> Result<Vec<usize>, GeotdmError> {
        let input = Input { file, origin };
        let found = input.whole("in.t_graph", &[self.systems.len()])?;
        match found.iter().position(|&level| level >= levels) {
            Some(position) => {
                let expected = format!("a level below {levels}");
                Err(input.value("in.t_graph", expected, found[position] as f64, position))
            }
            None => Ok(found),
        }
    }

    /// A tensor `[nodes, D, made frames]` as the numbers of each system, `[N, T, D]`.
    ///
    /// # Errors
    /// As [`FlatBatch::read`].
    pub fn made(
        &self,
        file: &TensorFile,
        origin: &Path,
        name: &'static str,
    ) -> Result<Vec<Vec<f64>>, GeotdmError> {
        let shape = [self.nodes, self.dimensions, self.frames];
        Ok(self.by_system(&Input { file, origin }.shaped(name, &shape)?.to_f64()))
    }

    /// Tensors `[count, nodes, D, made frames]` in order, as the numbers of each system, `[N, T, D]`.
    ///
    /// # Errors
    /// As [`FlatBatch::read`].
    pub fn made_many(
        &self,
        file: &TensorFile,
        origin: &Path,
        name: &'static str,
        count: usize,
    ) -> Result<Vec<Vec<Vec<f64>>>, GeotdmError> {
        let shape = [count, self.nodes, self.dimensions, self.frames];
        let values = Input { file, origin }.shaped(name, &shape)?.to_f64();
        Ok(values.chunks_exact(shape[1..].iter().product()).map(|one| self.by_system(one)).collect())
    }

    /// Values `[nodes, D, T]` by system, `[N, T, D]`.
    #[must_use]
    pub fn by_system(&self, values: &[f64]) -> Vec<Vec<f64>> {
        let (d, t) = (self.dimensions, self.frames);
        let node = |node: usize| frame_major(&values[node * d * t..], d, t, 0, t);
        (0..self.systems.len()).map(|system| self.nodes_of(system).flat_map(node).collect()).collect()
    }

    /// Values of each system `[N, frames, C]` as one tensor `[nodes, C, frames]`.
    #[must_use]
    pub fn flat(&self, by_system: &[Vec<f64>], width: usize) -> (Vec<usize>, Vec<f64>) {
        let row = self.frames * width;
        let rows = by_system.iter().flat_map(|values| values.chunks_exact(row));
        let values = rows
            .flat_map(|row| (0..width).flat_map(move |c| row.chunks_exact(width).map(move |frame| frame[c])))
            .collect();
        (vec![self.nodes, width, self.frames], values)
    }

    /// Number of nodes of all systems.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Coordinates of a position.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The nodes of a system.
    #[must_use]
    pub fn nodes_of(&self, system: usize) -> std::ops::Range<usize> {
        let end = self.first_node.get(system + 1).copied().unwrap_or(self.nodes);
        self.first_node[system]..end
    }
}

/// Frames `from..to` of one node's values `[width, frames]`, as `[to - from, width]`.
fn frame_major(values: &[f64], width: usize, frames: usize, from: usize, to: usize) -> Vec<f64> {
    (from..to).flat_map(|t| (0..width).map(move |c| values[c * frames + t])).collect()
}

/// Tensors of a file, with errors that name it.
struct Input<'a> {
    file: &'a TensorFile,
    origin: &'a Path,
}

impl<'a> Input<'a> {
    fn tensor(&self, name: &str) -> Result<&'a HostTensor, GeotdmError> {
        Ok(self.file.require(name, self.origin)?)
    }

    fn shaped(&self, name: &'static str, shape: &[usize]) -> Result<&'a HostTensor, GeotdmError> {
        let tensor = self.tensor(name)?;
        if tensor.shape == shape { Ok(tensor) } else { Err(self.shape(name, format!("{shape:?}"), tensor)) }
    }

    /// Whole numbers from 0 on.
    fn whole(&self, name: &'static str, shape: &[usize]) -> Result<Vec<usize>, GeotdmError> {
        let numbers = self.shaped(name, shape)?.to_f64();
        let whole = |(position, &number): (usize, &f64)| {
            if number >= 0.0 && number.fract() == 0.0 && number < 1e15 {
                Ok(number as usize)
            } else {
                Err(self.value(name, "a whole number from 0 on".to_owned(), number, position))
            }
        };
        numbers.iter().enumerate().map(whole).collect()
    }

    fn shape(&self, name: &'static str, expected: String, tensor: &HostTensor) -> GeotdmError {
        GeotdmError::InputShape { path: self.origin.to_owned(), name, expected, found: tensor.shape.clone() }
    }

    fn value(&self, name: &'static str, expected: String, found: f64, position: usize) -> GeotdmError {
        GeotdmError::InputValue { path: self.origin.to_owned(), name, expected, found, position }
    }
}
