//! The law of a noise source: symmetric, masked, unit variance per free coordinate, no correlation.

use equidrift_sampler::{Layout, NoiseSource, Stream, Support};

/// Sample moments of many draws.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseMoments {
    /// Numbers drawn on free coordinates.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their variance about zero.
    pub variance: f64,
    /// Their fourth moment (3 for a normal law).
    pub fourth: f64,
    /// Mean product of a coordinate with the next coordinate of the row.
    pub neighbour: f64,
    /// Mean product of a coordinate with itself at the next step.
    pub successive: f64,
    /// Largest difference between the two entries of a pair.
    pub asymmetry: f64,
    /// Largest magnitude outside the support, diagonal included.
    pub outside: f64,
}

/// Moments of `draws` successive steps of one stream. For a unit normal law the standard error of the mean is
/// 1/√count, of the variance √(2/count), of the products 1/√count.
#[must_use]
pub fn noise_moments(
    source: &dyn NoiseSource,
    stream: Stream,
    component: usize,
    support: &Support,
    ids: &[u64],
    draws: u32,
) -> NoiseMoments {
    let width = support.width();
    let inside = support.element_mask();
    let mut moments = NoiseMoments {
        count: 0,
        mean: 0.0,
        variance: 0.0,
        fourth: 0.0,
        neighbour: 0.0,
        successive: 0.0,
        asymmetry: 0.0,
        outside: 0.0,
    };
    let (mut neighbours, mut successors) = (0usize, 0usize);
    let mut before: Vec<f64> = Vec::new();
    for step in 0..draws {
        let values = source.normals(stream, step, component, support, ids);
        let mut free = Vec::new();
        for (row, values) in values.chunks_exact(width.max(1)).enumerate() {
            let start = free.len();
            support.for_each_coordinate(row, |index, _| free.push(values[index]));
            for pair in free[start..].windows(2) {
                moments.neighbour += pair[0] * pair[1];
                neighbours += 1;
            }
            for (index, value) in values.iter().enumerate() {
                if inside[row * width + index] == 0.0 {
                    moments.outside = moments.outside.max(value.abs());
                }
                if let Layout::SymmetricPairs { nodes } = support.layout() {
                    let mirrored = values[(index % nodes) * nodes + index / nodes];
                    moments.asymmetry = moments.asymmetry.max((value - mirrored).abs());
                }
            }
        }
        for value in &free {
            moments.mean += value;
            moments.variance += value * value;
            moments.fourth += value * value * value * value;
        }
        for (a, b) in free.iter().zip(&before) {
            moments.successive += a * b;
            successors += 1;
        }
        moments.count += free.len();
        before = free;
    }
    let count = moments.count.max(1) as f64;
    moments.mean /= count;
    moments.variance /= count;
    moments.fourth /= count;
    moments.neighbour /= neighbours.max(1) as f64;
    moments.successive /= successors.max(1) as f64;
    moments
}
