//! Equal masses that attract one another, softened at short distance; leapfrog in its kick-drift-kick form.

use equidrift_graph::random::Random;

use super::normal::normal_point;
use super::{Point, Run, STEPS, STEPS_PER_FRAME, System, TIME_STEP};

/// Square of the softening length 0.1.
const SOFTENING_SQUARED: f64 = 0.01;

pub(super) fn simulate(bodies: usize, random: &mut Random) -> Run {
    let mut positions: Vec<Point> = (0..bodies).map(|_| normal_point(random, 1.0)).collect();
    let mut velocities: Vec<Point> = (0..bodies).map(|_| normal_point(random, 1.0)).collect();
    for k in 0..3 {
        let mean = velocities.iter().map(|velocity| velocity[k]).sum::<f64>() / bodies as f64;
        velocities.iter_mut().for_each(|velocity| velocity[k] -= mean);
    }
    let mut accelerations = vec![[0.0; 3]; bodies];
    accelerate(&positions, &mut accelerations);
    let frames = STEPS / STEPS_PER_FRAME;
    let mut kept_positions = Vec::with_capacity(frames * bodies);
    let mut kept_velocities = Vec::with_capacity(frames * bodies);
    let half_kick = |velocities: &mut [Point], accelerations: &[Point]| {
        for (speed, acceleration) in
            velocities.as_flattened_mut().iter_mut().zip(accelerations.as_flattened())
        {
            *speed += acceleration * TIME_STEP / 2.0;
        }
    };
    for step in 0..=(frames - 1) * STEPS_PER_FRAME {
        if step.is_multiple_of(STEPS_PER_FRAME) {
            kept_positions.extend_from_slice(&positions);
            kept_velocities.extend_from_slice(&velocities);
        }
        half_kick(&mut velocities, &accelerations);
        for (place, speed) in positions.as_flattened_mut().iter_mut().zip(velocities.as_flattened()) {
            *place += TIME_STEP * speed;
        }
        accelerate(&positions, &mut accelerations);
        half_kick(&mut velocities, &accelerations);
    }
    Run {
        system: System::Gravity,
        node_features: vec![1.0; bodies],
        interactions: vec![0.0; bodies * bodies],
        positions: kept_positions,
        velocities: kept_velocities,
        clock: (0.0, STEPS_PER_FRAME as f64 * TIME_STEP),
    }
}

fn accelerate(positions: &[Point], accelerations: &mut [Point]) {
    accelerations.fill([0.0; 3]);
    for i in 0..positions.len() {
        for j in 0..i {
            let difference: Point = std::array::from_fn(|k| positions[j][k] - positions[i][k]);
            let square = difference.iter().map(|value| value * value).sum::<f64>() + SOFTENING_SQUARED;
            let factor = 1.0 / (square * square.sqrt());
            for k in 0..3 {
                accelerations[i][k] += factor * difference[k];
                accelerations[j][k] -= factor * difference[k];
            }
        }
    }
}

pub(super) fn pair_energy(squared_distance: f64) -> f64 {
    -1.0 / (squared_distance + SOFTENING_SQUARED).sqrt()
}
