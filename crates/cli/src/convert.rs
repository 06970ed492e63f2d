//! `equidrift convert gdss|geotdm|pard NAME.json -o DIR`

mod pard;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use equidrift::GraphInput;
use equidrift_backend::model_folder::ModelFolderError;
use equidrift_backend::weights::{HostTensor, ParameterSet};
use equidrift_gdss::{Task, convert_gdss};
use equidrift_graph::ReadOptions;
use equidrift_molecule::{OnBadLine, SmilesReader, bonds};
use equidrift_sampler::path::DataMoments;

use crate::exit::{CliResult, Exit, Failure};
use crate::weights::Weights;
use crate::{json_file, progress};

/// Make a model folder from another programme's checkpoint
#[derive(Debug, Args)]
pub(crate) struct ConvertArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A GDSS checkpoint: NAME.json with NAME.safetensors beside it
    Gdss(GdssArgs),
    /// A GeoTDM checkpoint: NAME.json with NAME.safetensors beside it
    Geotdm(GeotdmArgs),
    /// A Pard checkpoint: NAME.json with NAME.safetensors beside it
    Pard(pard::PardArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift convert geotdm ethanol.json -o ethanol/
  equidrift forward --model ethanol/ --inputs ethanol.golden.safetensors --output out.safetensors")]
struct GeotdmArgs {
    /// The checkpoint's settings; the weights are looked for in NAME.safetensors beside it
    #[arg(value_name = "NAME.json")]
    json: PathBuf,
    /// The model folder to make
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A checkpoint does not say how many nodes its training graphs had. Tell it with one of the two options below, or
every sample will have as many nodes as the model can make.

Examples:
  equidrift convert gdss qm9.json -o qm9/ --sizes-from qm9_train.smi
  equidrift convert gdss community_small.json -o community/ --sizes-from graphs.json:gdss:train
  equidrift convert gdss community_small.json -o community/ --node-counts sizes.json")]
struct GdssArgs {
    /// The checkpoint's configuration; the weights are looked for in NAME.safetensors beside it
    #[arg(value_name = "NAME.json")]
    json: PathBuf,
    /// The model folder to make
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Which of the checkpoint's weights to take [default: those it samples with]
    #[arg(long, value_enum)]
    weights: Option<Weights>,
    /// Training graphs by number of nodes, as a JSON object: {"8": 130, "9": 870}
    #[arg(long, value_name = "FILE", conflicts_with = "sizes_from")]
    node_counts: Option<PathBuf>,
    /// Training data whose nodes and edges are counted. For a model of molecules a SMILES file (heavy atoms and bonds; lines
    /// that are no molecule are passed over); for one of graphs a graph file, or one of its splits
    #[arg(long, value_name = "FILE[:SPLIT]")]
    sizes_from: Option<GraphInput>,
}

pub(crate) fn run(args: &ConvertArgs) -> CliResult {
    match &args.what {
        What::Gdss(args) => gdss(args),
        What::Geotdm(args) => geotdm(args),
        What::Pard(args) => pard::run(args),
    }
}

fn geotdm(args: &GeotdmArgs) -> CliResult {
    let model = equidrift_geotdm::convert_geotdm(&args.json)?;
    // Reading is over: what fails now is the output, not an input file.
    model.write(&args.output, &[]).map_err(|error| Failure::new(Exit::Failure, error))?;
    say_what_was_made(&args.output, &model.config().name, model.parameters());
    Ok(Exit::Ok)
}

fn say_what_was_made(folder: &Path, name: &str, parameters: &ParameterSet) {
    let count: usize = parameters.values().map(HostTensor::len).sum();
    progress::note(&format!("{}: model `{name}`, {count} parameters", folder.display()));
}

fn gdss(args: &GdssArgs) -> CliResult {
    let weights = args.weights.map(Into::into);
    let convert = |node_counts, edge_moments| {
        convert_gdss(&args.json, weights, node_counts, edge_moments).map_err(equidrift::Error::from)
    };
    let model = match (&args.node_counts, &args.sizes_from) {
        (Some(path), _) => convert(Some(json_file::read(path)?), None)?,
        (None, Some(input)) => {
            // What kind of file it is depends on what the checkpoint makes.
            let (node_counts, edge_moments) = match (convert(None, None)?.config().task, &input.part) {
                (Task::Graphs, _) => count_nodes_and_edges(input)?,
                (Task::Molecules, None) => count_atoms_and_bonds(&input.path)?,
                (Task::Molecules, Some(part)) => {
                    let message = format_args!("{input}: a SMILES file has no split `{part}`");
                    return Err(Failure::message(Exit::Usage, message));
                }
            };
            convert(Some(node_counts), Some(edge_moments))?
        }
        (None, None) => convert(None, None)?,
    };
    model.write(&args.output, &[]).map_err(|error| match error {
        // Reading is over: what fails now is the output, not an input file.
        error @ equidrift_gdss::GdssError::Folder(ModelFolderError::Io { .. }) => {
            Failure::new(Exit::Failure, error)
        }
        error => equidrift::Error::from(error).into(),
    })?;
    let config = model.config();
    say_what_was_made(&args.output, &config.name, model.parameters());
    if config.node_counts.is_none() {
        progress::note(&format!(
            "note: without --sizes-from or --node-counts every sample will have {} nodes",
            config.max_nodes
        ));
    }
    Ok(Exit::Ok)
}

/// Graphs by number of nodes that have an edge; mean and variance of the adjacency between pairs of such nodes. Nodes without
/// an edge take no part in the diffusion.
fn count_nodes_and_edges(input: &GraphInput) -> Result<(BTreeMap<usize, u64>, DataMoments), Failure> {
    let mut counts = BTreeMap::new();
    let (mut pairs, mut edges) = (0.0, 0.0);
    for graph in input.open(ReadOptions::default())? {
        let graph = graph.map_err(equidrift::Error::from)?;
        let nodes = graph.node_indices().filter(|&node| graph.neighbors(node).next().is_some()).count();
        if nodes > 0 {
            *counts.entry(nodes).or_insert(0) += 1;
        }
        pairs += (nodes * nodes.saturating_sub(1) / 2) as f64;
        edges += graph.edge_count() as f64;
    }
    if counts.is_empty() {
        return Err(Failure::message(Exit::BadInput, format_args!("{input}: no graph with an edge in it")));
    }
    Ok((counts, DataMoments::of_sums(pairs, edges, edges)))
}

/// Molecules by number of heavy atoms; mean and variance of the bond orders between pairs of atoms, 0 where there is no bond.
fn count_atoms_and_bonds(path: &Path) -> Result<(BTreeMap<usize, u64>, DataMoments), Failure> {
    let chemistry = equidrift::chemistry();
    let mut counts = BTreeMap::new();
    let (mut pairs, mut sum, mut squares) = (0.0, 0.0, 0.0);
    let mut reader = SmilesReader::open(path, chemistry, OnBadLine::Skip).map_err(equidrift::Error::from)?;
    for record in &mut reader {
        let graph = record.map_err(equidrift::Error::from)?.graph;
        let nodes = graph.node_count();
        *counts.entry(nodes).or_insert(0) += 1;
        pairs += (nodes * nodes.saturating_sub(1) / 2) as f64;
        for (_, _, order) in bonds(&graph) {
            let order = f64::from(order.number());
            (sum, squares) = (sum + order, squares + order * order);
        }
    }
    let bad = reader.bad_lines();
    if let Some(first) = bad.first() {
        progress::note(&format!(
            "warning: {}: {} lines are no molecules, the first is line {}: {}",
            path.display(),
            bad.len(),
            first.line,
            first.reason
        ));
    }
    if counts.is_empty() {
        return Err(Failure::message(Exit::BadInput, format_args!("{}: no molecules in it", path.display())));
    }
    Ok((counts, DataMoments::of_sums(pairs, sum, squares)))
}
