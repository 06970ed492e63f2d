//! Predictions that need no network: what a model must beat. Positions are `[T, N, D]`, frame by frame; `D` is 2 or 3.
//!
//! | baseline | says | learns |
//! | --- | --- | --- |
//! | [`last_velocity`] | each atom goes on as it moved between the last two given frames | nothing |
//! | [`line_fit`] | each atom goes on along the straight line that fits its given frames best ("Linear" of the pedestrian tables) | nothing |
//! | [`linear_interpolation`] | between given frames each atom goes along a straight line at one speed | nothing |
//! | [`LinearRegression`] | each predicted position is a fixed linear combination of the given ones | weights, one set for each atom or one for all |

use crate::error::TrajectoryError;

mod last_velocity;
mod line_fit;
mod linear_interpolation;
mod linear_regression;

pub use last_velocity::last_velocity;
pub use line_fit::line_fit;
pub use linear_interpolation::linear_interpolation;
pub use linear_regression::{LinearRegression, Sharing};

/// The number of frames in a slice of positions, of which at least `needed` must be there.
fn frames_of<const D: usize>(
    positions: &[[f32; D]],
    atoms: usize,
    what: &'static str,
    needed: usize,
) -> Result<usize, TrajectoryError> {
    if atoms == 0 || !positions.len().is_multiple_of(atoms) {
        let expected = positions.len().div_ceil(atoms.max(1)) * atoms;
        return Err(TrajectoryError::Count {
            what: "positions of whole frames",
            expected,
            found: positions.len(),
        });
    }
    let found = positions.len() / atoms;
    if found < needed {
        return Err(TrajectoryError::TooFew { what, points: "given frames", needed, found });
    }
    Ok(found)
}
