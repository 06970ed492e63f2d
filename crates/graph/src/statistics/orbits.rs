//! Orbit counts of graphlets of 2 to 4 nodes (Pržulj 2007): at how many induced subgraphs of each kind a node takes part,
//! in each role.
//!
//! | orbit | role |
//! | --- | --- |
//! | 0 | end of an edge |
//! | 1, 2 | end, middle of a path of 3 |
//! | 3 | triangle |
//! | 4, 5 | end, inner node of a path of 4 |
//! | 6, 7 | leaf, centre of a star of 4 |
//! | 8 | cycle of 4 |
//! | 9, 10, 11 | pendant node, node of degree 2, node of degree 3 of the paw (a triangle with a pendant node) |
//! | 12, 13 | node of degree 2, of degree 3 of the diamond (a complete graph of 4 nodes less an edge) |
//! | 14 | complete graph of 4 nodes |
//!
//! Only triangles, cycles of 4 and complete graphs of 4 are enumerated; the other orbits follow from sums over edges, as
//! in ORCA (Hočevar & Demšar, "A combinatorial approach to graphlet counting", Bioinformatics 30, 559, 2014). The
//! equations here are our own. For node `x` with neighbours `a`: `t(xa)` triangles at an edge, `T(x)` triangles at a node,
//! `d` degrees, `m(xa) = d(a) - 1 - t(xa)` neighbours of `a` that are two steps from `x` by way of `a`, sums over
//! neighbours `a` of `x` and over triangles `xab`:
//!
//! ```text
//! S13 = sum_a t(xa) (t(xa) - 1)                     = 2 o13 + 6 o14
//! S12 = sum_xab (t(ab) - 1)                         = o12 + 3 o14
//! S11 = sum_a t(xa) (d(x) - 1 - t(xa))              = 2 o11 + 2 o13
//! S10 = sum_xab (d(a) + d(b) - 2 - 2 t(ab))         = o10 + 2 o13
//! S9  = sum_a (2 T(a) - t(xa)) - 2 (S12 + T(x))     = 2 o9 + 2 o12      paths x-a-b, b not next to x, times t(ab)
//! C4  = cycles of 4 at x, induced or not            = o8 + o12 + o13 + 3 o14
//! S6  = sum_a m(xa) (m(xa) - 1) / 2                 = o6 + o9
//! S5  = sum_a m(xa) (d(x) - 1 - t(xa))              = o5 + 2 o8
//! S4  = sum_a (P(a) - d(x) + 1 + t(xa)) - S10       = o4 + 2 o8         P(a) = sum over neighbours b of a of (d(b) - 1 - t(ab))
//! d(x) choose 3                                     = o7 + o11 + o13 + o14
//! ```
//!
//! Cost: O(E^1.5) for triangles and cycles (Chiba & Nishizeki 1985), O(E^2 / 64) at most for complete graphs, which only
//! dense graphs come near.

use super::triangles;
use crate::adjacency::Adjacency;

/// Number of orbits.
pub const ORBITS: usize = 15;

/// The orbit counts of every node.
#[must_use]
pub fn counts(graph: &Adjacency) -> Vec<[u64; ORBITS]> {
    let nodes = graph.nodes();
    let at_edge = triangles::per_slot(graph);
    let degree = |node: usize| graph.degree(node) as u64;
    let cycles = cycles_of_four(graph);
    let complete = complete_of_four(graph);

    let (mut at_node, mut s12, mut s10) = (vec![0; nodes], vec![0; nodes], vec![0; nodes]);
    triangles::for_each(graph, |[a, b, c], [ab, ac, bc]| {
        for (node, first, second, opposite) in [(a, b, c, bc), (b, a, c, ac), (c, a, b, ab)] {
            at_node[node] += 1;
            s12[node] += at_edge[opposite] - 1;
            s10[node] += degree(first) + degree(second) - 2 - 2 * at_edge[opposite];
        }
    });
    // P of the equations: m seen from the other end.
    let beyond = |slot: usize| degree(graph.at(slot)) - 1 - at_edge[slot];
    let reach: Vec<u64> = (0..nodes).map(|node| graph.slots(node).map(beyond).sum()).collect();

    let of_node = |x: usize| {
        let d = degree(x);
        let (mut s13, mut s11, mut paths_s9, mut s6, mut s5, mut paths_s4) = (0, 0, 0, 0, 0, 0);
        for slot in graph.slots(x) {
            let (a, t, m) = (graph.at(slot), at_edge[slot], beyond(slot));
            s13 += t * t.saturating_sub(1);
            s11 += t * (d - 1 - t);
            paths_s9 += 2 * at_node[a] - t;
            s6 += m * m.saturating_sub(1) / 2;
            s5 += m * (d - 1 - t);
            paths_s4 += reach[a] - (d - 1 - t);
        }
        let o14 = complete[x];
        let o13 = (s13 - 6 * o14) / 2;
        let o12 = s12[x] - 3 * o14;
        let o11 = s11 / 2 - o13;
        let o10 = s10[x] - 2 * o13;
        let o9 = (paths_s9 - 2 * (s12[x] + at_node[x])) / 2 - o12;
        let o8 = cycles[x] - o12 - o13 - 3 * o14;
        let pairs = d * d.saturating_sub(1) / 2;
        let triples = pairs * d.saturating_sub(2) / 3;
        let o3 = at_node[x];
        let o1 = graph.slots(x).map(beyond).sum();
        [
            d,
            o1,
            pairs - o3,
            o3,
            paths_s4 - s10[x] - 2 * o8,
            s5 - 2 * o8,
            s6 - o9,
            triples - o11 - o13 - o14,
            o8,
            o9,
            o10,
            o11,
            o12,
            o13,
            o14,
        ]
    };
    (0..nodes).map(of_node).collect()
}

