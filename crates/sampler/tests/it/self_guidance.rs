//! Self-guidance on problem L4, a slow autoregressive series of which the first 16 of 24 frames are observed, with the exact
//! unconditional score (TSDiff, Kollovieh et al. 2023).

use burn::tensor::{DType, Device};
use equidrift_laws::autoregressive::{Autoregressive, SeriesDenoiser, crps};
use equidrift_sampler::path::{BetaSchedule, DiscreteDdpm};
use equidrift_sampler::plan::Ddim;
use equidrift_sampler::steer::{ObservationEnergy, SelfGuided};
use equidrift_sampler::{
    Component, Denoiser, Executor, KeyedNoise, NoiseSource, PathConfig, Planner, PredictionKind, State,
    Stream, Support,
};

const OBSERVED: usize = 16;
const ENSEMBLE: usize = 32;
const SERIES: usize = 300;

/// A chain of 100 levels, β even up to 0.1.
fn chain() -> PathConfig {
    PathConfig::DiscreteDdpm(DiscreteDdpm::new(100, BetaSchedule::Linear { first: 1e-4, last: 0.1 }).unwrap())
}

/// A component of `[rows, length]` in double precision.
fn component(values: Vec<f64>, length: usize) -> Component {
    let support = Support::vector(values.len() / length, length);
    Component::from_host("x", values, support, &Device::flex(), DType::F64).unwrap()
}

/// y for every member of every ensemble, and which frames are seen.
fn observation(series: &[f64], length: usize) -> (State, State) {
    let repeated: Vec<f64> = series.chunks_exact(length).flat_map(|row| row.repeat(ENSEMBLE)).collect();
    let seen = |at: usize| f64::from(u8::from(at % length < OBSERVED));
    let mask = (0..repeated.len()).map(seen).collect();
    let state = |values| State::new(vec![component(values, length)]).unwrap();
    (state(repeated), state(mask))
}

fn guided(
    denoiser: SeriesDenoiser,
    series: &[f64],
    length: usize,
    scale: f64,
    energy: ObservationEnergy,
) -> SelfGuided<SeriesDenoiser> {
    let (observed, mask) = observation(series, length);
    SelfGuided::new(denoiser, observed, &mask, scale, energy, &[chain()]).unwrap()
}

/// The mean score of forecasts of the last frames.
fn mean_crps(series: &[f64], drawn: &[f64], length: usize) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for (row, ensemble) in series.chunks_exact(length).zip(drawn.chunks_exact(length * ENSEMBLE)) {
        for frame in OBSERVED..length {
            let members: Vec<f64> = ensemble.chunks_exact(length).map(|member| member[frame]).collect();
            sum += crps(&members, row[frame]);
            count += 1;
        }
    }
    sum / f64::from(count)
}

fn score(scale: f64, energy: ObservationEnergy) -> f64 {
    let problem = Autoregressive::slow();
    let (law, length) = (problem.law(), problem.length);
    let series = problem.draws(SERIES, 1);
    let denoiser = SeriesDenoiser::new(&law, chain(), PredictionKind::Noise);
    let guided = guided(denoiser, &series, length, scale, energy);
    let ids: Vec<u64> = (0..(SERIES * ENSEMBLE) as u64).collect();
    let noise = KeyedNoise::new(3);
    let support = Support::vector(ids.len(), length);
    let start =
        State::prior(&["x"], &[chain()], vec![support], &ids, &noise, &Device::flex(), DType::F64).unwrap();
    let plan = Ddim { eta: 1.0, ..Ddim::default() }.plan(&[chain()], 100).unwrap();
    let outcome = Executor::new(&guided, &noise).run(&plan, start, &ids).unwrap();
    mean_crps(&series, &outcome.state.components[0].to_host().unwrap(), length)
}

/// What forecasts of the exact predictive law score on the same series.
fn exact_score() -> f64 {
    let problem = Autoregressive::slow();
    let length = problem.length;
    let series = problem.draws(SERIES, 1);
    let mut drawn = Vec::new();
    for (index, row) in series.chunks_exact(length).enumerate() {
        let law = problem.forecast(&row[..OBSERVED]).unwrap();
        let ids: Vec<u64> = (0..ENSEMBLE as u64).map(|member| index as u64 * 1000 + member).collect();
        let frames = length - OBSERVED;
        let z = KeyedNoise::new(7).normals(Stream::Probe, 0, 0, &Support::vector(ENSEMBLE, frames), &ids);
        let factor = law.covariance.clone().cholesky().unwrap().unpack();
        for z in z.chunks_exact(frames) {
            drawn.extend_from_slice(&row[..OBSERVED]);
            let member = &law.mean + &factor * nalgebra::DVector::from_column_slice(z);
            drawn.extend_from_slice(member.as_slice());
        }
    }
    mean_crps(&series, &drawn, length)
}

