//! An order of the nodes of a graph with classes that does not depend on their numbers.
//!
//! Colours are refined by the classes of edges and neighbours (Weisfeiler & Leman 1968); where several nodes keep one colour,
//! each of them in turn is singled out, and of all orders that this leads to, the one with the smallest list of classes and edges
//! is taken (McKay, "Practical graph isomorphism", 1981). Two numberings of one graph lead to the same list; their orders
//! differ by a symmetry of the graph at most.
//!
//! Nodes that may be exchanged one by one (the hydrogens of a methyl group, the leaves of a star) are not tried one by one. On
//! highly symmetric graphs the search is given up after [`MOST_REFINEMENTS`] refinements.

/// Refinements of a search: some tens of milliseconds for a graph of 60 nodes.
pub const MOST_REFINEMENTS: usize = 2_000;

/// The order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalOrder {
    /// Node numbers: the first is the node that stands first.
    pub nodes: Vec<usize>,
    /// Whether the search came to its end; if not, the order may depend on the numbers.
    pub complete: bool,
}

/// The canonical order of a simple graph given by classes of nodes and edges (end, end, class).
///
/// Cost: O(N + E log E) for each round of a refinement, of which graphs without symmetry need one.
///
/// # Panics
/// If an end is no node.
#[must_use]
pub fn canonical_order(classes: &[usize], edges: &[(usize, usize, usize)]) -> CanonicalOrder {
    let mut neighbours = vec![Vec::new(); classes.len()];
    for &(a, b, class) in edges {
        neighbours[a].push((class, b));
        neighbours[b].push((class, a));
    }
    neighbours.iter_mut().for_each(|list| list.sort_unstable());
    let mut search = Search { classes, neighbours, best: None, left: MOST_REFINEMENTS };
    search.descend(classes.to_vec());
    let complete = search.left > 0;
    let nodes = search.best.map_or_else(|| (0..classes.len()).collect(), |best| best.nodes);
    CanonicalOrder { nodes, complete }
}

/// A graph in some order: what is compared, and the order.
struct Leaf {
    list: Vec<usize>,
    nodes: Vec<usize>,
}

struct Search<'a> {
    classes: &'a [usize],
    /// (class of the edge, neighbour), ascending.
    neighbours: Vec<Vec<(usize, usize)>>,
    best: Option<Leaf>,
    left: usize,
}

