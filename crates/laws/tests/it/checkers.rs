//! Permutation, padding and noise checkers on small models that keep or break the laws.

use burn::tensor::{DType, Device, Tensor};
use equidrift_laws::noise_variance::noise_moments;
use equidrift_laws::padding::{extra_nodes_defect, garbage_defect, real_values};
use equidrift_laws::permutation::{SamplingCase, permute_row, prediction_defect, sample_defect};
use equidrift_sampler::{
    Component, DenoiseError, Denoiser, KeyedNoise, Layout, NoiseSource, PathConfig, PredictionKind,
    SamplerConfig, State, Stream, Support,
};

/// What a toy graph model does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// The answer depends on a node's place.
    Position,
    /// Absent nodes take part in the sums.
    Leak,
    /// The answer depends on the padded number of nodes.
    Size,
}

struct Toy(Fault);

impl Denoiser for Toy {
    fn kinds(&self) -> &[PredictionKind] {
        &[PredictionKind::Score, PredictionKind::Score]
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let [x, adj] = &state.components[..] else { panic!("two components") };
        let Layout::Nodes { nodes, features } = x.support.layout() else { panic!("node features") };
        let (xs, adjs) = (x.to_host().unwrap(), adj.to_host().unwrap());
        let (mut out_x, mut out_adj) = (vec![0.0; xs.len()], vec![0.0; adjs.len()]);
        for row in 0..times.len() {
            let mask = x.support.mask(row);
            let take = |i: usize| mask[i] || self.0 == Fault::Leak;
            let at = |i: usize, f: usize| xs[(row * nodes + i) * features + f];
            for i in (0..nodes).filter(|&i| mask[i]) {
                for f in 0..features {
                    let mut sum = 0.0;
                    for j in (0..nodes).filter(|&j| take(j)) {
                        sum += adjs[(row * nodes + i) * nodes + j] * at(j, f);
                    }
                    let fault = match self.0 {
                        Fault::Position => 0.1 * i as f64,
                        Fault::Size => 0.1 * nodes as f64,
                        _ => 0.0,
                    };
                    out_x[(row * nodes + i) * features + f] = sum.tanh() - at(i, f) + fault;
                }
                for j in (0..nodes).filter(|&j| mask[j] && j != i) {
                    let product: f64 = (0..features).map(|f| at(i, f) * at(j, f)).sum();
                    out_adj[(row * nodes + i) * nodes + j] =
                        product.sin() - adjs[(row * nodes + i) * nodes + j];
                }
            }
        }
        let make = |values, like: &Component| {
            let (device, dtype) = (like.values.device(), like.values.dtype());
            Component::from_host("", values, like.support.clone(), &device, dtype).unwrap().values
        };
        Ok(vec![make(out_x, x), make(out_adj, adj)])
    }
}

fn supports() -> Vec<Support> {
    let mask: Vec<Vec<bool>> = [5, 3].iter().map(|&size| (0..6).map(|i| i < size).collect()).collect();
    vec![Support::nodes(mask.clone(), 2), Support::symmetric_pairs(mask)]
}

const PATHS: [PathConfig; 2] = [const { PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 } }; 2];
const NAMES: [&str; 2] = ["x", "adj"];

fn state() -> State {
    State::prior(&NAMES, &PATHS, supports(), &[0, 1], &KeyedNoise::new(1), &Device::flex(), DType::F64)
        .unwrap()
}

fn orders() -> Vec<Vec<usize>> {
    vec![vec![3, 5, 0, 4, 1, 2], vec![2, 0, 5, 3, 4, 1]]
}

#[test]
fn permutation_of_predictions() {
    let times = [0.5, 0.5];
    assert!(prediction_defect(&Toy(Fault::None), &state(), &times, &orders()).unwrap() < 1e-14);
    assert!(prediction_defect(&Toy(Fault::Position), &state(), &times, &orders()).unwrap() > 1e-2);
}

#[test]
fn permutation_of_samples() {
    let device = Device::flex();
    let noise = KeyedNoise::new(4);
    let (supports, ids) = (supports(), [3, 8]);
    for config in SamplerConfig::all() {
        let plan = config.plan(&PATHS, 8).unwrap();
        let case = SamplingCase {
            plan: &plan,
            names: &NAMES,
            paths: &PATHS,
            supports: &supports,
            ids: &ids,
            noise: &noise,
            device: &device,
            dtype: DType::F64,
        };
        assert!(sample_defect(&Toy(Fault::None), &case, &orders()).unwrap() < 1e-12, "{}", config.name());
        assert!(sample_defect(&Toy(Fault::Position), &case, &orders()).unwrap() > 1e-3, "{}", config.name());
    }
}

#[test]
fn padding() {
    let times = [0.5, 0.5];
    let garbage = |index: usize| index as f64 - 20.0;
    assert_eq!(garbage_defect(&Toy(Fault::None), &state(), &times, garbage).unwrap(), 0.0);
    assert!(garbage_defect(&Toy(Fault::Leak), &state(), &times, garbage).unwrap() > 1e-2);
    assert_eq!(extra_nodes_defect(&Toy(Fault::None), &state(), &times, 4).unwrap(), 0.0);
    assert!(extra_nodes_defect(&Toy(Fault::Size), &state(), &times, 4).unwrap() > 1e-2);
}

#[test]
fn rows_are_permuted_and_read_as_their_layout_says() {
    let nodes = Layout::Nodes { nodes: 3, features: 2 };
    assert_eq!(permute_row(&[1., 2., 3., 4., 5., 6.], nodes, &[2, 0, 1]), [5., 6., 1., 2., 3., 4.]);
    let pairs = Layout::SymmetricPairs { nodes: 3 };
    let matrix = [0., 1., 2., 1., 0., 3., 2., 3., 0.];
    assert_eq!(permute_row(&matrix, pairs, &[2, 0, 1]), [0., 2., 3., 2., 0., 1., 3., 1., 0.]);
    let support = Support::symmetric_pairs(vec![vec![true, true, false]]);
    assert_eq!(real_values(&matrix, &support), [1.0]);
}

/// (Z + Zᵀ)/2 has half the variance: the mistake the checker is for.
struct HalfVariance(KeyedNoise);

impl NoiseSource for HalfVariance {
    fn normals(
        &self,
        stream: Stream,
        step: u32,
        component: usize,
        support: &Support,
        ids: &[u64],
    ) -> Vec<f64> {
        let mut values = self.0.normals(stream, step, component, support, ids);
        values.iter_mut().for_each(|value| *value *= std::f64::consts::FRAC_1_SQRT_2);
        values
    }
}

#[test]
fn noise_moments_find_half_variance() {
    let support = &supports()[1];
    let good = noise_moments(&KeyedNoise::new(2), Stream::Prior, 1, support, &[0, 1], 2000);
    let bad = noise_moments(&HalfVariance(KeyedNoise::new(2)), Stream::Prior, 1, support, &[0, 1], 2000);
    assert_eq!(good.count, 2000 * (10 + 3));
    assert!((good.variance - 1.0).abs() < 0.04 && (bad.variance - 0.5).abs() < 0.02);
    assert_eq!((good.asymmetry, good.outside), (0.0, 0.0));
}
