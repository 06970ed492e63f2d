//! Products of small row-major matrices, and linear maps in packed form.
//!
//! Rows of every right-hand side are multiples of [`LANE_MULTIPLE`] numbers, padded with zeros, so that no vector is cut. A
//! block of 8 rows by two vectors keeps its 16 sums in registers; per inner index it loads two vectors and 8 numbers for 16
//! multiply-adds. Fewer rows than four are taken by more vectors. Each sum runs over the inner index in order, whatever the block,
//! so a row's bits do not depend on the rows beside it.

use std::sync::OnceLock;

use crate::weights::{HostTensor, ParameterSet};
use pulp::{NullaryFnOnce, Simd};

use super::PackError;
use super::elementwise::{add_scaled, dot};

/// Widths are rounded up to this.
pub const LANE_MULTIPLE: usize = 16;

/// A width with its padding.
#[must_use]
pub fn padded(width: usize) -> usize {
    width.next_multiple_of(LANE_MULTIPLE)
}

/// A matrix in a larger array: where its first number is and how far apart its rows are.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// From its first number on.
    pub values: &'a [f32],
    /// From a row to the next.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    /// A matrix whose rows are `stride` numbers apart.
    #[must_use]
    pub fn new(values: &'a [f32], stride: usize) -> Self {
        Self { values, stride }
    }
}

/// The left-hand side of a product.
#[derive(Debug, Clone, Copy)]
pub enum Left<'a> {
    /// Row i of the matrix is row i of the array.
    Plain(Rows<'a>),
    /// Row i of the matrix is column i of the array.
    Transposed(Rows<'a>),
}

/// The extents of a product: rows and columns of the result, and the inner index. Columns are a multiple of
/// [`LANE_MULTIPLE`].
#[derive(Debug, Clone, Copy)]
pub struct Extents {
    /// Rows of the result.
    pub rows: usize,
    /// The inner index.
    pub inner: usize,
    /// Columns of the result.
    pub columns: usize,
}

/// `out += left right`.
#[inline(always)]
pub fn add_product<S: Simd>(
    simd: S,
    extents: Extents,
    left: Left<'_>,
    right: Rows<'_>,
    out: &mut [f32],
    out_stride: usize,
) {
    struct Task<'a, S> {
        simd: S,
        extents: Extents,
        left: Left<'a>,
        right: Rows<'a>,
        out: &'a mut [f32],
        out_stride: usize,
    }
    impl<S: Simd> NullaryFnOnce for Task<'_, S> {
        type Output = ();
        #[inline(always)]
        fn call(self) {
            let Self { simd, extents, left, right, out, out_stride } = self;
            let two = 2 * S::F32_LANES;
            let fours = extents.rows - extents.rows % 4;
            let mut column = 0;
            // A panel of the right-hand side stays in the first cache while all rows pass.
            while column < extents.columns {
                let vectors = if column + two <= extents.columns { 2 } else { 1 };
                let mut row = 0;
                while row < fours {
                    let at = Place { row, column };
                    let taken = match (vectors, fours - row) {
                        (2, 8..) => block::<S, 8, 2>(simd, extents, left, right, out, out_stride, at),
                        (2, _) => block::<S, 4, 2>(simd, extents, left, right, out, out_stride, at),
                        (_, 8..) => block::<S, 8, 1>(simd, extents, left, right, out, out_stride, at),
                        _ => block::<S, 4, 1>(simd, extents, left, right, out, out_stride, at),
                    };
                    row += taken;
                }
                column += vectors * S::F32_LANES;
            }
            // The rows that are left over, by more vectors: a sum waits for the one before it, so several must be under way.
            let mut at = Place { row: fours, column: 0 };
            while at.row < extents.rows && at.column < extents.columns {
                let left_over = extents.rows - fours;
                let vectors = match (extents.columns - at.column) / S::F32_LANES {
                    8.. if left_over == 1 => 8,
                    4.. => 4,
                    2.. => 2,
                    _ => 1,
                };
                match (left_over, vectors) {
                    (1, 8) => block::<S, 1, 8>(simd, extents, left, right, out, out_stride, at),
                    (1, 4) => block::<S, 1, 4>(simd, extents, left, right, out, out_stride, at),
                    (1, 2) => block::<S, 1, 2>(simd, extents, left, right, out, out_stride, at),
                    (1, _) => block::<S, 1, 1>(simd, extents, left, right, out, out_stride, at),
                    (2, 4) => block::<S, 2, 4>(simd, extents, left, right, out, out_stride, at),
                    (2, 2) => block::<S, 2, 2>(simd, extents, left, right, out, out_stride, at),
                    (2, _) => block::<S, 2, 1>(simd, extents, left, right, out, out_stride, at),
                    (_, 4) => block::<S, 3, 4>(simd, extents, left, right, out, out_stride, at),
                    (_, 2) => block::<S, 3, 2>(simd, extents, left, right, out, out_stride, at),
                    _ => block::<S, 3, 1>(simd, extents, left, right, out, out_stride, at),
                };
                at.column += vectors * S::F32_LANES;
            }
        }
    }
    simd.vectorize(Task { simd, extents, left, right, out, out_stride });
}

