//! Tables whose rows are looked up by class.

use equidrift_backend::kernels::PackError;
use equidrift_backend::kernels::elementwise::add_scaled;
use equidrift_backend::kernels::matrix::{lookup, padded};
use equidrift_backend::weights::{HostTensor, ParameterSet};
use pulp::Simd;

/// A row for each class and, of linear maps of one-hot vectors, a bias.
#[derive(Debug, Clone)]
pub(super) struct Table {
    width: usize,
    /// `[classes, padded width]`.
    rows: Vec<f32>,
    /// `[padded width]`.
    bias: Option<Vec<f32>>,
}

/// The gradient of a [`Table`].
#[derive(Debug, Clone)]
pub(super) struct TableGradient(Table);

impl Table {
    /// The linear map `{name}.weight` `[width, classes]`, `{name}.bias` of one-hot vectors.
    pub(super) fn of_classes(
        parameters: &ParameterSet,
        name: &str,
        classes: usize,
        width: usize,
    ) -> Result<Self, PackError> {
        let weight = lookup(parameters, format!("{name}.weight"), &[width, classes])?;
        let mut bias = lookup(parameters, format!("{name}.bias"), &[width])?;
        let wide = padded(width);
        let mut rows = vec![0.0; classes * wide];
        for (unit, weights) in weight.chunks_exact(classes).enumerate() {
            for (class, &weight) in weights.iter().enumerate() {
                rows[class * wide + unit] = weight;
            }
        }
        bias.resize(wide, 0.0);
        Ok(Self { width, rows, bias: Some(bias) })
    }

    /// The rows `{name}.weight` `[count, width]`.
    pub(super) fn of_rows(
        parameters: &ParameterSet,
        name: &str,
        count: usize,
        width: usize,
    ) -> Result<Self, PackError> {
        let weight = lookup(parameters, format!("{name}.weight"), &[count, width])?;
        let wide = padded(width);
        let mut rows = vec![0.0; count * wide];
        for (row, weight) in rows.chunks_exact_mut(wide).zip(weight.chunks_exact(width)) {
            row[..width].copy_from_slice(weight);
        }
        Ok(Self { width, rows, bias: None })
    }

    pub(super) fn no_gradient(&self) -> TableGradient {
        TableGradient(Self {
            width: self.width,
            rows: vec![0.0; self.rows.len()],
            bias: self.bias.as_ref().map(|bias| vec![0.0; bias.len()]),
        })
    }

    /// Adds the row of a class, if there is one, and the bias.
    #[inline(always)]
    pub(super) fn add<S: Simd>(&self, simd: S, class: Option<usize>, out: &mut [f32]) {
        if let Some(class) = class {
            add_scaled(simd, 1.0, &self.rows[class * out.len()..][..out.len()], out);
        }
        if let Some(bias) = &self.bias {
            add_scaled(simd, 1.0, bias, out);
        }
    }
}

impl TableGradient {
    /// Adds the gradient of a result.
    #[inline(always)]
    pub(super) fn add<S: Simd>(&mut self, simd: S, class: Option<usize>, back: &[f32]) {
        if let Some(class) = class {
            add_scaled(simd, 1.0, back, &mut self.0.rows[class * back.len()..][..back.len()]);
        }
        if let Some(bias) = &mut self.0.bias {
            add_scaled(simd, 1.0, back, bias);
        }
    }

    /// Under the names of the parameters.
    pub(super) fn emit(&self, name: &str, into: &mut ParameterSet) {
        let Table { width, rows, bias } = &self.0;
        let wide = padded(*width);
        let count = rows.len() / wide;
        let weight = match bias {
            Some(bias) => {
                into.insert(format!("{name}.bias"), HostTensor::f32([*width], bias[..*width].to_vec()));
                let unit = |unit: usize| (0..count).map(move |class| rows[class * wide + unit]);
                HostTensor::f32([*width, count], (0..*width).flat_map(unit).collect())
            }
            None => {
                let rows = rows.chunks_exact(wide).flat_map(|row| row[..*width].iter().copied());
                HostTensor::f32([count, *width], rows.collect())
            }
        };
        into.insert(format!("{name}.weight"), weight);
    }
}
