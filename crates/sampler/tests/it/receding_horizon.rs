//! A stream of plans, each begun from the last one shifted.

use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::autoregressive::SeriesDenoiser;
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::gaussian::GaussianData;
use equidrift_laws::mixture::{Mixture, MixtureDenoiser};
use equidrift_sampler::drive::{Condition, RecedingHorizon, contraction};
use equidrift_sampler::path::{BetaSchedule, DiscreteDdpm};
use equidrift_sampler::plan::{Ancestral, AncestralChain, AncestralVariance, DpmSolverPlusPlus};
use equidrift_sampler::{
    Component, Executor, KeyedNoise, PathConfig, Plan, Planner, PredictionKind, SamplerError, State, Support,
};
use nalgebra::{DMatrix, DVector};

fn path() -> PathConfig {
    PathConfig::DiscreteDdpm(DiscreteDdpm::new(100, BetaSchedule::SquaredCosine).unwrap())
}

/// The trained chain: 100 steps of DDPM.
fn chain() -> Plan {
    let planner = Ancestral {
        chain: Some(AncestralChain::Marginals),
        variance: AncestralVariance::BetaTilde,
        ..Ancestral::default()
    };
    planner.plan(&[path()], 100).unwrap()
}

fn law(mean: f64, frames: usize, variance: f64) -> GaussianData {
    GaussianData {
        mean: DVector::from_element(frames, mean),
        covariance: DMatrix::from_diagonal_element(frames, frames, variance),
    }
}

fn state(values: Vec<f64>, rows: usize) -> State {
    let support = Support::vector(rows, values.len() / rows);
    State::new(vec![Component::from_host("x", values, support, &Device::flex(), DType::F64).unwrap()])
        .unwrap()
}

fn prior(rows: usize, frames: usize, noise: &KeyedNoise) -> State {
    let ids: Vec<u64> = (0..rows as u64).collect();
    let support = Support::vector(rows, frames);
    State::prior(&["x"], &[path()], vec![support], &ids, noise, &Device::flex(), DType::F64).unwrap()
}

/// How far the guess lags behind a target that moves by `drift` a tick, in the steady state.
fn lag(drift: f64, variance: f64, ticks: usize) -> f64 {
    let (rows, frames) = (128, 8);
    let noise = KeyedNoise::new(31);
    let ids: Vec<u64> = (0..rows as u64).collect();
    let mut horizon = RecedingHorizon::new(chain(), 3, frames).unwrap();
    let target = |tick: usize| drift * (tick as f64 - 0.5 * ticks as f64);
    for tick in 0..ticks {
        let denoiser = SeriesDenoiser::new(&law(target(tick), frames, variance), path(), PredictionKind::X0);
        let mut executor = Executor::new(&denoiser, &noise);
        if tick == 0 {
            horizon.begin(&mut executor, prior(rows, frames, &noise), &ids, None).unwrap();
        } else {
            horizon.advance(&mut executor, &ids, None).unwrap();
        }
    }
    let guess = horizon.guess().unwrap().unwrap().components[0].to_host().unwrap();
    target(ticks) - guess.iter().sum::<f64>() / guess.len() as f64
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let horizon = RecedingHorizon::new(chain(), 3, 1).unwrap();
        let mut figures: Vec<Figure> = [(0.01, 0.750), (0.04, 0.924), (0.25, 0.988), (1.0, 0.998)]
            .into_iter()
            .map(|(variance, expected)| {
                Figure::new(
                    "C29",
                    format!("contraction of steps [2, 1, 0] of 100, conditional variance {variance}"),
                    expected,
                    Accept::Absolute(6e-4),
                    horizon.contraction(variance).unwrap(),
                )
            })
            .collect();
        let (drift, variance) = (0.08, 0.01);
        let factor = horizon.contraction(variance).unwrap();
        figures.push(Figure::new(
            "C29",
            "steady-state error of the guess for a target that drifts by 0.08 a tick: drift/(1 - contraction)",
            drift / (1.0 - factor),
            Accept::Relative(0.05),
            lag(drift, variance, 30),
        ));
        figures
    })
}

#[test]
fn a_tick_repairs_what_the_formula_says() {
    for figure in figures() {
        println!("{figure}");
        figure.check();
    }
}

