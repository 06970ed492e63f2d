//! A folder with models of trajectories and files that they work on, and the programme in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use equidrift_backend::weights::HostTensor;
use equidrift_geotdm::{
    AtomFeatures, GeotdmConfig, GeotdmModel, MolecularEdges, NetworkConfig, Prior, SystemKind, Temporal,
    TrajectoryDiffusion, initial_parameters, published_sampler,
};
use equidrift_sampler::path::{BetaSchedule, DiscreteDdpm};
use equidrift_trajectory::nbody::System;
use equidrift_trajectory::{Element, SampleSet, Selection, Topology, Trajectory, WriteOptions, file};
use tempfile::TempDir;

use crate::command::{code, equidrift, stderr};

/// Given and made frames of the models here.
pub(crate) const GIVEN: usize = 3;
pub(crate) const MADE: usize = 4;

/// What is asked of a model of springs.
pub(crate) const SPRINGS: &str = "--simulate springs --runs 3 --simulation-seed 9 --num 4 --seed 7";

/// The samples of a file, one behind the other.
pub(crate) fn joined(path: &Path) -> Trajectory {
    let set = SampleSet::read(path, &Selection::All).unwrap();
    let mut all = Trajectory::new(set.topology().clone());
    for sample in set.trajectories() {
        (0..sample.frames()).for_each(|frame| all.push(&sample.owned_frame(frame)).unwrap());
    }
    all
}

pub(crate) struct Workplace {
    pub(crate) folder: TempDir,
}

impl Workplace {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A model folder with small weights, so that samples stay finite without any training.
    pub(crate) fn model(
        &self,
        name: &str,
        systems: SystemKind,
        prior: Prior,
        time_step: Option<f64>,
    ) -> PathBuf {
        let (node_features, edge_features) = systems.widths();
        let (lengths, counted) = systems.published();
        let walkers = matches!(systems, SystemKind::Pedestrians { .. });
        let frames = if walkers { (8, 12) } else { (GIVEN, MADE) };
        // Little noise, so that what the network does not take away stays small.
        let betas = BetaSchedule::Linear { first: 0.001, last: 0.05 };
        let diffusion = TrajectoryDiffusion { path: DiscreteDdpm::new(25, betas).unwrap(), time_scale: 1.0 };
        let network = NetworkConfig {
            node_features,
            edge_features,
            hidden: 8,
            layers: 2,
            temporal: Temporal::Attention,
            time_features: 4,
            lengths,
            prior,
            extrapolation: None,
        };
        let mut parameters = initial_parameters(&network, 5);
        for tensor in parameters.values_mut() {
            let values = tensor.to_f32().into_iter().map(|value| 0.4 * value).collect();
            *tensor = HostTensor::f32(tensor.shape.clone(), values);
        }
        let config = GeotdmConfig {
            library: "equidrift".to_owned(),
            format_version: 1,
            family: "geotdm".to_owned(),
            name: name.to_owned(),
            network,
            systems: Some(systems),
            molecule: None,
            time_step,
            given_frames: if prior.is_conditional() { frames.0 } else { 0 },
            given_behind: 0,
            frames: frames.1,
            counted,
            sampler: published_sampler(),
            steps: diffusion.steps(),
            diffusion,
            origin: None,
        };
        let path = self.path(name);
        GeotdmModel::new(config, parameters).unwrap().write(&path, &[]).unwrap();
        path
    }

    pub(crate) fn springs(&self) -> PathBuf {
        let learned = Prior::Learned { layers: 1, frames: MADE };
        self.model("springs", SystemKind::Bodies { forces: System::Springs }, learned, None)
    }

    pub(crate) fn molecules(&self) -> PathBuf {
        let kind = SystemKind::Molecules { edges: MolecularEdges::Near, features: AtomFeatures::Charge };
        self.model("molecules", kind, Prior::Learned { layers: 1, frames: MADE }, Some(2.0))
    }

    pub(crate) fn train(&self, output: &str, line: &str) -> Command {
        let mut command = equidrift();
        command.args(["train", "trajectories", "-o"]).arg(self.path(output)).args(line.split_whitespace());
        command.current_dir(self.folder.path());
        command
    }

    pub(crate) fn generate(&self, model: &Path, output: &str, line: &str) -> Output {
        self.command(model, output, line).output().unwrap()
    }

    pub(crate) fn command(&self, model: &Path, output: &str, line: &str) -> Command {
        let mut command = equidrift();
        command.args(["generate", "trajectories", "--model"]).arg(model).args(line.split_whitespace());
        command.arg("-o").arg(self.path(output)).current_dir(self.folder.path());
        command
    }

    /// The bytes of a run that must succeed.
    pub(crate) fn drawn(&self, model: &Path, output: &str, line: &str) -> Vec<u8> {
        let result = self.generate(model, output, line);
        assert_eq!(code(&result), 0, "{line}: {}", stderr(&result));
        let path = self.path(output);
        assert!(!equidrift::Manifest::partial_for(&path).exists(), "a partial file is left");
        fs::read(path).unwrap()
    }

    /// A molecule of these elements in a chain, which wobbles, one frame a femtosecond.
    pub(crate) fn molecule(&self, name: &str, elements: &[u8], frames: usize) -> PathBuf {
        let mut topology = Topology::of_elements(elements.iter().copied().map(Element).collect());
        topology.set_bonds((1..elements.len() as u32).map(|atom| [atom - 1, atom]).collect()).unwrap();
        let coordinates: Vec<f32> = (0..frames)
            .flat_map(|t| (0..elements.len()).map(move |atom| (t as f32, atom as f32)))
            .flat_map(|(t, atom)| [1.2 * atom, 0.3 * (0.7 * t + atom).sin(), 0.2 * (0.4 * t * atom).cos()])
            .collect();
        let trajectory = Trajectory::from_coordinates(topology, &coordinates, Some(1.0)).unwrap();
        let path = self.path(name);
        file::write(&path, &trajectory, &WriteOptions::default()).unwrap();
        path
    }

    /// Two walkers side by side.
    pub(crate) fn walkers(&self, frames: usize) -> PathBuf {
        let line = |t: usize, walker: usize| format!("{t},{walker},{},{walker}\n", 0.5 * t as f32);
        let lines: String = (0..frames).flat_map(|t| [line(t, 1), line(t, 2)]).collect();
        let path = self.path("walk.csv");
        fs::write(&path, format!("frame,pedestrian,x,y\n{lines}")).unwrap();
        path
    }
}
