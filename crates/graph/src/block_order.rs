//! The structural partial order of a graph: blocks of nodes that are peeled off from the outside inwards, ties never broken.
//!
//! Zhao, Ding & Akoglu, "Pard: Permutation-Invariant Autoregressive Diffusion for Graph Generation", NeurIPS 2024,
//! algorithm 1, with the weights of the released programme. On the nodes that are left, with adjacency `A`,
//!
//! ```text
//! x^0 = 1,  x^k = x^{k-1} + A x^{k-1},  w = sum_{k=1..K} x^k n^{K-k}
//! ```
//!
//! and all nodes of the smallest weight `w` are one block; it is taken away and the rest is weighed again. The blocks are
//! numbered backwards: block 0 is the core that was left last, and is generated first.
//!
//! | symbol | meaning |
//! | --- | --- |
//! | n | nodes of the whole input graph, not of what is left |
//! | K | `max_hops`; with 0 all weights are equal and there is one block |
//! | `x^k_i` | walks of k steps from node i, where a step may also stay |
//!
//! Weights are computed exactly: in 64 or 128 bits where `K log2(n)` allows it, else in as many words as are needed.
//! They are a function of the graph alone, so the order does not depend on the numbering of the nodes, nor on
//! attributes.
//!
//! Cost of one block: O(K edges) at most, and in fact only the edges within K hops of the nodes taken away are looked at
//! again, plus one heap operation for each node weighed. A path of 100,000 nodes takes less than a second, not hours.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::adjacency::Adjacency;
use crate::graph::AttributedGraph;

/// Which degree is recorded for a block whose members have different ones (this happens for K = 0, and for K > 1 around
/// hubs). Degrees count edges inside the block and to blocks generated earlier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlockDegree {
    /// The smallest of the members: does not depend on the numbering.
    #[default]
    Smallest,
    /// That of the member with the lowest number, as the published programme has it: depends on the numbering.
    OfLowestNode,
}

/// The blocks of a graph, in the order of generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockOrder {
    /// The block of each node.
    pub block: Vec<usize>,
    /// The number of nodes of each block.
    pub sizes: Vec<usize>,
    /// The recorded degree of each block.
    pub degrees: Vec<usize>,
}

impl BlockOrder {
    /// The number of blocks.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.sizes.len()
    }

    /// The nodes by block; in a block by their number.
    #[must_use]
    pub fn nodes(&self) -> Vec<usize> {
        let mut nodes: Vec<usize> = (0..self.block.len()).collect();
        nodes.sort_by_key(|&node| self.block[node]);
        nodes
    }
}

/// The structural partial order by degree weighted over `max_hops` hops. See the [module](self).
#[must_use]
pub fn block_order<V, E>(graph: &AttributedGraph<V, E>, max_hops: usize, degree: BlockDegree) -> BlockOrder {
    let n = graph.node_count();
    // w <= K n^K, because x^k <= (1 + greatest degree)^k <= n^k.
    let bits = max_hops * bit_length(n) + bit_length(max_hops);
    if bits <= 64 {
        Peeling::<u64>::new(graph, max_hops).run(degree)
    } else if bits <= 128 {
        Peeling::<u128>::new(graph, max_hops).run(degree)
    } else {
        Peeling::<Words>::new(graph, max_hops).run(degree)
    }
}

fn bit_length(number: usize) -> usize {
    (usize::BITS - number.leading_zeros()) as usize
}

/// A whole number that is wide enough.
trait Weight: Ord + Clone {
    fn one() -> Self;
    fn add(&mut self, other: &Self);
    fn multiply(&mut self, factor: u64);
}

macro_rules! machine_weight {
    ($type:ty) => {
        impl Weight for $type {
            fn one() -> Self {
                1
            }
            fn add(&mut self, other: &Self) {
                *self += other;
            }
            fn multiply(&mut self, factor: u64) {
                *self *= <$type>::from(factor);
            }
        }
    };
}

machine_weight!(u64);
machine_weight!(u128);

/// As many 64-bit words as are needed, least significant first, without leading zeros.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Words(Vec<u64>);

impl Ord for Words {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let length = self.0.len().cmp(&other.0.len());
        length.then_with(|| self.0.iter().rev().cmp(other.0.iter().rev()))
    }
}

impl PartialOrd for Words {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Weight for Words {
    fn one() -> Self {
        Self(vec![1])
    }

