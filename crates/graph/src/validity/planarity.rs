//! Planarity by the left-right criterion (de Fraysseix & Rosenstiehl 1982; algorithm of Brandes, "The left-right planarity
//! test", 2009).
//!
//! A depth-first search orients the graph. A graph is planar if and only if its back edges can be put on two sides, left
//! and right, so that back edges that must not cross lie on different sides. The second search keeps a stack of pairs of
//! intervals of back edges that conflict with one another, and fails if an edge conflicts with itself. Neither search
//! recurs: paths may be as long as the graph.

use crate::adjacency::Adjacency;
use crate::statistics::triangles::opposite_slots;

const NONE: usize = usize::MAX;

/// Whether a graph can be drawn in the plane without crossings. Cost: O(N log N) (at most 3 N - 6 edges are looked at).
#[must_use]
pub fn is_planar(graph: &Adjacency) -> bool {
    let nodes = graph.nodes();
    if nodes > 2 && graph.edges() > 3 * nodes - 6 {
        return false;
    }
    let mut test = LeftRight::oriented(graph);
    let roots: Vec<usize> = (0..nodes).filter(|node| test.parent_edge[*node] == NONE).collect();
    roots.into_iter().all(|root| test.component_is_planar(root))
}

/// Return edges from the lowest to the highest; edges are slots of the adjacency.
#[derive(Clone, Copy)]
struct Interval {
    low: usize,
    high: usize,
}

impl Interval {
    const EMPTY: Self = Self { low: NONE, high: NONE };

    fn is_empty(self) -> bool {
        self.low == NONE && self.high == NONE
    }
}

#[derive(Clone, Copy)]
struct ConflictPair {
    left: Interval,
    right: Interval,
}

struct LeftRight<'a> {
    graph: &'a Adjacency,
    /// Distance from the root, per node.
    height: Vec<usize>,
    /// The slot by which a node was reached; [`NONE`] for roots.
    parent_edge: Vec<usize>,
    /// Outgoing slots per node, in the order of nesting.
    outgoing: Vec<Vec<usize>>,
    /// Per slot: height of the lowest, and of the second lowest, node that its return edges reach.
    lowest: Vec<usize>,
    second_lowest: Vec<usize>,
    /// Per slot: the next lower return edge on its side; the return edge of `lowest`; the height of the stack before it.
    next_lower: Vec<usize>,
    lowest_edge: Vec<usize>,
    stack_bottom: Vec<usize>,
    stack: Vec<ConflictPair>,
}

impl<'a> LeftRight<'a> {
    /// The first search: directions, heights and lowest points.
    fn oriented(graph: &'a Adjacency) -> Self {
        let (nodes, slots) = (graph.nodes(), 2 * graph.edges());
        let mut this = Self {
            graph,
            height: vec![NONE; nodes],
            parent_edge: vec![NONE; nodes],
            outgoing: vec![Vec::new(); nodes],
            lowest: vec![0; slots],
            second_lowest: vec![0; slots],
            next_lower: vec![NONE; slots],
            lowest_edge: vec![NONE; slots],
            stack_bottom: vec![0; slots],
            stack: Vec::new(),
        };
        let opposite = opposite_slots(graph);
        let mut used = vec![false; slots];
        let mut nesting = vec![0; slots];
        // Nodes on the way, with the next slot of each.
        let mut path: Vec<(usize, usize)> = Vec::new();
        for root in 0..nodes {
            if this.height[root] != NONE {
                continue;
            }
            this.height[root] = 0;
            path.push((root, graph.slots(root).start));
            while let Some((node, slot)) = path.last_mut() {
                let (at, edge) = (*node, *slot);
                if edge == graph.slots(at).end {
                    path.pop();
                    // The tree edge to this node is finished: pass its lowest points on.
                    if let Some((above, _)) = path.last() {
                        this.leave(*above, this.parent_edge[at], &mut nesting);
                    }
                    continue;
                }
                *slot += 1;
                if used[edge] {
                    continue;
                }
                (used[edge], used[opposite[edge]]) = (true, true);
                this.outgoing[at].push(edge);
                let target = graph.at(edge);
                this.lowest[edge] = this.height[at];
                this.second_lowest[edge] = this.height[at];
                if this.height[target] == NONE {
                    this.parent_edge[target] = edge;
                    this.height[target] = this.height[at] + 1;
                    path.push((target, graph.slots(target).start));
                } else {
                    this.lowest[edge] = this.height[target];
                    this.leave(at, edge, &mut nesting);
                }
            }
        }
        for outgoing in &mut this.outgoing {
            outgoing.sort_by_key(|edge| nesting[*edge]);
        }
        this
    }

    /// An outgoing edge of `node` is finished in the first search.
    fn leave(&mut self, node: usize, edge: usize, nesting: &mut [usize]) {
        let chordal = self.second_lowest[edge] < self.height[node];
        nesting[edge] = 2 * self.lowest[edge] + usize::from(chordal);
        let parent = self.parent_edge[node];
        if parent == NONE {
            return;
        }
        let (low, second) = (self.lowest[edge], self.second_lowest[edge]);
        if low < self.lowest[parent] {
            self.second_lowest[parent] = self.lowest[parent].min(second);
            self.lowest[parent] = low;
        } else if low > self.lowest[parent] {
            self.second_lowest[parent] = self.second_lowest[parent].min(low);
        } else {
            self.second_lowest[parent] = self.second_lowest[parent].min(second);
        }
    }