/// Where a block begins.
#[derive(Debug, Clone, Copy)]
struct Place {
    row: usize,
    column: usize,
}

/// `R` rows by `V` vectors; returns `R`.
#[inline(always)]
fn block<S: Simd, const R: usize, const V: usize>(
    simd: S,
    extents: Extents,
    left: Left<'_>,
    right: Rows<'_>,
    out: &mut [f32],
    out_stride: usize,
    at: Place,
) -> usize {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let inner = extents.inner;
    let width = V * S::F32_LANES;
    match left {
        Left::Plain(Rows { values, stride }) => {
            let rows: [&[f32]; R] = std::array::from_fn(|r| &values[(at.row + r) * stride..][..inner]);
            for (k, right) in right.values.chunks(right.stride).take(inner).enumerate() {
                let (vectors, _) = S::as_simd_f32s(&right[at.column..][..width]);
                for r in 0..R {
                    let scale = simd.splat_f32s(rows[r][k]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_e_f32s(scale, vectors[v], sums[r][v]);
                    }
                }
            }
        }
        Left::Transposed(Rows { values, stride }) => {
            for k in 0..inner {
                let (vectors, _) = S::as_simd_f32s(&right.values[k * right.stride + at.column..][..width]);
                let scales = &values[k * stride + at.row..][..R];
                for r in 0..R {
                    let scale = simd.splat_f32s(scales[r]);
                    for v in 0..V {
                        sums[r][v] = simd.mul_add_e_f32s(scale, vectors[v], sums[r][v]);
                    }
                }
            }
        }
    }
    for (r, sums) in sums.into_iter().enumerate() {
        let row = &mut out[(at.row + r) * out_stride + at.column..][..width];
        let (vectors, _) = S::as_mut_simd_f32s(row);
        for v in 0..V {
            vectors[v] = simd.add_f32s(vectors[v], sums[v]);
        }
    }
    R
}

/// `y = W x + b` with the weight transposed, `[inputs, padded outputs]`, and, once a gradient comes back, as it is.
#[derive(Debug, Clone)]
pub struct Linear {
    /// Inputs.
    pub inputs: usize,
    /// Outputs.
    pub outputs: usize,
    /// `[inputs, padded outputs]`.
    pub forward: Vec<f32>,
    /// `[outputs, padded inputs]`, made when it is needed: while samples are drawn it never is.
    backward: OnceLock<Vec<f32>>,
    /// `[padded outputs]`.
    pub bias: Vec<f32>,
}

impl Linear {
    /// Reads `{name}.weight` and `{name}.bias`.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn read(
        parameters: &ParameterSet,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, PackError> {
        let weight = lookup(parameters, format!("{name}.weight"), &[outputs, inputs])?;
        let bias = lookup(parameters, format!("{name}.bias"), &[outputs])?;
        Ok(Self::of(&weight, &bias, inputs, inputs, 0))
    }

