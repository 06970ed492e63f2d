//! From one sample's tensors to the molecule that is written: decode, check, repair, keep a fragment, canonicalise.

use serde::{Deserialize, Serialize};

use crate::chemistry::Chemistry;
use crate::decode::{Decoded, decode};
use crate::element::Element;
use crate::error::MoleculeError;
use crate::fragments::keep_longest;
use crate::metrics::stability::StabilityTally;
use crate::molecule::MolecularGraph;
use crate::repair::repair;

/// Whether molecules over a valence limit are repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correction {
    /// Lower bonds until every valence fits ([`crate::repair()`]).
    #[default]
    Repair,
    /// Leave molecules as they are: an invalid one has no SMILES.
    None,
}

/// A generated molecule, ready to be written.
#[derive(Debug, Clone)]
pub struct GeneratedMolecule {
    /// The sample's id, unique in a run.
    pub id: u64,
    /// Canonical SMILES of the fragment kept; empty for a sample without atoms and for an invalid one that was not
    /// to be repaired.
    pub smiles: String,
    /// Every valence fitted as decoded.
    pub valid_without_correction: bool,
    /// The bonds were changed by the repair.
    pub repaired: bool,
    /// Number of fragments after repair, before one was kept; 0 for a sample without atoms.
    pub fragments: usize,
    /// The fragment kept (all of the molecule where there is no SMILES).
    pub graph: MolecularGraph,
    /// Stable atoms of the sample as decoded; meant where hydrogens are atoms.
    pub stability: StabilityTally,
}

impl GeneratedMolecule {
    /// Whether there is a molecule to write: a valid fragment with at least one atom.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.smiles.is_empty()
    }

    /// Decode `x` `[N, F]` and `adj` `[N, N]` (see [`decode()`]) and finish the molecule.
    ///
    /// # Errors
    /// [`MoleculeError::TensorLength`] from decoding; [`MoleculeError::Chemistry`] if the back end refuses a molecule
    /// whose valences fit.
    pub fn from_tensors(
        id: u64,
        x: &[f32],
        adj: &[f32],
        vocabulary: &[Element],
        correction: Correction,
        chemistry: &dyn Chemistry,
    ) -> Result<Self, MoleculeError> {
        Self::from_decoded(id, decode(x, adj, vocabulary)?, correction, chemistry)
    }

    /// Finish a decoded sample.
    ///
    /// # Errors
    /// [`MoleculeError::Chemistry`] if the back end refuses a molecule whose valences fit.
    pub fn from_decoded(
        id: u64,
        decoded: Decoded,
        correction: Correction,
        chemistry: &dyn Chemistry,
    ) -> Result<Self, MoleculeError> {
        let Decoded { graph, valid_without_correction } = decoded;
        let stability = StabilityTally::of(&graph);
        let repaired = !valid_without_correction && correction == Correction::Repair;
        if !valid_without_correction && !repaired {
            let fragments = equidrift_graph::components(&graph).len();
            return Ok(Self {
                id,
                smiles: String::new(),
                valid_without_correction,
                repaired,
                fragments,
                graph,
                stability,
            });
        }
        let whole = if repaired { repair(&graph) } else { graph };
        let kept = keep_longest(whole, chemistry)?;
        Ok(Self {
            id,
            smiles: kept.smiles,
            valid_without_correction,
            repaired,
            fragments: kept.fragments,
            graph: kept.graph,
            stability,
        })
    }
}
