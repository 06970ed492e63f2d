//! A model from a file of molecules or graphs in one call.

use std::path::{Path, PathBuf};

use equidrift_gdss::Task;
use equidrift_graph::{Graph, ReadOptions};
use equidrift_molecule::GeneratedMolecule;
use equidrift_train::{EpochReport, read_log};
use serde_json::{Value, json};

use crate::error::Error;
use crate::generate::{Generator, GraphGenerator};
use crate::graph_input::GraphInput;
use crate::request::GenerateRequest;
use crate::training::prepared;
use crate::training::settings::TrainingSettings;
use crate::training::{TrainRequest, TrainSummary, TrainingWatcher, train_graphs, train_molecules};

/// How a model is to be fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct FitOptions {
    /// Passes over the data.
    pub epochs: u64,
    /// Examples per step; `None` takes 1,024, or a sixteenth of the data if that is less.
    pub batch: Option<usize>,
    /// Share of the data that are held out, so that the loss on them is in the log.
    pub validation_fraction: f64,
    /// Validations without improvement after which the fit ends; the best model is kept. 0 fits all epochs.
    pub patience: u64,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Published settings to start from: one of [`crate::training::PRESETS`] or [`crate::training::GRAPH_PRESETS`].
    pub preset: Option<String>,
    /// Further settings, under their names in `training.toml`. They win over the fields above.
    pub settings: Value,
    /// The run folder; a temporary one, which goes with the model, if there is none.
    pub output: Option<PathBuf>,
    /// Continue the run that is in `output`.
    pub resume: bool,
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            epochs: 100,
            batch: None,
            validation_fraction: 0.0,
            patience: 0,
            seed: 42,
            preset: None,
            settings: json!({}),
            output: None,
            resume: false,
        }
    }
}

/// A model that was fitted, in its folder.
#[derive(Debug)]
pub struct FittedModel {
    folder: PathBuf,
    /// Removes the folder at the end, if it is a temporary one.
    _temporary: Option<tempfile::TempDir>,
    summary: TrainSummary,
    seed: u64,
}

/// Fits a GDSS model to a file of SMILES, one molecule a line, `.gz` or not.
///
/// ```no_run
/// use equidrift::{FitOptions, fit_molecules};
///
/// let model = fit_molecules("mine.smi", FitOptions { epochs: 10, ..Default::default() })?;
/// for molecule in model.generate(100)? {
///     println!("{}", molecule.smiles);
/// }
/// model.save("my-model")?;
/// # Ok::<(), equidrift::Error>(())
/// ```
///
/// # Errors
/// As [`train_molecules`]: bad data, settings out of range, an output folder that is in use.
pub fn fit_molecules(data: impl AsRef<Path>, options: FitOptions) -> Result<FittedModel, Error> {
    fit_molecules_watched(data, options, &mut Unwatched, &|| false)
}

struct Unwatched;

impl TrainingWatcher for Unwatched {}

