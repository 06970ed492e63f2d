//! Convergence of the deterministic solvers on a mixture whose flow is known (problem L2).

use std::sync::OnceLock;

use burn::tensor::Device;
use equidrift_laws::figures::{Accept, Figure};
use equidrift_laws::mixture::Mixture;
use equidrift_sampler::plan::{
    Ddim, DpmMethod, DpmSolver, DpmSolverPlusPlus, Heun, ThirdOrder, UniPc, UniPcVariant,
};
use equidrift_sampler::{PathConfig, Planner, TimeGrid};

const PATH: PathConfig = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
const END: f64 = 1e-3;
const STEPS: [usize; 7] = [6, 12, 24, 48, 96, 192, 384];

/// The mixture, its starting points and where the exact flow takes them.
struct Problem {
    mixture: Mixture,
    starts: Vec<f64>,
    ends: Vec<f64>,
}

fn problem() -> &'static Problem {
    static PROBLEM: OnceLock<Problem> = OnceLock::new();
    PROBLEM.get_or_init(|| {
        let (mixture, starts) = (Mixture::two_modes(), Mixture::starts(64));
        let ends = mixture.flow(&PATH, &starts, END, 8000);
        Problem { mixture, starts, ends }
    })
}

/// Root mean square error over the 64 ends.
pub(crate) fn error(planner: &dyn Planner, steps: usize) -> f64 {
    let Problem { mixture, starts, ends } = problem();
    let plan = planner.plan(&[PATH], steps).unwrap();
    mixture.rms_error(&plan, &PATH, starts, ends, &Device::flex()).unwrap()
}

