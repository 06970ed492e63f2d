//! Planar graphs of SPECTRE (Martinkus et al. 2022): Delaunay triangulations of random points.

use super::{Recipe, delaunay};
use crate::graph::{Graph, graph_of_simple_edges};
use crate::random::Random;

/// The Delaunay triangulation of points that are uniform in the unit square; connected and planar.
#[derive(Debug, Clone, PartialEq)]
pub struct Planar {
    /// Number of points.
    pub nodes: usize,
}

impl Default for Planar {
    /// 64 points.
    fn default() -> Self {
        Self { nodes: 64 }
    }
}

impl Planar {
    /// Random points as numerators over 2^30; no two are equal.
    #[must_use]
    pub fn points(&self, random: &mut Random) -> Vec<[i32; 2]> {
        let mut seen = std::collections::HashSet::with_capacity(self.nodes);
        let mut points = Vec::with_capacity(self.nodes);
        while points.len() < self.nodes {
            let bits = random.bits();
            let point = [(bits >> 34) as i32, (bits & 0x3fff_ffff) as i32];
            if seen.insert(point) {
                points.push(point);
            }
        }
        points
    }
}

impl Recipe for Planar {
    fn draw(&self, random: &mut Random) -> Graph {
        graph_of_simple_edges(self.nodes, delaunay(&self.points(random)).edges)
    }
}
