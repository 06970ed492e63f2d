//! From files, addresses or a recipe to a prepared data set.

use std::collections::BTreeMap;
use std::path::Path;

use equidrift_molecule::Chemistry;

use super::error::DatasetError;
use super::file_format::FileFormat;
use super::gather::{Gathered, check_rows};
use super::generate::generate;
use super::graphs::{GraphColumns, PreparedGraphs};
use super::inputs::{self, Fetching, Found, Input};
use super::manifest::{DataFile, DatasetManifest, Kind, Role};
use super::metadata::{PREPARED_VERSION, PreparedMetadata, Source};
use super::molecules::PreparedMolecules;
use super::prepared::Prepared;
use super::request::{PrepareProgress, PrepareRequest, PrepareWatcher};
use super::rows::read_rows;
use super::splits::RowLists;
use crate::error::Error;

/// Reads, checks and prepares a data set. `None` if `stop` answered true.
///
/// # Errors
/// Files that are missing, cannot be read or are not those of the data set; see [`DatasetError`].
pub fn prepare(
    request: &PrepareRequest,
    chemistry: &dyn Chemistry,
    watcher: &mut dyn PrepareWatcher,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Prepared>, Error> {
    let manifest = DatasetManifest::find(&request.name)?;
    if request.generate.is_some() {
        let Some(manifest) = &manifest else {
            return Err(option("--generate", "is for known data sets that are recipes").into());
        };
        let Some((columns, source)) = generate(request, manifest, watcher, stop)? else { return Ok(None) };
        let mut preparation = Preparation { request, manifest: Some(manifest), watcher, stop, chemistry };
        return preparation.drawn(columns, source).map(Some);
    }
    let is_input = |name: &str| name.contains("://") || Path::new(name).exists();
    match &manifest {
        Some(manifest) => check_known(request, manifest)?,
        None if !request.from.is_empty() => {
            return Err(option("--from", "is for known data sets; name the file itself").into());
        }
        None if is_input(&request.name) => {}
        None => {
            let (name, known) = (request.name.clone(), DatasetManifest::names());
            return Err(DatasetError::Unknown { name, known }.into());
        }
    }
    let mut fetched = |bytes| watcher.progress(PrepareProgress::Fetched { bytes });
    let mut fetching = Fetching { limit: request.download_limit, stop, progress: &mut fetched };
    let user_file;
    let files = match &manifest {
        Some(manifest) => inputs::find(manifest, &request.from, &mut fetching)?,
        None => {
            let input = inputs::resolve(&request.name, &mut fetching)?;
            user_file = match &input {
                Some(input) => user_data_file(request, input)?,
                None => return Ok(None),
            };
            input.map(|input| vec![Found { file: &user_file, input }])
        }
    };
    let Some(files) = files else { return Ok(None) };
    let mut preparation = Preparation { request, manifest: manifest.as_ref(), watcher, stop, chemistry };
    preparation.run(&files)
}

/// What makes no sense for a known data set.
fn check_known(request: &PrepareRequest, manifest: &DatasetManifest) -> Result<(), DatasetError> {
    let known =
        |name: &'static str| option(name, "is for your own files; the manifest of a known data set says it");
    if !request.splits.is_empty() {
        return Err(known("--split"));
    }
    if request.test_rows.is_some() {
        return Err(known("--test-rows"));
    }
    if request.sha256.is_some() {
        return Err(known("--sha256"));
    }
    if manifest.files.is_empty() {
        let reason = format!("{} has no files to read, only a recipe: use --generate", manifest.title);
        return Err(DatasetError::Option { option: "--from", reason });
    }
    if request.from.is_empty() {
        let line = |file: &DataFile| format!("{}: {}", file.name, file.source);
        let files = manifest.files.iter().map(line).collect();
        return Err(DatasetError::NoSource { dataset: manifest.title.clone(), files });
    }
    Ok(())
}

pub(super) fn option(option: &'static str, reason: &str) -> DatasetError {
    DatasetError::Option { option, reason: reason.to_owned() }
}

/// A user's file as if a manifest described it.
fn user_data_file(request: &PrepareRequest, input: &Input) -> Result<DataFile, DatasetError> {
    let kind = request.format.map_or_else(|| FileFormat::of_path(&input.path), Ok)?.kind();
    Ok(DataFile {
        role: if kind == Kind::Graphs { Role::Graphs } else { Role::Molecules },
        name: input.name(),
        part: None,
        content: String::new(),
        rows: 0,
        sha256: request.sha256.as_ref().map(|digest| digest.to_ascii_lowercase()),
        content_sha256: None,
        also_named: Vec::new(),
        source: String::new(),
    })
}

/// A preparation under way.
pub(super) struct Preparation<'a> {
    pub(super) request: &'a PrepareRequest,
    pub(super) manifest: Option<&'a DatasetManifest>,
    pub(super) watcher: &'a mut dyn PrepareWatcher,
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
    pub(super) chemistry: &'a dyn Chemistry,
}

