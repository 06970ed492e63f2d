//! Drawings of graphs as SVG: nodes as dots, edges as lines.
//!
//! Everything is `currentColor`, so that a drawing follows the colours of the page it stands on. The layout
//! ([`layout`](self::layout::layout)) depends on the graph alone.

use std::fmt::Write as _;

use crate::adjacency::Adjacency;

pub mod layout;

use layout::layout;

/// Size of a drawing, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PictureSize {
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// The longest an average edge is drawn; larger graphs are drawn smaller.
    pub longest_edge: f64,
}

impl Default for PictureSize {
    fn default() -> Self {
        Self { width: 200.0, height: 170.0, longest_edge: 32.0 }
    }
}

/// Room at the edge of the picture, in pixels.
const MARGIN: f64 = 7.0;

/// An SVG element of this size that shows the graph; `None` beyond [`layout::MOST_NODES`] nodes.
///
/// Cost: that of the layout.
///
/// ```
/// use equidrift_graph::draw::{PictureSize, svg};
/// use equidrift_graph::generators::Grid;
/// use equidrift_graph::Adjacency;
///
/// let picture = svg(&Adjacency::new(&Grid::of_shape(5, 4)), PictureSize::default()).unwrap_or_default();
/// assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>"));
/// ```
#[must_use]
pub fn svg(graph: &Adjacency, size: PictureSize) -> Option<String> {
    let (points, edge) = fit(layout(graph)?, graph, size);
    let radius = (0.17 * edge).clamp(1.1, 3.6);
    let (mut lines, mut dots) = (String::new(), String::new());
    // Writing to a String cannot fail, so the results below are dropped.
    for node in 0..graph.nodes() {
        let [x, y] = points[node];
        let _ = write!(dots, "M{x:.1} {y:.1}h0");
        for &other in graph.neighbours(node).iter().filter(|other| **other as usize > node) {
            let [to_x, to_y] = points[other as usize];
            let _ = write!(lines, "M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}");
        }
    }
    let PictureSize { width, height, .. } = size;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" fill=\"none\" stroke=\"currentColor\">"
    );
    if !lines.is_empty() {
        let _ =
            write!(svg, "<path stroke-opacity=\".4\" stroke-width=\"{:.2}\" d=\"{lines}\"/>", radius / 3.0);
    }
    // A line of no length with round ends is a dot.
    if !dots.is_empty() {
        let _ =
            write!(svg, "<path stroke-linecap=\"round\" stroke-width=\"{:.1}\" d=\"{dots}\"/>", 2.0 * radius);
    }
    svg.push_str("</svg>");
    Some(svg)
}

/// Moves and scales a layout into the picture; also the mean length of an edge there.
fn fit(mut points: Vec<[f64; 2]>, graph: &Adjacency, size: PictureSize) -> (Vec<[f64; 2]>, f64) {
    let range = |axis: usize| {
        let values = points.iter().map(|point| point[axis]);
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        if low <= high { (low, high) } else { (0.0, 0.0) }
    };
    let (x, y) = (range(0), range(1));
    let length = |node: usize, other: usize| {
        let [dx, dy] = [0, 1].map(|axis| points[node][axis] - points[other][axis]);
        dx.hypot(dy)
    };
    let total: f64 = (0..graph.nodes())
        .flat_map(|node| graph.neighbours(node).iter().map(move |other| (node, *other as usize)))
        .map(|(node, other)| length(node, other))
        .sum();
    let mean = if graph.edges() == 0 { 1.0 } else { (total / (2 * graph.edges()) as f64).max(1e-9) };
    let room = [size.width - 2.0 * MARGIN, size.height - 2.0 * MARGIN];
    let scale =
        (room[0] / (x.1 - x.0).max(1e-9)).min(room[1] / (y.1 - y.0).max(1e-9)).min(size.longest_edge / mean);
    for point in &mut points {
        point[0] = size.width / 2.0 + scale * (point[0] - (x.0 + x.1) / 2.0);
        point[1] = size.height / 2.0 + scale * (point[1] - (y.0 + y.1) / 2.0);
    }
    (points, scale * mean)
}
