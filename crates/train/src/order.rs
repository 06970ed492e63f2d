//! The order of the examples in an epoch: a permutation that is a function of (seed, epoch) alone.
//!
//! Fisher-Yates shuffle; position `i` takes its random number from the Philox counter `(i, epoch)`, so no generator
//! state has to be stored in checkpoints.

use equidrift_backend::philox::philox4x32_10;

/// Keeps these numbers apart from every other use of the same seed.
const STREAM: u32 = 0x6f72_6472; // "ordr"

/// A permutation of `0..examples` for epoch `epoch`, counted from 0.
pub fn shuffled(examples: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let key = [seed as u32, (seed >> 32) as u32];
    let mut order: Vec<usize> = (0..examples).collect();
    for i in (1..examples).rev() {
        let words = philox4x32_10([i as u32, (i as u64 >> 32) as u32, epoch as u32, STREAM], key);
        let random = u64::from(words[0]) << 32 | u64::from(words[1]);
        // Multiply-shift onto 0..=i: the bias is below i / 2^64.
        let j = (u128::from(random) * (i as u128 + 1)) >> 64;
        order.swap(i, j as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_appears_once_in_an_order_that_changes_with_epoch_and_seed() {
        let first = shuffled(1000, 42, 0);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_eq!(first, shuffled(1000, 42, 0));
        assert_ne!(first, shuffled(1000, 42, 1));
        assert_ne!(first, shuffled(1000, 43, 0));
        assert!(shuffled(0, 1, 0).is_empty());
    }

    #[test]
    fn every_position_is_equally_likely() {
        // 4! = 24 permutations over 24,000 epochs: each count is 1000 with standard deviation 31.
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..24_000 {
            *counts.entry(shuffled(4, 7, epoch)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|&n| (850..1150).contains(&n)), "{counts:?}");
    }
}
