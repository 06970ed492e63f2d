//! The released checkpoints and their golden vectors, found in the reference folder.

use std::path::PathBuf;

use equidrift_backend::weights::{ParameterSet, TensorFile};
use equidrift_gdss::{GdssModel, convert_gdss};
use equidrift_laws::reference::{files, reference_dir};

const GOLDEN: &str = ".golden.safetensors";

/// The folder of GDSS vectors.
pub(crate) fn gdss_dir() -> Option<PathBuf> {
    reference_dir().map(|dir| dir.join("gdss"))
}

/// A checkpoint with golden vectors.
pub(crate) struct Checkpoint {
    pub(crate) name: String,
    pub(crate) json: PathBuf,
    pub(crate) golden: TensorFile,
}

/// Every checkpoint of the folder that has golden vectors; none where the folder is absent.
pub(crate) fn checkpoints() -> Vec<Checkpoint> {
    let Some(dir) = gdss_dir() else { return Vec::new() };
    let found: Vec<_> = files(&dir, "", GOLDEN)
        .into_iter()
        .map(|path| {
            let file = path.file_name().unwrap().to_str().unwrap();
            let name = file.strip_suffix(GOLDEN).unwrap().to_owned();
            let json = path.with_file_name(format!("{name}.json"));
            Checkpoint { name, json, golden: TensorFile::read(&path).unwrap() }
        })
        .collect();
    assert!(!found.is_empty(), "no golden vectors in {}", dir.display());
    found
}

impl Checkpoint {
    /// The model with the weights that are sampled from.
    pub(crate) fn model(&self) -> GdssModel {
        convert_gdss(&self.json, None, None, None).unwrap()
    }

    /// The model with the weights under a prefix (`""` raw, `"ema_"` averages).
    pub(crate) fn model_with(&self, prefix: &str) -> GdssModel {
        let model = self.model();
        let weights = TensorFile::read(self.json.with_extension("safetensors")).unwrap();
        GdssModel::new(model.config().clone(), parameters(&weights, prefix)).unwrap()
    }
}

/// The parameters under `{prefix}x.` and `{prefix}adj.`.
pub(crate) fn parameters(weights: &TensorFile, prefix: &str) -> ParameterSet {
    let wanted = weights.tensors.iter().filter_map(|(name, tensor)| {
        let rest = name.strip_prefix(prefix)?;
        (rest.starts_with("x.") || rest.starts_with("adj.")).then(|| (rest.to_owned(), tensor.clone()))
    });
    wanted.collect()
}

/// Largest difference, relative to the largest magnitude of `expected`.
pub(crate) fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |m, e| m.max(e.abs()));
    let error = found.iter().zip(expected).fold(0.0_f64, |m, (f, e)| {
        // A NaN must not be swallowed by max.
        let d = (f - e).abs();
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    });
    if scale > 0.0 { error / scale } else { error }
}

/// `path` below the temporary folder of the test.
pub(crate) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}
