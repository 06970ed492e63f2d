//! Sizes and choices of GeoTDM's networks.

use std::fmt;

use equidrift_nn::EdgeLength;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::extrapolation::Extrapolation;

/// Largest width, depth or number of frames accepted in a configuration.
const MOST: usize = 65_536;

/// How the lengths of edges enter the spatial layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lengths {
    /// Squared in the messages, displacements divided by the length: for molecules and bodies.
    #[default]
    Squared,
    /// As they are, displacements not divided: for pedestrians (`pre_norm` of the published programme).
    Plain,
}

impl From<Lengths> for EdgeLength {
    fn from(lengths: Lengths) -> Self {
        match lengths {
            Lengths::Squared => Self::Squared,
            Lengths::Plain => Self::Plain,
        }
    }
}

/// What joins the frames of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Temporal {
    /// An attention after each spatial layer, as published.
    #[default]
    Attention,
    /// Nothing: each frame is computed alone from its forecast and is told how far behind the given frames it lies. What is left is
    /// the network of Satorras, Hoogeboom & Welling, "E(n) Equivariant Graph Neural Networks" (EGNN), ICML 2021, of the published
    /// comparisons.
    None,
}

impl Temporal {
    /// Whether frames are joined.
    #[must_use]
    pub fn is_attention(&self) -> bool {
        *self == Self::Attention
    }
}

/// What the diffusion ends in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Prior {
    /// Unconditional: noise around 0, in the subspace in which the mean over all nodes and frames is 0.
    JointCentre,
    /// Unconditional, of the same kind, in the measure of the data's own spread: the network is shown the best linear guess and
    /// predicts v, as with [`Prior::Extrapolated`]. The one scale stands in the place of that prior's forecasts.
    Standardised,
    /// Conditional: noise around one point, the mean over all nodes and given frames.
    CentreOfMass,
    /// Conditional: noise around a reference for each node and frame, which a network makes of the given frames.
    Learned {
        /// Layers of that network.
        layers: usize,
        /// Most frames that it can refer to.
        frames: usize,
    },
    /// Conditional: noise around the linear forecast of each node, as large as its error; see [`Extrapolation`].
    Extrapolated,
}

impl fmt::Display for Prior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JointCentre => f.write_str("noise of joint mean 0"),
            Self::Standardised => f.write_str("noise of joint mean 0, as large as the data's spread"),
            Self::CentreOfMass => f.write_str("noise around the mean of the given frames"),
            Self::Learned { layers, .. } => write!(f, "noise around a learned reference, {layers} layers"),
            Self::Extrapolated => {
                f.write_str("noise around the linear forecast of each node, as large as its error")
            }
        }
    }
}

impl Prior {
    /// Whether frames are given.
    #[must_use]
    pub fn is_conditional(self) -> bool {
        !self.is_centred()
    }

    /// Whether trajectories, noise and predictions live in the subspace in which the mean over all nodes and frames is 0.
    #[must_use]
    pub fn is_centred(self) -> bool {
        matches!(self, Self::JointCentre | Self::Standardised)
    }

    /// Whether states are deviations in a measure that the data have given ([`Extrapolation`]), and v is predicted of them.
    #[must_use]
    pub fn has_measure(self) -> bool {
        matches!(self, Self::Extrapolated | Self::Standardised)
    }
}

/// Everything that decides which parameters the networks have and what they compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Features of a node.
    pub node_features: usize,
    /// Features of an edge; may be 0.
    pub edge_features: usize,
    /// Width of nodes and messages.
    pub hidden: usize,
    /// Layers, each a spatial and a temporal one.
    pub layers: usize,
    /// What the temporal half is.
    #[serde(default, skip_serializing_if = "Temporal::is_attention")]
    pub temporal: Temporal,
    /// Sines and cosines of a time, together.
    pub time_features: usize,
    /// How lengths enter.
    #[serde(default)]
    pub lengths: Lengths,
    /// What the diffusion ends in.
    pub prior: Prior,
    /// The forecasts of [`Prior::Extrapolated`], or the scale of [`Prior::Standardised`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extrapolation: Option<Extrapolation>,
}

impl NetworkConfig {
    /// Inputs of a node: its features, the diffusion time, and where frames are computed alone which one it is.
    #[must_use]
    pub fn inputs(&self) -> usize {
        let times = if self.temporal.is_attention() { 1 } else { 2 };
        self.node_features + times * self.time_features
    }

    /// Checks that the sizes make a network.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] naming the first that does not; [`ConfigError::Odd`] for an odd number of time features.
    pub fn check(&self) -> Result<(), ConfigError> {
        let check = |field, found: usize, minimum: usize| {
            if (minimum..=MOST).contains(&found) {
                Ok(())
            } else {
                Err(ConfigError::OutOfRange { field, found, minimum, maximum: MOST })
            }
        };
        check("network.node_features", self.node_features, 1)?;
        check("network.edge_features", self.edge_features, 0)?;
        check("network.hidden", self.hidden, 1)?;
        check("network.layers", self.layers, 1)?;
        check("network.time_features", self.time_features, 2)?;
        if !self.time_features.is_multiple_of(2) {
            return Err(ConfigError::Odd { field: "network.time_features", found: self.time_features });
        }
        if !self.temporal.is_attention() && self.prior != Prior::Extrapolated {
            return Err(ConfigError::FramesApart);
        }
        if let Prior::Learned { layers, frames } = self.prior {
            check("network.prior.layers", layers, 1)?;
            check("network.prior.frames", frames, 1)?;
        }
        let (expected, found) = (self.prior.has_measure(), self.extrapolation.is_some());
        if expected != found {
            let (field, expected) = ("network.extrapolation", usize::from(expected));
            let (found, minimum, maximum) = (usize::from(found), expected, expected);
            return Err(ConfigError::OutOfRange { field, found, minimum, maximum });
        }
        Ok(())
    }
}
