//! What a network is told of a system: its graph, and the frames that are given.

use std::sync::Arc;

use equidrift_trajectory::molecular_graph::{
    EDGE_CLASSES, MolecularEdge, NODE_FEATURES, all_edges, near_edges, node_features,
};
use equidrift_trajectory::{Topology, nbody, pedestrians};
use serde::{Deserialize, Serialize};

use crate::environments::{environments, signs};
use crate::error::GeotdmError;

/// Which pairs of atoms are joined by an edge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MolecularEdges {
    /// Those at most three bonds apart.
    #[default]
    Near,
    /// All.
    All,
}

/// How many frames each frame lies behind the last of the `before` given ones: what networks are told that compute frames alone.
pub(crate) fn frame_distances(frames: usize, before: usize) -> impl Iterator<Item = f64> {
    (0..frames).map(move |frame| frame as f64 + 1.0 - before as f64)
}

/// What a network is told of an atom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtomFeatures {
    /// Its charge, as published.
    #[default]
    Charge,
    /// Its environment, too: atoms of one element are told apart from the first layer on, unless the bonds make them alike.
    Environment,
}

impl AtomFeatures {
    /// Whether they are the published ones.
    #[must_use]
    pub fn are_published(&self) -> bool {
        *self == Self::Charge
    }
}

/// Nodes and directed edges with their features.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemGraph {
    nodes: usize,
    /// `[N, frames, F]`.
    node_features: Vec<f64>,
    feature_frames: usize,
    /// Receiver and sender.
    edges: Vec<[usize; 2]>,
    /// `[M, E]`.
    edge_features: Vec<f64>,
}

impl SystemGraph {
    /// A graph of `nodes` nodes. `node_features` are `[N, frames, F]`, where `feature_frames` is 1 if they are the same in
    /// all frames, else the number of all frames, given ones first; `edges` are pairs of receiver and sender;
    /// `edge_features` are `[M, E]`.
    ///
    /// # Errors
    /// [`GeotdmError::Count`] if there is no node or the features cannot be divided evenly, [`GeotdmError::NoSuchNode`].
    pub fn new(
        nodes: usize,
        node_features: Vec<f64>,
        feature_frames: usize,
        edges: Vec<[usize; 2]>,
        edge_features: Vec<f64>,
    ) -> Result<Self, GeotdmError> {
        let even = |what, found: usize, parts: usize| {
            if parts == 0 || !found.is_multiple_of(parts) {
                return Err(GeotdmError::Count { what, expected: parts, found });
            }
            Ok(())
        };
        even("features of the nodes", node_features.len(), nodes * feature_frames)?;
        if !edge_features.is_empty() {
            even("features of the edges", edge_features.len(), edges.len())?;
        }
        if let Some(&[receiver, sender]) = edges.iter().find(|edge| edge.iter().any(|&end| end >= nodes)) {
            return Err(GeotdmError::NoSuchNode { receiver, sender, nodes });
        }
        Ok(Self { nodes, node_features, feature_frames, edges, edge_features })
    }

    /// A molecule: powers of the charge by atomic number, where `told` says so behind them the environment as signs
    /// ([`environments`]), and edges with one-hot numbers of bonds between their ends.
    ///
    /// # Errors
    /// [`GeotdmError::Trajectory`] for an element that is not known or heavier than fluorine.
    pub fn of_molecule(
        topology: &Topology,
        joined: MolecularEdges,
        told: AtomFeatures,
    ) -> Result<Self, GeotdmError> {
        let features: Vec<f64> = node_features(topology.elements())?.into_iter().map(f64::from).collect();
        let edges = match joined {
            MolecularEdges::Near => near_edges(topology),
            MolecularEdges::All => all_edges(topology),
        };
        let one_hot = |edge: &MolecularEdge| {
            (0..EDGE_CLASSES).map(|class| f64::from(u8::from(class == edge.class))).collect::<Vec<_>>()
        };
        let classes = edges.iter().flat_map(one_hot).collect();
        let edges = edges.iter().map(|edge| [edge.receiver, edge.sender]).collect();
        debug_assert_eq!(NODE_FEATURES * topology.atoms(), features.len());
        let graph = Self::new(topology.atoms(), features, 1, edges, classes)?;
        Ok(match told {
            AtomFeatures::Charge => graph,
            AtomFeatures::Environment => graph.with_environments(),
        })
    }

