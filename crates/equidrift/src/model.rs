//! The model a request names: one of the embedded models, or a folder.

use std::path::Path;

use equidrift_backend::checksum::sha256;
use equidrift_backend::model_description::{BondsConfig, Vocabulary};
use equidrift_backend::model_folder::{ModelBytes, read_verified};
use equidrift_gdss::{CONFIG_FILE, GdssConfig, GdssError, GdssModel, Task, WEIGHTS_FILE};
use equidrift_geotdm::{GeotdmError, GeotdmModel};
use equidrift_molecule::{BondEncoding, Element};
use equidrift_pard::{PardError, PardModel};
use equidrift_sampler::path::{DataMoments, PriorMismatch};
use equidrift_sampler::plan::MatchedPrior;
use equidrift_trajectory::TrajectoryError;
use equidrift_zoo::EmbeddedModel;

use crate::error::{Error, ErrorKind};

/// An open model, verified against its checksums.
pub struct Model {
    name: String,
    sha256: String,
    family: FamilyModel,
    vocabulary: Vec<Element>,
}

/// A model of one of the families.
#[derive(Debug)]
pub enum FamilyModel {
    /// Score-based diffusion of node features and adjacency.
    Gdss(Box<GdssModel>),
    /// Categorical diffusion, block by block.
    Pard(Box<PardModel>),
    /// Diffusion of whole trajectories.
    Geotdm(Box<GeotdmModel>),
}

impl FamilyModel {
    /// Reads the configuration just so far that its family is known.
    fn from_bytes(config: &[u8], weights: &[u8], origin: &Path) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        struct Family {
            family: String,
        }
        match serde_json::from_slice(config) {
            Ok(Family { family }) if family == equidrift_pard::config::FAMILY => {
                Ok(Self::Pard(Box::new(PardModel::from_bytes(config, weights, origin)?)))
            }
            Ok(Family { family }) if family == equidrift_geotdm::config::FAMILY => {
                let (config, weights) = (config.to_vec(), weights.to_vec());
                Ok(Self::Geotdm(Box::new(GeotdmModel::from_bytes(&ModelBytes { config, weights }, origin)?)))
            }
            // What is no configuration at all is named by the reader of the first family.
            _ => Ok(Self::Gdss(Box::new(GdssModel::from_bytes(config, weights, origin)?))),
        }
    }

    /// The family's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Gdss(_) => equidrift_gdss::config::FAMILY,
            Self::Pard(_) => equidrift_pard::config::FAMILY,
            Self::Geotdm(_) => equidrift_geotdm::config::FAMILY,
        }
    }

    fn model_name(&self) -> &str {
        match self {
            Self::Gdss(model) => &model.config().name,
            Self::Pard(model) => &model.config().name,
            Self::Geotdm(model) => &model.config().name,
        }
    }

    /// `None` for trajectories.
    fn task(&self) -> Option<Task> {
        match self {
            Self::Gdss(model) => Some(model.config().task),
            Self::Pard(model) => Some(model.config().task),
            Self::Geotdm(_) => None,
        }
    }

    fn vocabulary(&self) -> Option<&Vocabulary> {
        match self {
            Self::Gdss(model) => model.config().vocabulary.as_ref(),
            Self::Pard(model) => model.config().vocabulary.as_ref(),
            Self::Geotdm(_) => None,
        }
    }

    fn digest(&self) -> Result<String, Error> {
        match self {
            Self::Gdss(model) => Ok(model.digest()?),
            Self::Pard(model) => Ok(model.digest()?),
            Self::Geotdm(model) => Ok(model.digest()?),
        }
    }
}

