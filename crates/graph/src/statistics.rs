//! What is measured of one graph before sets of graphs are compared: one statistic, one file.

use serde::{Deserialize, Serialize};

use crate::adjacency::Adjacency;
use crate::error::GraphError;
use crate::graph::AttributedGraph;
use crate::threads::map_in_threads;

pub mod clustering;
pub mod degree;
pub mod histogram;
pub mod orbits;
pub mod spectrum;
pub mod triangles;

/// A statistic of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Statistic {
    /// Number of nodes of each degree.
    Degree,
    /// Number of nodes in each of 100 intervals of the local clustering coefficient.
    Clustering,
    /// Mean over the nodes of the 15 orbit counts of graphlets of up to 4 nodes.
    Orbit,
    /// Number of eigenvalues of the normalised Laplacian in each of 200 intervals.
    Spectral,
}

impl Statistic {
    /// All of them, in the order in which they are reported.
    pub const ALL: [Self; 4] = [Self::Degree, Self::Clustering, Self::Orbit, Self::Spectral];

    /// Its name, lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Degree => "degree",
            Self::Clustering => "clustering",
            Self::Orbit => "orbit",
            Self::Spectral => "spectral",
        }
    }

    /// The statistic of one graph: counts (degree: one per degree up to the largest; clustering 100; spectral 200), or
    /// 15 means. A graph without nodes has only zeros, for degree no entry.
    ///
    /// # Errors
    /// [`GraphError::TooLargeForSpectrum`].
    pub fn of(self, graph: &Adjacency) -> Result<Vec<f64>, GraphError> {
        Ok(match self {
            Self::Degree => degree::histogram(graph),
            Self::Clustering => clustering::histogram(graph),
            Self::Orbit => orbits::mean(graph).to_vec(),
            Self::Spectral => spectrum::histogram(graph)?,
        })
    }

    /// The statistic of each graph that has nodes, computed by `threads` threads; the result does not depend on their
    /// number.
    ///
    /// # Errors
    /// As [`Statistic::of`].
    pub fn of_each<V: Sync, E: Sync>(
        self,
        graphs: &[AttributedGraph<V, E>],
        threads: usize,
    ) -> Result<Vec<Vec<f64>>, GraphError> {
        let of = |graph: &AttributedGraph<V, E>| self.of(&Adjacency::new(graph));
        let graphs: Vec<&AttributedGraph<V, E>> =
            graphs.iter().filter(|graph| graph.node_count() > 0).collect();
        map_in_threads(&graphs, 1, threads, |graphs| of(graphs[0])).into_iter().collect()
    }
}
