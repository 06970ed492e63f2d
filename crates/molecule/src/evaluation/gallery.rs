//! Some of the distinct molecules of a stream, to be looked at.

use std::collections::BTreeMap;

use crate::metrics::SmilesDigest;

/// A molecule that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GalleryMember {
    /// 1-based number of the first line with this molecule.
    pub line: u64,
    /// Its canonical SMILES.
    pub canonical: String,
}

/// A fair sample: of the distinct molecules offered, the ones with the smallest digests stay, and digests know nothing of
/// chemistry. The same molecules give the same gallery, in whatever order they come.
#[derive(Debug, Clone, Default)]
pub struct Gallery {
    most: usize,
    members: BTreeMap<SmilesDigest, GalleryMember>,
}

impl Gallery {
    /// Room for so many.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, members: BTreeMap::new() }
    }

    /// Offer a molecule that was not offered before.
    pub fn offer(&mut self, line: u64, digest: SmilesDigest, canonical: String) {
        let full = self.members.len() >= self.most;
        if full && self.members.last_key_value().is_none_or(|(last, _)| *last < digest) {
            return;
        }
        self.members.insert(digest, GalleryMember { line, canonical });
        if full {
            self.members.pop_last();
        }
    }

    /// Those that stayed, in the order of their lines.
    #[must_use]
    pub fn into_members(self) -> Vec<GalleryMember> {
        let mut members: Vec<_> = self.members.into_values().collect();
        members.sort_by_key(|member| member.line);
        members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gallery(order: impl Iterator<Item = u64>) -> Vec<String> {
        let mut gallery = Gallery::new(10);
        for line in order {
            let canonical = "C".repeat(line as usize);
            gallery.offer(line, SmilesDigest::of(&canonical), canonical);
        }
        gallery.into_members().into_iter().map(|member| member.canonical).collect()
    }

    #[test]
    fn the_sample_does_not_depend_on_the_order_and_is_spread_over_the_file() {
        let forward = gallery(1..=200);
        assert_eq!((forward.len(), &forward), (10, &gallery((1..=200).rev())));
        let first_half = forward.iter().filter(|canonical| canonical.len() <= 100).count();
        assert!((2..=8).contains(&first_half), "{first_half}");
        assert_eq!(gallery(1..=4).len(), 4);
        let mut none = Gallery::new(0);
        none.offer(1, SmilesDigest::of("C"), "C".to_owned());
        assert!(none.into_members().is_empty());
    }
}