    /// Reads `{name}.weight` and `{name}.bias` as several maps of the same inputs: the outputs of the first, then those of the
    /// second, and so on.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn read_split(
        parameters: &ParameterSet,
        name: &str,
        inputs: usize,
        outputs: &[usize],
    ) -> Result<Vec<Self>, PackError> {
        let all = outputs.iter().sum();
        let weight = lookup(parameters, format!("{name}.weight"), &[all, inputs])?;
        let bias = lookup(parameters, format!("{name}.bias"), &[all])?;
        let mut first = 0;
        let map = |&count: &usize| {
            let rows = first..first + count;
            first += count;
            Self::of(&weight[rows.start * inputs..rows.end * inputs], &bias[rows], inputs, inputs, 0)
        };
        Ok(outputs.iter().map(map).collect())
    }

    /// Columns `first..first + inputs` of a weight `[outputs, columns]`.
    #[must_use]
    pub fn of(weight: &[f32], bias: &[f32], columns: usize, inputs: usize, first: usize) -> Self {
        let outputs = bias.len();
        let wide = padded(outputs);
        let mut forward = vec![0.0; inputs * wide];
        for o in 0..outputs {
            for i in 0..inputs {
                forward[i * wide + o] = weight[o * columns + first + i];
            }
        }
        let mut all = bias.to_vec();
        all.resize(wide, 0.0);
        Self { inputs, outputs, forward, backward: OnceLock::new(), bias: all }
    }

    /// The weight as it is, `[outputs, padded inputs]`.
    fn backward(&self) -> &[f32] {
        self.backward.get_or_init(|| {
            let (wide, deep) = (self.width(), padded(self.inputs));
            let mut backward = vec![0.0; self.outputs * deep];
            for (i, column) in self.forward.chunks_exact(wide).enumerate() {
                for (row, &value) in backward.chunks_exact_mut(deep).zip(column) {
                    row[i] = value;
                }
            }
            backward
        })
    }

    /// Width of the outputs with padding.
    #[must_use]
    pub fn width(&self) -> usize {
        self.bias.len()
    }

    /// `out = W x + b` for `rows` rows of `x`, whose padding may hold anything.
    #[inline(always)]
    pub fn apply<S: Simd>(&self, simd: S, x: Rows<'_>, rows: usize, out: &mut [f32], out_stride: usize) {
        for row in out.chunks_mut(out_stride).take(rows) {
            row[..self.width()].copy_from_slice(&self.bias);
        }
        self.add(simd, x, rows, out, out_stride);
    }

    /// `out += W x + b`.
    #[inline(always)]
    pub fn add_with_bias<S: Simd>(
        &self,
        simd: S,
        x: Rows<'_>,
        rows: usize,
        out: &mut [f32],
        out_stride: usize,
    ) {
        for row in out.chunks_mut(out_stride).take(rows) {
            add_scaled(simd, 1.0, &self.bias, &mut row[..self.width()]);
        }
        self.add(simd, x, rows, out, out_stride);
    }

    /// `out += W x`.
    #[inline(always)]
    pub fn add<S: Simd>(&self, simd: S, x: Rows<'_>, rows: usize, out: &mut [f32], out_stride: usize) {
        let extents = Extents { rows, inner: self.inputs, columns: self.width() };
        let right = Rows { values: &self.forward, stride: self.width() };
        add_product(simd, extents, Left::Plain(x), right, out, out_stride);
    }
}

impl Linear {
    /// `dx += W' dy`: what a gradient of the outputs means for the inputs. Rows of `dx` are as wide as the padded inputs.
    #[inline(always)]
    pub fn back<S: Simd>(&self, simd: S, dy: Rows<'_>, rows: usize, dx: &mut [f32], dx_stride: usize) {
        let columns = padded(self.inputs);
        let extents = Extents { rows, inner: self.outputs, columns };
        let right = Rows { values: self.backward(), stride: columns };
        add_product(simd, extents, Left::Plain(dy), right, dx, dx_stride);
    }

    /// A gradient of zeros.
    #[must_use]
    pub fn no_gradient(&self) -> LinearGradient {
        LinearGradient {
            weight: vec![0.0; self.outputs * padded(self.inputs)],
            bias: vec![0.0; self.width()],
            outputs: self.outputs,
            inputs: self.inputs,
        }
    }
}

/// The gradient of a [`Linear`].
#[derive(Debug, Clone)]
pub struct LinearGradient {
    /// `[outputs, padded inputs]`.
    weight: Vec<f32>,
    /// `[padded outputs]`.
    bias: Vec<f32>,
    outputs: usize,
    inputs: usize,
}

impl LinearGradient {
    /// Adds that of `rows` rows with inputs `x`, as wide as the padded inputs, and gradients `dy` of the outputs.
    #[inline(always)]
    pub fn add<S: Simd>(&mut self, simd: S, x: Rows<'_>, dy: Rows<'_>, rows: usize) {
        self.add_weight(simd, x, dy, rows);
        let width = self.bias.len();
        for row in 0..rows {
            add_scaled(simd, 1.0, &dy.values[row * dy.stride..][..width], &mut self.bias);
        }
    }

    /// Adds that of the weight alone.
    #[inline(always)]
    pub fn add_weight<S: Simd>(&mut self, simd: S, x: Rows<'_>, dy: Rows<'_>, rows: usize) {
        let columns = padded(self.inputs);
        let extents = Extents { rows: self.outputs, inner: rows, columns };
        add_product(simd, extents, Left::Transposed(dy), x, &mut self.weight, columns);
    }

