//! Law checkers and problems with known answers, for tests.
//!
//! Use them for your own models and solvers:
//!
//! | module | what it answers |
//! | --- | --- |
//! | [`permutation`] | does permuting the nodes permute the predictions, and with keyed noise the samples? |
//! | [`padding`] | can anything in a padded entry reach a real one? |
//! | [`noise_variance`] | is the noise of a source symmetric, masked, and of unit variance per free coordinate? |
//! | [`gaussian`] | which mean and covariance does a linear plan return for Gaussian data? (exact, no sampling) |
//! | [`gaussian_interpolant`] | exact velocity and score of interpolants between normal laws, exact moments of plans |
//! | [`gaussian_bridge`] | the Schrödinger bridge between two normal laws |
//! | [`planner`] | does a planner announce its cost, write valid plans and converge with its order? |
//! | [`exchangeable`] | is a pair counted once? a Gaussian law of correlated coordinates on any support |
//! | [`mixture`] | how far is a deterministic plan from the exact flow of a two-component mixture? |
//! | [`ring`] | eight modes on a ring: exact denoiser, density and law of the noise level |
//! | [`autoregressive`] | a slow series: exact denoiser, forecasts, and the score of a forecast |
//! | [`sliced_wasserstein`](mod@sliced_wasserstein) | how far apart are two clouds of points? |
//! | [`poisson_points`] | what is the exact denoiser of a finite set of points, under either kernel? |
//! | [`reference`](mod@reference) | where are the reference files of this machine? |

mod affine_recursion;
pub mod autoregressive;
mod error;
pub mod exchangeable;
pub mod figures;
pub mod gaussian;
pub mod gaussian_bridge;
pub mod gaussian_interpolant;
pub mod mixture;
pub mod noise_variance;
pub mod padding;
pub mod permutation;
pub mod planner;
pub mod poisson_points;
pub mod reference;
pub mod ring;
pub mod sliced_wasserstein;

pub use error::LawError;
