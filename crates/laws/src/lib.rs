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
//! | [`mixture`] | how far is a deterministic plan from the exact flow of a two-component mixture? |
//! | [`reference`](mod@reference) | where are the reference files of this machine? |

mod error;
pub mod gaussian;
pub mod mixture;
pub mod noise_variance;
pub mod padding;
pub mod permutation;
pub mod reference;

pub use error::LawError;
