//! How the distances between two sets of atoms are distributed.

use crate::error::TrajectoryError;
use crate::geometry::distance;
use crate::trajectory::Trajectory;

/// Distances of atom pairs, over all frames.
#[derive(Debug, Clone, PartialEq)]
pub struct RadialDistribution {
    /// Middle of each bin, ångström.
    pub radii: Vec<f64>,
    /// Probability density of a pair's distance, 1/Å; its integral is the fraction of pairs within reach.
    pub density: Vec<f64>,
    /// The radial distribution function g(r), relative to the mean density of pairs in the cell; only for periodic
    /// trajectories.
    pub g: Option<Vec<f64>>,
}

/// Distances up to `reach` ångström between atoms of `first` and `second`; a pair of an atom with itself is left out. With
/// cells, nearest images count, and `reach` may be no more than half the smallest height of any cell.
/// Cost: O(frames · |first| · |second|), 27 times more with cells.
///
/// # Errors
/// [`TrajectoryError::NoSuchAtom`], [`TrajectoryError::TooFew`] without pairs, frames or bins, [`TrajectoryError::Value`] if
/// `reach` is not positive or longer than the cells allow.
pub fn radial_distribution(
    trajectory: &Trajectory,
    first: &[usize],
    second: &[usize],
    reach: f64,
    bins: usize,
) -> Result<RadialDistribution, TrajectoryError> {
    let atoms = trajectory.atoms();
    if let Some(atom) = first.iter().chain(second).copied().find(|atom| *atom >= atoms) {
        return Err(TrajectoryError::NoSuchAtom { atom, atoms });
    }
    let pairs: Vec<(usize, usize)> =
        first.iter().flat_map(|a| second.iter().map(move |b| (*a, *b))).filter(|(a, b)| a != b).collect();
    let what = "a radial distribution";
    for (points, found) in [("pairs", pairs.len()), ("frames", trajectory.frames()), ("bins", bins)] {
        if found == 0 {
            return Err(TrajectoryError::TooFew { what, points, needed: 1, found });
        }
    }
    if !(reach.is_finite() && reach > 0.0) {
        return Err(TrajectoryError::Value { what: "the reach", value: reach, expected: "more than 0 Å" });
    }
    let width = reach / bins as f64;
    let mut counts = vec![0_u64; bins];
    let mut volume = 0.0;
    for t in 0..trajectory.frames() {
        let frame = trajectory.frame(t);
        let image = match trajectory.cells().get(t) {
            None => None,
            Some(cell) => {
                let image = cell.minimum_image().filter(|image| image.reach() >= reach);
                volume += cell.volume();
                Some(image.ok_or(TrajectoryError::Value {
                    what: "the reach",
                    value: reach,
                    expected: "at most half the smallest height of the cell",
                })?)
            }
        };
        for (a, b) in &pairs {
            let distance = match &image {
                None => distance(frame[*a], frame[*b]),
                Some(image) => {
                    let difference = [0, 1, 2].map(|k| f64::from(frame[*b][k]) - f64::from(frame[*a][k]));
                    image.squared_distance(difference).sqrt()
                }
            };
            if let Some(count) = counts.get_mut((distance / width) as usize) {
                *count += 1;
            }
        }
    }
    let frames = trajectory.frames() as f64;
    let all = pairs.len() as f64 * frames;
    let g = (!trajectory.cells().is_empty()).then(|| {
        let density = all / (volume / frames);
        let shell = |bin: usize| {
            4.0 / 3.0 * std::f64::consts::PI * width.powi(3) * ((bin + 1).pow(3) - bin.pow(3)) as f64
        };
        counts.iter().enumerate().map(|(bin, count)| *count as f64 / (density * shell(bin))).collect()
    });
    Ok(RadialDistribution {
        radii: (0..bins).map(|bin| (bin as f64 + 0.5) * width).collect(),
        density: counts.iter().map(|count| *count as f64 / (all * width)).collect(),
        g,
    })
}

#[cfg(test)]
mod tests {
    use equidrift_graph::random::Random;

    use super::*;
    use crate::cell::Cell;
    use crate::topology::Topology;
    use crate::trajectory::Frame;

    #[test]
    fn points_at_random_have_no_structure() {
        let mut random = Random::keyed(3, &[]);
        let mut trajectory = Trajectory::new(Topology::unknown(100));
        let cell = Some(Cell::orthorhombic(10.0, 12.0, 14.0));
        for _ in 0..40 {
            let positions =
                (0..100).map(|_| [10.0, 12.0, 14.0].map(|side| (side * random.uniform()) as f32)).collect();
            trajectory.push(&Frame { time: None, cell, positions }).unwrap();
        }
        let all: Vec<usize> = (0..100).collect();
        let distribution = radial_distribution(&trajectory, &all, &all, 5.0, 10).unwrap();
        // 40 · 100 · 99 / 2 pairs; the second bin holds about 430 of them, the last 17,000.
        let g = distribution.g.unwrap();
        assert!((g[1] - 1.0).abs() < 0.25 && g[5..].iter().all(|g| (g - 1.0).abs() < 0.06), "{g:?}");
        let within: f64 = distribution.density.iter().map(|density| density * 0.5).sum();
        assert!((within - 4.0 / 3.0 * std::f64::consts::PI * 125.0 / 1680.0).abs() < 0.01);
        assert!(radial_distribution(&trajectory, &all, &all, 5.1, 10).is_err());
    }

    #[test]
    fn a_crystal_has_its_neighbours() {
        // Simple cubic, 4³ points at distance 1: 6 neighbours at 1, 12 at √2, 8 at √3.
        let positions: Vec<[f32; 3]> =
            (0..64).map(|n| [n % 4, n / 4 % 4, n / 16].map(|k| k as f32)).collect();
        let mut trajectory = Trajectory::new(Topology::unknown(64));
        let cell = Some(Cell::orthorhombic(4.0, 4.0, 4.0));
        trajectory.push(&Frame { time: None, cell, positions }).unwrap();
        let all: Vec<usize> = (0..64).collect();
        let distribution = radial_distribution(&trajectory, &all, &all, 1.9, 19).unwrap();
        let neighbours: Vec<f64> = distribution.density.iter().map(|density| density * 0.1 * 63.0).collect();
        for (bin, expected) in [(10, 6.0), (14, 12.0), (17, 8.0)] {
            assert!((neighbours[bin] - expected).abs() < 1e-9, "{neighbours:?}");
        }
        // The number of neighbours is the integral of g times the density.
        let g = distribution.g.unwrap();
        let shell = 4.0 / 3.0 * std::f64::consts::PI * (1.1_f64.powi(3) - 1.0);
        assert!((g[10] * shell * 63.0 / 64.0 - 6.0).abs() < 1e-9);
    }
}
