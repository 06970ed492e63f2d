//! The network as the sampler core sees it.

use std::sync::Arc;

use burn::tensor::Tensor;
use equidrift_sampler::{DenoiseError, Denoiser, Layout, PredictionKind, State};

use crate::diffusion::TrajectoryDiffusion;
use crate::error::GeotdmError;
use crate::network::GeotdmNetwork;
use crate::system_batch::{RowGroup, SystemBatch};

/// A GeoTDM network as a [`Denoiser`] of one component: the positions of all nodes in all made frames, as
/// [`SystemBatch`] lays them out. It returns the noise.
///
/// Of a conditional model the state holds positions; the sampler's plan runs around the mean of the prior
/// ([`Recentred`](equidrift_sampler::steer::Recentred)). Cost: one call of the network for each shape of system in the batch.
#[derive(Debug, Clone)]
pub struct GeotdmDenoiser {
    network: Arc<GeotdmNetwork>,
    diffusion: TrajectoryDiffusion,
    batch: SystemBatch,
    /// All rows of the batch.
    groups: Vec<RowGroup>,
}

impl GeotdmDenoiser {
    /// A denoiser of these systems; row b of a state is system b.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if a system does not fit the network.
    pub fn new(
        network: Arc<GeotdmNetwork>,
        diffusion: TrajectoryDiffusion,
        batch: SystemBatch,
    ) -> Result<Self, GeotdmError> {
        let rows: Vec<usize> = (0..batch.systems().len()).collect();
        let groups = batch.groups(network.config(), &rows, network.device(), network.dtype())?;
        Ok(Self { network, diffusion, batch, groups })
    }

    /// The systems.
    #[must_use]
    pub fn batch(&self) -> &SystemBatch {
        &self.batch
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &GeotdmNetwork {
        &self.network
    }

    /// The mean of the prior for every row, `[B, width]`; none in the unconditional mode.
    ///
    /// # Errors
    /// As [`GeotdmNetwork::reference`].
    pub fn reference(&self) -> Result<Option<Tensor<2>>, GeotdmError> {
        let references = self.groups.iter().map(|of| self.network.reference(&of.group));
        let references: Option<Vec<_>> = references.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
        Ok(references.map(|references| self.batch.join(&self.groups, references)))
    }

    /// Which system each row of a state is, through any selection of rows; or what does not fit.
    fn origins(&self, state: &State) -> Result<Vec<usize>, DenoiseError> {
        let mismatch =
            |what, expected: String, found: String| DenoiseError::Mismatch { what, expected, found };
        let [positions] = state.components.as_slice() else {
            let found = state.components.len().to_string();
            return Err(mismatch("components of the state", "1 (positions)".to_owned(), found));
        };
        let (support, sites) = (&positions.support, self.batch.sites());
        let expected = Layout::Nodes { nodes: sites, features: self.batch.dimensions() };
        if support.layout() != expected {
            let (expected, found) = (format!("{expected:?}"), format!("{:?}", support.layout()));
            return Err(mismatch("layout of the positions", expected, found));
        }
        let origins: Vec<usize> = (0..support.batch()).map(|row| support.origin(row)).collect();
        let systems = self.batch.systems().len();
        match origins.iter().find(|&&origin| origin >= systems) {
            Some(origin) => Err(mismatch(
                "rows of the state",
                format!("rows of the {systems} systems"),
                format!("row {origin}"),
            )),
            None => Ok(origins),
        }
    }
}

impl Denoiser for GeotdmDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &[PredictionKind::Noise]
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let engine = |error: GeotdmError| DenoiseError::Engine(Box::new(error));
        let origins = self.origins(state)?;
        let (device, dtype) = (self.network.device(), self.network.dtype());
        let selected;
        let groups = if origins.iter().copied().eq(0..self.batch.systems().len()) {
            &self.groups
        } else {
            selected = self.batch.groups(self.network.config(), &origins, device, dtype).map_err(engine)?;
            &selected
        };
        let given = &state.components[0].values;
        let (state_device, state_dtype) = (given.device(), given.dtype());
        let on_device = if state_device == *device { given.clone() } else { given.clone().to_device(device) };
        let values = if state_dtype == dtype { on_device } else { on_device.cast(dtype) };
        let noises = groups.iter().map(|of| {
            let labels: Vec<f64> = of.rows.iter().map(|&row| self.diffusion.label_at(times[row])).collect();
            Ok(self.network.denoise(&of.group, self.batch.take(&values, of), &labels)?.noise)
        });
        let noises = noises.collect::<Result<Vec<_>, GeotdmError>>().map_err(engine)?;
        let noise = self.batch.join(groups, noises);
        let noise = if state_dtype == dtype { noise } else { noise.cast(state_dtype) };
        Ok(vec![if state_device == *device { noise } else { noise.to_device(&state_device) }])
    }
}
