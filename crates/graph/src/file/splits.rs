//! Splits of a set of graphs: scheme -> part -> numbers of graphs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `splits` of a JSON document, for example `{"gdss": {"test": [0, 1], "train": [2, 3]}}`. Numbers count the file's
/// graphs from 0.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Splits(BTreeMap<String, BTreeMap<String, Vec<u64>>>);

impl Splits {
    /// Adds or replaces a part.
    pub fn insert(&mut self, scheme: &str, part: &str, graphs: Vec<u64>) {
        self.0.entry(scheme.to_owned()).or_default().insert(part.to_owned(), graphs);
    }

    /// The numbers of the graphs of `SCHEME:PART`, or of `PART` if only one scheme has it.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&[u64]> {
        if let Some((scheme, part)) = name.split_once(':') {
            return self.0.get(scheme)?.get(part).map(Vec::as_slice);
        }
        let mut found = self.0.values().filter_map(|parts| parts.get(name));
        let only = found.next()?;
        found.next().is_none().then_some(only.as_slice())
    }

    /// Names of all parts, each `SCHEME:PART`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let of_scheme = |(scheme, parts): (&String, &BTreeMap<String, Vec<u64>>)| {
            parts.keys().map(|part| format!("{scheme}:{part}")).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_scheme).collect()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_by_their_full_name_or_by_one_that_is_unique() {
        let mut splits = Splits::default();
        splits.insert("gdss", "test", vec![0]);
        splits.insert("digress", "test", vec![4, 1]);
        splits.insert("digress", "val", vec![2]);
        assert_eq!(splits.part("digress:test"), Some(&[4, 1][..]));
        assert_eq!(splits.part("val"), Some(&[2][..]));
        assert_eq!((splits.part("test"), splits.part("gdss:val"), splits.part("x:test")), (None, None, None));
        assert_eq!(splits.names(), ["digress:test", "digress:val", "gdss:test"]);
    }
}
