//! Schedule search on the mixture: found in a few hundred evaluations, never worse than what was known.

use std::ops::ControlFlow;
use std::sync::OnceLock;

use burn::tensor::{DType, Device};
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::mixture::{Mixture, MixtureDenoiser};
use equidrift_sampler::drive::{
    Draws, Genome, Modulation, ModulationSpace, MutationRates, OptionGenome, OptionRange, OptionSpace,
    Ranking, ReferenceDistance, ScheduleSearch, SearchSettings, SearchState, SearchedOption, UnifiedSpace,
    baseline_plans,
};
use equidrift_sampler::path::DataMoments;
use equidrift_sampler::plan::{
    Ddim, DpmSolver, DpmSolverPlusPlus, DpmSolverV3, Expansion, FirstPrediction, MatchedPrior,
    PredictorCorrector, StepCorrector, UnifiedSchedule, V3Corrector,
};
use equidrift_sampler::statistics::{Estimation, ModelStatistics};
use equidrift_sampler::{
    Component, KeyedNoise, NoiseSource, Op, PathConfig, Plan, Planner, PredictionKind, SamplerConfig,
    SamplerError, State, Stream, Support,
};

const PATH: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const NOISE: KeyedNoise = KeyedNoise { seed: 0, law: equidrift_sampler::NoiseLaw::Gaussian };

fn column(values: Vec<f64>) -> State {
    let support = Support::vector(values.len(), 1);
    State::new(vec![Component::from_host("x", values, support, &Device::flex(), DType::F64).unwrap()])
        .unwrap()
}

fn denoiser() -> &'static MixtureDenoiser {
    static DENOISER: OnceLock<MixtureDenoiser> = OnceLock::new();
    DENOISER.get_or_init(|| MixtureDenoiser::new(Mixture::two_modes(), PATH, PredictionKind::Score))
}

/// The distance from the exact flow over these starts.
fn objective(starts: Vec<f64>) -> ReferenceDistance<'static> {
    let ends = Mixture::two_modes().flow(&PATH, &starts, 1e-3, 4000);
    let ids = (0..starts.len() as u64).collect();
    ReferenceDistance::to_known_ends(denoiser(), &NOISE, column(starts), ids, vec![ends]).unwrap()
}

fn training() -> &'static ReferenceDistance<'static> {
    static TRAINING: OnceLock<ReferenceDistance<'static>> = OnceLock::new();
    TRAINING.get_or_init(|| objective(Mixture::starts(64)))
}

/// 256 random starts that no search has seen.
fn held_out() -> ReferenceDistance<'static> {
    let ids: Vec<u64> = (0..256).collect();
    objective(KeyedNoise::new(3).normals(Stream::Prior, 0, 0, &Support::vector(256, 1), &ids))
}

fn space(evaluations: usize) -> UnifiedSpace {
    UnifiedSpace {
        paths: vec![PATH],
        evaluations,
        t_end: 1e-3,
        denoise: false,
        statistics: None,
        mean: Some(vec![0.2]),
        rates: MutationRates::default(),
    }
}

type Search<'s> = ScheduleSearch<'s, UnifiedSchedule>;

fn search(space: &UnifiedSpace, seed: u64, evaluations: usize) -> Search<'_> {
    let settings = SearchSettings { seed, evaluations, ..Default::default() };
    let baselines = baseline_plans(&[PATH], space.evaluations);
    let mut search = Search::new(space, settings, baselines).unwrap();
    search.run::<SamplerError>(|plan| training().of(plan), |_| ControlFlow::Continue(())).unwrap();
    search
}

/// Scores of everything that was known before the search, with names.
fn known(search: &Search<'_>) -> Vec<(String, f64)> {
    let evaluated = search.state().evaluated.iter();
    let mut known: Vec<(String, f64)> =
        evaluated.filter_map(|record| Some((record.name.clone()?, record.score?))).collect();
    known.sort_by(|a, b| a.1.total_cmp(&b.1));
    known
}

