//! Padded batches of graphs in blocks, on the host.

use equidrift_nn::PADDING;
use equidrift_nn::block_mask::sees;

use crate::block_graph::BlockGraph;

/// No class: the vector of zeros (padding, the diagonal, a copy before noise).
pub const NO_CLASS: i32 = -1;

/// Elements to be denoised: nodes or pairs, in the order of graphs, in a graph row by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// The graph of each element.
    pub graph: Vec<usize>,
    /// The place of each among its graph's elements.
    pub rank: Vec<usize>,
    /// The place of each in the batch: of a node in `[B, N]`, of a pair (i, j), i > j, in `[B, N, N]`.
    pub place: Vec<usize>,
    /// What each is in its graph: the node's number, and 0; or both numbers of the pair, i > j.
    pub element: Vec<(usize, usize)>,
    /// The clean class of each, where it is known.
    pub clean: Vec<usize>,
}

impl Targets {
    fn push(&mut self, graph: usize, place: usize, element: (usize, usize), clean: usize) {
        let rank = match self.graph.last() {
            Some(&last) if last == graph => self.rank.last().map_or(0, |rank| rank + 1),
            _ => 0,
        };
        self.graph.push(graph);
        self.rank.push(rank);
        self.place.push(place);
        self.element.push(element);
        self.clean.push(clean);
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.graph.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.graph.is_empty()
    }
}

/// `B` graphs padded to `N` nodes and `M` blocks. What belongs to a padded node is [`PADDING`] or [`NO_CLASS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockBatch {
    /// B.
    pub batch: usize,
    /// N.
    pub nodes: usize,
    /// M.
    pub blocks: usize,
    /// Classes `[B, N]`.
    pub node_class: Vec<i32>,
    /// Classes `[B, N, N]`, symmetric.
    pub edge_class: Vec<i32>,
    /// Blocks `[B, N]`.
    pub block: Vec<i32>,
    /// Which nodes stand for a block that is being generated `[B, N]`.
    pub virtual_nodes: Vec<bool>,
    /// Sizes `[B, M]`; 0 where there is no block.
    pub sizes: Vec<usize>,
    /// Degrees `[B, M]`.
    pub degrees: Vec<usize>,
}

/// What is asked about the blocks after some prefixes of a batch's graphs: `H` questions a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockQuestions {
    /// H.
    pub per_graph: usize,
    /// The last block of the prefix `[B, H]`, or none where there is no question.
    pub last_block: Vec<Option<usize>>,
    /// The size of the next block `[B, H]`; 0 for none.
    pub next_size: Vec<usize>,
    /// The degree of the next block `[B, H]`.
    pub next_degree: Vec<usize>,
    /// Whether the first block of a graph counts in the loss `[B]`.
    pub counts_first: Vec<bool>,
}

impl BlockBatch {
    /// The graphs as they are.
    #[must_use]
    pub fn single(graphs: &[BlockGraph]) -> Self {
        Self::filled(graphs, graphs.iter().map(|graph| (graph, graph.sizes.len())), 1)
    }

    /// Each graph and, after it, virtual copies of its nodes without classes; pairs that touch a copy have class 0. All
    /// blocks are denoised in one pass.
    #[must_use]
    pub fn doubled(graphs: &[BlockGraph]) -> Self {
        Self::filled(graphs, graphs.iter().map(|graph| (graph, graph.sizes.len())), 2)
    }

    /// All prefixes of all graphs, each a graph of its own.
    #[must_use]
    pub fn prefixes(graphs: &[BlockGraph]) -> Self {
        let prefixes =
            graphs.iter().flat_map(|graph| (1..=graph.sizes.len()).map(move |blocks| (graph, blocks)));
        Self::filled(graphs, prefixes, 1)
    }

    /// All [prefixes](Self::prefixes), the nodes of each one's last block virtual: what generation sees, block by
    /// block. With the graph of each row.
    #[must_use]
    pub fn steps_of_generation(graphs: &[BlockGraph]) -> (Self, Vec<usize>) {
        let mut batch = Self::prefixes(graphs);
        let (last, _) = batch.targets_of_last_blocks();
        last.place.iter().for_each(|&place| batch.virtual_nodes[place] = true);
        let rows = graphs.iter().enumerate();
        let rows = rows.flat_map(|(row, graph)| std::iter::repeat_n(row, graph.sizes.len()));
        (batch, rows.collect())
    }

