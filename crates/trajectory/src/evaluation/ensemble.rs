//! Ensembles: the distribution of samples beside that of a reference, and, as what a perfect model may be expected to reach,
//! one half of the reference beside the other.

use serde::Serialize;

use super::backbone::{PhiPsi, phi_psi};
use super::energy::drift;
use super::forecast::same_system;
use super::resampling::median;
use super::windows_of_set::thinned;
use crate::error::TrajectoryError;
use crate::geometry::distance;
use crate::metrics::internal_coordinates::ComparedCoordinate;
use crate::metrics::{InternalComparison, InternalCoordinates, marginal};
use crate::nbody::System;
use crate::sample_set::SampleSet;
use crate::topology::Topology;
use crate::trajectory::Trajectory;

mod motion;
mod structure;
mod torsions;

pub use motion::VelocityComparison;
pub use structure::RadialComparison;
pub use torsions::{BASINS, Basin, MapComparison};

/// Atoms nearer than this in the first frame are bonded, where the files name no bonds (GeoTDM), ångström.
const BOND_REACH: f64 = 1.6;

/// What is to be computed.
#[derive(Debug, Clone)]
pub struct EnsembleTask {
    /// Frames of the reference from one frame that is looked at to the next.
    pub every: usize,
    /// The longest lag of autocorrelations, in frames.
    pub lags: usize,
    /// Two torsions to be mapped; those of the backbone, if there is one pair, if `None`.
    pub torsions: Option<PhiPsi>,
    /// For free energies, kelvin.
    pub temperature: f64,
}

/// How far samples and reference are apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnsembleEvaluation {
    /// Samples and frames of each.
    pub generated: Extent,
    /// Of the reference only the frames that are looked at.
    pub reference: Extent,
    /// Time from frame to frame of both, where the reference says it.
    pub time_step: Option<f64>,
    /// GeoTDM's score; `None` where a range is empty.
    pub marginal: Option<MarginalScore>,
    /// Bond lengths, bond angles and torsions; only for molecules.
    pub internal: Option<Internal>,
    /// Distances of all pairs.
    pub radial_distribution: Option<RadialComparison>,
    /// `None` for samples of fewer than three frames.
    pub velocity_autocorrelation: Option<VelocityComparison>,
    /// Of two torsions.
    pub torsion_map: Option<MapComparison>,
    /// Only where it is known what acts between the bodies.
    pub energy_drift: Option<EnsembleDrift>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// Trajectories.
    pub samples: usize,
    /// Frames of each.
    pub frames: usize,
}

/// GeoTDM's marginal score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MarginalScore {
    /// `"bond lengths"` or `"coordinates"` (of centred windows).
    pub of: &'static str,
    /// The mean over components.
    pub score: f64,
    /// Of the reference's second half against its first.
    pub reference_halves: Option<f64>,
    /// One for each bond or coordinate.
    pub components: Vec<f64>,
}

/// Jensen-Shannon divergences, 0 to 1, of each kind of internal coordinate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Internal {
    /// Lengths.
    pub bonds: Option<InternalKind>,
    /// Angles.
    pub angles: Option<InternalKind>,
    /// Torsions.
    pub torsions: Option<InternalKind>,
}

/// One kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InternalKind {
    /// Mean divergence.
    pub mean: f64,
    /// Mean divergence of the reference's second half from its first.
    pub reference_halves: f64,
    /// Each coordinate's.
    pub coordinates: Vec<CoordinateDivergence>,
    /// The histograms.
    #[serde(skip)]
    pub compared: Vec<ComparedCoordinate>,
}

/// One coordinate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoordinateDivergence {
    /// Two, three or four atoms.
    pub atoms: Vec<usize>,
    /// Jensen-Shannon divergence, bits.
    pub divergence: f64,
}

/// Median energy drifts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EnsembleDrift {
    /// Which forces act.
    pub system: System,
    /// Of the samples.
    pub generated: f64,
    /// Of the reference, cut to as many frames; `None` if it does not say what acts.
    pub reference: Option<f64>,
}

