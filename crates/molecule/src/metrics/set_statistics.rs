//! What the distances between sets of molecules need of a set, as values and as a file.
//!
//! A reference set is encoded once and kept: a `.safetensors` file with the mean and covariance of ChemNet's activations
//! (`fcd.mean` `[512]`, `fcd.covariance` `[512, 512]`) and the mean feature vector of NSPDK (`nspdk.mean` `[65536]`), all of
//! double precision, and in its metadata what they were computed with.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};

use super::chemnet::{ACTIVATIONS, ChemNet};
use super::fcd::{ActivationMoments, ActivationStatistics};
use super::nspdk::{BINS, NeighbourhoodFeatures, NeighbourhoodMean, NeighbourhoodSums};
use crate::error::MoleculeError;

/// The version of the file's layout. Also to be raised when a hash or a network changes what the numbers mean.
const FORMAT: &str = "1";

/// Which distances are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// NSPDK MMD.
    pub nspdk: bool,
    /// Fréchet ChemNet Distance, with this network.
    pub chemnet: Option<&'a ChemNet>,
}

/// What a few molecules of a set contribute: computed by any thread, then added in the order of the set.
#[derive(Debug, Clone, Default)]
pub struct SetChunk {
    features: Vec<NeighbourhoodFeatures>,
    activations: Vec<f32>,
    molecules: usize,
    left_out: usize,
}

impl SetChunk {
    /// Of canonical SMILES. Costs: see [`NeighbourhoodMean::of_canonical`] and [`ChemNet::encode`].
    #[must_use]
    pub fn of_canonical<S: AsRef<str> + Sync>(smiles: &[S], wanted: Wanted<'_>) -> Self {
        let mut chunk = Self { molecules: smiles.len(), ..Self::default() };
        if wanted.nspdk {
            for smiles in smiles {
                let features = NeighbourhoodFeatures::of_canonical(smiles.as_ref());
                chunk.left_out += usize::from(features.is_err());
                chunk.features.push(features.unwrap_or_default());
            }
        }
        if let Some(net) = wanted.chemnet {
            chunk.activations = net.encode(smiles, 1, &|_| {});
        }
        chunk
    }
}

/// Statistics of a set that streams by, in groups: see [`ActivationMoments`] and [`NeighbourhoodSums`]. Memory does not grow
/// with the set.
#[derive(Debug, Clone)]
pub struct SetMoments {
    chemistry: String,
    molecules: usize,
    left_out: usize,
    neighbourhoods: Option<NeighbourhoodSums>,
    activations: Option<ActivationMoments>,
    weights: Option<u64>,
}

impl SetMoments {
    /// Of no molecule yet. `groups` is one, unless standard errors are to follow ([`super::resampling`]).
    #[must_use]
    pub fn new(chemistry: &str, wanted: Wanted<'_>, groups: usize) -> Self {
        Self {
            chemistry: chemistry.to_owned(),
            molecules: 0,
            left_out: 0,
            neighbourhoods: wanted.nspdk.then(|| NeighbourhoodSums::new(groups)),
            activations: wanted.chemnet.map(|_| ActivationMoments::new(groups)),
            weights: wanted.chemnet.map(ChemNet::fingerprint),
        }
    }

    /// Add molecules.
    pub fn add(&mut self, chunk: &SetChunk) {
        self.molecules += chunk.molecules;
        self.left_out += chunk.left_out;
        if let Some(sums) = &mut self.neighbourhoods {
            chunk.features.iter().for_each(|features| sums.add(features));
        }
        if let Some(moments) = &mut self.activations {
            moments.add(&chunk.activations);
        }
    }

    /// Molecules added.
    #[must_use]
    pub fn molecules(&self) -> usize {
        self.molecules
    }

    /// What NSPDK MMD needs.
    #[must_use]
    pub fn neighbourhoods(&self) -> Option<&NeighbourhoodSums> {
        self.neighbourhoods.as_ref()
    }

    /// What the Fréchet ChemNet Distance needs.
    #[must_use]
    pub fn activations(&self) -> Option<&ActivationMoments> {
        self.activations.as_ref()
    }

    /// To be called when all have been added; see [`ActivationMoments::settle`].
    pub fn settle(&mut self) {
        self.activations.iter_mut().for_each(ActivationMoments::settle);
    }

    /// Molecules whose neighbourhoods cannot be described, because they have bonds that are none of single, double, triple and
    /// aromatic: NSPDK is without them.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// The statistics of the whole set.
    ///
    /// # Errors
    /// [`MoleculeError::TooFewMolecules`].
    pub fn statistics(&self) -> Result<SetStatistics, MoleculeError> {
        let neighbourhoods = self.neighbourhoods.as_ref().map(NeighbourhoodSums::mean).transpose()?;
        let activations = self.activations.as_ref().map(ActivationMoments::statistics).transpose()?;
        Ok(self.statistics_with(neighbourhoods, activations))
    }

