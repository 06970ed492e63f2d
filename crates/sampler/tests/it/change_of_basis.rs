//! General linear observations (C9): known combinations of entries through an orthogonal change of basis.

use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::autoregressive::SeriesDenoiser;
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::{GaussianData, Moments};
use equidrift_sampler::plan::{Corrector, EulerMaruyama, Inpainting, Observation, PredictorCorrector};
use equidrift_sampler::steer::{ChangeOfBasis, OrthogonalBasis};
use equidrift_sampler::{
    Component, Denoiser, Executor, KeyedNoise, PathConfig, Planner, PredictionKind, SamplerError, State,
    Support,
};
use nalgebra::{DMatrix, DVector};

use crate::inpainting::{errors, four, registers};

const PATH: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };

/// The grey value of the three first entries, and a second combination: orthonormal directions of four entries.
fn directions() -> Vec<Vec<f64>> {
    let (third, sixth) = (3f64.sqrt().recip(), 6f64.sqrt().recip());
    vec![vec![third, third, third, 0.0], vec![sixth, -sixth, 0.0, 2.0 * sixth]]
}

fn basis() -> OrthogonalBasis {
    OrthogonalBasis::completing(directions(), 4).unwrap()
}

/// The observed values of the two combinations, about one deviation from their means.
const KNOWN: [(usize, f64); 2] = [(0, 0.9), (1, -0.2)];

fn matrix(basis: &OrthogonalBasis) -> DMatrix<f64> {
    DMatrix::from_fn(basis.width(), basis.width(), |i, j| basis.rows()[i][j])
}

/// The law of y = Q x.
fn turned(law: &GaussianData, basis: &OrthogonalBasis) -> GaussianData {
    let q = matrix(basis);
    GaussianData { mean: &q * &law.mean, covariance: &q * &law.covariance * q.transpose() }
}

fn vector(values: Vec<f64>, width: usize) -> State {
    let support = Support::vector(values.len() / width, width);
    State::new(vec![Component::from_host("x", values, support, &Device::flex(), DType::F64).unwrap()])
        .unwrap()
}

/// Exact moments of y after inpainting with `planner`.
fn planned(planner: &dyn Planner, steps: usize) -> Moments {
    let plan = Inpainting::default().apply(&planner.plan(&vec![PATH; 4], steps).unwrap()).unwrap();
    let law = turned(&four(), &basis());
    law.moments_with_given(&plan, &[1.0; 4], &registers(&plan, 4, &KNOWN)).unwrap()
}

/// Samples of x given the two combinations, `[rows, 4]`.
fn sampled(planner: &dyn Planner, steps: usize, rows: usize) -> Vec<f64> {
    let plan = Inpainting::default().apply(&planner.plan(&[PATH], steps).unwrap()).unwrap();
    let inner = SeriesDenoiser::new(&four(), PATH, PredictionKind::Noise);
    let denoiser = ChangeOfBasis::new(inner, vec![Some(basis())]).unwrap();
    let (ids, noise): (Vec<u64>, _) = ((0..rows as u64).collect(), KeyedNoise::new(23));
    let support = Support::vector(rows, 4);
    let start =
        State::prior(&["x"], &[PATH], vec![support], &ids, &noise, &Device::flex(), DType::F64).unwrap();
    let values = vector([KNOWN[0].1, KNOWN[1].1, 0.0, 0.0].repeat(rows), 4);
    let observation = Observation::new(&values, |_, _, entry| entry < 2).unwrap();
    let given = observation.given(&plan).unwrap();
    let outcome = Executor::new(&denoiser, &noise).with_given(given).run(&plan, start, &ids).unwrap();
    denoiser.leave(&outcome.state).unwrap().components[0].to_host().unwrap()
}