/// The two sets and what is compared with what.
struct Sets<'a> {
    generated: &'a [Trajectory],
    reference: Vec<Trajectory>,
    /// First and second half of the reference: of its runs, or of its only run.
    halves: [Vec<Trajectory>; 2],
}

impl EnsembleTask {
    /// Compares samples with a reference.
    ///
    /// # Errors
    /// [`TrajectoryError::Unfit`] if they are of different atoms; those of the metrics.
    pub fn evaluate(
        &self,
        samples: &SampleSet,
        reference: &SampleSet,
    ) -> Result<EnsembleEvaluation, TrajectoryError> {
        same_system(samples, reference)?;
        let generated = samples.trajectories();
        let thinned = thinned(reference, self.every);
        let sets = Sets { generated, halves: halves(&thinned), reference: thinned };
        let time_step = reference.time_step().map(|step| step * self.every.max(1) as f64);
        let topology = bonded(samples, reference);
        let coordinates = InternalCoordinates::of(&topology);
        let backbone = phi_psi(&topology);
        let pair = self.torsions.or_else(|| match backbone[..] {
            [pair] => Some(pair),
            _ => None,
        });
        let extent = |set: &[Trajectory]| Extent {
            samples: set.len(),
            frames: set.first().map_or(0, Trajectory::frames),
        };
        Ok(EnsembleEvaluation {
            generated: extent(generated),
            reference: extent(&sets.reference),
            time_step,
            marginal: marginal_score(&sets, &coordinates.bonds, samples.dimensions())?,
            internal: (!coordinates.bonds.is_empty()).then(|| internal(&sets, &coordinates)).transpose()?,
            radial_distribution: sets.radial_distribution()?,
            velocity_autocorrelation: sets.velocity_autocorrelation(self.lags, time_step)?,
            torsion_map: pair
                .map(|pair| {
                    let (kelvin, lags) = (self.temperature, self.lags);
                    sets.torsion_map(pair, backbone.contains(&pair), kelvin, lags, time_step)
                })
                .transpose()?,
            energy_drift: energy_drift(&sets, samples, reference, time_step)?,
        })
    }
}

fn halves(runs: &[Trajectory]) -> [Vec<Trajectory>; 2] {
    match runs {
        [run] => {
            let middle = run.frames() / 2;
            [vec![run.window(0, middle)], vec![run.window(middle, run.frames())]]
        }
        runs => {
            let (first, second) = runs.split_at(runs.len() / 2);
            [first.to_vec(), second.to_vec()]
        }
    }
}

/// The reference's atoms and bonds, or the samples', or atoms of molecules joined by distance.
fn bonded(samples: &SampleSet, reference: &SampleSet) -> Topology {
    for set in [reference, samples] {
        if !set.topology().bonds().is_empty() {
            let mut topology = set.topology().clone();
            if !set.is_molecule() {
                // Elements may stand in the other file.
                let elements = if set.path() == reference.path() { samples } else { reference };
                let mut with_elements = elements.topology().clone();
                if with_elements.set_bonds(topology.bonds().to_vec()).is_ok() {
                    topology = with_elements;
                }
            }
            return topology;
        }
    }
    let known = if reference.is_molecule() { reference } else { samples };
    let mut topology = known.topology().clone();
    if known.is_molecule() {
        topology.bond_within(reference.trajectories()[0].frame(0), BOND_REACH);
    }
    topology
}

fn internal(sets: &Sets<'_>, coordinates: &InternalCoordinates) -> Result<Internal, TrajectoryError> {
    let found = coordinates.compare(&sets.reference, sets.generated)?;
    let InternalComparison { bonds, angles, torsions } = match &sets.halves {
        [first, second] if first.iter().chain(second).all(|half| half.frames() > 0) => {
            coordinates.compare(first, second)?
        }
        _ => coordinates.compare(&sets.reference, &sets.reference)?,
    };
    let kind = |compared: Vec<ComparedCoordinate>, halves: &[ComparedCoordinate]| {
        Some(InternalKind {
            mean: InternalComparison::mean(&compared)?,
            reference_halves: InternalComparison::mean(halves)?,
            coordinates: compared
                .iter()
                .map(|one| CoordinateDivergence { atoms: one.atoms.clone(), divergence: one.divergence })
                .collect(),
            compared,
        })
    };
    Ok(Internal {
        bonds: kind(found.bonds, &bonds),
        angles: kind(found.angles, &angles),
        torsions: kind(found.torsions, &torsions),
    })
}

