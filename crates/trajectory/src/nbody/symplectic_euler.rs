//! The integrator of springs and charged particles: leapfrog with velocities half a step behind, after the generator of
//! Kipf et al. 2018, with its start and its clipped forces.

use equidrift_graph::random::Random;

use super::normal::{direction, normal_point};
use super::{Point, Run, STEPS, STEPS_PER_FRAME, System, TIME_STEP};

/// No component of a force is larger.
const LARGEST_FORCE: f64 = 100.0;
/// Bodies start within this distance of the origin in each coordinate; later the box plays no part.
const HALF_BOX: f64 = 5.0;
/// Length of each start velocity.
const START_SPEED: f64 = 0.5;

/// Integrates from a random start; `pair_force(strength, squared distance)` times `r_i - r_j` is the force on `i`.
pub(super) fn run(
    system: System,
    node_features: Vec<f64>,
    interactions: Vec<f64>,
    spread: f64,
    random: &mut Random,
    pair_force: impl Fn(f64, f64) -> f64,
) -> Run {
    let bodies = node_features.len();
    let mut positions: Vec<Point> = (0..bodies).map(|_| normal_point(random, spread)).collect();
    let mut velocities: Vec<Point> = (0..bodies).map(|_| direction(random, START_SPEED)).collect();
    for (position, velocity) in positions.iter_mut().zip(&mut velocities) {
        for (place, speed) in position.iter_mut().zip(velocity) {
            reflect(place, speed);
        }
    }
    let frames = (STEPS - 1) / STEPS_PER_FRAME;
    let mut kept_positions = Vec::with_capacity(frames * bodies);
    let mut kept_velocities = Vec::with_capacity(frames * bodies);
    kick(&positions, &interactions, &mut velocities, TIME_STEP, &pair_force);
    for step in 1..STEPS {
        for (place, speed) in positions.as_flattened_mut().iter_mut().zip(velocities.as_flattened()) {
            *place += TIME_STEP * speed;
        }
        if step.is_multiple_of(STEPS_PER_FRAME) {
            kept_positions.extend_from_slice(&positions);
            kept_velocities.extend_from_slice(&velocities);
        }
        kick(&positions, &interactions, &mut velocities, TIME_STEP, &pair_force);
    }
    let interval = STEPS_PER_FRAME as f64 * TIME_STEP;
    Run {
        system,
        node_features,
        interactions,
        positions: kept_positions,
        velocities: kept_velocities,
        clock: (interval, interval),
    }
}

/// Moves velocities on by `time` under the forces at these positions.
pub(super) fn kick(
    positions: &[Point],
    interactions: &[f64],
    velocities: &mut [Point],
    time: f64,
    pair_force: impl Fn(f64, f64) -> f64,
) {
    let bodies = positions.len();
    for i in 0..bodies {
        let mut total = [0.0; 3];
        for j in 0..bodies {
            if i != j {
                let difference: Point = std::array::from_fn(|k| positions[i][k] - positions[j][k]);
                let square = difference.iter().map(|value| value * value).sum();
                let factor = pair_force(interactions[i * bodies + j], square);
                total.iter_mut().zip(difference).for_each(|(force, value)| *force += factor * value);
            }
        }
        for (speed, force) in velocities[i].iter_mut().zip(total) {
            *speed += time * force.clamp(-LARGEST_FORCE, LARGEST_FORCE);
        }
    }
}

/// Reflects a coordinate that lies outside the box back into it, with its velocity turned inwards.
fn reflect(place: &mut f64, speed: &mut f64) {
    while place.abs() > HALF_BOX {
        let side = place.signum();
        *place = side * 2.0 * HALF_BOX - *place;
        *speed = -side * speed.abs();
    }
}

/// A symmetric matrix `[N, N]` with zero diagonal from a value for each pair `i > j`.
pub(super) fn symmetric(bodies: usize, mut value: impl FnMut(usize, usize) -> f64) -> Vec<f64> {
    let mut matrix = vec![0.0; bodies * bodies];
    for i in 0..bodies {
        for j in 0..i {
            let pair = value(i, j);
            matrix[i * bodies + j] = pair;
            matrix[j * bodies + i] = pair;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_reflects() {
        let after = |mut place: f64, mut speed: f64| {
            reflect(&mut place, &mut speed);
            (place, speed)
        };
        assert_eq!(after(5.5, 0.3), (4.5, -0.3));
        assert_eq!(after(5.5, -0.3), (4.5, -0.3));
        assert_eq!(after(-6.0, -0.2), (-4.0, 0.2));
        assert_eq!(after(16.0, 0.1), (-4.0, 0.1));
        assert_eq!(after(4.0, 0.1), (4.0, 0.1));
    }
}
