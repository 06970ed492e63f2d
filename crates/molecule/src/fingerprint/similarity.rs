//! Tanimoto similarities of whole sets of fingerprints.
//!
//! Every pair is looked at, so the work is the product of the set sizes. A similarity is rounded to single precision, as in
//! MOSES; sums are exact in units of 2^-30, so that results do not depend on the number of threads.
//!
//! The nearest neighbour is found exactly, but for most pairs from half of the words: bits common to the first half and all
//! that the second could add are too few to beat the best neighbour so far. The mean over all pairs of one set looks at each
//! pair once.

use std::sync::atomic::{AtomicUsize, Ordering};

use equidrift_graph::threads::map_in_threads;
use pulp::{Arch, Simd, WithSimd};

use super::morgan::Fingerprint;

/// Fingerprints side by side, so that one instruction treats a word of each.
const LANES: usize = 8;
/// Queries a thread takes at a time; a multiple of [`LANES`].
const CHUNK: usize = 256;
/// Groups that stay in the cache while the queries of a chunk pass over them; more members than a chunk has.
const TILE: usize = 64;
/// Added and taken off again, it rounds a number between 0 and 1 to a multiple of 2^-30. Sums of up to eight million of
/// those are exact, whatever their order.
const ROUNDING: f64 = 1.5 * (1_u64 << 22) as f64;

/// Fingerprints to be compared with.
#[derive(Debug, Clone)]
pub struct FingerprintSet<const WORDS: usize> {
    len: usize,
    groups: Vec<Group<WORDS>>,
}

/// [`LANES`] fingerprints word by word, and their numbers of bits.
#[derive(Debug, Clone)]
#[repr(align(64))]
struct Group<const WORDS: usize> {
    words: [[u64; LANES]; WORDS],
    ones: [u64; LANES],
    /// Bits of the second half of the words.
    late_ones: [u64; LANES],
}

impl<const WORDS: usize> FingerprintSet<WORDS> {
    /// Arrange fingerprints for comparison.
    #[must_use]
    pub fn new(fingerprints: &[Fingerprint<WORDS>]) -> Self {
        let group = |members: &[Fingerprint<WORDS>]| {
            // A lane without a member counts one bit that no query has: its similarity is 0.
            let mut group = Group { words: [[0; LANES]; WORDS], ones: [1; LANES], late_ones: [0; LANES] };
            for (lane, member) in members.iter().enumerate() {
                let member = Query::new(member, None);
                for (words, word) in group.words.iter_mut().zip(member.words) {
                    words[lane] = word;
                }
                (group.ones[lane], group.late_ones[lane]) = (member.ones, member.late_ones);
            }
            group
        };
        Self { len: fingerprints.len(), groups: fingerprints.chunks(LANES).map(group).collect() }
    }

    /// Fingerprints in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No fingerprint at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The similarity of each query to the most similar member; 0 if there is none.
    #[must_use]
    pub fn nearest(&self, queries: &[Fingerprint<WORDS>], threads: usize) -> Vec<f64> {
        self.nearest_without(queries, threads, |_| None)
    }

    /// The similarity of each member to the most similar *other* member; 0 if there is none. `members` are those of which the
    /// set was made, in the same order.
    #[must_use]
    pub fn nearest_others(&self, members: &[Fingerprint<WORDS>], threads: usize) -> Vec<f64> {
        self.nearest_without(members, threads, Some)
    }

    fn nearest_without(
        &self,
        queries: &[Fingerprint<WORDS>],
        threads: usize,
        left_out: impl Fn(usize) -> Option<usize> + Sync,
    ) -> Vec<f64> {
        let arch = Arch::new();
        let indices: Vec<usize> = (0..queries.len()).collect();
        let chunks = map_in_threads(&indices, CHUNK, threads, |chunk| {
            let queries: Vec<Query<WORDS>> =
                chunk.iter().map(|index| Query::new(&queries[*index], left_out(*index))).collect();
            arch.dispatch(Nearest { set: self, queries: &queries })
        });
        chunks.into_iter().flatten().collect()
    }