#[test]
fn the_number_of_steps_follows_from_the_factor() {
    let chain = chain();
    let built = path().build();
    for variance in [0.01, 0.04, 0.25] {
        let steps = RecedingHorizon::steps_for(&chain, 0.5, variance).unwrap();
        let left =
            |steps| RecedingHorizon::new(chain.clone(), steps, 1).unwrap().contraction(variance).unwrap();
        assert!(left(steps) <= 0.5 && left(steps - 1) > 0.5);
        // The closed form of the chain from the label of its first step.
        let label = steps as f64 / 100.0;
        let closed = contraction::posterior(built.as_ref(), label, variance);
        assert!((left(steps) / closed - 1.0).abs() < 1e-6, "{} {closed}", left(steps));
        println!("variance {variance}: {steps} of 100 steps for a factor of 0.5");
    }
    assert_eq!(RecedingHorizon::steps_for(&chain, 1e-9, 1.0), None);
}

/// Known entries are exact in every result; the rest of a window moves by one frame; every tick costs its steps only.
#[test]
fn windows_move_and_conditions_hold() {
    let (rows, frames) = (5, 6);
    let noise = KeyedNoise::new(8);
    let ids = [4u64, 9, 1, 0, 77];
    let denoiser = SeriesDenoiser::new(&law(0.3, 2 * frames, 0.02), path(), PredictionKind::X0);
    let start = |ids: &[u64]| {
        let support = Support::vector(ids.len(), 2 * frames);
        State::prior(&["x"], &[path()], vec![support], ids, &noise, &Device::flex(), DType::F64).unwrap()
    };
    let condition = |rows: usize, value: f64| {
        let mut mask = vec![0.0; rows * 2 * frames];
        let mut observed = vec![f64::NAN; rows * 2 * frames];
        for row in 0..rows {
            for entry in 0..2 {
                mask[row * 2 * frames + entry] = 1.0;
                observed[row * 2 * frames + entry] = value + entry as f64;
            }
        }
        // What the mask hides is not read.
        observed.iter_mut().filter(|value| value.is_nan()).for_each(|value| *value = 1e9);
        Condition { observed: state(observed, rows), mask: state(mask, rows) }
    };
    let stream = |ids: &[u64]| {
        let mut executor = Executor::new(&denoiser, &noise);
        let mut horizon = RecedingHorizon::new(chain(), 3, frames).unwrap();
        assert!(horizon.advance(&mut executor, ids, None).is_err(), "nothing to advance from");
        let first = horizon.begin(&mut executor, start(ids), ids, Some(&condition(ids.len(), 0.5))).unwrap();
        assert_eq!(first.evaluations, 100);
        let mut results = vec![first.state.components[0].to_host().unwrap()];
        for tick in 1..4 {
            let before = results.last().unwrap().clone();
            let guess = horizon.guess().unwrap().unwrap().components[0].to_host().unwrap();
            for (guess, before) in guess.chunks_exact(2 * frames).zip(before.chunks_exact(2 * frames)) {
                assert_eq!(guess[..2 * frames - 2], before[2..]);
                assert_eq!(guess[2 * frames - 2..], before[2 * frames - 2..]);
            }
            let value = 0.5 - 0.1 * f64::from(tick);
            let outcome = horizon.advance(&mut executor, ids, Some(&condition(ids.len(), value))).unwrap();
            assert_eq!(outcome.evaluations, 3);
            let result = outcome.state.components[0].to_host().unwrap();
            for row in result.chunks_exact(2 * frames) {
                assert_eq!(row[..2], [value, value + 1.0]);
                assert!(row[2..].iter().all(|value| value.abs() < 2.0), "{row:?}");
            }
            results.push(result);
        }
        results
    };
    let together = stream(&ids);
    for row in 0..rows {
        let alone = stream(&ids[row..=row]);
        for (tick, alone) in alone.iter().enumerate() {
            assert_eq!(together[tick][row * 2 * frames..][..2 * frames], alone[..], "row {row}, tick {tick}");
        }
    }
    assert!(RecedingHorizon::new(chain(), 0, frames).is_err());
    assert!(RecedingHorizon::new(chain(), 101, frames).is_err());
    let multistep = DpmSolverPlusPlus::default().plan(&[path()], 10).unwrap();
    assert!(RecedingHorizon::new(multistep, 3, frames).is_err(), "its steps need earlier predictions");
}

