//! How probable a Pard model finds given molecules or graphs: file -> graphs in blocks -> bound of -log P -> bits.
//!
//! A Pard model has probabilities, not densities, so nothing is made continuous. Measured is the variational bound of
//! `-log P(G)` of the graph without an order of its nodes (see [`equidrift_pard::likelihood`]): every step of the diffusion
//! counts, for each the noisy classes are drawn once (or as often as asked). Its mean over draws is exact; one draw of it
//! scatters, which the standard error over the graphs contains.
//!
//! Noise belongs to the places of a canonical order of the nodes, so a graph has the same bound however its nodes are numbered
//! (up to rounding), unless it is so symmetric that the search for the order is given up. A molecule whose rings can be
//! kekulised in two ways is two graphs.
//!
//! Cost per graph and draw: T calls of the denoiser (over the doubled graph, where there is more than one block) and one of
//! the block model; T is the number of steps of the diffusion, not of generation.

use std::collections::BTreeSet;
use std::time::Instant;

use equidrift_backend::device::DeviceKind;
use equidrift_backend::model_description::Task;
use equidrift_graph::{ReadOptions, canonical_order, sorted_edges};
use equidrift_pard::{
    BlockGraph, CorruptionDraw, Draws, GraphDiffusion, KeyedDraws, LikelihoodBound, LikelihoodDraw,
    PardConfig, PardNetworks, Presentation, Purpose, Question, Sequence, Tasks, likelihood_bounds,
};
use serde::Serialize;

use crate::batching::{Batch, Batches};
use crate::error::Error;
use crate::graph_input::GraphInput;
use crate::likelihood::Mean;
use crate::model::Model;
use crate::molecule_graphs::{Skipped, read, read_rows};
use crate::workers::{Ending, StopSignal, in_order};

/// Keeps the draws apart from those of generation, whose blocks have the numbers below.
const FIRST_ROUND: usize = 1 << 15;

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundRequest {
    /// Name of an embedded model, or a model folder, of family `pard`.
    pub model: String,
    /// For a model of molecules a file of SMILES, one a line, `.gz` or not; for one of graphs a graph file or a part of one.
    pub data: GraphInput,
    /// A file of 0-based row numbers (line number less one, or number of the graph), to use only these.
    pub rows: Option<std::path::PathBuf>,
    /// Use the first this many graphs that can be used; none: all of them.
    pub num: Option<usize>,
    /// Draws of the noise at every step; the bound is their mean.
    pub draws: u32,
    /// The seed of the noise.
    pub seed: u64,
    /// Graphs per batch at most. Changes speed and memory.
    pub batch: usize,
    /// Worker threads; 0 means one per processor. Changes speed and memory.
    pub threads: usize,
}

impl Default for BoundRequest {
    fn default() -> Self {
        Self {
            model: crate::request::DEFAULT_MODEL.to_owned(),
            data: String::new().into(),
            rows: None,
            num: None,
            draws: 1,
            seed: 0,
            batch: 64,
            threads: 0,
        }
    }
}