    /// For each member the mean of its similarities to all members, itself included, and the mean of their squares.
    #[must_use]
    pub fn means(&self, members: &[Fingerprint<WORDS>], threads: usize) -> Vec<(f64, f64)> {
        let arch = Arch::new();
        let queries: Vec<Query<WORDS>> = members.iter().map(|member| Query::new(member, None)).collect();
        let next = AtomicUsize::new(0);
        let workers = vec![(); threads.clamp(1, queries.len().div_ceil(CHUNK).max(1))];
        // Each thread has sums for all members, because a pair adds to both of its own.
        let sums = map_in_threads(&workers, 1, threads, |_| {
            let mut sums = vec![Sums::default(); self.groups.len() * LANES];
            loop {
                let first = next.fetch_add(1, Ordering::Relaxed) * CHUNK;
                let Some(rows) = queries.get(first..) else { break sums };
                if rows.is_empty() {
                    break sums;
                }
                let rows = &rows[..rows.len().min(CHUNK)];
                arch.dispatch(Pairs { set: self, rows, first, sums: &mut sums });
            }
        });
        let count = self.len.max(1) as f64;
        (0..members.len())
            .map(|member| {
                let of = |part: fn(&Sums) -> f64| sums.iter().map(|sums| part(&sums[member])).sum::<f64>();
                (of(|sums| sums.once) / count, of(|sums| sums.squared) / count)
            })
            .collect()
    }
}

struct Query<const WORDS: usize> {
    words: [u64; WORDS],
    ones: u64,
    /// Bits of the second half.
    late_ones: u64,
    left_out: Option<usize>,
}

impl<const WORDS: usize> Query<WORDS> {
    fn new(fingerprint: &Fingerprint<WORDS>, left_out: Option<usize>) -> Self {
        let late: u32 = fingerprint.0[WORDS / 2..].iter().map(|word| word.count_ones()).sum();
        let ones = u64::from(fingerprint.ones());
        Self { words: fingerprint.0, ones, late_ones: u64::from(late), left_out }
    }
}

struct Nearest<'a, const WORDS: usize> {
    set: &'a FingerprintSet<WORDS>,
    queries: &'a [Query<WORDS>],
}

impl<const WORDS: usize> WithSimd for Nearest<'_, WORDS> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<f64> {
        let Self { set, queries } = self;
        let mut best = vec![0.0_f32; queries.len()];
        for (tile, groups) in set.groups.chunks(TILE).enumerate() {
            for (query, best) in queries.iter().zip(&mut best) {
                for (place, group) in groups.iter().enumerate() {
                    let early = common(&group.words[..WORDS / 2], &query.words[..WORDS / 2], [0; LANES]);
                    if !may_be_nearer(group, query, &early, *best) {
                        continue;
                    }
                    let both = common(&group.words[WORDS / 2..], &query.words[WORDS / 2..], early);
                    let similarities = similarities(group, query, &both);
                    let first = (tile * TILE + place) * LANES;
                    for (lane, similarity) in similarities.into_iter().enumerate() {
                        if similarity > *best && query.left_out != Some(first + lane) {
                            *best = similarity;
                        }
                    }
                }
            }
        }
        best.into_iter().map(f64::from).collect()
    }
}

/// Whether a similarity of the group can exceed `best`, given the bits in common of the first half.
#[inline(always)]
fn may_be_nearer<const WORDS: usize>(
    group: &Group<WORDS>,
    query: &Query<WORDS>,
    early: &[u64; LANES],
    best: f32,
) -> bool {
    let mut may = false;
    for (lane, early) in early.iter().enumerate() {
        let most = early + group.late_ones[lane].min(query.late_ones);
        let all = group.ones[lane] + query.ones;
        // most / (all - most) >= best, with room for rounding.
        may |= most as u32 as f32 * (1.000_001 + best) >= best * all as u32 as f32;
    }
    may
}

/// A member's sums of similarities and of their squares.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    once: f64,
    squared: f64,
}

