//! Forecasts: `K` samples of each window beside what really followed, and beside predictions that need no network.

use std::collections::BTreeMap;

use equidrift_graph::mmd::Estimate;
use serde::Serialize;

use super::energy::{EnergyDrifts, drift, typical};
use super::resampling::{Blocks, Resampling, mean};
use super::windows_of_set::{Place, Stretch};
use crate::baselines::{LinearRegression, Sharing, last_velocity, linear_interpolation};
use crate::error::TrajectoryError;
use crate::metrics::{Displacement, displacement};
use crate::sample_set::SampleSet;
use crate::trajectory::Trajectory;

/// What is to be computed.
#[derive(Debug, Clone, Copy)]
pub struct ForecastTask {
    /// Frames given and predicted.
    pub stretch: Stretch,
    /// How standard errors are found.
    pub resampling: Resampling,
}

/// What the baselines need.
#[derive(Debug, Clone, Copy)]
pub struct Baselines<'a> {
    /// Windows for the regression to learn from; without them there is no regression.
    pub training: Option<TrainingWindows<'a>>,
    /// Who has weights of their own.
    pub sharing: Sharing,
}

/// Windows to learn from.
#[derive(Debug, Clone, Copy)]
pub struct TrainingWindows<'a> {
    /// The file.
    pub set: &'a SampleSet,
    /// Places in it.
    pub places: &'a [Place],
    /// Its frames from one frame of a window to the next.
    pub every: usize,
}

/// Errors of forecasts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForecastEvaluation {
    /// How many windows.
    pub windows: usize,
    /// Windows that share no frame with one another, the units of the standard errors.
    pub blocks: usize,
    /// Frames given and predicted.
    #[serde(flatten)]
    pub stretch: Stretch,
    /// Atoms (or bodies) that count.
    pub atoms: usize,
    /// Time from frame to frame of a window, in femtoseconds or units of the simulation, where the reference says it.
    pub time_step: Option<f64>,
    /// Windows that the regression learnt from.
    pub training_windows: usize,
    /// The samples first, if there are any, then their mean, if there are several of a window, then the baselines.
    pub rows: Vec<ForecastRow>,
    /// Only where it is known what acts between the bodies.
    pub energy_drift: Option<EnergyDrifts>,
    /// The windows, ascending.
    #[serde(skip)]
    pub members: Vec<Member>,
}

/// One predictor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForecastRow {
    /// Whose predictions.
    pub name: String,
    /// `K`.
    pub samples_per_window: usize,
    /// Mean over samples and windows.
    pub ade: Estimate,
    /// Likewise.
    pub fde: Estimate,
    /// Mean over windows of the best sample's, where there is more than one.
    pub best_ade: Option<Estimate>,
    /// Likewise; the best sample may be another.
    pub best_fde: Option<Estimate>,
    /// Mean distance in each predicted frame.
    pub by_frame: Vec<f64>,
    /// Of each window, the mean over its samples.
    #[serde(skip)]
    pub of_windows: Vec<Displacement>,
}

/// A window and its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Where its prediction begins in the reference.
    pub place: Place,
    /// Numbers of its samples; none if only baselines are judged.
    pub samples: Vec<usize>,
}

