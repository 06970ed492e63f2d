//! Charges of -1 and +1 that repel and attract one another by Coulomb's law.

use equidrift_graph::random::Random;

use super::{Run, System, symplectic_euler};

pub(super) fn simulate(bodies: usize, random: &mut Random) -> Run {
    let charges: Vec<f64> = (0..bodies).map(|_| if random.happens(0.5) { 1.0 } else { -1.0 }).collect();
    let products = symplectic_euler::symmetric(bodies, |i, j| charges[i] * charges[j]);
    // The density at the start does not depend on the number of bodies.
    let spread = (bodies as f64 / 5.0).cbrt();
    symplectic_euler::run(System::Charged, charges, products, spread, random, pair_force)
}

/// The force on one body per length of the way to it from the other. Two bodies in one place push each other nowhere rather
/// than to NaN.
pub(super) fn pair_force(product: f64, squared_distance: f64) -> f64 {
    if squared_distance > 0.0 { product / (squared_distance * squared_distance.sqrt()) } else { 0.0 }
}

pub(super) fn pair_energy(product: f64, squared_distance: f64) -> f64 {
    product / squared_distance.sqrt()
}
