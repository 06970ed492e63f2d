//! What the systems of a model are, and with that which features its network is told of them.

use equidrift_trajectory::nbody;
use equidrift_trajectory::pedestrians::{GIVEN, PREDICTED};
use serde::{Deserialize, Serialize};

use crate::config::GeotdmConfig;
use crate::denoising_loss::CountedNodes;
use crate::environments::ENVIRONMENT_FEATURES;
use crate::network_config::Lengths;
use crate::system::{AtomFeatures, MolecularEdges};

/// What a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SystemKind {
    /// Molecules.
    Molecules {
        /// Which pairs of atoms are joined.
        #[serde(default)]
        edges: MolecularEdges,
        /// What is told of an atom.
        #[serde(default, skip_serializing_if = "AtomFeatures::are_published")]
        features: AtomFeatures,
    },
    /// Simulated bodies: one feature of a body, one of a pair.
    Bodies {
        /// Which forces act.
        forces: nbody::System,
    },
    /// Walkers in the plane.
    Pedestrians {
        /// Walkers of a system at most, the predicted one among them.
        most: usize,
    },
}

impl SystemKind {
    /// Features of a node and of an edge.
    #[must_use]
    pub fn widths(self) -> (usize, usize) {
        use equidrift_trajectory::molecular_graph::{EDGE_CLASSES, NODE_FEATURES};
        match self {
            Self::Molecules { features: AtomFeatures::Charge, .. } => (NODE_FEATURES, EDGE_CLASSES),
            Self::Molecules { features: AtomFeatures::Environment, .. } => {
                (NODE_FEATURES + ENVIRONMENT_FEATURES, EDGE_CLASSES)
            }
            Self::Bodies { .. } => (1, 1),
            Self::Pedestrians { .. } => (2, 0),
        }
    }

    /// Coordinates of a position.
    #[must_use]
    pub fn dimensions(self) -> usize {
        if matches!(self, Self::Pedestrians { .. }) { 2 } else { 3 }
    }

    /// How lengths enter the network as published, and which nodes its loss counts.
    #[must_use]
    pub fn published(self) -> (Lengths, CountedNodes) {
        match self {
            Self::Pedestrians { .. } => (Lengths::Plain, CountedNodes::First),
            _ => (Lengths::Squared, CountedNodes::All),
        }
    }

    /// Frames that are given and made as published.
    #[must_use]
    pub fn published_frames(self) -> (usize, usize) {
        if matches!(self, Self::Pedestrians { .. }) { (GIVEN, PREDICTED) } else { (10, 20) }
    }

    /// For people, in the plural.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Molecules { .. } => "molecules",
            Self::Bodies { forces: nbody::System::Springs } => "bodies with springs",
            Self::Bodies { forces: nbody::System::Charged } => "charged bodies",
            Self::Bodies { .. } => "bodies with gravity",
            Self::Pedestrians { .. } => "pedestrians",
        }
    }
}

impl GeotdmConfig {
    /// What the systems are: as the configuration says, or else as far as the widths of the features tell (those of simulated
    /// bodies are all alike, so these must be said).
    #[must_use]
    pub fn system_kind(&self) -> Option<SystemKind> {
        let molecules = SystemKind::Molecules { edges: MolecularEdges::Near, features: AtomFeatures::Charge };
        let told = [molecules, SystemKind::Pedestrians { most: 1 }];
        let widths = (self.network.node_features, self.network.edge_features);
        self.systems.or_else(|| told.into_iter().find(|kind| kind.widths() == widths))
    }
}
