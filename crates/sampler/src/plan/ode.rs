//! What solvers of the probability-flow ODE share: where they evaluate, and the step to σ = 0.

use super::exponential::{Form, Integrator};
use super::{PlanBuilder, end_time};
use crate::error::SamplerError;
use crate::grid::TimeGrid;
use crate::path::{PathConfig, start_time};

/// The nodes of an ODE solver of `steps` steps, the last of which may be the final denoising. They begin at the latest
/// time the paths have in common.
pub(super) fn ode_nodes(
    grid: &TimeGrid,
    paths: &[PathConfig],
    steps: usize,
    t_end: Option<f64>,
    denoise: bool,
) -> Result<Vec<f64>, SamplerError> {
    let built: Vec<_> = paths.iter().map(PathConfig::build).collect();
    let start = start_time(&built);
    let intervals = steps - usize::from(denoise);
    if intervals == 0 {
        return Ok(vec![start]);
    }
    grid.nodes(paths, intervals, start, end_time(t_end, steps))
}

/// The step to σ = 0: the state becomes x̂₀ at `time`.
pub(super) fn push_denoise(builder: &mut PlanBuilder, time: f64) {
    Integrator { form: Form::Data, threshold: None }.push_denoise(builder, time);
}
