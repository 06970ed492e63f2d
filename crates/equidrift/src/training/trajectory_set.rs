//! From a source of trajectories to windows that are trained on, and windows that are held out.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use equidrift_geotdm::{
    Extrapolation, GeotdmError, KindsOfNodes, OwnMolecule, SystemGraph, SystemKind, TrainingExample,
    TrainingExamples, TrajectoryWindows,
};
use equidrift_trajectory::pedestrians::{GIVEN, PREDICTED, Recording, SPAN, Splits};
use equidrift_trajectory::{Part, Windows, nbody};

use crate::error::Error;
use crate::training::held_out::setting;
use crate::training::trajectory_settings::TrajectorySettings;
use crate::trajectories::{MolecularRun, Systems, TrajectorySource};

/// A training set of trajectories with what was found on the way.
pub struct TrajectorySet {
    /// What the systems are.
    pub kind: SystemKind,
    /// Frames that are given.
    pub given: usize,
    /// Those of them behind the made ones.
    pub behind: usize,
    /// Frames that are made.
    pub made: usize,
    /// Femtoseconds from frame to frame, where they are known and the same in all files.
    pub time_step: Option<f64>,
    /// Runs: files, or runs in them; simulations; recordings.
    pub runs: usize,
    /// Fewest and most nodes of a system.
    pub nodes: (usize, usize),
    /// The molecule of which all runs are, if there is one.
    pub molecule: Option<OwnMolecule>,
    /// What tells this data from other data.
    pub sha256: String,
    pub(crate) training: Joined,
    pub(crate) held_out: Joined,
}

impl TrajectorySet {
    /// Reads the source and cuts windows.
    ///
    /// # Errors
    /// A source that cannot be read, frames that are too few for a window, settings that do not fit the data.
    pub fn read(
        source: &TrajectorySource,
        settings: &TrajectorySettings,
        threads: usize,
    ) -> Result<Self, Error> {
        source.check()?;
        let kind = source.kind(settings.edges, settings.atom_features, settings.walkers)?;
        let published = kind.published_frames();
        let unconditional = settings.prior.is_unconditional();
        let given = settings.frames_in.unwrap_or(if unconditional { 0 } else { published.0 });
        let behind = settings.frames_behind.unwrap_or(0);
        let given = given + behind;
        let made = settings.frames_out.unwrap_or(published.1);
        let walkers = matches!(kind, SystemKind::Pedestrians { .. });
        if walkers && ((given, made) != (GIVEN, PREDICTED) || settings.every != 1) {
            return Err(setting(
                "frames_in, frames_out, frames_behind, every: walkers have 8 and 12 frames, every one",
            ));
        }
        if walkers && unconditional {
            return Err(setting("prior: walkers are told in which frames they are given, so some must be"));
        }
        let held_out_runs = settings.validation.runs;
        let systems = source.read(kind, 0..source.runs.saturating_add(held_out_runs), threads)?;
        let mut set = Self {
            kind,
            given,
            behind,
            made,
            time_step: None,
            runs: 0,
            nodes: (usize::MAX, 0),
            molecule: None,
            sha256: source.digest()?,
            training: Joined::default(),
            held_out: Joined::default(),
        };
        match systems {
            Systems::Molecules(runs) => set.add_molecules(runs, settings)?,
            Systems::Bodies(runs) => set.add_bodies(&runs, source.runs as usize, settings.every)?,
            Systems::Walkers(recordings) => set.add_walkers(&recordings, settings)?,
        }
        Ok(set)
    }

