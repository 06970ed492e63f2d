//! Rows of a run: the check for what is not finite, samples that are given up, rows that leave the batch.

use burn::tensor::{DType, Tensor};

use super::Registers;
use crate::error::SamplerError;
use crate::execute::{Failure, Outcome};
use crate::plan::{Register, STATE};
use crate::state::{Component, State, select_rows};
use crate::support::{Real, Support};

impl Registers {
    /// Squared norms of rows that lie in their support, in free coordinates.
    pub(super) fn row_squares<T: Real>(&self, values: &[T], component: usize) -> Vec<f64> {
        let support = &self.supports[component];
        let mut squares: Vec<f64> = values
            .chunks_exact(support.width().max(1))
            .enumerate()
            .map(|(row, v)| support.sum_of_squares(row, v))
            .collect();
        squares.resize(self.ids.len(), 0.0);
        squares
    }

    /// Projects a register's component onto its support, sets failed rows to zero, and records rows that are not finite.
    /// Gives the squared norms of the rows. The tensor is written back only if it changed.
    pub(super) fn inspect(&mut self, register: Register, component: usize) -> Result<Vec<f64>, SamplerError> {
        let tensor = self.value(register, component);
        let device = tensor.device();
        let failed =
            |reason: String| SamplerError::Values { component: self.names[component].clone(), reason };
        let mut data = tensor.try_into_data().map_err(|error| failed(error.to_string()))?;
        let support = self.supports[component].clone();
        let dtype = self.dtypes[component];
        let (changed, squares) = if dtype == DType::F32 {
            let values = data.as_mut_slice::<f32>().map_err(|error| failed(format!("{error:?}")))?;
            self.inspect_rows(values, &support)
        } else {
            let values = data.as_mut_slice::<f64>().map_err(|error| failed(format!("{error:?}")))?;
            self.inspect_rows(values, &support)
        };
        if changed {
            self.values[register][component] = Some(Tensor::from_data(data, (&device, dtype)));
        }
        Ok(squares)
    }

    fn inspect_rows<T: Real>(&mut self, values: &mut [T], support: &Support) -> (bool, Vec<f64>) {
        let mut changed = false;
        let mut squares = vec![0.0; self.ids.len()];
        for (row, values) in values.chunks_exact_mut(support.width().max(1)).enumerate() {
            if self.alive[row] {
                changed |= support.project_row(row, values);
                let square = support.sum_of_squares(row, values);
                // Squares of finite f64 values may overflow; such a row is still finite.
                if square.is_finite() || values.iter().all(|value| value.is_finite()) {
                    squares[row] = square;
                    continue;
                }
                self.alive[row] = false;
                self.failures.push(Failure { id: self.ids[row], row: self.rows[row], step: self.step });
            }
            values.fill(T::ZERO);
            changed = true;
        }
        (changed, squares)
    }

    /// Sets the rows that failed to zero in every register.
    pub(super) fn clear_failed(&mut self) -> Result<(), SamplerError> {
        for register in 0..self.values.len() {
            for component in 0..self.names.len() {
                if self.values[register][component].is_some() {
                    let squares = self.inspect(register, component)?;
                    if let Some(old) = &mut self.squares[register][component] {
                        *old = squares;
                    }
                }
            }
        }
        Ok(())
    }

    /// Keeps the rows at these places of the batch; the others leave it with the state they have.
    pub(in crate::execute) fn retain(&mut self, staying: &[usize]) -> Result<(), SamplerError> {
        if staying.len() == self.rows.len() {
            return Ok(());
        }
        let mut stays = vec![false; self.rows.len()];
        for &place in staying {
            stays[place] = true;
        }
        let leaving: Vec<usize> = (0..self.rows.len()).filter(|&place| !stays[place]).collect();
        let mut states = Vec::with_capacity(self.names.len());
        for component in 0..self.names.len() {
            self.inspect(STATE, component)?;
            states.push(select_rows(self.value(STATE, component), &leaving));
        }
        self.left.push((leaving.iter().map(|&place| self.rows[place]).collect(), states));
        for register in 0..self.values.len() {
            for component in 0..self.names.len() {
                if let Some(value) = self.values[register][component].take() {
                    self.values[register][component] = Some(select_rows(value, staying));
                }
                self.squares[register][component] = None;
            }
        }
        self.rows = staying.iter().map(|&place| self.rows[place]).collect();
        self.ids = staying.iter().map(|&place| self.ids[place]).collect();
        self.alive = staying.iter().map(|&place| self.alive[place]).collect();
        self.errors = staying.iter().map(|&place| self.errors[place]).collect();
        self.supports = self.supports.iter().map(|support| support.select(staying)).collect();
        Ok(())
    }

    pub(in crate::execute) fn finish(mut self, cancelled: bool) -> Result<Outcome, SamplerError> {
        // Twice, because a row found bad in a later component must be cleared in an earlier one.
        for _ in 0..2 {
            for component in 0..self.names.len() {
                self.inspect(STATE, component)?;
            }
            if self.failures.is_empty() {
                break;
            }
        }
        let mut components = Vec::with_capacity(self.names.len());
        for component in 0..self.names.len() {
            let mut values = self.value(STATE, component);
            if !self.left.is_empty() {
                let parts = self.left.iter().map(|(_, states)| states[component].clone()).chain([values]);
                let order: Vec<usize> =
                    self.left.iter().flat_map(|(rows, _)| rows).chain(&self.rows).copied().collect();
                let mut places = vec![0; order.len()];
                for (place, row) in order.into_iter().enumerate() {
                    places[row] = place;
                }
                values =
                    select_rows(Tensor::cat(parts.filter(|part| part.dims()[0] > 0).collect(), 0), &places);
            }
            let (name, support) = (self.names[component].clone(), self.start[component].clone());
            components.push(Component { name, values, support });
        }
        Ok(Outcome {
            state: State { components },
            evaluations: self.evaluations,
            row_evaluations: self.row_evaluations,
            failures: self.failures,
            cancelled,
        })
    }
}
