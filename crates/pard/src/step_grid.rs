//! At which steps of the diffusion the denoiser is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::PardError;

/// Largest power of a grid: beyond it all steps but the first would be the smallest possible.
const MAX_POWER: f64 = 16.0;

/// How the steps of generation are spread over t = T, ..., 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum StepGrid {
    /// Evenly.
    Uniform {},
    /// tau = 1 - (1 - (1 - u)^`power`) for even u: steps become smaller towards the data for powers above 1. Power 2 is the
    /// distortion `polydec` of Qin et al., "DeFoG", ICML 2025, section 3.3.
    Polynomial {
        /// The power, above 0.
        power: f64,
    },
}

impl Default for StepGrid {
    fn default() -> Self {
        Self::Uniform {}
    }
}

/// `uniform`, `polynomial:2`: the form of the command line.
impl fmt::Display for StepGrid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform {} => formatter.write_str("uniform"),
            Self::Polynomial { power } => write!(formatter, "polynomial:{power}"),
        }
    }
}

impl FromStr for StepGrid {
    type Err = PardError;

    fn from_str(text: &str) -> Result<Self, PardError> {
        let unknown = || PardError::Grid { found: text.to_owned() };
        let grid = match text.split_once(':') {
            None if text == "uniform" => Self::Uniform {},
            Some(("polynomial", power)) => Self::Polynomial { power: power.parse().map_err(|_| unknown())? },
            _ => return Err(unknown()),
        };
        grid.check()?;
        Ok(grid)
    }
}

impl StepGrid {
    /// Checks the power.
    ///
    /// # Errors
    /// [`PardError::Grid`].
    pub fn check(self) -> Result<(), PardError> {
        match self {
            Self::Polynomial { power } if !(power > 0.0 && power <= MAX_POWER) => {
                Err(PardError::Grid { found: self.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The steps t from T to 0 of `calls` calls of the denoiser, `calls + 1` numbers, strictly falling. At most T calls make
    /// sense.
    #[must_use]
    pub fn steps(self, diffusion_steps: usize, calls: usize) -> Vec<usize> {
        let calls = calls.clamp(1, diffusion_steps.max(1));
        let tau = |u: f64| match self {
            Self::Uniform {} => 1.0 - u,
            Self::Polynomial { power } => libm::pow(1.0 - u, power),
        };
        let ideal = |call: usize| libm::round(tau(call as f64 / calls as f64) * diffusion_steps as f64);
        let mut grid = vec![diffusion_steps];
        for call in 1..=calls {
            // Whole numbers that fall on one another are moved apart; there must be room for those to come.
            let last = grid[call - 1];
            grid.push((ideal(call) as usize).max(calls - call).min(last - 1));
        }
        grid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_fall_strictly_from_the_noise_to_the_data() {
        for grid in
            [StepGrid::Uniform {}, StepGrid::Polynomial { power: 2.0 }, StepGrid::Polynomial { power: 0.5 }]
        {
            for calls in [1, 2, 7, 49, 50] {
                let steps = grid.steps(50, calls);
                assert_eq!((steps.len(), steps[0], steps[calls]), (calls + 1, 50, 0));
                assert!(steps.windows(2).all(|pair| pair[0] > pair[1]), "{grid:?} {steps:?}");
            }
        }
        assert_eq!(StepGrid::Uniform {}.steps(500, 5), [500, 400, 300, 200, 100, 0]);
        assert_eq!(StepGrid::Polynomial { power: 2.0 }.steps(500, 5), [500, 320, 180, 80, 20, 0]);
        for (text, grid) in
            [("uniform", StepGrid::Uniform {}), ("polynomial:2", StepGrid::Polynomial { power: 2.0 })]
        {
            assert_eq!((text.parse::<StepGrid>().unwrap(), grid.to_string().as_str()), (grid, text));
        }
        for text in ["", "polynomial", "polynomial:", "polynomial:0", "polynomial:nan", "uniform:2", "cosine"]
        {
            let error = text.parse::<StepGrid>().unwrap_err().to_string();
            assert!(error.contains("polynomial:P"), "{error}");
        }
        assert_eq!(StepGrid::Uniform {}.steps(3, 10), [3, 2, 1, 0], "no more calls than steps");
    }
}
