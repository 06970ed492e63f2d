//! Uniform numbers for generation, each a function of what it is for.

use equidrift_backend::philox::philox4x32_10;
use equidrift_sampler::support::pair_key;

/// What a number decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The size of the first block.
    FirstSize,
    /// Its degree.
    FirstDegree,
    /// The class of a node at step T.
    InitialNode,
    /// The class of a pair at step T.
    InitialPair,
    /// The class of a node at step t - 1.
    Node {
        /// t.
        t: usize,
    },
    /// The class of a pair at step t - 1.
    Pair {
        /// t.
        t: usize,
    },
    /// The size of the next block.
    NextSize,
    /// Its degree.
    NextDegree,
}

/// One number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The graph's place among those that are generated.
    pub graph: usize,
    /// The block that is being generated.
    pub round: usize,
    /// What for.
    pub purpose: Purpose,
    /// The place of the node or pair among those of the block, row by row; 0 otherwise.
    pub rank: usize,
    /// The node's number, or both of the pair's; 0 otherwise.
    pub element: (usize, usize),
}

/// A source of numbers uniform on [0, 1).
pub trait Draws {
    /// The number.
    fn uniform(&mut self, question: &Question) -> f64;
}

/// Numbers as a pure function of seed, sample, block, step and element, by Philox 4x32-10: the same whatever the batch
/// and the order of asking.
///
/// - key = the seed (low word, high word);
/// - counter = (element, block * 65536 + step, id bits 0-31, id bits 32-47 | stream << 16), element = the node's number or the
///   pair's [`pair_key`];
/// - the first two words give 53 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedDraws {
    /// The seed.
    pub seed: u64,
    /// The sample number of each graph; 48 bits are used.
    pub ids: Vec<u64>,
}

impl Draws for KeyedDraws {
    fn uniform(&mut self, question: &Question) -> f64 {
        let id = self.ids[question.graph];
        let node = question.element.0 as u64;
        let pair = || pair_key(question.element.0 as u32, question.element.1 as u32);
        let (stream, step, element) = match question.purpose {
            Purpose::FirstSize => (0_u32, 0, 0),
            Purpose::FirstDegree => (1, 0, 0),
            Purpose::NextSize => (2, 0, 0),
            Purpose::NextDegree => (3, 0, 0),
            Purpose::InitialNode => (4, 0, node),
            Purpose::InitialPair => (5, 0, pair()),
            Purpose::Node { t } => (6, t, node),
            Purpose::Pair { t } => (7, t, pair()),
        };
        let step = (question.round as u32) << 16 | step as u32;
        let counter = [element as u32, step, id as u32, ((id >> 32) as u32 & 0xffff) | (stream << 16)];
        let words = philox4x32_10(counter, [self.seed as u32, (self.seed >> 32) as u32]);
        let bits = (u64::from(words[0]) << 32 | u64::from(words[1])) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_different_purposes_differ() {
        let mut draws = KeyedDraws { seed: 7, ids: vec![0, 1, 1 << 40] };
        let mut seen = std::collections::BTreeSet::new();
        let purposes = [
            Purpose::FirstSize,
            Purpose::FirstDegree,
            Purpose::InitialNode,
            Purpose::InitialPair,
            Purpose::Node { t: 3 },
            Purpose::Node { t: 4 },
            Purpose::Pair { t: 3 },
            Purpose::NextSize,
            Purpose::NextDegree,
        ];
        for graph in 0..3 {
            for purpose in purposes {
                for round in 0..2 {
                    let question = Question { graph, round, purpose, rank: 0, element: (4, 2) };
                    let u = draws.uniform(&question);
                    assert!((0.0..1.0).contains(&u) && draws.uniform(&question) == u);
                    seen.insert(u.to_bits());
                }
            }
        }
        assert_eq!(seen.len(), 3 * purposes.len() * 2);
    }
}
