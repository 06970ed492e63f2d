//! `equidrift datasets prepare NAME_OR_FILE`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use equidrift::datasets::{DatasetManifest, Drawing, PREPARED_SUFFIX, PrepareRequest, Prepared, UserSplit};
use equidrift::training::Unusable;

use super::{InputArgs, Watcher, summary};
use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, signal, stdout};

/// Records left out that are shown one by one before they are only counted.
const SHOWN: usize = 10;

/// Read, check and spell a data set once, into one compact file (.eds) that training and evaluation open
///
/// A known data set is checked against its manifest: checksums, numbers of rows, sizes of the splits. Molecules come from
/// .smi, .csv, .tsv and .sdf files, graphs from .json, .jsonl, .graphml and edge lists, each with or without .gz. Records
/// that cannot be used are counted, named by line and left out. Nothing is fetched unless you give an address.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift datasets prepare qm9 --from data/ -o qm9.eds
  equidrift datasets prepare zinc250k --from 250k_rndm_zinc_drugs_clean_3.csv --from valid_idx_zinc250k.json
  equidrift datasets prepare guacamol --from https://ndownloader.figshare.com/files/13612757 --threads 2
  equidrift datasets prepare mine.csv.gz --column structure --atoms C,N,O,S --max-nodes 40 --split digress
  equidrift datasets prepare planar --generate --num 200 --seed 0
  equidrift datasets prepare ego_small --generate --from citeseer.edges
  equidrift datasets prepare networks.graphml --split gdss -o networks.eds
  equidrift train molecules --data qm9.eds --split gdss --preset qm9 -o model")]
pub(super) struct PrepareArgs {
    #[command(flatten)]
    input: InputArgs,
    /// The prepared file [default: NAME.eds in the current folder]
    #[arg(short, long, value_name = "FILE.eds")]
    output: Option<PathBuf>,
    /// Draw a known data set that is a recipe, instead of reading files (ego_small needs a network in --from)
    #[arg(long)]
    generate: bool,
    /// Graphs to draw [default: as many as the published set has]
    #[arg(long, requires = "generate", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    num: Option<u64>,
    /// Seed of what is drawn
    #[arg(long, requires = "generate", default_value = "0")]
    seed: u64,
    /// Split a file of your own by a published rule; may be repeated: gdss (first fifth tests), pard_arm (16 % val, 64 % train,
    /// 20 % test, in order), digress and spectre (64 / 16 / 20 %, permuted with their seeds)
    #[arg(long, value_name = "RULE")]
    split: Vec<UserSplit>,
    /// Rows of a file of your own that are part `test` of split `rows`: 0-based numbers, one a line
    #[arg(long, value_name = "FILE")]
    test_rows: Option<PathBuf>,
    /// Let in only molecules of these elements, e.g. C,N,O,F
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    atoms: Vec<String>,
    /// Let in only molecules of at most so many heavy atoms, or graphs of so many nodes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_nodes: Option<u32>,
    /// What to do with a record that cannot be used
    #[arg(long, value_enum, default_value = "skip")]
    on_bad_record: OnBadRecord,
}

/// What to do with a record that cannot be used.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OnBadRecord {
    /// Leave it out, count it and name it
    Skip,
    /// End with exit code 3
    Fail,
}

pub(super) fn run(args: &PrepareArgs) -> CliResult {
    let request = PrepareRequest {
        generate: args.generate.then_some(Drawing { num: args.num, seed: args.seed }),
        splits: args.split.clone(),
        test_rows: args.test_rows.clone(),
        atoms: args.atoms.iter().map(|symbol| symbol.trim().to_owned()).collect(),
        most_nodes: args.max_nodes.map(|most| most as usize),
        on_bad_record: match args.on_bad_record {
            OnBadRecord::Skip => Unusable::Skip,
            OnBadRecord::Fail => Unusable::Fail,
        },
        ..args.input.request()
    };
    if let Some(output) = &args.output {
        check_output(output, &request)?;
    }
    let stop = signal::stop();
    let mut watcher = Watcher::new();
    let prepared =
        equidrift::datasets::prepare(&request, equidrift::chemistry(), &mut watcher, &|| stop.asked());
    watcher.bar.finish_and_clear();
    let Some(set) = prepared? else {
        progress::note("stopped; nothing was written");
        return Ok(Exit::Interrupted);
    };
    let output = args.output.clone().unwrap_or_else(|| default_output(&args.input.name, &set));
    set.write(&output)?;
    tell(&set);
    progress::note(&format!("{}: {} {}", output.display(), set.len(), set.metadata().kind.name()));
    if args.input.json {
        let mut value = summary(&set);
        value["output"] = output.display().to_string().into();
        return stdout::json(&value);
    }
    Ok(Exit::Ok)
}

/// That the output is named as such a file is, and is none of the inputs.
fn check_output(output: &Path, request: &PrepareRequest) -> Result<(), Failure> {
    let usage =
        |reason: &str| Err(Failure::message(Exit::Usage, format_args!("{}: {reason}", output.display())));
    if output.extension().is_none_or(|suffix| suffix != PREPARED_SUFFIX) {
        return usage("a prepared file has the suffix .eds");
    }
    let place = output.canonicalize().ok();
    let same = |input: &String| place.is_some() && Path::new(input).canonicalize().ok() == place;
    if std::iter::once(&request.name).chain(&request.from).any(same) {
        return usage("it is both an input and the output");
    }
    Ok(())
}

fn default_output(name: &str, set: &Prepared) -> PathBuf {
    let known = DatasetManifest::find(name).ok().flatten();
    let stem = known.map_or_else(|| set.metadata().name.clone(), |manifest| manifest.name);
    PathBuf::from(format!("{stem}.{PREPARED_SUFFIX}"))
}

/// What was left out, and the parts.
fn tell(set: &Prepared) {
    let metadata = set.metadata();
    let dropped = &metadata.dropped;
    for record in dropped.examples.iter().take(SHOWN) {
        let file = metadata.sources.get(record.source).map_or("", |source| source.file.as_str());
        progress::note(&format!("warning: {file}:{}: {}", record.line, record.reason));
    }
    let total = dropped.total();
    if total > SHOWN as u64 {
        progress::note(&format!("warning: ... and {} more", total - SHOWN as u64));
    }
    let counted: Vec<String> =
        dropped.by_reason.iter().map(|(reason, count)| format!("{count} {}", reason.name())).collect();
    if total > 0 {
        progress::note(&format!("{total} records left out: {}", counted.join(", ")));
    }
    for (scheme, counts) in set.part_counts() {
        let counts: Vec<String> = counts.iter().map(|(part, count)| format!("{part} {count}")).collect();
        progress::note(&format!("split {scheme}: {}", counts.join(", ")));
    }
}