fn best_known_plan(search: &Search<'_>, space: &UnifiedSpace) -> Plan {
    let record = search.ranked().into_iter().find(|record| record.name.is_some()).unwrap();
    match (&record.genome, &record.plan) {
        (Some(genome), _) => genome.plan(space).unwrap(),
        (None, plan) => plan.clone().unwrap(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = Vec::new();
        let mut add = |what: &str, expected, accept, measured| {
            figures.push(Figure::new("C24", what, expected, accept, measured));
        };
        let five = space(5);
        let held = held_out();
        let searches: Vec<Search<'_>> = (0..3).map(|seed| search(&five, seed, 400)).collect();
        let known_five = known(&searches[0]);
        for (name, score) in known_five.iter().take(5) {
            println!("{score:.4} {name}");
        }
        // The published trial knew λ-uniform multistep methods of orders 1 to 3 without correctors.
        let even = |(name, _): &&(String, f64)| name.ends_with("uniform-lambda, corrector None");
        let even: Vec<f64> = known_five.iter().filter(even).map(|(_, score)| *score).collect();
        let (low, high) = (even[0], even[even.len() - 1]);
        add("L2, 5 evaluations, best lambda-uniform baseline", 0.22, Accept::Between(0.1, 0.3), low);
        add("L2, 5 evaluations, worst lambda-uniform baseline", 0.48, Accept::Between(0.3, 0.6), high);
        let best: Vec<f64> = searches.iter().map(|search| search.best().unwrap().unwrap().1).collect();
        println!("best {best:?}");
        let what = "L2, 5 evaluations, best of 400 schedules, median of three searches";
        add(what, 3.5e-2, Accept::AtMost, median(best.clone()));
        let what =
            "L2, 5 evaluations, best lambda-uniform baseline over best found, median of three searches";
        add(what, 5.0, Accept::AtLeast, low / median(best.clone()));
        let what = "L2, 5 evaluations, best of all baselines over best found, median of three searches";
        add(what, 1.0, Accept::AtLeast, known_five[0].1 / median(best));
        let kept = searches.iter().map(|search| {
            let (plan, score) = search.best().unwrap().unwrap();
            let baseline = best_known_plan(search, &five);
            let gain = held.of(&baseline).unwrap() / held.of(&plan).unwrap();
            gain / (known_five[0].1 / score)
        });
        let what = "L2, 5 evaluations, share of the gain kept on 256 other starts, worst of three searches";
        add(what, 0.70, Accept::AtLeast, kept.fold(f64::INFINITY, f64::min));
        let ten = space(10);
        let found = search(&ten, 0, 400);
        let (_, score) = found.best().unwrap().unwrap();
        add("L2, 10 evaluations, best of 400 schedules", 2.25e-2, Accept::AtMost, score);
        let what = "L2, 10 evaluations, best found over best of all baselines";
        add(what, 1.0, Accept::AtMost, score / known(&found)[0].1);
        figures
    })
}

#[test]
fn published_numbers() {
    for figure in figures() {
        println!("{figure}");
    }
    for figure in figures() {
        figure.check();
    }
}

