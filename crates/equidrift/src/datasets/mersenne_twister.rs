//! The generator MT19937 and the two permutations that published splits were drawn with.
//!
//! Matsumoto and Nishimura, ACM Trans. Model. Comput. Simul. 8, 3 (1998), 32-bit version. NumPy's `RandomState(seed)` and
//! PyTorch's CPU generator with `manual_seed(seed)` start from the same state and draw the same words, but permute in
//! different ways.

const LENGTH: usize = 624;
const SHIFT: usize = 397;

/// The generator.
pub(crate) struct MersenneTwister {
    state: [u32; LENGTH],
    next: usize,
}

impl MersenneTwister {
    /// The state of NumPy's `RandomState(seed)` and of PyTorch's `manual_seed(seed)`.
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = [seed; LENGTH];
        for place in 1..LENGTH {
            let before = state[place - 1];
            state[place] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(place as u32);
        }
        Self { state, next: LENGTH }
    }

    /// The next 32 random bits.
    pub(crate) fn word(&mut self) -> u32 {
        if self.next == LENGTH {
            self.refill();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    fn refill(&mut self) {
        for place in 0..LENGTH {
            let mixed = (self.state[place] & 0x8000_0000) | (self.state[(place + 1) % LENGTH] & 0x7fff_ffff);
            let twist = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[place] = self.state[(place + SHIFT) % LENGTH] ^ (mixed >> 1) ^ twist;
        }
        self.next = 0;
    }

    /// A number of `0..=largest`, each equally likely: words are masked and those above the range thrown away.
    fn up_to(&mut self, largest: u32) -> u32 {
        let mask = u32::MAX.checked_shr(largest.leading_zeros()).unwrap_or(0);
        loop {
            let number = self.word() & mask;
            if number <= largest {
                return number;
            }
        }
    }
}

/// `numpy.random.RandomState(seed).permutation(length)`, which is also the order of pandas' `sample(frac=1,
/// random_state=seed)`.
pub(crate) fn numpy_permutation(seed: u32, length: u32) -> Vec<u32> {
    let mut generator = MersenneTwister::new(seed);
    let mut numbers: Vec<u32> = (0..length).collect();
    for place in (1..length).rev() {
        let other = generator.up_to(place);
        numbers.swap(place as usize, other as usize);
    }
    numbers
}

/// `torch.randperm(length, generator=torch.Generator().manual_seed(seed))` on the CPU, for lengths below 2^32 / 20.
pub(crate) fn torch_permutation(seed: u32, length: u32) -> Vec<u32> {
    let mut generator = MersenneTwister::new(seed);
    let mut numbers: Vec<u32> = (0..length).collect();
    for place in 0..length.saturating_sub(1) {
        let other = place + generator.word() % (length - place);
        numbers.swap(place as usize, other as usize);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_published_generator() {
        // First and 1000th outputs of MT19937 for the seed 5489, as in the C++ standard ([rand.predef]: the 10,000th is
        // 4123659995).
        let mut generator = MersenneTwister::new(5489);
        let words: Vec<u32> = (0..10_000).map(|_| generator.word()).collect();
        assert_eq!((words[0], words[9_999]), (3_499_211_612, 4_123_659_995));
    }

    #[test]
    fn permutations_are_those_of_numpy_and_torch() {
        // numpy.random.RandomState(42).permutation(10); torch.randperm(10) after manual_seed(0).
        assert_eq!(numpy_permutation(42, 10), [8, 1, 5, 0, 7, 2, 9, 4, 3, 6]);
        assert_eq!(torch_permutation(0, 10), [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]);
        assert!(numpy_permutation(1, 0).is_empty() && torch_permutation(1, 0).is_empty());
        assert_eq!((numpy_permutation(1, 1), torch_permutation(1, 1)), (vec![0], vec![0]));
    }
}
