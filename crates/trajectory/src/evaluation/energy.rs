//! Energy of N-body motions of which only positions are known.

use equidrift_graph::mmd::Estimate;
use serde::Serialize;

use super::resampling::{Blocks, Resampling, median};
use crate::error::TrajectoryError;
use crate::nbody::{System, energy_drift, kinetic_energy};
use crate::trajectory::Trajectory;

/// Largest departures of the energy from its first value, relative to that: the median over windows or samples, for half of the
/// charged runs come so near to one another that their energy jumps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnergyDrifts {
    /// Which forces act.
    pub system: System,
    /// Of the true motion, measured in the same way: what the way of measuring and the simulator contribute.
    pub reference: Estimate,
    /// By name of the row.
    pub rows: Vec<(String, Estimate)>,
}

/// Total energies of all frames but the first and the last, whose velocities are central differences: `step` is the time from
/// frame to frame, `strengths` are [`crate::nbody::Run::interactions`]. Between frames 0.1 apart the difference misses what
/// happens within; compare with the same figure of a true motion.
///
/// # Errors
/// [`TrajectoryError::TooFew`] below three frames.
pub fn energies_of_positions(
    system: System,
    strengths: &[f64],
    trajectory: &Trajectory,
    step: f64,
) -> Result<Vec<f64>, TrajectoryError> {
    let frames = trajectory.frames();
    if frames < 3 {
        let what = "energies from positions alone";
        return Err(TrajectoryError::TooFew { what, points: "frames", needed: 3, found: frames });
    }
    let double = |frame: usize| -> Vec<[f64; 3]> {
        trajectory.frame(frame).iter().map(|point| point.map(f64::from)).collect()
    };
    Ok((1..frames - 1)
        .map(|frame| {
            let (before, now, after) = (double(frame - 1), double(frame), double(frame + 1));
            let velocity = |(after, before): (&[f64; 3], &[f64; 3])| {
                std::array::from_fn(|k| (after[k] - before[k]) / (2.0 * step))
            };
            let velocities: Vec<[f64; 3]> = after.iter().zip(&before).map(velocity).collect();
            kinetic_energy(&velocities) + system.potential_energy(&now, strengths)
        })
        .collect())
}

/// The drift of one motion.
pub(super) fn drift(
    system: System,
    strengths: &[f64],
    trajectory: &Trajectory,
    step: f64,
) -> Result<f64, TrajectoryError> {
    energy_drift(&energies_of_positions(system, strengths, trajectory, step)?)
}

/// The median drift, with its error.
pub(super) fn typical(resampling: Resampling, blocks: &Blocks, drifts: &[f64]) -> Estimate {
    resampling.estimate(blocks, drifts, median)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn two_bodies_on_a_spring() {
        // Mass 1 each, force 0.1 d on each: they swing about their middle with ω² = 0.2.
        let omega = 0.2_f64.sqrt();
        let step = 0.1;
        let coordinates: Vec<f32> = (0..30)
            .flat_map(|t| {
                let x = (omega * step * f64::from(t)).cos() as f32;
                [x, 0.0, 0.0, -x, 0.0, 0.0]
            })
            .collect();
        let motion = Trajectory::from_coordinates(Topology::unknown(2), &coordinates, Some(step)).unwrap();
        let strengths = [0.0, 1.0, 1.0, 0.0];
        let energies = energies_of_positions(System::Springs, &strengths, &motion, step).unwrap();
        // At rest at d = 2: 0.05 · 4.
        assert_eq!(energies.len(), 28);
        assert!(energies.iter().all(|energy| (energy - 0.2).abs() < 2e-4), "{energies:?}");
        assert!(drift(System::Springs, &strengths, &motion, step).unwrap() < 1e-3);
        // Twice as fast is no motion of these springs.
        assert!(drift(System::Springs, &strengths, &motion.strided(2), step).unwrap() > 0.1);
        assert!(drift(System::Springs, &strengths, &motion.window(0, 2), step).is_err());
    }
}
