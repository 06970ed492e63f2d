//! Vector–Jacobian products of the networks, and the likelihoods made of them.

use std::sync::Arc;

use burn::tensor::{DType, Device, Tensor};
use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{BurnEngine, GdssConfig, GdssDenoiser, GdssModel, Precision, initial_parameters};
use equidrift_sampler::plan::DormandPrince;
use equidrift_sampler::{
    Component, Denoiser, Divergence, KeyedNoise, Likelihood, NoiseSource, PathConfig, PriorDensity, State,
    Stream, Support, VectorJacobian,
};

use crate::checkpoints::checkpoints;

/// A model whose networks are small and whose paths preserve variance, so that no reference files are needed.
fn small_model() -> GdssModel {
    let config: GdssConfig = serde_json::from_str(
        r#"{
        "library": "equidrift", "format_version": 1, "family": "gdss", "name": "small", "task": "molecules",
        "max_nodes": 5, "vocabulary": {"atoms": ["C", "N", "O"]},
        "networks": {
            "x": {"model_type": "ScoreNetworkX", "max_feat_num": 3, "depth": 2, "nhid": 8},
            "adj": {"model_type": "ScoreNetworkA", "max_feat_num": 3, "max_node_num": 5, "nhid": 8, "num_layers": 2,
                "num_linears": 2, "c_init": 2, "c_hid": 4, "c_final": 2, "adim": 8, "num_heads": 4, "conv": "GCN"}
        },
        "paths": {"x": {"type": "VP", "beta_min": 0.1, "beta_max": 1.0},
            "adj": {"type": "VE", "beta_min": 0.2, "beta_max": 1.0}},
        "sampler": {"name": "predictor-corrector"}, "steps": 10, "sampling_weights": "raw"
    }"#,
    )
    .unwrap();
    let parameters = initial_parameters(&config.networks, 3);
    GdssModel::new(config, parameters).unwrap()
}

/// Noised graphs of `sizes` nodes, padded to `nodes`.
fn graphs(model: &GdssModel, sizes: &[usize], nodes: usize, dtype: DType) -> State {
    let mask: Vec<Vec<bool>> = sizes.iter().map(|&size| (0..nodes).map(|i| i < size).collect()).collect();
    let features = model.config().networks.features();
    let supports = [Support::nodes(mask.clone(), features), Support::symmetric_pairs(mask)];
    let ids: Vec<u64> = (0..sizes.len() as u64).collect();
    let noise = KeyedNoise::new(9);
    let components = supports.into_iter().enumerate().map(|(index, support)| {
        let values = noise.normals(Stream::Renoise, 0, index, &support, &ids);
        let values = values.iter().map(|z| 0.4 + 0.8 * z).collect::<Vec<_>>();
        let mask = support.element_mask();
        let values = values.iter().zip(&mask).map(|(value, mask)| value * mask).collect();
        Component::from_host(["x", "adj"][index], values, support, &Device::flex(), dtype).unwrap()
    });
    State::new(components.collect()).unwrap()
}

fn draw(state: &State, stream: Stream) -> Vec<Vec<f64>> {
    let ids: Vec<u64> = (0..state.batch() as u64).collect();
    let noise = KeyedNoise::new(31);
    let components = state.components.iter().enumerate();
    components.map(|(index, component)| noise.normals(stream, 0, index, &component.support, &ids)).collect()
}

