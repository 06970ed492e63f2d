//! Long short-term memory (Hochreiter & Schmidhuber 1997) over a batch of sequences, one step at a time.
//!
//! i, f, o = sigmoid and g = tanh of W x + b + U h; c <- f c + i g; h <- o tanh c.
//!
//! A register block holds the four gates of as many units as a vector has lanes, for a few sequences; the product and the
//! gates are one pass over the weights, so no gate is ever written to memory as a matrix. Each sum runs over its terms in
//! order, so a sequence's result does not depend on the others in its batch.

use pulp::{NullaryFnOnce, Simd};

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;
/// Gates in the order in which PyTorch stores them: input, forget, cell, output.
const GATES: usize = 4;
/// Sequences in a register block where there are 32 registers. A batch is a multiple of it.
pub(super) const BLOCK: usize = 6;
/// The same where there are 16. A divisor of [`BLOCK`].
const SMALL_BLOCK: usize = 2;

/// Numbers that start on a cache line, so that no vector straddles two.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    storage: Vec<f32>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// Zeros.
    pub(super) fn zeros(length: usize) -> Self {
        let storage = vec![0.0; length + LINE / size_of::<f32>()];
        let start = storage.as_ptr().align_offset(LINE).min(LINE / size_of::<f32>());
        Self { storage, start, length }
    }

    #[inline(always)]
    pub(super) fn get(&self) -> &[f32] {
        &self.storage[self.start..self.start + self.length]
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self) -> &mut [f32] {
        &mut self.storage[self.start..self.start + self.length]
    }
}

/// The weights of one layer, in panels `[unit block][input][gate][lane]`.
#[derive(Debug)]
pub(super) struct Lstm {
    pub(super) inputs: usize,
    pub(super) units: usize,
    lanes: usize,
    input_panels: Aligned,
    hidden_panels: Aligned,
    bias: Aligned,
}

impl Lstm {
    /// From PyTorch's layout: `input` `[4 units, inputs]`, `hidden` `[4 units, units]`, two biases `[4 units]` that are
    /// added. `units` is a multiple of `lanes`.
    pub(super) fn new(
        lanes: usize,
        inputs: usize,
        units: usize,
        input: &[f32],
        hidden: &[f32],
        biases: [&[f32]; 2],
    ) -> Self {
        let bias: Vec<f32> = biases[0].iter().zip(biases[1]).map(|(a, b)| a + b).collect();
        Self {
            inputs,
            units,
            lanes,
            input_panels: panels(lanes, units, inputs, input),
            hidden_panels: panels(lanes, units, units, hidden),
            bias: panels(lanes, units, 1, &bias),
        }
    }

    /// W x + b of one input, in the layout of [`Drive::Shared`].
    pub(super) fn drive(&self, input: &[f32]) -> Aligned {
        let mut drive = Aligned::zeros(GATES * self.units);
        drive.get_mut().copy_from_slice(self.bias.get());
        let width = GATES * self.lanes;
        let panels = self.input_panels.get().chunks_exact(self.inputs * width);
        for (block, panel) in drive.get_mut().chunks_exact_mut(width).zip(panels) {
            for (weights, x) in panel.chunks_exact(width).zip(input) {
                for (sum, weight) in block.iter_mut().zip(weights) {
                    *sum += weight * x;
                }
            }
        }
        drive
    }

    /// One step of `cell.len() / units` sequences (a multiple of [`BLOCK`]): reads `hidden`, writes `next`, changes `cell`; all
    /// `[sequence][unit]`.
    #[inline(always)]
    pub(super) fn step<S: Simd>(
        &self,
        simd: S,
        drive: Drive<'_>,
        hidden: &[f32],
        next: &mut [f32],
        cell: &mut [f32],
    ) {
        assert!(
            S::F32_LANES == self.lanes && hidden.len() == cell.len() && next.len() == cell.len(),
            "packed for other vectors, or states of different lengths"
        );
        let gates = &mut Aligned::zeros(BLOCK * GATES * S::F32_LANES);
        simd.vectorize(Step { simd, lstm: self, drive, hidden, next, cell, gates: gates.get_mut() });
    }
}

