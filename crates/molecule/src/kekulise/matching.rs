//! Matchings that cover the important vertices first.
//!
//! The sets of vertices that matchings of a graph can cover are the independent sets of a matroid (Edmonds & Fulkerson, J. Res.
//! Natl. Bur. Stand. 69B, 147, 1965), so covering one vertex after another, the most important first, covers as many of every
//! rank as any matching that covers as many of the ranks before it. One vertex is covered along an alternating path, which
//! the blossom algorithm finds (Edmonds, Can. J. Math. 17, 449, 1965): to a free vertex, or to a covered one of lower rank, which
//! gives way. Cost: O(vertices × edges) for each vertex.

use std::collections::VecDeque;

const NONE: usize = usize::MAX;

/// A matching of a graph, which grows.
#[derive(Debug, Clone)]
pub(super) struct Matching {
    neighbours: Vec<Vec<usize>>,
    mates: Vec<usize>,
}

/// The alternating forest of one search.
struct Search {
    /// The outer vertex from which an inner one was reached.
    parent: Vec<usize>,
    /// The base of the blossom that a vertex is in: itself outside blossoms.
    base: Vec<usize>,
    /// Whether an alternating path of even length leads here.
    outer: Vec<bool>,
    queue: VecDeque<usize>,
}

impl Matching {
    /// The empty matching of a graph without edges.
    pub(super) fn new(vertices: usize) -> Self {
        Self { neighbours: vec![Vec::new(); vertices], mates: vec![NONE; vertices] }
    }

    pub(super) fn add_edge(&mut self, first: usize, second: usize) {
        self.neighbours[first].push(second);
        self.neighbours[second].push(first);
    }

    /// The vertex that this one is matched with.
    pub(super) fn mate(&self, vertex: usize) -> Option<usize> {
        Some(self.mates[vertex]).filter(|&mate| mate != NONE)
    }

    /// Covers a vertex, all covered ones staying covered, or else one for which `gives_way` answers true not. Paths lead only
    /// through vertices for which `open` answers true. Whether it could.
    pub(super) fn cover(
        &mut self,
        vertex: usize,
        open: impl Fn(usize) -> bool,
        gives_way: impl Fn(usize) -> bool,
    ) -> bool {
        self.mates[vertex] != NONE
            || self.search(vertex, &open, &|_| false)
            || self.search(vertex, &open, &gives_way)
    }

    fn search(
        &mut self,
        root: usize,
        open: &impl Fn(usize) -> bool,
        gives_way: &impl Fn(usize) -> bool,
    ) -> bool {
        let vertices = self.mates.len();
        let mut search = Search {
            parent: vec![NONE; vertices],
            base: (0..vertices).collect(),
            outer: vec![false; vertices],
            queue: VecDeque::from([root]),
        };
        search.outer[root] = true;
        while let Some(from) = search.queue.pop_front() {
            if from != root && gives_way(from) {
                let mate = std::mem::replace(&mut self.mates[from], NONE);
                self.flip(mate, &search.parent);
                return true;
            }
            for place in 0..self.neighbours[from].len() {
                let to = self.neighbours[from][place];
                if !open(to) || search.base[from] == search.base[to] || self.mates[from] == to {
                    continue;
                }
                let mate = self.mates[to];
                if to == root || (mate != NONE && search.parent[mate] != NONE) {
                    self.contract(&mut search, from, to);
                } else if search.parent[to] == NONE {
                    search.parent[to] = from;
                    if mate == NONE {
                        self.flip(to, &search.parent);
                        return true;
                    }
                    search.outer[mate] = true;
                    search.queue.push_back(mate);
                }
            }
        }
        false
    }

    /// Matches along the path from `vertex` back to the root.
    fn flip(&mut self, mut vertex: usize, parent: &[usize]) {
        while vertex != NONE {
            let from = parent[vertex];
            let next = std::mem::replace(&mut self.mates[from], vertex);
            self.mates[vertex] = from;
            vertex = next;
        }
    }

