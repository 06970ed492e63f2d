use crate::denoiser::DenoiseError;
use crate::prediction::PredictionKind;
use crate::support::Layout;

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
    /// A plan was made for components with other paths.
    #[error(
        "plan {planner}, step {step}: it was made for another path: at t = {time} it has (alpha, sigma) = {found:?} for component {component}, whose {path} path has {expected:?}"
    )]
    OtherPaths {
        /// Planner named in the plan.
        planner: String,
        /// Index of the step.
        step: usize,
        /// Index of the component.
        component: usize,
        /// Name of the component's path.
        path: &'static str,
        /// Time of the evaluation.
        time: f64,
        /// α and σ of the path.
        expected: (f64, f64),
        /// α and σ of the plan.
        found: (f64, f64),
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
    /// The rows of a matrix are not orthonormal.
    #[error("rows {} and {} of a basis are not orthonormal: their product is {found}, not {expected}", rows.0, rows.1)]
    NotOrthogonal {
        /// The two rows; the same one twice where its length is not 1.
        rows: (usize, usize),
        /// Their product in an orthogonal matrix.
        expected: f64,
        /// Their product.
        found: f64,
    },
    /// A component cannot be turned into a basis.
    #[error(
        "component {component:?}: a basis of {expected} coordinates needs full rows of layout Vector with as many entries, found {found:?}"
    )]
    Basis {
        /// Name of the component.
        component: String,
        /// Coordinates of the basis.
        expected: usize,
        /// The component's layout.
        found: Layout,
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
    /// An adaptive method cannot go on: too many attempts, or a step that no longer moves the clock.
    #[error(
        "{planner} stopped at t = {time} after {attempts} attempts, the last with a step of {step:e}; the tolerance is too small, or the prediction is not smooth"
    )]
    StepSize {
        /// The planner.
        planner: &'static str,
        /// Where it stands.
        time: f64,
        /// Size of the last step, in the planner's variable.
        step: f64,
        /// Steps tried, rejected ones among them.
        attempts: usize,
    },
    /// A search over a sampler's options names a field it does not have, or a value it refuses.
    #[error("searched option {field:?}: {problem}")]
    SearchedOption {
        /// JSON pointer of the field; empty where the sampler as a whole is meant.
        field: String,
        /// What is wrong.
        problem: String,
    },
    /// Model statistics are not usable, or belong to another checkpoint or path.
    #[error("model statistics: {problem}")]
    Statistics {
        /// What is wrong.
        problem: String,
    },
    /// Plans or steps that rows of one batch were to follow are not congruent.
    #[error(
        "row {row} follows other operations than row 0; rows of one batch may differ in times and coefficients only"
    )]
    NotCongruent {
        /// The first row that differs.
        row: usize,
    },
    /// A register was given that the plan does not declare as given.
    #[error("register {register} is not one of the plan's given registers")]
    GivenRegister {
        /// The register.
        register: usize,
    },
    /// On a two-ended path a prediction does not determine the others.
    #[error(
        "component {component}: {want:?} is wanted, but on a two-ended path it does not follow from {given:?}; the denoiser needs a head for it"
    )]
    NoConversion {
        /// The component.
        component: String,
        /// What the denoiser gives.
        given: PredictionKind,
        /// What the sampler wants.
        want: PredictionKind,
    },
    /// A budget of network evaluations does not suffice.
    #[error("{asked} more network evaluations do not fit in the budget of {limit}, of which {used} are used")]
    Budget {
        /// The budget.
        limit: usize,
        /// Evaluations already made.
        used: usize,
        /// Evaluations asked for.
        asked: usize,
    },
    /// A deterministic plan was needed, and this one draws noise.
    #[error("{driver} needs a deterministic plan, but {planner} draws noise at step {step}")]
    DrawsNoise {
        /// The driver.
        driver: &'static str,
        /// The planner named in the plan.
        planner: String,
        /// First step that draws.
        step: usize,
    },
    /// A function given by the caller (a reward, a distance, a law of noise levels) failed.
    #[error("the caller's {what} failed")]
    Caller {
        /// What it computes.
        what: &'static str,
        /// Its error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
