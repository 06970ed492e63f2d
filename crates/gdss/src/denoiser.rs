//! The two networks as the sampler core sees them.

use std::sync::Arc;

use burn::tensor::{DType, Device, Element, Tensor, TensorData};
use equidrift_sampler::support::Real;
use equidrift_sampler::{DenoiseError, Denoiser, Layout, PathConfig, PredictionKind, State};

use crate::config::PathsConfig;
use crate::engine::{EngineError, GraphBatch, NetworkOutputs, ScoreEngine};

/// Position of the node features in the state.
pub(crate) const NODES: usize = 0;
/// Position of the adjacency in the state.
pub(crate) const EDGES: usize = 1;

/// A pair of score networks as a [`Denoiser`] of two components: node features, then adjacency.
///
/// What a network returns is the noise prediction where its path preserves variance (score = -net/std) and the score
/// itself where its path explodes; this is declared, not converted. Time does not enter the networks.
#[derive(Clone)]
pub struct GdssDenoiser {
    engine: Arc<dyn ScoreEngine>,
    features: usize,
    kinds: [PredictionKind; 2],
}

impl GdssDenoiser {
    /// Networks of `features` features per node, trained on `paths`.
    pub fn new(engine: Arc<dyn ScoreEngine>, features: usize, paths: &PathsConfig) -> Self {
        Self { engine, features, kinds: [predicted(&paths.x), predicted(&paths.adj)] }
    }

    fn predict_as<T: Element + Real>(
        &self,
        state: &State,
        evaluate: impl Fn(&GraphBatch<'_, T>) -> Result<NetworkOutputs<T>, EngineError>,
    ) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let nodes = self.check(state)?;
        let [x, adj] = [NODES, EDGES].map(|at| &state.components[at]);
        let batch = x.support.batch();
        let mask =
            (0..batch).flat_map(|row| x.support.mask(row).iter().map(|&real| T::from_elem(u8::from(real))));
        let graphs = GraphBatch {
            batch,
            nodes,
            features: self.features,
            x: &projected::<T>(state, NODES)?,
            adj: &projected::<T>(state, EDGES)?,
            mask: &mask.collect::<Vec<T>>(),
        };
        let out = evaluate(&graphs).map_err(|error| DenoiseError::Engine(Box::new(error)))?;
        let device = x.values.device();
        Ok(vec![
            back(out.x, x.values.dims(), &device, x.values.dtype()),
            back(out.adj, adj.values.dims(), &device, adj.values.dtype()),
        ])
    }

    /// Checks that the state holds node features and an adjacency over the same nodes; returns N.
    fn check(&self, state: &State) -> Result<usize, DenoiseError> {
        let mismatch =
            |what, expected: String, found: String| DenoiseError::Mismatch { what, expected, found };
        let [x, adj] = state.components.as_slice() else {
            let found = state.components.len().to_string();
            return Err(mismatch("components of the state", "2 (node features, adjacency)".into(), found));
        };
        let nodes = match x.support.layout() {
            Layout::Nodes { nodes, features } if features == self.features => nodes,
            other => {
                let expected = format!("nodes with {} features", self.features);
                return Err(mismatch("first component", expected, format!("{other:?}")));
            }
        };
        match adj.support.layout() {
            Layout::SymmetricPairs { nodes: same } if same == nodes => Ok(nodes),
            other => {
                let expected = format!("symmetric pairs of {nodes} nodes");
                Err(mismatch("second component", expected, format!("{other:?}")))
            }
        }
    }
}

impl Denoiser for GdssDenoiser {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, _times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        if state.components.iter().any(|component| component.values.dtype() == DType::F64) {
            self.predict_as::<f64>(state, |graphs| self.engine.evaluate_f64(graphs))
        } else {
            self.predict_as::<f32>(state, |graphs| self.engine.evaluate(graphs))
        }
    }
}

/// What a network trained on `path` returns.
fn predicted(path: &PathConfig) -> PredictionKind {
    match path {
        PathConfig::VarianceExploding { .. } => PredictionKind::Score,
        _ => PredictionKind::Noise,
    }
}

/// The component's rows on the host, with padding cleared: the convolutions sum over all nodes, so whatever padded
/// entries hold would reach the real ones.
fn projected<T: Element + Real>(state: &State, at: usize) -> Result<Vec<T>, DenoiseError> {
    let component = &state.components[at];
    let values = component.values.clone().try_into_vec_as::<T>();
    let mut values = values.map_err(|error| DenoiseError::Engine(Box::new(error)))?;
    let width = component.support.width();
    if width > 0 {
        for (row, values) in values.chunks_exact_mut(width).enumerate() {
            component.support.project_row(row, values);
        }
    }
    Ok(values)
}

fn back<T: Element>(values: Vec<T>, shape: [usize; 2], device: &Device, dtype: DType) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, shape), (device, dtype))
}
