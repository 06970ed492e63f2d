//! Drivers on graphs: two components of different layouts, sizes and paths, with exact denoisers.

use burn::tensor::{DType, Device};
use equidrift_laws::exchangeable::{ExchangeableDenoiser, ExchangeableGaussian};
use equidrift_sampler::drive::{
    BestOfN, BoundarySearch, Branching, Chains, DenoisingMcmc, LevelChoice, Process, RecedingHorizon,
    RolloverBudgetForcing, Selected, Smc, Svdd, WarmStart,
};
use equidrift_sampler::plan::{DpmSolverPlusPlus, EulerMaruyama, Heun};
use equidrift_sampler::{
    Counted, Executor, KeyedNoise, PathConfig, Planner, PredictionKind, SamplerConfig, SamplerError, State,
    Support, TerminalDensity,
};

/// Node features on a variance-preserving path, pairs on a variance-exploding one.
const PATHS: [PathConfig; 2] = [
    PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 },
    PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 5.0 },
];
const SIZES: [usize; 4] = [4, 1, 5, 2];
const IDS: [u64; 4] = [7, 1 << 40, 0, 31];
const FEATURES: usize = 2;

fn denoiser() -> ExchangeableDenoiser {
    let laws = vec![
        ExchangeableGaussian { mean: 0.4, sd: 0.7, correlation: 0.3 },
        ExchangeableGaussian { mean: -0.2, sd: 0.5, correlation: 0.2 },
    ];
    ExchangeableDenoiser::new(laws, PATHS.to_vec(), PredictionKind::X0)
}

/// Graphs of these sizes, padded to `width` nodes.
fn supports(sizes: &[usize], width: usize) -> Vec<Support> {
    let mask: Vec<Vec<bool>> =
        sizes.iter().map(|size| (0..width).map(|node| node < *size).collect()).collect();
    vec![Support::nodes(mask.clone(), FEATURES), Support::symmetric_pairs(mask)]
}

fn prior(supports: Vec<Support>, ids: &[u64], noise: &KeyedNoise) -> State {
    State::prior(&["x", "adj"], &PATHS, supports, ids, noise, &Device::flex(), DType::F64).unwrap()
}

/// Free coordinates of a row, component by component. Fails where padding is not zero or a matrix not symmetric.
fn coordinates(state: &State, row: usize) -> Vec<f64> {
    let mut out = Vec::new();
    for component in &state.components {
        let (support, width) = (&component.support, component.support.width());
        let mut values = component.to_host().unwrap()[row * width..(row + 1) * width].to_vec();
        assert!(values.iter().all(|value| value.is_finite()));
        assert!(!support.project_row(row, &mut values), "{}: {values:?}", component.name);
        support.for_each_coordinate(row, |place, _| out.push(values[place]));
    }
    out
}

/// What runs a driver on graphs of these supports and ids.
type Drive<'d> = &'d dyn Fn(Vec<Support>, &[u64]) -> (State, Vec<f64>);

/// Runs `drive` on all graphs at once and on each alone, in the batch's padding and in its own: always the same graph. It
/// gives each row's state, and a number that is compared too.
fn the_same_in_every_batch(name: &str, drive: Drive<'_>) {
    let (together, numbers) = drive(supports(&SIZES, 5), &IDS);
    assert_eq!(together.batch(), SIZES.len());
    for row in 0..SIZES.len() {
        let expected = coordinates(&together, row);
        let size = SIZES[row];
        assert_eq!(expected.len(), size * FEATURES + size * (size - 1) / 2);
        for width in [5, size] {
            let (alone, number) = drive(supports(&SIZES[row..=row], width), &IDS[row..=row]);
            assert_eq!(coordinates(&alone, 0), expected, "{name}, row {row}, padded to {width}");
            assert_eq!(number, numbers[row..=row], "{name}, row {row}, padded to {width}");
        }
    }
}

/// Mean node feature near 1, mean entry of a pair near 0.3.
fn reward(clean: &State) -> Result<Vec<f64>, SamplerError> {
    let mut rewards = vec![0.0; clean.batch()];
    for (component, target) in clean.components.iter().zip([1.0, 0.3]) {
        let (values, support) = (component.to_host()?, &component.support);
        for (row, reward) in rewards.iter_mut().enumerate() {
            let (mut sum, mut count) = (0.0, 0.0);
            support.for_each_coordinate(row, |place, _| {
                sum += values[row * support.width() + place];
                count += 1.0;
            });
            if count > 0.0 {
                *reward -= (sum / count - target) * (sum / count - target);
            }
        }
    }
    Ok(rewards)
}

