//! A model of trajectories from a file or a simulation in one call.

use std::path::{Path, PathBuf};

use equidrift_geotdm::GeotdmModel;
use equidrift_trajectory::Trajectory;
use serde_json::{Value, json};

use super::fit::folder_for;
use crate::error::Error;
use crate::generate::TrajectoryGenerator;
use crate::request::GenerateRequest;
use crate::training::training_loop::TrainSummary;
use crate::training::{
    TrajectorySettings, TrajectoryTrainRequest, TrajectoryTrainingWatcher, train_trajectories,
};
use crate::trajectories::{TrajectoryRequest, TrajectorySource};

/// How a model of trajectories is to be fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct TrajectoryFitOptions {
    /// Passes over the windows.
    pub epochs: u64,
    /// Look only at every so many frames of the files.
    pub every: usize,
    /// Seed of everything that is random.
    pub seed: u64,
    /// One of [`crate::training::TRAJECTORY_PRESETS`]; `None` takes the first.
    pub preset: Option<String>,
    /// Further settings, under their names in `training.toml`. They win over the fields above.
    pub settings: Value,
    /// The run folder; a temporary one, which goes with the model, if there is none.
    pub output: Option<PathBuf>,
    /// Continue the run that is in `output`.
    pub resume: bool,
}

impl Default for TrajectoryFitOptions {
    fn default() -> Self {
        let (preset, settings, output) = (None, json!({}), None);
        Self { epochs: 20, every: 1, seed: 42, preset, settings, output, resume: false }
    }
}

/// A model that was fitted, in its folder.
#[derive(Debug)]
pub struct FittedTrajectories {
    folder: PathBuf,
    /// Removes the folder at the end, if it is a temporary one.
    _temporary: Option<tempfile::TempDir>,
    summary: TrainSummary,
    seed: u64,
    every: usize,
}

/// Fits a model that continues trajectories: ten frames given, twenty made, unless the settings say otherwise.
///
/// ```no_run
/// use equidrift::{TrajectoryFitOptions, TrajectorySource, fit_trajectories};
///
/// let ethanol = TrajectorySource::of_file("ethanol.npz");
/// let model = fit_trajectories(&ethanol, TrajectoryFitOptions { every: 5, ..Default::default() })?;
/// for trajectory in model.continued(&ethanol, 5)? {
///     println!("{} frames", trajectory.map_or(0, |trajectory| trajectory.frames()));
/// }
/// model.save("ethanol")?;
/// # Ok::<(), equidrift::Error>(())
/// ```
///
/// # Errors
/// As [`train_trajectories`]: bad data, settings out of range, an output folder that is in use.
pub fn fit_trajectories(
    source: &TrajectorySource,
    options: TrajectoryFitOptions,
) -> Result<FittedTrajectories, Error> {
    fit_trajectories_watched(source, options, &mut Unwatched, &|| false)
}

struct Unwatched;

impl TrajectoryTrainingWatcher for Unwatched {}

/// [`fit_trajectories`] with someone who watches, and a way to stop; a model that was stopped is as far as it got.
///
/// # Errors
/// As [`fit_trajectories`].
pub fn fit_trajectories_watched(
    source: &TrajectorySource,
    options: TrajectoryFitOptions,
    watcher: &mut dyn TrajectoryTrainingWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<FittedTrajectories, Error> {
    let TrajectoryFitOptions { epochs, every, seed, preset, settings, output, resume } = options;
    let table = json!({
        "epochs": epochs,
        "every": every,
        "seed": seed,
    });
    let settings = TrajectorySettings::merge(preset.as_deref(), &[table, settings])?;
    let (seed, every) = (settings.seed, settings.every);
    let (folder, temporary) = folder_for(output)?;
    let request = TrajectoryTrainRequest {
        source: source.clone(),
        output: folder.clone(),
        resume,
        init: None,
        settings,
    };
    let summary = train_trajectories(&request, watcher, stop)?;
    let folder = folder.canonicalize().map_err(|source| Error::Read { path: folder, source })?;
    Ok(FittedTrajectories { folder, _temporary: temporary, summary, seed, every })
}

impl FittedTrajectories {
    /// Draws `num` continuations of the last frames of each file, or of the first frames of each simulated run; `None` for one
    /// that diverged.
    ///
    /// # Errors
    /// As [`TrajectoryGenerator::open`] and [`TrajectoryGenerator::trajectories`].
    pub fn continued(&self, source: &TrajectorySource, num: u64) -> Result<Vec<Option<Trajectory>>, Error> {
        let every = source.simulate.is_none().then_some(self.every);
        let trajectories =
            TrajectoryRequest { source: source.clone(), every, ..TrajectoryRequest::default() };
        let trajectories = Some(trajectories);
        self.generator(&GenerateRequest { num, seed: self.seed, trajectories, ..GenerateRequest::default() })?
            .trajectories()
    }

    /// A generator for a request; whatever model it names, this one is taken.
    ///
    /// # Errors
    /// As [`TrajectoryGenerator::open`].
    pub fn generator(&self, request: &GenerateRequest) -> Result<TrajectoryGenerator, Error> {
        TrajectoryGenerator::open(&GenerateRequest {
            model: self.folder.display().to_string(),
            ..request.clone()
        })
    }

    /// The run folder, which is a model folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How the fit ended.
    #[must_use]
    pub fn summary(&self) -> &TrainSummary {
        &self.summary
    }

    /// Writes the model, without checkpoints and log, to a folder of its own.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        Ok(GeotdmModel::open(&self.folder)?.write(folder, &[])?)
    }
}

#[cfg(test)]
mod tests {
    use equidrift_trajectory::nbody;

    use super::*;

    #[test]
    fn a_fit_gives_a_model_that_continues_and_can_be_saved() {
        let springs = TrajectorySource {
            simulate: Some(nbody::System::Springs),
            runs: 24,
            ..TrajectorySource::default()
        };
        let settings =
            json!({"hidden": 8, "layers": 1, "frames_in": 4, "frames_out": 5, "validation": {"runs": 0}});
        let options = TrajectoryFitOptions { epochs: 2, settings, ..TrajectoryFitOptions::default() };
        let model = fit_trajectories(&springs, options.clone()).unwrap();
        assert!(model.summary().finished && model.folder().join("config.json").exists());
        let few = TrajectorySource { runs: 2, ..springs.clone() };
        let drawn = model.continued(&few, 3).unwrap();
        assert_eq!(drawn.len(), 6);
        assert!(drawn.iter().all(|trajectory| trajectory.as_ref().unwrap().frames() == 5));
        let place = tempfile::tempdir().unwrap();
        model.save(place.path().join("saved")).unwrap();
        let again = GeotdmModel::open(place.path().join("saved")).unwrap();
        assert_eq!(again.config().steps, 20);
        assert_eq!(
            fit_trajectories(&springs, options).unwrap().continued(&few, 3).unwrap(),
            drawn,
            "one seed"
        );
        let bad = TrajectoryFitOptions { settings: json!({"hiden": 8}), ..TrajectoryFitOptions::default() };
        assert!(fit_trajectories(&springs, bad).is_err());
    }
}
