//! The two networks as the sampler core sees them.

use std::sync::Arc;

use burn::tensor::{DType, Element, Tensor, TensorData};
use equidrift_sampler::support::Real;
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, Layout, PredictionKind, PredictionsAndGradients, State, VectorJacobian,
};

use crate::config::PathsConfig;
use crate::engine::{
    EngineError, GraphBatch, JacobianEngine, NetworkOutputs, OutputsAndGradient, ScoreEngine,
};

/// Position of the node features in the state.
pub(crate) const NODES: usize = 0;
/// Position of the adjacency in the state.
pub(crate) const EDGES: usize = 1;

/// A pair of score networks as a [`Denoiser`] of two components: node features, then adjacency.
///
/// What a network returns is the noise prediction where its path preserves variance (score = -net/std) and the score
/// itself where its path explodes, unless the configuration says otherwise; this is declared, not converted.
pub struct GdssDenoiser<E: ?Sized = dyn ScoreEngine> {
    engine: Arc<E>,
    features: usize,
    kinds: [PredictionKind; 2],
}

impl<E: ?Sized> Clone for GdssDenoiser<E> {
    fn clone(&self) -> Self {
        Self { engine: self.engine.clone(), ..*self }
    }
}

impl<E: ?Sized> GdssDenoiser<E> {
    /// Networks of `features` features per node, trained on `paths`.
    pub fn new(engine: Arc<E>, features: usize, paths: &PathsConfig) -> Self {
        Self { engine, features, kinds: paths.kinds() }
    }

    /// What evaluates the networks.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// Hands the state to `evaluate` as a batch of graphs.
    fn with_graphs<T: Element + Real, O>(
        &self,
        state: &State,
        times: &[f64],
        evaluate: impl FnOnce(&GraphBatch<'_, T>) -> Result<O, EngineError>,
    ) -> Result<O, DenoiseError> {
        let nodes = self.check(state)?;
        let x = &state.components[NODES];
        let batch = x.support.batch();
        let mask =
            (0..batch).flat_map(|row| x.support.mask(row).iter().map(|&real| T::from_elem(u8::from(real))));
        let graphs = GraphBatch {
            batch,
            nodes,
            features: self.features,
            x: &projected::<T>(&state.components[NODES])?,
            adj: &projected::<T>(&state.components[EDGES])?,
            mask: &mask.collect::<Vec<T>>(),
            times,
        };
        evaluate(&graphs).map_err(|error| DenoiseError::Engine(Box::new(error)))
    }

    /// Cotangents and gradients in free coordinates are those of all entries at half and at full weight: an output pair is
    /// the mean of its two entries, and an input pair moves both of its entries.
    fn vjp_as<T: Element + Real>(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
        differentiate: impl FnOnce(
            &GraphBatch<'_, T>,
            &NetworkOutputs<T>,
        ) -> Result<OutputsAndGradient<T>, EngineError>,
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        let found = cotangents.len();
        let [x, adj] = cotangents else {
            let (what, expected, found) = ("cotangents", "2".to_owned(), found.to_string());
            return Err(DenoiseError::Mismatch { what, expected, found });
        };
        self.check(state)?;
        let rows = |at: usize, values: &Tensor<2>| {
            let like = &state.components[at];
            projected::<T>(&Component { values: values.clone(), ..like.clone() })
        };
        let cotangents =
            NetworkOutputs { x: rows(NODES, x)?, adj: rows(EDGES, &adj.clone().mul_scalar(0.5))? };
        let mut out = self.with_graphs::<T, _>(state, times, |graphs| differentiate(graphs, &cotangents))?;
        for (at, values) in [(NODES, &mut out.gradient.x), (EDGES, &mut out.gradient.adj)] {
            let support = &state.components[at].support;
            for (row, values) in values.chunks_exact_mut(support.width().max(1)).enumerate() {
                support.project_row(row, values);
            }
        }
        let mut gradients = as_tensors(state, out.gradient);
        // The projection has taken the mean of the two entries' gradients; their sum is wanted.
        gradients[EDGES] = gradients[EDGES].clone().mul_scalar(2.0);
        Ok((as_tensors(state, out.outputs), gradients))
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

/// Whether the state is to be evaluated in double precision.
fn is_double(state: &State) -> bool {
    state.components.iter().any(|component| component.values.dtype() == DType::F64)
}

impl<E: ScoreEngine + ?Sized> Denoiser for GdssDenoiser<E> {
    fn kinds(&self) -> &[PredictionKind] {
        &self.kinds
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        Ok(if is_double(state) {
            let double = |graphs: &GraphBatch<'_, f64>| self.engine.evaluate_f64(graphs);
            as_tensors(state, self.with_graphs(state, times, double)?)
        } else {
            let single = |graphs: &GraphBatch<'_>| self.engine.evaluate(graphs);
            as_tensors(state, self.with_graphs(state, times, single)?)
        })
    }
}

impl<E: JacobianEngine + ?Sized> VectorJacobian for GdssDenoiser<E> {
    fn vjp(
        &self,
        state: &State,
        times: &[f64],
        cotangents: &[Tensor<2>],
    ) -> Result<PredictionsAndGradients, DenoiseError> {
        if is_double(state) {
            self.vjp_as::<f64>(state, times, cotangents, |graphs, cotangents| {
                self.engine.vector_jacobian_f64(graphs, cotangents)
            })
        } else {
            self.vjp_as::<f32>(state, times, cotangents, |graphs, cotangents| {
                self.engine.vector_jacobian(graphs, cotangents)
            })
        }
    }
}

/// The component's rows on the host, with padding cleared: the convolutions sum over all nodes, so whatever padded
/// entries hold would reach the real ones.
fn projected<T: Element + Real>(component: &Component) -> Result<Vec<T>, DenoiseError> {
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

/// Values of both components as tensors like theirs.
fn as_tensors<T: Element>(state: &State, values: NetworkOutputs<T>) -> Vec<Tensor<2>> {
    let tensor = |(component, values): (&Component, Vec<T>)| {
        let like = &component.values;
        Tensor::from_data(TensorData::new(values, like.dims()), (&like.device(), like.dtype()))
    };
    state.components.iter().zip([values.x, values.adj]).map(tensor).collect()
}