type Search<'s> = &'s dyn Fn(&mut Executor<'_>, Branching, &State, &[u64]) -> Result<Selected, SamplerError>;

const BUDGET: usize = 47;
const BEST_OF_N: Search<'static> = &|executor, branching, start, ids| {
    BestOfN { budget: BUDGET, branching }.run(executor, &PATHS, &reward, start, ids)
};
const SVDD: Search<'static> = &|executor, branching, start, ids| {
    Svdd { budget: BUDGET, branching }.run(executor, &PATHS, &reward, start, ids)
};
const SMC: Search<'static> = &|executor, branching, start, ids| {
    Smc { budget: BUDGET, temperature: 0.02, threshold: 0.9, branching }
        .run(executor, &PATHS, &reward, start, ids)
};
const RBF: Search<'static> = &|executor, branching, start, ids| {
    RolloverBudgetForcing { budget: BUDGET, initial: 5, branching }.run(executor, &PATHS, &reward, start, ids)
};

#[test]
fn searches() {
    let noise = KeyedNoise::new(3);
    for (name, search) in [("best of n", BEST_OF_N), ("svdd", SVDD), ("smc", SMC), ("rbf", RBF)] {
        for process in [Process::Posterior, Process::NoisyFlow { norm: 1.0 }] {
            let branching = Branching { steps: 6, process, ..Branching::default() };
            the_same_in_every_batch(name, &|supports, ids| {
                let network = Counted::new(denoiser());
                let start = prior(supports, ids, &noise);
                let mut executor = Executor::new(&network, &noise);
                let selected = search(&mut executor, branching.clone(), &start, ids).unwrap();
                assert!(selected.evaluations.iter().all(|used| *used <= BUDGET), "{name}");
                assert_eq!(selected.evaluations.iter().sum::<usize>(), network.samples(), "{name}");
                assert_eq!(reward(&selected.state).unwrap(), selected.rewards, "{name}");
                (selected.state, selected.rewards)
            });
        }
        // A search is worth its budget: on average it beats single samples by far.
        let ids: Vec<u64> = (0..40).collect();
        let sizes: Vec<usize> = ids.iter().map(|id| 2 + (*id % 4) as usize).collect();
        let start = prior(supports(&sizes, 5), &ids, &noise);
        let network = denoiser();
        let mut executor = Executor::new(&network, &noise);
        let branching = Branching { steps: 6, ..Branching::default() };
        let plan = branching.plan(&PATHS).unwrap();
        let mean = |rewards: &[f64]| rewards.iter().sum::<f64>() / rewards.len() as f64;
        let single = mean(&reward(&executor.run(&plan, start.clone(), &ids).unwrap().state).unwrap());
        let found = mean(&search(&mut executor, branching, &start, &ids).unwrap().rewards);
        println!("{name}: {found:.4}, a single sample {single:.4}");
        assert!(found > 0.5 * single, "{name}: {found} {single}");
    }
}

/// A draft on the data's law, from other noise than a run's.
fn draft(supports: Vec<Support>, ids: &[u64]) -> State {
    let network = denoiser();
    let noise = KeyedNoise::new(900);
    let start = prior(supports, ids, &noise);
    let plan = DpmSolverPlusPlus::default().plan(&PATHS, 10).unwrap();
    Executor::new(&network, &noise).run(&plan, start, ids).unwrap().state
}

#[test]
fn warm_starts() {
    let noise = KeyedNoise::new(4);
    for config in SamplerConfig::all() {
        for (t_start, renoise) in [(0.0, true), (0.4, true), (0.4, false), (1.0, true)] {
            let warm = WarmStart { t_start, renoise };
            let plan = warm.plan(config.planner(), &PATHS, 40).unwrap();
            the_same_in_every_batch(config.name(), &|supports, ids| {
                let network = Counted::new(denoiser());
                let mut executor = Executor::new(&network, &noise);
                let start = draft(supports, ids);
                let outcome =
                    warm.run(&mut executor, config.planner(), &PATHS, 40, start.clone(), ids).unwrap();
                assert_eq!(network.calls(), plan.evaluations(), "{}", config.name());
                if t_start == 0.0 {
                    for row in 0..ids.len() {
                        assert_eq!(coordinates(&outcome.state, row), coordinates(&start, row));
                    }
                }
                (outcome.state, vec![0.0; ids.len()])
            });
        }
    }
}

