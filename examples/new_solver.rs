//! Add a solver the crate does not have: DEIS with polynomials in time, "tAB-DEIS" (Zhang & Chen, ICLR 2023).
//!
//! In z = x/alpha and r = sigma/alpha the probability-flow ODE is `dz/dr = eps`. DEIS replaces eps between two nodes by
//! the polynomial in t through its last values, so a step from s to t is
//! `x_t = (alpha_t/alpha_s) x + alpha_t sum_j c_j eps_j`, with c_j the integral of the j-th Lagrange polynomial over dr.
//!
//! A solver is a planner: it writes a plan, a list of operations with numbers. It runs on every denoiser and every
//! state, can be printed and saved, and its cost is counted. What it promises is then checked without a network: valid
//! plans, announced cost, and convergence of Gaussian moments with its order; and on a mixture whose flow is known.
//!
//! ```text
//! cargo run --release --example new_solver
//! ```

use equidrift_laws::mixture::Mixture;
use equidrift_laws::planner::{Convergence, Promise, check};

// The solver begins here.
use equidrift_sampler::plan::{PlanBuilder, PlannerInfo, STATE};
use equidrift_sampler::{Path, PathConfig, Plan, Planner, PredictionKind, SamplerError, TimeGrid};

/// tAB-DEIS of this order.
#[derive(Debug)]
struct Deis {
    order: usize,
    t_end: f64,
}

/// Nodes and weights of five-point Gauss-Legendre integration over [-1, 1].
const GAUSS: [(f64, f64); 5] = [
    (0.0, 0.568_888_888_888_888_9),
    (-0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
    (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
    (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
    (0.906_179_845_938_664, 0.236_926_885_056_189_1),
];

/// alpha_t times the integral over dr, from times[0] to t, of the Lagrange polynomial of times[j]. With
/// lambda = -ln r, dr = -exp(-lambda) d lambda.
fn weight(path: &dyn Path, times: &[f64], j: usize, t: f64) -> f64 {
    let (from, to) = (path.lambda(times[0]), path.lambda(t));
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    let integral: f64 = GAUSS
        .iter()
        .map(|(node, weight)| {
            let lambda = middle + half * node;
            let time = path.inverse_lambda(lambda);
            let others = times.iter().enumerate().filter(|(k, _)| *k != j);
            let lagrange: f64 = others.map(|(_, other)| (time - other) / (times[j] - other)).product();
            -weight * half * (-lambda).exp() * lagrange
        })
        .sum();
    path.alpha(t) * integral
}

impl Planner for Deis {
    fn info(&self) -> PlannerInfo {
        PlannerInfo {
            name: "deis",
            description: "exponential integrator with polynomials in time",
            formula: "x <- (alpha_t/alpha_s) x + alpha_t sum_j c_j e_j",
            order: "as many as predictions are kept",
            cost: "n",
            citation: "Zhang & Chen, ICLR 2023 (arXiv 2204.13902)",
        }
    }

    fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        let mut builder = PlanBuilder::new("deis", paths, steps)?;
        let nodes = TimeGrid::UniformLambda.nodes(paths, steps, 1.0, self.t_end)?;
        // The last predictions live in registers that take turns.
        let registers: Vec<_> = (0..self.order.min(steps)).map(|_| builder.register()).collect();
        for (index, &t) in nodes.iter().enumerate().skip(1) {
            let kept = registers.len().min(index);
            let times: Vec<f64> = (1..=kept).map(|back| nodes[index - back]).collect();
            builder.begin_step(times[0]);
            builder.eval_state(times[0], PredictionKind::Noise, registers[(index - 1) % registers.len()]);
            let mut terms = vec![(STATE, builder.each(|path| path.alpha(t) / path.alpha(times[0])))];
            for j in 0..kept {
                let register = registers[(index - 1 - j) % registers.len()];
                terms.push((register, builder.each(|path| weight(path, &times, j, t))));
            }
            builder.combine(STATE, terms, None);
        }
        builder.finish()
    }

    fn evaluations(&self, steps: usize, _components: usize) -> usize {
        steps
    }
}
// The solver ends here.

/// Lines of the solver that are neither empty nor comments.
fn lines_of_the_solver() -> usize {
    let lines = include_str!("new_solver.rs").lines().map(str::trim);
    let solver = lines
        .skip_while(|line| *line != "// The solver begins here.")
        .take_while(|line| *line != "// The solver ends here.");
    solver.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    const END: f64 = 1e-3;
    const STEPS: [usize; 7] = [6, 12, 24, 48, 96, 192, 384];
    println!("the solver has {} lines\n", lines_of_the_solver());

    println!("convergence of Gaussian moments, 49 to 97 steps:");
    for order in 1..=3 {
        let convergence = Convergence { steps: [49, 97], ..Convergence::ode(order as f64, END) };
        for measured in check(&Deis { order, t_end: END }, &Promise::linear(convergence))? {
            println!("  order {order} on {:?}: {:.2}", measured.system, measured.slope);
        }
    }

    println!("\nroot mean square error on a mixture of two normals (64 samples):");
    print!("{:14}", "steps = NFE");
    STEPS.iter().for_each(|steps| print!(" {steps:>8}"));
    println!("   order");
    let path = PathConfig::VariancePreserving { beta_min: 0.1, beta_max: 20.0 };
    let (mixture, starts) = (Mixture::two_modes(), Mixture::starts(64));
    let exact = mixture.flow(&path, &starts, END, 8000);
    let device = equidrift_backend::device::DeviceKind::Cpu.open()?;
    let plus_plus = |order| equidrift_sampler::plan::DpmSolverPlusPlus {
        order,
        t_end: Some(END),
        denoise: false,
        ..Default::default()
    };
    let solvers: [(&str, &dyn Planner, f64); 5] = [
        ("deis 1", &Deis { order: 1, t_end: END }, 1.0),
        ("deis 2", &Deis { order: 2, t_end: END }, 2.0),
        ("deis 3", &Deis { order: 3, t_end: END }, 3.0),
        ("dpm-solver++ 2", &plus_plus(2), 2.0),
        ("dpm-solver++ 3", &plus_plus(3), 3.0),
    ];
    for (name, planner, order) in solvers {
        let mut errors = Vec::new();
        for steps in STEPS {
            let plan = planner.plan(std::slice::from_ref(&path), steps)?;
            errors.push(mixture.rms_error(&plan, &path, &starts, &exact, &device)?);
        }
        print!("{name:14}");
        errors.iter().for_each(|error| print!(" {error:8.1e}"));
        let slope = (errors[5] / errors[6]).log2();
        println!("   {slope:.2}");
        assert!(slope > order - 0.15, "{name}: order {slope}");
    }
    Ok(())
}

/// `cargo test` runs the example, whose laws and orders are asserted, and holds it to its promise of brevity.
#[test]
fn the_solver_is_short_and_keeps_its_promises() -> Result<(), Box<dyn std::error::Error>> {
    let lines = lines_of_the_solver();
    assert!((20..80).contains(&lines), "{lines} lines");
    main()
}
