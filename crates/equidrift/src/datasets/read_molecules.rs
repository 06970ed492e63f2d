//! A file of molecules, read, checked and spelt on all cores.
//!
//! One thread at a time takes the next few hundred records from the file and then works on them; results are put together in
//! the order of the file, so they do not depend on the number of threads.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};

use equidrift_molecule::{
    Chemistry, CsvRows, Element, MolecularGraph, MoleculeError, SdfRecords, SmilesLines,
};
use sha2::{Digest, Sha256};

use super::columns::hexadecimal;
use super::error::DatasetError;
use super::file_format::FileFormat;
use super::metadata::{DropReason, Dropped, DroppedRecord};
use super::molecules::{MOST_MOLECULES, MoleculeColumns};
use crate::error::Error;

/// Records that a thread takes at a time.
const CHUNK: usize = 256;
/// Row numbers are below this.
const MOST_ROWS: u64 = 200_000_000;

/// Which molecules are let in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission {
    /// The only elements; empty: all.
    pub(crate) atoms: Vec<Element>,
    /// The most heavy atoms.
    pub(crate) most_atoms: usize,
}

/// How to read.
pub(crate) struct Reading<'a> {
    pub(crate) chemistry: &'a dyn Chemistry,
    pub(crate) admission: &'a Admission,
    /// Whether the first record that cannot be used is an error.
    pub(crate) fail: bool,
    pub(crate) threads: usize,
    pub(crate) stop: &'a (dyn Fn() -> bool + Sync),
}

/// What a file was found to hold.
pub(crate) struct MoleculeFile {
    pub(crate) rows: u64,
    pub(crate) entries: u64,
    pub(crate) records: u64,
    /// SHA-256 of the SMILES, one a line; `None` for a file without SMILES or with an entry that is no text.
    pub(crate) content_sha256: Option<String>,
}

/// A record as it stands in the file.
struct Raw {
    row: u64,
    line: u64,
    content: Content,
}

enum Content {
    Smiles(String),
    Graph(MolecularGraph),
    Unreadable(String),
}

/// A record as it goes into the columns, or not.
enum Outcome {
    Molecule { row: u64, graph: MolecularGraph, canonical: String },
    Drop { line: u64, why: DropReason, reason: String },
}

enum Records {
    Smiles(SmilesLines),
    Csv(CsvRows),
    Sdf(SdfRecords),
}

impl Records {
    fn next(&mut self) -> Option<Result<Raw, MoleculeError>> {
        let smiles = |row, line, smiles| Raw { row, line, content: Content::Smiles(smiles) };
        Some(match self {
            Self::Smiles(lines) => lines.next()?.map(|l| smiles(l.line - 1, l.line, l.smiles)),
            Self::Csv(rows) => rows.next()?.map(|r| smiles(r.row, r.line, r.smiles)),
            Self::Sdf(records) => {
                records.next()?.map(|r| Raw { row: r.row, line: r.line, content: Content::Graph(r.graph) })
            }
        })
    }

    /// One past the last row number so far.
    fn rows(&self) -> u64 {
        match self {
            Self::Smiles(lines) => lines.lines_read(),
            Self::Csv(rows) => rows.rows(),
            Self::Sdf(records) => records.rows(),
        }
    }
}

/// The file with what was seen of it.
struct Feed<'a> {
    path: &'a Path,
    records: Records,
    content: Option<Sha256>,
    entries: u64,
    chunks: usize,
    failed: Option<Error>,
}

impl Feed<'_> {
    /// The next records with the number of their chunk; none at the end of the file or when it cannot be read further.
    fn take(&mut self) -> Option<(usize, Vec<Raw>)> {
        let mut chunk = Vec::with_capacity(CHUNK);
        while chunk.len() < CHUNK && self.failed.is_none() {
            let raw = match self.records.next() {
                None => break,
                Some(Ok(raw)) => raw,
                Some(Err(MoleculeError::Line { line, reason, .. })) => {
                    Raw { row: self.records.rows(), line, content: Content::Unreadable(reason) }
                }
                Some(Err(error)) => {
                    self.failed = Some(error.into());
                    break;
                }
            };
            match (&raw.content, &mut self.content) {
                (Content::Smiles(smiles), Some(hasher)) => {
                    hasher.update(smiles.as_bytes());
                    hasher.update(b"\n");
                }
                _ => self.content = None,
            }
            self.entries += 1;
            let too_many = if self.entries > MOST_MOLECULES {
                Some(("molecules", MOST_MOLECULES))
            } else {
                (self.records.rows() > MOST_ROWS).then_some(("rows", MOST_ROWS))
            };
            if let Some((what, maximum)) = too_many {
                let path = self.path.to_owned();
                self.failed = Some(DatasetError::TooMany { path, what, maximum }.into());
                break;
            }
            chunk.push(raw);
        }
        let number = self.chunks;
        self.chunks += 1;
        (!chunk.is_empty()).then_some((number, chunk))
    }
}