impl Model {
    /// Opens the embedded model or the folder `name`; write `./NAME` for a folder that is called like an embedded model.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::EmbeddedModel`], and [`Error::Model`] for whatever is wrong with a folder.
    pub fn open(name: &str) -> Result<Self, Error> {
        let family = match equidrift_zoo::find(name) {
            Some(embedded) => {
                verify_embedded(embedded)?;
                let (config, origin) = (embedded.config.as_bytes(), Path::new(embedded.name));
                FamilyModel::from_bytes(config, embedded.weights, origin)?
            }
            None if Path::new(name).exists() => {
                let bytes = read_verified(Path::new(name)).map_err(GdssError::from)?;
                FamilyModel::from_bytes(&bytes.config, &bytes.weights, Path::new(name))?
            }
            None => {
                return Err(Error::UnknownModel { name: name.to_owned(), embedded: equidrift_zoo::names() });
            }
        };
        let symbols = family.vocabulary().into_iter().flat_map(|vocabulary| &vocabulary.atoms);
        let element = |symbol: &String| {
            symbol.parse().map_err(|_| Error::Vocabulary { model: name.to_owned(), symbol: symbol.clone() })
        };
        let vocabulary = symbols.map(element).collect::<Result<Vec<Element>, _>>()?;
        Ok(Self { name: family.model_name().to_owned(), sha256: family.digest()?, family, vocabulary })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 over the model's configuration and parameters.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The model itself.
    pub fn family(&self) -> &FamilyModel {
        &self.family
    }

    /// The model itself, of family `gdss`.
    ///
    /// # Errors
    /// [`Error::Family`].
    pub fn gdss(&self) -> Result<&GdssModel, Error> {
        match &self.family {
            FamilyModel::Gdss(model) => Ok(model),
            other => {
                let (found, expected) = (other.name(), equidrift_gdss::config::FAMILY);
                Err(Error::Family { model: self.name.clone(), expected, found })
            }
        }
    }

    /// The model itself, of family `pard`.
    ///
    /// # Errors
    /// [`Error::Family`].
    pub fn pard(&self) -> Result<&PardModel, Error> {
        match &self.family {
            FamilyModel::Pard(model) => Ok(model),
            other => {
                let (found, expected) = (other.name(), equidrift_pard::config::FAMILY);
                Err(Error::Family { model: self.name.clone(), expected, found })
            }
        }
    }

    /// The model itself, of family `geotdm`.
    ///
    /// # Errors
    /// [`Error::Family`].
    pub fn geotdm(&self) -> Result<&GeotdmModel, Error> {
        match &self.family {
            FamilyModel::Geotdm(model) => Ok(model),
            other => {
                let (found, expected) = (other.name(), equidrift_geotdm::config::FAMILY);
                Err(Error::Family { model: self.name.clone(), expected, found })
            }
        }
    }

    /// Mean and variance of the training data's node features and edges. The features are one-hot, so theirs are known
    /// without data; those of the edges stand in the configuration, or are not known. Both are of the scaled data.
    fn data_moments(config: &GdssConfig) -> (DataMoments, Option<DataMoments>) {
        let scales = config.paths.scales;
        let features = DataMoments::of_one_hot(config.networks.features());
        (features.scaled(scales.x), config.edge_moments.map(|edges| edges.scaled(scales.adj)))
    }

    /// How far the noised data at the start of sampling are from the prior, by component: of node features (`x`) and, where
    /// the configuration knows their moments, of edges (`adj`); nothing of a component whose path does not end in noise.
    pub fn prior_mismatches(&self) -> Vec<(&'static str, PriorMismatch)> {
        let FamilyModel::Gdss(model) = &self.family else { return Vec::new() };
        let paths = &model.config().paths;
        let (x, adj) = Self::data_moments(model.config());
        [("x", &paths.x, Some(x)), ("adj", &paths.adj, adj)]
            .into_iter()
            .filter_map(|(name, path, moments)| {
                Some((name, PriorMismatch::new(path.build().as_ref(), moments?)?))
            })
            .collect()
    }

    /// The prior with the moments of the noised training data.
    ///
    /// # Errors
    /// [`Error::Request`] if the configuration does not know those of the edges; as [`MatchedPrior::new`].
    pub fn matched_prior(&self) -> Result<MatchedPrior, Error> {
        let config = self.gdss()?.config();
        let paths = &config.paths;
        let (x, Some(adj)) = Self::data_moments(config) else {
            let reason = "the model's configuration has no `edge_moments`; train it anew, or convert it with --sizes-from";
            return Err(Error::Request { field: "match_prior", reason });
        };
        Ok(MatchedPrior::new(&[paths.x.clone(), paths.adj.clone()], &[x, adj])?)
    }

    /// Nodes of the largest graph it makes; as many as there can be for a model of trajectories, which takes systems of any
    /// size.
    #[must_use]
    pub fn max_nodes(&self) -> usize {
        match &self.family {
            FamilyModel::Gdss(model) => model.config().max_nodes,
            FamilyModel::Pard(model) => model.config().max_nodes,
            FamilyModel::Geotdm(_) => usize::MAX,
        }
    }

    /// What the node features of molecules mean, in order; empty for plain graphs.
    pub fn vocabulary(&self) -> &[Element] {
        &self.vocabulary
    }

    /// What the adjacency of molecules stands for.
    pub fn bonds(&self) -> BondEncoding {
        bond_encoding(match &self.family {
            FamilyModel::Gdss(model) => model.config().bonds,
            FamilyModel::Pard(model) => model.config().bonds,
            FamilyModel::Geotdm(_) => BondsConfig::default(),
        })
    }

    /// Refuses a model that makes something else.
    pub(crate) fn expect_task(&self, expected: Task) -> Result<(), Error> {
        let found = self.family.task();
        if found == Some(expected) {
            return Ok(());
        }
        let found = found.map_or("trajectories", noun).to_owned();
        Err(Error::Task { model: self.name.clone(), expected: noun(expected), found })
    }
}

/// The encoding that a configuration names. (The models' crate does not know of molecules, nor theirs of models.)
pub(crate) const fn bond_encoding(bonds: BondsConfig) -> BondEncoding {
    match bonds {
        BondsConfig::Orders => BondEncoding::Orders,
        BondsConfig::Aromatic => BondEncoding::Aromatic,
    }
}

fn noun(task: Task) -> &'static str {
    match task {
        Task::Molecules => "molecules",
        Task::Graphs => "graphs",
    }
}

