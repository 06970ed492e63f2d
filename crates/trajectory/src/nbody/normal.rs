//! Normal random numbers and random directions.

use equidrift_graph::random::Random;

use super::Point;

/// One number of N(0, 1) (Box & Muller 1958; the second number of the pair is not kept, so that streams stay simple).
pub(super) fn normal(random: &mut Random) -> f64 {
    // 1 - u is never 0.
    let radius = (-2.0 * (1.0 - random.uniform()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.uniform()).cos()
}

/// Three numbers of N(0, spread²).
pub(super) fn normal_point(random: &mut Random, spread: f64) -> Point {
    std::array::from_fn(|_| spread * normal(random))
}

/// A vector of this length in a uniformly random direction.
pub(super) fn direction(random: &mut Random, length: f64) -> Point {
    let point = normal_point(random, 1.0);
    let norm = point.iter().map(|value| value * value).sum::<f64>().sqrt();
    point.map(|value| value * length / norm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let mut random = Random::keyed(11, &[]);
        let count = 200_000;
        let numbers: Vec<f64> = (0..count).map(|_| normal(&mut random)).collect();
        let moment = |power: i32| numbers.iter().map(|x| x.powi(power)).sum::<f64>() / f64::from(count);
        // Standard errors: 1, √2, √15 and √96 over √200,000.
        assert!(moment(1).abs() < 0.01 && (moment(2) - 1.0).abs() < 0.014);
        assert!(moment(3).abs() < 0.035 && (moment(4) - 3.0).abs() < 0.09);
        let mean_z = (0..20_000).map(|_| direction(&mut random, 0.5)[2]).sum::<f64>() / 20_000.0;
        assert!(mean_z.abs() < 0.009);
        let length: f64 = direction(&mut random, 0.5).iter().map(|x| x * x).sum();
        assert!((length - 0.25).abs() < 1e-15);
    }
}