    /// What a denoiser is trained on: [`Self::doubled`]; or, where every graph is one block, the graphs as they are, all of
    /// their nodes virtual, which is the half of the doubled sequence that has an output.
    #[must_use]
    pub fn for_training(graphs: &[BlockGraph]) -> Self {
        if graphs.iter().any(|graph| graph.sizes.len() > 1) {
            return Self::doubled(graphs);
        }
        let mut batch = Self::single(graphs);
        for (flag, &block) in batch.virtual_nodes.iter_mut().zip(&batch.block) {
            *flag = block != PADDING;
        }
        batch
    }

    fn filled<'a>(
        graphs: &[BlockGraph],
        rows: impl Iterator<Item = (&'a BlockGraph, usize)>,
        halves: usize,
    ) -> Self {
        let nodes = halves * graphs.iter().map(BlockGraph::nodes).max().unwrap_or(0);
        let blocks = graphs.iter().map(|graph| graph.sizes.len()).max().unwrap_or(0);
        let mut batch = Self::empty(nodes, blocks);
        for (graph, prefix) in rows {
            let row = batch.add_row();
            let n = graph.block.iter().filter(|&&block| block < prefix).count();
            for half in 0..halves {
                for i in 0..n {
                    let at = row * nodes + half * n + i;
                    batch.block[at] = graph.block[i] as i32;
                    batch.virtual_nodes[at] = half > 0;
                    if half == 0 {
                        batch.node_class[at] = graph.node_classes[i] as i32;
                    }
                }
            }
            for i in 0..halves * n {
                for j in (0..halves * n).filter(|&j| j != i) {
                    let real = i < n && j < n;
                    let class = if real { graph.pair_class(i, j) } else { 0 };
                    batch.edge_class[(row * nodes + i) * nodes + j] = class as i32;
                }
            }
            batch.sizes[row * blocks..][..prefix].copy_from_slice(&graph.sizes[..prefix]);
            batch.degrees[row * blocks..][..prefix].copy_from_slice(&graph.degrees[..prefix]);
        }
        batch
    }

    /// A batch of no graphs, for graphs of up to `nodes` nodes and `blocks` blocks.
    #[must_use]
    pub fn empty(nodes: usize, blocks: usize) -> Self {
        Self {
            batch: 0,
            nodes,
            blocks,
            node_class: Vec::new(),
            edge_class: Vec::new(),
            block: Vec::new(),
            virtual_nodes: Vec::new(),
            sizes: Vec::new(),
            degrees: Vec::new(),
        }
    }

    /// Adds a graph that is all padding; its row.
    pub fn add_row(&mut self) -> usize {
        let row = self.batch;
        self.batch += 1;
        let (nodes, blocks) = (self.batch * self.nodes, self.batch * self.blocks);
        self.node_class.resize(nodes, NO_CLASS);
        self.edge_class.resize(nodes * self.nodes, NO_CLASS);
        self.block.resize(nodes, PADDING);
        self.virtual_nodes.resize(nodes, false);
        self.sizes.resize(blocks, 0);
        self.degrees.resize(blocks, 0);
        row
    }

    /// The targets of a batch [for training](Self::for_training), with the classes of what they stand for.
    #[must_use]
    pub fn training_targets(&self) -> (Targets, Targets) {
        if self.blocks > 1 { self.targets_of_copies() } else { self.targets_of_virtual_nodes() }
    }

    /// The copies of a [doubled](Self::doubled) batch, and the pairs i > j where the copy i sees j, with the classes of
    /// what they stand for.
    #[must_use]
    pub fn targets_of_copies(&self) -> (Targets, Targets) {
        let n = self.nodes;
        let copies = |graph: usize| self.virtual_nodes[graph * n..][..n].iter().filter(|copy| **copy).count();
        self.targets(copies, |graph, i| {
            let at = graph * n + i;
            self.virtual_nodes[at].then(|| {
                let node = |j: usize| (self.block[graph * n + j], self.virtual_nodes[graph * n + j]);
                (0..i).filter(|&j| sees(node(i), node(j))).collect()
            })
        })
    }