    /// The statistics of a set that has each molecule of group `g` `times[g]` times.
    ///
    /// # Errors
    /// [`MoleculeError::TooFewMolecules`].
    pub fn of_groups(&self, times: &[u32]) -> Result<SetStatistics, MoleculeError> {
        let neighbourhoods = self.neighbourhoods.as_ref().map(|sums| sums.of_groups(times)).transpose()?;
        let activations = self.activations.as_ref().map(|moments| moments.of_groups(times)).transpose()?;
        Ok(self.statistics_with(neighbourhoods, activations))
    }

    fn statistics_with(
        &self,
        neighbourhoods: Option<NeighbourhoodMean>,
        activations: Option<ActivationStatistics>,
    ) -> SetStatistics {
        SetStatistics {
            chemistry: self.chemistry.clone(),
            molecules: self.molecules,
            neighbourhoods,
            activations,
            weights: self.weights,
        }
    }
}

/// The statistics of one set of molecules.
///
/// ```
/// use equidrift_molecule::metrics::{SetStatistics, Wanted};
///
/// let wanted = Wanted { nspdk: true, chemnet: None };
/// let of = |smiles: &[&str]| SetStatistics::of_canonical(smiles, "chematic", wanted, 2, &|_| {});
/// let (generated, test) = (of(&["CCO", "C1CC1"])?, of(&["CCN", "C1CC1"])?);
/// let distances = generated.distances(&test)?;
/// assert!(distances.nspdk_mmd.is_some_and(|mmd| mmd > 0.0) && distances.fcd.is_none());
/// # Ok::<(), equidrift_molecule::MoleculeError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SetStatistics {
    chemistry: String,
    molecules: usize,
    neighbourhoods: Option<NeighbourhoodMean>,
    activations: Option<ActivationStatistics>,
    /// [`ChemNet::fingerprint`] of the weights behind the activations.
    weights: Option<u64>,
}

/// Distances of two sets; `None` where one of them has not what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SetDistances {
    /// NSPDK MMD: see [`super::nspdk`].
    pub nspdk_mmd: Option<f64>,
    /// Fréchet ChemNet Distance: see [`super::fcd`].
    pub fcd: Option<f64>,
}