/// The bound of one graph, in nats.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GraphBound {
    /// 1-based line of the file, or number of the graph.
    pub line: u64,
    /// Nodes.
    pub nodes: usize,
    /// Edges.
    pub edges: usize,
    /// Blocks.
    pub blocks: usize,
    /// The bound of -log P.
    pub nats: f64,
    /// Its part of sizes and degrees of blocks.
    pub block_nats: f64,
    /// What the noise at step T still tells of the graph.
    pub prior_nats: f64,
    /// Its part of the nodes' classes.
    pub node_nats: f64,
    /// Its part of the pairs' classes.
    pub pair_nats: f64,
    /// The bound in bits over nodes and pairs of nodes.
    pub bits_per_dimension: f64,
    /// Whether the canonical order was found.
    pub canonical: bool,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoundReport {
    /// The model.
    pub model: String,
    /// SHA-256 over its configuration and parameters.
    pub model_sha256: String,
    /// The data file.
    pub data: GraphInput,
    /// Steps of the diffusion, all of which count.
    pub steps: usize,
    /// Draws at every step.
    pub draws: u32,
    /// The seed.
    pub seed: u64,
    /// Graphs whose bound was computed.
    pub molecules: usize,
    /// The bound, nats.
    pub nats_per_graph: Mean,
    /// The bound, bits.
    pub bits_per_graph: Mean,
    /// All bits over all nodes and pairs of nodes.
    pub bits_per_dimension: f64,
    /// All bits over all nodes and edges.
    pub bits_per_node_and_edge: f64,
    /// Mean nats of sizes and degrees of blocks, of the prior, of nodes, of pairs.
    pub parts: [f64; 4],
    /// Calls of the denoiser per graph.
    pub evaluations_per_graph: usize,
    /// Lines or graphs that could not be used, and why.
    pub skipped: Vec<Skipped>,
    /// Graphs that the model cannot make at all: the bound is infinite.
    pub failed: Vec<Skipped>,
    /// Whether all were computed, or it was stopped.
    pub complete: bool,
    /// Seconds it took.
    pub seconds: f64,
    /// The graphs one by one.
    pub graphs: Vec<GraphBound>,
}

/// A graph that is to be judged.
struct Judged {
    line: u64,
    edges: usize,
    canonical: bool,
    graph: BlockGraph,
}

