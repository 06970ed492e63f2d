//! Problem L4: a slow autoregressive series. Forecasts of the exact law, of the law that does not look, and of a sampler.

use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::autoregressive::{Autoregressive, SeriesDenoiser, crps, lag_one};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::GaussianData;
use equidrift_sampler::plan::DpmSolver;
use equidrift_sampler::{
    Executor, KeyedNoise, NoiseSource, PathConfig, Planner, PredictionKind, State, Stream, Support,
};
use nalgebra::DVector;

const VP: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const OBSERVED: usize = 16;
const ENSEMBLE: usize = 32;

/// Exact draws of a normal law, `[count, dim]`.
fn draws(law: &GaussianData, count: usize, id: u64, seed: u64) -> Vec<f64> {
    let dim = law.mean.len();
    let ids: Vec<u64> = (0..count as u64).map(|member| id * 1000 + member).collect();
    let z = KeyedNoise::new(seed).normals(Stream::Probe, 0, 0, &Support::vector(count, dim), &ids);
    let factor = law.covariance.clone().cholesky().unwrap().unpack();
    z.chunks_exact(dim)
        .flat_map(|z| {
            let value = &law.mean + &factor * DVector::from_column_slice(z);
            value.as_slice().to_vec()
        })
        .collect()
}

/// The mean score over series and forecast frames; `forecast(index, series)` gives an ensemble, `[ENSEMBLE, frames]`.
fn mean_crps(series: &[f64], length: usize, forecast: impl Fn(usize, &[f64]) -> Vec<f64>) -> f64 {
    let frames = length - OBSERVED;
    let (mut sum, mut count) = (0.0, 0);
    for (index, row) in series.chunks_exact(length).enumerate() {
        let ensemble = forecast(index, row);
        for frame in 0..frames {
            let members: Vec<f64> = ensemble.chunks_exact(frames).map(|member| member[frame]).collect();
            sum += crps(&members, row[OBSERVED + frame]);
            count += 1;
        }
    }
    sum / f64::from(count)
}

/// The expected score of an ensemble of n exact draws whose law has standard deviation s at a frame: an ensemble taken as a
/// law has `s/√π (2 − (n − 1)/n)`.
fn expected_crps(deviations: impl Iterator<Item = f64>) -> f64 {
    let n = ENSEMBLE as f64;
    let (sum, count) = deviations.fold((0.0, 0), |(sum, count), s| (sum + s, count + 1));
    sum / f64::from(count) / std::f64::consts::PI.sqrt() * (1.0 + 1.0 / n)
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let problem = Autoregressive::slow();
        let length = problem.length;
        let law = problem.law();
        let rest = GaussianData {
            mean: law.mean.rows(OBSERVED, length - OBSERVED).into_owned(),
            covariance: law
                .covariance
                .view((OBSERVED, OBSERVED), (length - OBSERVED, length - OBSERVED))
                .into_owned(),
        };
        let predictive = |index: usize, row: &[f64]| {
            let law = problem.forecast(&row[..OBSERVED]).unwrap();
            draws(&law, ENSEMBLE, index as u64, 7)
        };
        let unconditional = |index: usize, _: &[f64]| draws(&rest, ENSEMBLE, index as u64, 8);
        let series = problem.draws(300, 1);
        let many = problem.draws(6000, 2);
        let spread = problem.forecast(&series[..OBSERVED]).unwrap().covariance;
        let exact = expected_crps(spread.diagonal().iter().map(|variance| variance.sqrt()));
        let blind = expected_crps(rest.covariance.diagonal().iter().map(|variance| variance.sqrt()));
        let mut figures = vec![
            // Two draws of 300 series differ by several percent.
            Figure::new(
                "L4",
                "CRPS of the exact predictive law, 300 series x 32",
                0.435,
                Accept::Relative(0.08),
                mean_crps(&series, length, predictive),
            ),
            Figure::new(
                "L4",
                "CRPS of the unconditional law, 300 series x 32",
                0.597,
                Accept::Relative(0.08),
                mean_crps(&series, length, unconditional),
            ),
            Figure::new(
                "L4",
                "CRPS of the exact predictive law, 6000 series x 32, against the closed form",
                exact,
                Accept::Relative(0.02),
                mean_crps(&many, length, predictive),
            ),
            Figure::new(
                "L4",
                "CRPS of the unconditional law, 6000 series x 32, against the closed form",
                blind,
                Accept::Relative(0.03),
                mean_crps(&many, length, unconditional),
            ),
        ];
        // A sampler with the exact conditional denoiser, all members of all forecasts in one batch.
        let few = 100;
        let laws: Vec<GaussianData> = series
            .chunks_exact(length)
            .take(few)
            .map(|row| problem.forecast(&row[..OBSERVED]).unwrap())
            .collect();
        let means = laws.iter().flat_map(|law| std::iter::repeat_n(law.mean.clone(), ENSEMBLE)).collect();
        let denoiser = SeriesDenoiser::new(&laws[0], VP, PredictionKind::Noise).with_means(means);
        let ids: Vec<u64> = (0..(few * ENSEMBLE) as u64).collect();
        let noise = KeyedNoise::new(3);
        let support = Support::vector(ids.len(), length - OBSERVED);
        let start =
            State::prior(&["x"], &[VP], vec![support], &ids, &noise, &Device::flex(), DType::F64).unwrap();
        let plan = DpmSolver::default().plan(&[VP], 20).unwrap();
        let outcome = Executor::new(&denoiser, &noise).run(&plan, start, &ids).unwrap();
        let sampled = outcome.state.components[0].to_host().unwrap();
        let frames = length - OBSERVED;
        let members =
            |index: usize, _: &[f64]| sampled[index * ENSEMBLE * frames..][..ENSEMBLE * frames].to_vec();
        let of_few = &series[..few * length];
        let reference = mean_crps(of_few, length, predictive);
        figures.push(Figure::new(
            "L4",
            "CRPS of 20 solver steps with the exact conditional score, 100 series, against exact draws",
            reference,
            Accept::Relative(0.03),
            mean_crps(of_few, length, members),
        ));
        figures
    })
}

#[test]
fn forecasts_have_the_published_scores() {
    for figure in figures() {
        println!("{figure}");
        figure.check();
    }
}

#[test]
fn the_series_and_its_conditional_law_are_right() {
    let problem = Autoregressive::slow();
    let series = problem.draws(20_000, 4);
    assert!((lag_one(&series, problem.length) - 0.9).abs() < 2e-3);
    // The chain is Markov: the forecast h frames ahead is ρ^h y with variance 1 − ρ^{2h}.
    let law = problem.forecast(&series[..OBSERVED]).unwrap();
    for h in 0..problem.length - OBSERVED {
        let factor = 0.9f64.powi(h as i32 + 1);
        assert!((law.mean[h] - factor * series[OBSERVED - 1]).abs() < 1e-12);
        assert!((law.covariance[(h, h)] - (1.0 - factor * factor)).abs() < 1e-12);
    }
    assert!(problem.forecast(&series[..24]).is_err());
    // The score of an ensemble by its definition.
    let ensemble = [0.3, -1.0, 2.5, 0.3];
    let mut slow = 0.0;
    for a in ensemble {
        slow += (a - 0.7f64).abs() / 4.0;
        slow -= ensemble.iter().map(|b| (a - b).abs()).sum::<f64>() / 32.0;
    }
    assert!((crps(&ensemble, 0.7) - slow).abs() < 1e-14);
}
