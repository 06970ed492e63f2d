//! Integration tests of crate `train`, on a problem whose solution is known.

mod checkpoints;
mod fitting;
mod least_squares;
