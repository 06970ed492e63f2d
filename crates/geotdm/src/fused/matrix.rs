//! Products of small row-major matrices, and linear maps in packed form.
//!
//! Rows of every right-hand side are multiples of [`LANE_MULTIPLE`] numbers, padded with zeros, so that no vector is cut. A
//! block of 8 rows by two vectors keeps its 16 sums in registers; per inner index it loads two vectors and 8 numbers for 16
//! multiply-adds. Each sum runs over the inner index in order, whatever the block, so a row's bits do not depend on the rows
//! beside it.

use equidrift_backend::weights::ParameterSet;
use pulp::{NullaryFnOnce, Simd};

use crate::parameters::ParameterError;

/// Widths are rounded up to this.
pub(super) const LANE_MULTIPLE: usize = 16;

/// A width with its padding.
pub(super) fn padded(width: usize) -> usize {
    width.next_multiple_of(LANE_MULTIPLE)
}

/// A matrix in a larger array: where its first number is and how far apart its rows are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) values: &'a [f32],
    pub(super) stride: usize,
}

/// The left-hand side of a product.
#[derive(Debug, Clone, Copy)]
pub(super) enum Left<'a> {
    /// Row i of the matrix is row i of the array.
    Plain(Rows<'a>),
    /// Row i of the matrix is column i of the array.
    Transposed(Rows<'a>),
}

/// The extents of a product: rows and columns of the result, and the inner index. Columns are a multiple of
/// [`LANE_MULTIPLE`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Extents {
    pub(super) rows: usize,
    pub(super) inner: usize,
    pub(super) columns: usize,
}

/// `out += left right`.
#[inline(always)]
pub(super) fn add_product<S: Simd>(
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
            let mut column = 0;
            // A panel of the right-hand side stays in the first cache while all rows pass.
            while column < extents.columns {
                let vectors = if column + two <= extents.columns { 2 } else { 1 };
                let mut row = 0;
                while row < extents.rows {
                    let at = Place { row, column };
                    let taken = match (vectors, extents.rows - row) {
                        (2, 8..) => block::<S, 8, 2>(simd, extents, left, right, out, out_stride, at),
                        (2, 4..) => block::<S, 4, 2>(simd, extents, left, right, out, out_stride, at),
                        (2, _) => block::<S, 1, 2>(simd, extents, left, right, out, out_stride, at),
                        (_, 8..) => block::<S, 8, 1>(simd, extents, left, right, out, out_stride, at),
                        (_, 4..) => block::<S, 4, 1>(simd, extents, left, right, out, out_stride, at),
                        _ => block::<S, 1, 1>(simd, extents, left, right, out, out_stride, at),
                    };
                    row += taken;
                }
                column += vectors * S::F32_LANES;
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
            for k in 0..inner {
                let (vectors, _) = S::as_simd_f32s(&right.values[k * right.stride + at.column..][..width]);
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

/// `y = W x + b` with the weight transposed, `[inputs, padded outputs]`, and as it is, `[outputs, padded inputs]`.
#[derive(Debug, Clone)]
pub(super) struct Linear {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// `[inputs, padded outputs]`.
    pub(super) forward: Vec<f32>,
    /// `[outputs, padded inputs]`.
    pub(super) backward: Vec<f32>,
    /// `[padded outputs]`.
    pub(super) bias: Vec<f32>,
}

impl Linear {
    /// Reads `{name}.weight` and `{name}.bias`.
    pub(super) fn read(
        parameters: &ParameterSet,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> Result<Self, ParameterError> {
        let weight = lookup(parameters, format!("{name}.weight"), &[outputs, inputs])?;
        let bias = lookup(parameters, format!("{name}.bias"), &[outputs])?;
        Ok(Self::of(&weight, &bias, inputs, inputs, 0))
    }

    /// Columns `first..first + inputs` of a weight `[outputs, columns]`.
    pub(super) fn of(weight: &[f32], bias: &[f32], columns: usize, inputs: usize, first: usize) -> Self {
        let outputs = bias.len();
        let (wide, deep) = (padded(outputs), padded(inputs));
        let mut forward = vec![0.0; inputs * wide];
        let mut backward = vec![0.0; outputs * deep];
        for o in 0..outputs {
            for i in 0..inputs {
                let value = weight[o * columns + first + i];
                forward[i * wide + o] = value;
                backward[o * deep + i] = value;
            }
        }
        let mut all = bias.to_vec();
        all.resize(wide, 0.0);
        Self { inputs, outputs, forward, backward, bias: all }
    }

    /// Width of the outputs with padding.
    pub(super) fn width(&self) -> usize {
        self.bias.len()
    }

    /// `out = W x + b` for `rows` rows of `x`, whose padding may hold anything.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(
        &self,
        simd: S,
        x: Rows<'_>,
        rows: usize,
        out: &mut [f32],
        out_stride: usize,
    ) {
        for row in out.chunks_mut(out_stride).take(rows) {
            row[..self.width()].copy_from_slice(&self.bias);
        }
        self.add(simd, x, rows, out, out_stride);
    }

    /// `out += W x`.
    #[inline(always)]
    pub(super) fn add<S: Simd>(&self, simd: S, x: Rows<'_>, rows: usize, out: &mut [f32], out_stride: usize) {
        let extents = Extents { rows, inner: self.inputs, columns: self.width() };
        let right = Rows { values: &self.forward, stride: self.width() };
        add_product(simd, extents, Left::Plain(x), right, out, out_stride);
    }
}

/// A parameter of this shape.
pub(super) fn lookup(
    parameters: &ParameterSet,
    name: String,
    shape: &[usize],
) -> Result<Vec<f32>, ParameterError> {
    match parameters.get(&name) {
        None => Err(ParameterError::Missing { name, expected: shape.to_vec() }),
        Some(tensor) if tensor.shape != shape => {
            Err(ParameterError::Shape { name, expected: shape.to_vec(), found: tensor.shape.clone() })
        }
        Some(tensor) => Ok(tensor.to_f32()),
    }
}
