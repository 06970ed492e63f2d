//! Many samples reduced to few by clustering their end points, as GeoTDM and EqMotion do for pedestrians: 60 samples of a
//! track, k-means with 20 centres, for each centre the sample whose end point is nearest.

use equidrift_graph::random::Random;

use super::displacement::{Displacement, displacement};
use crate::error::TrajectoryError;

/// Rounds of k-means; it stops earlier when nothing changes.
const MOST_ROUNDS: usize = 100;

type Point = [f32; 2];

fn squared_distance(a: Point, b: Point) -> f64 {
    (f64::from(a[0]) - f64::from(b[0])).powi(2) + (f64::from(a[1]) - f64::from(b[1])).powi(2)
}

fn nearest(point: Point, among: &[Point]) -> usize {
    let nearer = |a: &usize, b: &usize| {
        squared_distance(point, among[*a]).total_cmp(&squared_distance(point, among[*b]))
    };
    (0..among.len()).min_by(nearer).unwrap_or(0)
}

/// Centres of `count` clusters (Lloyd 1982), beginning with points of the set chosen at random without repeats. The result
/// is a function of the points, the seed and `track`, a number that keeps the tracks of a set apart.
///
/// # Errors
/// [`TrajectoryError::TooFew`] if there are fewer points than clusters, or no cluster.
pub fn k_means(points: &[Point], count: usize, seed: u64, track: u64) -> Result<Vec<Point>, TrajectoryError> {
    if count == 0 || points.len() < count {
        let (points, needed, found) =
            if count == 0 { ("clusters", 1, 0) } else { ("points", count, points.len()) };
        return Err(TrajectoryError::TooFew { what: "k-means", points, needed, found });
    }
    let mut order: Vec<usize> = (0..points.len()).collect();
    Random::keyed(seed, &[track]).shuffle(&mut order);
    let mut centres: Vec<Point> = order[..count].iter().map(|place| points[*place]).collect();
    for _ in 0..MOST_ROUNDS {
        let mut sums = vec![([0.0_f64; 2], 0.0_f64); count];
        for point in points {
            let (sum, members) = &mut sums[nearest(*point, &centres)];
            sum.iter_mut().zip(point).for_each(|(sum, value)| *sum += f64::from(*value));
            *members += 1.0;
        }
        let moved: Vec<Point> = sums
            .iter()
            .zip(&centres)
            // A cluster that lost all its points stays where it is.
            .map(
                |((sum, members), old)| {
                    if *members > 0.0 { sum.map(|sum| (sum / members) as f32) } else { *old }
                },
            )
            .collect();
        if moved == centres {
            break;
        }
        centres = moved;
    }
    Ok(centres)
}

/// For each centre the sample whose end point is nearest; a sample may be chosen more than once.
///
/// # Errors
/// [`TrajectoryError::TooFew`] without samples.
pub fn nearest_samples(ends: &[Point], centres: &[Point]) -> Result<Vec<usize>, TrajectoryError> {
    if ends.is_empty() {
        return Err(TrajectoryError::TooFew {
            what: "a choice of samples",
            points: "samples",
            needed: 1,
            found: 0,
        });
    }
    Ok(centres.iter().map(|centre| nearest(*centre, ends)).collect())
}

/// Smallest ADE and smallest FDE among the chosen samples of one track, `[T]` each.
///
/// # Errors
/// [`TrajectoryError::TooFew`] without chosen samples, those of [`displacement`].
pub fn best_of(
    samples: &[Vec<Point>],
    chosen: &[usize],
    truth: &[Point],
) -> Result<Displacement, TrajectoryError> {
    let mut best = Displacement { ade: f64::INFINITY, fde: f64::INFINITY };
    for sample in chosen {
        let chosen = samples.get(*sample).ok_or(TrajectoryError::Count {
            what: "samples, one of which was chosen",
            expected: sample + 1,
            found: samples.len(),
        })?;
        let error = displacement(chosen, truth, 1)?;
        best = Displacement { ade: best.ade.min(error.ade), fde: best.fde.min(error.fde) };
    }
    if best.ade.is_finite() {
        Ok(best)
    } else {
        Err(TrajectoryError::TooFew {
            what: "the best sample",
            points: "chosen samples",
            needed: 1,
            found: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_that_lie_apart_are_found() {
        let corners = [[0.0_f32, 0.0], [10.0, 0.0], [0.0, 10.0]];
        let points: Vec<Point> = (0..30)
            .map(|k| {
                let corner = corners[k % 3];
                [corner[0] + (k / 3) as f32 * 0.01, corner[1]]
            })
            .collect();
        // From some starts Lloyd's rounds end in a worse place; the best of a few seeds is right.
        let error = |centres: &[Point]| -> f64 {
            points.iter().map(|point| squared_distance(*point, centres[nearest(*point, centres)])).sum()
        };
        let best = (0..10)
            .map(|seed| k_means(&points, 3, seed, 0).unwrap())
            .min_by(|a, b| error(a).total_cmp(&error(b)))
            .unwrap();
        assert!(error(&best) < 0.03, "{best:?}");
        assert_eq!(k_means(&points, 3, 4, 9).unwrap(), k_means(&points, 3, 4, 9).unwrap());
        assert!(k_means(&points, 31, 0, 0).is_err() && k_means(&points, 0, 0, 0).is_err());
        let chosen = nearest_samples(&points, &corners).unwrap();
        assert_eq!(chosen, [0, 1, 2]);
        assert!(nearest_samples(&[], &corners).is_err() && best_of(&[], &[], &[]).is_err());
    }
}