#[test]
fn forecasts_come_near_to_the_exact_law() {
    let quantile = ObservationEnergy::Quantile { ensemble: ENSEMBLE };
    let [squared, too_strong, weak] = [1.0, 8.0, 0.1].map(|scale| score(scale, ObservationEnergy::Squared));
    let [four, eight] = [4.0, 8.0].map(|scale| score(scale, quantile));
    let (none, exact) = (score(0.0, quantile), exact_score());
    println!(
        "CRPS exact {exact:.3}, unguided {none:.3}, squared .1 {weak:.3}, 1 {squared:.3}, 8 {too_strong:.3}, \
         quantile 4 {four:.3}, 8 {eight:.3}"
    );
    assert!(four.min(eight) <= 1.06 * exact, "{four} {eight} {exact}");
    for (found, published) in [(none, 0.597), (squared, 0.461), (four, 0.452), (eight, 0.452)] {
        assert!((found / published - 1.0).abs() <= 0.08, "{found} {published}");
    }
    // Weak guidance is better than none, the right one better still, and too much of it is worse again.
    assert!(squared < weak && weak < none && too_strong > 1.03 * squared);
}

/// The guidance is the gradient of the energy: of the prediction that the denoiser makes, by differences.
#[test]
fn the_pull_is_a_gradient() {
    let problem = Autoregressive::slow();
    let (law, length) = (problem.law(), problem.length);
    let series = problem.draws(1, 5);
    let time = 0.43;
    let sigma = chain().build().sigma(time);
    for kind in [PredictionKind::Noise, PredictionKind::X0, PredictionKind::V] {
        let denoiser = SeriesDenoiser::new(&law, chain(), kind);
        let (observed, mask) = observation(&series, length);
        let one = |state: &State| {
            State::new(vec![component(state.components[0].to_host().unwrap()[..length].to_vec(), length)])
                .unwrap()
        };
        let energy = ObservationEnergy::Squared;
        let guided =
            SelfGuided::new(denoiser.clone(), one(&observed), &one(&mask), 0.7, energy, &[chain()]).unwrap();
        let clean = SeriesDenoiser::new(&law, chain(), PredictionKind::X0);
        let answer = |denoiser: &dyn Denoiser, x: &[f64]| -> Vec<f64> {
            let state = State::new(vec![component(x.to_vec(), length)]).unwrap();
            let found = denoiser.predict(&state, &[time]).unwrap();
            Component { values: found[0].clone(), ..state.components[0].clone() }.to_host().unwrap()
        };
        let plain = SeriesDenoiser::new(&law, chain(), PredictionKind::Noise);
        let x: Vec<f64> = (0..length).map(|i| (i as f64 * 0.9).sin()).collect();
        let energy = |x: &[f64]| -> f64 {
            let clean = answer(&clean, x);
            clean.iter().zip(&series).take(OBSERVED).map(|(found, y)| (y - found).powi(2)).sum()
        };
        let (pulled, free) = (answer(&guided, &x), answer(&plain, &x));
        for i in 0..length {
            let moved = |step: f64| {
                let mut x = x.clone();
                x[i] += step;
                energy(&x)
            };
            let slope = (moved(1e-4) - moved(-1e-4)) / 2e-4;
            let found = (pulled[i] - free[i]) / (0.7 * sigma);
            assert!((found - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{kind:?} {i}: {found} {slope}");
        }
    }
}

#[test]
fn what_is_no_guidance_is_refused() {
    let problem = Autoregressive::slow();
    let (law, length) = (problem.law(), problem.length);
    let series = problem.draws(1, 5);
    let (observed, mask) = observation(&series, length);
    let error = |scale: f64, energy, mask: &State, paths: &[PathConfig]| {
        let denoiser = SeriesDenoiser::new(&law, chain(), PredictionKind::Noise);
        SelfGuided::new(denoiser, observed.clone(), mask, scale, energy, paths).unwrap_err().to_string()
    };
    let squared = ObservationEnergy::Squared;
    assert!(error(-1.0, squared, &mask, &[chain()]).contains("scale = -1"));
    assert!(error(f64::NAN, squared, &mask, &[chain()]).contains("scale"));
    assert!(error(1.0, ObservationEnergy::Quantile { ensemble: 0 }, &mask, &[chain()]).contains("ensemble"));
    assert!(error(1.0, squared, &mask, &[]).contains("paths"));
    let short = State::new(vec![component(vec![1.0; length], length)]).unwrap();
    assert!(error(1.0, squared, &short, &[chain()]).contains('x'));
    // A state of other samples than were observed.
    let guided =
        guided(SeriesDenoiser::new(&law, chain(), PredictionKind::Noise), &series, length, 1.0, squared);
    let many = State::new(vec![component(vec![0.5; length * (ENSEMBLE + 1)], length)]).unwrap();
    assert!(guided.predict(&many, &[0.5; ENSEMBLE + 1]).is_err());
}