    /// The second search, from a root.
    fn component_is_planar(&mut self, root: usize) -> bool {
        let mut path = vec![(root, 0)];
        while let Some((node, place)) = path.last_mut() {
            let at = *node;
            let Some(&edge) = self.outgoing[at].get(*place) else {
                path.pop();
                if let Some((above, place)) = path.last_mut() {
                    let edge = self.parent_edge[at];
                    self.remove_edges_to(*above, edge);
                    let (above, first) = (*above, *place == 0);
                    *place += 1;
                    if !self.integrate(above, edge, first) {
                        return false;
                    }
                }
                continue;
            };
            self.stack_bottom[edge] = self.stack.len();
            let target = self.graph.at(edge);
            if self.parent_edge[target] == edge {
                path.push((target, 0));
                continue;
            }
            self.lowest_edge[edge] = edge;
            let right = Interval { low: edge, high: edge };
            self.stack.push(ConflictPair { left: Interval::EMPTY, right });
            let first = *place == 0;
            *place += 1;
            if !self.integrate(at, edge, first) {
                return false;
            }
        }
        true
    }

    /// Return edges of an outgoing edge of `node` meet those of the edges before it.
    fn integrate(&mut self, node: usize, edge: usize, first: bool) -> bool {
        if self.lowest[edge] >= self.height[node] {
            return true;
        }
        let parent = self.parent_edge[node];
        if first {
            self.lowest_edge[parent] = self.lowest_edge[edge];
            return true;
        }
        self.add_constraints(edge, parent)
    }

    fn conflicts(&self, interval: Interval, edge: usize) -> bool {
        !interval.is_empty() && self.lowest[interval.high] > self.lowest[edge]
    }

    /// `above` lies over `below` on one side: link them, and give the union.
    fn join(&mut self, above: Interval, below: Interval) -> Interval {
        if above.is_empty() {
            return below;
        }
        self.next_lower[above.low] = below.high;
        Interval { low: if below.low == NONE { above.low } else { below.low }, high: above.high }
    }

    fn add_constraints(&mut self, edge: usize, parent: usize) -> bool {
        let (mut left, mut right) = (Interval::EMPTY, Interval::EMPTY);
        // All return edges of `edge` must lie on one side.
        while self.stack.len() > self.stack_bottom[edge] {
            let Some(mut pair) = self.stack.pop() else { break };
            if !pair.left.is_empty() {
                std::mem::swap(&mut pair.left, &mut pair.right);
            }
            if !pair.left.is_empty() {
                return false;
            }
            if self.lowest[pair.right.low] > self.lowest[parent] {
                right = self.join(right, pair.right);
            } else {
                self.next_lower[pair.right.low] = self.lowest_edge[parent];
            }
        }
        // Return edges of earlier edges that end above the lowest of `edge` must lie on the other.
        while let Some(top) = self.stack.last() {
            if !self.conflicts(top.left, edge) && !self.conflicts(top.right, edge) {
                break;
            }
            let Some(mut pair) = self.stack.pop() else { break };
            if self.conflicts(pair.right, edge) {
                std::mem::swap(&mut pair.left, &mut pair.right);
            }
            if self.conflicts(pair.right, edge) {
                return false;
            }
            if !pair.right.is_empty() {
                right = self.join(right, pair.right);
            }
            left = self.join(left, pair.left);
        }
        if !(left.is_empty() && right.is_empty()) {
            self.stack.push(ConflictPair { left, right });
        }
        true
    }

    /// The search goes back to `node`: return edges that end there are done.
    fn remove_edges_to(&mut self, node: usize, edge: usize) {
        while let Some(top) = self.stack.last() {
            let side =
                |interval: Interval| if interval.low == NONE { NONE } else { self.lowest[interval.low] };
            if side(top.left).min(side(top.right)) != self.height[node] {
                break;
            }
            self.stack.pop();
        }
        if let Some(mut pair) = self.stack.pop() {
            self.trim(&mut pair.left, pair.right, node);
            self.trim(&mut pair.right, pair.left, node);
            self.stack.push(pair);
        }
        // The side of `edge` is that of its highest return edge.
        if self.lowest[edge] < self.height[node]
            && let Some(top) = self.stack.last()
        {
            let (left, right) = (top.left.high, top.right.high);
            let is_left = left != NONE && (right == NONE || self.lowest[left] > self.lowest[right]);
            self.next_lower[edge] = if is_left { left } else { right };
        }
    }

    /// Takes return edges that end at `node` off the top of an interval.
    fn trim(&mut self, interval: &mut Interval, other: Interval, node: usize) {
        while interval.high != NONE && self.graph.at(interval.high) == node {
            interval.high = self.next_lower[interval.high];
        }
        if interval.high == NONE && interval.low != NONE {
            self.next_lower[interval.low] = other.low;
            interval.low = NONE;
        }
    }
}
