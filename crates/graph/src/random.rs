//! Random numbers: xoshiro256++ (Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2021), started by
//! SplitMix64 (Steele, Lea & Flood 2014) from a seed and the numbers that say what the random numbers are for.
//!
//! (The counter-based generator of the samplers lives beside the tensor library, which this crate must not see.)

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream for `purpose` (for example the number of a graph) under a seed. Streams of different purposes are
    /// independent, and none depends on whether another was used.
    #[must_use]
    pub fn keyed(seed: u64, purpose: &[u64]) -> Self {
        // Each number is mixed into what came before, so that (1, 2) and (2, 1) differ.
        let mut mixer = purpose.iter().fold(seed, |mut mixer, number| {
            let mut mixed = splitmix64(&mut mixer) ^ number;
            splitmix64(&mut mixed)
        });
        Self { state: std::array::from_fn(|_| splitmix64(&mut mixer)) }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform on [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform on `0..end`, without bias (Lemire 2019); 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let end = end as u64;
        let mut product = u128::from(self.bits()) * u128::from(end);
        if (product as u64) < end {
            let threshold = end.wrapping_neg() % end;
            while (product as u64) < threshold {
                product = u128::from(self.bits()) * u128::from(end);
            }
        }
        (product >> 64) as usize
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Every order of `items` equally likely (Fisher & Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // SplitMix64 from 1234567 (the test vector of Rosetta Code) and xoshiro256++ from 1, 2, 3, 4 (that of rand).
        let mut state = 1_234_567;
        let numbers: [u64; 3] = std::array::from_fn(|_| splitmix64(&mut state));
        assert_eq!(
            numbers,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
        let mut random = Random { state: [1, 2, 3, 4] };
        let numbers: [u64; 4] = std::array::from_fn(|_| random.bits());
        assert_eq!(numbers, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_order() {
        let first = |seed, purpose: &[u64]| Random::keyed(seed, purpose).bits();
        let mut all = vec![
            first(1, &[]),
            first(2, &[]),
            first(1, &[1]),
            first(1, &[1, 2]),
            first(1, &[2, 1]),
            first(2, &[1]),
        ];
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 6);
        assert_eq!(first(1, &[1, 2]), first(1, &[1, 2]));
    }

    #[test]
    fn small_numbers_are_uniform() {
        let mut random = Random::keyed(7, &[]);
        let mut counts = [0_u32; 6];
        (0..60_000).for_each(|_| counts[random.below(6)] += 1);
        // Chi-square with 5 degrees of freedom is below 25 with probability 0.9999.
        let chi: f64 = counts.iter().map(|count| (f64::from(*count) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 25.0, "{counts:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
        let mut orders = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            let mut items = [0, 1, 2];
            random.shuffle(&mut items);
            *orders.entry(items).or_insert(0_u32) += 1;
        }
        assert!(orders.len() == 6 && orders.values().all(|count| (850..1150).contains(count)), "{orders:?}");
    }
}