    /// Windows that are trained on.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.training.count()
    }

    /// Windows that are held out.
    #[must_use]
    pub fn held_out(&self) -> usize {
        self.held_out.count()
    }

    /// Linear forecasts of the windows that are trained on: one for each environment in molecules, one for all bodies or walkers,
    /// of which none is told apart by what it does.
    ///
    /// # Errors
    /// As [`Extrapolation::fit`].
    pub(crate) fn extrapolation(&self) -> Result<Extrapolation, Error> {
        let (set, given, made) = (&self.training, self.given, self.made);
        let kinds = match self.kind {
            SystemKind::Molecules { .. } => KindsOfNodes::Environments,
            SystemKind::Bodies { .. } | SystemKind::Pedestrians { .. } => KindsOfNodes::All,
        };
        Ok(match self.kind.dimensions() {
            2 => Extrapolation::fit::<2>(set, given, made, kinds)?,
            _ => Extrapolation::fit::<3>(set, given, made, kinds)?,
        })
    }

    fn saw(&mut self, nodes: usize) {
        self.nodes = (self.nodes.0.min(nodes), self.nodes.1.max(nodes));
    }

    /// Time is cut before windows are.
    fn add_molecules(&mut self, runs: Vec<MolecularRun>, settings: &TrajectorySettings) -> Result<(), Error> {
        let step = |run: &MolecularRun| Some(run.trajectory.time_step()? * settings.every as f64);
        self.time_step = runs.first().and_then(step).filter(|first| {
            runs.iter().all(|run| step(run).is_some_and(|step| (step - first).abs() <= 1e-6 * first))
        });
        self.runs = runs.len();
        if let Some(first) = runs.first() {
            let topology = first.trajectory.topology();
            let alone = runs.iter().all(|run| run.trajectory.topology() == topology);
            let positions = first.trajectory.frame(0);
            self.molecule =
                alone.then(|| OwnMolecule { topology: topology.clone(), positions: positions.to_vec() });
        }
        for run in runs {
            let MolecularRun { path, trajectory, graph } = run;
            self.saw(graph.nodes());
            let rule = |most| Windows { every: settings.every, span: self.given + self.made, most };
            let starts = rule(settings.windows).starts(trajectory.frames(), Part::Train);
            if starts.is_empty() {
                let found = trajectory.frames().div_ceil(settings.every) * 3 / 5;
                return Err(Error::TooFewFrames { path, needed: self.given + self.made, found });
            }
            let held = match settings.validation.windows {
                0 => Vec::new(),
                most => rule(most).starts(trajectory.frames(), Part::Validation),
            };
            let rule = rule(settings.windows);
            if !held.is_empty() {
                let windows =
                    TrajectoryWindows::new(graph.clone(), trajectory.clone(), rule, held, self.given)?;
                self.held_out.push(Box::new(windows.with_behind(self.behind)));
            }
            let windows = TrajectoryWindows::new(graph, trajectory, rule, starts, self.given)?;
            self.training.push(Box::new(windows.with_behind(self.behind)));
        }
        Ok(())
    }

    /// The first frames of each run.
    fn add_bodies(&mut self, runs: &[nbody::Run], trained: usize, every: usize) -> Result<(), Error> {
        let span = self.given + self.made;
        self.runs = trained;
        let mut examples = Vec::with_capacity(runs.len());
        for run in runs {
            self.saw(run.bodies());
            let found = run.frames().div_ceil(every);
            if found < span {
                let path = Path::new("simulation").to_owned();
                return Err(Error::TooFewFrames { path, needed: span, found });
            }
            let positions: Vec<f64> =
                (0..span).flat_map(|t| run.positions(t * every).as_flattened().to_vec()).collect();
            let graph = Arc::new(SystemGraph::of_bodies(run)?);
            examples.push(TrainingExample::between(graph, &positions, 3, self.given, self.behind)?);
        }
        let held_out = examples.split_off(trained.min(examples.len()));
        self.training.push(Box::new(examples));
        self.held_out.push(Box::new(held_out));
        Ok(())
    }

    /// Every track of every window before the cut is trained on.
    fn add_walkers(
        &mut self,
        recordings: &[(std::path::PathBuf, Recording)],
        settings: &TrajectorySettings,
    ) -> Result<(), Error> {
        let splits = settings.validation.splits.as_deref().map(Splits::read).transpose()?;
        self.runs = recordings.len();
        let (mut training, mut held_out) = (Vec::new(), Vec::new());
        for (path, recording) in recordings {
            let range = recording.range();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let cut = match &splits {
                None => range.start + (range.end - range.start) * 4 / 5,
                Some(splits) => match splits.recordings.get(name.as_ref()) {
                    Some(split) => split.val_from_frame,
                    None => {
                        let known: BTreeSet<&String> = splits.recordings.keys().collect();
                        return Err(setting(&format!(
                            "validation.splits has no recording {name}, only {known:?}"
                        )));
                    }
                },
            };
            let before = training.len();
            for (frames, into) in [(range.start..cut, &mut training), (cut..range.end, &mut held_out)] {
                for window in recording.windows(frames) {
                    for target in 0..window.tracks.len() {
                        into.push(self.walk(&window.group(target, settings.walkers))?);
                    }
                }
            }
            if training.len() == before {
                let found = (cut - range.start).max(0) as usize;
                return Err(Error::TooFewFrames { path: path.clone(), needed: SPAN, found });
            }
        }
        let stride = match settings.validation.windows {
            0 => {
                held_out.clear();
                1
            }
            most => held_out.len().div_ceil(most).max(1),
        };
        let held_out: Vec<TrainingExample> = held_out.into_iter().step_by(stride).collect();
        self.training.push(Box::new(training));
        self.held_out.push(Box::new(held_out));
        Ok(())
    }

    fn walk(&mut self, group: &[equidrift_trajectory::pedestrians::Track]) -> Result<TrainingExample, Error> {
        self.saw(group.len());
        let positions: Vec<f64> =
            (0..SPAN).flat_map(|t| group.iter().flat_map(move |track| track[t].map(f64::from))).collect();
        let graph = Arc::new(SystemGraph::of_pedestrians(group)?);
        Ok(TrainingExample::of_frames(graph, &positions, 2, self.given)?)
    }
}

/// Sets of examples, one behind the other.
#[derive(Default)]
pub(crate) struct Joined {
    sets: Vec<Box<dyn TrainingExamples + Send>>,
    /// Examples up to the end of each set.
    ends: Vec<usize>,
}

impl Joined {
    fn push(&mut self, set: Box<dyn TrainingExamples + Send>) {
        self.ends.push(self.count() + set.count());
        self.sets.push(set);
    }
}

impl TrainingExamples for Joined {
    fn count(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn example(&self, index: usize) -> Result<TrainingExample, GeotdmError> {
        let place = self.ends.partition_point(|&end| end <= index);
        let Some(set) = self.sets.get(place) else {
            let (what, found) = ("training examples, more than the number of one", self.count());
            return Err(GeotdmError::Count { what, expected: index, found });
        };
        set.example(index - place.checked_sub(1).map_or(0, |before| self.ends[before]))
    }
}