    /// The weight `[outputs, inputs]` into columns `first..` of one with `columns` columns.
    pub fn weight_into(&self, out: &mut [f32], columns: usize, first: usize) {
        let rows = out.chunks_exact_mut(columns).zip(self.weight.chunks_exact(padded(self.inputs)));
        for (out, row) in rows {
            out[first..first + self.inputs].copy_from_slice(&row[..self.inputs]);
        }
    }

    /// The bias `[outputs]`.
    #[must_use]
    pub fn bias(&self) -> Vec<f32> {
        self.bias[..self.outputs].to_vec()
    }

    /// Under the names of the parameters.
    pub fn emit(&self, name: &str, into: &mut ParameterSet) {
        Self::emit_split([self], name, into);
    }

    /// The gradient of maps that were [split](Linear::read_split), under the names of the parameters.
    pub fn emit_split<'a>(parts: impl IntoIterator<Item = &'a Self>, name: &str, into: &mut ParameterSet) {
        let (mut weight, mut bias, mut inputs) = (Vec::new(), Vec::new(), 0);
        for part in parts {
            inputs = part.inputs;
            let first = weight.len();
            weight.resize(first + part.outputs * inputs, 0.0);
            part.weight_into(&mut weight[first..], inputs, 0);
            bias.extend(part.bias());
        }
        let outputs = bias.len();
        into.insert(format!("{name}.weight"), HostTensor::f32([outputs, inputs], weight));
        into.insert(format!("{name}.bias"), HostTensor::f32([outputs], bias));
    }
}

/// A map to one number: its weight `[padded inputs]` and bias, or the gradient of them.
#[derive(Debug, Clone)]
pub struct ToNumber {
    /// `[padded inputs]`.
    pub weight: Vec<f32>,
    /// The bias.
    pub bias: f32,
    /// Inputs.
    pub inputs: usize,
}

impl ToNumber {
    /// Reads `{name}.weight` `[1, inputs]` and `{name}.bias` `[1]`.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn read(parameters: &ParameterSet, name: &str, inputs: usize) -> Result<Self, PackError> {
        let mut rows = Self::read_rows(parameters, name, inputs, 1)?;
        Ok(rows.remove(0))
    }

    /// Reads `{name}.weight` `[count, inputs]` and `{name}.bias` `[count]` as so many maps.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn read_rows(
        parameters: &ParameterSet,
        name: &str,
        inputs: usize,
        count: usize,
    ) -> Result<Vec<Self>, PackError> {
        let weights = lookup(parameters, format!("{name}.weight"), &[count, inputs])?;
        let biases = lookup(parameters, format!("{name}.bias"), &[count])?;
        let row = |(weight, bias): (&[f32], f32)| {
            let mut weight = weight.to_vec();
            weight.resize(padded(inputs), 0.0);
            Self { weight, bias, inputs }
        };
        Ok(weights.chunks_exact(inputs).zip(biases).map(row).collect())
    }

    /// A gradient of zeros.
    #[must_use]
    pub fn no_gradient(&self) -> Self {
        Self { weight: vec![0.0; self.weight.len()], bias: 0.0, inputs: self.inputs }
    }

    /// Of one row.
    #[inline(always)]
    pub fn apply<S: Simd>(&self, simd: S, row: &[f32]) -> f32 {
        dot(simd, row, &self.weight) + self.bias
    }

    /// Under the names of the parameters.
    pub fn emit(&self, name: &str, into: &mut ParameterSet) {
        Self::emit_rows(std::slice::from_ref(self), name, into);
    }

    /// Those that were [read as rows](ToNumber::read_rows), under the names of the parameters.
    pub fn emit_rows(rows: &[Self], name: &str, into: &mut ParameterSet) {
        let inputs = rows.first().map_or(0, |row| row.inputs);
        let weight = rows.iter().flat_map(|row| row.weight[..inputs].iter().copied()).collect();
        let bias = rows.iter().map(|row| row.bias).collect();
        into.insert(format!("{name}.weight"), HostTensor::f32([rows.len(), inputs], weight));
        into.insert(format!("{name}.bias"), HostTensor::f32([rows.len()], bias));
    }
}

/// A parameter of this shape.
///
/// # Errors
/// [`PackError`].
pub fn lookup(parameters: &ParameterSet, name: String, shape: &[usize]) -> Result<Vec<f32>, PackError> {
    match parameters.get(&name) {
        None => Err(PackError::Missing { name, expected: shape.to_vec() }),
        Some(tensor) if tensor.shape != shape => {
            Err(PackError::Shape { name, expected: shape.to_vec(), found: tensor.shape.clone() })
        }
        Some(tensor) => Ok(tensor.to_f32()),
    }
}