/// A search that is stopped, written, read and resumed finds what it would have found in one go; every baseline is in it.
#[test]
fn a_stopped_search_goes_on() {
    let space = space(5);
    let whole = search(&space, 7, 130);
    assert_eq!(whole.state().evaluated.len(), 130);
    let settings = SearchSettings { seed: 7, evaluations: 130, ..Default::default() };
    let baselines = baseline_plans(&[PATH], 5);
    let names: Vec<&str> = baselines.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"dpm-solver++") && names.contains(&"uni-pc"), "{names:?}");
    let mut first = Search::new(&space, settings.clone(), baselines.clone()).unwrap();
    first
        .run::<SamplerError>(
            |plan| training().of(plan),
            |progress| {
                if progress.evaluated == 97 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )
        .unwrap();
    let text = serde_json::to_string(first.state()).unwrap();
    let state: SearchState<UnifiedSchedule> = serde_json::from_str(&text).unwrap();
    assert_eq!(state.evaluated.len(), 97);
    let mut second = Search::resume(&space, settings, baselines, state).unwrap();
    second.run::<SamplerError>(|plan| training().of(plan), |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(second.state(), whole.state());
    assert!(search(&space, 8, 130).state() != whole.state());
    let (plan, score) = whole.best().unwrap().unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    let read: Plan = serde_json::from_str(&text).unwrap();
    assert_eq!(training().of(&read).unwrap().to_bits(), score.to_bits());
}

/// Schedules that fail are recorded without a score and never become parents; an error of the objective stops the search.
#[test]
fn bad_schedules_are_survived() {
    let space = space(4);
    let settings = SearchSettings { evaluations: 100, ranking: None, ..Default::default() };
    let mut search = Search::new(&space, settings.clone(), Vec::new()).unwrap();
    let mut calls = 0;
    search
        .run::<SamplerError>(
            |plan| {
                calls += 1;
                if calls % 3 == 0 { Ok(f64::NAN) } else { training().of(plan) }
            },
            |_| ControlFlow::Continue(()),
        )
        .unwrap();
    assert_eq!(search.state().evaluated.iter().filter(|record| record.score.is_none()).count(), 33);
    assert_eq!(search.ranked().len(), 67);
    let mut failing = Search::new(&space, settings.clone(), Vec::new()).unwrap();
    let error = failing.run(|_| Err(SamplerError::SampleId { id: 1 }), |_| ControlFlow::Continue(()));
    assert!(error.is_err() && failing.state().evaluated.is_empty());
    let nowhere = UnifiedSpace { t_end: 2.0, ..self::space(4) };
    let mut search = Search::new(&nowhere, settings, Vec::new()).unwrap();
    let error = search.run::<SamplerError>(|_| Ok(1.0), |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("seeds"), "{error}");
    let refused = SearchSettings { parents: 0, ..Default::default() };
    assert!(Search::new(&space, refused, Vec::new()).is_err());
}

fn statistics() -> &'static ModelStatistics {
    static STATISTICS: OnceLock<ModelStatistics> = OnceLock::new();
    STATISTICS.get_or_init(|| {
        let data = column(Mixture::starts(40).into_iter().map(|z| 0.2 + z).collect());
        let estimation = Estimation { intervals: 60, ..Default::default() };
        estimation.measure(denoiser(), &data, &[PATH], "mixture", &mut |_, _| {}).unwrap()
    })
}

/// Whatever mutation and mixture do, children keep to the budget and can be run; with two components as well.
#[test]
fn children_keep_to_the_budget() {
    let other = PathConfig::VarianceExploding { beta_min: 0.01, beta_max: 10.0 };
    let with_statistics = UnifiedSpace { statistics: Some(statistics().clone()), ..space(6) };
    let denoised = UnifiedSpace { denoise: true, ..space(3) };
    let two = UnifiedSpace { paths: vec![PATH, other], mean: Some(vec![0.0, 0.5]), ..space(5) };
    for space in [with_statistics, denoised, two, space(1), space(12)] {
        let mut genomes: Vec<UnifiedSchedule> =
            UnifiedSchedule::seeds(&space).into_iter().map(|(_, genome)| genome).collect();
        assert!(!genomes.is_empty());
        let (mut implicit, mut free) = (0, 0);
        for decision in 0..300 {
            let mut draws = Draws::new(11, decision);
            let (a, b) = (draws.index(genomes.len()), draws.index(genomes.len()));
            let child = genomes[a].crossover(&genomes[b], &space, &mut draws).mutate(&space, &mut draws);
            assert_eq!(child.evaluations(), space.evaluations, "{child:?}");
            let plan = child.plan(&space).unwrap();
            plan.validate().unwrap();
            assert!(plan.evaluations() <= space.evaluations, "{child:?}");
            assert_eq!(child.features(&space).len(), genomes[0].features(&space).len());
            assert_eq!(child.steps.last().unwrap().time, space.t_end);
            implicit += usize::from(child.steps.iter().any(|s| s.corrector == StepCorrector::Implicit));
            free += usize::from(child.first != FirstPrediction::Network);
            let text = serde_json::to_string(&child).unwrap();
            assert_eq!(serde_json::from_str::<UnifiedSchedule>(&text).unwrap(), child);
            genomes.push(child);
        }
        assert!(free > 0 && (implicit > 0 || space.evaluations < 4), "{implicit} {free}");
    }
}