impl Search<'_> {
    /// Refines colours and goes on below; the first path is gone to its end whatever the limit.
    fn descend(&mut self, colours: Vec<usize>) {
        if self.left == 0 && self.best.is_some() {
            return;
        }
        self.left = self.left.saturating_sub(1);
        let colours = self.refine(colours);
        let mut cells = vec![Vec::new(); colours.len()];
        colours.iter().enumerate().for_each(|(node, &colour)| cells[colour].push(node));
        // The smallest cell of several nodes, of these the first colour.
        let cell = cells.iter().filter(|cell| cell.len() > 1).min_by_key(|cell| cell.len());
        let Some(cell) = cell else { return self.leaf(&cells) };
        let doubled: Vec<usize> = colours.iter().map(|colour| colour * (cell.len() + 1)).collect();
        if self.exchangeable(cell) {
            let mut split = doubled;
            cell.iter().enumerate().for_each(|(place, &node)| split[node] += place);
            return self.descend(split);
        }
        for &node in cell {
            let mut split = doubled.clone();
            split[node] += 1;
            self.descend(split);
        }
    }

    /// Stable colours 0, 1, ...; their order is that of the colours given, then of the surroundings.
    fn refine(&self, mut colours: Vec<usize>) -> Vec<usize> {
        let mut count = 0;
        loop {
            let surroundings = |node: usize| {
                let mut around: Vec<(usize, usize)> =
                    self.neighbours[node].iter().map(|&(class, other)| (class, colours[other])).collect();
                around.sort_unstable();
                (colours[node], around)
            };
            let mut kinds: Vec<_> = (0..colours.len()).map(|node| (surroundings(node), node)).collect();
            kinds.sort_unstable();
            let mut next = vec![0; colours.len()];
            let mut colour = 0;
            for (place, (kind, node)) in kinds.iter().enumerate() {
                if place > 0 && kinds[place - 1].0 != *kind {
                    colour += 1;
                }
                next[*node] = colour;
            }
            colours = next;
            if colour < count || colours.is_empty() {
                return colours;
            }
            count = colour + 1;
        }
    }

    /// Whether any two nodes of a cell may be exchanged and all others stay.
    fn exchangeable(&self, cell: &[usize]) -> bool {
        let inside = |node: usize| cell.contains(&node);
        let outer = |node: usize| self.neighbours[node].iter().filter(|(_, other)| !inside(*other));
        let inner = |node: usize| {
            let inner = self.neighbours[node].iter().filter(|(_, other)| inside(*other));
            inner.map(|(class, _)| *class).collect::<Vec<usize>>()
        };
        let first = cell[0];
        let classes = inner(first);
        let uniform = classes.is_empty()
            || (classes.len() + 1 == cell.len() && classes[0] == classes[classes.len() - 1]);
        uniform && cell.iter().all(|&node| outer(node).eq(outer(first)) && inner(node) == classes)
    }

    fn leaf(&mut self, cells: &[Vec<usize>]) {
        let nodes: Vec<usize> = cells.iter().flatten().copied().collect();
        let mut place = vec![0; nodes.len()];
        nodes.iter().enumerate().for_each(|(to, &from)| place[from] = to);
        let mut list: Vec<usize> = nodes.iter().map(|&node| self.classes[node]).collect();
        for (to, &node) in nodes.iter().enumerate() {
            let mut before: Vec<_> = self.neighbours[node]
                .iter()
                .map(|&(class, other)| (place[other], class))
                .filter(|(other, _)| *other < to)
                .collect();
            before.sort_unstable();
            list.extend(before.into_iter().flat_map(|(other, class)| [to, other, class]));
        }
        if self.best.as_ref().is_none_or(|best| list < best.list) {
            self.best = Some(Leaf { list, nodes });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    type Edges = Vec<(usize, usize, usize)>;

    /// Classes and edges in canonical order.
    fn form(classes: &[usize], edges: &Edges) -> (Vec<usize>, Edges, bool) {
        let CanonicalOrder { nodes, complete } = canonical_order(classes, edges);
        let mut place = vec![0; nodes.len()];
        nodes.iter().enumerate().for_each(|(to, &from)| place[from] = to);
        let mut sorted: Edges = edges
            .iter()
            .map(|&(a, b, class)| (place[a].max(place[b]), place[a].min(place[b]), class))
            .collect();
        sorted.sort_unstable();
        (nodes.iter().map(|&node| classes[node]).collect(), sorted, complete)
    }

    fn shuffled(classes: &[usize], edges: &Edges, random: &mut Random) -> (Vec<usize>, Edges) {
        let n = classes.len();
        let mut names: Vec<usize> = (0..n).collect();
        random.shuffle(&mut names);
        let mut renamed = vec![0; n];
        (0..n).for_each(|node| renamed[names[node]] = classes[node]);
        let mut edges: Edges = edges.iter().map(|&(a, b, class)| (names[b], names[a], class)).collect();
        edges.reverse();
        (renamed, edges)
    }

    #[test]
    fn numberings_do_not_matter() {
        let mut random = Random::keyed(7, &[]);
        let ring = |n: usize| (0..n).map(|i| (i, (i + 1) % n, 1)).collect::<Edges>();
        let star = (1..40).map(|leaf| (0, leaf, 1)).collect::<Edges>();
        let complete = (0..9).flat_map(|i| (0..i).map(move |j| (i, j, 2))).collect::<Edges>();
        let mut prism = ring(6);
        prism.extend((0..6).map(|i| (6 + i, 6 + (i + 1) % 6, 1)));
        prism.extend((0..6).map(|i| (i, 6 + i, 2)));
        let mut cases: Vec<(Vec<usize>, Edges)> = vec![
            (vec![0; 12], ring(12)),
            (vec![0, 1, 0, 1, 0, 1], ring(6)),
            (vec![0; 40], star),
            (vec![0; 9], complete),
            (vec![0; 12], prism),
            (vec![3, 1, 1], Vec::new()),
            (Vec::new(), Vec::new()),
        ];
        for n in 2..30 {
            let mut edges = Edges::new();
            for i in 0..n {
                for j in 0..i {
                    if random.below(4) == 0 {
                        edges.push((i, j, 1 + random.below(2)));
                    }
                }
            }
            cases.push(((0..n).map(|_| random.below(3)).collect(), edges));
        }
        for (classes, edges) in &cases {
            let expected = form(classes, edges);
            assert!(expected.2, "{classes:?}");
            for _ in 0..5 {
                let (classes, edges) = shuffled(classes, edges, &mut random);
                assert_eq!(form(&classes, &edges), expected);
            }
        }
        assert_ne!(
            form(&[0; 6], &ring(6)),
            form(&[0; 6], &[ring(3), vec![(3, 4, 1), (4, 5, 1), (5, 3, 1)]].concat())
        );
    }

    #[test]
    fn hopeless_symmetry_is_given_up() {
        // Disjoint triangles: no two nodes can be exchanged alone, and the symmetries are 6^8 8! many.
        let edges =
            (0..8).flat_map(|k| [(3 * k, 3 * k + 1, 1), (3 * k + 1, 3 * k + 2, 1), (3 * k + 2, 3 * k, 1)]);
        let order = canonical_order(&[0; 24], &edges.collect::<Edges>());
        let mut nodes = order.nodes.clone();
        nodes.sort_unstable();
        assert_eq!((nodes, order.complete), ((0..24).collect(), false));
    }
}