/// The same in lanes.
type WideSums = ([f64; LANES], [f64; LANES]);

/// Some rows of the matrix of all pairs, from the diagonal on.
struct Pairs<'a, const WORDS: usize> {
    set: &'a FingerprintSet<WORDS>,
    rows: &'a [Query<WORDS>],
    /// The number of the first row; a multiple of [`LANES`].
    first: usize,
    sums: &'a mut [Sums],
}

impl<const WORDS: usize> WithSimd for Pairs<'_, WORDS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { set, rows, first, sums } = self;
        let mut row_sums = vec![WideSums::default(); rows.len()];
        let first_group = first / LANES;
        for (tile, groups) in set.groups[first_group..].chunks(TILE).enumerate() {
            let mut column_sums = [WideSums::default(); TILE];
            for (row, (query, row_sums)) in rows.iter().zip(&mut row_sums).enumerate() {
                // The diagonal is in the first tile, which is wider than a chunk of rows.
                let own = row / LANES;
                let skipped = if tile == 0 { own + 1 } else { 0 };
                for (group, column_sums) in groups.iter().zip(&mut column_sums).skip(skipped) {
                    let both = common(&group.words, &query.words, [0; LANES]);
                    let similarities = similarities(group, query, &both);
                    add(&similarities, row_sums, column_sums);
                }
                if tile == 0 {
                    let group = &groups[own];
                    let both = common(&group.words, &query.words, [0; LANES]);
                    let mut similarities = similarities(group, query, &both);
                    // Left of the diagonal a pair has been seen; on it, a member meets itself once.
                    similarities[..row % LANES].fill(0.0);
                    add(&similarities, row_sums, &mut column_sums[own]);
                    let (once, squared) = &mut column_sums[own];
                    let (itself, itself_squared) = rounded(&similarities);
                    once[row % LANES] -= itself[row % LANES];
                    squared[row % LANES] -= itself_squared[row % LANES];
                }
            }
            let start = (first_group + tile * TILE) * LANES;
            for (place, (once, squared)) in column_sums.iter().enumerate().take(groups.len()) {
                for lane in 0..LANES {
                    let sums = &mut sums[start + place * LANES + lane];
                    sums.once += once[lane];
                    sums.squared += squared[lane];
                }
            }
        }
        for (row, (once, squared)) in row_sums.iter().enumerate() {
            let sums = &mut sums[first + row];
            sums.once += once.iter().sum::<f64>();
            sums.squared += squared.iter().sum::<f64>();
        }
    }
}

/// Similarities and their squares, rounded so that their sums are exact.
#[inline(always)]
fn rounded(similarities: &[f32; LANES]) -> WideSums {
    let (mut once, mut squared) = WideSums::default();
    for lane in 0..LANES {
        let similarity = f64::from(similarities[lane]);
        once[lane] = (similarity + ROUNDING) - ROUNDING;
        squared[lane] = (similarity * similarity + ROUNDING) - ROUNDING;
    }
    (once, squared)
}

#[inline(always)]
fn add(similarities: &[f32; LANES], rows: &mut WideSums, columns: &mut WideSums) {
    let (once, squared) = rounded(similarities);
    for lane in 0..LANES {
        rows.0[lane] += once[lane];
        rows.1[lane] += squared[lane];
        columns.0[lane] += once[lane];
        columns.1[lane] += squared[lane];
    }
}

