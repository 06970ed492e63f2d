use crate::denoiser::DenoiseError;

/// What can go wrong in the sampler core.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SamplerError {
    /// A path parameter is not usable.
    #[error("{path} path: {parameter} = {value} is not usable: {expected}")]
    PathParameter {
        /// Kind of path, `VE`, `VP` or `subVP`.
        path: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// Its value.
        value: f64,
        /// What would be accepted.
        expected: &'static str,
    },
    /// An option of a planner or a grid is out of its range.
    #[error("{planner}: {option} = {value} is not usable: {expected}")]
    Option {
        /// The planner or grid.
        planner: &'static str,
        /// The option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A planner was given no path, that is no component to sample.
    #[error("{planner}: at least one path is needed")]
    NoPaths {
        /// The planner.
        planner: &'static str,
    },
    /// A planner does not exist for this kind of path.
    #[error("{planner} does not exist for a {path} path (component {component}): {reason}")]
    UnsupportedPath {
        /// The planner.
        planner: &'static str,
        /// Kind of path.
        path: &'static str,
        /// Index of the component.
        component: usize,
        /// Why.
        reason: &'static str,
    },
    /// A planner cannot work with so few steps on this path.
    #[error(
        "{planner}: {steps} steps are too few for this {path} path (component {component}): the coefficient of step {step} is {value}; use more steps or another sampler"
    )]
    TooFewSteps {
        /// The planner.
        planner: &'static str,
        /// Steps asked for.
        steps: usize,
        /// Kind of path.
        path: &'static str,
        /// Index of the component.
        component: usize,
        /// First step whose coefficient is not finite.
        step: usize,
        /// That coefficient.
        value: f64,
    },
    /// No sampler has this name.
    #[error("no sampler is called {name:?}; there are: {}", known.join(", "))]
    UnknownSampler {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// A plan does not fit itself: it reads a register that was never written, or has the wrong number of coefficients.
    #[error("plan {planner}, step {step}, operation {operation}: {problem}")]
    InvalidPlan {
        /// Planner named in the plan.
        planner: String,
        /// Step index.
        step: usize,
        /// Operation index in the step.
        operation: usize,
        /// What is wrong.
        problem: String,
    },
    /// Two counts that must agree do not.
    #[error("{what}: expected {expected}, found {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// Expected count.
        expected: usize,
        /// Count found.
        found: usize,
    },
    /// A component's values do not have the shape of its support.
    #[error("component {component:?}: expected shape {expected:?}, found {found:?}")]
    Shape {
        /// Name of the component.
        component: String,
        /// `[B, D]` of the support.
        expected: [usize; 2],
        /// Shape found.
        found: [usize; 2],
    },
    /// Values are neither f32 nor f64, or could not be read back from the device.
    #[error("component {component:?}: values cannot be read as f32 or f64: {reason}")]
    Values {
        /// Name of the component.
        component: String,
        /// The device's or tensor library's words.
        reason: String,
    },
    /// A sample id has more than 48 bits.
    #[error("sample id {id} is too large: ids must be below 2^48")]
    SampleId {
        /// The id.
        id: u64,
    },
    /// The denoiser failed.
    #[error("the denoiser failed at step {step}")]
    Denoise {
        /// Step index.
        step: usize,
        /// Its error.
        #[source]
        source: DenoiseError,
    },
}