    /// The same graph whose nodes have their environments as further features.
    fn with_environments(self) -> Self {
        let width = self.node_width();
        let rows = self.node_features.chunks_exact(width).zip(environments(&self));
        let node_features = rows.flat_map(|(row, own)| row.iter().copied().chain(signs(own))).collect();
        Self { node_features, ..self }
    }

    /// The bodies of a simulation: one feature each, all ordered pairs, one feature a pair.
    ///
    /// # Errors
    /// As [`SystemGraph::new`].
    pub fn of_bodies(run: &nbody::Run) -> Result<Self, GeotdmError> {
        let bodies = run.bodies();
        let edges: Vec<[usize; 2]> =
            (0..bodies).flat_map(|i| (0..bodies).filter(move |&j| j != i).map(move |j| [i, j])).collect();
        let strengths = edges.iter().map(|[i, j]| run.interactions()[i * bodies + j]).collect();
        Self::new(bodies, run.node_features().to_vec(), 1, edges, strengths)
    }

    /// Walkers, the one to be predicted first: two features in each frame, all ordered pairs and each walker with itself, no
    /// features of pairs.
    ///
    /// # Errors
    /// As [`SystemGraph::new`].
    pub fn of_pedestrians(tracks: &[pedestrians::Track]) -> Result<Self, GeotdmError> {
        let walkers = tracks.len();
        let edges = (0..walkers).flat_map(|i| (0..walkers).map(move |j| [i, j])).collect();
        let features = tracks.iter().flat_map(|track| {
            let [given, speed] = pedestrians::node_features(track);
            given.into_iter().zip(speed).flat_map(|(given, speed)| [f64::from(given), f64::from(speed)])
        });
        Self::new(walkers, features.collect(), pedestrians::SPAN, edges, Vec::new())
    }

    /// Number of nodes `N`.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Features of a node in a frame, `F`.
    #[must_use]
    pub fn node_width(&self) -> usize {
        self.node_features.len() / (self.nodes * self.feature_frames)
    }

    /// Features of an edge, `E`; 0 if there is no edge.
    #[must_use]
    pub fn edge_width(&self) -> usize {
        self.edge_features.len().checked_div(self.edges.len()).unwrap_or(0)
    }

    /// `[N, frames, F]`.
    #[must_use]
    pub fn node_features(&self) -> &[f64] {
        &self.node_features
    }

    /// 1 if the features of nodes are the same in all frames, else their number of frames.
    #[must_use]
    pub fn feature_frames(&self) -> usize {
        self.feature_frames
    }

    /// Receiver and sender of each edge.
    #[must_use]
    pub fn edges(&self) -> &[[usize; 2]] {
        &self.edges
    }

    /// `[M, E]`.
    #[must_use]
    pub fn edge_features(&self) -> &[f64] {
        &self.edge_features
    }

    /// The same graph with its nodes in another order: place p holds node `order[p]`. Edges keep their places.
    ///
    /// # Panics
    /// If `order` is not a permutation of the nodes.
    #[must_use]
    pub fn permuted(&self, order: &[usize]) -> Self {
        assert_eq!(order.len(), self.nodes, "an order of all nodes");
        let mut place = vec![usize::MAX; self.nodes];
        for (new, &old) in order.iter().enumerate() {
            place[old] = new;
        }
        assert!(place.iter().all(|&place| place < self.nodes), "an order of all nodes");
        let row = self.node_features.len() / self.nodes;
        Self {
            node_features: order
                .iter()
                .flat_map(|&node| self.node_features[node * row..][..row].iter().copied())
                .collect(),
            edges: self.edges.iter().map(|edge| edge.map(|end| place[end])).collect(),
            ..self.clone()
        }
    }
}

