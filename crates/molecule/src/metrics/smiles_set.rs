//! Sets of SMILES that do not keep the strings.
//!
//! A string is kept as the first 128 bits of its SHA-256. Two distinct strings of `n` are taken for one with probability
//! below `n^2 / 2^129`: 4e-27 for 1.5 million, and no one knows how to make such a pair. Memory: 16 bytes a string and the
//! table's slack, about 40 MB for a million.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use sha2::{Digest, Sha256};

/// What a set keeps of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SmilesDigest(u128);

impl SmilesDigest {
    /// Of a string. Cost: some 0.2 µs.
    #[must_use]
    pub fn of(smiles: &str) -> Self {
        let digest = Sha256::digest(smiles.as_bytes());
        Self(digest.iter().take(16).fold(0, |bits, &byte| bits << 8 | u128::from(byte)))
    }
}

/// Digests are random bits already.
#[derive(Debug, Clone, Copy, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u128(&mut self, bits: u128) {
        self.0 = bits as u64;
    }
}

/// A set of SMILES, compared as strings: put canonical ones in.
#[derive(Clone, Debug, Default)]
pub struct SmilesSet {
    digests: HashSet<SmilesDigest, BuildHasherDefault<Identity>>,
}

impl SmilesSet {
    /// Adds a SMILES; whether it was new.
    pub fn insert(&mut self, smiles: &str) -> bool {
        self.insert_digest(SmilesDigest::of(smiles))
    }

    /// Adds a SMILES by its digest, which another thread may have computed; whether it was new.
    pub fn insert_digest(&mut self, digest: SmilesDigest) -> bool {
        self.digests.insert(digest)
    }

    /// Whether the SMILES was added before.
    #[must_use]
    pub fn contains(&self, smiles: &str) -> bool {
        self.contains_digest(SmilesDigest::of(smiles))
    }

    /// Whether the SMILES with this digest was added before.
    #[must_use]
    pub fn contains_digest(&self, digest: SmilesDigest) -> bool {
        self.digests.contains(&digest)
    }

    /// The digests, in no order.
    pub fn digests(&self) -> impl Iterator<Item = SmilesDigest> + '_ {
        self.digests.iter().copied()
    }

    /// How many distinct SMILES were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smiles_sets_count_distinct_members() {
        let mut generated = SmilesSet::default();
        assert!(generated.is_empty());
        assert!(generated.insert("CCO"));
        assert!(!generated.insert("CCO"));
        assert!(generated.insert("CCN"));
        assert_eq!(generated.len(), 2);
        assert!(generated.contains("CCO") && !generated.contains("CC"));
    }

    #[test]
    fn the_digest_is_the_beginning_of_sha_256() {
        // SHA-256 of "abc" (FIPS 180-4, example).
        assert_eq!(SmilesDigest::of("abc"), SmilesDigest(0xba78_16bf_8f01_cfea_4141_40de_5dae_2223));
    }
}
