//! Reading the files of a data set one after the other, and checking each against the manifest.

use std::path::Path;

use equidrift_molecule::Element;

use super::error::DatasetError;
use super::file_format::FileFormat;
use super::graphs::{GraphColumns, MOST_NODES};
use super::inputs::Found;
use super::manifest::Role;
use super::metadata::{Dropped, Source};
use super::molecules::MoleculeColumns;
use super::prepare::{Preparation, option};
use super::read_graphs::{read_graphs, read_labels};
use super::read_molecules::{Admission, Reading, read_molecules};
use super::request::PrepareProgress;
use super::splits::Parts;
use super::splitting::carried_splits;
use crate::error::Error;
use crate::training::Unusable;

/// What the sources gave, before it is split.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) sources: Vec<Source>,
    pub(super) source_parts: Vec<Option<String>>,
    pub(super) dropped: Dropped,
    /// Splits that a file of graphs carries.
    pub(super) carried: Vec<(String, Parts)>,
}

impl Preparation<'_> {
    /// Checks a file's digest as far as that can be done before it is read, and gives it.
    fn file_digest(&mut self, found: &Found<'_>) -> Result<String, Error> {
        let digest = found.input.sha256()?;
        let file = found.file;
        let expected = file.sha256.as_ref().filter(|expected| **expected != digest);
        if let (Some(expected), None) = (expected, &file.content_sha256) {
            let (path, expected) = (found.input.path.clone(), expected.clone());
            return Err(DatasetError::Sha256 { path, expected, found: digest }.into());
        }
        if self.manifest.is_some() && file.sha256.is_none() && file.content_sha256.is_none() {
            let path = found.input.path.display();
            self.watcher
                .note(&format!("note: {path}: no checksum is known; only the number of rows is checked"));
        }
        Ok(digest)
    }

    /// Checks what a file was found to hold against the manifest.
    fn check_content(
        &self,
        found: &Found<'_>,
        digest: &str,
        entries: u64,
        content: Option<&String>,
    ) -> Result<(), DatasetError> {
        let (file, path) = (found.file, &found.input.path);
        if self.manifest.is_some() {
            check_rows(path, file.rows, entries)?;
        }
        let same_file = file.sha256.as_deref() == Some(digest);
        match &file.content_sha256 {
            Some(expected) if !same_file && content != Some(expected) => Err(DatasetError::ContentSha256 {
                path: path.clone(),
                expected: expected.clone(),
                found: content
                    .cloned()
                    .unwrap_or_else(|| "not defined, since a record is unreadable".to_owned()),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn molecules(
        &mut self,
        data: &[&Found<'_>],
        gathered: &mut Gathered,
    ) -> Result<Option<MoleculeColumns>, Error> {
        let atoms =
            self.request.atoms.iter().map(|symbol| symbol.parse()).collect::<Result<Vec<Element>, _>>()?;
        let admission = Admission { atoms, most_atoms: self.most_nodes() };
        let mut columns = MoleculeColumns::new();
        for (index, found) in data.iter().enumerate() {
            let path = &found.input.path;
            let sha256 = self.file_digest(found)?;
            let format = self.format_of(found)?;
            let of = self.manifest.map(|_| found.file.rows);
            let watcher = &mut *self.watcher;
            let mut progress = |records| watcher.progress(PrepareProgress::Read { path, records, of });
            let reading = Reading {
                chemistry: self.chemistry,
                admission: &admission,
                fail: self.request.on_bad_record == Unusable::Fail,
                threads: self.request.threads,
                stop: self.stop,
            };
            let column = self.request.column.as_deref();
            let dropped = &mut gathered.dropped;
            let file =
                read_molecules(path, format, column, &reading, index, &mut columns, dropped, &mut progress)?;
            let Some(file) = file else { return Ok(None) };
            self.check_content(found, &sha256, file.entries, file.content_sha256.as_ref())?;
            gathered.source_parts.push(found.file.part.clone());
            gathered.sources.push(Source {
                file: found.input.name(),
                sha256: Some(sha256),
                content_sha256: file.content_sha256,
                drawn: None,
                rows: file.rows,
                entries: file.entries,
                records: file.records,
            });
        }
        Ok(Some(columns))
    }

    pub(super) fn graphs(
        &mut self,
        data: &[&Found<'_>],
        gathered: &mut Gathered,
    ) -> Result<Option<GraphColumns>, Error> {
        if !self.request.atoms.is_empty() || self.request.column.is_some() {
            return Err(option("--atoms and --column", "are for molecules").into());
        }
        let mut columns = GraphColumns::new();
        for (index, found) in data.iter().enumerate() {
            let path = &found.input.path;
            let sha256 = self.file_digest(found)?;
            let FileFormat::Graphs(format) = self.format_of(found)? else {
                return Err(DatasetError::UnknownFormat { path: path.clone() }.into());
            };
            let fail = self.request.on_bad_record == Unusable::Fail;
            let (most, dropped, stop) = (self.most_nodes(), &mut gathered.dropped, self.stop);
            let file = read_graphs(path, format, most, fail, index, &mut columns, dropped, &stop)?;
            let Some(file) = file else { return Ok(None) };
            self.check_content(found, &sha256, file.entries, file.content_sha256.as_ref())?;
            if format == equidrift_graph::Format::Json && file.records == file.entries && data.len() == 1 {
                let labels = read_labels(path)?;
                columns.node_label = labels.nodes.filter(|labels| labels.len() == columns.nodes());
                columns.graph_label = labels.graphs.filter(|labels| labels.len() == columns.len());
            }
            if data.len() == 1 {
                gathered.carried = carried_splits(path, &file.splits, file.entries)?;
            }
            gathered.source_parts.push(found.file.part.clone());
            gathered.sources.push(Source {
                file: found.input.name(),
                sha256: Some(sha256),
                content_sha256: file.content_sha256,
                drawn: None,
                rows: file.entries,
                entries: file.entries,
                records: file.records,
            });
        }
        Ok(Some(columns))
    }

    pub(super) fn most_nodes(&self) -> usize {
        self.request.most_nodes.unwrap_or(MOST_NODES).min(MOST_NODES)
    }

    /// The format of a file; a known data set knows whether it is of molecules.
    fn format_of(&self, found: &Found<'_>) -> Result<FileFormat, DatasetError> {
        if let Some(format) = self.request.format {
            return Ok(format);
        }
        match FileFormat::of_path(&found.input.path) {
            Err(_) if self.manifest.is_some() && found.file.role == Role::Molecules => Ok(FileFormat::Smiles),
            format => format,
        }
    }
}

/// That a file has the expected number of rows.
pub(super) fn check_rows(path: &Path, expected: u64, found: u64) -> Result<(), DatasetError> {
    if expected == found {
        return Ok(());
    }
    Err(DatasetError::Rows { path: path.to_owned(), expected, found })
}
