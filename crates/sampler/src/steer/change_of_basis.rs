use burn::tensor::Tensor;

use crate::denoiser::{DenoiseError, Denoiser};
use crate::error::SamplerError;
use crate::prediction::PredictionKind;
use crate::state::{Component, State};
use crate::support::Layout;

/// An orthogonal matrix Q, `[D, D]`: the coordinates y = Q x of a row of D values. Row k holds the direction whose share
/// `q_k · x` is coordinate k of y.
#[derive(Clone, Debug, PartialEq)]
pub struct OrthogonalBasis {
    rows: Vec<Vec<f64>>,
}

/// How far Q Qᵀ may be from the identity, entry by entry.
const TOLERANCE: f64 = 1e-10;

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl OrthogonalBasis {
    /// The basis with these rows.
    ///
    /// # Errors
    /// [`SamplerError::Count`] if the matrix is empty or not square; [`SamplerError::NotOrthogonal`] if an entry of Q Qᵀ
    /// differs from the identity's by more than 1e-10.
    pub fn new(rows: Vec<Vec<f64>>) -> Result<Self, SamplerError> {
        let expected = rows.len().max(1);
        match rows.iter().map(Vec::len).find(|found| *found != expected) {
            None if !rows.is_empty() => {
                check_orthonormal(&rows)?;
                Ok(Self { rows })
            }
            found => {
                let found = found.unwrap_or(0);
                Err(SamplerError::Count { what: "entries of a row of a square matrix", expected, found })
            }
        }
    }

    /// A basis whose first rows are these orthonormal `directions` of `width` entries each, the observed combinations; the
    /// others complete it.
    ///
    /// # Errors
    /// [`SamplerError::Count`] for more directions than entries or a direction of another width;
    /// [`SamplerError::NotOrthogonal`] if the directions are not orthonormal to 1e-10.
    pub fn completing(mut directions: Vec<Vec<f64>>, width: usize) -> Result<Self, SamplerError> {
        if directions.len() > width {
            let (what, found) = ("directions, at most the entries of a row", directions.len());
            return Err(SamplerError::Count { what, expected: width, found });
        }
        if let Some(found) = directions.iter().map(Vec::len).find(|found| *found != width) {
            return Err(SamplerError::Count { what: "entries of a direction", expected: width, found });
        }
        check_orthonormal(&directions)?;
        while directions.len() < width {
            // The unit vector that lies least in the span so far has at least 1/√width of its length outside.
            let inside = |axis: usize| directions.iter().map(|row| row[axis] * row[axis]).sum::<f64>();
            let axis = (0..width).min_by(|a, b| inside(*a).total_cmp(&inside(*b))).unwrap_or(0);
            let mut next = vec![0.0; width];
            next[axis] = 1.0;
            // Twice is enough for orthogonality to rounding.
            for _ in 0..2 {
                for row in &directions {
                    let share = dot(row, &next);
                    next.iter_mut().zip(row).for_each(|(value, q)| *value -= share * q);
                }
                let norm = libm::sqrt(dot(&next, &next));
                next.iter_mut().for_each(|value| *value /= norm);
            }
            directions.push(next);
        }
        Self::new(directions)
    }

    /// Number of coordinates D.
    #[must_use]
    pub fn width(&self) -> usize {
        self.rows.len()
    }

    /// The rows of Q.
    #[must_use]
    pub fn rows(&self) -> &[Vec<f64>] {
        &self.rows
    }

    /// Q x, or Qᵀ x, of every row of `values`, each summed in the same order whatever the batch.
    fn rotate(&self, values: &[f64], transposed: bool) -> Vec<f64> {
        let width = self.width();
        let mut out = vec![0.0; values.len()];
        for (from, to) in values.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            for (k, row) in self.rows.iter().enumerate() {
                if transposed {
                    to.iter_mut().zip(row).for_each(|(value, q)| *value += q * from[k]);
                } else {
                    to[k] = dot(row, from);
                }
            }
        }
        out
    }
}

fn check_orthonormal(rows: &[Vec<f64>]) -> Result<(), SamplerError> {
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows[..=i].iter().enumerate() {
            let (found, expected) = (dot(a, b), if i == j { 1.0 } else { 0.0 });
            // Not a number is not orthogonal either.
            if found.is_nan() || (found - expected).abs() > TOLERANCE {
                return Err(SamplerError::NotOrthogonal { rows: (j, i), expected, found });
            }
        }
    }
    Ok(())
}