    fn add(&mut self, other: &Self) {
        let length = self.0.len().max(other.0.len());
        self.0.resize(length, 0);
        let mut carry = false;
        for (word, other) in self.0.iter_mut().zip(other.0.iter().chain(std::iter::repeat(&0))) {
            let (sum, first) = word.overflowing_add(*other);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, first || second);
        }
        if carry {
            self.0.push(1);
        }
    }

    fn multiply(&mut self, factor: u64) {
        let mut carry = 0;
        for word in &mut self.0 {
            let product = u128::from(*word) * u128::from(factor) + carry;
            (*word, carry) = (product as u64, product >> 64);
        }
        if carry > 0 {
            self.0.push(carry as u64);
        }
    }
}

/// What is left of a graph.
struct Peeling<W> {
    adjacency: Adjacency,
    left: Vec<bool>,
    degrees: Vec<usize>,
    /// `x^1` to `x^K`, each for all nodes.
    walks: Vec<Vec<W>>,
    /// How often each node was weighed; a heap entry of an earlier time is stale.
    version: Vec<u32>,
    /// (weight, node, version), the smallest on top.
    heap: BinaryHeap<Reverse<(W, u32, u32)>>,
    /// Nodes left, and perhaps some that are not.
    nodes: Vec<u32>,
}

impl<W: Weight> Peeling<W> {
    fn new<V, E>(graph: &AttributedGraph<V, E>, max_hops: usize) -> Self {
        let adjacency = Adjacency::new(graph);
        let n = adjacency.nodes();
        let mut peeling = Self {
            left: vec![true; n],
            degrees: (0..n).map(|node| adjacency.degree(node)).collect(),
            adjacency,
            walks: vec![vec![W::one(); n]; max_hops],
            version: vec![0; n],
            heap: BinaryHeap::new(),
            nodes: (0..n as u32).collect(),
        };
        for level in 0..max_hops {
            (0..n).for_each(|node| peeling.count_walks(level, node));
        }
        peeling.rebuild_heap();
        peeling
    }

    fn run(mut self, rule: BlockDegree) -> BlockOrder {
        let n = self.left.len();
        let (mut step, mut sizes, mut degrees) = (vec![0; n], Vec::new(), Vec::new());
        let mut members = Vec::new();
        let mut affected = Affected { nodes: Vec::new(), marked: vec![false; n] };
        loop {
            self.take_lightest(&mut members);
            let recorded = members.iter().map(|&node| (node, self.degrees[node as usize]));
            let degree = match rule {
                BlockDegree::Smallest => recorded.map(|(_, degree)| degree).min(),
                BlockDegree::OfLowestNode => recorded.min().map(|(_, degree)| degree),
            };
            let Some(degree) = degree else { break };
            for &node in &members {
                step[node as usize] = sizes.len();
            }
            sizes.push(members.len());
            degrees.push(degree);
            self.reweigh_after(&members, &mut affected);
        }
        let last = sizes.len().saturating_sub(1);
        step.iter_mut().for_each(|step| *step = last - *step);
        sizes.reverse();
        degrees.reverse();
        BlockOrder { block: step, sizes, degrees }
    }

    /// Takes all nodes of the smallest weight.
    fn take_lightest(&mut self, members: &mut Vec<u32>) {
        members.clear();
        let mut lightest: Option<W> = None;
        while let Some(Reverse((weight, node, version))) = self.heap.peek() {
            let (node, version) = (*node, *version);
            if self.left[node as usize] && self.version[node as usize] == version {
                if lightest.as_ref().is_some_and(|lightest| weight != lightest) {
                    break;
                }
                if lightest.is_none() {
                    lightest = Some(weight.clone());
                }
                self.left[node as usize] = false;
                members.push(node);
            }
            self.heap.pop();
        }
    }

    /// Counts the walks again that the nodes taken away were part of.
    fn reweigh_after(&mut self, taken: &[u32], affected: &mut Affected) {
        affected.clear();
        for &node in taken {
            for &neighbour in self.adjacency.neighbours(node as usize) {
                if self.left[neighbour as usize] {
                    self.degrees[neighbour as usize] -= 1;
                    affected.add(neighbour);
                }
            }
        }
        let mut outermost = 0;
        for level in 0..self.walks.len() {
            if level > 0 {
                // One hop further.
                let end = affected.nodes.len();
                for place in outermost..end {
                    for &neighbour in self.adjacency.neighbours(affected.nodes[place] as usize) {
                        if self.left[neighbour as usize] {
                            affected.add(neighbour);
                        }
                    }
                }
                outermost = end;
            }
            affected.nodes.iter().for_each(|&node| self.count_walks(level, node as usize));
        }
        if self.walks.is_empty() {
            return;
        }
        for &node in &affected.nodes {
            self.version[node as usize] += 1;
        }
        // Many stale entries: a heap made anew costs less, and keeps the memory in bounds.
        if self.heap.len() + affected.nodes.len() > 2 * self.nodes.len() + 16 {
            self.rebuild_heap();
        } else {
            for &node in &affected.nodes {
                self.heap.push(self.entry(node));
            }
        }
    }

