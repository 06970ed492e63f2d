//! l, s and b between the nodes, and the integrals a step needs of them.

use super::ComponentStatistics;
use crate::plan::{StepIntegrals, derivative_weights};

/// Gauss–Legendre points and weights on [0, 1], exact to degree 9.
const GAUSS: [(f64, f64); 5] = [
    (0.046_910_077_030_668, 0.118_463_442_528_094_5),
    (0.230_765_344_947_158_45, 0.239_314_335_249_683_23),
    (0.5, 0.284_444_444_444_444_4),
    (0.769_234_655_052_841_6, 0.239_314_335_249_683_23),
    (0.953_089_922_969_332, 0.118_463_442_528_094_5),
];

/// A function that is a cubic between the nodes, with slopes of fourth order at the nodes, and its integral from the first
/// node.
#[derive(Clone, Debug, PartialEq)]
struct Curve {
    /// Per interval: coefficients of powers of the fraction of the interval passed.
    cubics: Vec<[f64; 4]>,
    /// The integral at the nodes.
    sums: Vec<f64>,
}

impl Curve {
    fn new(x: &[f64], y: &[f64]) -> Self {
        let slopes = slopes_at_nodes(x, y);
        let (mut cubics, mut sums) = (Vec::with_capacity(x.len() - 1), vec![0.0]);
        for i in 0..x.len() - 1 {
            let (width, rise) = (x[i + 1] - x[i], y[i + 1] - y[i]);
            let (left, right) = (width * slopes[i], width * slopes[i + 1]);
            cubics.push([y[i], left, 3.0 * rise - 2.0 * left - right, left + right - 2.0 * rise]);
            sums.push(sums[i] + width * (0.5 * (y[i] + y[i + 1]) + (left - right) / 12.0));
        }
        Self { cubics, sums }
    }

    fn value(&self, place: Place) -> f64 {
        let [a, b, c, d] = self.cubics[place.interval];
        let u = place.fraction;
        a + u * (b + u * (c + u * d))
    }

    fn integral(&self, place: Place) -> f64 {
        let [a, b, c, d] = self.cubics[place.interval];
        let u = place.fraction;
        self.sums[place.interval] + place.width * u * (a + u * (b / 2.0 + u * (c / 3.0 + u * d / 4.0)))
    }
}

/// An interval of the grid and how far λ is in it.
#[derive(Clone, Copy, Debug)]
struct Place {
    interval: usize,
    width: f64,
    fraction: f64,
}

/// The derivative of a function at its nodes: of the polynomial through each node and its four nearest neighbours, or
/// all nodes of a shorter grid.
pub(super) fn slopes_at_nodes(x: &[f64], y: &[f64]) -> Vec<f64> {
    let window = x.len().min(5);
    (0..x.len())
        .map(|i| {
            let first = i.saturating_sub(2).min(x.len() - window);
            let mut places = vec![i];
            places.extend((first..first + window).filter(|&place| place != i));
            let nodes: Vec<f64> = places.iter().map(|&place| x[place]).collect();
            derivative_weights(&nodes, window - 1, 1)
                .map_or(0.0, |weights| weights.iter().zip(&places).map(|(w, &place)| w * y[place]).sum())
        })
        .collect()
}

/// The statistics of a component as functions of λ: l, s and b are cubics between the nodes, so L = ∫ l and S = ∫ s are
/// known exactly. (The publication snaps steps to nodes and takes trapezoids; then few-step errors depend on the grid.)
///
/// Every other integral is taken over the nodes' intervals by Gauss–Legendre quadrature with the exponents counted from the
/// end of the step, so nothing overflows however large L and S become over the whole range.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StatisticsTable {
    lambda: Vec<f64>,
    l: Curve,
    s: Curve,
    b: Curve,
}

