//! The sliced Wasserstein distance between point clouds in the plane.

/// The sliced 2-Wasserstein distance of two clouds: the root of the mean, over `projections` even directions, of the
/// squared 2-Wasserstein distance between the projected clouds (Rabin et al. 2011).
///
/// On a line the distance is that of the quantile functions, so the clouds may differ in size. Two independent clouds of
/// n points of one law are not at distance 0 but of order n^(−1/2): compare with that floor. NaN for an empty cloud.
/// Cost: `projections` sorts.
#[must_use]
pub fn sliced_wasserstein(a: &[[f64; 2]], b: &[[f64; 2]], projections: usize) -> f64 {
    let total: f64 = (0..projections)
        .map(|index| {
            let angle = std::f64::consts::PI * (index as f64 + 0.5) / projections as f64;
            let (cosine, sine) = (libm::cos(angle), libm::sin(angle));
            let project = |points: &[[f64; 2]]| {
                let mut line: Vec<f64> = points.iter().map(|p| cosine * p[0] + sine * p[1]).collect();
                line.sort_by(f64::total_cmp);
                line
            };
            squared_distance(&project(a), &project(b))
        })
        .sum();
    libm::sqrt(total / projections as f64)
}

/// ∫ (F⁻¹(u) − G⁻¹(u))² du of two sorted samples.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return f64::NAN;
    }
    let (mut i, mut j, mut done, mut sum) = (0, 0, 0.0, 0.0);
    // The next place where either quantile function jumps, compared as integers so that equal places coincide.
    while i < a.len() && j < b.len() {
        let (left, right) = ((i + 1) * b.len(), (j + 1) * a.len());
        let next = left.min(right) as f64 / (a.len() * b.len()) as f64;
        let difference = a[i] - b[j];
        sum += (next - done) * difference * difference;
        done = next;
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_seen_by_its_projections() {
        let a = [[0.0, 0.0], [1.0, 2.0], [-3.0, 0.5]];
        let b = a.map(|[x, y]| [x + 3.0, y + 4.0]);
        // The mean of (s·θ)² over directions θ is |s|²/2.
        assert!((sliced_wasserstein(&a, &b, 64) - 5.0 / libm::sqrt(2.0)).abs() < 1e-12);
        // A cloud and its double are the same law.
        let twice: Vec<[f64; 2]> = a.iter().chain(&a).copied().collect();
        assert!(sliced_wasserstein(&a, &twice, 16) < 1e-12);
    }
}