/// A system to be continued, or of which a trajectory is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct System {
    /// Its graph.
    pub graph: Arc<SystemGraph>,
    /// Coordinates of a position `D`: 3, or 2 in the plane.
    pub dimensions: usize,
    /// Frames to be made.
    pub frames: usize,
    /// Positions of the given frames, `[N, given frames, D]`: all frames of a node side by side. Empty if nothing is given.
    pub given: Vec<f64>,
    /// How many of the given frames, the last ones, come behind the made ones; the others come before them.
    pub behind: usize,
}

impl System {
    /// Number of given frames.
    #[must_use]
    pub fn given_frames(&self) -> usize {
        self.given.len() / (self.graph.nodes() * self.dimensions).max(1)
    }

    /// Given frames before the made ones.
    #[must_use]
    pub fn before(&self) -> usize {
        self.given_frames().saturating_sub(self.behind)
    }

    /// Positions of all frames in order of time, `[N, given frames + T, D]`, with the given ones `[N, given frames, D]` around
    /// those `made` `[N, T, D]`.
    pub(crate) fn in_order<V: Copy>(&self, given: &[V], made: &[V]) -> Vec<V> {
        let d = self.dimensions;
        let (of_given, of_made, before) = (self.given_frames() * d, self.frames * d, self.before() * d);
        let mut all = Vec::with_capacity(given.len() + made.len());
        for (node, made) in made.chunks_exact(of_made.max(1)).enumerate() {
            let (first, last) = given[node * of_given..][..of_given].split_at(before);
            all.extend_from_slice(first);
            all.extend_from_slice(made);
            all.extend_from_slice(last);
        }
        all
    }

    /// The made frames of values `[N, given frames + T, D]` in order of time.
    pub(crate) fn made_of<V: Copy>(&self, values: &[V]) -> Vec<V> {
        let d = self.dimensions;
        let (frames, before) = (self.given_frames() + self.frames, self.before());
        let nodes = values.chunks_exact((frames * d).max(1));
        nodes.flat_map(|node| node[before * d..][..self.frames * d].iter().copied()).collect()
    }

    /// Checks that a prior of this kind can have the given frames where they are.
    pub(crate) fn check_behind(&self, extrapolated: bool) -> Result<(), GeotdmError> {
        let (found, given) = (self.behind, self.given_frames());
        if found > 0 && !extrapolated {
            let what = "given frames behind the made ones, of which only an extrapolated prior knows";
            return Err(GeotdmError::Count { what, expected: 0, found });
        }
        if found > 0 && found >= given {
            let what = "given frames behind the made ones, fewer than all";
            return Err(GeotdmError::Count { what, expected: given.saturating_sub(1), found });
        }
        Ok(())
    }

    /// Numbers of a made trajectory, `N` frames `D`.
    #[must_use]
    pub fn width(&self) -> usize {
        self.graph.nodes() * self.frames * self.dimensions
    }

    /// How many such systems have at most `rows` edges times frames together; at least one.
    pub(crate) fn most_within(&self, rows: usize) -> usize {
        let frames = self.frames + self.given_frames();
        let widest = self.graph.edges().len().max(self.graph.nodes());
        (rows / (widest * frames).max(1)).max(1)
    }

    /// What must be equal for systems to be computed side by side.
    fn shape(&self) -> [usize; 7] {
        let graph = &self.graph;
        [
            graph.nodes(),
            graph.edges().len(),
            graph.feature_frames(),
            self.given_frames(),
            self.frames,
            self.dimensions,
            self.behind,
        ]
    }
}

/// The places of systems that can be computed side by side, in order of the first; at most `most` to a group.
#[must_use]
pub fn groups_of_like_shape(systems: &[&System], most: impl Fn(&System) -> usize) -> Vec<Vec<usize>> {
    let mut groups: Vec<([usize; 7], Vec<usize>)> = Vec::new();
    for (place, system) in systems.iter().enumerate() {
        let (shape, most) = (system.shape(), most(system).max(1));
        match groups.iter_mut().rev().find(|(of, places)| *of == shape && places.len() < most) {
            Some((_, places)) => places.push(place),
            None => groups.push((shape, vec![place])),
        }
    }
    groups.into_iter().map(|(_, places)| places).collect()
}