fn marginal_score(
    sets: &Sets<'_>,
    bonds: &[[usize; 2]],
    dimensions: usize,
) -> Result<Option<MarginalScore>, TrajectoryError> {
    let frames = sets.generated[0].frames();
    let components = |set: &[Trajectory]| -> Vec<Vec<f32>> {
        if bonds.is_empty() {
            let centred = centred_windows(set, frames);
            let coordinate = |k: usize| {
                let points = centred.iter().flat_map(|window| window.positions());
                points.map(|point| point[k]).collect()
            };
            return (0..dimensions).map(coordinate).collect();
        }
        let length = |[i, j]: [usize; 2]| {
            let frames = set.iter().flat_map(|run| (0..run.frames()).map(|t| run.frame(t)));
            frames.map(|frame| distance(frame[i], frame[j]) as f32).collect()
        };
        bonds.iter().copied().map(length).collect()
    };
    let scores =
        |real: &[Trajectory], generated: &[Trajectory]| -> Result<Option<Vec<f64>>, TrajectoryError> {
            let pairs = components(real).into_iter().zip(components(generated));
            let scores = pairs.map(|(real, generated)| marginal(&real, &generated));
            match scores.collect::<Result<Vec<f64>, _>>() {
                Ok(scores) => Ok(Some(scores)),
                // A coordinate that does not change has no bins.
                Err(TrajectoryError::Value { .. } | TrajectoryError::TooFew { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let Some(found) = scores(&sets.reference, sets.generated)? else { return Ok(None) };
    let [first, second] = &sets.halves;
    Ok(Some(MarginalScore {
        of: if bonds.is_empty() { "coordinates" } else { "bond lengths" },
        score: mean(&found),
        reference_halves: scores(first, second)?.map(|scores| mean(&scores)),
        components: found,
    }))
}

/// Windows of as many frames, each less its mean position: of one run all that do not overlap, of several runs one each at its
/// beginning.
fn centred_windows(set: &[Trajectory], frames: usize) -> Vec<Trajectory> {
    let most = if set.len() > 1 { 1 } else { usize::MAX };
    set.iter()
        .flat_map(|run| {
            (0..(run.frames() / frames.max(1)).min(most)).map(move |window| (run, window * frames))
        })
        .map(|(run, start)| {
            let mut window = run.window(start, start + frames);
            window.centre();
            window
        })
        .collect()
}

fn energy_drift(
    sets: &Sets<'_>,
    samples: &SampleSet,
    reference: &SampleSet,
    step: Option<f64>,
) -> Result<Option<EnsembleDrift>, TrajectoryError> {
    let frames = samples.frames();
    let (Some(acting), Some(step)) = (samples.interactions(), step.or(samples.time_step())) else {
        return Ok(None);
    };
    if frames < 3 {
        return Ok(None);
    }
    let typical = |runs: &[Trajectory], strengths: &[Vec<f64>]| -> Result<f64, TrajectoryError> {
        let drifts = runs
            .iter()
            .zip(strengths)
            .map(|(run, strengths)| drift(acting.system, strengths, &run.window(0, frames), step));
        Ok(median(&mut drifts.collect::<Result<Vec<f64>, _>>()?))
    };
    let known = reference.interactions().filter(|known| known.system == acting.system);
    Ok(Some(EnsembleDrift {
        system: acting.system,
        generated: typical(sets.generated, &acting.strengths)?,
        reference: known.map(|known| typical(&sets.reference, &known.strengths)).transpose()?,
    }))
}
