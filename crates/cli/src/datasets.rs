//! `equidrift datasets list|show|prepare|verify`

use std::fmt::Write;
use std::path::Path;

use clap::{Args, Subcommand};
use equidrift::datasets::{
    DatasetManifest, FileFormat, PrepareProgress, PrepareRequest, PrepareWatcher, Prepared, is_prepared,
};
use indicatif::ProgressBar;
use serde_json::json;

use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, stdout};

mod prepare;
mod verify;

/// Known data sets, and the compact file that any data set is prepared into
#[derive(Debug, Args)]
pub(crate) struct DatasetsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(ListArgs),
    Show(ShowArgs),
    Prepare(Box<prepare::PrepareArgs>),
    Verify(Box<verify::VerifyArgs>),
}

/// The known data sets
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift datasets list
  equidrift datasets list --json")]
struct ListArgs {
    /// Everything their manifests say, as JSON
    #[arg(long)]
    json: bool,
}

/// What is known of a data set: origin, licence, files and where to get them, splits; or what a prepared file holds
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift datasets show qm9
  equidrift datasets show qm9.eds --json")]
struct ShowArgs {
    /// A known data set, or a prepared file (.eds)
    #[arg(value_name = "NAME_OR_FILE")]
    name: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Files that data are read from.
#[derive(Debug, Args)]
struct InputArgs {
    /// A known data set (see `datasets list`), a file, or an http(s) address of one
    #[arg(value_name = "NAME_OR_FILE")]
    name: String,
    /// Where the files of a known data set are: a file, a folder with them, or an http(s) address; may be repeated. Addresses
    /// are fetched with curl or wget
    #[arg(long, value_name = "FILE|DIR|URL")]
    from: Vec<String>,
    /// Format of a file, if its suffix does not tell: smi, csv, sdf, json, jsonl, graphml, edges
    #[arg(long, value_name = "FORMAT")]
    format: Option<FileFormat>,
    /// Column of a table that holds the SMILES [default: smiles or canonical_smiles]
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Expected SHA-256 of a file of your own
    #[arg(long, value_name = "HEX", value_parser = digest)]
    sha256: Option<String>,
    /// The most MiB that are fetched from an address
    #[arg(long, value_name = "MIB", default_value = "4096", value_parser = clap::value_parser!(u64).range(1..1 << 40))]
    max_download: u64,
    /// Threads; they change speed, never a byte [default: one per processor]
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// As JSON on standard output
    #[arg(long)]
    json: bool,
}

impl InputArgs {
    fn request(&self) -> PrepareRequest {
        let mut request = PrepareRequest::new(&self.name);
        request.from.clone_from(&self.from);
        request.format = self.format;
        request.column.clone_from(&self.column);
        request.sha256.clone_from(&self.sha256);
        request.download_limit = self.max_download << 20;
        if let Some(threads) = self.threads {
            request.threads = threads as usize;
        }
        request
    }
}

fn digest(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected 64 hexadecimal digits".to_owned()),
    }
}

/// Shows progress and notes on standard error.
struct Watcher {
    bar: ProgressBar,
    of: Option<(std::path::PathBuf, Option<u64>)>,
}

impl Watcher {
    fn new() -> Self {
        Self { bar: ProgressBar::hidden(), of: None }
    }
}

impl PrepareWatcher for Watcher {
    fn progress(&mut self, progress: PrepareProgress<'_>) {
        match progress {
            PrepareProgress::Fetched { bytes } => {
                if self.of.is_none() {
                    self.of = Some((std::path::PathBuf::new(), None));
                    self.bar = crate::progress::bar(0, "bytes fetched");
                }
                self.bar.set_length(bytes);
                self.bar.set_position(bytes);
            }
            PrepareProgress::Read { path, records, of } => {
                let now = Some((path.to_owned(), of));
                if self.of != now {
                    self.of = now;
                    self.bar.finish_and_clear();
                    self.bar = crate::progress::bar(of.unwrap_or(0), "records");
                }
                if of.is_none() {
                    self.bar.set_length(records);
                }
                self.bar.set_position(records);
            }
        }
    }

    fn note(&mut self, note: &str) {
        self.bar.suspend(|| progress::note(note));
    }
}

pub(crate) fn run(args: &DatasetsArgs) -> CliResult {
    match &args.what {
        What::List(args) => list(args),
        What::Show(args) => show(args),
        What::Prepare(args) => prepare::run(args),
        What::Verify(args) => verify::run(args),
    }
}

fn list(args: &ListArgs) -> CliResult {
    let manifests = DatasetManifest::all().map_err(equidrift::Error::from)?;
    if args.json {
        return stdout::json(&manifests);
    }
    let mut text = format!("{:17}{:11}{:>9}  {:22}{}\n", "name", "kind", "size", "splits", "licence");
    for manifest in manifests {
        let splits: Vec<&str> = manifest.splits.keys().map(String::as_str).collect();
        let _ = writeln!(
            text,
            "{:17}{:11}{:>9}  {:22}{}",
            manifest.name,
            manifest.kind.name(),
            manifest.size,
            splits.join(", "),
            manifest.licence
        );
    }
    stdout::text(&text)
}