impl StatisticsTable {
    pub(super) fn new(component: &ComponentStatistics) -> Result<Self, String> {
        let ComponentStatistics { lambda, l, s, b, .. } = component;
        let nodes = lambda.len();
        if nodes < 2 {
            return Err(format!("a grid of {nodes} nodes; at least 2 are needed"));
        }
        for (name, values) in [("lambda", lambda), ("l", l), ("s", s), ("b", b)] {
            if values.len() != nodes {
                return Err(format!("{} values of {name} for {nodes} nodes", values.len()));
            }
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(format!("{name} is {} at node {index}", values[index]));
            }
        }
        if let Some(index) = lambda.windows(2).position(|pair| pair[1] <= pair[0]) {
            return Err(format!("lambda does not increase at node {}", index + 1));
        }
        let [l, s, b] = [l, s, b].map(|values| Curve::new(lambda, values));
        Ok(Self { lambda: lambda.clone(), l, s, b })
    }

    fn place(&self, lambda: f64) -> Place {
        let last = self.lambda.len() - 2;
        let interval = self.lambda.partition_point(|&node| node <= lambda).saturating_sub(1).min(last);
        let width = self.lambda[interval + 1] - self.lambda[interval];
        Place { interval, width, fraction: (lambda - self.lambda[interval]) / width }
    }

    pub(crate) fn l(&self, lambda: f64) -> f64 {
        self.l.value(self.place(lambda))
    }

    fn b(&self, lambda: f64) -> f64 {
        self.b.value(self.place(lambda))
    }

    fn big_l(&self, lambda: f64) -> f64 {
        self.l.integral(self.place(lambda))
    }

    fn big_s(&self, lambda: f64) -> f64 {
        self.s.integral(self.place(lambda))
    }

    /// `from`, the nodes strictly between, and `to`, in this direction.
    fn stops(&self, from: f64, to: f64) -> Vec<f64> {
        let (low, high) = if from < to { (from, to) } else { (to, from) };
        let inner = self.lambda.iter().copied().filter(|&node| node > low && node < high);
        let mut stops = vec![low];
        stops.extend(inner);
        stops.push(high);
        if from > to {
            stops.reverse();
        }
        stops
    }

    /// `∫ e^{S(to) − S} b` from `from` to `to`, inside one interval.
    fn short_forcing(&self, from: f64, to: f64) -> f64 {
        let (width, end) = (to - from, self.big_s(to));
        GAUSS
            .iter()
            .map(|(x, w)| {
                let at = from + x * width;
                w * width * libm::exp(end - self.big_s(at)) * self.b(at)
            })
            .sum()
    }

    /// D at `to` for a step that starts from `from`: the solution of D' = s D + b that is 0 there.
    fn forcing(&self, from: f64, to: f64) -> f64 {
        let mut value = 0.0;
        for pair in self.stops(from, to).windows(2) {
            let growth = libm::exp(self.big_s(pair[1]) - self.big_s(pair[0]));
            value = value * growth + self.short_forcing(pair[0], pair[1]);
        }
        value
    }

    /// `g = scale · f + shift` at `node`, for a step that starts from `from`.
    pub(crate) fn carried(&self, from: f64, node: f64) -> (f64, f64) {
        let scale = libm::exp(self.big_s(from) - self.big_s(node));
        (scale, if from == node { 0.0 } else { -scale * self.forcing(from, node) })
    }

    /// The integrals of a step; see [`StepIntegrals`].
    pub(crate) fn integrals(&self, from: f64, to: f64, count: usize) -> StepIntegrals {
        let (l_end, s_start) = (self.big_l(to), self.big_s(from));
        let mut powers = vec![0.0; count];
        let (mut forcing, mut forced) = (0.0, 0.0);
        for pair in self.stops(from, to).windows(2) {
            let (start, width) = (pair[0], pair[1] - pair[0]);
            let s_here = self.big_s(start);
            for (x, w) in GAUSS {
                let at = start + x * width;
                let (l_at, s_at) = (self.big_l(at), self.big_s(at));
                let mut term = w * width * libm::exp(l_at - l_end + s_at - s_start);
                for (k, power) in powers.iter_mut().enumerate() {
                    if k > 0 {
                        term *= (at - from) / k as f64;
                    }
                    *power += term;
                }
                let d = forced * libm::exp(s_at - s_here) + self.short_forcing(start, at);
                forcing += w * width * libm::exp(l_at - l_end) * d;
            }
            forced = forced * libm::exp(self.big_s(pair[1]) - s_here) + self.short_forcing(start, pair[1]);
        }
        StepIntegrals { decay: libm::exp(self.big_l(from) - l_end), powers, forcing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(l: impl Fn(f64) -> f64, s: impl Fn(f64) -> f64, b: impl Fn(f64) -> f64) -> StatisticsTable {
        let lambda: Vec<f64> = (0..=400).map(|i| -5.0 + 0.025 * f64::from(i)).collect();
        let (l, s, b) = (
            lambda.iter().map(|x| l(*x)).collect(),
            lambda.iter().map(|x| s(*x)).collect(),
            lambda.iter().map(|x| b(*x)).collect(),
        );
        StatisticsTable::new(&ComponentStatistics { name: "x".to_owned(), lambda, l, s, b }).unwrap()
    }

    #[test]
    fn constant_statistics_have_the_closed_form() {
        let table = table(|_| 1.0, |_| 0.0, |_| 0.0);
        for (from, to) in [(-4.99, 4.321), (0.01, 2.02), (-1.0, 2.0)] {
            let integrals = table.integrals(from, to, 4);
            let h: f64 = to - from;
            assert!((integrals.decay - libm::exp(-h)).abs() < 1e-13);
            // ∫ e^{−(h − u)} u^k/k! du by parts.
            let (mut exact, mut monomial) = (-libm::expm1(-h), 1.0);
            for (k, power) in integrals.powers.iter().enumerate() {
                if k > 0 {
                    monomial *= h / k as f64;
                    exact = monomial - exact;
                }
                assert!((power / exact - 1.0).abs() < 1e-12, "{k}: {power:e} {exact:e}");
            }
            assert_eq!(integrals.forcing, 0.0);
        }
    }

    /// f' = s f + b with constant s and b: carrying f back to the start gives f there, whatever the distance.
    #[test]
    fn carrying_undoes_the_model_of_f() {
        let table = table(|x| 0.3 * x, |_| -0.7, |_| 0.4);
        for (from, to) in [(-2.0, 1.3), (1.3, -2.0), (0.0, 0.01)] {
            let particular = 0.4 / 0.7;
            let f = |lambda: f64| particular + 2.5 * libm::exp(-0.7 * (lambda - from));
            let (scale, shift) = table.carried(from, to);
            assert!((scale * f(to) + shift - f(from)).abs() < 1e-12, "{from} {to}");
        }
    }
}
