//! The reference models and their vectors.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use equidrift_backend::weights::TensorFile;
use equidrift_geotdm::{FlatBatch, GeotdmModel, TrajectoryDiffusion, convert_geotdm};
use equidrift_sampler::path::{BetaSchedule, DiscreteDdpm};

const GOLDEN: &str = ".golden.safetensors";

/// The folder of GeoTDM vectors.
pub(crate) fn geotdm_dir() -> Option<PathBuf> {
    folder("EQUIDRIFT_REFERENCE", "reference", "geotdm")
}

/// A folder of data.
pub(crate) fn data_dir(name: &str) -> Option<PathBuf> {
    folder("EQUIDRIFT_DATA", "data", name)
}

fn folder(variable: &str, shared: &str, name: &str) -> Option<PathBuf> {
    let root = std::env::var_os(variable).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(shared),
        PathBuf::from,
    );
    let dir = root.join(name);
    if dir.is_dir() {
        return Some(dir);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", dir.display());
    println!("skipped: no reference data");
    None
}

/// A reference model with its vectors.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: GeotdmModel,
    pub(crate) golden: TensorFile,
    pub(crate) golden_path: PathBuf,
    /// Sampling runs, where there are any.
    pub(crate) runs: Option<TensorFile>,
}

/// All of them; none where the folder is absent.
pub(crate) fn cases() -> Vec<Case> {
    let Some(dir) = geotdm_dir() else { return Vec::new() };
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(GOLDEN)?.to_owned()))
        .filter(|name| dir.join(format!("{name}.safetensors")).is_file())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no vectors in {}", dir.display());
    let case = |name: String| {
        let golden_path = dir.join(format!("{name}{GOLDEN}"));
        let runs = dir.join(format!("traj.{name}.safetensors"));
        Case {
            model: convert_geotdm(&dir.join(format!("{name}.json"))).unwrap(),
            golden: TensorFile::read(&golden_path).unwrap(),
            runs: runs.is_file().then(|| TensorFile::read(runs).unwrap()),
            golden_path,
            name,
        }
    };
    names.into_iter().map(case).collect()
}

impl Case {
    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        self.golden.tensors.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.name)).to_f64()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.golden.tensors.contains_key(name)
    }

    pub(crate) fn batch(&self) -> FlatBatch {
        FlatBatch::read(&self.golden, &self.golden_path, self.model.config()).unwrap()
    }

    pub(crate) fn levels(&self) -> Vec<usize> {
        self.numbers("in.t_graph").iter().map(|&t| t as usize).collect()
    }

    pub(crate) fn noise(&self) -> Vec<Vec<f64>> {
        self.batch().made(&self.golden, &self.golden_path, "in.noise").unwrap()
    }
}

pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.try_into_vec_as::<f64>().unwrap()
}

/// A chain that leaves much of the data: with networks that were never fitted, the whole way to noise and back would
/// leave the range of numbers.
pub(crate) fn short_chain(model: &GeotdmModel) -> TrajectoryDiffusion {
    let betas = BetaSchedule::Linear { first: 1e-3, last: 0.05 };
    let path = DiscreteDdpm::new(25, betas).unwrap();
    TrajectoryDiffusion { path, ..model.config().diffusion.clone() }
}

/// Largest difference, relative to the largest magnitude of `expected`.
pub(crate) fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |m, e| m.max(e.abs()));
    let error = found.iter().zip(expected).fold(0.0_f64, |m, (f, e)| {
        let d = (f - e).abs();
        if d.is_nan() { f64::INFINITY } else { m.max(d) }
    });
    if scale > 0.0 { error / scale } else { error }
}

/// Euclidean norm.
pub(crate) fn norm<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    values.into_iter().map(|x| x * x).sum::<f64>().sqrt()
}
