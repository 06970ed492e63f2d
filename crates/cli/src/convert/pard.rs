//! `equidrift convert pard NAME.json -o DIR`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use equidrift::GraphInput;
use equidrift_graph::{BlockDegree, ReadOptions, sorted_edges};
use equidrift_molecule::{BondEncoding, Element, OnBadLine, SmilesReader, with_hydrogens};
use equidrift_pard::{BlockGraph, FirstBlocks, ReleasedModel, convert_pard};

use super::say_what_was_made;
use crate::exit::{CliResult, Exit, Failure};
use crate::{json_file, progress};

#[derive(Debug, Args)]
#[command(after_help = "\
A checkpoint does not say how large the first blocks of its training graphs were, with which generation begins. Tell it with
one of the two options below, or the model can be inspected and evaluated (`inspect`, `forward`), but generates nothing.

Examples:
  equidrift convert pard small_bn.json -o small_bn/
  equidrift forward --model small_bn/ --inputs small_bn.golden.safetensors --output out.safetensors
  equidrift convert pard qm9.json -o qm9/ --sizes-from qm9_train.smi
  equidrift convert pard comm20.json -o comm20/ --sizes-from comm20.json:digress:train")]
pub(super) struct PardArgs {
    /// The checkpoint's settings; the weights are looked for in NAME.safetensors beside it
    #[arg(value_name = "NAME.json")]
    json: PathBuf,
    /// The model folder to make
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Training graphs by size of their first block, as a JSON object: {"3": 130, "4": 870}
    #[arg(long, value_name = "FILE", conflicts_with = "sizes_from")]
    first_sizes: Option<PathBuf>,
    /// Training data whose first blocks and largest graph are taken. For a model of molecules a SMILES file (lines that are no
    /// molecule are passed over); for one of graphs a graph file, or one of its splits
    #[arg(long, value_name = "FILE[:SPLIT]")]
    sizes_from: Option<GraphInput>,
}

pub(super) fn run(args: &PardArgs) -> CliResult {
    let released = convert_pard(&args.json).map_err(equidrift::Error::from)?;
    let first = match (&args.first_sizes, &args.sizes_from) {
        (Some(path), _) => Some(FirstBlocks { sizes: json_file::read(path)?, max_nodes: None }),
        (None, Some(input)) => Some(counted(&released, input)?),
        (None, None) => None,
    };
    let unknown = first.is_none();
    let model = released.into_model(first).map_err(equidrift::Error::from)?;
    // Reading is over: what fails now is the output, not an input file.
    model.write(&args.output, &[]).map_err(|error| Failure::new(Exit::Failure, error))?;
    say_what_was_made(&args.output, &model.config().name, model.parameters());
    if unknown {
        progress::note("note: without --sizes-from or --first-sizes the model generates nothing");
    }
    Ok(Exit::Ok)
}

/// The first blocks of the training data.
fn counted(released: &ReleasedModel, input: &GraphInput) -> Result<FirstBlocks, Failure> {
    let mut first = FirstBlocks { sizes: BTreeMap::new(), max_nodes: Some(0) };
    match (released.vocabulary().map_err(equidrift::Error::from)?, &input.part) {
        (None, _) => {
            for graph in input.open(ReadOptions::default())? {
                let graph = graph.map_err(equidrift::Error::from)?;
                count(&mut first, released, graph.node_count(), &sorted_edges(&graph))?;
            }
        }
        (Some(_), Some(part)) => {
            let message = format_args!("{input}: a SMILES file has no split `{part}`");
            return Err(Failure::message(Exit::Usage, message));
        }
        (Some(vocabulary), None) => {
            let hydrogens = vocabulary.atoms.iter().any(|atom| atom == Element::H.symbol());
            count_molecules(&mut first, released, hydrogens, &input.path)?;
        }
    }
    if first.sizes.is_empty() {
        return Err(Failure::message(Exit::BadInput, format_args!("{input}: no graph in it")));
    }
    Ok(first)
}

fn count_molecules(
    first: &mut FirstBlocks,
    released: &ReleasedModel,
    hydrogens: bool,
    path: &Path,
) -> Result<(), Failure> {
    let chemistry = equidrift::chemistry();
    let mut reader = SmilesReader::open(path, chemistry, OnBadLine::Skip).map_err(equidrift::Error::from)?;
    for record in &mut reader {
        let graph = record.map_err(equidrift::Error::from)?.graph;
        let graph = if hydrogens { with_hydrogens(&graph) } else { graph };
        let Ok(bonds) = BondEncoding::Orders.encode(&graph) else { continue };
        let edges: Vec<_> = bonds.into_iter().map(|(a, b, _)| (a, b)).collect();
        count(first, released, graph.node_count(), &edges)?;
    }
    Ok(())
}

/// Adds one graph.
fn count(
    first: &mut FirstBlocks,
    released: &ReleasedModel,
    nodes: usize,
    edges: &[(usize, usize)],
) -> Result<(), Failure> {
    let edges: Vec<_> = edges.iter().map(|&(a, b)| (a, b, 1)).collect();
    let graph = BlockGraph::new(&vec![0; nodes], &edges, released.max_hops, BlockDegree::OfLowestNode)
        .map_err(equidrift::Error::from)?;
    if let Some(&size) = graph.sizes.first() {
        *first.sizes.entry(size).or_insert(0) += 1;
        first.max_nodes = first.max_nodes.max(Some(nodes));
    }
    Ok(())
}