/// Two ticks never share noise.
#[test]
fn every_tick_draws_its_own_noise() {
    let noise = KeyedNoise::new(3);
    let denoiser = SeriesDenoiser::new(&law(0.0, 1, 0.5), path(), PredictionKind::X0);
    let mut executor = Executor::new(&denoiser, &noise);
    let mut horizon = RecedingHorizon::new(chain(), 5, 1).unwrap();
    let ids = [3u64];
    horizon.begin(&mut executor, prior(1, 1, &noise), &ids, None).unwrap();
    let guess = state(vec![0.1], 1);
    let mut ends = Vec::new();
    for _ in 0..3 {
        let outcome = horizon.advance_from(&mut executor, guess.clone(), &ids, None).unwrap();
        ends.push(outcome.state.components[0].to_host().unwrap()[0]);
    }
    assert!(ends[0] != ends[1] && ends[1] != ends[2] && ends[0] != ends[2], "{ends:?}");
}

/// Discrete entries of a guess are snapped by their sign, the others left alone; and the last steps end nearer to the two
/// values for it.
#[test]
fn discrete_entries_are_clipped() {
    let (rows, frames) = (200, 3);
    let noise = KeyedNoise::new(14);
    let ids: Vec<u64> = (0..rows as u64).collect();
    let modes = |sd: f64| {
        let mixture = Mixture { weights: vec![0.5; 2], means: vec![-0.5, 0.5], sds: vec![sd; 2] };
        MixtureDenoiser::new(mixture, path(), PredictionKind::X0)
    };
    // Two entries a frame, the second of which is ±1 in the data and divided by 2 for the model.
    let discrete = [false, true].repeat(frames);
    let horizon = RecedingHorizon::new(chain(), 3, frames).unwrap();
    // An unsure model leaves the guess between the values, the next one knows them.
    let rest = |mut horizon: RecedingHorizon| {
        let unsure = modes(0.25);
        let mut executor = Executor::new(&unsure, &noise);
        horizon.begin(&mut executor, prior(rows, 2 * frames, &noise), &ids, None).unwrap();
        let guess = horizon.guess().unwrap().unwrap().components[0].to_host().unwrap();
        let sure = modes(0.05);
        let mut executor = Executor::new(&sure, &noise);
        let end = horizon.advance(&mut executor, &ids, None).unwrap().state.components[0].to_host().unwrap();
        let miss = |x: &f64| (x.abs() - 0.5) * (x.abs() - 0.5);
        let worst = end.iter().skip(1).step_by(2).map(miss).sum::<f64>() / (rows * frames) as f64;
        (guess, worst.sqrt())
    };
    let (plain, loose) = rest(horizon.clone());
    let (clipped, tight) = rest(horizon.clone().clipping(vec![discrete.clone()], 2.0).unwrap());
    for (place, (plain, clipped)) in plain.iter().zip(&clipped).enumerate() {
        let expected = if discrete[place % (2 * frames)] { 0.5f64.copysign(*plain) } else { *plain };
        assert_eq!(*clipped, expected);
    }
    println!("root mean square distance from ±0.5: {loose:.4}, clipped {tight:.4}");
    assert!(tight < 0.06 && tight < 0.5 * loose, "{tight} {loose}");
    for factor in [0.0, -1.0, f64::INFINITY, f64::NAN] {
        let refused = horizon.clone().clipping(vec![discrete.clone()], factor);
        assert!(matches!(refused, Err(SamplerError::Option { option: "factor", .. })));
    }
    assert!(matches!(horizon.clone().clipping(Vec::new(), 1.0), Err(SamplerError::Count { .. })));
    // Flags of another width are noticed when there is a guess to snap.
    let mut narrow = horizon.clipping(vec![vec![true]], 1.0).unwrap();
    let denoiser = modes(0.25);
    let mut executor = Executor::new(&denoiser, &noise);
    narrow.begin(&mut executor, prior(rows, 2 * frames, &noise), &ids, None).unwrap();
    assert!(matches!(narrow.guess(), Err(SamplerError::Count { expected: 6, found: 1, .. })));
}