/// Largest difference between the samples of two solvers after 20 steps.
fn largest_difference(one: &dyn Planner, other: &dyn Planner) -> f64 {
    let Problem { mixture, starts, .. } = problem();
    let ends = |planner: &dyn Planner| {
        let plan = planner.plan(&[PATH], 20).unwrap();
        mixture.ends(&plan, &PATH, starts, &Device::flex()).unwrap()
    };
    ends(one).iter().zip(&ends(other)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn plus_plus(order: u8, method: DpmMethod, variant: Option<ThirdOrder>) -> Box<dyn Planner> {
    Box::new(DpmSolverPlusPlus {
        order,
        method,
        variant,
        t_end: Some(END),
        denoise: false,
        ..Default::default()
    })
}

fn dpm(order: u8, method: DpmMethod) -> Box<dyn Planner> {
    Box::new(DpmSolver { order, method, t_end: Some(END), denoise: false, ..Default::default() })
}

fn ddim() -> Box<dyn Planner> {
    Box::new(Ddim { t_end: Some(END), denoise: false, ..Default::default() })
}

fn heun() -> Box<dyn Planner> {
    let grid = TimeGrid::UniformLambda;
    Box::new(Heun { grid, t_end: Some(END), denoise: false, ..Default::default() })
}

fn uni_pc(order: u8, variant: UniPcVariant, corrector: bool) -> Box<dyn Planner> {
    Box::new(UniPc { order, variant, corrector, t_end: Some(END), denoise: false, ..Default::default() })
}

/// One row of the published table: a solver, its errors at the seven numbers of steps, its final slope and how far the
/// slope may be off.
struct Row {
    name: &'static str,
    planner: Box<dyn Planner>,
    errors: [f64; 7],
    slope: f64,
    slope_accept: f64,
}

fn rows() -> Vec<Row> {
    use DpmMethod::{Multistep, Singlestep};
    let (published, exact) = (Some(ThirdOrder::Published), Some(ThirdOrder::Exact));
    let first = [2.91e-1, 1.54e-1, 7.92e-2, 3.94e-2, 1.96e-2, 9.76e-3, 4.87e-3];
    let row = |name, planner, errors, slope| Row { name, planner, errors, slope, slope_accept: 0.1 };
    vec![
        row("DDIM", ddim(), first, 1.00),
        row("DPM-1", dpm(1, Singlestep), first, 1.00),
        row("++1", plus_plus(1, Multistep, None), first, 1.00),
        row(
            "DPM-2 singlestep",
            dpm(2, Singlestep),
            [1.97e-1, 3.40e-2, 7.48e-3, 1.78e-3, 4.35e-4, 1.08e-4, 2.68e-5],
            2.01,
        ),
        row(
            "DPM-3 singlestep",
            dpm(3, Singlestep),
            [4.15e-2, 2.62e-3, 2.13e-4, 3.01e-5, 4.03e-6, 5.20e-7, 6.60e-8],
            2.98,
        ),
        row(
            "++2S",
            plus_plus(2, Singlestep, None),
            [9.63e-2, 3.10e-2, 9.21e-3, 2.58e-3, 6.88e-4, 1.78e-4, 4.54e-5],
            1.97,
        ),
        row(
            "++3S",
            plus_plus(3, Singlestep, None),
            [1.95e-2, 4.22e-3, 7.85e-4, 1.23e-4, 1.72e-5, 2.27e-6, 2.92e-7],
            2.96,
        ),
        row(
            "2M, noise form",
            dpm(2, Multistep),
            [1.17e-1, 4.18e-2, 1.36e-2, 4.07e-3, 1.12e-3, 2.93e-4, 7.50e-5],
            1.97,
        ),
        row(
            "++2M",
            plus_plus(2, Multistep, None),
            [9.80e-2, 4.19e-2, 1.11e-2, 2.95e-3, 7.59e-4, 1.91e-4, 4.80e-5],
            2.00,
        ),
        row(
            "++3M published",
            plus_plus(3, Multistep, published),
            [2.46e-1, 2.08e-2, 4.20e-3, 8.10e-4, 1.77e-4, 4.25e-5, 1.05e-5],
            2.01,
        ),
        Row {
            slope_accept: 0.15,
            ..row(
                "++3M exact",
                plus_plus(3, Multistep, exact),
                [2.80e-1, 2.38e-2, 4.27e-3, 4.91e-4, 4.75e-5, 4.96e-6, 5.66e-7],
                3.0,
            )
        },
        row("EDM Heun", heun(), [3.87e-1, 7.34e-2, 1.54e-2, 3.57e-3, 8.65e-4, 2.13e-4, 5.28e-5], 2.01),
    ]
}

/// Solvers without a published row: their final slope must be at least their order.
fn other_solvers() -> Vec<(&'static str, Box<dyn Planner>, f64)> {
    use UniPcVariant::{Bh1, Bh2};
    let taylor =
        DpmSolverPlusPlus { taylor: true, t_end: Some(END), denoise: false, ..DpmSolverPlusPlus::default() };
    vec![
        ("++2M Taylor", Box::new(taylor), 2.0),
        ("3M, noise form", dpm(3, DpmMethod::Multistep), 3.0),
        ("UniP-1", uni_pc(1, Bh2, false), 1.0),
        ("UniP-2 B1", uni_pc(2, Bh1, false), 2.0),
        ("UniP-2 B2", uni_pc(2, Bh2, false), 2.0),
        ("UniP-3", uni_pc(3, Bh2, false), 3.0),
        ("UniPC-1 B1", uni_pc(1, Bh1, true), 2.0),
        ("UniPC-1 B2", uni_pc(1, Bh2, true), 2.0),
        ("UniPC-2 B1", uni_pc(2, Bh1, true), 3.0),
        ("UniPC-2 B2", uni_pc(2, Bh2, true), 3.0),
        ("UniPC-3", uni_pc(3, Bh2, true), 3.0),
    ]
}

pub(crate) fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        let mut figures = Vec::new();
        let same = largest_difference(ddim().as_ref(), plus_plus(1, DpmMethod::Multistep, None).as_ref());
        let what = "DDIM and ++1, 20 steps: largest difference of 64 samples";
        figures.push(Figure::new("C18", what, 1e-14, Accept::AtMost, same));
        let third = |variant| error(plus_plus(3, DpmMethod::Multistep, Some(variant)).as_ref(), 384);
        let gain = third(ThirdOrder::Published) / third(ThirdOrder::Exact);
        let what = "L2, ++3M, 384 steps: error with the published D2 over error with the exact one";
        figures.push(Figure::new("T1", what, 18.0, Accept::Relative(0.05), gain));
        for Row { name, planner, errors, slope, slope_accept } in rows() {
            let measured: Vec<f64> = STEPS.iter().map(|&steps| error(planner.as_ref(), steps)).collect();
            for ((steps, expected), &found) in STEPS.iter().zip(errors).zip(&measured) {
                let what = format!("L2, {name}, {steps} steps: root mean square error");
                figures.push(Figure::new("C18", what, expected, Accept::Relative(0.02), found));
            }
            let what = format!("L2, {name}: final slope");
            let found = (measured[5] / measured[6]).log2();
            figures.push(Figure::new("C18", what, slope, Accept::Absolute(slope_accept), found));
        }
        for (name, planner, order) in other_solvers() {
            let errors = [96, 192, 384].map(|steps| error(planner.as_ref(), steps));
            let what = format!("L2, {name}: final slope");
            let found = (errors[1] / errors[2]).log2();
            figures.push(Figure::new("C18", what, order - 0.1, Accept::AtLeast, found));
        }
        figures
    })
}

