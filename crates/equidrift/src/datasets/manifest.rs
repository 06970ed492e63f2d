//! The known data sets: their manifests, `datasets/*.toml`, are inside the programme.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::DatasetError;

/// What a data set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Molecules.
    Molecules,
    /// Undirected simple graphs.
    Graphs,
}

impl Kind {
    /// `"molecules"` or `"graphs"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Molecules => "molecules",
            Self::Graphs => "graphs",
        }
    }
}

/// A known data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetManifest {
    /// The name it is asked for by.
    pub name: String,
    /// The name people use.
    pub title: String,
    /// Molecules or graphs.
    pub kind: Kind,
    /// One line on what it is.
    pub about: String,
    /// Where it was published.
    pub origin: String,
    /// The licence of the source.
    pub licence: String,
    /// Molecules or graphs in all parts together.
    pub size: u64,
    /// Its files. Two with the same `part` are alternatives, the first that is found counts.
    #[serde(rename = "file", default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<DataFile>,
    /// How it is split, by scheme.
    #[serde(rename = "split", default)]
    pub splits: BTreeMap<String, Split>,
    /// How such a set is drawn, if it is a recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<RecipeManifest>,
    /// Bounds that every molecule keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub molecules: Option<MoleculeContents>,
    /// Bounds that every graph keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphs: Option<GraphContents>,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It holds molecules.
    Molecules,
    /// It holds graphs.
    Graphs,
    /// It lists row numbers, for a split.
    Rows,
}

/// A file of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// What it is for.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// The part of the data that it is, where a data set has several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// What stands in it.
    pub content: String,
    /// How many molecules, graphs or row numbers.
    pub rows: u64,
    /// Its digest; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The digest of its SMILES, one a line, which does not change when it is packed in another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
    /// Other names under which it is handed around.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_named: Vec<String>,
    /// Where it can be had.
    pub source: String,
}

impl DataFile {
    /// Every name by which the file is known.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.also_named.iter().map(String::as_str))
    }
}

/// A split: a rule, and what must come out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Who uses it and how it is meant.
    pub about: String,
    /// How it is made.
    #[serde(flatten)]
    pub rule: SplitRule,
    /// Members of each part; absent where they are those of the files.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
}

/// How a split is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum SplitRule {
    /// Listed rows are one part, all others the other.
    Listed {
        /// The list, a file of the data set.
        file: String,
        /// The part of the listed rows.
        part: String,
        /// The part of the others.
        rest: String,
    },
    /// NumPy's legacy permutation of all rows, cut into pieces.
    Permuted {
        /// Its seed.
        seed: u32,
        /// The pieces, in order.
        parts: Vec<Piece>,
        /// A file of rows that are taken out of every piece.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        leave_out: Option<String>,
    },
    /// Each file is a part.
    Files,
    /// GDSS's graphs: the first fifth, rounded down, is `test`, the rest `train`.
    FirstFifth,
    /// PARD's autoregressive baselines: the first 16 % `val`, up to 80 % `train`, the rest `test`, all rounded down.
    Sixteenths,
    /// DiGress's graphs: PyTorch's permutation with seed 0; 20 % `test` at the end, of the rest 80 % `train` first.
    Digress {
        /// What is permuted, if not all graphs: members beyond the last graph are left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        permutation_of: Option<u32>,
    },
    /// SPECTRE's graphs: as DiGress's, with seed 1234.
    Spectre,
}

/// A piece of a permutation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// Its part.
    pub name: String,
    /// How many rows.
    pub size: u32,
}

/// How a set is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeManifest {
    /// The recipe: one of [`equidrift_graph::generators`], or `ego`, which needs a network.
    pub name: String,
    /// What it does.
    pub about: String,
    /// How many graphs the published set has.
    pub num: u64,
    /// Fewest and most nodes that a drawn graph can have.
    pub nodes: [usize; 2],
}

/// What is known of every molecule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoleculeContents {
    /// The elements, in the customary order of the node features; empty where that is not fixed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub atoms: Vec<String>,
    /// Heavy atoms of the largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_atoms: Option<usize>,
    /// What models see of them.
    pub features: String,
}

/// What is known of every graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphContents {
    /// Fewest and most nodes.
    pub nodes: [usize; 2],
    /// Fewest and most edges.
    pub edges: [usize; 2],
    /// What models see of them.
    pub features: String,
}

