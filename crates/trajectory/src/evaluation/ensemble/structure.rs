//! Distances of pairs.

use serde::Serialize;

use super::Sets;
use crate::error::TrajectoryError;
use crate::geometry::distance;
use crate::metrics::{RadialDistribution, jensen_shannon, radial_distribution};
use crate::trajectory::Trajectory;

/// Bins of the distribution.
const BINS: usize = 100;
/// Distances that are measured in each set, at most; of larger sets frames at even spacing are taken.
const MOST_DISTANCES: usize = 100_000_000;

/// Probability densities of the distance of a pair of atoms, over all pairs and frames.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RadialComparison {
    /// Jensen-Shannon divergence, bits, 0 to 1; what is out of reach counts as one more bin.
    pub divergence: f64,
    /// Of the reference's second half from its first.
    pub reference_halves: f64,
    /// Middle of each bin, ångström.
    pub radii: Vec<f64>,
    /// 1/Å.
    pub generated: Vec<f64>,
    /// 1/Å.
    pub reference: Vec<f64>,
}

impl Sets<'_> {
    /// `None` for a single atom.
    pub(super) fn radial_distribution(&self) -> Result<Option<RadialComparison>, TrajectoryError> {
        if self.generated[0].atoms() < 2 {
            return Ok(None);
        }
        let [generated, reference, first, second] =
            [self.generated, &self.reference, &self.halves[0], &self.halves[1]].map(pooled);
        let (generated, reference) = (generated?, reference?);
        let reach = reach(&reference, &generated);
        let of = |set: &Trajectory| {
            let atoms: Vec<usize> = (0..set.atoms()).collect();
            radial_distribution(set, &atoms, &atoms, reach, BINS)
        };
        let (found, expected) = (of(&generated)?, of(&reference)?);
        let divergence = |a: &RadialDistribution, b: &RadialDistribution| {
            let [a, b] = [a, b].map(|one| {
                let mut masses: Vec<f64> =
                    one.density.iter().map(|density| density * reach / BINS as f64).collect();
                let outside = 1.0 - masses.iter().sum::<f64>();
                masses.push(outside.max(0.0));
                masses
            });
            jensen_shannon(&a, &b)
        };
        let (first, second) = (first?, second?);
        let reference_halves = if first.frames() > 0 && second.frames() > 0 {
            divergence(&of(&first)?, &of(&second)?)?
        } else {
            0.0
        };
        Ok(Some(RadialComparison {
            divergence: divergence(&expected, &found)?,
            reference_halves,
            radii: expected.radii,
            generated: found.density,
            reference: expected.density,
        }))
    }
}

/// All frames as one trajectory, thinned where there are very many distances.
fn pooled(set: &[Trajectory]) -> Result<Trajectory, TrajectoryError> {
    let Some(first) = set.first() else { return Ok(Trajectory::default()) };
    let frames: usize = set.iter().map(Trajectory::frames).sum();
    let distances = frames.saturating_mul(first.atoms() * first.atoms());
    let stride = distances.div_ceil(MOST_DISTANCES).max(1);
    let mut all = Trajectory::new(first.topology().clone());
    let places = set.iter().flat_map(|run| (0..run.frames()).map(move |frame| (run, frame)));
    for (run, frame) in places.step_by(stride) {
        all.push(&run.owned_frame(frame))?;
    }
    Ok(all)
}

/// A little more than the longest distance of the reference, as far as cells allow.
fn reach(reference: &Trajectory, generated: &Trajectory) -> f64 {
    let mut longest = 0.0_f64;
    for frame in (0..reference.frames()).map(|t| reference.frame(t)) {
        for (i, a) in frame.iter().enumerate() {
            longest = frame[..i].iter().map(|b| distance(*a, *b)).fold(longest, f64::max);
        }
    }
    let cells = reference.cells().iter().chain(generated.cells());
    let allowed = cells.filter_map(|cell| Some(cell.minimum_image()?.reach())).fold(f64::INFINITY, f64::min);
    (1.05 * longest).max(1e-3).min(allowed)
}