impl Preparation<'_> {
    fn run(&mut self, files: &[Found<'_>]) -> Result<Option<Prepared>, Error> {
        let data: Vec<&Found<'_>> = files.iter().filter(|found| found.file.role != Role::Rows).collect();
        let Some(lists) = self.row_lists(files)? else { return Ok(None) };
        let graphs = data.iter().any(|found| found.file.role == Role::Graphs);
        let mut gathered = Gathered::default();
        if graphs {
            let Some(columns) = self.graphs(&data, &mut gathered)? else { return Ok(None) };
            self.check_used(&data, columns.len(), &gathered)?;
            let memberships = self.split(&gathered, columns.rows(), &lists)?;
            let metadata = self.metadata(Kind::Graphs, gathered, &memberships.0);
            Ok(Some(Prepared::Graphs(PreparedGraphs::new(metadata, columns, memberships.1))))
        } else {
            let Some(columns) = self.molecules(&data, &mut gathered)? else { return Ok(None) };
            self.check_used(&data, columns.len(), &gathered)?;
            let memberships = self.split(&gathered, columns.rows(), &lists)?;
            let metadata = self.metadata(Kind::Molecules, gathered, &memberships.0);
            Ok(Some(Prepared::Molecules(PreparedMolecules::new(metadata, columns, memberships.1))))
        }
    }

    /// A set of drawn graphs.
    fn drawn(&mut self, columns: GraphColumns, source: Source) -> Result<Prepared, Error> {
        let gathered = Gathered { sources: vec![source], source_parts: vec![None], ..Gathered::default() };
        let (names, memberships) = self.split(&gathered, columns.rows(), &RowLists::new())?;
        let metadata = self.metadata(Kind::Graphs, gathered, &names);
        Ok(Prepared::Graphs(PreparedGraphs::new(metadata, columns, memberships)))
    }

    /// The lists of rows that are at hand, by the name of their file, checked against the manifest.
    fn row_lists(&mut self, files: &[Found<'_>]) -> Result<Option<RowLists>, Error> {
        let mut lists = RowLists::new();
        for Found { file, input } in files.iter().filter(|found| found.file.role == Role::Rows) {
            let rows = read_rows(&input.path)?;
            check_rows(&input.path, file.rows, rows.len() as u64)?;
            // The published JSON and the plain list hold the same numbers in the same order.
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            let found = equidrift_backend::checksum::sha256(text.as_bytes());
            if let Some(expected) = file.sha256.as_ref().filter(|expected| **expected != found) {
                let (path, expected) = (input.path.clone(), expected.clone());
                return Err(DatasetError::Sha256 { path, expected, found }.into());
            }
            lists.insert(file.name.clone(), rows);
        }
        Ok((!(self.stop)()).then_some(lists))
    }

    /// That something is left.
    fn check_used(
        &self,
        data: &[&Found<'_>],
        records: usize,
        gathered: &Gathered,
    ) -> Result<(), DatasetError> {
        if records > 0 {
            return Ok(());
        }
        let path = data.first().map(|found| found.input.path.clone()).unwrap_or_default();
        let first = gathered.dropped.examples.first();
        let reason = first.map(|record| format!("line {}: {}", record.line, record.reason));
        Err(DatasetError::Nothing { path, reason })
    }

    fn metadata(
        &self,
        kind: Kind,
        gathered: Gathered,
        splits: &BTreeMap<String, Vec<String>>,
    ) -> PreparedMetadata {
        let stem = |source: &Source| {
            let name = source.file.strip_suffix(".gz").unwrap_or(&source.file);
            name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
        };
        let name = match self.manifest {
            Some(manifest) => manifest.name.clone(),
            None => gathered.sources.first().map(stem).unwrap_or_default(),
        };
        PreparedMetadata {
            format_version: PREPARED_VERSION,
            kind,
            name,
            programme: concat!("equidrift ", env!("CARGO_PKG_VERSION")).to_owned(),
            chemistry: (kind == Kind::Molecules).then(|| self.chemistry.name().to_owned()),
            atoms: self.request.atoms.clone(),
            most_nodes: self.most_nodes(),
            sources: gathered.sources,
            splits: splits.clone(),
            dropped: gathered.dropped,
            data_sha256: String::new(),
        }
    }
}
