//! The network as the sampler core sees it.

use std::num::NonZeroUsize;
use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};
use equidrift_sampler::{
    DenoiseError, Denoiser, Layout, PredictionKind, PredictionsAndGradients, State, VectorJacobian,
};

use crate::diffusion::{Level, TrajectoryDiffusion};
use crate::error::GeotdmError;
use crate::fused::{FusedNetwork, NoisySystem};
use crate::network::GeotdmNetwork;
use crate::system_batch::{RowGroup, SystemBatch};

/// A GeoTDM network as a [`Denoiser`] of one component: the positions of all nodes in all made frames, as
/// [`SystemBatch`] lays them out. It returns the noise.
///
/// Of a conditional model the state holds positions (with an extrapolated prior deviations from the forecast); the sampler's plan runs around the mean of the prior
/// ([`Recentred`](equidrift_sampler::steer::Recentred)). Cost: one call of the network for each shape of system in the batch.
#[derive(Debug, Clone)]
pub struct GeotdmDenoiser {
    network: Arc<GeotdmNetwork>,
    diffusion: TrajectoryDiffusion,
    batch: SystemBatch,
    /// All rows of the batch.
    groups: Vec<RowGroup>,
    /// Evaluates states in single precision, on so many threads.
    fused: Option<(Arc<FusedNetwork>, NonZeroUsize)>,
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
        Ok(Self { network, diffusion, batch, groups, fused: None })
    }

    /// Lets the fused kernels evaluate states in single precision, on `threads` threads. They hold the same parameters; results
    /// differ by rounding only.
    #[must_use]
    pub fn with_fused(mut self, network: Arc<FusedNetwork>, threads: NonZeroUsize) -> Self {
        self.fused = Some((network, threads));
        self
    }

    /// The systems.
    #[must_use]
    pub fn batch(&self) -> &SystemBatch {
        &self.batch
    }

    /// The noise levels.
    #[must_use]
    pub fn diffusion(&self) -> &TrajectoryDiffusion {
        &self.diffusion
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

impl GeotdmDenoiser {
    fn predict_fused(
        &self,
        network: &FusedNetwork,
        threads: NonZeroUsize,
        state: &State,
        origins: &[usize],
        times: &[f64],
    ) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let given = &state.components[0].values;
        let positions = self.by_system(given, origins)?;
        let found = network.denoise(&self.noisy(&positions, origins, times), threads);
        let found = found.map_err(|error| DenoiseError::Engine(Box::new(error)))?;
        Ok(vec![self.padded(&found, origins, given)])
    }

    /// Rows of a tensor as values `[N, T, D]` of the systems they are of.
    fn by_system(&self, values: &Tensor<2>, origins: &[usize]) -> Result<Vec<Vec<f32>>, DenoiseError> {
        let rows = values.clone().try_into_vec_as::<f32>();
        let rows = rows.map_err(|error| DenoiseError::Engine(Box::new(error)))?;
        let rows = rows.chunks_exact(self.batch.width().max(1)).zip(origins);
        Ok(rows.map(|(row, &origin)| self.batch.trajectory(row, origin)).collect())
    }

    /// Values of systems as padded rows, where `like` is.
    fn padded(&self, found: &[Vec<f32>], origins: &[usize], like: &Tensor<2>) -> Tensor<2> {
        let width = self.batch.width();
        let mut padded = vec![0.0; found.len() * width];
        for ((row, values), &origin) in padded.chunks_exact_mut(width.max(1)).zip(found).zip(origins) {
            self.batch.fill_row(row, values, origin);
        }
        let data = TensorData::new(padded, like.dims());
        Tensor::from_data(data, (&like.device(), like.dtype()))
    }

    fn noisy<'a>(
        &'a self,
        positions: &'a [Vec<f32>],
        origins: &[usize],
        times: &[f64],
    ) -> Vec<NoisySystem<'a>> {
        let rows = positions.iter().zip(origins).zip(times);
        rows.map(|((positions, &origin), &time)| NoisySystem {
            system: &self.batch.systems()[origin],
            positions,
            level: self.diffusion.level_at(time),
        })
        .collect()
    }
}

/// By the fused kernels only.
impl VectorJacobian for GeotdmDenoiser {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        let engine = |error: GeotdmError| DenoiseError::Engine(Box::new(error));
        let origins = self.origins(state)?;
        let given = &state.components[0].values;
        let (Some((network, threads)), DType::F32) = (&self.fused, given.dtype()) else {
            return Err(engine(GeotdmError::NoProducts));
        };
        let Some(cotangents) = cotangents.first() else {
            let (expected, found) = ("1".to_owned(), "0".to_owned());
            return Err(DenoiseError::Mismatch { what: "cotangents", expected, found });
        };
        let (positions, cotangents) =
            (self.by_system(given, &origins)?, self.by_system(cotangents, &origins)?);
        let noisy = self.noisy(&positions, &origins, times);
        let found = network.denoise_with_product(&noisy, &cotangents, *threads).map_err(engine)?;
        let (noises, products): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let padded = |values: &[Vec<f32>]| vec![self.padded(values, &origins, given)];
        Ok((padded(&noises), padded(&products)))
    }
}

impl Denoiser for GeotdmDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &[PredictionKind::Noise]
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let engine = |error: GeotdmError| DenoiseError::Engine(Box::new(error));
        let origins = self.origins(state)?;
        if let (Some((network, threads)), DType::F32) = (&self.fused, state.components[0].values.dtype()) {
            return self.predict_fused(network, *threads, state, &origins, times);
        }
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
            let levels: Vec<Level> = of.rows.iter().map(|&row| self.diffusion.level_at(times[row])).collect();
            Ok(self.network.denoise_at(&of.group, self.batch.take(&values, of), &levels)?.noise)
        });
        let noises = noises.collect::<Result<Vec<_>, GeotdmError>>().map_err(engine)?;
        let noise = self.batch.join(groups, noises);
        let noise = if state_dtype == dtype { noise } else { noise.cast(state_dtype) };
        Ok(vec![if state_device == *device { noise } else { noise.to_device(&state_device) }])
    }
}
