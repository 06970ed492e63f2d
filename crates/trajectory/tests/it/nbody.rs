//! The simulators keep what their physics keeps.

use equidrift_trajectory::TrajectoryError;
use equidrift_trajectory::nbody::{Run, System, energy_drift, kinetic_energy};

const RUNS: u64 = 200;

fn runs(system: System) -> Vec<Run> {
    let threads = equidrift_graph::threads::available_threads();
    system.simulate_all(system.usual_bodies(), 43, 0..RUNS, threads).unwrap()
}

fn drift(run: &Run) -> f64 {
    let energies: Vec<f64> = (0..run.frames()).map(|frame| run.energy(frame)).collect();
    energy_drift(&energies).unwrap()
}

/// Largest change of a component of the total momentum.
fn momentum_change(run: &Run) -> f64 {
    let first = run.momentum(0);
    (1..run.frames())
        .flat_map(|frame| run.momentum(frame).into_iter().zip(first).map(|(now, first)| (now - first).abs()))
        .fold(0.0, f64::max)
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

#[test]
fn springs_keep_energy_and_momentum() {
    let runs = runs(System::Springs);
    let (energy, momentum) = (largest(runs.iter().map(drift)), largest(runs.iter().map(momentum_change)));
    println!("springs: energy drift {energy:e}, momentum change {momentum:e} over {RUNS} runs");
    assert!(energy < 4e-4, "{energy}");
    assert!(momentum < 1e-6, "{momentum}");
    // With the velocities as they are stored, half a step behind; an independent programme finds the same swing.
    let stored = |run: &Run| {
        let energy = |frame| {
            let potential = System::Springs.potential_energy(run.positions(frame), run.interactions());
            kinetic_energy(run.velocities(frame)) + potential
        };
        energy_drift(&(0..run.frames()).map(energy).collect::<Vec<_>>()).unwrap()
    };
    let below = runs.iter().filter(|run| stored(run) < 4e-4).count();
    println!("springs: with stored velocities {below} of {RUNS} runs drift by less than 4e-4");
    assert!(below >= 195, "{below}");
    assert!(
        runs.iter().all(|run| run.frames() == 49 && run.bodies() == 5 && run.node_features() == [0.0; 5])
    );
    // Half of the pairs have a spring: 2,000 pairs, standard deviation 22.
    let springs: f64 = runs.iter().map(|run| run.interactions().iter().sum::<f64>() / 2.0).sum();
    assert!((springs - 1000.0).abs() < 100.0, "{springs}");
    let symmetric =
        |run: &Run| (0..25).all(|p| run.interactions()[p] == run.interactions()[p % 5 * 5 + p / 5]);
    assert!(runs.iter().all(symmetric));
    // Bodies that no spring holds go straight on at speed 1/2.
    let free = runs.iter().find_map(|run| {
        (0..5).find(|body| run.interactions()[5 * body..5 * body + 5] == [0.0; 5]).map(|body| (run, body))
    });
    let (run, body) = free.expect("one body in sixteen is free");
    let (first, last) = (run.positions(0)[body], run.positions(48)[body]);
    let way: f64 = first.iter().zip(last).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    assert!((way - 0.5 * 4.8).abs() < 1e-9, "{way}");
}

#[test]
fn gravity_keeps_energy_and_momentum() {
    let runs = runs(System::Gravity);
    let (energy, momentum) = (largest(runs.iter().map(drift)), largest(runs.iter().map(momentum_change)));
    println!("gravity: energy drift {energy:e}, momentum change {momentum:e} over {RUNS} runs");
    // Relative to a run's own energy, which may lie near 0; an independent programme finds the same spread over 200 runs
    // (median 6.3e-5, 99 % below 3.3e-4, largest 1.3e-3). Relative to the usual energy every run stays below the limit.
    let below = runs.iter().filter(|run| drift(run) < 7e-4).count();
    let usual = runs.iter().map(|run| run.energy(0).abs()).sum::<f64>() / RUNS as f64;
    let scaled = largest(runs.iter().map(|run| drift(run) * run.energy(0).abs() / usual));
    println!(
        "gravity: {below} of {RUNS} runs drift by less than 7e-4; by at most {scaled:e} of the mean energy {usual}"
    );
    assert!(below >= 195 && scaled < 7e-4, "{below} {scaled}");
    assert!(momentum < 1e-6, "{momentum}");
    assert!(runs.iter().all(|run| run.frames() == 50 && run.bodies() == 10));
    assert!(runs.iter().all(|run| run.momentum(0).iter().all(|p| p.abs() < 1e-12)), "the mean velocity is 0");
}

#[test]
fn charged_particles_follow_their_distribution() {
    let runs = runs(System::Charged);
    // The description of the reference: half of the runs drift by more than 10 %, momentum moves by up to 0.25.
    let mut drifts: Vec<f64> = runs.iter().map(drift).collect();
    drifts.sort_by(f64::total_cmp);
    let momentum = largest(runs.iter().map(momentum_change));
    let wide = drifts.iter().filter(|drift| **drift > 0.1).count();
    println!(
        "charged: {wide} of {RUNS} runs drift by more than 10 %, momentum changes by at most {momentum}"
    );
    assert!((60..140).contains(&wide), "{wide}");
    assert!(momentum < 0.5, "{momentum}");
    let charges: f64 = runs.iter().flat_map(|run| run.node_features()).sum();
    assert!(charges.abs() < 130.0, "1,000 charges of ±1 sum up to {charges}");
    for run in &runs {
        let charge = run.node_features();
        assert!((0..25).all(|p| p / 5 == p % 5 || run.interactions()[p] == charge[p / 5] * charge[p % 5]));
    }
}

#[test]
fn a_run_depends_on_its_seed_and_number_alone() {
    for system in [System::Springs, System::Charged, System::Gravity] {
        let bodies = system.usual_bodies();
        let one = system.simulate_all(bodies, 5, 0..6, 1).unwrap();
        assert_eq!(one, system.simulate_all(bodies, 5, 0..6, 3).unwrap());
        assert_eq!(one[4..], system.simulate_all(bodies, 5, 4..6, 2).unwrap());
        assert_ne!(one[0], one[1]);
        assert_ne!(one[0], system.simulate(bodies, 6, 0).unwrap());
        let trajectory = one[0].trajectory();
        assert_eq!(trajectory.frames(), one[0].frames());
        assert!((trajectory.time_step().unwrap() - 0.1).abs() < 1e-9);
        assert!((f64::from(trajectory.frame(3)[1][2]) - one[0].positions(3)[1][2]).abs() < 1e-5);
    }
    assert!(matches!(System::Gravity.simulate(5000, 0, 0), Err(TrajectoryError::TooMany { .. })));
    assert!(System::Gravity.simulate(1, 0, 0).is_err());
}