impl SetStatistics {
    /// Of all valid molecules of a set, repetitions kept, as canonical SMILES of the back end named `chemistry`. `progress`
    /// is called with numbers of molecules that have been encoded by the network, from any thread. Costs: see
    /// [`NeighbourhoodMean::of_canonical`] and [`ChemNet::encode`].
    ///
    /// # Errors
    /// [`MoleculeError::TooFewMolecules`]; [`MoleculeError::Smiles`].
    pub fn of_canonical<S: AsRef<str> + Sync>(
        smiles: &[S],
        chemistry: &str,
        wanted: Wanted<'_>,
        threads: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, MoleculeError> {
        let neighbourhoods =
            wanted.nspdk.then(|| NeighbourhoodMean::of_canonical(smiles, threads)).transpose()?;
        let activations = wanted
            .chemnet
            .map(|net| ActivationStatistics::of_canonical(net, smiles, threads, progress))
            .transpose()?;
        Ok(Self {
            chemistry: chemistry.to_owned(),
            molecules: smiles.len(),
            neighbourhoods,
            activations,
            weights: wanted.chemnet.map(ChemNet::fingerprint),
        })
    }

    /// Molecules in the set.
    #[must_use]
    pub fn molecules(&self) -> usize {
        self.molecules
    }

    /// The name of the back end that spelt the molecules.
    #[must_use]
    pub fn chemistry(&self) -> &str {
        &self.chemistry
    }

    /// What NSPDK MMD needs.
    #[must_use]
    pub fn neighbourhoods(&self) -> Option<&NeighbourhoodMean> {
        self.neighbourhoods.as_ref()
    }

    /// What the Fréchet ChemNet Distance needs.
    #[must_use]
    pub fn activations(&self) -> Option<&ActivationStatistics> {
        self.activations.as_ref()
    }

    /// The distances to another set, in either order.
    ///
    /// # Errors
    /// [`MoleculeError::IncomparableStatistics`] if the sets were spelt by different back ends or encoded with different
    /// weights.
    pub fn distances(&self, other: &Self) -> Result<SetDistances, MoleculeError> {
        let differs = |what, first: String, second: String| {
            Err(MoleculeError::IncomparableStatistics { what, first, second })
        };
        if self.chemistry != other.chemistry {
            return differs("chemistry back end", self.chemistry.clone(), other.chemistry.clone());
        }
        if let (Some(first), Some(second)) = (self.weights, other.weights)
            && first != second
        {
            return differs("ChemNet weights", format!("{first:016x}"), format!("{second:016x}"));
        }
        let neighbourhoods = self.neighbourhoods.as_ref().zip(other.neighbourhoods.as_ref());
        let activations = self.activations.as_ref().zip(other.activations.as_ref());
        Ok(SetDistances {
            nspdk_mmd: neighbourhoods.map(|(a, b)| a.mmd(b)),
            fcd: activations.map(|(a, b)| a.frechet_distance(b)),
        })
    }

    /// The content of a `.safetensors` file.
    ///
    /// # Errors
    /// [`MoleculeError::Write`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, MoleculeError> {
        let mut tensors = Vec::new();
        let mut metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("chemistry".to_owned(), self.chemistry.clone()),
            ("molecules".to_owned(), self.molecules.to_string()),
        ]);
        if let Some(neighbourhoods) = &self.neighbourhoods {
            metadata.insert("nspdk.molecules".to_owned(), neighbourhoods.molecules().to_string());
            tensors.push(("nspdk.mean", Doubles::new(vec![BINS], neighbourhoods.values())));
        }
        if let (Some(activations), Some(weights)) = (&self.activations, self.weights) {
            metadata.insert("fcd.molecules".to_owned(), activations.molecules().to_string());
            metadata.insert("fcd.weights".to_owned(), format!("{weights:016x}"));
            tensors.push(("fcd.mean", Doubles::new(vec![ACTIVATIONS], activations.mean())));
            let covariance = Doubles::new(vec![ACTIVATIONS, ACTIVATIONS], activations.covariance());
            tensors.push(("fcd.covariance", covariance));
        }
        safetensors::serialize(tensors, Some(metadata))
            .map_err(|error| MoleculeError::Write(std::io::Error::other(error)))
    }

    /// Read them from a file.
    ///
    /// # Errors
    /// [`MoleculeError::File`]; [`MoleculeError::Statistics`] for another file, a damaged one or one of another version.
    pub fn read(path: &Path) -> Result<Self, MoleculeError> {
        let bytes = std::fs::read(path).map_err(|source| MoleculeError::File {
            task: "read",
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes).map_err(|reason| MoleculeError::Statistics { path: path.to_owned(), reason })
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let text = |key: &str| metadata.get(key).ok_or_else(|| format!("its metadata has no {key:?}"));
        let count = |key: &str| {
            let text = text(key)?;
            text.parse::<usize>().map_err(|_| format!("{key:?} is {text:?}, expected a number"))
        };
        match text("format")?.as_str() {
            FORMAT => {}
            other => return Err(format!("it has format {other:?}, this version reads {FORMAT:?}")),
        }
        let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
        let tensor = |name: &str| -> Result<Vec<f64>, String> {
            let tensor = file.tensor(name).map_err(|error| error.to_string())?;
            if tensor.dtype() != Dtype::F64 {
                return Err(format!("{name:?} is not of double precision"));
            }
            let values: Vec<f64> =
                tensor.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
            match values.iter().all(|value| value.is_finite()) {
                true => Ok(values),
                false => Err(format!("{name:?} holds numbers that are not finite")),
            }
        };
        let mut statistics = Self {
            chemistry: text("chemistry")?.clone(),
            molecules: count("molecules")?,
            neighbourhoods: None,
            activations: None,
            weights: None,
        };
        if metadata.contains_key("nspdk.molecules") {
            let mean = NeighbourhoodMean::from_stored(count("nspdk.molecules")?, tensor("nspdk.mean")?);
            statistics.neighbourhoods = Some(mean.ok_or("\"nspdk.mean\" has the wrong length")?);
        }
        if metadata.contains_key("fcd.molecules") {
            let (mean, covariance) = (tensor("fcd.mean")?, tensor("fcd.covariance")?);
            let stored = ActivationStatistics::from_stored(count("fcd.molecules")?, mean, covariance);
            statistics.activations = Some(stored.ok_or("the tensors of FCD have wrong lengths")?);
            let weights = text("fcd.weights")?;
            let number = u64::from_str_radix(weights, 16);
            statistics.weights = Some(number.map_err(|_| format!("\"fcd.weights\" is {weights:?}"))?);
        }
        Ok(statistics)
    }
}

/// A tensor of double precision to be written.
struct Doubles {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Doubles {
    fn new(shape: Vec<usize>, values: &[f64]) -> Self {
        Self { shape, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }
}

impl View for Doubles {
    fn dtype(&self) -> Dtype {
        Dtype::F64
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