    /// `x^{level + 1}` of one node, from `x^level` of the node and of its neighbours.
    fn count_walks(&mut self, level: usize, node: usize) {
        let neighbours =
            self.adjacency.neighbours(node).iter().filter(|&&neighbour| self.left[neighbour as usize]);
        let one = W::one();
        let (before, here) = self.walks.split_at_mut(level);
        let before = before.last();
        let at = |node: usize| before.map_or(&one, |walks| &walks[node]);
        let mut walks = at(node).clone();
        neighbours.for_each(|&neighbour| walks.add(at(neighbour as usize)));
        here[0][node] = walks;
    }

    fn rebuild_heap(&mut self) {
        let left = &self.left;
        self.nodes.retain(|&node| left[node as usize]);
        self.heap = self.nodes.iter().map(|&node| self.entry(node)).collect();
    }

    fn entry(&self, node: u32) -> Reverse<(W, u32, u32)> {
        let at = node as usize;
        let n = self.left.len() as u64;
        let mut levels = self.walks.iter().map(|walks| &walks[at]);
        let mut weight = levels.next().cloned().unwrap_or_else(W::one);
        for walks in levels {
            weight.multiply(n);
            weight.add(walks);
        }
        Reverse((weight, node, self.version[at]))
    }
}

/// A set of nodes in the order in which they were added.
struct Affected {
    nodes: Vec<u32>,
    marked: Vec<bool>,
}

impl Affected {
    fn clear(&mut self) {
        self.nodes.drain(..).for_each(|node| self.marked[node as usize] = false);
    }

    fn add(&mut self, node: u32) {
        if !std::mem::replace(&mut self.marked[node as usize], true) {
            self.nodes.push(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::graph_from_edges;

    #[test]
    fn a_path_is_peeled_from_both_ends() {
        let path = graph_from_edges(5, (0..4).map(|node| (node, node + 1))).unwrap();
        let order = block_order(&path, 1, BlockDegree::default());
        assert_eq!(order.block, [2, 1, 0, 1, 2]);
        assert_eq!((&order.sizes[..], &order.degrees[..]), (&[1, 2, 2][..], &[0, 1, 1][..]));
        assert_eq!(order.nodes(), [2, 1, 3, 0, 4]);
    }

    #[test]
    fn without_hops_there_is_one_block() {
        let star = graph_from_edges(4, [(0, 1), (0, 2), (0, 3)]).unwrap();
        let order = block_order(&star, 0, BlockDegree::OfLowestNode);
        assert_eq!((order.blocks(), &order.block[..], order.degrees[0]), (1, &[0; 4][..], 3));
        assert_eq!(block_order(&star, 0, BlockDegree::Smallest).degrees, [1]);
        let nothing = block_order(&graph_from_edges(0, []).unwrap(), 3, BlockDegree::default());
        assert_eq!((nothing.blocks(), nothing.block.len()), (0, 0));
    }

    #[test]
    fn wide_numbers_are_numbers() {
        let mut random = crate::random::Random::keyed(3, &[]);
        for _ in 0..2000 {
            let mut narrow = [1_u128, 1];
            let mut wide = [Words::one(), Words::one()];
            for _ in 0..5 {
                let factor = random.bits() >> 40;
                narrow = [narrow[0] * u128::from(factor) + narrow[1], narrow[1] * u128::from(factor >> 3)];
                let [first, second] = &mut wide;
                first.multiply(factor);
                first.add(second);
                second.multiply(factor >> 3);
            }
            let value =
                |words: &Words| words.0.iter().rev().fold(0, |sum, &word| (sum << 64) | u128::from(word));
            assert_eq!(wide.each_ref().map(value), narrow);
            assert_eq!(wide[0].cmp(&wide[1]), narrow[0].cmp(&narrow[1]));
        }
    }
}
