//! A batch of systems of any sizes as rows of the sampler's state.
//!
//! A row is one system: a site for each node and frame, padded to the largest system, with the D coordinates as features of
//! the site. Noise is keyed by node and frame within the system, so it does not depend on the batch.

use std::sync::Arc;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use equidrift_sampler::Support;

use crate::error::GeotdmError;
use crate::network_config::NetworkConfig;
use crate::system::{System, groups_of_like_shape};
use crate::system_group::SystemGroup;

/// Edges times frames of the systems that are computed side by side: their messages should stay in the caches.
const ROWS_SIDE_BY_SIDE: usize = 1 << 14;

/// The systems of a batch.
#[derive(Debug, Clone)]
pub struct SystemBatch {
    systems: Arc<Vec<System>>,
    /// Names of the nodes, for the keys of the noise; absent: their places.
    labels: Option<Arc<Vec<Vec<u32>>>>,
    nodes: usize,
    frames: usize,
    dimensions: usize,
    side_by_side: usize,
}

/// Rows of a batch that are computed together.
#[derive(Debug, Clone)]
pub(crate) struct RowGroup {
    pub(crate) rows: Vec<usize>,
    pub(crate) group: SystemGroup,
}

impl SystemBatch {
    /// A batch of these systems.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if there is none, or they have positions of different dimensions.
    pub fn new(systems: Vec<System>) -> Result<Self, GeotdmError> {
        let Some(first) = systems.first() else {
            return Err(GeotdmError::Count { what: "systems of a batch", expected: 1, found: 0 });
        };
        let dimensions = first.dimensions;
        if let Some(other) = systems.iter().find(|system| system.dimensions != dimensions) {
            let (what, found) = ("coordinates of a position", other.dimensions);
            return Err(GeotdmError::Count { what, expected: dimensions, found });
        }
        Ok(Self {
            nodes: systems.iter().map(|system| system.graph.nodes()).max().unwrap_or(0),
            frames: systems.iter().map(|system| system.frames).max().unwrap_or(0),
            dimensions,
            systems: Arc::new(systems),
            labels: None,
            side_by_side: ROWS_SIDE_BY_SIDE,
        })
    }

    /// Names the nodes of each system; the noise of a node follows its name. By default a node is named by its place.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if a node has no name.
    pub fn with_labels(mut self, labels: Vec<Vec<u32>>) -> Result<Self, GeotdmError> {
        let count = |what, expected, found| {
            if expected == found { Ok(()) } else { Err(GeotdmError::Count { what, expected, found }) }
        };
        count("systems with labels", self.systems.len(), labels.len())?;
        for (system, labels) in self.systems.iter().zip(&labels) {
            count("labels of nodes", system.graph.nodes(), labels.len())?;
        }
        self.labels = Some(Arc::new(labels));
        Ok(self)
    }

    /// How many rows of edges and frames may be computed side by side; the results are the same. More suits devices with
    /// much memory, the default the caches of a processor.
    #[must_use]
    pub fn with_side_by_side(mut self, rows: usize) -> Self {
        self.side_by_side = rows.max(1);
        self
    }

    /// The systems.
    #[must_use]
    pub fn systems(&self) -> &[System] {
        &self.systems
    }

    /// Coordinates of a position.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Sites of a padded row: nodes times frames.
    #[must_use]
    pub fn sites(&self) -> usize {
        self.nodes * self.frames
    }