/// Reads a file into `columns`; what cannot be used is counted in `dropped` as of `source`. `None` if a stop was asked.
///
/// # Errors
/// A file that cannot be opened or read to its end, a table without the column, more than the columns can hold, with
/// `fail` a record that cannot be used.
#[expect(clippy::too_many_arguments, reason = "two of them are results")]
pub(crate) fn read_molecules(
    path: &Path,
    format: FileFormat,
    column: Option<&str>,
    reading: &Reading<'_>,
    source: usize,
    columns: &mut MoleculeColumns,
    dropped: &mut Dropped,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<MoleculeFile>, Error> {
    let records = match format {
        FileFormat::Csv => Records::Csv(CsvRows::open(path, column)?),
        FileFormat::Sdf => Records::Sdf(SdfRecords::open(path)?),
        _ => Records::Smiles(SmilesLines::open(path)?),
    };
    let content = (format != FileFormat::Sdf).then(Sha256::new);
    let feed = Mutex::new(Feed { path, records, content, entries: 0, chunks: 0, failed: None });
    let before = columns.len();
    let mut failed = None;
    std::thread::scope(|scope| {
        let (results, arriving) = mpsc::sync_channel(reading.threads.max(1));
        for _ in 0..reading.threads.max(1) {
            let (results, feed) = (results.clone(), &feed);
            scope.spawn(move || {
                while !(reading.stop)() {
                    // The lock guards a reader that is in a valid state even after a panic of another thread.
                    let chunk = feed.lock().unwrap_or_else(PoisonError::into_inner).take();
                    let Some((number, chunk)) = chunk else { break };
                    let outcomes: Vec<Outcome> = chunk.into_iter().map(|raw| work(raw, reading)).collect();
                    if results.send((number, outcomes)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(results);
        let (mut early, mut next, mut done) = (BTreeMap::new(), 0, 0);
        // Leaving the loop ends the threads: their next result finds nobody.
        for (number, outcomes) in arriving {
            early.insert(number, outcomes);
            while let Some(outcomes) = early.remove(&next) {
                next += 1;
                done += outcomes.len() as u64;
                for outcome in outcomes {
                    if let Err(error) = deliver(outcome, path, reading.fail, source, columns, dropped) {
                        failed = Some(error);
                        return;
                    }
                }
                progress(done);
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let feed = feed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = feed.failed {
        return Err(error);
    }
    if (reading.stop)() {
        return Ok(None);
    }
    Ok(Some(MoleculeFile {
        rows: feed.records.rows(),
        entries: feed.entries,
        records: (columns.len() - before) as u64,
        content_sha256: feed.content.map(|hasher| hexadecimal(&hasher.finalize())),
    }))
}

/// Reads and spells one record.
fn work(raw: Raw, reading: &Reading<'_>) -> Outcome {
    let Raw { row, line, content } = raw;
    let drop = |why, reason| Outcome::Drop { line, why, reason };
    let read = match &content {
        Content::Unreadable(reason) => return drop(DropReason::Unreadable, reason.clone()),
        Content::Smiles(smiles) => reading.chemistry.parse_smiles(smiles),
        Content::Graph(graph) => Ok(graph.clone()),
    };
    let graph = match read {
        Ok(graph) => graph,
        Err(error) => return drop(DropReason::NoMolecule, error.to_string()),
    };
    let Admission { atoms, most_atoms } = reading.admission;
    if graph.node_count() > *most_atoms {
        let reason = format!("{} heavy atoms; at most {most_atoms} are let in", graph.node_count());
        return drop(DropReason::TooLarge, reason);
    }
    let other = |element: &Element| !atoms.is_empty() && !atoms.contains(element);
    if let Some(element) = graph.node_weights().map(|atom| atom.element).find(other) {
        return drop(DropReason::OtherAtoms, format!("atom {element} is not let in"));
    }
    let spelt = match &content {
        Content::Smiles(smiles) => reading.chemistry.canonicalise(smiles),
        _ => reading.chemistry.canonical_smiles(&graph),
    };
    match spelt {
        Ok(canonical) if !canonical.is_empty() => Outcome::Molecule { row, graph, canonical },
        Ok(_) => drop(DropReason::NoMolecule, "it has no atoms".to_owned()),
        Err(error) => drop(DropReason::NoMolecule, error.to_string()),
    }
}

/// Puts a result where it belongs.
fn deliver(
    outcome: Outcome,
    path: &Path,
    fail: bool,
    source: usize,
    columns: &mut MoleculeColumns,
    dropped: &mut Dropped,
) -> Result<(), Error> {
    match outcome {
        Outcome::Molecule { row, graph, canonical } => {
            // Rows are far below 2^32, checked on the way in.
            if !columns.push(row as u32, &graph, &canonical) {
                let (path, what) = (path.to_owned(), "molecules, atoms or bonds together");
                return Err(DatasetError::TooMany { path, what, maximum: MOST_MOLECULES }.into());
            }
        }
        Outcome::Drop { line, reason, .. } if fail => {
            return Err(DatasetError::Record { path: path.to_owned(), line, reason }.into());
        }
        Outcome::Drop { line, why, reason } => dropped.add(DroppedRecord { source, line, why, reason }),
    }
    Ok(())
}