/// `[4 units, inputs]` in panels.
fn panels(lanes: usize, units: usize, inputs: usize, weights: &[f32]) -> Aligned {
    let mut packed = Aligned::zeros(GATES * units * inputs);
    let mut targets = packed.get_mut().iter_mut();
    for block in 0..units / lanes {
        for input in 0..inputs {
            for gate in 0..GATES {
                for lane in 0..lanes {
                    if let Some(target) = targets.next() {
                        *target = weights[(gate * units + block * lanes + lane) * inputs + input];
                    }
                }
            }
        }
    }
    packed
}

/// What drives a step beside the state.
#[derive(Clone, Copy)]
pub(super) enum Drive<'a> {
    /// An input of each sequence, `[sequence][input]`.
    Inputs(&'a [f32]),
    /// The same for all, multiplied out by [`Lstm::drive`].
    Shared(&'a Aligned),
}

struct Step<'a, S: Simd> {
    simd: S,
    lstm: &'a Lstm,
    drive: Drive<'a>,
    hidden: &'a [f32],
    next: &'a mut [f32],
    cell: &'a mut [f32],
    /// `[sequence of a block][gate][lane]`
    gates: &'a mut [f32],
}

impl<S: Simd> NullaryFnOnce for Step<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(mut self) {
        if S::REGISTER_COUNT >= 32 { self.all::<BLOCK>() } else { self.all::<SMALL_BLOCK>() }
    }
}

impl<S: Simd> Step<'_, S> {
    #[inline(always)]
    fn all<const R: usize>(&mut self) {
        let sequences = self.cell.len() / self.lstm.units;
        for block in 0..self.lstm.units / S::F32_LANES {
            for first in (0..sequences).step_by(R) {
                self.block::<R>(block, first);
            }
        }
    }

    /// One vector of units of `R` sequences.
    #[inline(always)]
    fn block<const R: usize>(&mut self, block: usize, first: usize) {
        let Self { simd, lstm, .. } = *self;
        let width = GATES * S::F32_LANES;
        let (units, inputs) = (lstm.units, lstm.inputs);
        let start = match self.drive {
            Drive::Inputs(_) => &lstm.bias,
            Drive::Shared(drive) => drive,
        };
        let start = S::as_simd_f32s(&start.get()[block * width..][..width]).0;
        let gates = S::as_mut_simd_f32s(&mut self.gates[..R * width]).0.as_chunks_mut::<GATES>().0;
        gates.fill([start[0], start[1], start[2], start[3]]);
        if let Drive::Inputs(x) = self.drive {
            let panel = &lstm.input_panels.get()[block * inputs * width..][..inputs * width];
            add_product::<S, R>(simd, panel, &x[first * inputs..][..R * inputs], inputs, gates);
        }
        let panel = &lstm.hidden_panels.get()[block * units * width..][..units * width];
        add_product::<S, R>(simd, panel, &self.hidden[first * units..][..R * units], units, gates);
        let places = first * units + block * S::F32_LANES;
        let (cell, next) = (&mut self.cell[places..], &mut self.next[places..]);
        finish(simd, &self.gates[..R * width], units, cell, next);
    }
}

/// New states from the gates `[sequence][gate][lane]`; `cell` and `next` begin at the first sequence's vector, that of the
/// next one is `units` later.
///
/// A function of its own: inlined, the constants of tanh would stay in registers that the sums need, for all blocks.
#[inline(never)]
fn finish<S: Simd>(simd: S, gates: &[f32], units: usize, cell: &mut [f32], next: &mut [f32]) {
    simd.vectorize(Finish { simd, gates, units, cell, next });
}

struct Finish<'a, S: Simd> {
    simd: S,
    gates: &'a [f32],
    units: usize,
    cell: &'a mut [f32],
    next: &'a mut [f32],
}