macro_rules! manifests {
    ($($name:literal),+ $(,)?) => {
        /// Name and text of every manifest, molecules first.
        const MANIFESTS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../../datasets/", $name, ".toml")))),+];
    };
}

manifests!(
    "qm9",
    "zinc250k",
    "moses",
    "guacamol",
    "community_small",
    "ego_small",
    "enzymes",
    "grid",
    "comm20",
    "planar",
    "sbm",
    "trees",
);

impl DatasetManifest {
    /// The names of all known data sets.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        MANIFESTS.iter().map(|(name, _)| *name).collect()
    }

    /// The manifest of a data set; `None` if there is no such name.
    ///
    /// # Errors
    /// [`DatasetError::Manifest`], which a test excludes.
    pub fn find(name: &str) -> Result<Option<Self>, DatasetError> {
        MANIFESTS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(name, text)| parse(name, text))
            .transpose()
    }

    /// All manifests.
    ///
    /// # Errors
    /// [`DatasetError::Manifest`], which a test excludes.
    pub fn all() -> Result<Vec<Self>, DatasetError> {
        MANIFESTS.iter().map(|(name, text)| parse(name, text)).collect()
    }

    /// The file of this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&DataFile> {
        self.files.iter().find(|file| file.name == name)
    }
}

fn parse(name: &str, text: &str) -> Result<DatasetManifest, DatasetError> {
    toml::from_str(text).map_err(|source| DatasetError::Manifest { name: name.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manifest_is_consistent() {
        for manifest in DatasetManifest::all().unwrap() {
            let name = &manifest.name;
            assert!(DatasetManifest::names().contains(&name.as_str()), "{name}");
            assert!(!manifest.splits.is_empty(), "{name}");
            assert_eq!(manifest.molecules.is_some(), manifest.kind == Kind::Molecules, "{name}");
            assert_eq!(manifest.graphs.is_some(), manifest.kind == Kind::Graphs, "{name}");
            let role = if manifest.kind == Kind::Graphs { Role::Graphs } else { Role::Molecules };
            for file in &manifest.files {
                assert!(file.role == role || file.role == Role::Rows, "{name}: {}", file.name);
                for digest in file.sha256.iter().chain(&file.content_sha256) {
                    assert!(digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
                }
                for other in manifest.files.iter().filter(|other| *other != file) {
                    assert!(file.names().all(|name| other.names().all(|o| o != name)), "{name}");
                }
            }
            if let Some(recipe) = &manifest.recipe {
                let known = equidrift_graph::generators::recipe(&recipe.name).is_some();
                assert!(known || recipe.name == crate::datasets::generate::EGO, "{name}: {}", recipe.name);
                assert_eq!(recipe.num, manifest.size, "{name}");
            }
            assert!(manifest.recipe.is_some() || !manifest.files.is_empty(), "{name}");
            // The first of alternatives is the published file.
            let mut parts = std::collections::BTreeSet::new();
            let whole: u64 = manifest
                .files
                .iter()
                .filter(|file| file.role == role && parts.insert(file.part.clone()))
                .map(|file| file.rows)
                .sum();
            assert!(manifest.files.is_empty() || whole == manifest.size, "{name}: {whole}");
            for (scheme, split) in &manifest.splits {
                let members: u64 = split.counts.values().sum();
                match &split.rule {
                    SplitRule::Listed { file, .. } => assert!(manifest.file(file).is_some(), "{name}"),
                    SplitRule::Permuted { leave_out, parts, .. } => {
                        let left_out = leave_out.as_ref().map_or(0, |file| manifest.file(file).unwrap().rows);
                        let all: u32 = parts.iter().map(|piece| piece.size).sum();
                        assert_eq!((u64::from(all), members + left_out), (manifest.size, manifest.size));
                        continue;
                    }
                    SplitRule::Files => continue,
                    _ => {}
                }
                assert_eq!(members, manifest.size, "{name}: {scheme}");
            }
        }
    }

    #[test]
    fn names_are_found_in_any_case() {
        assert_eq!(DatasetManifest::find("QM9").unwrap().unwrap().title, "QM9");
        assert!(DatasetManifest::find("qm8").unwrap().is_none());
    }
}