    /// Numbers of a padded row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.sites() * self.dimensions
    }

    /// The support of the rows; `centred` where the joint mean of a trajectory is 0.
    #[must_use]
    pub fn support(&self, centred: bool) -> Support {
        let mask = self.systems.iter().map(|system| {
            let real =
                |site: usize| site / self.frames < system.graph.nodes() && site % self.frames < system.frames;
            (0..self.sites()).map(real).collect()
        });
        let mut support = Support::nodes(mask.collect(), self.dimensions);
        let padded = self
            .systems
            .iter()
            .any(|system| (system.graph.nodes(), system.frames) != (self.nodes, self.frames));
        if padded || self.labels.is_some() {
            let labels = self.systems.iter().enumerate().map(|(row, system)| {
                let label = |node: usize| {
                    let names = self.labels.as_ref().and_then(|labels| labels[row].get(node));
                    names.copied().unwrap_or(node as u32)
                };
                let site = |site: usize| {
                    let (node, frame) = (site / self.frames, site % self.frames);
                    label(node).wrapping_mul(system.frames as u32).wrapping_add(frame as u32)
                };
                (0..self.sites()).map(site).collect()
            });
            support = support.with_labels(labels.collect());
        }
        if centred { support.centred() } else { support }
    }

    /// Trajectories `[N, T, D]` of each system as padded rows.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] for another number of trajectories or numbers.
    pub fn rows(&self, trajectories: &[Vec<f64>]) -> Result<Vec<f64>, GeotdmError> {
        let (what, expected, found) = ("trajectories", self.systems.len(), trajectories.len());
        if expected != found {
            return Err(GeotdmError::Count { what, expected, found });
        }
        let mut rows = vec![0.0; self.systems.len() * self.width()];
        for (row, (system, values)) in self.systems.iter().zip(trajectories).enumerate() {
            let (what, expected, found) = ("numbers of a trajectory", system.width(), values.len());
            if expected != found {
                return Err(GeotdmError::Count { what, expected, found });
            }
            let width = self.width();
            self.fill_row(&mut rows[row * width..(row + 1) * width], values, row);
        }
        Ok(rows)
    }

    /// The trajectory `[N, T, D]` of system `system` into its padded row.
    pub(crate) fn fill_row<T: Copy>(&self, row: &mut [T], trajectory: &[T], system: usize) {
        let length = self.systems[system].frames * self.dimensions;
        let padded = self.frames * self.dimensions;
        for (out, values) in row.chunks_exact_mut(padded.max(1)).zip(trajectory.chunks_exact(length.max(1))) {
            out[..length].copy_from_slice(values);
        }
    }

    /// The trajectory `[N, T, D]` of system `system` from its padded row.
    pub(crate) fn trajectory<T: Copy>(&self, row: &[T], system: usize) -> Vec<T> {
        let system = &self.systems[system];
        let length = system.frames * self.dimensions;
        let nodes = row.chunks_exact((self.frames * self.dimensions).max(1)).take(system.graph.nodes());
        nodes.flat_map(|node| node[..length].iter().copied()).collect()
    }

    /// Padded rows as trajectories `[N, T, D]` of each system.
    #[must_use]
    pub fn trajectories(&self, rows: &[f64]) -> Vec<Vec<f64>> {
        let rows = rows.chunks_exact(self.width().max(1)).take(self.systems.len());
        rows.enumerate().map(|(system, row)| self.trajectory(row, system)).collect()
    }

    /// Rows that can be computed together; row r holds system `origins[r]`.
    pub(crate) fn groups(
        &self,
        config: &NetworkConfig,
        origins: &[usize],
        device: &Device,
        dtype: DType,
    ) -> Result<Vec<RowGroup>, GeotdmError> {
        let systems: Vec<&System> = origins.iter().map(|&origin| &self.systems[origin]).collect();
        let most = |system: &System| system.most_within(self.side_by_side);
        let groups = groups_of_like_shape(&systems, most).into_iter().map(|rows| {
            let members: Vec<&System> = rows.iter().map(|&row| systems[row]).collect();
            Ok(RowGroup { group: SystemGroup::new(config, &members, device, dtype)?, rows })
        });
        groups.collect()
    }

    /// Some padded rows `[B, width]` as values of a group, `[G, N T, D]`.
    pub(crate) fn take(&self, values: &Tensor<2>, of: &RowGroup) -> Tensor<3> {
        let [batch, _] = values.dims();
        let all = of.rows.len() == batch && of.rows.iter().copied().eq(0..batch);
        let rows =
            if all { values.clone() } else { values.clone().select(0, indices(&of.rows, &values.device())) };
        let [g, nodes, frames] = [of.rows.len(), of.group.nodes(), of.group.frames()];
        rows.reshape([g, self.nodes, self.frames, self.dimensions])
            .narrow(1, 0, nodes)
            .narrow(2, 0, frames)
            .reshape([g, nodes * frames, self.dimensions])
    }

    /// Values of groups `[G, N T, D]` as padded rows `[B, width]`.
    pub(crate) fn join(&self, groups: &[RowGroup], values: Vec<Tensor<3>>) -> Tensor<2> {
        let padded = groups.iter().zip(values).map(|(of, values)| {
            let [g, nodes, frames] = [of.rows.len(), of.group.nodes(), of.group.frames()];
            let like = (&values.device(), values.dtype());
            let mut values = values.reshape([g, nodes, frames, self.dimensions]);
            if frames < self.frames {
                let rest = Tensor::zeros([g, nodes, self.frames - frames, self.dimensions], like);
                values = Tensor::cat(vec![values, rest], 2);
            }
            if nodes < self.nodes {
                let rest = Tensor::zeros([g, self.nodes - nodes, self.frames, self.dimensions], like);
                values = Tensor::cat(vec![values, rest], 1);
            }
            values.reshape([g, self.width()])
        });
        let mut padded: Vec<Tensor<2>> = padded.collect();
        let joined = if padded.len() == 1 { padded.remove(0) } else { Tensor::cat(padded, 0) };
        let order: Vec<usize> = groups.iter().flat_map(|of| of.rows.iter().copied()).collect();
        if order.iter().copied().eq(0..order.len()) {
            return joined;
        }
        let mut places = vec![0; order.len()];
        for (place, &row) in order.iter().enumerate() {
            places[row] = place;
        }
        let device = joined.device();
        joined.select(0, indices(&places, &device))
    }
}

fn indices(places: &[usize], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = places.iter().map(|&place| place as i64).collect();
    Tensor::from_data(TensorData::new(values, [places.len()]), device)
}
