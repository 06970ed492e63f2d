//! Statistics of a model's networks for DPM-Solver-v3: file -> graphs -> measurement.

use std::path::PathBuf;

use equidrift_backend::device::DeviceKind;
use equidrift_gdss::{EngineKind, Task};
use equidrift_sampler::statistics::{Estimation, ModelStatistics};
use equidrift_sampler::{Component, DType, State, Support};

use crate::error::Error;
use crate::model::Model;
use crate::molecule_graphs::{MoleculeGraph, Skipped, dense, read};

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct StatisticsRequest {
    /// Name of an embedded model, or a model folder.
    pub model: String,
    /// Molecules like those the model was trained on: SMILES, one a line, `.gz` or not.
    pub data: PathBuf,
    /// A file of 0-based row numbers (line number less one), to use only these.
    pub rows: Option<PathBuf>,
    /// Use the first this many molecules that can be used.
    pub num: usize,
    /// How it is measured.
    pub estimation: Estimation,
}

/// Measures the statistics; they carry the digest of the model and are refused with another. `progress` hears (network
/// evaluations done, in all). Also returns the lines that could not be used.
///
/// # Errors
/// A model that cannot be opened or makes no molecules, a file that cannot be read, no molecule that can be used, an option
/// out of range.
pub fn measure_statistics(
    request: &StatisticsRequest,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<(ModelStatistics, Vec<Skipped>), Error> {
    let model = Model::open(&request.model)?;
    model.expect_task(Task::Molecules)?;
    let (graphs, skipped) = read(&request.data, request.rows.as_deref(), Some(request.num), &model)?;
    let graphs: Vec<&MoleculeGraph> = graphs.iter().collect();
    let config = model.gdss()?.config();
    let (nodes, features) = (config.max_nodes, config.networks.features());
    let mask: Vec<Vec<bool>> =
        graphs.iter().map(|graph| (0..nodes).map(|node| node < graph.classes.len()).collect()).collect();
    let supports = [Support::nodes(mask.clone(), features), Support::symmetric_pairs(mask)];
    let device = DeviceKind::Cpu.open().map_err(|source| Error::Device { source })?;
    let components = ["x", "adj"].into_iter().zip(dense(&graphs, nodes, features)).zip(supports);
    let scales = [config.paths.scales.x, config.paths.scales.adj];
    let components = components.zip(scales).map(|(((name, mut values), support), scale)| {
        values.iter_mut().for_each(|value| *value *= scale);
        Component::from_host(name, values, support, &device, DType::F32)
    });
    let state = State::new(components.collect::<Result<_, _>>()?)?;
    let denoiser = model.gdss()?.denoiser(EngineKind::for_device(DeviceKind::Cpu), DeviceKind::Cpu)?;
    let paths = [config.paths.x.clone(), config.paths.adj.clone()];
    let statistics = request.estimation.measure(&*denoiser, &state, &paths, model.sha256(), progress)?;
    Ok((statistics, skipped))
}