    /// The nodes of the last block of each graph, and the pairs i > j that touch one.
    #[must_use]
    pub fn targets_of_last_blocks(&self) -> (Targets, Targets) {
        let n = self.nodes;
        self.targets(
            |_| 0,
            |graph, i| {
                let blocks = &self.block[graph * n..][..n];
                let last = blocks.iter().copied().max().unwrap_or(PADDING);
                (blocks[i] == last && last != PADDING).then(|| (0..i).collect())
            },
        )
    }

    /// The virtual nodes (those of the block that is being generated), and the pairs i > j that touch one.
    #[must_use]
    pub fn targets_of_virtual_nodes(&self) -> (Targets, Targets) {
        let n = self.nodes;
        self.targets(|_| 0, |graph, i| self.virtual_nodes[graph * n + i].then(|| (0..i).collect()))
    }

    /// Targets from what `partners` says of node i of a graph: none if it is no target, else the j < i whose pairs with
    /// it are. Virtual nodes stand for those `copies` places before them.
    fn targets(
        &self,
        copies: impl Fn(usize) -> usize,
        partners: impl Fn(usize, usize) -> Option<Vec<usize>>,
    ) -> (Targets, Targets) {
        let n = self.nodes;
        let clean = |class: i32| usize::try_from(class).unwrap_or(0);
        let (mut nodes, mut pairs) = (Targets::default(), Targets::default());
        for graph in 0..self.batch {
            let copies = copies(graph);
            let original = |i: usize| if self.virtual_nodes[graph * n + i] { i - copies } else { i };
            for i in 0..n {
                let Some(partners) = partners(graph, i) else { continue };
                let first = original(i);
                nodes.push(graph, graph * n + i, (first, 0), clean(self.node_class[graph * n + first]));
                for j in partners {
                    let second = original(j);
                    let class = self.edge_class[(graph * n + first) * n + second];
                    pairs.push(graph, (graph * n + i) * n + j, (first, second), clean(class));
                }
            }
        }
        (nodes, pairs)
    }

    /// Gives target nodes other classes.
    pub fn set_nodes(&mut self, targets: &Targets, classes: &[usize]) {
        for (&place, &class) in targets.place.iter().zip(classes) {
            self.node_class[place] = class as i32;
        }
    }

    /// Gives target pairs, and their reverses, other classes.
    pub fn set_pairs(&mut self, targets: &Targets, classes: &[usize]) {
        let n = self.nodes;
        for ((&graph, &place), &class) in targets.graph.iter().zip(&targets.place).zip(classes) {
            let (i, j) = (place / n - graph * n, place % n);
            self.edge_class[place] = class as i32;
            self.edge_class[(graph * n + j) * n + i] = class as i32;
        }
    }

    /// Size and degree of the first block of a graph; 0 and 0 for a graph without nodes.
    #[must_use]
    pub fn first_block(&self, graph: usize) -> (usize, usize) {
        if self.blocks == 0 {
            return (0, 0);
        }
        (self.sizes[graph * self.blocks], self.degrees[graph * self.blocks])
    }

    /// After each block of each graph: the size and degree of the next, 0 and 0 after the last.
    #[must_use]
    pub fn questions(&self) -> BlockQuestions {
        let m = self.blocks;
        let next = |values: &[usize]| -> Vec<usize> {
            let rows = values.chunks_exact(m.max(1));
            rows.flat_map(|row| row[1..].iter().copied().chain([0])).collect()
        };
        BlockQuestions {
            per_graph: m,
            last_block: (0..self.sizes.len()).map(|at| (self.sizes[at] > 0).then_some(at % m)).collect(),
            next_size: next(&self.sizes),
            next_degree: next(&self.degrees),
            counts_first: vec![true; self.batch],
        }
    }

    /// After each prefix of the [prefixes](Self::prefixes) of these graphs: the size and degree of the next block.
    #[must_use]
    pub fn questions_of_prefixes(graphs: &[BlockGraph]) -> BlockQuestions {
        let mut questions = BlockQuestions {
            per_graph: 1,
            last_block: Vec::new(),
            next_size: Vec::new(),
            next_degree: Vec::new(),
            counts_first: Vec::new(),
        };
        for graph in graphs {
            for block in 0..graph.sizes.len() {
                questions.last_block.push(Some(block));
                questions.next_size.push(graph.sizes.get(block + 1).copied().unwrap_or(0));
                questions.next_degree.push(graph.degrees.get(block + 1).copied().unwrap_or(0));
                questions.counts_first.push(block == 0);
            }
        }
        questions
    }
}