impl<S: Simd> NullaryFnOnce for Finish<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, gates, units, cell, next } = self;
        let gates = S::as_simd_f32s(gates).0.as_chunks::<GATES>().0;
        for (sequence, [i, f, g, o]) in gates.iter().enumerate() {
            let place = sequence * units..sequence * units + S::F32_LANES;
            let cell = &mut S::as_mut_simd_f32s(&mut cell[place.clone()]).0[0];
            let next = &mut S::as_mut_simd_f32s(&mut next[place]).0[0];
            let kept = simd.mul_f32s(sigmoid(simd, *f), *cell);
            *cell = simd.mul_add_e_f32s(sigmoid(simd, *i), tanh(simd, *g), kept);
            *next = simd.mul_f32s(sigmoid(simd, *o), tanh(simd, *cell));
        }
    }
}

/// Terms that are summed in registers before they are added to the sum in memory: a sum of sums rounds less.
const TERMS: usize = 128;

/// `gates += panel^T x` for `R` rows of `x`, `[R][width]`.
#[inline(always)]
fn add_product<S: Simd, const R: usize>(
    simd: S,
    panel: &[f32],
    x: &[f32],
    width: usize,
    gates: &mut [[S::f32s; GATES]],
) {
    let weights = S::as_simd_f32s(panel).0.as_chunks::<GATES>().0;
    for first in (0..width).step_by(TERMS) {
        let terms = (width - first).min(TERMS);
        let rows: [&[f32]; R] = std::array::from_fn(|r| &x[r * width + first..][..terms]);
        let mut sums = [[simd.splat_f32s(0.0); GATES]; R];
        for (k, weights) in weights[first..][..terms].iter().enumerate() {
            for r in 0..R {
                let x = simd.splat_f32s(rows[r][k]);
                for gate in 0..GATES {
                    sums[r][gate] = simd.mul_add_e_f32s(x, weights[gate], sums[r][gate]);
                }
            }
        }
        let gates = &mut gates[..R];
        for r in 0..R {
            for gate in 0..GATES {
                gates[r][gate] = simd.add_f32s(gates[r][gate], sums[r][gate]);
            }
        }
    }
}

/// Smaller arguments of the exponential are treated as this one (2e-35), so that 2^n stays a normal number.
const EXP_LIMIT: f32 = -80.0;
/// `(2^f - 1) / f` on [-1/2, 1/2]: Chebyshev interpolation of degree 5, highest power first. Relative error 2.2e-8.
const EXP2_MINUS_ONE: [f32; 6] =
    [1.545_316_3e-4, 1.339_086_3e-3, 9.618_083e-3, 5.550_357e-2, 2.402_265e-1, std::f32::consts::LN_2];

/// exp(x) - 1 for x <= 0, without loss of digits for small x.
#[inline(always)]
fn exp_m1<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    // exp(x) = 2^n 2^f with n an integer and |f| <= 1/2. Adding 1.5 * 2^23 + 127 rounds to an integer and leaves the
    // exponent bits of 2^n at the low end of the sum.
    let round = simd.splat_f32s(12_582_912.0 + 127.0);
    let x = simd.max_f32s(simd.splat_f32s(EXP_LIMIT), x);
    let rounded = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), round);
    let n = simd.sub_f32s(rounded, round);
    // The logarithm of two in two parts, so that nothing is lost where n is large.
    let low = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_HIGH), x);
    let rest = simd.mul_add_e_f32s(n, simd.splat_f32s(-LN_2_LOW), low);
    let fraction = simd.mul_f32s(rest, simd.splat_f32s(std::f32::consts::LOG2_E));
    let scale = simd.transmute_f32s_u32s(
        simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(rounded), simd.splat_u32s(23)),
    );
    let series = polynomial(simd, &EXP2_MINUS_ONE, fraction);
    let whole = simd.sub_f32s(scale, simd.splat_f32s(1.0));
    simd.mul_add_e_f32s(simd.mul_f32s(scale, fraction), series, whole)
}

/// The leading digits of ln 2 (a multiple of 2^-9), and the others.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// tanh x = -m / (2 + m) for x >= 0, with m = exp(-2x) - 1. The gates add up over 88 steps, so errors that always have the
/// same sign show: a rational approximation of 3e-7 would be felt.
#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let m = exp_m1(simd, simd.mul_f32s(simd.splat_f32s(-2.0), simd.abs_f32s(x)));
    let size = simd.div_f32s(m, simd.add_f32s(simd.splat_f32s(2.0), m));
    simd.select_f32s(simd.less_than_f32s(x, simd.splat_f32s(0.0)), size, simd.neg_f32s(size))
}