impl ForecastTask {
    /// Which samples belong to which window of the reference. Without an array `window` the samples are in order of the windows,
    /// equally many of each; the windows are `places` if they are given, and else those behind the first given frames of every
    /// run.
    ///
    /// # Errors
    /// [`TrajectoryError::Unfit`] if they are samples of something else, lie outside the reference, or windows have different
    /// numbers of samples.
    pub fn members(
        &self,
        samples: &SampleSet,
        reference: &SampleSet,
        places: Option<&[Place]>,
    ) -> Result<Vec<Member>, TrajectoryError> {
        same_system(samples, reference)?;
        let unfit = |reason: String| TrajectoryError::Unfit { reason };
        let frames = reference.frames() as u64;
        let numbers: Vec<u64> = match (samples.windows(), places) {
            (Some(windows), _) => windows.to_vec(),
            (None, places) => {
                let before = self.stretch.given * self.stretch.every.max(1);
                let first = || (0..reference.samples()).map(|run| Place { run, frame: before }).collect();
                let places = places.map_or_else(first, <[Place]>::to_vec);
                let count = samples.samples();
                if places.is_empty() || !count.is_multiple_of(places.len()) {
                    return Err(unfit(format!(
                        "{} has no array `window`, and {count} samples are no multiple of {} windows",
                        samples.path().display(),
                        places.len()
                    )));
                }
                let each = count / places.len();
                let number = |place: &Place| place.run as u64 * frames + place.frame as u64;
                places.iter().flat_map(|place| vec![number(place); each]).collect()
            }
        };
        let mut groups: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (sample, number) in numbers.into_iter().enumerate() {
            groups.entry(number).or_default().push(sample);
        }
        let count = groups.values().next().map_or(0, Vec::len);
        if let Some((number, other)) = groups.iter().find(|(_, group)| group.len() != count) {
            let found = other.len();
            return Err(unfit(format!(
                "{found} samples of the window at frame {number}, {count} of the first"
            )));
        }
        groups
            .into_iter()
            .map(|(number, samples)| Ok(Member { place: self.stretch.place(reference, number)?, samples }))
            .collect()
    }

    /// Judges samples and baselines on the same windows.
    ///
    /// # Errors
    /// Those of [`displacement()`], of the baselines and of what is read from the sets; [`TrajectoryError::TooFew`] without
    /// windows.
    pub fn evaluate(
        &self,
        samples: Option<&SampleSet>,
        reference: &SampleSet,
        members: Vec<Member>,
        baselines: Baselines<'_>,
    ) -> Result<ForecastEvaluation, TrajectoryError> {
        if members.is_empty() {
            let what = "an evaluation of forecasts";
            return Err(TrajectoryError::TooFew { what, points: "windows", needed: 1, found: 0 });
        }
        let stretch = self.stretch;
        let atoms = reference.atoms();
        let blocks = self.blocks(&members);
        let time_step = reference.time_step().map(|step| step * stretch.every.max(1) as f64);
        let regression = baselines.learn(stretch, atoms)?;
        let mut rows = Vec::new();
        if samples.is_some() {
            rows.push(RowSums::named("samples"));
        }
        // What a set of samples has to say where one forecast is wanted; a single sample says no more.
        let several = members.iter().any(|member| member.samples.len() > 1);
        if several {
            rows.push(RowSums::named("mean of samples"));
        }
        // A velocity needs two given frames.
        let moving = stretch.given >= 2;
        if moving {
            rows.push(RowSums::named("last velocity"));
        }
        if stretch.behind > 0 {
            rows.push(RowSums::named("linear interpolation"));
        }
        if regression.is_some() {
            rows.push(RowSums::named("linear regression"));
        }
        let interactions = samples
            .and_then(SampleSet::interactions)
            .or(reference.interactions())
            .filter(|_| stretch.predicted >= 3);
        let of_samples = samples.is_some_and(|samples| samples.interactions().is_some());
        let mut true_drifts = Vec::new();
        for member in &members {
            let (given, truth) = stretch.cut(reference, member.place);
            let strengths = interactions.map(|interactions| {
                let run = if of_samples { member.samples[0] } else { member.place.run };
                (interactions.system, &interactions.strengths[run][..])
            });
            let energy_drift = |positions: &[[f32; 3]]| -> Result<Option<f64>, TrajectoryError> {
                let (Some((system, strengths)), Some(step)) = (strengths, time_step) else { return Ok(None) };
                let topology = reference.topology().clone();
                let motion = Trajectory::from_coordinates(topology, positions.as_flattened(), None)?;
                drift(system, strengths, &motion, step).map(Some)
            };
            true_drifts.extend(energy_drift(&truth)?);
            let take = |row: &mut RowSums, predictions: &[&[[f32; 3]]]| -> Result<(), TrajectoryError> {
                let energies = predictions.iter().map(|positions| energy_drift(positions));
                row.drifts.extend(mean_of(energies)?);
                row.add(predictions, &truth, atoms)
            };
            let mut next = rows.iter_mut();
            if let Some(samples) = samples {
                let predictions: Vec<&[[f32; 3]]> =
                    member.samples.iter().map(|sample| samples.trajectories()[*sample].positions()).collect();
                next.next().map(|row| take(row, &predictions)).transpose()?;
                if several {
                    // Not a motion: its energy means nothing.
                    let average = average(&predictions);
                    next.next().map(|row| row.add(&[&average], &truth, atoms)).transpose()?;
                }
            }
            if moving {
                let prediction = last_velocity(&given[..stretch.given * atoms], atoms, stretch.predicted)?;
                next.next().map(|row| take(row, &[&prediction])).transpose()?;
            }
            if stretch.behind > 0 {
                let (before, behind) = given.split_at(stretch.given * atoms);
                let prediction = linear_interpolation(before, behind, atoms, stretch.predicted)?;
                next.next().map(|row| take(row, &[&prediction])).transpose()?;
            }
            if let Some(regression) = &regression {
                let prediction = regression.predict(&given, atoms)?;
                next.next().map(|row| take(row, &[&prediction])).transpose()?;
            }
        }
        let energy_drift =
            interactions.filter(|_| !true_drifts.is_empty()).map(|interactions| EnergyDrifts {
                system: interactions.system,
                reference: typical(self.resampling, &blocks, &true_drifts),
                rows: rows
                    .iter()
                    .filter(|row| !row.drifts.is_empty())
                    .map(|row| (row.name.clone(), typical(self.resampling, &blocks, &row.drifts)))
                    .collect(),
            });
        Ok(ForecastEvaluation {
            windows: members.len(),
            blocks: blocks.len(),
            stretch,
            atoms,
            time_step,
            training_windows: baselines.training.map_or(0, |training| training.places.len()),
            rows: rows.into_iter().map(|row| row.finish(self.resampling, &blocks)).collect(),
            energy_drift,
            members,
        })
    }