    /// Makes one vertex of the odd cycle that an edge between two outer vertices closes.
    fn contract(&self, search: &mut Search, first: usize, second: usize) {
        let vertices = self.mates.len();
        let base = self.common_base(search, first, second);
        let mut blossom = vec![false; vertices];
        for (start, other) in [(first, second), (second, first)] {
            let (mut vertex, mut child) = (start, other);
            while search.base[vertex] != base {
                let mate = self.mates[vertex];
                blossom[search.base[vertex]] = true;
                blossom[search.base[mate]] = true;
                search.parent[vertex] = child;
                child = mate;
                vertex = search.parent[mate];
            }
        }
        for vertex in 0..vertices {
            if blossom[search.base[vertex]] {
                search.base[vertex] = base;
                if !search.outer[vertex] {
                    search.outer[vertex] = true;
                    search.queue.push_back(vertex);
                }
            }
        }
    }

    /// The base at which the paths of two outer vertices to the root meet.
    fn common_base(&self, search: &Search, first: usize, second: usize) -> usize {
        let mut seen = vec![false; self.mates.len()];
        let mut vertex = first;
        loop {
            vertex = search.base[vertex];
            seen[vertex] = true;
            if self.mates[vertex] == NONE {
                break; // the root
            }
            vertex = search.parent[self.mates[vertex]];
        }
        vertex = second;
        loop {
            vertex = search.base[vertex];
            if seen[vertex] {
                return vertex;
            }
            vertex = search.parent[self.mates[vertex]];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64, so that the graphs are the same everywhere.
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The most vertices of rank 0, then of rank 1, that a matching of the edges from `next` on covers.
    fn best(edges: &[(usize, usize)], ranks: &[usize], next: usize, used: &mut Vec<bool>) -> [usize; 2] {
        let Some(&(a, b)) = edges.get(next) else { return [0, 0] };
        let mut found = best(edges, ranks, next + 1, used);
        if !used[a] && !used[b] {
            (used[a], used[b]) = (true, true);
            let mut with = best(edges, ranks, next + 1, used);
            (used[a], used[b]) = (false, false);
            with[ranks[a]] += 1;
            with[ranks[b]] += 1;
            found = found.max(with);
        }
        found
    }

    #[test]
    fn as_many_of_each_rank_are_covered_as_can_be() {
        let (mut state, mut gave_way) = (7, 0);
        for _ in 0..4_000 {
            let vertices = 2 + random(&mut state) as usize % 8;
            let ranks: Vec<usize> = (0..vertices).map(|_| (random(&mut state) % 2) as usize).collect();
            let mut matching = Matching::new(vertices);
            let mut edges = Vec::new();
            for a in 0..vertices {
                for b in 0..a {
                    if random(&mut state).is_multiple_of(3) && edges.len() < 14 {
                        edges.push((a, b));
                        matching.add_edge(a, b);
                    }
                }
            }
            for rank in [0, 1] {
                for vertex in (0..vertices).filter(|&vertex| ranks[vertex] == rank) {
                    let before = (0..vertices).filter(|&v| matching.mate(v).is_some()).count();
                    let covered = matching.cover(vertex, |_| true, |other| ranks[other] > rank);
                    let after = (0..vertices).filter(|&v| matching.mate(v).is_some()).count();
                    assert!(after >= before);
                    assert_eq!(covered, matching.mate(vertex).is_some());
                    gave_way += usize::from(covered && after == before);
                }
            }
            let mut covered = [0, 0];
            for vertex in 0..vertices {
                if let Some(mate) = matching.mate(vertex) {
                    assert_eq!(matching.mate(mate), Some(vertex));
                    assert!(edges.contains(&(vertex.max(mate), vertex.min(mate))));
                    covered[ranks[vertex]] += 1;
                }
            }
            assert_eq!(covered, best(&edges, &ranks, 0, &mut vec![false; vertices]), "{edges:?} {ranks:?}");
        }
        assert!(gave_way > 100, "{gave_way}");
    }

    #[test]
    fn closed_vertices_are_not_used() {
        let mut matching = Matching::new(3);
        matching.add_edge(0, 1);
        matching.add_edge(1, 2);
        assert!(!matching.cover(0, |vertex| vertex != 1, |_| false));
        assert!(matching.cover(0, |_| true, |_| false));
        assert_eq!((matching.mate(0), matching.mate(2)), (Some(1), None));
    }
}