#[test]
fn every_cell_of_the_table_is_measured() {
    for figure in figures() {
        println!("{figure}");
    }
    for figure in figures() {
        figure.check();
    }
}

#[test]
fn reference_flow_has_converged() {
    let Problem { mixture, starts, ends } = problem();
    let coarse = mixture.flow(&PATH, starts, END, 4000);
    let worst = coarse.iter().zip(ends).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{worst:e}");
    assert!(worst < 1e-10, "{worst:e}");
}

/// Above 24 steps the exact third-order update is the default, up to 24 the published one.
#[test]
fn the_third_order_variant_follows_the_number_of_steps() {
    let planner = |variant| plus_plus(3, DpmMethod::Multistep, variant);
    for (steps, variant) in [(24, ThirdOrder::Published), (25, ThirdOrder::Exact)] {
        let plan = |variant| planner(variant).plan(&[PATH], steps).unwrap();
        assert_eq!(plan(None), plan(Some(variant)), "{steps}");
    }
}

/// DDIM is the first order of both DPM-Solvers, and UniPC's predictor with B(h) = e^h − 1 is DPM-Solver++: the same
/// samples to rounding.
#[test]
fn equal_solvers_return_equal_samples() {
    use DpmMethod::{Multistep, Singlestep};
    let exact = Some(ThirdOrder::Exact);
    for (one, other) in [
        (ddim(), plus_plus(1, Multistep, None)),
        (ddim(), dpm(1, Singlestep)),
        (uni_pc(1, UniPcVariant::Bh1, false), plus_plus(1, Multistep, None)),
        (uni_pc(2, UniPcVariant::Bh2, false), plus_plus(2, Multistep, None)),
        (uni_pc(3, UniPcVariant::Bh2, false), plus_plus(3, Multistep, exact)),
    ] {
        let worst = largest_difference(one.as_ref(), other.as_ref());
        println!("{worst:e}");
        assert!(worst <= 1e-14, "{worst:e}");
    }
}

/// What UniPC is for: fewer evaluations for the same error.
#[test]
fn uni_pc_is_better_than_two_steps_of_history() {
    for steps in [10, 20] {
        let (two, uni) = (
            error(plus_plus(2, DpmMethod::Multistep, None).as_ref(), steps),
            error(uni_pc(2, UniPcVariant::Bh2, true).as_ref(), steps),
        );
        println!("{steps} steps: ++2M {two:.3e}, UniPC-2 {uni:.3e}");
        assert!(uni < two, "{steps} steps: {uni} {two}");
    }
}