/// 1 / (1 + exp(-x)).
#[inline(always)]
fn sigmoid<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let one = simd.splat_f32s(1.0);
    let m = exp_m1(simd, simd.neg_f32s(simd.abs_f32s(x)));
    let e = simd.add_f32s(m, one);
    let numerator = simd.select_f32s(simd.less_than_f32s(x, simd.splat_f32s(0.0)), e, one);
    simd.div_f32s(numerator, simd.add_f32s(one, e))
}

#[inline(always)]
fn polynomial<S: Simd, const K: usize>(simd: S, coefficients: &[f32; K], x: S::f32s) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for &c in &coefficients[1..] {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(c));
    }
    sum
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Run<'a> {
        weights: [&'a [f32]; 4],
        inputs: usize,
        units: usize,
        x: &'a [f32],
    }

    impl WithSimd for Run<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
            let [input, hidden, b0, b1] = self.weights;
            let lstm = Lstm::new(S::F32_LANES, self.inputs, self.units, input, hidden, [b0, b1]);
            let (mut h, mut next, mut c) =
                (vec![0.0; BLOCK * self.units], vec![0.0; BLOCK * self.units], vec![0.0; BLOCK * self.units]);
            for x in self.x.chunks_exact(BLOCK * self.inputs) {
                lstm.step(simd, Drive::Inputs(x), &h, &mut next, &mut c);
                std::mem::swap(&mut h, &mut next);
            }
            // A step driven by one input for all.
            let drive = lstm.drive(&self.x[..self.inputs]);
            lstm.step(simd, Drive::Shared(&drive), &h, &mut next, &mut c);
            next
        }
    }

    /// The definition in double precision.
    fn plain(run: &Run<'_>) -> Vec<f64> {
        let [input, hidden, b0, b1] = run.weights;
        let (n, m) = (run.units, run.inputs);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let mut result = Vec::new();
        for sequence in 0..BLOCK {
            let (mut h, mut c) = (vec![0.0; n], vec![0.0; n]);
            let steps = run.x.len() / (BLOCK * m);
            let own = (0..steps).map(|t| &run.x[(t * BLOCK + sequence) * m..][..m]);
            for x in own.chain([&run.x[..m]]) {
                let gate = |row: usize| {
                    let of = |w: &[f32], v: &[f64]| -> f64 {
                        w[row * v.len()..].iter().zip(v).map(|(w, v)| f64::from(*w) * v).sum()
                    };
                    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
                    of(input, &x) + of(hidden, &h) + f64::from(b0[row]) + f64::from(b1[row])
                };
                let gates: Vec<f64> = (0..4 * n).map(gate).collect();
                for unit in 0..n {
                    c[unit] = sigmoid(gates[n + unit]) * c[unit]
                        + sigmoid(gates[unit]) * gates[2 * n + unit].tanh();
                    h[unit] = sigmoid(gates[3 * n + unit]) * c[unit].tanh();
                }
            }
            result.extend(h);
        }
        result
    }

    #[test]
    fn every_instruction_set_gives_the_definition() {
        let wave = |count: usize, step: f32| -> Vec<f32> {
            (0..count).map(|i| (i as f32 * step).sin() * 1.5).collect()
        };
        let (inputs, units) = (5, 32);
        let weights = [
            wave(4 * units * inputs, 0.7),
            wave(4 * units * units, 1.3),
            wave(4 * units, 0.9),
            wave(4 * units, 0.2),
        ];
        let x = wave(4 * BLOCK * inputs, 0.37);
        let run = || Run { weights: std::array::from_fn(|i| &weights[i][..]), inputs, units, x: &x };
        let exact = plain(&run());
        assert!(exact.iter().any(|h| h.abs() > 0.1));
        let mut archs = vec![Arch::Scalar, Arch::new()];
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
        for arch in archs {
            let found = arch.dispatch(run());
            let error = found.iter().zip(&exact).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
            assert!(error < 5e-5, "{arch:?}: {error:e}");
        }
    }
}
