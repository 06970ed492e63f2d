//! Coordinates of nodes whose distances are those in the graph, as far as the plane has room: stress majorisation
//! (Gansner, Koren & North 2004) from a start by pivots (Brandes & Pich, "Eigensolver methods for progressive
//! multidimensional scaling", 2006).

use crate::adjacency::Adjacency;

/// Largest graph that is laid out.
pub const MOST_NODES: usize = 1_000;

const SWEEPS: usize = 60;
const PIVOTS: usize = 40;

/// A point for each node, an edge being about 1 long, turned so that the layout is wider than high; `None` beyond
/// [`MOST_NODES`] nodes. The result depends on the graph alone.
///
/// Cost: O(N E) for distances, O(N^2) for each of 60 sweeps.
#[must_use]
pub fn layout(graph: &Adjacency) -> Option<Vec<[f64; 2]>> {
    if graph.nodes() > MOST_NODES {
        return None;
    }
    let distances = all_distances(graph);
    let mut points = start(&distances, graph.nodes());
    for _ in 0..SWEEPS {
        majorise(&mut points, &distances);
    }
    turn(&mut points);
    Some(points)
}

/// Steps from every node to every other, `[N, N]`, row-major; between components a little more than the longest.
fn all_distances(graph: &Adjacency) -> Vec<f64> {
    let nodes = graph.nodes();
    let mut distances = vec![f64::INFINITY; nodes * nodes];
    let mut longest = 1.0_f64;
    let mut reached = Vec::new();
    for (from, row) in distances.chunks_mut(nodes.max(1)).enumerate() {
        row[from] = 0.0;
        reached.clear();
        reached.push(from);
        let mut next = 0;
        while next < reached.len() {
            let steps = row[reached[next]] + 1.0;
            for &neighbour in graph.neighbours(reached[next]) {
                if row[neighbour as usize].is_infinite() {
                    row[neighbour as usize] = steps;
                    longest = longest.max(steps);
                    reached.push(neighbour as usize);
                }
            }
            next += 1;
        }
    }
    // The square root, lest two long paths be drawn far apart.
    let between = longest.sqrt() + 2.0;
    distances.iter_mut().filter(|distance| distance.is_infinite()).for_each(|distance| *distance = between);
    distances
}

/// The two leading directions of the doubly centred squared distances to some pivots.
fn start(distances: &[f64], nodes: usize) -> Vec<[f64; 2]> {
    if nodes == 0 {
        return Vec::new();
    }
    // Pivots far from one another.
    let mut pivots = vec![0];
    while pivots.len() < PIVOTS.min(nodes) {
        let nearest = |node: usize| {
            pivots.iter().map(|pivot| distances[node * nodes + pivot]).fold(f64::INFINITY, f64::min)
        };
        // Of equal ones the first.
        let far = (0..nodes).rev().max_by(|a, b| nearest(*a).total_cmp(&nearest(*b)));
        pivots.extend(far);
    }
    let count = pivots.len();
    let mut centred: Vec<f64> = (0..nodes)
        .flat_map(|node| pivots.iter().map(move |pivot| distances[node * nodes + pivot].powi(2)))
        .collect();
    let row_means: Vec<f64> =
        centred.chunks(count).map(|row| row.iter().sum::<f64>() / count as f64).collect();
    let column_means: Vec<f64> = (0..count)
        .map(|column| centred.chunks(count).map(|row| row[column]).sum::<f64>() / nodes as f64)
        .collect();
    let mean = row_means.iter().sum::<f64>() / nodes as f64;
    for (row, row_mean) in centred.chunks_mut(count).zip(&row_means) {
        for (value, column_mean) in row.iter_mut().zip(&column_means) {
            *value = -0.5 * (*value - row_mean - column_mean + mean);
        }
    }
    let project = |direction: &[f64]| -> Vec<f64> {
        centred.chunks(count).map(|row| row.iter().zip(direction).map(|(a, b)| a * b).sum()).collect()
    };
    let mut directions: Vec<Vec<f64>> = Vec::new();
    for axis in 0..2 {
        // Power iteration from a vector that no symmetry of the pivots keeps.
        let mut direction: Vec<f64> =
            (0..count).map(|index| ((index * (axis + 2) + 1) as f64).sin()).collect();
        for _ in 0..100 {
            for other in &directions {
                let along: f64 = direction.iter().zip(other).map(|(a, b)| a * b).sum();
                direction.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
            }
            let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-300);
            direction.iter_mut().for_each(|x| *x /= norm);
            let image = project(&direction);
            direction = (0..count)
                .map(|column| centred.chunks(count).zip(&image).map(|(row, value)| row[column] * value).sum())
                .collect();
        }
        let norm = direction.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-300);
        direction.iter_mut().for_each(|x| *x /= norm);
        directions.push(direction);
    }
    let axes: Vec<Vec<f64>> = directions.iter().map(|direction| project(direction)).collect();
    let size = axes.iter().flatten().fold(0.0_f64, |size, x| size.max(x.abs())).max(1e-9);
    let wanted = distances.iter().copied().fold(0.0, f64::max) / 2.0;
    (0..nodes)
        .map(|node| {
            // Nodes with the same distances start at one point: a little spiral parts them.
            let angle = 2.4 * node as f64;
            let aside = 0.05 * ((node + 1) as f64 / nodes as f64).sqrt();
            [
                wanted * axes[0][node] / size + aside * angle.cos(),
                wanted * axes[1][node] / size + aside * angle.sin(),
            ]
        })
        .collect()
}

