//! `equidrift datasets verify NAME_OR_FILE`

use std::fmt::Write;

use clap::Args;
use equidrift::datasets::Check;
use serde_json::json;

use super::{InputArgs, Watcher};
use crate::exit::{CliResult, Exit, Failure};
use crate::{progress, signal, stdout};

/// Check the files of a known data set, a file of your own, or a prepared file
///
/// For files: checksums, numbers of rows, every record read, sizes and coverage of the splits, bounds on elements, atoms,
/// nodes and edges, and the spelling of a sample. For a prepared file: its structure and checksum, and the same as far as it
/// can be seen; with --from, it is prepared again from those files and compared. Ends with exit code 3 and the reason if
/// something is wrong.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift datasets verify qm9 --from data/
  equidrift datasets verify qm9.eds
  equidrift datasets verify qm9.eds --from data/ --json
  equidrift datasets verify mine.smi.gz --sha256 85db08ee5443386d3e5a9830edeb2111ebbf1ccf3328094b04cbd02cd8fc6701")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    input: InputArgs,
}

pub(super) fn run(args: &VerifyArgs) -> CliResult {
    let request = args.input.request();
    let stop = signal::stop();
    let mut watcher = Watcher::new();
    let checks =
        equidrift::datasets::verify(&request, equidrift::chemistry(), &mut watcher, &|| stop.asked());
    watcher.bar.finish_and_clear();
    let Some(checks) = checks? else {
        progress::note("stopped");
        return Ok(Exit::Interrupted);
    };
    let failed: Vec<&Check> = checks.iter().filter(|check| !check.passed).collect();
    if args.input.json {
        stdout::json(&json!({"passed": failed.is_empty(), "checks": checks}))?;
    } else {
        stdout::text(&table(&checks))?;
    }
    match failed.first() {
        None => Ok(Exit::Ok),
        Some(first) => {
            let name = &args.input.name;
            let message = format!(
                "{name}: {} of {} checks failed, first {}: {}",
                failed.len(),
                checks.len(),
                first.what,
                first.found
            );
            Err(Failure::message(Exit::BadInput, message))
        }
    }
}

fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.what.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let mark = if check.passed { "ok   " } else { "WRONG" };
        let _ = writeln!(text, "{mark}  {:width$}  {}", check.what, check.found);
    }
    text
}