    /// Windows of a run that may share frames are of one block.
    fn blocks(&self, members: &[Member]) -> Blocks {
        let mut blocks: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
        for (number, member) in members.iter().enumerate() {
            let Place { run, frame } = member.place;
            blocks.entry((run, frame / self.stretch.span().max(1))).or_default().push(number);
        }
        blocks.into_values().collect()
    }
}

impl Baselines<'_> {
    fn learn(&self, stretch: Stretch, atoms: usize) -> Result<Option<LinearRegression>, TrajectoryError> {
        let Some(training) = self.training else { return Ok(None) };
        let stretch = Stretch { every: training.every, ..stretch };
        let mut regression =
            LinearRegression::new(stretch.given + stretch.behind, stretch.predicted, self.sharing, atoms)?;
        for place in training.places {
            let (mut window, predicted) = stretch.cut(training.set, *place);
            window.extend(predicted);
            regression.learn(&window, training.set.atoms())?;
        }
        regression.solve()?;
        Ok(Some(regression))
    }
}

/// That two sets are of the same atoms.
///
/// # Errors
/// [`TrajectoryError::Unfit`].
pub fn same_system(samples: &SampleSet, reference: &SampleSet) -> Result<(), TrajectoryError> {
    let differ = |what: &str, found: String, expected: String| {
        let (samples, reference) = (samples.path().display(), reference.path().display());
        let reason = format!("{samples} has {found} {what}, {reference} {expected}");
        Err(TrajectoryError::Unfit { reason })
    };
    for (what, found, expected) in [
        ("atoms", samples.atoms(), reference.atoms()),
        ("dimensions", samples.dimensions(), reference.dimensions()),
    ] {
        if found != expected {
            return differ(what, found.to_string(), expected.to_string());
        }
    }
    if samples.is_molecule() && reference.is_molecule() {
        let elements = |set: &SampleSet| {
            set.topology().elements().iter().map(|element| element.symbol()).collect::<Vec<_>>().join(" ")
        };
        if samples.topology().elements() != reference.topology().elements() {
            return differ("as elements", elements(samples), elements(reference));
        }
    }
    Ok(())
}

