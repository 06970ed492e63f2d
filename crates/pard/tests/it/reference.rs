//! The reference models and their vectors.

use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use equidrift_backend::weights::TensorFile;
use equidrift_pard::{
    BlockBatch, BlockQuestions, CorruptionDraw, ReleasedModel, Sequence, StructureFeatures, Targets,
    convert_pard, corrupt,
};

pub(crate) const GOLDEN: &str = ".golden.safetensors";

/// The folder of Pard vectors.
pub(crate) fn pard_dir() -> Option<PathBuf> {
    let root = std::env::var_os("EQUIDRIFT_REFERENCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference"),
        PathBuf::from,
    );
    let dir = root.join("pard");
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
    pub(crate) model: ReleasedModel,
    pub(crate) golden: TensorFile,
}

/// All of them; none where the folder is absent.
pub(crate) fn cases() -> Vec<Case> {
    let Some(dir) = pard_dir() else { return Vec::new() };
    let mut names: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(GOLDEN)?.to_owned()))
        .filter(|name| dir.join(format!("{name}.safetensors")).is_file())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no vectors in {}", dir.display());
    let case = |name: String| Case {
        model: convert_pard(&dir.join(format!("{name}.json"))).unwrap(),
        golden: TensorFile::read(dir.join(format!("{name}{GOLDEN}"))).unwrap(),
        name,
    };
    names.into_iter().map(case).collect()
}

/// A noisy batch of a case, made from its graphs and recorded draws.
pub(crate) struct Noisy {
    pub(crate) clean: BlockBatch,
    pub(crate) batch: BlockBatch,
    pub(crate) times: Vec<usize>,
    pub(crate) nodes: Targets,
    pub(crate) pairs: Targets,
    pub(crate) noisy_nodes: Vec<usize>,
    pub(crate) noisy_pairs: Vec<usize>,
    /// What the block model sees.
    pub(crate) asked: BlockBatch,
    pub(crate) questions: BlockQuestions,
    pub(crate) structure: Option<StructureFeatures>,
    pub(crate) asked_structure: Option<StructureFeatures>,
}

impl Case {
    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        self.golden.tensors.get(name).unwrap_or_else(|| panic!("{}: no {name}", self.name)).to_f64()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.golden.tensors.contains_key(name)
    }

    pub(crate) fn noisy(&self) -> Noisy {
        let graphs = &self.model.graphs;
        let prefixes = self.model.networks.sequence == Sequence::Prefixes;
        let clean = if prefixes { BlockBatch::prefixes(graphs) } else { BlockBatch::doubled(graphs) };
        let (nodes, pairs) =
            if prefixes { clean.targets_of_last_blocks() } else { clean.targets_of_copies() };
        let times: Vec<usize> = self.numbers("in.t").iter().map(|&t| t as usize).collect();
        let draws = |what: &str, diffusion, targets: &Targets| {
            let [redraw, keep] = ["m0", "keep"].map(|kind| self.numbers(&format!("draw.{what}_{kind}")));
            let width = redraw.len() / times.len();
            corrupt(diffusion, targets, &times, |graph, rank| {
                let at = graph * width + rank;
                CorruptionDraw { redraw: redraw[at], keep: keep[at] }
            })
        };
        let noisy_nodes = draws("node", &self.model.diffusion.nodes, &nodes);
        let noisy_pairs = draws("edge", &self.model.diffusion.edges, &pairs);
        let mut batch = clean.clone();
        batch.set_nodes(&nodes, &noisy_nodes);
        batch.set_pairs(&pairs, &noisy_pairs);
        let (asked, questions) = if prefixes {
            (clean.clone(), BlockBatch::questions_of_prefixes(graphs))
        } else {
            let single = BlockBatch::single(graphs);
            let questions = single.questions();
            (single, questions)
        };
        let structure = prefixes.then(|| StructureFeatures {
            cycles: self.numbers("in.structure.cycles"),
            spectral: Some(self.numbers("in.structure.all")),
        });
        let asked_structure = prefixes
            .then(|| StructureFeatures { cycles: self.numbers("in.structure.cycles_block"), spectral: None });
        Noisy {
            clean,
            batch,
            times,
            nodes,
            pairs,
            noisy_nodes,
            noisy_pairs,
            asked,
            questions,
            structure,
            asked_structure,
        }
    }
}

pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.try_into_vec_as::<f64>().unwrap()
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
