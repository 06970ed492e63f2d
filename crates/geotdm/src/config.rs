//! What a model folder's `config.json` says.

use equidrift_sampler::{SamplerConfig, SamplerError};
use serde::{Deserialize, Serialize};

use crate::denoising_loss::CountedNodes;
use crate::diffusion::TrajectoryDiffusion;
use crate::network_config::{NetworkConfig, Prior};
use crate::own_molecule::OwnMolecule;
use crate::system_kind::SystemKind;

/// The library that writes and reads these folders.
pub const LIBRARY: &str = "equidrift";
/// The family of models in this crate.
pub const FAMILY: &str = "geotdm";
/// Version of the folder's layout.
pub const FORMAT_VERSION: u32 = 1;

/// Largest number of frames or steps accepted in a configuration.
pub(crate) const MOST_STEPS: usize = 1_000_000;

/// A complete GeoTDM model, apart from its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeotdmConfig {
    /// Always [`LIBRARY`].
    pub library: String,
    /// [`FORMAT_VERSION`] of the writer.
    pub format_version: u32,
    /// Always [`FAMILY`].
    pub family: String,
    /// Name of the model, for people.
    pub name: String,
    /// Layer sizes, and what is given.
    pub network: NetworkConfig,
    /// What the systems are, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub systems: Option<SystemKind>,
    /// Of an unconditional model of one molecule: which it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub molecule: Option<OwnMolecule>,
    /// Femtoseconds from frame to frame in training, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_step: Option<f64>,
    /// Frames that were given in training; 0 for an unconditional model.
    pub given_frames: usize,
    /// How many of the given frames, the last ones, came behind the made ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given_behind: usize,
    /// Frames that were made in training.
    pub frames: usize,
    /// The noise levels.
    pub diffusion: TrajectoryDiffusion,
    /// Which nodes the loss counts.
    #[serde(default)]
    pub counted: CountedNodes,
    /// The sampler to use unless another is asked for.
    pub sampler: SamplerConfig,
    /// Its number of steps.
    pub steps: usize,
    /// Where the weights come from, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What can be wrong with a configuration that is well-formed JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Another library's, family's or version's file.
    #[error("`{field}` is `{found}`, expected `{expected}`")]
    Identity {
        /// The field.
        field: &'static str,
        /// Its value.
        found: String,
        /// The value this crate reads.
        expected: String,
    },
    /// A number outside its range.
    #[error("`{field}` is {found}, expected {minimum} to {maximum}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        found: usize,
        /// Least value allowed.
        minimum: usize,
        /// Largest value allowed.
        maximum: usize,
    },
    /// A width that must be even.
    #[error("`{field}` is {found}, expected an even number")]
    Odd {
        /// The field.
        field: &'static str,
        /// Its value.
        found: usize,
    },
    /// A factor that must be positive and finite.
    #[error("`{field}` is {found}, expected a positive number")]
    NotPositive {
        /// The field.
        field: &'static str,
        /// Its value.
        found: f64,
    },
    /// Scales of a standardised prior that are not one.
    #[error(
        "`network.extrapolation.scales` holds {found} beside another number, expected one for all frames"
    )]
    UnequalScales {
        /// The first that differs.
        found: f64,
    },
    /// Frames that nothing joins, and that begin with nothing of their own.
    #[error("`network.temporal` is `none`, which needs the prior `extrapolated`")]
    FramesApart,
    /// A molecule that is none, or in a model that is not of one molecule from nothing.
    #[error("`molecule`: {reason}")]
    Molecule {
        /// What is wrong.
        reason: String,
    },
    /// Paths.
    #[error("diffusion: {0}")]
    Diffusion(#[from] SamplerError),
}

impl GeotdmConfig {
    /// What a model makes of what it is given, for people: `20 made behind 10 given`.
    #[must_use]
    pub fn frames_in_words(&self) -> String {
        let Self { frames, given_frames, given_behind, .. } = self;
        match (given_frames - given_behind, given_behind) {
            (0, _) => format!("{frames} made, none given"),
            (before, 0) => format!("{frames} made behind {before} given"),
            (before, behind) => format!("{frames} made between {before} and {behind} given"),
        }
    }

    /// Checks everything that can be checked without the weights.
    ///
    /// # Errors
    /// [`ConfigError`] with the offending field.
    pub fn check(&self) -> Result<(), ConfigError> {
        let identity = |field, found: &str, expected: &str| {
            if found == expected {
                Ok(())
            } else {
                Err(ConfigError::Identity { field, found: found.to_owned(), expected: expected.to_owned() })
            }
        };
        identity("library", &self.library, LIBRARY)?;
        identity("family", &self.family, FAMILY)?;
        identity("format_version", &self.format_version.to_string(), &FORMAT_VERSION.to_string())?;
        let range = |field, found, minimum, maximum| {
            if (minimum..=maximum).contains(&found) {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { field, found, minimum, maximum })
            }
        };
        self.network.check()?;
        if let Some((nodes, edges)) = self.systems.map(SystemKind::widths) {
            range("network.node_features", self.network.node_features, nodes, nodes)?;
            range("network.edge_features", self.network.edge_features, edges, edges)?;
        }
        if let Some(molecule) = &self.molecule {
            let of_molecules = matches!(self.systems, Some(SystemKind::Molecules { .. }));
            if self.network.prior.is_conditional() || !of_molecules {
                let reason = "only an unconditional model of a molecule has one of its own".to_owned();
                return Err(ConfigError::Molecule { reason });
            }
            molecule.check()?;
        }
        if let Some(found) = self.time_step.filter(|step| !(step.is_finite() && *step > 0.0)) {
            return Err(ConfigError::NotPositive { field: "time_step", found });
        }
        let conditional = self.network.prior.is_conditional();
        let given = if conditional { (1, MOST_STEPS) } else { (0, 0) };
        range("given_frames", self.given_frames, given.0, given.1)?;
        let most = match self.network.prior {
            Prior::Learned { frames, .. } => frames,
            _ => MOST_STEPS,
        };
        if let Some(extrapolation) = &self.network.extrapolation {
            extrapolation.check(self.given_frames, self.frames, self.network.prior.is_centred())?;
        }
        let behind =
            if self.network.prior == Prior::Extrapolated { self.given_frames.saturating_sub(1) } else { 0 };
        range("given_behind", self.given_behind, 0, behind)?;
        range("frames", self.frames, 1, most)?;
        range("steps", self.steps, 1, MOST_STEPS)?;
        // The reverse variance of the first level is taken from the second.
        range("diffusion.path.steps", self.diffusion.steps(), 2, MOST_STEPS)?;
        self.diffusion.check()
    }
}