/// Bits in common, added to `sums`; the number of words is a multiple of eight.
///
/// Bits are added in columns before they are counted (Harley and Seal's carry-save adders): sixteen words take five counts.
#[inline(always)]
fn common(words: &[[u64; LANES]], query: &[u64], sums: [u64; LANES]) -> [u64; LANES] {
    let mut sums = sums;
    for lane in 0..LANES {
        let (mut ones, mut twos, mut fours, mut count) = (0, 0, 0, 0);
        for (words, query) in words.as_chunks::<8>().0.iter().zip(query.as_chunks::<8>().0) {
            let both = |word: usize| words[word][lane] & query[word];
            let (first, second, third, fourth, upper, lower, eights);
            (ones, first) = add_bits(ones, both(0), both(1));
            (ones, second) = add_bits(ones, both(2), both(3));
            (twos, lower) = add_bits(twos, first, second);
            (ones, third) = add_bits(ones, both(4), both(5));
            (ones, fourth) = add_bits(ones, both(6), both(7));
            (twos, upper) = add_bits(twos, third, fourth);
            (fours, eights) = add_bits(fours, lower, upper);
            count += 8 * u64::from(eights.count_ones());
        }
        count += u64::from(ones.count_ones() + 2 * twos.count_ones() + 4 * fours.count_ones());
        sums[lane] += count;
    }
    sums
}

/// In each column of bits, the sum of three: its low bit and its high bit.
#[inline(always)]
fn add_bits(a: u64, b: u64, c: u64) -> (u64, u64) {
    (a ^ b ^ c, (a & b) | (c & (a ^ b)))
}

#[inline(always)]
fn similarities<const WORDS: usize>(
    group: &Group<WORDS>,
    query: &Query<WORDS>,
    both: &[u64; LANES],
) -> [f32; LANES] {
    let mut similarities = [0.0; LANES];
    for lane in 0..LANES {
        let either = group.ones[lane] + query.ones - both[lane];
        // Two fingerprints without a bit are alike. All numbers fit into 32 bits.
        let ratio = both[lane] as u32 as f32 / either as u32 as f32;
        similarities[lane] = if either == 0 { 1.0 } else { ratio };
    }
    similarities
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fingerprints of about a hundred random bits, among them an empty one.
    fn some(count: usize, seed: u64) -> Vec<Fingerprint<16>> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 22
        };
        let mut all: Vec<Fingerprint<16>> = (0..count)
            .map(|_| Fingerprint::of_environments(&(0..100).map(|_| next() as u32).collect::<Vec<_>>()))
            .collect();
        all[count / 2] = Fingerprint([0; 16]);
        all
    }

    #[test]
    fn the_nearest_member_is_found_exactly() {
        let (queries, members) = (some(300, 1), some(707, 2));
        let set = FingerprintSet::new(&members);
        assert_eq!((set.len(), set.is_empty()), (707, false));
        let found = set.nearest(&queries, 3);
        assert_eq!(found, set.nearest(&queries, 1));
        for (query, found) in queries.iter().zip(found) {
            let nearest = members.iter().map(|member| query.tanimoto(member)).fold(0.0, f64::max);
            assert_eq!(found, f64::from(nearest as f32));
        }
    }

    #[test]
    fn means_are_over_all_pairs_for_any_number_of_threads() {
        for count in [1, 7, 8, 9, 1_030] {
            let members = some(count, 4);
            let set = FingerprintSet::new(&members);
            let means = set.means(&members, 1);
            assert_eq!(means, set.means(&members, 3));
            for (member, (mean, square)) in members.iter().zip(means) {
                let all: Vec<f64> = members.iter().map(|other| member.tanimoto(other)).collect();
                assert!((mean - all.iter().sum::<f64>() / count as f64).abs() < 1e-8);
                assert!((square - all.iter().map(|t| t * t).sum::<f64>() / count as f64).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn a_member_is_not_its_own_neighbour() {
        let members = some(50, 3);
        let found = FingerprintSet::new(&members).nearest_others(&members, 2);
        for (index, (member, found)) in members.iter().zip(found).enumerate() {
            let others = members.iter().enumerate().filter(|(other, _)| *other != index);
            let nearest = others.map(|(_, other)| member.tanimoto(other)).fold(0.0, f64::max);
            assert!((nearest - found).abs() < 1e-7);
        }
        assert_eq!(FingerprintSet::new(&members[..1]).nearest_others(&members[..1], 1), [0.0]);
        assert_eq!(FingerprintSet::<16>::new(&[]).nearest(&members[..1], 1), [0.0]);
    }
}