fn show(args: &ShowArgs) -> CliResult {
    let path = Path::new(&args.name);
    if let Some(manifest) = DatasetManifest::find(&args.name).map_err(equidrift::Error::from)? {
        return if args.json { stdout::json(&manifest) } else { stdout::text(&described(&manifest)) };
    }
    if !path.exists() {
        let known = DatasetManifest::names();
        let error = equidrift::datasets::DatasetError::Unknown { name: args.name.clone(), known };
        return Err(equidrift::Error::from(error).into());
    }
    if !is_prepared(path) {
        let message = format!("{}: no prepared data set; make one with `datasets prepare`", path.display());
        return Err(Failure::message(Exit::BadInput, message));
    }
    let set = Prepared::open(path)?;
    if args.json { stdout::json(&summary(&set)) } else { stdout::text(&contents(&set)) }
}

/// A manifest for people.
fn described(manifest: &DatasetManifest) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:10}{value}");
    };
    line("name", &manifest.name);
    line("title", &format!("{}: {}", manifest.title, manifest.about));
    line("size", &format!("{} {}", manifest.size, manifest.kind.name()));
    line("origin", &manifest.origin);
    line("licence", &manifest.licence);
    for file in &manifest.files {
        line("file", &format!("{}: {}, {} rows", file.name, file.content, file.rows));
        if !file.also_named.is_empty() {
            line("", &format!("  also as {}", file.also_named.join(", ")));
        }
        line("", &format!("  sha256 {}", file.sha256.as_deref().unwrap_or("not known")));
        if let Some(digest) =
            file.content_sha256.as_ref().filter(|digest| Some(*digest) != file.sha256.as_ref())
        {
            line("", &format!("  sha256 of the content, however it is packed: {digest}"));
        }
        line("", &format!("  from {}", file.source));
    }
    for (scheme, split) in &manifest.splits {
        let counts: Vec<String> =
            split.counts.iter().map(|(part, count)| format!("{part} {count}")).collect();
        line("split", &format!("{scheme}: {}", split.about));
        if !counts.is_empty() {
            line("", &format!("  {}", counts.join(", ")));
        }
    }
    if let Some(recipe) = &manifest.recipe {
        line("recipe", &recipe.about);
        line("", &format!("  datasets prepare {} --generate", manifest.name));
    }
    if let Some(molecules) = &manifest.molecules {
        if !molecules.atoms.is_empty() {
            line("atoms", &molecules.atoms.join(" "));
        }
        if let Some(most) = molecules.max_atoms {
            line("", &format!("at most {most} heavy atoms"));
        }
        line("features", &molecules.features);
    }
    if let Some(graphs) = &manifest.graphs {
        line("nodes", &format!("{} to {}", graphs.nodes[0], graphs.nodes[1]));
        line("edges", &format!("{} to {}", graphs.edges[0], graphs.edges[1]));
        line("features", &graphs.features);
    }
    text
}

/// A prepared set for people.
fn contents(set: &Prepared) -> String {
    let metadata = set.metadata();
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:10}{value}");
    };
    line("name", &metadata.name);
    line("size", &format!("{} {}", set.len(), metadata.kind.name()));
    line(
        "by",
        &format!(
            "{}{}",
            metadata.programme,
            metadata.chemistry.as_ref().map_or_else(String::new, |name| format!(", {name}"))
        ),
    );
    for source in &metadata.sources {
        line("source", &format!("{}: {} of {} records", source.file, source.records, source.entries));
        if let Some(digest) = &source.sha256 {
            line("", &format!("  sha256 {digest}"));
        }
        if let Some(drawn) = &source.drawn {
            line("", &format!("  {} graphs of recipe {}, seed {}", drawn.num, drawn.recipe, drawn.seed));
        }
    }
    for (scheme, counts) in set.part_counts() {
        let counts: Vec<String> = counts.iter().map(|(part, count)| format!("{part} {count}")).collect();
        line("split", &format!("{scheme}: {}", counts.join(", ")));
    }
    for (reason, count) in &metadata.dropped.by_reason {
        line("left out", &format!("{count} {}", reason.name()));
    }
    line("sha256", &format!("{} (of the columns)", metadata.data_sha256));
    text
}

/// A prepared set for machines.
fn summary(set: &Prepared) -> serde_json::Value {
    let counts: serde_json::Map<String, serde_json::Value> = set
        .part_counts()
        .into_iter()
        .map(|(scheme, counts)| {
            (
                scheme,
                counts
                    .into_iter()
                    .map(|(part, count)| (part, count.into()))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            )
        })
        .collect();
    json!({"records": set.len(), "parts": counts, "metadata": set.metadata()})
}