/// The mean of the orbit counts over the nodes; zeros for a graph without nodes.
#[must_use]
pub fn mean(graph: &Adjacency) -> [f64; ORBITS] {
    let mut sums = [0_u64; ORBITS];
    for counts in counts(graph) {
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    sums.map(|sum| if graph.nodes() == 0 { 0.0 } else { sum as f64 / graph.nodes() as f64 })
}

/// Cycles of four nodes at each node, with or without chords: each is found from its node of highest rank.
fn cycles_of_four(graph: &Adjacency) -> Vec<u64> {
    let rank = |node: usize| (graph.degree(node), node);
    let mut cycles = vec![0; graph.nodes()];
    // Paths of two steps from the top to each node.
    let mut paths = vec![0_u64; graph.nodes()];
    for top in 0..graph.nodes() {
        let lower = |node: &usize| rank(*node) < rank(top);
        let two_steps = || {
            let middles = graph.slots(top).map(|slot| graph.at(slot)).filter(lower);
            middles.flat_map(|middle| {
                let ends = graph.slots(middle).map(|slot| graph.at(slot)).filter(lower);
                ends.map(move |end| (middle, end))
            })
        };
        two_steps().for_each(|(_, end)| paths[end] += 1);
        // A path closes a cycle with each other path to the same end.
        two_steps().for_each(|(middle, end)| cycles[middle] += paths[end] - 1);
        for (_, end) in two_steps() {
            let count = std::mem::take(&mut paths[end]);
            let closed = count * count.saturating_sub(1) / 2;
            cycles[end] += closed;
            cycles[top] += closed;
        }
    }
    cycles
}

/// Complete graphs of four nodes at each node: each is found from its node of lowest rank, as a triangle among the
/// neighbours of higher rank, of which no node has more than the root of 2 E. Rows of bits make dense graphs bearable.
fn complete_of_four(graph: &Adjacency) -> Vec<u64> {
    let nodes = graph.nodes();
    let rank = |node: usize| (graph.degree(node), node);
    let above: Vec<Vec<usize>> = (0..nodes)
        .map(|node| {
            graph.slots(node).map(|slot| graph.at(slot)).filter(|other| rank(*other) > rank(node)).collect()
        })
        .collect();
    let mut complete = vec![0; nodes];
    let mut place = vec![usize::MAX; nodes];
    let mut rows: Vec<u64> = Vec::new();
    for (lowest, around) in above.iter().enumerate().filter(|(_, around)| around.len() > 2) {
        let words = around.len().div_ceil(64);
        rows.clear();
        rows.resize(around.len() * words, 0);
        around.iter().enumerate().for_each(|(at, node)| place[*node] = at);
        let joined = around.iter().enumerate().flat_map(|(at, node)| {
            let others = above[*node].iter().map(|other| place[*other]);
            others.filter(|other| *other != usize::MAX).map(move |other| (at, other))
        });
        let joined: Vec<(usize, usize)> = joined.collect();
        for &(a, b) in &joined {
            rows[a * words + b / 64] |= 1 << (b % 64);
            rows[b * words + a / 64] |= 1 << (a % 64);
        }
        let mut twice_at = vec![0; around.len()];
        for &(a, b) in &joined {
            let pairs = rows[a * words..][..words].iter().zip(&rows[b * words..][..words]);
            let triangles: u64 = pairs.map(|(a, b)| u64::from((a & b).count_ones())).sum();
            twice_at[a] += triangles;
            twice_at[b] += triangles;
        }
        // Each triangle was counted at its three edges: twice at each node.
        complete[lowest] += twice_at.iter().sum::<u64>() / 6;
        for (node, twice) in around.iter().zip(&twice_at) {
            complete[*node] += twice / 2;
            place[*node] = usize::MAX;
        }
    }
    complete
}
