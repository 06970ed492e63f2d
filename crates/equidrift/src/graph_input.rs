//! A file of graphs as it is named on the command line: `FILE` or `FILE:PART`.

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use equidrift_backend::checksum::sha256_file;
use equidrift_graph::file::Splits;
use equidrift_graph::{GraphFile, ReadOptions};
use serde::{Deserialize, Serialize};

use crate::datasets::{PreparedGraphs, is_prepared};
use crate::error::Error;

/// A file of graphs, or one part of it where the file carries splits: `graphs.json`, `graphs.json:gdss:train`,
/// `graphs.json:train`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct GraphInput {
    /// The file.
    pub path: PathBuf,
    /// `SCHEME:PART`, or `PART` if only one scheme has it.
    pub part: Option<String>,
}

impl GraphInput {
    /// From a path that may have a part behind it, as the settings of a training run hold it.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => text.to_owned().into(),
            None => Self { path: path.to_owned(), part: None },
        }
    }

    /// SHA-256 of the file; of a prepared data set, that of its source, so that a run on either is the same run.
    ///
    /// # Errors
    /// [`Error::Read`]; those of opening a prepared data set.
    pub fn sha256(&self) -> Result<String, Error> {
        if is_prepared(&self.path) {
            let set = PreparedGraphs::open(&self.path)?;
            return Ok(set.metadata().digest_of(&(0..set.metadata().sources.len()).collect()));
        }
        sha256_file(&self.path).map_err(|source| Error::Read { path: self.path.clone(), source })
    }

    /// Opens the file, or the part of it. It may be a prepared data set ([`crate::datasets`]).
    ///
    /// # Errors
    /// [`Error::Graph`]; those of opening a prepared data set.
    pub fn open(&self, options: ReadOptions) -> Result<GraphFile, Error> {
        let file = match is_prepared(&self.path) {
            true => prepared(&self.path, options)?,
            false => GraphFile::open_with(&self.path, options)?,
        };
        Ok(match &self.part {
            Some(part) => file.part(part)?,
            None => file,
        })
    }
}

/// A prepared data set as a file of graphs.
fn prepared(path: &Path, options: ReadOptions) -> Result<GraphFile, Error> {
    let set = PreparedGraphs::open(path)?;
    let mut splits = Splits::default();
    for name in set.part_names() {
        let members = set.part(&name).unwrap_or_default().into_iter().map(|graph| graph as u64).collect();
        if let Some((scheme, part)) = name.split_once(':') {
            splits.insert(scheme, part, members);
        }
    }
    Ok(GraphFile::of_graphs(path, (0..set.len()).map(|graph| set.graph(graph)), splits, options))
}

impl From<String> for GraphInput {
    /// Everything before the first colon that ends the name of a file is the path. Where there is no such file, the whole
    /// text is, so that the error names what was given.
    fn from(text: String) -> Self {
        let is_file = |path: &str| Path::new(path).is_file();
        let cut = text.match_indices(':').find(|&(place, _)| is_file(&text[..place]));
        match cut {
            Some((place, _)) if !is_file(&text) => {
                Self { path: text[..place].into(), part: Some(text[place + 1..].to_owned()) }
            }
            _ => Self { path: text.into(), part: None },
        }
    }
}

impl FromStr for GraphInput {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.to_owned().into())
    }
}

impl From<GraphInput> for String {
    fn from(input: GraphInput) -> Self {
        input.to_string()
    }
}

impl fmt::Display for GraphInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.part.iter().try_for_each(|part| write!(f, ":{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_behind_the_name_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let [plain, colon] = ["a.json", "a.json:b.json"].map(|name| folder.path().join(name));
        let text = r#"{"graphs": [{"n": 2, "edges": [[0, 1]]}, {"n": 1, "edges": []}], "splits": {"s": {"t": [1]}}}"#;
        std::fs::write(&plain, text).unwrap();
        let parse = |text: String| GraphInput::from(text);
        let named = |part: &str| parse(format!("{}:{part}", plain.display()));
        assert_eq!(parse(plain.display().to_string()), GraphInput { path: plain.clone(), part: None });
        for part in ["s:t", "t"] {
            assert_eq!(named(part), GraphInput { path: plain.clone(), part: Some(part.to_owned()) });
            let graphs: Vec<_> = named(part).open(ReadOptions::default()).unwrap().collect();
            assert_eq!((graphs.len(), graphs[0].as_ref().unwrap().node_count()), (1, 1));
        }
        assert!(named("s:u").open(ReadOptions::default()).is_err());
        assert_eq!(named("s:t").to_string(), format!("{}:s:t", plain.display()));
        // A file whose own name has the colon.
        std::fs::copy(&plain, &colon).unwrap();
        assert_eq!(parse(colon.display().to_string()), GraphInput { path: colon, part: None });
        assert_eq!(parse("no/such:file".to_owned()), GraphInput { path: "no/such:file".into(), part: None });
    }
}