/// A diffusion in other coordinates: the plan runs on y = Q x with an orthogonal matrix Q per component, the network inside
/// sees x = Qᵀ y.
///
/// Isotropic normal noise stays what it is under Q, and every kind of prediction is a combination of data and noise whose
/// coefficients depend on the time alone; so the path of y is that of x and an answer is turned by Q whatever its kind. Linear
/// combinations of entries of x that are entries of y can be held by [`Inpainting`](crate::plan::Inpainting):
/// "colourisation", for a grey picture is a known combination of its colours, and any other linear observation with orthonormal
/// directions ([`OrthogonalBasis::completing`]).
///
/// A run: a start in the coordinates y (a draw of the prior is one), observations in y, a plan made by `Inpainting`, this
/// denoiser, then [`ChangeOfBasis::leave`]. Components without a matrix stay as they are. Only layout `Vector` without a
/// mask can be turned: a matrix that mixes nodes knows nothing of padding and symmetry.
///
/// Cost: D² multiplications a row, on the host in f64, before and after every evaluation.
///
/// Source: Song et al., ICLR 2021 (arXiv 2011.13456), appendix I.3.
#[derive(Debug)]
pub struct ChangeOfBasis<D> {
    inner: D,
    bases: Vec<Option<OrthogonalBasis>>,
}

impl<D: Denoiser> ChangeOfBasis<D> {
    /// Wraps a denoiser of x; `bases` has the matrix of each component, `None` where it stays as it is.
    ///
    /// # Errors
    /// [`SamplerError::Count`] if there is no component, or the denoiser's kinds are not a multiple of the components.
    pub fn new(inner: D, bases: Vec<Option<OrthogonalBasis>>) -> Result<Self, SamplerError> {
        let (expected, found) = (bases.len(), inner.kinds().len());
        if expected == 0 || found == 0 || !found.is_multiple_of(expected) {
            let what = "kinds of the denoiser, a multiple of the components";
            return Err(SamplerError::Count { what, expected, found });
        }
        Ok(Self { inner, bases })
    }

    /// The denoiser inside.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// y = Q x.
    ///
    /// # Errors
    /// [`SamplerError::Count`] for another number of components; [`SamplerError::Basis`] if a component with a matrix has
    /// another width or layout, or a mask.
    pub fn enter(&self, state: &State) -> Result<State, SamplerError> {
        self.turn(state, false)
    }

    /// x = Qᵀ y.
    ///
    /// # Errors
    /// As [`ChangeOfBasis::enter`].
    pub fn leave(&self, state: &State) -> Result<State, SamplerError> {
        self.turn(state, true)
    }

    fn turn(&self, state: &State, transposed: bool) -> Result<State, SamplerError> {
        let (expected, found) = (self.bases.len(), state.components.len());
        if expected != found {
            return Err(SamplerError::Count { what: "components of a state", expected, found });
        }
        let turned = state.components.iter().zip(&self.bases).map(|(component, basis)| {
            let Some(basis) = basis else { return Ok(component.clone()) };
            let Component { name, values: like, support } = component;
            let plain = matches!(support.layout(), Layout::Vector { .. }) && support.is_full();
            if !plain || support.width() != basis.width() {
                let (component, expected, found) = (name.clone(), basis.width(), support.layout());
                return Err(SamplerError::Basis { component, expected, found });
            }
            let values = basis.rotate(&component.to_host()?, transposed);
            Component::from_host(name.clone(), values, support.clone(), &like.device(), like.dtype())
        });
        State::new(turned.collect::<Result<_, _>>()?)
    }
}

impl<D: Denoiser> Denoiser for ChangeOfBasis<D> {
    fn kinds(&self) -> &[PredictionKind] {
        self.inner.kinds()
    }

    fn predict(&self, state: &State, times: &[f64]) -> Result<Vec<Tensor<2>>, DenoiseError> {
        let engine = |error: SamplerError| DenoiseError::Engine(Box::new(error));
        let answers = self.inner.predict(&self.leave(state).map_err(engine)?, times)?;
        // Several heads are head-major: all components of the first, then of the next.
        let mut turned = Vec::with_capacity(answers.len());
        for heads in answers.chunks(self.bases.len()) {
            let like = state.components.iter().zip(heads);
            let components =
                like.map(|(component, values)| Component { values: values.clone(), ..component.clone() });
            let answer = self.enter(&State { components: components.collect() }).map_err(engine)?;
            turned.extend(answer.components.into_iter().map(|component| component.values));
        }
        Ok(turned)
    }
}