/// Moves every node to where its distances pull it, weighted by their inverse squares.
fn majorise(points: &mut [[f64; 2]], distances: &[f64]) {
    let nodes = points.len();
    for node in 0..nodes {
        let [x, y] = points[node];
        let (mut sum, mut weights) = ([0.0; 2], 0.0);
        for (other, &[other_x, other_y]) in points.iter().enumerate() {
            if other == node {
                continue;
            }
            let distance = distances[node * nodes + other];
            let weight = 1.0 / (distance * distance);
            let (dx, dy) = (x - other_x, y - other_y);
            let stretch = distance / dx.hypot(dy).max(1e-9);
            sum[0] += weight * (other_x + stretch * dx);
            sum[1] += weight * (other_y + stretch * dy);
            weights += weight;
        }
        if weights > 0.0 {
            points[node] = sum.map(|sum| sum / weights);
        }
    }
}

/// Turns the longest direction into the horizontal.
fn turn(points: &mut [[f64; 2]]) {
    let count = points.len().max(1) as f64;
    let mean = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / count);
    let moment = |a: usize, b: usize| {
        points.iter().map(|point| (point[a] - mean[a]) * (point[b] - mean[b])).sum::<f64>()
    };
    let angle = 0.5 * (2.0 * moment(0, 1)).atan2(moment(0, 0) - moment(1, 1));
    let (sine, cosine) = angle.sin_cos();
    for [x, y] in points {
        (*x, *y) = (cosine * *x + sine * *y, cosine * *y - sine * *x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generators::Grid;
    use crate::graph::graph_from_edges;

    /// The weighted squared error of the distances, per pair.
    fn stress(graph: &Adjacency, points: &[[f64; 2]]) -> f64 {
        let nodes = points.len();
        let distances = all_distances(graph);
        let pairs = (0..nodes).flat_map(|a| (0..a).map(move |b| (a, b)));
        let error = |(a, b): (usize, usize)| {
            let wanted = distances[a * nodes + b];
            let found = (points[a][0] - points[b][0]).hypot(points[a][1] - points[b][1]);
            ((found - wanted) / wanted).powi(2)
        };
        pairs.map(error).sum::<f64>() / (nodes * (nodes - 1) / 2) as f64
    }

    #[test]
    fn a_path_is_drawn_straight_and_lying() {
        let path = Adjacency::new(&graph_from_edges(6, (1..6).map(|node| (node - 1, node))).unwrap());
        let points = layout(&path).unwrap();
        let (width, height) = (points[0][0] - points[5][0], points[0][1] - points[5][1]);
        assert!((width.abs() - 5.0).abs() < 0.1 && height.abs() < 0.1, "{points:?}");
    }

    #[test]
    fn a_grid_is_unfolded() {
        let grid = Adjacency::new(&Grid::of_shape(12, 8));
        let points = layout(&grid).unwrap();
        // City-block distances cannot be kept in the plane; a folded grid has several times this.
        assert!(stress(&grid, &points) < 0.04, "{}", stress(&grid, &points));
        assert_eq!(points, layout(&grid).unwrap());
    }

    #[test]
    fn odd_graphs_have_finite_points() {
        let complete = graph_from_edges(7, (0..7).flat_map(|a| (0..a).map(move |b| (a, b)))).unwrap();
        for graph in [
            graph_from_edges(0, []).unwrap(),
            graph_from_edges(1, []).unwrap(),
            graph_from_edges(9, []).unwrap(),
            complete,
        ] {
            let points = layout(&Adjacency::new(&graph)).unwrap();
            assert!(points.len() == graph.node_count() && points.iter().flatten().all(|x| x.is_finite()));
            let apart =
                |a: usize, b: usize| (points[a][0] - points[b][0]).hypot(points[a][1] - points[b][1]) > 0.1;
            assert!((0..points.len()).all(|a| (0..a).all(|b| apart(a, b))), "{points:?}");
        }
        let large = graph_from_edges(MOST_NODES + 1, []).unwrap();
        assert!(layout(&Adjacency::new(&large)).is_none());
    }
}
