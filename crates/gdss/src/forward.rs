//! Both networks and both scores on the tensors of a file, for checking converted weights.

use std::path::Path;

use burn::tensor::DType;
use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::{HostTensor, TensorFile};
use equidrift_sampler::{PathConfig, PredictionKind};

use crate::burn_engine::BurnEngine;
use crate::engine::GraphBatch;
use crate::error::GdssError;
use crate::model::{EngineKind, GdssModel};

/// In what precision to compute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single, as for sampling.
    #[default]
    F32,
    /// Double.
    F64,
}

/// Evaluates `in.x` `[B, N, F]`, `in.adj` `[B, N, N]`, `in.flags` `[B, N]` at the times `in.t` `[B]`.
///
/// Returns `out.x.net`, `out.adj.net` (the networks after their mask) and `out.x.score`, `out.adj.score`
/// (`-net/std(t)` on variance-preserving paths, the network itself on exploding ones). Double precision is computed by
/// the tensor library, whatever `engine` says. `origin` is the file named in errors.
///
/// # Errors
/// [`GdssError::Weights`] if an input is missing, [`GdssError::InputShape`],
/// [`GdssError::InputValue`] if the adjacency is not symmetric with zero diagonal, a flag is not 0 or 1, or a time is
/// outside `(0, 1]`, or as [`GdssModel::engine`].
pub fn forward(
    model: &GdssModel,
    inputs: &TensorFile,
    origin: &Path,
    precision: Precision,
    engine: EngineKind,
    device: DeviceKind,
) -> Result<TensorFile, GdssError> {
    let features = model.config().networks.features();
    let x = inputs.require("in.x", origin)?;
    let [batch, nodes] = match x.shape.as_slice() {
        &[batch, nodes, found] if found == features => [batch, nodes],
        _ => return Err(wrong_shape(origin, "in.x", format!("[B, N, {features}]"), x)),
    };
    let input = |name: &'static str, shape: &[usize]| {
        let tensor = inputs.require(name, origin)?;
        if tensor.shape == shape {
            Ok(tensor)
        } else {
            Err(wrong_shape(origin, name, format!("{shape:?}"), tensor))
        }
    };
    let adj = input("in.adj", &[batch, nodes, nodes])?;
    let flags = input("in.flags", &[batch, nodes])?;
    let times = input("in.t", &[batch])?.to_f64();
    check_values(&adj.to_f64(), &flags.to_f64(), &times, [batch, nodes], origin)?;

    let (state_x, state_adj) = (x.to_f64(), adj.to_f64());
    let (x, adj) = match precision {
        Precision::F64 => {
            let networks = &model.config().networks;
            let engine =
                BurnEngine::with_precision(networks, model.parameters(), &device.open()?, DType::F64)?;
            let (x, adj, mask) = (x.to_f64(), adj.to_f64(), flags.to_f64());
            let graphs = GraphBatch { batch, nodes, features, x: &x, adj: &adj, mask: &mask, times: &times };
            let out = engine.evaluate_as(&graphs)?;
            (out.x, out.adj)
        }
        Precision::F32 => {
            let (x, adj, mask) = (x.to_f32(), adj.to_f32(), flags.to_f32());
            let graphs = GraphBatch { batch, nodes, features, x: &x, adj: &adj, mask: &mask, times: &times };
            let out = model.engine(engine, device)?.evaluate(&graphs)?;
            let widen = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
            (widen(out.x), widen(out.adj))
        }
    };
    let paths = &model.config().paths;
    let mut out = TensorFile::default();
    let mut insert = |name: &str, shape: &[usize], values: Vec<f64>| {
        let tensor = match precision {
            Precision::F32 => HostTensor::f32(shape, values.into_iter().map(|v| v as f32).collect()),
            Precision::F64 => HostTensor::f64(shape, values),
        };
        out.tensors.insert(name.to_owned(), tensor);
    };
    let [kind_x, kind_adj] = paths.kinds();
    insert("out.x.score", &[batch, nodes, features], score(&paths.x, kind_x, &state_x, &x, &times));
    insert("out.adj.score", &[batch, nodes, nodes], score(&paths.adj, kind_adj, &state_adj, &adj, &times));
    insert("out.x.net", &[batch, nodes, features], x);
    insert("out.adj.net", &[batch, nodes, nodes], adj);
    Ok(out)
}

/// The score from the state and a network's output `[B, ...]` at one time per graph.
fn score(path: &PathConfig, kind: PredictionKind, state: &[f64], net: &[f64], times: &[f64]) -> Vec<f64> {
    if kind == PredictionKind::Score || times.is_empty() {
        return net.to_vec();
    }
    let path = path.build();
    let width = net.len() / times.len();
    let conversions = times
        .iter()
        .flat_map(|&t| std::iter::repeat_n(kind.convert(PredictionKind::Score, &path.marginal(t)), width));
    state.iter().zip(net).zip(conversions).map(|((x, net), c)| c.state * x + c.prediction * net).collect()
}

/// The engines rely on what every graph satisfies, so numbers that are no graph must not reach them.
fn check_values(
    adj: &[f64],
    flags: &[f64],
    times: &[f64],
    [batch, nodes]: [usize; 2],
    origin: &Path,
) -> Result<(), GdssError> {
    let wrong = |name, expected, found, position| {
        Err(GdssError::InputValue { path: origin.to_owned(), name, expected, found, position })
    };
    for (b, &time) in times.iter().enumerate() {
        if !(time > 0.0 && time <= 1.0) {
            return wrong("in.t", "a time in (0, 1]", time, vec![b]);
        }
    }
    for (index, &flag) in flags.iter().enumerate() {
        if flag != 0.0 && flag != 1.0 {
            return wrong("in.flags", "0 or 1", flag, vec![index / nodes, index % nodes]);
        }
    }
    for b in 0..batch {
        let graph = &adj[b * nodes * nodes..][..nodes * nodes];
        for i in 0..nodes {
            for j in 0..=i {
                let (lower, upper) = (graph[i * nodes + j], graph[j * nodes + i]);
                if i == j && lower != 0.0 {
                    return wrong("in.adj", "a zero diagonal", lower, vec![b, i, j]);
                }
                // Equal to single precision: files are often written from it.
                let allowed = f64::from(f32::EPSILON) * lower.abs().max(upper.abs());
                let difference = (lower - upper).abs();
                if difference > allowed || difference.is_nan() {
                    return wrong("in.adj", "a symmetric matrix", lower, vec![b, i, j]);
                }
            }
        }
    }
    Ok(())
}

fn wrong_shape(origin: &Path, name: &'static str, expected: String, tensor: &HostTensor) -> GdssError {
    GdssError::InputShape { path: origin.to_owned(), name, expected, found: tensor.shape.clone() }
}
