//! Losses and gradients of the released training set-up, by automatic differentiation.

use std::collections::BTreeSet;

use burn::tensor::{DType, Device, Element};
use equidrift_backend::weights::{ParameterSet, TensorFile};
use equidrift_gdss::{BurnEngine, GdssModel, GraphBatch, LossAndGradient, ScoreMatchingBatch, convert_gdss};
use equidrift_laws::reference::files;
use equidrift_sampler::PathConfig;

use crate::checkpoints::{gdss_dir, parameters, relative_error};

/// The first step of a training golden, perturbed here by the formulas of denoising score matching.
struct Step {
    batch: usize,
    nodes: usize,
    features: usize,
    x: Vec<f64>,
    adj: Vec<f64>,
    mask: Vec<f64>,
    scale_x: Vec<f64>,
    z_x: Vec<f64>,
    scale_adj: Vec<f64>,
    z_adj: Vec<f64>,
}

impl Step {
    fn first(golden: &TensorFile, model: &GdssModel) -> Self {
        let get = |name: &str| golden.tensors[name].to_f64();
        let shape = &golden.tensors["in.x"].shape;
        let (batch, nodes, features) = (shape[0], shape[1], shape[2]);
        let (x, adj) = (get("in.x"), get("in.adj"));
        let first = |name: &str, width: usize| get(name)[..batch * width].to_vec();
        let (u, z_x, z_adj) =
            (first("in.u", 1), first("in.z_x", nodes * features), first("in.z_adj", nodes * nodes));
        // A node is real if it has an edge.
        let mask: Vec<f64> = adj
            .chunks(nodes)
            .map(|row| if row.iter().map(|a| a.abs()).sum::<f64>() > 1e-5 { 1.0 } else { 0.0 })
            .collect();
        let paths = model.config().paths.clone();
        let mut step = Self {
            batch,
            nodes,
            features,
            mask,
            x: vec![0.0; x.len()],
            z_x: vec![0.0; x.len()],
            adj: vec![0.0; adj.len()],
            z_adj: vec![0.0; adj.len()],
            scale_x: Vec::new(),
            scale_adj: Vec::new(),
        };
        let scale = |path: &PathConfig, std: f64| match path {
            PathConfig::VarianceExploding { .. } => std,
            _ => -1.0,
        };
        for (b, u) in u.iter().enumerate() {
            let t = u * (1.0 - 1e-5) + 1e-5;
            let (path_x, path_adj) = (paths.x.build(), paths.adj.build());
            step.scale_x.push(scale(&paths.x, path_x.sigma(t)));
            step.scale_adj.push(scale(&paths.adj, path_adj.sigma(t)));
            let real = &step.mask[b * nodes..(b + 1) * nodes];
            for i in 0..nodes {
                for f in 0..features {
                    let at = (b * nodes + i) * features + f;
                    step.z_x[at] = real[i] * z_x[at];
                    step.x[at] = real[i] * (path_x.alpha(t) * x[at] + path_x.sigma(t) * z_x[at]);
                }
                for j in 0..nodes {
                    let at = (b * nodes + i) * nodes + j;
                    let upper = (b * nodes + i.min(j)) * nodes + i.max(j);
                    let z = if i == j { 0.0 } else { real[i] * real[j] * z_adj[upper] };
                    step.z_adj[at] = z;
                    step.adj[at] = real[i] * real[j] * (path_adj.alpha(t) * adj[at] + path_adj.sigma(t) * z);
                }
            }
        }
        step
    }

    fn evaluate<T: Element>(&self, engine: &BurnEngine, round: fn(f64) -> T) -> LossAndGradient {
        let to = |values: &[f64]| values.iter().map(|&v| round(v)).collect::<Vec<T>>();
        let [x, adj, mask] = [&self.x, &self.adj, &self.mask].map(|v| to(v));
        let [scale_x, z_x, scale_adj, z_adj] =
            [&self.scale_x, &self.z_x, &self.scale_adj, &self.z_adj].map(|v| to(v));
        let (batch, nodes, features) = (self.batch, self.nodes, self.features);
        let times = vec![0.5; batch];
        let graphs = GraphBatch { batch, nodes, features, x: &x, adj: &adj, mask: &mask, times: &times };
        let (scale_x, z_x, scale_adj, z_adj) = (&scale_x, &z_x, &scale_adj, &z_adj);
        engine.loss_and_gradient_as(&ScoreMatchingBatch { graphs, scale_x, z_x, scale_adj, z_adj }).unwrap()
    }
}

