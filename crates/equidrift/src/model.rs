//! The model a request names: one of the embedded models, or a folder.

use std::path::Path;

use equidrift_backend::checksum::sha256;
use equidrift_gdss::{BondsConfig, CONFIG_FILE, GdssError, GdssModel, Task, WEIGHTS_FILE};
use equidrift_molecule::{BondEncoding, Element};
use equidrift_sampler::path::{DataMoments, PriorMismatch};
use equidrift_sampler::plan::MatchedPrior;
use equidrift_zoo::EmbeddedModel;

use crate::error::{Error, ErrorKind};

/// An open model, verified against its checksums.
pub struct Model {
    name: String,
    sha256: String,
    gdss: GdssModel,
    vocabulary: Vec<Element>,
}

impl Model {
    /// Opens the embedded model or the folder `name`; write `./NAME` for a folder that is called like an embedded model.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::EmbeddedModel`], and [`Error::Model`] for whatever is wrong with a folder.
    pub fn open(name: &str) -> Result<Self, Error> {
        let gdss = match equidrift_zoo::find(name) {
            Some(embedded) => {
                verify_embedded(embedded)?;
                GdssModel::from_bytes(embedded.config.as_bytes(), embedded.weights, Path::new(embedded.name))?
            }
            None if Path::new(name).exists() => GdssModel::open(Path::new(name))?,
            None => {
                return Err(Error::UnknownModel { name: name.to_owned(), embedded: equidrift_zoo::names() });
            }
        };
        let symbols = gdss.config().vocabulary.iter().flat_map(|vocabulary| &vocabulary.atoms);
        let element = |symbol: &String| {
            symbol.parse().map_err(|_| Error::Vocabulary { model: name.to_owned(), symbol: symbol.clone() })
        };
        let vocabulary = symbols.map(element).collect::<Result<Vec<Element>, _>>()?;
        Ok(Self { name: gdss.config().name.clone(), sha256: gdss.digest()?, gdss, vocabulary })
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
    pub fn gdss(&self) -> &GdssModel {
        &self.gdss
    }

    /// Mean and variance of the training data's node features and edges. The features are one-hot, so theirs are known
    /// without data; those of the edges stand in the configuration, or are not known. Both are of the scaled data.
    fn data_moments(&self) -> (DataMoments, Option<DataMoments>) {
        let config = self.gdss.config();
        let scales = config.paths.scales;
        let features = DataMoments::of_one_hot(config.networks.features());
        (features.scaled(scales.x), config.edge_moments.map(|edges| edges.scaled(scales.adj)))
    }

    /// How far the noised data at the start of sampling are from the prior, by component: of node features (`x`) and, where
    /// the configuration knows their moments, of edges (`adj`); nothing of a component whose path does not end in noise.
    pub fn prior_mismatches(&self) -> Vec<(&'static str, PriorMismatch)> {
        let paths = &self.gdss.config().paths;
        let (x, adj) = self.data_moments();
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
        let paths = &self.gdss.config().paths;
        let (x, Some(adj)) = self.data_moments() else {
            let reason = "the model's configuration has no `edge_moments`; train it anew, or convert it with --sizes-from";
            return Err(Error::Request { field: "match_prior", reason });
        };
        Ok(MatchedPrior::new(&[paths.x.clone(), paths.adj.clone()], &[x, adj])?)
    }

    /// What the node features of molecules mean, in order; empty for plain graphs.
    pub fn vocabulary(&self) -> &[Element] {
        &self.vocabulary
    }

    /// What the adjacency of molecules stands for.
    pub fn bonds(&self) -> BondEncoding {
        bond_encoding(self.gdss.config().bonds)
    }

    /// Refuses a model that makes something else.
    pub(crate) fn expect_task(&self, expected: Task) -> Result<(), Error> {
        let found = self.gdss.config().task;
        if found == expected {
            return Ok(());
        }
        Err(Error::Task { model: self.name.clone(), expected: noun(expected), found: noun(found).to_owned() })
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