/// Computes the bounds of the graphs of a file. `progress` is called with the number of graphs found, then for each that is
/// done with 0.
///
/// # Errors
/// A model that cannot be opened, is of another family, is evaluated on prefixes or does not know the sizes of first blocks; a
/// file that cannot be read; no graph that can be used; a device error. Graphs that cannot be used are no error.
pub fn likelihood_bound(
    request: &BoundRequest,
    stop: &StopSignal,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<BoundReport, Error> {
    let start = Instant::now();
    let model = Model::open(&request.model)?;
    let config = model.pard()?.config();
    if config.network.sequence == Sequence::Prefixes {
        let reason =
            "models on prefixes take eigenvectors of graphs as an input, which are not computed here";
        return Err(Error::Request { field: "model", reason });
    }
    if request.draws == 0 || request.draws as usize >= FIRST_ROUND {
        return Err(Error::Request { field: "draws", reason: "1 to 32767 draws of the noise are possible" });
    }
    let run = Run {
        config,
        first_sizes: config.first_size_frequencies()?,
        diffusion: config.diffusion.build()?,
        networks: model
            .pard()?
            .networks(&DeviceKind::Cpu.open().map_err(|source| Error::Device { source })?)?,
        draws: request.draws as usize,
        seed: request.seed,
    };
    let (mut graphs, mut skipped) = run.read(request, &model)?;
    let mut failed = Vec::new();
    graphs.retain(|judged| match run.impossible(&judged.graph) {
        None => true,
        Some(reason) => {
            failed.push(Skipped { line: judged.line, reason });
            false
        }
    });
    if graphs.is_empty() {
        skipped.append(&mut failed);
        let reason = skipped.first().map(|first| format!("line {}: {}", first.line, first.reason));
        return Err(Error::NoUsableMolecules {
            path: request.data.path.clone(),
            reason: reason.unwrap_or_else(|| "the file holds none".to_owned()),
        });
    }
    progress(graphs.len());
    let ids = 0..graphs.len() as u64;
    let batches = Batches::new(ids.clone(), request.batch, |id| graphs[id as usize].graph.nodes())
        .with_most_pairs(1 << 16);
    let threads = match request.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let mut done = Vec::new();
    let work = |batch: &Batch| {
        if stop.at_once().load(std::sync::atomic::Ordering::Relaxed) {
            return Ok(None);
        }
        let members: Vec<&Judged> = batch.ids.iter().map(|&id| &graphs[id as usize]).collect();
        let found = run.batch(&members)?;
        members.iter().for_each(|_| progress(0));
        Ok::<_, Error>(Some(found))
    };
    let ending = in_order(ids, batches, threads, stop, work, |_, found| {
        done.push(found);
        Ok::<(), Error>(())
    })?;
    if done.is_empty() {
        let reason = "stopped before the first was done".to_owned();
        return Err(Error::NoUsableMolecules { path: request.data.path.clone(), reason });
    }
    Ok(report(request, &model, &run, done, (skipped, failed, ending, start.elapsed().as_secs_f64())))
}

fn report(
    request: &BoundRequest,
    model: &Model,
    run: &Run<'_>,
    graphs: Vec<GraphBound>,
    (skipped, failed, ending, seconds): (Vec<Skipped>, Vec<Skipped>, Ending, f64),
) -> BoundReport {
    let bits = |nats: f64| nats / core::f64::consts::LN_2;
    let of = |part: fn(&GraphBound) -> f64| graphs.iter().map(part);
    let all: f64 = of(|graph| graph.nats).sum();
    let dimensions: f64 = of(|graph| dimensions(graph.nodes)).sum();
    let elements: f64 = of(|graph| (graph.nodes + graph.edges) as f64).sum();
    let count = graphs.len() as f64;
    let parts: [fn(&GraphBound) -> f64; 4] = [
        |graph| graph.block_nats,
        |graph| graph.prior_nats,
        |graph| graph.node_nats,
        |graph| graph.pair_nats,
    ];
    let steps = run.diffusion.nodes.steps();
    BoundReport {
        model: model.name().to_owned(),
        model_sha256: model.sha256().to_owned(),
        data: request.data.clone(),
        steps,
        draws: request.draws,
        seed: request.seed,
        molecules: graphs.len(),
        nats_per_graph: Mean::of(of(|graph| graph.nats)),
        bits_per_graph: Mean::of(of(|graph| graph.nats / core::f64::consts::LN_2)),
        bits_per_dimension: bits(all) / dimensions,
        bits_per_node_and_edge: bits(all) / elements,
        parts: parts.map(|part| of(part).sum::<f64>() / count),
        evaluations_per_graph: steps * run.draws,
        skipped,
        failed,
        complete: ending == Ending::Complete,
        seconds,
        graphs,
    }
}

/// Nodes and pairs of nodes.
fn dimensions(nodes: usize) -> f64 {
    (nodes + nodes * nodes.saturating_sub(1) / 2) as f64
}

/// Everything that is the same for all batches.
struct Run<'a> {
    config: &'a PardConfig,
    first_sizes: Vec<f64>,
    diffusion: GraphDiffusion,
    networks: PardNetworks,
    draws: usize,
    seed: u64,
}

