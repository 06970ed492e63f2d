//! Simulators of the N-body sets of GeoTDM (Han et al., NeurIPS 2024): springs, charged particles (both after Kipf et al.,
//! "Neural relational inference", 2018, in three dimensions) and gravity (after Brandstetter et al. 2022).
//!
//! All masses are 1, and lengths and times have no unit. A run is 5,000 steps of 0.001, one frame kept every 100 steps.
//! Run `k` of a seed is the same whatever other runs are made, and on how many threads.

use std::ops::Range;

use equidrift_graph::random::Random;
use equidrift_graph::threads::map_in_threads;
use serde::{Deserialize, Serialize};

use crate::error::TrajectoryError;
use crate::topology::Topology;
use crate::trajectory::Trajectory;

mod charged;
mod gravity;
mod normal;
mod springs;
mod symplectic_euler;

pub(crate) type Point = [f64; 3];

/// The time step of the integrators.
pub const TIME_STEP: f64 = 0.001;
/// Steps of a run.
pub const STEPS: usize = 5000;
/// Steps from one kept frame to the next.
pub const STEPS_PER_FRAME: usize = 100;
/// More bodies than this are refused: the cost grows with the square.
pub const MOST_BODIES: usize = 1000;

/// Which forces act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum System {
    /// A random half of the pairs is joined by springs.
    Springs,
    /// Charges -1 and +1.
    Charged,
    /// Equal masses.
    Gravity,
}

impl System {
    /// As many bodies as the published sets have.
    #[must_use]
    pub fn usual_bodies(self) -> usize {
        match self {
            Self::Springs | Self::Charged => 5,
            Self::Gravity => 10,
        }
    }

    /// Run `run` of a seed. Cost: O(bodies²) for each of the 5,000 steps.
    ///
    /// # Errors
    /// [`TrajectoryError::TooMany`] above [`MOST_BODIES`], [`TrajectoryError::TooFew`] below two.
    pub fn simulate(self, bodies: usize, seed: u64, run: u64) -> Result<Run, TrajectoryError> {
        if bodies > MOST_BODIES {
            let (found, maximum) = (bodies as u64, MOST_BODIES as u64);
            return Err(TrajectoryError::TooMany { what: "bodies", found, maximum });
        }
        if bodies < 2 {
            return Err(TrajectoryError::TooFew {
                what: "a simulation",
                points: "bodies",
                needed: 2,
                found: bodies,
            });
        }
        // The first word keeps the systems of one seed apart.
        let mut random = Random::keyed(seed, &[self as u64, run]);
        Ok(match self {
            Self::Springs => springs::simulate(bodies, &mut random),
            Self::Charged => charged::simulate(bodies, &mut random),
            Self::Gravity => gravity::simulate(bodies, &mut random),
        })
    }

    /// Several runs of a seed, in order.
    ///
    /// # Errors
    /// As [`System::simulate`].
    pub fn simulate_all(
        self,
        bodies: usize,
        seed: u64,
        runs: Range<u64>,
        threads: usize,
    ) -> Result<Vec<Run>, TrajectoryError> {
        let numbers: Vec<u64> = runs.collect();
        map_in_threads(&numbers, 1, threads, |chunk| self.simulate(bodies, seed, chunk[0]))
            .into_iter()
            .collect()
    }

    /// Potential energy of one frame, for the strengths of [`Run::interactions`].
    #[must_use]
    pub fn potential_energy(self, positions: &[[f64; 3]], interactions: &[f64]) -> f64 {
        let bodies = positions.len();
        let mut energy = 0.0;
        for i in 0..bodies {
            for j in 0..i {
                let square: f64 = (0..3).map(|k| (positions[i][k] - positions[j][k]).powi(2)).sum();
                energy += match self {
                    Self::Springs => springs::pair_energy(interactions[i * bodies + j], square),
                    Self::Charged => charged::pair_energy(interactions[i * bodies + j], square),
                    Self::Gravity => gravity::pair_energy(square),
                };
            }
        }
        energy
    }
}

/// What one run gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    system: System,
    /// `[N]`: the charge (charged), 0 (springs), 1 (gravity).
    node_features: Vec<f64>,
    /// `[N, N]`, symmetric with zero diagonal: the charges' product (charged), 1 for a spring (springs), 0 (gravity).
    interactions: Vec<f64>,
    /// `[T, N]`.
    positions: Vec<Point>,
    /// `[T, N]`.
    velocities: Vec<Point>,
    /// Time of the first frame and from frame to frame.
    clock: (f64, f64),
}