fn verify_embedded(model: &'static EmbeddedModel) -> Result<(), Error> {
    for (file, bytes) in [(CONFIG_FILE, model.config.as_bytes()), (WEIGHTS_FILE, model.weights)] {
        let digest = sha256(bytes);
        let listed = model.checksums.lines().any(|line| {
            line.split_once(' ')
                .is_some_and(|(listed, name)| listed == digest && name.trim_start_matches([' ', '*']) == file)
        });
        if !listed {
            return Err(Error::EmbeddedModel { name: model.name, file });
        }
    }
    Ok(())
}

/// Whose fault an error of a model is.
pub(crate) fn kind_of(error: &GdssError) -> ErrorKind {
    match error {
        GdssError::Config { .. } | GdssError::Mismatch { .. } => ErrorKind::Mismatch,
        GdssError::Device(_) | GdssError::EngineDevice { .. } => ErrorKind::Usage,
        GdssError::Engine(_) => ErrorKind::Failure,
        _ => ErrorKind::BadInput,
    }
}

/// The same for Pard.
pub(crate) fn kind_of_pard(error: &PardError) -> ErrorKind {
    match error {
        PardError::Config { .. }
        | PardError::Layer(_)
        | PardError::UnusedParameter { .. }
        | PardError::NoFirstSizes { .. } => ErrorKind::Mismatch,
        PardError::Model { source, .. } => kind_of_pard(source),
        PardError::Setting { .. } | PardError::NotTrainable { .. } | PardError::Grid { .. } => {
            ErrorKind::Usage
        }
        PardError::Device { .. }
        | PardError::MissingInput { .. }
        | PardError::Stopped
        | PardError::Memory { .. } => ErrorKind::Failure,
        _ => ErrorKind::BadInput,
    }
}

/// The same for GeoTDM.
pub(crate) fn kind_of_geotdm(error: &GeotdmError) -> ErrorKind {
    match error {
        GeotdmError::Config { .. }
        | GeotdmError::Mismatch { .. }
        | GeotdmError::Count { .. }
        | GeotdmError::UnknownNode { .. } => ErrorKind::Mismatch,
        GeotdmError::Device(_) => ErrorKind::Usage,
        GeotdmError::Trajectory(error) => kind_of_trajectory(error),
        GeotdmError::Layer(_) | GeotdmError::Values { .. } => ErrorKind::Failure,
        _ => ErrorKind::BadInput,
    }
}

/// The same for a file of trajectories.
pub(crate) fn kind_of_trajectory(error: &TrajectoryError) -> ErrorKind {
    match error {
        TrajectoryError::File { task: "write", .. } => ErrorKind::Failure,
        TrajectoryError::UnknownFormat { .. }
        | TrajectoryError::ReadOnlyFormat { .. }
        | TrajectoryError::Selection { .. } => ErrorKind::Usage,
        TrajectoryError::TooFew { what: "a simulation", .. }
        | TrajectoryError::TooMany { what: "bodies", .. } => ErrorKind::Usage,
        TrajectoryError::Stream(_) => ErrorKind::Failure,
        _ => ErrorKind::BadInput,
    }
}
