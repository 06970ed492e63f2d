//! Whether two graphs are the same up to the numbers of their nodes.
//!
//! Colour refinement (Weisfeiler & Leman 1968) gives every node a colour that says how its surroundings look. Where that
//! leaves several nodes with one colour, one of them is singled out in the first graph, each of them in turn in the second,
//! and colours are refined again (individualisation and refinement, as in McKay's nauty). Answers are exact: a graph is
//! called isomorphic only if a bijection was found that keeps all edges (forests: if their stable colours agree, which
//! decides for forests), different only if no branch is left.
//!
//! On some graphs, strongly regular ones for example, the search may take very long; it is given up after
//! [`MOST_WORK`] steps with the answer [`Isomorphism::Undecided`].

use crate::adjacency::Adjacency;

/// Looks at an edge that a search may take: a second or two.
pub const MOST_WORK: u64 = 300_000_000;

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isomorphism {
    /// There is a bijection that keeps all edges.
    Isomorphic,
    /// There is none.
    Different,
    /// The search was given up.
    Undecided,
}

/// A number that isomorphic graphs share, and other graphs hardly ever, except such as colour refinement cannot tell
/// apart (regular graphs of equal size and degree). Cost: O(E) a round, at most `ROUNDS` rounds.
#[must_use]
pub fn fingerprint(graph: &Adjacency) -> u64 {
    let mut work = Work { left: u64::MAX };
    let colours = refine(graph, vec![0; graph.nodes()], ROUNDS, &mut work).unwrap_or_default();
    let size = mix(graph.nodes() as u64 ^ mix(graph.edges() as u64));
    colours.into_iter().fold(size, |sum, colour| sum.wrapping_add(mix(colour)))
}

/// Rounds of refinement for a fingerprint.
const ROUNDS: usize = 32;

/// Whether two graphs are isomorphic.
#[must_use]
pub fn isomorphism(first: &Adjacency, second: &Adjacency) -> Isomorphism {
    isomorphism_within(first, second, MOST_WORK)
}

/// As [`isomorphism`], with another limit on the work.
#[must_use]
pub fn isomorphism_within(first: &Adjacency, second: &Adjacency, most_work: u64) -> Isomorphism {
    let nodes = first.nodes();
    if nodes != second.nodes() || first.edges() != second.edges() {
        return Isomorphism::Different;
    }
    if first == second {
        return Isomorphism::Isomorphic;
    }
    let mut work = Work { left: most_work };
    let start = || vec![0; nodes];
    let forest = first.edges() + first.component_count() == nodes;
    match search(first, second, start(), start(), forest, &mut work) {
        Some(true) => Isomorphism::Isomorphic,
        Some(false) => Isomorphism::Different,
        None => Isomorphism::Undecided,
    }
}

struct Work {
    left: u64,
}

impl Work {
    /// `None` when it is used up.
    fn spend(&mut self, amount: usize) -> Option<()> {
        self.left = self.left.checked_sub(amount as u64)?;
        Some(())
    }
}

/// Whether there is an isomorphism that keeps the colours; `None` if the work ran out. A stack of choices in place of
/// recursion, for there may be as many as nodes.
fn search(
    first: &Adjacency,
    second: &Adjacency,
    first_colours: Vec<u64>,
    second_colours: Vec<u64>,
    forest: bool,
    work: &mut Work,
) -> Option<bool> {
    let nodes = first.nodes();
    // Choices that are open: colours of the first graph with a node singled out, those of the second before, and the nodes
    // of the second that may be its image.
    struct Choice {
        first: Vec<u64>,
        second: Vec<u64>,
        images: Vec<usize>,
    }
    let mut choices: Vec<Choice> = Vec::new();
    let mut pair = Some((first_colours, second_colours));
    loop {
        let (first_colours, second_colours) = match pair.take() {
            Some(pair) => pair,
            None => {
                let Some(choice) = choices.last_mut() else { return Some(false) };
                let Some(image) = choice.images.pop() else {
                    choices.pop();
                    continue;
                };
                work.spend(2 * nodes)?;
                let mut second = choice.second.clone();
                second[image] = SINGLED_OUT ^ mix(second[image]);
                (choice.first.clone(), second)
            }
        };
        let a = refine(first, first_colours, nodes, work)?;
        let b = refine(second, second_colours, nodes, work)?;
        let (order_a, order_b) = (sorted_by_colour(&a), sorted_by_colour(&b));
        if order_a.iter().zip(&order_b).any(|(x, y)| a[*x] != b[*y]) {
            continue;
        }
        // The smallest colour class of several nodes.
        let classes = order_a.chunk_by(|x, y| a[*x] == a[*y]).filter(|class| class.len() > 1);
        match classes.min_by_key(|class| class.len()) {
            None => {
                if keeps_edges(first, second, &order_a, &order_b) {
                    return Some(true);
                }
            }
            Some(_) if forest => return Some(true),
            Some(class) => {
                let colour = a[class[0]];
                let images = order_b.iter().copied().filter(|node| b[*node] == colour).collect();
                let mut singled = a.clone();
                singled[class[0]] = SINGLED_OUT ^ mix(colour);
                choices.push(Choice { first: singled, second: b, images });
            }
        }
    }
}

const SINGLED_OUT: u64 = 0x517c_c1b7_2722_0a95;

/// Refines colours until as many rounds are done or no more colours appear; `None` if the work ran out.
fn refine(graph: &Adjacency, mut colours: Vec<u64>, rounds: usize, work: &mut Work) -> Option<Vec<u64>> {
    let mut different = count_different(&colours);
    for _ in 0..rounds {
        work.spend(graph.nodes() + 2 * graph.edges())?;
        let refined: Vec<u64> = (0..graph.nodes())
            .map(|node| {
                // A sum does not depend on the order of the neighbours.
                let around = graph.neighbours(node).iter();
                let sum = around.fold(0_u64, |sum, other| sum.wrapping_add(mix(colours[*other as usize])));
                mix(colours[node].wrapping_mul(3) ^ mix(sum))
            })
            .collect();
        colours = refined;
        let now = count_different(&colours);
        if now == different {
            break;
        }
        different = now;
    }
    Some(colours)
}

fn count_different(colours: &[u64]) -> usize {
    let mut sorted = colours.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.len()
}

fn sorted_by_colour(colours: &[u64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..colours.len()).collect();
    order.sort_by_key(|node| colours[*node]);
    order
}

/// Whether the bijection from `from[i]` to `to[i]` keeps all edges.
fn keeps_edges(first: &Adjacency, second: &Adjacency, from: &[usize], to: &[usize]) -> bool {
    let mut image = vec![0; from.len()];
    from.iter().zip(to).for_each(|(node, other)| image[*node] = *other);
    (0..first.nodes()).all(|node| {
        let mut edges = first.neighbours(node).iter();
        edges.all(|other| second.slot(image[node], image[*other as usize]).is_some())
    })
}

/// A bijection of 64-bit numbers that scatters them (the last steps of SplitMix64).
fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