/// Largest difference between coefficients' effects: the results of two plans.
fn difference(a: &Plan, b: &Plan) -> f64 {
    let starts = Mixture::starts(32);
    let run = |plan: &Plan| {
        let ids: Vec<u64> = (0..32).collect();
        let mut executor = equidrift_sampler::Executor::new(denoiser(), &NOISE);
        executor.run(plan, column(starts.clone()), &ids).unwrap().state.to_host().unwrap().remove(0)
    };
    run(a).iter().zip(run(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Known solvers are schedules.
#[test]
fn schedules_reproduce_known_solvers() {
    let space = UnifiedSpace { statistics: Some(statistics().clone()), ..space(7) };
    let seeds = UnifiedSchedule::seeds(&space);
    let seed = |name: &str| {
        let found = seeds.iter().find(|(known, _)| known == name);
        found.unwrap_or_else(|| panic!("{name}")).1.plan(&space).unwrap()
    };
    let v3 = DpmSolverV3 {
        t_end: Some(1e-3),
        denoise: false,
        lower_order_final: false,
        corrector: V3Corrector::None,
        statistics: Some(statistics().clone()),
        ..Default::default()
    };
    let pseudo = DpmSolverV3 { order: 1, corrector: V3Corrector::PseudoOrder, ..v3.clone() };
    let lower = DpmSolverV3 { order: 3, lower_order_final: true, statistics: None, ..v3.clone() };
    let plus = DpmSolverPlusPlus {
        order: 2,
        t_end: Some(1e-3),
        denoise: false,
        lower_order_final: false,
        taylor: true,
        ..Default::default()
    };
    let ddim = DpmSolver { order: 1, t_end: Some(1e-3), denoise: false, ..Default::default() };
    let pairs: [(&str, &dyn Planner); 5] = [
        ("data, order 2, uniform-lambda, corrector None", &plus),
        ("noise, order 1, uniform-lambda, corrector None", &ddim),
        ("statistics, order 3, uniform-lambda, corrector None", &DpmSolverV3 { order: 3, ..v3.clone() }),
        ("statistics, order 1, uniform-lambda, corrector Pseudo", &pseudo),
        ("data, order 3, uniform-lambda, lower order at the end", &lower),
    ];
    for (name, planner) in pairs {
        let found = difference(&seed(name), &planner.plan(&[PATH], 7).unwrap());
        assert!(found < 1e-11, "{name}: {found:e}");
    }
}

#[test]
fn broken_schedules_are_refused() {
    let good = UnifiedSchedule::seeds(&space(4)).remove(0).1;
    let refused = |change: &dyn Fn(&mut UnifiedSchedule), part: &str| {
        let mut schedule = good.clone();
        change(&mut schedule);
        let error = schedule.compile(&[PATH], None, None).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&|s| s.steps.clear(), "steps");
    refused(&|s| s.steps[1].time = 2.0, "time");
    refused(&|s| s.steps[1].time = f64::NAN, "time");
    refused(&|s| s.steps[0].order = 2, "order");
    refused(&|s| s.steps[1].start = 3, "start");
    refused(&|s| (s.steps[1].order, s.steps[1].points) = (2, 9), "points");
    refused(&|s| s.steps[1].relaxation = f64::INFINITY, "relaxation");
    refused(&|s| s.steps[1].expansion = Expansion::Statistics, "statistics");
    refused(&|s| s.first = FirstPrediction::Mean, "means of the data");
}

/// The options of any sampler can be searched: here the order, grid and end of DPM-Solver++.
#[test]
fn options_of_a_sampler_are_searched() {
    let option = |field: &str, range| SearchedOption { field: field.to_owned(), range };
    let grids = serde_json::json!(["uniform-time", "uniform-lambda", "quadratic", {"karras": {"rho": 7.0}}]);
    let space = OptionSpace {
        sampler: SamplerConfig::DpmSolverPlusPlus(DpmSolverPlusPlus {
            t_end: Some(1e-2),
            ..Default::default()
        }),
        options: vec![
            option("/order", OptionRange::Choice { values: vec![1.into(), 2.into(), 3.into()] }),
            option("/grid", OptionRange::Choice { values: grids.as_array().unwrap().clone() }),
            option("/t_end", OptionRange::Logarithmic { low: 1e-3, high: 1e-1 }),
        ],
        paths: vec![PATH],
        evaluations: 8,
        rate: 0.3,
        jitter: 0.1,
    };
    let seed = OptionGenome::seeds(&space).remove(0).1;
    let SamplerConfig::DpmSolverPlusPlus(found) = seed.sampler(&space).unwrap() else { panic!() };
    assert!((found.t_end.unwrap() - 1e-2).abs() < 1e-12 && found.order == 2);
    let settings = SearchSettings {
        evaluations: 60,
        ranking: Some(Ranking { warm_up: 20, ..Default::default() }),
        ..Default::default()
    };
    let mut search = ScheduleSearch::<OptionGenome>::new(&space, settings, Vec::new()).unwrap();
    search.run::<SamplerError>(|plan| training().of(plan), |_| ControlFlow::Continue(())).unwrap();
    let (plan, best) = search.best().unwrap().unwrap();
    let start = search.state().evaluated[0].score.unwrap();
    println!("{start:.4} -> {best:.4}");
    assert!(plan.evaluations() == 8 && best < 0.8 * start, "{start} {best}");
    let absent =
        OptionSpace { options: vec![option("/nothing", OptionRange::Real { low: 0.0, high: 1.0 })], ..space };
    let error = OptionGenome::seeds(&absent).remove(0).1.plan(&absent).unwrap_err().to_string();
    assert!(error.contains("/nothing"), "{error}");
}

/// The numbers of any plan can be searched: here those of DDIM and of ancestral sampling in five steps.
#[test]
fn numbers_of_a_plan_are_searched() {
    let ddim = Ddim { t_end: Some(1e-3), denoise: false, ..Default::default() };
    let plan = ddim.plan(&[PATH], 5).unwrap();
    let space = ModulationSpace { plan: plan.clone(), jitter: 0.2 };
    let seed = Modulation::seeds(&space).remove(0).1;
    assert_eq!(seed.plan(&space).unwrap(), plan, "no modulation, no change");
    let settings = SearchSettings { evaluations: 150, ..Default::default() };
    let mut search = ScheduleSearch::<Modulation>::new(&space, settings, Vec::new()).unwrap();
    search.run::<SamplerError>(|plan| training().of(plan), |_| ControlFlow::Continue(())).unwrap();
    let (found, best) = search.best().unwrap().unwrap();
    let start = search.state().evaluated[0].score.unwrap();
    println!("{start:.4} -> {best:.4}");
    assert!(found.is_congruent(&plan) && best < 0.7 * start, "{start} {best}");

    // Corrections, predictor, noise and start all change, each component by itself; times and evaluations do not.
    let paths = [
        PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 1.0 },
        PathConfig::VarianceExploding { beta_min: 0.1, beta_max: 1.0 },
    ];
    let moments = [DataMoments { mean: 0.3, variance: 0.2 }, DataMoments { mean: 1.0, variance: 2.0 }];
    let corrected = PredictorCorrector::default().plan(&paths, 4).unwrap();
    let plan = MatchedPrior::new(&paths, &moments).unwrap().apply(corrected).unwrap();
    let space = ModulationSpace { plan: plan.clone(), jitter: 0.2 };
    let seed = Modulation::seeds(&space).remove(0).1;
    let child = (0..8).fold(seed, |genome, index| genome.mutate(&space, &mut Draws::new(4, index)));
    let changed = child.plan(&space).unwrap();
    assert!(changed.is_congruent(&plan) && changed.evaluations() == plan.evaluations());
    let differs = |pick: &dyn Fn(&Op) -> Option<f64>| {
        plan.ops().zip(changed.ops()).any(|(old, new)| pick(old).zip(pick(new)).is_some_and(|(a, b)| a != b))
    };
    for component in 0..2 {
        assert!(differs(&|op| match op {
            Op::Langevin { component: c, snr, .. } if *c == component => Some(*snr),
            _ => None,
        }));
        assert!(differs(&|op| match op {
            Op::Combine { constant: Some(constant), .. } => Some(constant[component]),
            _ => None,
        }));
        assert!(differs(&|op| match op {
            Op::Combine { constant: None, noise: Some(noise), .. } => Some(noise.coefficients[component]),
            _ => None,
        }));
        assert!(differs(&|op| match op {
            Op::Combine { constant: None, terms, .. } =>
                terms.get(1).map(|term| term.coefficients[component]),
            _ => None,
        }));
    }
    let times = |plan: &Plan| plan.steps.iter().map(|step| step.time).collect::<Vec<_>>();
    assert_eq!(times(&changed), times(&plan));
}
