//! The suites of MOSES and GuacaMol.

use equidrift_molecule::evaluation::JudgedSet;
use equidrift_molecule::metrics::guacamol::{GuacamolSet, KlDivergence};
use equidrift_molecule::metrics::moses::{MosesDistances, MosesDiversity};
use serde::Serialize;

/// What `--json` says of the MOSES suite.
#[derive(Serialize)]
pub(super) struct Moses {
    pub(super) generated: MosesAlone,
    pub(super) reference: Option<MosesAlone>,
    pub(super) distances: Option<MosesDistances>,
    pub(super) standard_errors: Option<MosesDistances>,
}

/// Figures of one set.
#[derive(Serialize)]
pub(super) struct MosesAlone {
    unique_at: Vec<UniqueAmong>,
    #[serde(flatten)]
    diversity: MosesDiversity,
    standard_errors: MosesDiversity,
}

/// Distinct molecules among the first valid ones.
#[derive(Serialize)]
struct UniqueAmong {
    first: u64,
    share: Option<f64>,
    standard_error: Option<f64>,
}

/// What `--json` says of GuacaMol's benchmark.
#[derive(Serialize)]
pub(super) struct Guacamol {
    pub(super) generated_molecules: usize,
    pub(super) reference_molecules: usize,
    #[serde(flatten)]
    pub(super) figures: KlDivergence,
    pub(super) standard_errors: KlDivergence,
}

/// A figure with its name, value and standard error.
pub(super) type Named = (String, Option<f64>, Option<f64>);

impl MosesAlone {
    /// In the order of the papers.
    pub(super) fn figures(&self) -> Vec<Named> {
        let unique = self
            .unique_at
            .iter()
            .map(|unique| (format!("unique@{}", unique.first), unique.share, unique.standard_error));
        let (figures, errors) = (&self.diversity, &self.standard_errors);
        let others = [
            ("IntDiv", figures.int_div, errors.int_div),
            ("IntDiv2", figures.int_div2, errors.int_div2),
            ("Filters", figures.filters, errors.filters),
        ];
        unique.chain(others.into_iter().map(|(name, value, error)| (name.to_owned(), value, error))).collect()
    }
}

impl Moses {
    /// Figures against the reference.
    pub(super) fn compared(&self) -> Vec<Named> {
        let Some((figures, errors)) = self.distances.as_ref().zip(self.standard_errors.as_ref()) else {
            return Vec::new();
        };
        [
            ("SNN", figures.snn, errors.snn),
            ("Frag", figures.frag, errors.frag),
            ("Scaf", figures.scaf, errors.scaf),
            ("W1 of log P", figures.log_p, errors.log_p),
            ("W1 of SA", figures.sa, errors.sa),
            ("W1 of QED", figures.qed, errors.qed),
            ("W1 of weight", figures.weight, errors.weight),
        ]
        .into_iter()
        .filter(|(_, value, _)| value.is_some())
        .map(|(name, value, error)| (name.to_owned(), value, error))
        .collect()
    }
}

impl Guacamol {
    /// The score and the divergences.
    pub(super) fn figures(&self) -> Vec<Named> {
        let score = ("KL score".to_owned(), self.figures.score, self.standard_errors.score);
        let divergences = self.figures.divergences.iter().zip(&self.standard_errors.divergences);
        let divergences =
            divergences.map(|((name, value), (_, error))| (format!("KL of {name}"), *value, *error));
        std::iter::once(score).chain(divergences).collect()
    }
}

/// How the suites are computed.
pub(super) struct Task<'a> {
    pub(super) halves: &'a [Vec<u32>],
    pub(super) threads: usize,
}

impl Task<'_> {
    pub(super) fn moses(&self, generated: &JudgedSet, reference: Option<&JudgedSet>) -> Moses {
        let alone = |set: &JudgedSet| {
            let (diversity, standard_errors) = set.moses.diversity_with_errors(self.threads);
            let unique_at = set.unique_at.shares().into_iter().zip(set.unique_at.errors());
            let unique_at = unique_at
                .map(|((first, share), standard_error)| UniqueAmong { first, share, standard_error })
                .collect();
            MosesAlone { unique_at, diversity, standard_errors }
        };
        let distances = reference.map(|reference| {
            generated.moses.distances_with_errors(&reference.moses, self.halves, self.threads)
        });
        let (distances, standard_errors) = distances.unzip();
        Moses { generated: alone(generated), reference: reference.map(alone), distances, standard_errors }
    }

    pub(super) fn guacamol(&self, generated: &GuacamolSet, reference: &GuacamolSet) -> Guacamol {
        let (figures, standard_errors) =
            generated.divergence_with_errors(reference, self.halves, self.threads);
        Guacamol {
            generated_molecules: generated.len(),
            reference_molecules: reference.len(),
            figures,
            standard_errors,
        }
    }
}
