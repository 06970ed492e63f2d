//! SPECTRE's test for stochastic block models (Martinkus et al. 2022).
//!
//! The blocks of the graph are inferred ([`super::block_fit`]). The graph passes if
//! * there are 2 to 5 blocks of 20 to 40 nodes each, and
//! * the mean over all ordered pairs of blocks of the probability of a Wald statistic at least as large exceeds 0.9, where
//!   `W = (p' - p)^2 / (p' (1 - p') + 1e-6)`, `p'` the share of possible edges that are there, `p` = 0.3 inside a block and
//!   0.005 between blocks, and `W` is taken to follow a chi-square law with one degree of freedom.
//!
//! As published, `W` lacks the factor of the number of possible edges that a Wald test has, so it asks for similar
//! probabilities, not for equal ones within sampling error; and two blocks without any edge between them have `W` = 25, so
//! that many true draws do not pass (in SPECTRE's own training set 14 %).
//!
//! One difference: the published programme infers the blocks with graph-tool (`minimize_blockmodel_dl`, then merge-split
//! moves), which is not deterministic; here it is the procedure of [`super::block_fit`].

use super::block_fit::{Blocks, fit};
use crate::adjacency::Adjacency;

const BLOCKS: std::ops::RangeInclusive<usize> = 2..=5;
const BLOCK_NODES: std::ops::RangeInclusive<usize> = 20..=40;
const INSIDE: f64 = 0.3;
const BETWEEN: f64 = 0.005;
const THRESHOLD: f64 = 0.9;

/// Whether a graph passes the test. Graphs that no blocks of the right sizes can make up are not looked at further.
#[must_use]
pub fn is_published_model(graph: &Adjacency) -> bool {
    let possible = BLOCKS.start() * BLOCK_NODES.start()..=BLOCKS.end() * BLOCK_NODES.end();
    possible.contains(&graph.nodes()) && passes(&fit(graph))
}

/// Whether inferred blocks pass the test.
#[must_use]
pub fn passes(blocks: &Blocks) -> bool {
    BLOCKS.contains(&blocks.sizes.len())
        && blocks.sizes.iter().all(|size| BLOCK_NODES.contains(size))
        && mean_probability(blocks, INSIDE, BETWEEN) > THRESHOLD
}

/// The mean over ordered pairs of blocks of the probability of a larger statistic.
#[must_use]
pub fn mean_probability(blocks: &Blocks, inside: f64, between: f64) -> f64 {
    let count = blocks.sizes.len();
    let mut sum = 0.0;
    for first in 0..count {
        for second in 0..count {
            let (n, m) = (blocks.sizes[first] as f64, blocks.sizes[second] as f64);
            let edges = blocks.edges(first, second) as f64;
            let (expected, found) = if first == second {
                (inside, 2.0 * edges / (n * (n - 1.0) + 1e-6))
            } else {
                (between, edges / (n * m + 1e-6))
            };
            let statistic = (found - expected).powi(2) / (found * (1.0 - found) + 1e-6);
            // Upper tail of chi-square with one degree of freedom.
            sum += libm::erfc((statistic / 2.0).sqrt());
        }
    }
    sum / (count * count) as f64
}