fn norm(gradient: &ParameterSet, prefix: &str) -> f64 {
    let squares = gradient.iter().filter(|(name, _)| name.starts_with(prefix));
    squares.flat_map(|(_, tensor)| tensor.to_f64()).map(|g| g * g).sum::<f64>().sqrt()
}

/// Channels that weight decay has switched off have gradients of 1e-43, below single precision; nothing smaller than
/// this times the whole gradient is compared.
const NEGLIGIBLE: f64 = 1e-12;

fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / expected.abs();
    assert!(error <= tolerance, "{what}: {found} instead of {expected}, relative error {error:.2e}");
}

fn against_golden(dtype: DType, tolerance: f64) {
    let Some(dir) = gdss_dir() else { return };
    let found = files(&dir, "train.", ".safetensors");
    assert!(!found.is_empty(), "no training vectors in {}", dir.display());
    for path in found {
        let golden = TensorFile::read(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap();
        let name = file.strip_prefix("train.").unwrap().strip_suffix(".safetensors").unwrap();
        let json = dir.join(format!("{name}.json"));
        let model = convert_gdss(&json, None, None, None).unwrap();
        let weights = parameters(&TensorFile::read(json.with_extension("safetensors")).unwrap(), "");
        let networks = &model.config().networks;
        let engine = BurnEngine::with_precision(networks, &weights, &Device::flex(), dtype).unwrap();
        let step = Step::first(&golden, &model);
        let out = match dtype {
            DType::F64 => step.evaluate::<f64>(&engine, |v| v),
            _ => step.evaluate::<f32>(&engine, |v| v as f32),
        };

        let expected = golden.tensors["out.loss_and_gradnorm"].to_f64();
        close(&format!("{name} loss_x"), out.loss_x, expected[0], tolerance);
        close(&format!("{name} loss_adj"), out.loss_adj, expected[1], tolerance);
        close(&format!("{name} gradient norm x"), norm(&out.gradient, "x."), expected[2], tolerance);
        close(&format!("{name} gradient norm adj"), norm(&out.gradient, "adj."), expected[3], tolerance);

        let without: BTreeSet<String> =
            serde_json::from_str(&golden.metadata["parameters_without_gradient"]).unwrap();
        let absent: BTreeSet<String> =
            weights.keys().filter(|name| !out.gradient.contains_key(*name)).cloned().collect();
        assert_eq!(absent, without, "{name}: parameters without gradient");

        let negligible = NEGLIGIBLE * norm(&out.gradient, "");
        let (mut largest, mut compared) = (0.0_f64, 0);
        let mut check = |name: &str, found: &[f64], expected: &[f64]| {
            compared += 1;
            if expected.iter().all(|e| e.abs() <= negligible) {
                assert!(
                    found.iter().all(|g| g.abs() <= 2.0 * negligible),
                    "gradient of {name} should be nearly 0"
                );
                return;
            }
            let error = relative_error(found, expected);
            assert!(error <= tolerance, "gradient of {name}: relative error {error:.2e}");
            largest = largest.max(error);
        };
        for (name, gradient) in &out.gradient {
            assert_eq!(gradient.shape, weights[name].shape, "{name}");
            if let Some(expected) = golden.tensors.get(&format!("grad.{name}")) {
                check(name, &gradient.to_f64(), &expected.to_f64());
            }
            if let Some(expected) = golden.tensors.get(&format!("gradnorm.{name}")) {
                let length = norm(&[(name.clone(), gradient.clone())].into(), "");
                check(name, &[length], &expected.to_f64());
            }
        }
        assert_eq!(compared, out.gradient.len(), "{name}: a gradient has no reference");
        println!("{name} in {dtype:?}: {compared} gradients, largest relative error {largest:.2e}");
    }
}

#[test]
fn single_precision() {
    against_golden(DType::F32, 1e-4);
}

#[test]
fn double_precision() {
    against_golden(DType::F64, 1e-9);
}
