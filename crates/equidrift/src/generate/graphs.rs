//! Plain graphs: decode the adjacency, write nodes and edges.

use std::path::Path;

use equidrift_gdss::Task;
use equidrift_graph::{Format, Graph, decode, is_connected};
use equidrift_molecule::Correction;

use super::sampling::{Decoder, FinalState, Sampling};
use super::{Destination, Recorder, Report, Sample, write};
use crate::course::Course;
use crate::error::Error;
use crate::manifest::Manifest;
use crate::request::GenerateRequest;
use crate::summary::{GraphSummary, Tally, share};
use crate::workers::{Ending, StopSignal};

/// A request for graphs with everything that is not part of what is asked: where results go and who watches.
pub struct GraphJob<'a> {
    /// What is asked.
    pub request: &'a GenerateRequest,
    /// File format of the results.
    pub format: Format,
    /// Where they go.
    pub destination: Destination<'a>,
    /// Ends the job early.
    pub stop: &'a StopSignal,
    /// Called from the worker threads.
    pub progress: &'a (dyn Fn(Report) + Sync),
}

/// A run of graphs that is ready to go: request resolved, model open, plan made. It draws samples in memory; use
/// [`generate_graphs`] to write them to files.
///
/// ```no_run
/// use equidrift::{GenerateRequest, GraphGenerator};
///
/// let model = "community_small/".to_owned();
/// let generator = GraphGenerator::open(&GenerateRequest { num: 20, seed: 7, model, ..GenerateRequest::default() })?;
/// for graph in generator.graphs()? {
///     println!("{} nodes, {} edges", graph.node_count(), graph.edge_count());
/// }
/// # Ok::<(), equidrift::Error>(())
/// ```
pub struct GraphGenerator {
    sampling: Sampling,
}

impl GraphGenerator {
    /// Opens the model and makes the plan.
    ///
    /// # Errors
    /// Where the request is impossible (a `correction` other than the default is: it is about molecules), the model
    /// cannot be opened or is no model of graphs, or the sampler cannot work with the model's paths.
    pub fn open(request: &GenerateRequest) -> Result<Self, Error> {
        if request.correction != Correction::default() {
            let reason = "graphs have no valences to correct";
            return Err(Error::Request { field: "correction", reason });
        }
        Ok(Self { sampling: Sampling::open(request, Task::Graphs)? })
    }

    /// The request with everything filled in that was left to the model.
    pub fn request(&self) -> &GenerateRequest {
        &self.sampling.request
    }

    /// How samples get from noise to data.
    pub fn course(&self) -> &Course {
        &self.sampling.course
    }

    /// All graphs of the request, in order of id; one that diverged has no nodes. For many samples use
    /// [`GraphGenerator::run`], which holds only a few batches in memory.
    ///
    /// # Errors
    /// As [`GraphGenerator::run`].
    pub fn graphs(&self) -> Result<Vec<Graph>, Error> {
        let mut graphs = Vec::new();
        self.run(self.request().ids().start, &StopSignal::new(), &|_| (), |_, sample| {
            graphs.push(sample.item);
            Ok(())
        })?;
        Ok(graphs)
    }

    /// Draws the samples of the request from id `first` on and hands them to `deliver` in order of id, as they come.
    ///
    /// # Errors
    /// Where the sampler or a device fails, and whatever `deliver` returns. A sample that diverges is no error.
    pub fn run(
        &self,
        first: u64,
        stop: &StopSignal,
        progress: &(dyn Fn(Report) + Sync),
        deliver: impl FnMut(u64, Sample<Graph>) -> Result<(), Error>,
    ) -> Result<Ending, Error> {
        self.sampling.run(&Threshold, first, stop, progress, deliver)
    }
}

/// Runs a job to its end, or to the end of the batches in work where a stop is asked.
///
/// # Errors
/// See [`Error`]. Whatever the error, a file output can be resumed.
pub fn generate_graphs(job: GraphJob<'_>) -> Result<GraphSummary, Error> {
    let GraphGenerator { sampling } = GraphGenerator::open(job.request)?;
    let fresh = sampling.manifest("none", job.format.name())?;
    let watcher = (job.stop, job.progress);
    let mut records = Records { format: job.format };
    let (manifest, run) = write((&sampling, &Threshold), &mut records, fresh, job.destination, watcher)?;
    let tally = &manifest.tally;
    Ok(GraphSummary {
        graphs: tally.valid,
        without_edges: tally.valid - tally.valid_before_repair,
        mean_nodes: share(tally.nodes, tally.valid),
        mean_edges: share(tally.edges, tally.valid),
        connectedness: share(tally.connected, tally.valid),
        graphs_per_second: run.samples_per_second(),
        run,
    })
}

/// Makes graphs of final states, by [`decode()`]; the node features say nothing that the edges do not.
struct Threshold;

impl Decoder for Threshold {
    type Item = Graph;

    fn decode(&self, _: u64, row: FinalState<'_>) -> Result<Graph, Error> {
        Ok(decode(row.adj, row.nodes)?)
    }

    fn diverged(&self, _: u64) -> Result<Graph, Error> {
        Ok(Graph::default())
    }
}

/// Writes graphs.
struct Records {
    format: Format,
}

impl Recorder for Records {
    type Item = Graph;

    fn record(&mut self, id: u64, graph: &Graph) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.format.write_graph(id, graph, &mut bytes)?;
        Ok(bytes)
    }

    fn tally(&self, graph: &Graph) -> Tally {
        let present = graph.node_count() > 0;
        Tally {
            valid_before_repair: u64::from(graph.edge_count() > 0),
            valid: u64::from(present),
            connected: u64::from(is_connected(graph)),
            nodes: graph.node_count() as u64,
            edges: graph.edge_count() as u64,
            ..Tally::default()
        }
    }

    fn recorded(&mut self, _: &Path, _: &Manifest) -> Result<(), Error> {
        Ok(()) // everything of interest is in the manifest's counts
    }
}