/// [`fit_molecules`] with someone who watches, and a way to stop; a model that was stopped is as far as it got.
///
/// # Errors
/// As [`fit_molecules`].
pub fn fit_molecules_watched(
    data: impl AsRef<Path>,
    options: FitOptions,
    watcher: &mut dyn TrainingWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<FittedModel, Error> {
    fit(Task::Molecules, data.as_ref(), options, watcher, stop)
}

/// Fits a GDSS model to a file of graphs (`.json`, `.jsonl`, `.graphml`, `.edgelist`), or a part of one, `FILE:PART`.
///
/// ```no_run
/// use equidrift::{FitOptions, fit_graphs};
///
/// let model = fit_graphs("mine.json", FitOptions { epochs: 500, ..Default::default() })?;
/// for graph in model.generate_graphs(20)? {
///     println!("{} nodes, {} edges", graph.node_count(), graph.edge_count());
/// }
/// # Ok::<(), equidrift::Error>(())
/// ```
///
/// # Errors
/// As [`train_graphs`]: bad data, settings out of range, an output folder that is in use.
pub fn fit_graphs(data: impl AsRef<Path>, options: FitOptions) -> Result<FittedModel, Error> {
    fit_graphs_watched(data, options, &mut Unwatched, &|| false)
}

/// [`fit_graphs`] with someone who watches, and a way to stop; a model that was stopped is as far as it got.
///
/// # Errors
/// As [`fit_graphs`].
pub fn fit_graphs_watched(
    data: impl AsRef<Path>,
    options: FitOptions,
    watcher: &mut dyn TrainingWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<FittedModel, Error> {
    fit(Task::Graphs, data.as_ref(), options, watcher, stop)
}

fn fit(
    task: Task,
    data: &Path,
    options: FitOptions,
    watcher: &mut dyn TrainingWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<FittedModel, Error> {
    let FitOptions { epochs, validation_fraction, patience, seed, .. } = options;
    let mut table = json!({
        "epochs": epochs,
        "seed": seed,
        "validation": {"fraction": validation_fraction, "patience": patience},
        // Averaged weights sample better than those of any single step.
        "weights": "ema",
        "keep": if patience > 0 { "best" } else { "last" },
    });
    table["batch"] = match options.batch {
        Some(batch) => json!(batch),
        // Small sets need small batches: a fit should take some steps an epoch.
        None => json!((examples(task, data)? / 16).clamp(1, 1024)),
    };
    let (preset, tables) = (options.preset.as_deref(), [table, options.settings]);
    let settings = match task {
        Task::Molecules => TrainingSettings::merge(preset, &tables)?,
        Task::Graphs => TrainingSettings::merge_for_graphs(preset, &tables)?,
    };
    let seed = settings.seed;
    let (folder, temporary) = folder_for(options.output)?;
    let request = TrainRequest {
        data: data.to_owned(),
        output: folder.clone(),
        test_rows: None,
        split: None,
        resume: options.resume,
        settings,
    };
    let summary = match task {
        Task::Molecules => train_molecules(&request, watcher, stop)?,
        Task::Graphs => train_graphs(&request, watcher, stop)?,
    };
    // A relative name might be that of an embedded model.
    let folder = folder.canonicalize().map_err(|source| Error::Read { path: folder, source })?;
    Ok(FittedModel { folder, _temporary: temporary, summary, seed })
}

/// The folder that is asked for, or a temporary one.
pub(super) fn folder_for(output: Option<PathBuf>) -> Result<(PathBuf, Option<tempfile::TempDir>), Error> {
    if let Some(folder) = output {
        return Ok((folder, None));
    }
    let temporary = tempfile::Builder::new().prefix("equidrift-fit-").tempdir();
    let temporary = temporary.map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}

/// Lines of a SMILES file, molecules of a prepared data set, or graphs.
fn examples(task: Task, path: &Path) -> Result<usize, Error> {
    Ok(match task {
        Task::Molecules => match prepared::canonical(path)? {
            Some(molecules) => molecules.len(),
            None => equidrift_molecule::SmilesLines::open(path)?.count(),
        },
        Task::Graphs => GraphInput::of_path(path).open(ReadOptions::default())?.count(),
    })
}

impl FittedModel {
    /// Draws `num` molecules with the model's own sampler.
    ///
    /// # Errors
    /// Where sampling fails, or the model is one of graphs. A sample that is no molecule is no error: its SMILES is empty.
    pub fn generate(&self, num: u64) -> Result<Vec<GeneratedMolecule>, Error> {
        self.generator(&GenerateRequest { num, seed: self.seed, ..GenerateRequest::default() })?.molecules()
    }

    /// Draws `num` graphs with the model's own sampler; one that diverged has no nodes.
    ///
    /// # Errors
    /// Where sampling fails, or the model is one of molecules.
    pub fn generate_graphs(&self, num: u64) -> Result<Vec<Graph>, Error> {
        self.graph_generator(&GenerateRequest { num, seed: self.seed, ..GenerateRequest::default() })?
            .graphs()
    }

    /// A generator for a request; whatever model it names, this one is taken.
    ///
    /// # Errors
    /// As [`Generator::open`].
    pub fn generator(&self, request: &GenerateRequest) -> Result<Generator, Error> {
        Generator::open(&self.request(request))
    }

    /// The same for graphs.
    ///
    /// # Errors
    /// As [`GraphGenerator::open`].
    pub fn graph_generator(&self, request: &GenerateRequest) -> Result<GraphGenerator, Error> {
        GraphGenerator::open(&self.request(request))
    }

    fn request(&self, request: &GenerateRequest) -> GenerateRequest {
        GenerateRequest { model: self.folder.display().to_string(), ..request.clone() }
    }

    /// The run folder, which is a model folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How the fit ended.
    pub fn summary(&self) -> &TrainSummary {
        &self.summary
    }

    /// Losses, learning rate and whatever else was measured, epoch by epoch.
    ///
    /// # Errors
    /// A log that is gone or was altered.
    pub fn log(&self) -> Result<Vec<EpochReport>, Error> {
        Ok(read_log(&self.folder.join("log.jsonl"))?)
    }

    /// Writes the model, without checkpoints and log, to a folder of its own.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        Ok(equidrift_gdss::GdssModel::open(&self.folder)?.write(folder, &[])?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MOLECULES: &str = "CCO\nCC(C)=O\nC1CC1\nN#CC\nOC=O\nCC#C\nFCC\nCNC\n";

    /// Narrow networks and few steps of sampling, so that a fit takes no time.
    fn small() -> Value {
        json!({
            "steps": 10,
            "sampler": {"snr": 0.02},
            "networks": {
                "x": {"nhid": 8},
                "adj": {"nhid": 8, "adim": 8, "num_layers": 2, "c_hid": 4, "c_final": 2}
            }
        })
    }

    #[test]
    fn a_fit_gives_a_model_that_generates_and_can_be_saved() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("mine.smi");
        fs::write(&data, MOLECULES.repeat(8)).unwrap();
        let options = FitOptions { epochs: 3, settings: small(), ..Default::default() };
        let model = fit_molecules(&data, options.clone()).unwrap();
        assert!(model.summary().finished && model.folder().join("config.json").exists());
        let log = model.log().unwrap();
        assert_eq!((log.len(), log[2].steps), (3, 48), "64 molecules, four at a time");
        let molecules = model.generate(6).unwrap();
        assert_eq!(molecules.len(), 6);
        model.save(place.path().join("saved")).unwrap();
        let request = GenerateRequest {
            num: 6,
            seed: 42,
            model: place.path().join("saved").display().to_string(),
            ..GenerateRequest::default()
        };
        let again = Generator::open(&request).unwrap().molecules().unwrap();
        let smiles = |set: &[GeneratedMolecule]| set.iter().map(|m| m.smiles.clone()).collect::<Vec<_>>();
        assert_eq!(smiles(&again), smiles(&molecules));
        let folder = model.folder().to_owned();
        drop(model);
        assert!(!folder.exists(), "temporary");

        // In a folder of the user's, with a validation that ends it, and continued.
        let output = Some(place.path().join("run"));
        let options = FitOptions { validation_fraction: 0.25, patience: 50, output, ..options };
        let model = fit_molecules(&data, options.clone()).unwrap();
        assert!(model.log().unwrap().iter().all(|report| report.validation.is_some()));
        assert!(fit_molecules(&data, options.clone()).is_err(), "in use");
        let model = fit_molecules(&data, FitOptions { epochs: 5, resume: true, ..options }).unwrap();
        assert_eq!((model.summary().epochs, model.log().unwrap().len()), (5, 5));
        assert!(model.summary().best_epoch.is_some());
        let error = fit_molecules(place.path().join("none.smi"), FitOptions::default()).unwrap_err();
        assert!(error.to_string().contains("none.smi"), "{error}");
    }

    #[test]
    fn a_fit_to_graphs_gives_graphs_like_them() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("paths.jsonl");
        // Paths of 3 to 6 nodes.
        let line = |nodes: usize| {
            let edges: Vec<String> = (1..nodes).map(|node| format!("[{},{node}]", node - 1)).collect();
            format!("{{\"n\": {nodes}, \"edges\": [{}]}}\n", edges.join(","))
        };
        fs::write(&data, (0..40).map(|k| line(3 + k % 4)).collect::<String>()).unwrap();
        let mut settings = small();
        settings["sampling"] = json!({
            "every": 2, "num": 12, "steps": 10, "reference": data.display().to_string()
        });
        let options = FitOptions { epochs: 4, validation_fraction: 0.2, settings, ..Default::default() };
        let model = fit_graphs(&data, options.clone()).unwrap();
        let config: Value =
            serde_json::from_str(&fs::read_to_string(model.folder().join("config.json")).unwrap()).unwrap();
        assert_eq!(
            (&config["task"], &config["networks"]["x"]["max_feat_num"]),
            (&json!("graphs"), &json!(3))
        );
        assert_eq!(config["vocabulary"], Value::Null);
        let log = model.log().unwrap();
        assert!(log.iter().all(|report| report.validation.is_some()));
        for figure in
            ["mean_nodes", "connectedness", "degree_mmd", "orbit_mmd", "spectral_mmd", "clustering_mmd"]
        {
            assert!(log[1].metrics.contains_key(figure) && !log[0].metrics.contains_key(figure), "{figure}");
        }
        let graphs = model.generate_graphs(15).unwrap();
        assert_eq!(graphs.len(), 15);
        assert!(graphs.iter().all(|graph| (1..=6).contains(&graph.node_count())));
        assert!(model.generate(3).is_err(), "no model of molecules");
        let chemnet = json!({"sampling": {"every": 1, "chemnet": "x.npz"}});
        let error = fit_graphs(&data, FitOptions { settings: chemnet, ..options.clone() }).unwrap_err();
        assert!(error.to_string().contains("chemnet"), "{error}");
        let error =
            fit_graphs(&data, FitOptions { settings: json!({"atoms": ["C"]}), ..options }).unwrap_err();
        assert!(error.to_string().contains("atoms"), "{error}");
    }
}
