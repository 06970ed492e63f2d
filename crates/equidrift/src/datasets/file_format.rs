//! The formats that data sets come in.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::error::DatasetError;
use super::manifest::Kind;

/// A format of molecules or graphs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileFormat {
    /// SMILES, one a line.
    Smiles,
    /// A table with a column of SMILES.
    Csv,
    /// MDL connection tables.
    Sdf,
    /// Graphs.
    Graphs(equidrift_graph::Format),
}

/// Names and formats.
const NAMES: [(&str, FileFormat); 7] = [
    ("smi", FileFormat::Smiles),
    ("csv", FileFormat::Csv),
    ("sdf", FileFormat::Sdf),
    ("json", FileFormat::Graphs(equidrift_graph::Format::Json)),
    ("jsonl", FileFormat::Graphs(equidrift_graph::Format::JsonLines)),
    ("graphml", FileFormat::Graphs(equidrift_graph::Format::GraphMl)),
    ("edges", FileFormat::Graphs(equidrift_graph::Format::EdgeList)),
];

impl FileFormat {
    /// The format that a file name's suffix names, with or without `.gz` behind it.
    ///
    /// # Errors
    /// [`DatasetError::UnknownFormat`]; a `.txt` may be several things, so it is one of them.
    pub fn of_path(path: &Path) -> Result<Self, DatasetError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
        Ok(match suffix {
            "smi" | "smiles" | "ism" => Self::Smiles,
            "csv" | "tsv" => Self::Csv,
            "sdf" | "sd" | "mol" => Self::Sdf,
            "json" => Self::Graphs(equidrift_graph::Format::Json),
            "jsonl" | "ndjson" => Self::Graphs(equidrift_graph::Format::JsonLines),
            "graphml" => Self::Graphs(equidrift_graph::Format::GraphMl),
            "edgelist" | "edges" | "el" => Self::Graphs(equidrift_graph::Format::EdgeList),
            _ => return Err(DatasetError::UnknownFormat { path: path.to_owned() }),
        })
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Graphs(_) => Kind::Graphs,
            _ => Kind::Molecules,
        }
    }

    /// Every name that [`FromStr`] takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }
}

impl FromStr for FileFormat {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name).map(|(_, format)| *format);
        found.ok_or_else(|| format!("expected one of {}", Self::names().collect::<Vec<_>>().join(", ")))
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, format)| format == self).map_or("graphs", |(name, _)| name);
        formatter.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_name_formats() {
        for (name, format) in [
            ("a.smi.gz", "smi"),
            ("guacamol_v1_train.smiles", "smi"),
            ("train.csv.gz", "csv"),
            ("a.TSV", "csv"),
            ("a.mol", "sdf"),
            ("planar.json", "json"),
            ("a.ndjson.gz", "jsonl"),
            ("a.graphml", "graphml"),
            ("a.b.el", "edges"),
        ] {
            assert_eq!(FileFormat::of_path(Path::new(name)).unwrap().to_string(), format, "{name}");
        }
        for name in ["a", "a.gz", "a.pkl", "a.txt", ".smi/"] {
            assert!(FileFormat::of_path(Path::new(name)).is_err() || name == ".smi/", "{name}");
        }
        assert!("pickle".parse::<FileFormat>().unwrap_err().contains("smi, csv, sdf, json"));
    }
}
