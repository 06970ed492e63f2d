//! The samplers by name.

use serde::{Deserialize, Serialize};

use super::{
    Ancestral, AnnealedLangevin, Ddim, DpmSolver, DpmSolverPlusPlus, DpmSolverV3, EulerMaruyama, Heun,
    InterpolantOde, InterpolantSde, Plan, Planner, PlannerInfo, PredictorCorrector, ReverseDiffusion, S4,
    SdeDpmSolverPlusPlus, UniPc,
};
use crate::error::SamplerError;
use crate::path::PathConfig;

/// Makes [`SamplerConfig`] of one line per sampler: `Planner = "name in files and on the command line"`.
macro_rules! samplers {
    ($($planner:ident = $name:literal,)*) => {
        /// A sampler with its options, as data: `{"name": "predictor-corrector", "snr": 0.2}`. Absent options have their
        /// defaults; unknown ones are an error.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        #[non_exhaustive]
        pub enum SamplerConfig {
            $(
                #[doc = concat!("[`", stringify!($planner), "`].")]
                #[serde(rename = $name)]
                $planner($planner),
            )*
        }

        impl SamplerConfig {
            /// Every sampler with its default options.
            #[must_use]
            pub fn all() -> Vec<Self> {
                vec![$(Self::$planner($planner::default()),)*]
            }

            /// The planner behind the configuration.
            #[must_use]
            pub fn planner(&self) -> &dyn Planner {
                match self {
                    $(Self::$planner(planner) => planner,)*
                }
            }

            /// The planner, owned.
            #[must_use]
            pub fn build(&self) -> Box<dyn Planner> {
                match self.clone() {
                    $(Self::$planner(planner) => Box::new(planner),)*
                }
            }
        }
    };
}

samplers! {
    PredictorCorrector = "predictor-corrector",
    S4 = "s4",
    Ddim = "ddim",
    DpmSolver = "dpm-solver",
    DpmSolverPlusPlus = "dpm-solver++",
    UniPc = "uni-pc",
    DpmSolverV3 = "dpm-solver-v3",
    Heun = "heun",
    EulerMaruyama = "euler-maruyama",
    ReverseDiffusion = "reverse-diffusion",
    Ancestral = "ancestral",
    SdeDpmSolverPlusPlus = "sde-dpm-solver++",
    AnnealedLangevin = "annealed-langevin",
    InterpolantOde = "interpolant-ode",
    InterpolantSde = "interpolant-sde",
}

impl SamplerConfig {
    /// The names of all samplers.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        Self::all().iter().map(Self::name).collect()
    }

    /// The sampler of this name with its default options.
    ///
    /// # Errors
    /// [`SamplerError::UnknownSampler`] with the names there are.
    pub fn by_name(name: &str) -> Result<Self, SamplerError> {
        Self::all()
            .into_iter()
            .find(|sampler| sampler.name() == name)
            .ok_or_else(|| SamplerError::UnknownSampler { name: name.to_owned(), known: Self::names() })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.info().name
    }

    /// What it is, its order, cost and source.
    #[must_use]
    pub fn info(&self) -> PlannerInfo {
        self.planner().info()
    }

    /// The plan of `steps` steps; see [`Planner::plan`].
    ///
    /// # Errors
    /// As [`Planner::plan`].
    pub fn plan(&self, paths: &[PathConfig], steps: usize) -> Result<Plan, SamplerError> {
        self.planner().plan(paths, steps)
    }
}
