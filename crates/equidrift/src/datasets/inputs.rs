//! From what the user names to files on this machine, and to their place in a known data set.

use std::path::{Path, PathBuf};

use equidrift_backend::checksum::sha256_file;

use super::download::{self, Download};
use super::error::DatasetError;
use super::manifest::{DataFile, DatasetManifest, Role};
use crate::error::Error;

/// A file to be read.
#[derive(Debug)]
pub(crate) struct Input {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Its digest, if it was computed on the way.
    sha256: Option<String>,
    /// Keeps a fetched file alive.
    _download: Option<Download>,
}

impl Input {
    fn local(path: PathBuf) -> Self {
        Self { path, sha256: None, _download: None }
    }

    /// The file's digest.
    pub(crate) fn sha256(&self) -> Result<String, Error> {
        match &self.sha256 {
            Some(digest) => Ok(digest.clone()),
            None => sha256_file(&self.path).map_err(|source| Error::Read { path: self.path.clone(), source }),
        }
    }

    /// The file's name without its folder.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// How addresses are fetched.
pub(crate) struct Fetching<'a> {
    /// The most bytes of a file.
    pub(crate) limit: u64,
    /// Whether to give up.
    pub(crate) stop: &'a dyn Fn() -> bool,
    /// Told how many bytes have come.
    pub(crate) progress: &'a mut dyn FnMut(u64),
}

/// The file or folder that a text names: a path, `file://` or an address, which is fetched. `None` if a stop was asked.
pub(crate) fn resolve(text: &str, fetching: &mut Fetching<'_>) -> Result<Option<Input>, Error> {
    if download::is_address(text) {
        let download = download::fetch(text, fetching.limit, fetching.stop, fetching.progress)?;
        return Ok(download.map(|download| Input {
            path: download.path.clone(),
            sha256: Some(download.sha256.clone()),
            _download: Some(download),
        }));
    }
    let path = match text.strip_prefix("file://") {
        // `file:///a` and `file://localhost/a` are one file.
        Some(rest) => download::percent_decoded(rest.strip_prefix("localhost").unwrap_or(rest)),
        None => text.to_owned(),
    };
    Ok(Some(Input::local(PathBuf::from(path))))
}

/// A file of a known data set that was found.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) file: &'a DataFile,
    pub(crate) input: Input,
}

/// The files of a known data set among those that the user names, in the order of the manifest. `None` if a stop was asked.
///
/// # Errors
/// [`DatasetError::Unrecognised`], [`DatasetError::MissingFile`], those of fetching.
pub(crate) fn find<'a>(
    manifest: &'a DatasetManifest,
    from: &[String],
    fetching: &mut Fetching<'_>,
) -> Result<Option<Vec<Found<'a>>>, Error> {
    let mut slots: Vec<Option<Input>> = manifest.files.iter().map(|_| None).collect();
    for text in from {
        let Some(input) = resolve(text, fetching)? else { return Ok(None) };
        if input.path.is_dir() {
            for (slot, file) in slots.iter_mut().zip(&manifest.files) {
                if slot.is_none() {
                    *slot = in_folder(file, &input.path).map(Input::local);
                }
            }
        } else {
            let place = place_of(manifest, &input, &slots)?;
            slots[place] = Some(input);
        }
    }
    let mut found: Vec<Found<'a>> = Vec::new();
    for (file, slot) in manifest.files.iter().zip(slots) {
        let Some(input) = slot else { continue };
        // The first of alternatives counts.
        let again = |other: &Found<'_>| {
            file.role != Role::Rows && other.file.role == file.role && other.file.part == file.part
        };
        if !found.iter().any(again) {
            found.push(Found { file, input });
        }
    }
    if !found.iter().any(|found| found.file.role != Role::Rows) {
        let wanted = manifest.files.iter().find(|file| file.role != Role::Rows);
        let (file, source_of_file) =
            wanted.map_or_else(Default::default, |file| (file.name.clone(), file.source.clone()));
        let dataset = manifest.title.clone();
        return Err(DatasetError::MissingFile { dataset, file, source_of_file }.into());
    }
    Ok(Some(found))
}

/// The file in a folder under one of its names, packed or not.
fn in_folder(file: &DataFile, folder: &Path) -> Option<PathBuf> {
    file.names()
        .flat_map(|name| [name.to_owned(), other_packing(name)])
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
}

fn other_packing(name: &str) -> String {
    name.strip_suffix(".gz").map_or_else(|| format!("{name}.gz"), str::to_owned)
}

/// Which of the data set's files this is: by its name, by its digest, or because only one can be meant.
fn place_of(manifest: &DatasetManifest, input: &Input, slots: &[Option<Input>]) -> Result<usize, Error> {
    let name = input.name();
    let named = |file: &DataFile| file.names().any(|known| known == name || other_packing(known) == name);
    if let Some(place) = manifest.files.iter().position(named) {
        return Ok(place);
    }
    let digest = input.sha256()?;
    let same = |file: &DataFile| file.sha256.as_deref() == Some(digest.as_str());
    if let Some(place) = manifest.files.iter().position(same) {
        return Ok(place);
    }
    let data: Vec<usize> =
        (0..slots.len()).filter(|place| manifest.files[*place].role != Role::Rows).collect();
    match data.as_slice() {
        &[only] if slots[only].is_none() => Ok(only),
        _ => {
            let names = manifest.files.iter().map(|file| file.name.clone()).collect();
            let (dataset, path) = (manifest.title.clone(), input.path.clone());
            Err(DatasetError::Unrecognised { dataset, path, names }.into())
        }
    }
}