/// Largest differences of sample means and covariances from these moments of x, in standard errors.
fn standard_errors(samples: &[f64], exact: &Moments) -> f64 {
    let (width, n) = (4, samples.len() as f64 / 4.0);
    let mut worst = 0.0f64;
    for i in 0..width {
        let mean = samples.chunks_exact(width).map(|x| x[i]).sum::<f64>() / n;
        let variance = exact.covariance[(i, i)];
        worst = worst.max((mean - exact.mean[i]).abs() / (variance / n).sqrt());
        for j in 0..=i {
            let product = |x: &[f64]| (x[i] - exact.mean[i]) * (x[j] - exact.mean[j]);
            let covariance = samples.chunks_exact(width).map(product).sum::<f64>() / n;
            let expected = exact.covariance[(i, j)];
            let error = ((variance * exact.covariance[(j, j)] + expected * expected) / n).sqrt();
            worst = worst.max((covariance - expected).abs() / error);
        }
    }
    worst
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = Vec::new();
        let mut add = |what: String, expected: f64, accept: Accept, measured: f64| {
            let what = format!("general linear observation, 2 combinations of 4 normal coordinates known, {what}");
            figures.push(Figure::new("C9", what, expected, accept, measured));
        };
        let law = turned(&four(), &basis());
        let em = EulerMaruyama { eps: 1e-3, noise_removal: true };
        let got = errors(&law, &KNOWN, &planned(&em, 800));
        let what = "Euler-Maruyama, 800 steps";
        add(format!("{what}: bias of the mean, in deviations"), 0.534, Accept::Relative(0.05), got.0);
        add(format!("{what}: bias of the covariance, relative"), 0.0885, Accept::Relative(0.05), got.1);
        // A correction of fixed step is linear whatever the layout, so its moments are exact too.
        let corrected = PredictorCorrector {
            corrector: Corrector::AnnealedLangevin,
            n_steps: 8,
            snr: 0.5.into(),
            scale_eps: 1.0.into(),
            eps: 1e-3,
            ..PredictorCorrector::default()
        };
        let got = errors(&law, &KNOWN, &planned(&corrected, 400));
        let what = "400 steps x 8 Langevin corrections of fixed size";
        add(format!("{what}: bias of the mean, in deviations"), 0.05, Accept::AtMost, got.0);
        add(format!("{what}: bias of the covariance, relative"), 0.05, Accept::AtMost, got.1);
        // The samples of the wrapped network have those moments, and the combinations hold in them.
        let (rows, steps) = (20_000, 25);
        let samples = sampled(&em, steps, rows);
        let y = planned(&em, steps);
        let q = matrix(&basis());
        let x = Moments { mean: q.transpose() * &y.mean, covariance: q.transpose() * &y.covariance * &q };
        let what = "Euler-Maruyama, 25 steps, 20000 samples: largest difference of a moment from the plan's, in standard errors";
        add(what.to_owned(), 4.5, Accept::AtMost, standard_errors(&samples, &x));
        let combination = |row: &[f64], k: usize| row.iter().zip(&directions()[k]).map(|(x, q)| x * q).sum::<f64>();
        let miss = |row: &[f64]| KNOWN.map(|(k, y)| (combination(row, k) - y).abs()).into_iter().fold(0.0, f64::max);
        let worst = samples.chunks_exact(4).map(miss).fold(0.0, f64::max);
        add("largest error of a known combination".to_owned(), 1e-12, Accept::AtMost, worst);
        figures
    })
}

#[test]
fn known_combinations() {
    for figure in figures() {
        println!("{figure}");
    }
    for figure in figures() {
        figure.check();
    }
}

