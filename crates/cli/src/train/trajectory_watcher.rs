//! What people see of a training run over trajectories: what was read, and `training.toml`.

use std::io::Write;

use equidrift::Error;
use equidrift::training::{TrajectorySet, TrajectoryTrainRequest, TrajectoryTrainingWatcher};
use equidrift_backend::atomic::write_atomically;
use equidrift_geotdm::{GeotdmConfig, parameter_shapes};
use equidrift_train::{EpochReport, StepReport};

use super::display::Display;
use super::watcher::count;
use crate::progress;

/// Shows what happens on standard error, and records the settings.
pub(super) struct TrajectoryWatcher<'a> {
    request: &'a TrajectoryTrainRequest,
    pub(super) display: Display,
}

impl<'a> TrajectoryWatcher<'a> {
    pub(super) fn new(request: &'a TrajectoryTrainRequest) -> Self {
        let TrajectoryTrainRequest { source, output, settings, .. } = request;
        match source.simulate {
            Some(_) => progress::note(&format!("simulating {} runs", source.runs)),
            None => {
                source.files.iter().for_each(|path| progress::note(&format!("reading {}", path.display())));
            }
        }
        let name = settings.name.clone();
        let display = Display::new(output.clone(), name, settings.plot, settings.epochs, "trajectories");
        Self { request, display }
    }

    /// Writes `training.toml`: the settings in force and what was found in the data.
    fn record(&self, set: &TrajectorySet) -> Result<(), Error> {
        let path = self.request.output.join("training.toml");
        let write = |source| Error::Write { path: path.clone(), source };
        let no_toml = |error| write(std::io::Error::other(error));
        let settings = toml::to_string(&self.request.settings).map_err(no_toml)?;
        let mut found = toml::Table::try_from(&self.request.source).map_err(no_toml)?;
        if self.request.source.simulate.is_none() {
            found.remove("runs");
            found.remove("simulation_seed");
        }
        let mut insert = |key: &str, value: toml::Value| found.insert(key.to_owned(), value);
        if let Some(init) = &self.request.init {
            insert("init", init.clone().into());
        }
        insert("sha256", set.sha256.clone().into());
        insert("systems", set.kind.name().into());
        insert("frames_given", count(set.given as u64));
        insert("frames_made", count(set.made as u64));
        if let Some(step) = set.time_step {
            insert("time_step_fs", step.into());
        }
        insert("runs_read", count(set.runs as u64));
        insert("windows_trained_on", count(set.windows() as u64));
        insert("windows_held_out", count(set.held_out() as u64));
        insert("max_nodes", count(set.nodes.1 as u64));
        let found =
            toml::to_string(&toml::Table::from_iter([("data".to_owned(), found.into())])).map_err(no_toml)?;
        write_atomically(&path, |file| write!(file, "{settings}\n{found}")).map_err(write)
    }
}

impl TrajectoryTrainingWatcher for TrajectoryWatcher<'_> {
    fn begin(&mut self, set: &TrajectorySet, config: &GeotdmConfig, epochs: u64) -> Result<(), Error> {
        let (fewest, most) = set.nodes;
        let nodes = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        let step = set.time_step.map_or(String::new(), |step| format!(", a frame every {step} fs"));
        progress::note(&format!(
            "training on {} windows of {} runs of {} ({nodes} nodes): {} frames given, {} made{step}",
            set.windows(),
            set.runs,
            set.kind.name(),
            set.given,
            set.made,
        ));
        if set.held_out() > 0 {
            progress::note(&format!("validating with {} windows", set.held_out()));
        }
        let parameters: usize =
            parameter_shapes(&config.network).values().map(|info| info.shape.iter().product::<usize>()).sum();
        progress::note(&format!(
            "{} layers of width {}, {parameters} parameters, {} noise levels",
            config.network.layers,
            config.network.hidden,
            config.diffusion.steps()
        ));
        Display::tell_continued(epochs);
        self.record(set)?;
        let examples = self.request.settings.trainer().examples_per_step();
        self.display.begin(epochs, set.windows().div_ceil(examples) as u64);
        Ok(())
    }

    fn step(&mut self, report: &StepReport) {
        self.display.step(report);
    }

    fn sampling(&mut self, samples: u64) {
        self.display.sampling(samples);
    }

    fn epoch(&mut self, report: &EpochReport, kept: bool) -> Result<(), Error> {
        self.display.epoch(report, kept);
        Ok(())
    }
}