impl Run<'_> {
    fn read(&self, request: &BoundRequest, model: &Model) -> Result<(Vec<Judged>, Vec<Skipped>), Error> {
        match (self.config.task, &request.data.part) {
            (Task::Molecules, None) => {
                let (graphs, skipped) =
                    read(&request.data.path, request.rows.as_deref(), request.num, model)?;
                let judged = graphs.into_iter().map(|graph| {
                    let edges: Vec<_> =
                        graph.bonds.iter().map(|&(a, b, level)| (a, b, usize::from(level))).collect();
                    self.in_blocks(graph.line, &graph.classes, &edges)
                });
                Ok((judged.collect::<Result<_, _>>()?, skipped))
            }
            (Task::Molecules, Some(_)) => {
                Err(Error::Request { field: "data", reason: "a file of SMILES has no parts" })
            }
            (Task::Graphs, _) => self.read_graphs(request),
        }
    }

    fn read_graphs(&self, request: &BoundRequest) -> Result<(Vec<Judged>, Vec<Skipped>), Error> {
        let rows: Option<BTreeSet<u64>> = request.rows.as_deref().map(read_rows).transpose()?;
        let (mut judged, mut skipped) = (Vec::new(), Vec::new());
        for (line, graph) in (1..).zip(request.data.open(ReadOptions::default())?) {
            let graph = graph?;
            if rows.as_ref().is_some_and(|rows| !rows.contains(&(line - 1))) {
                continue;
            }
            if request.num.is_some_and(|num| judged.len() >= num) {
                break;
            }
            let (nodes, most) = (graph.node_count(), self.config.max_nodes);
            if nodes == 0 || nodes > most {
                let reason = format!("{nodes} nodes; the model makes 1 to {most}");
                skipped.push(Skipped { line, reason });
                continue;
            }
            let edges: Vec<_> = sorted_edges(&graph).into_iter().map(|(a, b)| (a, b, 1)).collect();
            judged.push(self.in_blocks(line, &vec![0; nodes], &edges)?);
        }
        Ok((judged, skipped))
    }

    /// The graph in its canonical order, sorted by block.
    fn in_blocks(
        &self,
        line: u64,
        classes: &[usize],
        edges: &[(usize, usize, usize)],
    ) -> Result<Judged, Error> {
        let order = canonical_order(classes, edges);
        let mut place = vec![0; classes.len()];
        order.nodes.iter().enumerate().for_each(|(to, &from)| place[from] = to);
        let classes: Vec<usize> = order.nodes.iter().map(|&node| classes[node]).collect();
        let renamed: Vec<_> = edges.iter().map(|&(a, b, class)| (place[a], place[b], class)).collect();
        let (hops, degree) = (self.config.max_hops, self.config.block_degree);
        let mut graph = BlockGraph::new(&classes, &renamed, hops, degree)?;
        if self.config.network.tasks == Tasks::DenoiserOnly {
            // Nobody knows the degree of a graph that is generated in one piece.
            graph.degrees.fill(0);
        }
        Ok(Judged { line, edges: edges.len(), canonical: order.complete, graph })
    }

    /// Why the model can never make a graph.
    fn impossible(&self, graph: &BlockGraph) -> Option<String> {
        let network = &self.config.network;
        let most = |what, found: usize, known: usize| {
            (found >= known)
                .then(|| format!("{what} {found}; the model makes at most {}", known.saturating_sub(1)))
        };
        let largest = |values: &[usize]| values.iter().max().copied().unwrap_or(0);
        let first = graph.sizes.first().copied().unwrap_or(0);
        most("number of blocks", graph.sizes.len(), network.max_blocks + 1)
            .or_else(|| most("block of size", largest(&graph.sizes), network.block_sizes))
            .or_else(|| most("block of degree", largest(&graph.degrees), network.block_degrees))
            .or_else(|| most("node class", largest(&graph.node_classes), network.node_classes - 1))
            .or_else(|| most("edge class", largest(&graph.pair_classes), network.edge_classes - 1))
            .or_else(|| {
                let never = self.first_sizes.get(first).is_none_or(|&count| count == 0.0);
                never.then(|| format!("first block of size {first}, which no training graph had"))
            })
    }

    fn batch(&self, members: &[&Judged]) -> Result<Vec<GraphBound>, Error> {
        let graphs: Vec<BlockGraph> = members.iter().map(|judged| judged.graph.clone()).collect();
        let mut sums = vec![LikelihoodBound::default(); graphs.len()];
        for draw in 0..self.draws {
            let ids = members.iter().flat_map(|judged| [2 * (judged.line - 1), 2 * (judged.line - 1) + 1]);
            let mut keyed = KeyedDraws { seed: self.seed, ids: ids.collect() };
            let mut noise = |what: LikelihoodDraw| {
                let (graph, purpose, element) = match what {
                    LikelihoodDraw::Node { graph, node, t } => (graph, Purpose::Node { t }, (node, 0)),
                    LikelihoodDraw::Pair { graph, pair, t } => (graph, Purpose::Pair { t }, pair),
                };
                let round = FIRST_ROUND + draw;
                let [redraw, keep] = [2 * graph, 2 * graph + 1]
                    .map(|graph| keyed.uniform(&Question { graph, round, purpose, rank: 0, element }));
                CorruptionDraw { redraw, keep }
            };
            let presentation = Presentation::Parallel;
            let bounds = likelihood_bounds(
                &self.networks,
                &self.diffusion,
                &self.first_sizes,
                &graphs,
                presentation,
                &mut noise,
            )?;
            for (sum, bound) in sums.iter_mut().zip(bounds) {
                sum.blocks += bound.blocks;
                sum.prior += bound.prior;
                sum.nodes += bound.nodes;
                sum.pairs += bound.pairs;
            }
        }
        let share = 1.0 / self.draws as f64;
        let bound = |(judged, sum): (&&Judged, LikelihoodBound)| {
            let nodes = judged.graph.nodes();
            let nats = sum.total() * share;
            GraphBound {
                line: judged.line,
                nodes,
                edges: judged.edges,
                blocks: judged.graph.sizes.len(),
                nats,
                block_nats: sum.blocks * share,
                prior_nats: sum.prior * share,
                node_nats: sum.nodes * share,
                pair_nats: sum.pairs * share,
                bits_per_dimension: nats / core::f64::consts::LN_2 / dimensions(nodes),
                canonical: judged.canonical,
            }
        };
        Ok(members.iter().zip(sums).map(bound).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn bounds(model: &str, smiles: &str, seed: u64, (batch, threads): (usize, usize)) -> BoundReport {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.smi");
        fs::write(&data, smiles).unwrap();
        let data = GraphInput { path: data, part: None };
        let request =
            BoundRequest { model: model.to_owned(), data, seed, batch, threads, ..BoundRequest::default() };
        likelihood_bound(&request, &StopSignal::new(), &|_| ()).unwrap()
    }

    fn largest_difference(a: &BoundReport, b: &BoundReport) -> f64 {
        assert_eq!(a.graphs.len(), b.graphs.len());
        let differences = a.graphs.iter().zip(&b.graphs).map(|(a, b)| (a.nats - b.nats).abs() / a.nats);
        differences.fold(0.0, f64::max)
    }

    /// The same molecules under other numberings of their atoms have the same bounds; other seeds give others.
    #[test]
    fn the_order_of_the_nodes_does_not_matter() {
        for model in ["qm9-pard", "qm9-pard-k3"] {
            let first = bounds(model, "OCC\nCC(=O)NC\nC\nCC(C)(C)O\nFC1CC1N\n", 3, (64, 1));
            let second = bounds(model, "CCO\nN(C)C(C)=O\nC\nOC(C)(C)C\nC1(N)C(F)C1\n", 3, (2, 2));
            let difference = largest_difference(&first, &second);
            println!("{model}: {:?}, other orders and batches {difference:.1e}", first.nats_per_graph);
            assert!(difference <= 1e-5 && first.graphs.iter().all(|graph| graph.canonical), "{difference:e}");
            let parts: f64 = first.parts.iter().sum();
            assert!((parts - first.nats_per_graph.mean).abs() < 1e-9);
            assert_eq!(first.evaluations_per_graph, 500);
        }
    }

    /// What is like the training data is more probable than what is not, by far more than the draws scatter.
    #[test]
    fn the_bound_tells_molecules_from_nonsense() {
        let [good, odd, good_again] = [("CC(C)CO", 0), ("OON(F)N(O)OF", 0), ("CC(C)CO", 9)]
            .map(|(smiles, seed)| bounds("qm9-pard", smiles, seed, (1, 1)).nats_per_graph.mean);
        println!("good {good:.2} and {good_again:.2}, odd {odd:.2} nats");
        assert!(odd > good + 10.0 && good != good_again);
    }
}