/// Σ over free coordinates of the products, row by row.
fn dot(state: &State, a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<f64> {
    (0..state.batch())
        .map(|row| {
            state
                .components
                .iter()
                .zip(a.iter().zip(b))
                .map(|(component, (a, b))| {
                    let (support, width) = (&component.support, component.support.width());
                    support.dot(row, &a[row * width..][..width], &b[row * width..][..width])
                })
                .sum()
        })
        .collect()
}

fn host(state: &State, tensors: Vec<Tensor<2>>) -> Vec<Vec<f64>> {
    let component = |(like, values): (&Component, Tensor<2>)| Component { values, ..like.clone() };
    state.components.iter().zip(tensors).map(|pair| component(pair).to_host().unwrap()).collect()
}

fn tensors(state: &State, values: Vec<Vec<f64>>) -> Vec<Tensor<2>> {
    state.with_values(values).unwrap().components.into_iter().map(|component| component.values).collect()
}

/// The directional derivative by central differences: cotangent · (p(x + h v) − p(x − h v))/2h per row.
fn difference(
    denoiser: &dyn Denoiser,
    state: &State,
    cotangent: &[Vec<f64>],
    direction: &[Vec<f64>],
) -> Vec<f64> {
    const H: f64 = 1e-5;
    let times = vec![0.5; state.batch()];
    let at = |h: f64| {
        let values = state.to_host().unwrap();
        let moved =
            values.iter().zip(direction).map(|(x, v)| x.iter().zip(v).map(|(x, v)| x + h * v).collect());
        let moved = state.with_values(moved.collect()).unwrap();
        let mut predictions = host(&moved, denoiser.predict(&moved, &times).unwrap());
        // The executor projects what networks return, so the projected prediction is what is differentiated.
        for (component, values) in moved.components.iter().zip(&mut predictions) {
            for (row, values) in values.chunks_exact_mut(component.support.width()).enumerate() {
                component.support.project_row(row, values);
            }
        }
        dot(&moved, cotangent, &predictions)
    };
    at(H).iter().zip(at(-H)).map(|(plus, minus)| (plus - minus) / (2.0 * H)).collect()
}

fn check(name: &str, model: &GdssModel, sizes: &[usize], nodes: usize) {
    let exact = model.differentiable_denoiser(Precision::F64, DeviceKind::Cpu).unwrap();
    let state = graphs(model, sizes, nodes, DType::F64);
    let (cotangent, direction) = (draw(&state, Stream::Probe), draw(&state, Stream::Proposal));
    let times = vec![0.5; sizes.len()];
    let cotangents = tensors(&state, cotangent.clone());
    let (predictions, gradients) = exact.vjp(&state, &times, &cotangents).unwrap();
    assert_eq!(host(&state, predictions), host(&state, exact.predict(&state, &times).unwrap()));
    let gradients = host(&state, gradients);
    let found = dot(&state, &gradients, &direction);
    let expected = difference(&exact, &state, &cotangent, &direction);
    let scale = expected.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    for (row, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let error = (found - expected).abs() / scale;
        println!("{name}, {} nodes: {found:.9} and {expected:.9}, relative error {error:.1e}", sizes[row]);
        assert!(error < 1e-7, "{name}, row {row}: {found} and {expected}");
    }
    for (component, gradient) in state.components.iter().zip(&gradients) {
        for (row, values) in gradient.chunks_exact(component.support.width()).enumerate() {
            let mut projected = values.to_vec();
            component.support.project_row(row, &mut projected);
            assert_eq!(projected, values, "gradients lie in the support");
        }
    }
    // A row alone, and in single precision.
    let alone = state.select(&[1]);
    let row = tensors(&state, cotangent).into_iter().zip(&state.components).map(|(tensor, like)| {
        let component = Component { values: tensor, ..like.clone() };
        State { components: vec![component] }.select(&[1]).components.remove(0).values
    });
    let (_, own) = exact.vjp(&alone, &times[..1], &row.collect::<Vec<_>>()).unwrap();
    for ((component, own), gradient) in state.components.iter().zip(host(&alone, own)).zip(&gradients) {
        let width = component.support.width();
        assert_eq!(own, &gradient[width..2 * width], "{name}: row 1 alone");
    }
    let single = model.differentiable_denoiser(Precision::F32, DeviceKind::Cpu).unwrap();
    let state = graphs(model, sizes, nodes, DType::F32);
    let rounded = tensors(&state, draw(&state, Stream::Probe));
    let (_, rounded) = single.vjp(&state, &times, &rounded).unwrap();
    for (found, expected) in host(&state, rounded).iter().flatten().zip(gradients.iter().flatten()) {
        assert!(
            (found - expected).abs() < 2e-4 * scale,
            "{name} in single precision: {found} and {expected}"
        );
    }
}

#[test]
fn products_are_the_finite_differences() {
    check("small networks", &small_model(), &[5, 3, 2], 5);
}

#[test]
fn products_of_released_checkpoints() {
    for checkpoint in checkpoints().iter().filter(|checkpoint| checkpoint.name.starts_with("qm9")) {
        check(&checkpoint.name, &checkpoint.model(), &[9, 7, 4], 9);
    }
}

/// With the exact trace nothing is random, so the tolerance decides.
#[test]
fn the_likelihood_converges_with_the_tolerance() {
    let model = small_model();
    let denoiser: Arc<GdssDenoiser<BurnEngine>> =
        model.differentiable_denoiser(Precision::F64, DeviceKind::Cpu).unwrap();
    let paths: [PathConfig; 2] = [model.config().paths.x.clone(), model.config().paths.adj.clone()];
    let state = graphs(&model, &[4, 2, 3], 4, DType::F64);
    let at = |tolerance: f64| {
        let how = Likelihood {
            ode: DormandPrince::with_tolerance(tolerance),
            t_start: 1e-2,
            divergence: Divergence::Exact,
        };
        let found = how
            .evaluate(&denoiser, &paths, &PriorDensity::new(&paths), state.clone(), &[0, 1, 2], 0)
            .unwrap();
        found.into_iter().map(Option::unwrap).collect::<Vec<_>>()
    };
    let (coarse, fine, finest) = (at(1e-3), at(1e-5), at(1e-6));
    for ((coarse, fine), finest) in coarse.iter().zip(&fine).zip(&finest) {
        println!("{:.6} {:.6} {:.6}", coarse.log_density, fine.log_density, finest.log_density);
        assert!((coarse.log_density / finest.log_density - 1.0).abs() < 0.01);
        assert!((fine.log_density / finest.log_density - 1.0).abs() < 1e-4);
    }
    let dof: Vec<usize> = finest.iter().map(|found| found.degrees_of_freedom).collect();
    assert_eq!(dof, [4 * 3 + 6, 2 * 3 + 1, 3 * 3 + 3]);
}
