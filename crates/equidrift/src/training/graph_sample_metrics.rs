//! Figures of graphs drawn while a model is trained.

use std::collections::BTreeMap;

use equidrift_graph::mmd::{Bootstrap, Protocol, Resampling, Sample, squared_mmd};
use equidrift_graph::threads::available_threads;
use equidrift_graph::{Graph, ReadOptions, Statistic, is_connected};

use crate::error::Error;
use crate::generate::GraphGenerator;
use crate::graph_input::GraphInput;
use crate::request::GenerateRequest;
use crate::summary::share;
use crate::training::family::TrainedModel;
use crate::training::graphs::MOST_NODES;
use crate::training::held_out::setting;
use crate::training::sample_metrics::SampleMetrics;
use crate::training::settings::TrainingSettings;
use crate::workers::{Ending, StopSignal};

/// Sizes and connectedness, and distances to a reference set.
///
/// | figure | is |
/// | --- | --- |
/// | `mean_nodes`, `mean_edges`, `connectedness` | as in [`crate::GraphSummary`] |
/// | `degree_mmd`, `clustering_mmd`, `orbit_mmd`, `spectral_mmd` | MMD to the reference by GDSS's protocol, if there is one |
pub struct GraphSampleMetrics {
    request: GenerateRequest,
    /// The statistics of the reference graphs.
    reference: Vec<(Statistic, Vec<Vec<f64>>)>,
    threads: usize,
}

impl GraphSampleMetrics {
    /// Reads the reference.
    ///
    /// # Errors
    /// A file that is missing or is none of its kind; weights of ChemNet, which is about molecules; a sampler that cannot
    /// work with the model's paths.
    pub fn new(settings: &TrainingSettings) -> Result<Self, Error> {
        let sampling = &settings.sampling;
        if sampling.chemnet.is_some() {
            return Err(setting("sampling.chemnet: graphs have no ChemNet distance"));
        }
        let request = GenerateRequest {
            num: sampling.num,
            seed: sampling.seed,
            sampler: sampling.sampler.clone(),
            steps: sampling.steps,
            device: settings.device,
            threads: settings.threads,
            ..GenerateRequest::default()
        };
        request.check()?;
        // A sampler that cannot be planned is an error now, not after the first epochs.
        if settings.pard.is_none() {
            let resolved = request.resolve(&settings.sampler, settings.steps)?;
            if let (Some(sampler), Some(steps)) = (&resolved.sampler, resolved.steps) {
                sampler.plan(&[settings.paths.x.clone(), settings.paths.adj.clone()], steps)?;
            }
        }
        let threads = if settings.threads == 0 { available_threads() } else { settings.threads };
        let reference = match sampling.reference.as_deref().map(GraphInput::of_path) {
            None => Vec::new(),
            Some(input) => {
                let options = ReadOptions { max_nodes: MOST_NODES, ..ReadOptions::default() };
                let graphs: Vec<Graph> = input.open(options)?.collect::<Result<_, _>>()?;
                if !graphs.iter().any(|graph| graph.node_count() > 0) {
                    return Err(setting("sampling.reference: there is no graph in it"));
                }
                let of = |statistic: Statistic| Ok((statistic, statistic.of_each(&graphs, threads)?));
                Statistic::ALL.into_iter().map(of).collect::<Result<_, Error>>()?
            }
        };
        Ok(Self { request, reference, threads })
    }
}

impl SampleMetrics for GraphSampleMetrics {
    fn measure(
        &mut self,
        model: &TrainedModel,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<BTreeMap<String, f64>>, Error> {
        // Through a model folder, as a user would: what is measured is what `generate` draws.
        let folder =
            tempfile::tempdir().map_err(|source| Error::Write { path: std::env::temp_dir(), source })?;
        model.write(folder.path())?;
        let model = folder.path().display().to_string();
        let generator = GraphGenerator::open(&GenerateRequest { model, ..self.request.clone() })?;
        let signal = StopSignal::new();
        let watch = |_| {
            if stop() {
                signal.ask_at_once();
            }
        };
        let mut graphs = Vec::new();
        let ending = generator.run(0, &signal, &watch, |_, sample| {
            graphs.push(sample.item);
            Ok(())
        })?;
        if ending != Ending::Complete {
            return Ok(None);
        }
        graphs.retain(|graph| graph.node_count() > 0); // not those that diverged
        let mean =
            |of: fn(&Graph) -> usize| share(graphs.iter().map(|g| of(g) as u64).sum(), graphs.len() as u64);
        let mut figures = BTreeMap::from([
            ("mean_nodes".to_owned(), mean(Graph::node_count)),
            ("mean_edges".to_owned(), mean(Graph::edge_count)),
            ("connectedness".to_owned(), mean(|graph| usize::from(is_connected(graph)))),
        ]);
        for (statistic, reference) in &self.reference {
            let found = statistic.of_each(&graphs, self.threads)?;
            let sample = |statistics| Sample { statistics, resampling: Resampling::Fixed };
            let kernel = Protocol::Gdss.kernel(*statistic);
            // There is none where every sample diverged, as early in training; the other figures say so.
            if let Some(mmd) =
                squared_mmd(kernel, sample(&found), sample(reference), Bootstrap::NONE, self.threads)
            {
                figures.insert(format!("{}_mmd", statistic.name()), mmd.value);
            }
        }
        Ok(Some(figures))
    }
}
