//! The molecule of an unconditional model.

use equidrift_trajectory::Topology;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// The one molecule that an unconditional model was trained on, so that nobody has to bring a file of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnMolecule {
    /// Its atoms and bonds.
    pub topology: Topology,
    /// A frame of it, `[N]`, ångström: tells its hand, which the network does not know.
    pub positions: Vec<[f32; 3]>,
}

impl OwnMolecule {
    /// Checks that its parts belong together.
    ///
    /// # Errors
    /// [`ConfigError::Molecule`] for atoms and bonds that do not fit, another number of positions, or positions that are no
    /// numbers.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |reason| Err(ConfigError::Molecule { reason });
        if let Err(error) = self.topology.check() {
            return refuse(error.to_string());
        }
        let (expected, found) = (self.topology.atoms(), self.positions.len());
        if expected != found || found == 0 {
            return refuse(format!("{found} positions of {expected} atoms"));
        }
        if !self.positions.iter().flatten().all(|x| x.is_finite()) {
            return refuse("a position is no finite number".to_owned());
        }
        Ok(())
    }
}