#[test]
fn chains() {
    let noise = KeyedNoise::new(5);
    let planner = Heun { t_end: Some(1e-4), ..Heun::default() };
    let churned = Heun { s_churn: 80.0, s_min: 0.05, s_max: Some(1.0), ..planner.clone() };
    let levels = |state: &State, times: &[f64]| -> Result<Vec<f64>, SamplerError> {
        let network = denoiser();
        let columns: Vec<Vec<f64>> =
            times.iter().map(|t| network.log_density(state, *t)).collect::<Result<_, _>>()?;
        Ok((0..state.batch()).flat_map(|row| columns.iter().map(move |column| column[row])).collect())
    };
    for (choice, planner) in
        [(LevelChoice::Draw, &planner), (LevelChoice::MostProbable, &planner), (LevelChoice::Draw, &churned)]
    {
        let published = DenoisingMcmc::published(PATHS.to_vec(), planner, 3, 1e-4);
        assert_eq!(
            (published.skip, published.levels, published.choice),
            (10, 1000, LevelChoice::MostProbable)
        );
        let mcmc = DenoisingMcmc { skip: 4, levels: 60, choice, ..published };
        the_same_in_every_batch("denoising MCMC", &|supports, ids| {
            let network = Counted::new(denoiser());
            let mut executor = Executor::new(&network, &noise);
            let mut chains = Chains::new(draft(supports, ids), vec![0.1; ids.len()]).unwrap();
            let mut sample = mcmc.sample(&mut executor, &levels, &mut chains, ids).unwrap();
            for row in 0..ids.len() {
                coordinates(&chains.state, row);
            }
            assert_eq!((sample.evaluations, network.calls()), (4 + 5, 4 + 5));
            sample = mcmc.sample(&mut executor, &levels, &mut chains, ids).unwrap();
            assert_eq!(network.calls(), 2 * (4 + 5));
            (sample.state, sample.times)
        });
    }
}

/// One start for all graphs of one size: it is defined for rows of one shape, and it stays off the padding.
#[test]
fn one_start_for_graphs_of_one_size() {
    let noise = KeyedNoise::new(6);
    let plan = DpmSolverPlusPlus::default().plan(&PATHS, 8).unwrap();
    let found = [1, 3].map(|rows| {
        let network = Counted::new(denoiser());
        let mut executor = Executor::new(&network, &noise);
        let ids: Vec<u64> = (0..rows).collect();
        let like = prior(supports(&vec![4; ids.len()], 5), &ids, &noise);
        let distance = |result: &State| Ok(reward(result)?.iter().map(|reward| -reward).collect());
        let search = BoundarySearch { candidates: 12 };
        let boundary = search.run(&mut executor, &plan, &PATHS, &like, &distance).unwrap();
        assert_eq!(network.calls(), 12 * 8);
        let least = boundary.distances.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!((boundary.distances.len(), boundary.distance), (12, least));
        let outcome = executor.run(&plan, boundary.start(&like).unwrap(), &ids).unwrap();
        let first = coordinates(&outcome.state, 0);
        for row in 1..ids.len() {
            assert_eq!(coordinates(&outcome.state, row), first, "equal starts, equal graphs");
        }
        (boundary.candidate, boundary.components, first)
    });
    assert_eq!(found[0], found[1], "alone and in a batch");
    // A start that draws noise on the way is refused, whatever the components.
    let noisy = EulerMaruyama::default().plan(&PATHS, 8).unwrap();
    let network = denoiser();
    let like = prior(supports(&[4], 5), &[0], &noise);
    let refused = BoundarySearch { candidates: 2 }.run(
        &mut Executor::new(&network, &noise),
        &noisy,
        &PATHS,
        &like,
        &|result| reward(result),
    );
    assert!(matches!(refused, Err(SamplerError::DrawsNoise { .. })));
}

/// A receding horizon needs rows of frames, which pairs of nodes are not.
#[test]
fn pairs_have_no_frames() {
    let noise = KeyedNoise::new(7);
    let network = denoiser();
    let mut executor = Executor::new(&network, &noise);
    let chain = EulerMaruyama::default().plan(&PATHS, 10).unwrap();
    let mut horizon = RecedingHorizon::new(chain, 2, 5).unwrap();
    horizon.begin(&mut executor, prior(supports(&SIZES, 5), &IDS, &noise), &IDS, None).unwrap();
    assert!(matches!(horizon.guess(), Err(SamplerError::Count { .. })));
}