impl Run {
    /// Which forces acted.
    #[must_use]
    pub fn system(&self) -> System {
        self.system
    }

    /// `N`.
    #[must_use]
    pub fn bodies(&self) -> usize {
        self.node_features.len()
    }

    /// `T`: 49 (springs and charged: times 0.1 to 4.9) or 50 (gravity: times 0 to 4.9).
    #[must_use]
    pub fn frames(&self) -> usize {
        self.positions.len() / self.bodies()
    }

    /// Node features of the models, `[N]`: the charge (charged), 0 (springs), 1 (gravity).
    #[must_use]
    pub fn node_features(&self) -> &[f64] {
        &self.node_features
    }

    /// Edge features of the models, `[N, N]` with zero diagonal: the product of the charges (charged), 1 for a spring
    /// (springs), 0 (gravity).
    #[must_use]
    pub fn interactions(&self) -> &[f64] {
        &self.interactions
    }

    /// Positions of one frame, `[N, 3]`.
    ///
    /// # Panics
    /// If there is no such frame.
    #[must_use]
    pub fn positions(&self, frame: usize) -> &[[f64; 3]] {
        &self.positions[frame * self.bodies()..(frame + 1) * self.bodies()]
    }

    /// Velocities of one frame, `[N, 3]`. For springs and charged particles they are those that carried the positions to
    /// where they are, half a step behind.
    ///
    /// # Panics
    /// If there is no such frame.
    #[must_use]
    pub fn velocities(&self, frame: usize) -> &[[f64; 3]] {
        &self.velocities[frame * self.bodies()..(frame + 1) * self.bodies()]
    }

    /// Kinetic and potential energy of a frame. For springs and charged particles the velocities are first moved on by half
    /// a step, to the time of the positions: as they are stored, they would make the energy of a spring swing by 4e-4.
    ///
    /// # Panics
    /// If there is no such frame.
    #[must_use]
    pub fn energy(&self, frame: usize) -> f64 {
        let (positions, interactions) = (self.positions(frame), &self.interactions[..]);
        let mut velocities = self.velocities(frame).to_vec();
        match self.system {
            System::Springs => {
                symplectic_euler::kick(
                    positions,
                    interactions,
                    &mut velocities,
                    TIME_STEP / 2.0,
                    springs::pair_force,
                );
            }
            System::Charged => {
                symplectic_euler::kick(
                    positions,
                    interactions,
                    &mut velocities,
                    TIME_STEP / 2.0,
                    charged::pair_force,
                );
            }
            System::Gravity => {}
        }
        kinetic_energy(&velocities) + self.system.potential_energy(positions, interactions)
    }

    /// Total momentum of a frame.
    ///
    /// # Panics
    /// If there is no such frame.
    #[must_use]
    pub fn momentum(&self, frame: usize) -> [f64; 3] {
        [0, 1, 2].map(|k| self.velocities(frame).iter().map(|velocity| velocity[k]).sum())
    }

    /// As a trajectory of unknown elements; lengths and times keep having no unit, so that a file's ångström and
    /// femtosecond mean one unit of the simulation each.
    #[must_use]
    pub fn trajectory(&self) -> Trajectory {
        let mut trajectory = Trajectory::new(Topology::unknown(self.bodies()));
        for frame in 0..self.frames() {
            let positions =
                self.positions(frame).iter().map(|point| point.map(|value| value as f32)).collect();
            let time = Some(self.clock.0 + frame as f64 * self.clock.1);
            // The number of atoms is the one the trajectory was made for.
            let _ = trajectory.push(&crate::trajectory::Frame { time, cell: None, positions });
        }
        trajectory
    }
}

/// Half the sum of squared velocities.
#[must_use]
pub fn kinetic_energy(velocities: &[[f64; 3]]) -> f64 {
    velocities.as_flattened().iter().map(|component| component * component / 2.0).sum()
}

/// Energies in, largest departure from the first, divided by the first one's magnitude.
///
/// # Errors
/// [`TrajectoryError::TooFew`] without energies.
pub fn energy_drift(energies: &[f64]) -> Result<f64, TrajectoryError> {
    let first = *energies.first().ok_or(TrajectoryError::TooFew {
        what: "energy drift",
        points: "frames",
        needed: 1,
        found: 0,
    })?;
    Ok(energies.iter().map(|energy| (energy - first).abs()).fold(0.0, f64::max) / first.abs())
}