/// Whatever the network predicts, turned it is the prediction for the turned law.
#[test]
fn every_kind_of_prediction_turns_with_the_basis() {
    let basis = basis();
    let law = turned(&four(), &basis);
    let state = vector((0..20).map(|i| (f64::from(i) * 0.7).sin()).collect(), 4);
    let times = [0.9, 0.1, 0.5, 0.02, 0.7];
    for kind in PredictionKind::ALL {
        let direct = SeriesDenoiser::new(&law, PATH, kind).predict(&state, &times).unwrap();
        let inner = SeriesDenoiser::new(&four(), PATH, kind);
        let wrapped = ChangeOfBasis::new(inner, vec![Some(basis.clone())]).unwrap();
        assert_eq!(wrapped.kinds(), [kind]);
        let turned = wrapped.predict(&state, &times).unwrap();
        let host = |values: &[burn::tensor::Tensor<2>]| {
            values[0].clone().into_data().try_into_vec_as::<f64>().unwrap()
        };
        for (a, b) in host(&direct).iter().zip(host(&turned)) {
            assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs()), "{kind:?}: {a} {b}");
        }
        let back = wrapped.leave(&wrapped.enter(&state).unwrap()).unwrap();
        for (a, b) in
            host(&[back.components[0].values.clone()]).iter().zip(host(&[state.components[0].values.clone()]))
        {
            assert!((a - b).abs() <= 1e-15, "{a} {b}");
        }
    }
}

#[test]
fn bases_are_checked() {
    let q = matrix(&basis());
    assert!((&q * q.transpose() - DMatrix::identity(4, 4)).amax() < 1e-15);
    assert_eq!(basis().rows()[..2], directions());
    assert_eq!(OrthogonalBasis::completing(Vec::new(), 2).unwrap().rows(), [[1.0, 0.0], [0.0, 1.0]]);
    let angle = DVector::from_vec(vec![0.3f64.cos(), 0.3f64.sin()]);
    let rotation = |error: f64| vec![vec![angle[0] + error, angle[1]], vec![-angle[1], angle[0]]];
    assert!(OrthogonalBasis::new(rotation(1e-11)).is_ok());
    let refused = |rows: Vec<Vec<f64>>| OrthogonalBasis::new(rows).unwrap_err();
    assert!(matches!(refused(rotation(1e-9)), SamplerError::NotOrthogonal { rows: (0, 0), .. }));
    assert!(matches!(refused(rotation(f64::NAN)), SamplerError::NotOrthogonal { .. }));
    let slanted = vec![vec![1.0, 0.0], vec![0.6, 0.8]];
    let error = refused(slanted.clone());
    assert!(matches!(error, SamplerError::NotOrthogonal { rows: (0, 1), .. }));
    assert_eq!(error.to_string(), "rows 0 and 1 of a basis are not orthonormal: their product is 0.6, not 0");
    assert!(matches!(refused(vec![vec![1.0, 0.0]]), SamplerError::Count { expected: 1, found: 2, .. }));
    assert!(matches!(refused(Vec::new()), SamplerError::Count { .. }));
    for (directions, width) in
        [(slanted, 3), (vec![vec![1.0]; 2], 1), (vec![vec![0.6, 0.8, 0.0], vec![0.0, 1.0, 0.0]], 3)]
    {
        assert!(OrthogonalBasis::completing(directions, width).is_err());
    }
    // A basis turns full vectors of its width and nothing else.
    let inner = || SeriesDenoiser::new(&four(), PATH, PredictionKind::X0);
    let wrapped = ChangeOfBasis::new(inner(), vec![Some(basis())]).unwrap();
    assert!(matches!(wrapped.enter(&vector(vec![0.0; 6], 3)), Err(SamplerError::Basis { expected: 4, .. })));
    let nodes = Support::nodes(vec![vec![true, false]], 2);
    let nodes = Component::from_host("x", vec![0.0; 4], nodes, &Device::flex(), DType::F64).unwrap();
    let error = wrapped.enter(&State::new(vec![nodes]).unwrap()).unwrap_err().to_string();
    assert!(error.contains("layout Vector") && error.contains("Nodes"), "{error}");
    assert!(ChangeOfBasis::new(inner(), Vec::new()).is_err());
    assert!(ChangeOfBasis::new(inner(), vec![None, None]).is_err());
    // Without a matrix nothing changes.
    let state = vector(vec![0.1, -0.2, 0.3, 0.4], 4);
    let same = ChangeOfBasis::new(inner(), vec![None]).unwrap().enter(&state).unwrap();
    assert_eq!(same.to_host().unwrap(), state.to_host().unwrap());
}
