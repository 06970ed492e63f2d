//! A map of two torsions: free energy, basins, memory.

use serde::Serialize;

use super::Sets;
use crate::error::TrajectoryError;
use crate::evaluation::backbone::PhiPsi;
use crate::metrics::{TorsionMap, decorrelation_time, torsion_autocorrelation_of_set};
use crate::trajectory::Trajectory;

/// Bins of each angle: 10° each.
const BINS: usize = 36;

/// The basins of a backbone.
pub const BASINS: [&str; 3] = ["extended and PII", "right-handed helix", "phi above 0"];

/// Which of [`BASINS`] holds these angles, in degrees.
fn basin(phi: f64, psi: f64) -> &'static str {
    match (phi < 0.0, (-150.0..50.0).contains(&psi)) {
        (true, false) => BASINS[0],
        (true, true) => BASINS[1],
        (false, _) => BASINS[2],
    }
}

/// Maps of both sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MapComparison {
    /// The two torsions.
    pub torsions: PhiPsi,
    /// Jensen-Shannon divergence of the maps (10° squares), bits, 0 to 1.
    pub divergence: f64,
    /// Of the reference's second half from its first.
    pub reference_halves: Option<f64>,
    /// Root mean square difference of the free energies in squares that both sets visited, each square weighing the same,
    /// kcal/mol.
    pub free_energy_difference: Option<f64>,
    /// For the free energies, kelvin.
    pub temperature: f64,
    /// Populations of [`BASINS`]; only where the torsions are a backbone's.
    pub basins: Vec<Basin>,
    /// When the autocorrelation of each torsion falls to 1/e, samples: femtoseconds, or frames where no time is known.
    pub generated_decorrelation: [Option<f64>; 2],
    /// Reference.
    pub reference_decorrelation: [Option<f64>; 2],
    /// Free energies above the fullest square, row by row, the first torsion being the row; infinite where nothing was counted.
    #[serde(skip)]
    pub generated: Vec<f64>,
    /// Likewise.
    #[serde(skip)]
    pub reference: Vec<f64>,
}

/// The populations of a basin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Basin {
    /// Its name.
    pub name: &'static str,
    /// Of the samples, 0 to 1.
    pub generated: f64,
    /// Of the reference.
    pub reference: f64,
    /// Of its halves, if there are two.
    pub reference_halves: Option<[f64; 2]>,
}

impl Sets<'_> {
    pub(super) fn torsion_map(
        &self,
        pair: PhiPsi,
        backbone: bool,
        temperature: f64,
        lags: usize,
        step: Option<f64>,
    ) -> Result<MapComparison, TrajectoryError> {
        let of = |set: &[Trajectory]| -> Result<TorsionMap, TrajectoryError> {
            let mut map = TorsionMap::new(BINS)?;
            set.iter().try_for_each(|run| map.add_trajectory(run, pair))?;
            Ok(map)
        };
        let (generated, reference) = (of(self.generated)?, of(&self.reference)?);
        let halves = [of(&self.halves[0])?, of(&self.halves[1])?];
        let counted = halves.iter().all(|half| half.counts().iter().any(|count| *count > 0));
        let [free, expected] = [&generated, &reference].map(|map| map.free_energy(temperature));
        let lags = lags.min(self.common_frames().saturating_sub(1));
        let memory = |set: &[Trajectory]| {
            pair.map(|torsion| {
                let correlation = torsion_autocorrelation_of_set(set, torsion, lags).ok()?;
                decorrelation_time(&correlation, step.unwrap_or(1.0))
            })
        };
        Ok(MapComparison {
            torsions: pair,
            divergence: reference.divergence(&generated)?,
            reference_halves: counted.then(|| halves[0].divergence(&halves[1])).transpose()?,
            free_energy_difference: root_mean_square(&free, &expected),
            temperature,
            basins: match backbone {
                true => basins(&generated, &reference, counted.then_some(&halves)),
                false => Vec::new(),
            },
            generated_decorrelation: memory(self.generated),
            reference_decorrelation: memory(&self.reference),
            generated: free,
            reference: expected,
        })
    }
}

fn basins(generated: &TorsionMap, reference: &TorsionMap, halves: Option<&[TorsionMap; 2]>) -> Vec<Basin> {
    let of = |name: &'static str| {
        let population =
            |map: &TorsionMap| map.population(|phi, psi| basin(phi.to_degrees(), psi.to_degrees()) == name);
        Basin {
            name,
            generated: population(generated),
            reference: population(reference),
            reference_halves: halves.map(|[first, second]| [population(first), population(second)]),
        }
    };
    BASINS.into_iter().map(of).collect()
}

fn root_mean_square(a: &[f64], b: &[f64]) -> Option<f64> {
    let squares: Vec<f64> = a
        .iter()
        .zip(b)
        .filter(|(a, b)| a.is_finite() && b.is_finite())
        .map(|(a, b)| (a - b).powi(2))
        .collect();
    (!squares.is_empty()).then(|| (squares.iter().sum::<f64>() / squares.len() as f64).sqrt())
}
