//! Bodies of which a random half of the pairs is joined by springs of rest length 0.

use equidrift_graph::random::Random;

use super::{Run, System, symplectic_euler};

/// Force per length of a spring.
const STIFFNESS: f64 = 0.1;
/// Standard deviation of each start coordinate.
const SPREAD: f64 = 0.5;

pub(super) fn simulate(bodies: usize, random: &mut Random) -> Run {
    let springs = symplectic_euler::symmetric(bodies, |_, _| f64::from(random.happens(0.5)));
    symplectic_euler::run(System::Springs, vec![0.0; bodies], springs, SPREAD, random, pair_force)
}

/// The force on one body per length of the way to it from the other.
pub(super) fn pair_force(spring: f64, _squared_distance: f64) -> f64 {
    -STIFFNESS * spring
}

pub(super) fn pair_energy(spring: f64, squared_distance: f64) -> f64 {
    STIFFNESS / 2.0 * spring * squared_distance
}
