//! Shards: contiguous ranges of sample ids, so that a job can be split over machines.
//!
//! Shard `i` of `n` of a run of `num` samples owns the ids `⌊i·num/n⌋ .. ⌊(i+1)·num/n⌋`. The ranges partition
//! `0..num`, differ in length by at most one, and keep the order of ids, so the shards' files laid end to end
//! are the file of the undivided run.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Shard `index` of `count`, written `index/count` (counted from zero) on the command line and in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Shard {
    index: u64,
    count: u64,
}

/// Why a text is not a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// Not of the form `i/n`.
    #[error("`{text}` is not a shard: write i/n, for example 0/3 for the first of three")]
    Form {
        /// The text as given.
        text: String,
    },
    /// The index is not below the count.
    #[error("shard {index}/{count} does not exist: shards are counted from 0, the last is {}/{count}", count.saturating_sub(1))]
    Range {
        /// The index as given.
        index: u64,
        /// The count as given.
        count: u64,
    },
    /// There is no such thing as a division into no parts.
    #[error("a run cannot be divided into 0 shards")]
    Zero,
}

impl Shard {
    /// The undivided run, `0/1`.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Shard `index` of `count`.
    ///
    /// # Errors
    /// When `count` is zero or `index` is not below it.
    pub fn new(index: u64, count: u64) -> Result<Self, ShardError> {
        if count == 0 {
            Err(ShardError::Zero)
        } else if index >= count {
            Err(ShardError::Range { index, count })
        } else {
            Ok(Self { index, count })
        }
    }

    /// Which of the shards this is, from zero.
    pub fn index(self) -> u64 {
        self.index
    }

    /// Into how many shards the run is divided.
    pub fn count(self) -> u64 {
        self.count
    }

    /// The sample ids of this shard in a run of `num` samples; empty where there are more shards than samples.
    pub fn ids(self, num: u64) -> Range<u64> {
        let bound = |i: u64| {
            let bound = u128::from(i) * u128::from(num) / u128::from(self.count);
            u64::try_from(bound).expect("a fraction of num fits where num fits")
        };
        bound(self.index)..bound(self.index + 1)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let form = || ShardError::Form { text: text.to_owned() };
        let (index, count) = text.split_once('/').ok_or_else(form)?;
        // `u64::from_str` would accept a leading plus sign.
        let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) {
            true => digits.parse::<u64>().map_err(|_| form()),
            false => Err(form()),
        };
        Self::new(number(index)?, number(count)?)
    }
}

impl TryFrom<String> for Shard {
    type Error = ShardError;

    fn try_from(text: String) -> Result<Self, ShardError> {
        text.parse()
    }
}

impl From<Shard> for String {
    fn from(shard: Shard) -> Self {
        shard.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_partition_the_ids_in_order_and_evenly() {
        for num in [0, 1, 2, 7, 10, 1000, u64::MAX] {
            for count in [1, 2, 3, 7, 16] {
                let mut next = 0;
                for index in 0..count {
                    let ids = Shard::new(index, count).unwrap().ids(num);
                    assert_eq!(ids.start, next);
                    let length = ids.end - ids.start;
                    assert!(
                        length == num / count || length == num / count + 1,
                        "{num} {index}/{count}: {length}"
                    );
                    next = ids.end;
                }
                assert_eq!(next, num);
            }
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for text in ["", "1", "1/", "/2", "a/b", "-1/3", "+1/3", "1/3/5", "1.0/3", " 1/3"] {
            assert!(matches!(text.parse::<Shard>(), Err(ShardError::Form { .. })), "{text}");
        }
        assert_eq!("3/3".parse::<Shard>(), Err(ShardError::Range { index: 3, count: 3 }));
        assert_eq!("0/0".parse::<Shard>(), Err(ShardError::Zero));
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
        assert!(ShardError::Range { index: 3, count: 3 }.to_string().contains("the last is 2/3"));
    }
}
