//! Vector kernels on small row-major matrices, for networks that are computed one graph or system at a time.
//!
//! A matrix has a row for each node, pair of nodes, or node and frame, and a column for each unit; vectors run along the
//! columns, whose number is padded to a multiple of [`matrix::LANE_MULTIPLE`]. All arrays of one graph fit the caches.
//! Every number of a row is computed in an order that does not depend on the rows beside it, so results do not depend on what
//! else is computed at the same time. Means over the units of a row do depend, in the last bits, on the width of the vectors.

mod buffers;
pub mod elementwise;
mod instructions;
pub mod layer_norm;
pub mod matrix;

pub use buffers::Buffers;
pub use instructions::Instructions;

/// A set of parameters that does not have what is to be packed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// A tensor is missing.
    #[error("tensor `{name}` of shape {expected:?} is missing")]
    Missing {
        /// Its name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error("tensor `{name}`: the configuration needs shape {expected:?}, found {found:?}")]
    Shape {
        /// Its name.
        name: String,
        /// The shape that follows from the configuration.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
}
