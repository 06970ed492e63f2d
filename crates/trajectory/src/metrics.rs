//! How good generated trajectories are. One metric, one file.
//!
//! | metric | says | source |
//! | --- | --- | --- |
//! | [`mod@displacement`] | how far predicted positions are from true ones (ADE, FDE; mean and best of K) | Alahi et al. 2016 |
//! | [`cluster_reduction`] | many samples reduced to few before the best is taken (pedestrians) | Han et al. 2024 |
//! | [`mod@marginal`] | difference of two histograms as GeoTDM publishes it | Han et al. 2024 |
//! | [`internal_coordinates`] | Jensen-Shannon divergence of bond lengths, bond angles and torsions | |
//! | [`torsion_map`] | the same of a pair of torsions (Ramachandran map) | Ramachandran et al. 1963 |
//! | [`mod@radial_distribution`] | density of pair distances, g(r) | |
//! | [`autocorrelation`] | velocity autocorrelation, decorrelation times | |
//!
//! The energy drift of N-body runs is [`crate::nbody::energy_drift`].

pub mod autocorrelation;
pub mod cluster_reduction;
pub mod displacement;
pub mod histogram;
pub mod internal_coordinates;
pub mod marginal;
pub mod radial_distribution;
pub mod torsion_map;

pub use autocorrelation::{
    decorrelation_time, torsion_autocorrelation, torsion_autocorrelation_of_set, velocity_autocorrelation,
    velocity_autocorrelation_of_set,
};
pub use displacement::{Displacement, DisplacementSummary, displacement};
pub use histogram::{Histogram, jensen_shannon};
pub use internal_coordinates::{InternalComparison, InternalCoordinates};
pub use marginal::marginal;
pub use radial_distribution::{RadialDistribution, radial_distribution};
pub use torsion_map::TorsionMap;