/// The mean of what is there; `None` if nothing is.
fn mean_of(
    values: impl Iterator<Item = Result<Option<f64>, TrajectoryError>>,
) -> Result<Option<f64>, TrajectoryError> {
    let values: Vec<Option<f64>> = values.collect::<Result<_, _>>()?;
    let mut known: Vec<f64> = values.into_iter().flatten().collect();
    Ok((!known.is_empty()).then(|| mean(&mut known)))
}

/// The mean of predictions of equal length, position by position.
fn average(predictions: &[&[[f32; 3]]]) -> Vec<[f32; 3]> {
    let count = predictions.len() as f64;
    let positions = predictions.first().map_or(0, |first| first.len());
    (0..positions)
        .map(|at| {
            let sum =
                |k: usize| predictions.iter().map(|prediction| f64::from(prediction[at][k])).sum::<f64>();
            std::array::from_fn(|k| (sum(k) / count) as f32)
        })
        .collect()
}

/// Errors of a predictor, window by window.
struct RowSums {
    name: String,
    samples: usize,
    mean: Vec<Displacement>,
    best: Vec<Displacement>,
    drifts: Vec<f64>,
    by_frame: Vec<f64>,
}

impl RowSums {
    fn named(name: &str) -> Self {
        let (mean, best, drifts, by_frame) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name: name.to_owned(), samples: 0, mean, best, drifts, by_frame }
    }

    fn add(
        &mut self,
        predictions: &[&[[f32; 3]]],
        truth: &[[f32; 3]],
        atoms: usize,
    ) -> Result<(), TrajectoryError> {
        self.samples = predictions.len();
        self.by_frame.resize(truth.len() / atoms, 0.0);
        let mut errors = Vec::with_capacity(predictions.len());
        for prediction in predictions {
            errors.push(displacement(prediction, truth, atoms)?);
            let frames = prediction.chunks_exact(atoms).zip(truth.chunks_exact(atoms));
            for (sum, (prediction, truth)) in self.by_frame.iter_mut().zip(frames) {
                *sum += displacement(prediction, truth, atoms)?.ade / predictions.len() as f64;
            }
        }
        let count = errors.len() as f64;
        let mean = |field: fn(&Displacement) -> f64| errors.iter().map(field).sum::<f64>() / count;
        let least = |field: fn(&Displacement) -> f64| errors.iter().map(field).fold(f64::INFINITY, f64::min);
        self.mean.push(Displacement { ade: mean(|e| e.ade), fde: mean(|e| e.fde) });
        self.best.push(Displacement { ade: least(|e| e.ade), fde: least(|e| e.fde) });
        Ok(())
    }

    fn finish(self, resampling: Resampling, blocks: &Blocks) -> ForecastRow {
        let estimate = |errors: &[Displacement], field: fn(&Displacement) -> f64| {
            let values: Vec<f64> = errors.iter().map(field).collect();
            resampling.estimate(blocks, &values, mean)
        };
        let best = |field| (self.samples > 1).then(|| estimate(&self.best, field));
        let windows = self.mean.len() as f64;
        ForecastRow {
            samples_per_window: self.samples,
            ade: estimate(&self.mean, |error| error.ade),
            fde: estimate(&self.mean, |error| error.fde),
            best_ade: best(|error| error.ade),
            best_fde: best(|error| error.fde),
            by_frame: self.by_frame.iter().map(|sum| sum / windows).collect(),
            name: self.name,
            of_windows: self.mean,
        }
    }
}
