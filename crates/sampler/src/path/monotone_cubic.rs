//! Monotone piecewise cubic interpolation.

use super::root_of_increasing;

/// A continuously differentiable cubic through points (x_i, y_i) that rises and falls where the points do.
///
/// Slopes are those of the parabola through three neighbours, cut to three times the smaller neighbouring difference
/// quotient, and 0 where the quotients differ in sign (Fritsch & Carlson 1980, sufficient region). Outside the points the
/// end tangent is continued.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MonotoneCubic {
    x: Vec<f64>,
    y: Vec<f64>,
    slopes: Vec<f64>,
}

impl MonotoneCubic {
    /// The curve through at least two points with strictly increasing x. (The caller has checked both.)
    pub(crate) fn new(x: Vec<f64>, y: Vec<f64>) -> Self {
        let quotients: Vec<f64> =
            x.windows(2).zip(y.windows(2)).map(|(x, y)| (y[1] - y[0]) / (x[1] - x[0])).collect();
        let slopes = (0..x.len()).map(|i| slope_at(&x, &quotients, i)).collect();
        Self { x, y, slopes }
    }

    /// Index of the interval of `x`, the outer ones for points outside.
    fn interval(&self, x: f64) -> usize {
        self.x.partition_point(|&knot| knot <= x).clamp(1, self.x.len() - 1) - 1
    }

    /// Value and slope at `x` of the cubic of interval `i`.
    fn cubic(&self, i: usize, x: f64) -> (f64, f64) {
        let width = self.x[i + 1] - self.x[i];
        let quotient = (self.y[i + 1] - self.y[i]) / width;
        let (left, right) = (self.slopes[i], self.slopes[i + 1]);
        // y_i + d left + d² second + d³ third.
        let second = (3.0 * quotient - 2.0 * left - right) / width;
        let third = (left + right - 2.0 * quotient) / (width * width);
        let d = x - self.x[i];
        (self.y[i] + d * (left + d * (second + d * third)), left + d * (2.0 * second + 3.0 * d * third))
    }

    /// Value and slope.
    pub(crate) fn at(&self, x: f64) -> (f64, f64) {
        let last = self.x.len() - 1;
        for end in [0, last] {
            let d = x - self.x[end];
            if (end == 0 && d < 0.0) || (end == last && d > 0.0) {
                return (self.y[end] + d * self.slopes[end], self.slopes[end]);
            }
        }
        self.cubic(self.interval(x), x)
    }

    /// The x at which a strictly monotone curve has this value. Beyond the end values the end tangent is followed, or the
    /// end kept where that is flat.
    pub(crate) fn inverse(&self, y: f64) -> f64 {
        let last = self.x.len() - 1;
        let sign = if self.y[last] > self.y[0] { 1.0 } else { -1.0 };
        for (end, beyond) in [(0, sign * (y - self.y[0]) < 0.0), (last, sign * (y - self.y[last]) > 0.0)] {
            if beyond {
                let d = (y - self.y[end]) / self.slopes[end];
                return self.x[end] + if d.is_finite() { d } else { 0.0 };
            }
        }
        let i = self.y.partition_point(|&knot| sign * (knot - y) <= 0.0).clamp(1, last) - 1;
        root_of_increasing(self.x[i], self.x[i + 1], |x| {
            let (value, slope) = self.cubic(i, x);
            (sign * (value - y), sign * slope)
        })
    }

    /// The last x.
    pub(crate) fn end(&self) -> f64 {
        self.x[self.x.len() - 1]
    }
}

/// The slope at point `i`.
fn slope_at(x: &[f64], quotients: &[f64], i: usize) -> f64 {
    let last = x.len() - 1;
    if last == 1 {
        return quotients[0];
    }
    // The parabola through three points, at one of them.
    let parabola = |i: usize| {
        let (before, after) = (x[i] - x[i - 1], x[i + 1] - x[i]);
        (quotients[i - 1] * after + quotients[i] * before) / (before + after)
    };
    let (slope, near, far) = match i {
        0 => (2.0 * quotients[0] - parabola(1), quotients[0], quotients[0]),
        _ if i == last => {
            (2.0 * quotients[last - 1] - parabola(last - 1), quotients[last - 1], quotients[last - 1])
        }
        _ => (parabola(i), quotients[i - 1], quotients[i]),
    };
    if near * far <= 0.0 || slope * near <= 0.0 {
        return 0.0;
    }
    let bound = 3.0 * near.abs().min(far.abs());
    slope.clamp(-bound, bound)
}
