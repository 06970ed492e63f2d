//! Fréchet ChemNet Distance (Preuer, Renz, Unterthiner, Hochreiter & Klambauer, J. Chem. Inf. Model. 58, 1736, 2018).
//!
//! FCD = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), the squared 2-Wasserstein distance of two normal laws with the means
//! and covariances of [`ChemNet`]'s activations of two sets of molecules. Protocol, as in MOSES and
//! GDSS: all valid molecules of a set, repetitions kept, as canonical SMILES *of one back end for both sets*: the network
//! reads strings, so another spelling of the same molecules is another set to it. The covariance is the unbiased one.
//!
//! The distance of two finite draws of one law is not zero: it falls about as one over the set sizes. Compare only figures
//! whose set sizes are equal.

use nalgebra::{DMatrix, SymmetricEigen};

use super::chemnet::{ACTIVATIONS, ChemNet};
use crate::error::MoleculeError;

/// Strings whose activations are held at a time.
const CHUNK: usize = 4_096;

/// Mean and covariance of a set's activations.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationStatistics {
    molecules: usize,
    mean: Vec<f64>,
    covariance: DMatrix<f64>,
}

impl ActivationStatistics {
    /// Of a set of canonical SMILES; for `progress` and cost see [`ChemNet::encode`]. Memory does not grow with the set.
    ///
    /// # Errors
    /// [`MoleculeError::TooFewMolecules`] for fewer than two.
    pub fn of_canonical<S: AsRef<str> + Sync>(
        net: &ChemNet,
        smiles: &[S],
        threads: usize,
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Self, MoleculeError> {
        let mut moments = Moments::new(ACTIVATIONS);
        for smiles in smiles.chunks(CHUNK) {
            moments.add(&net.encode(smiles, threads, progress));
        }
        moments.finish()
    }

    /// Statistics that were stored: 512 means and a symmetric 512 by 512 covariance; `None` for other lengths.
    pub(crate) fn from_stored(molecules: usize, mean: Vec<f64>, covariance: Vec<f64>) -> Option<Self> {
        let right = mean.len() == ACTIVATIONS && covariance.len() == ACTIVATIONS * ACTIVATIONS;
        right.then(|| {
            let covariance = DMatrix::from_vec(ACTIVATIONS, ACTIVATIONS, covariance);
            Self { molecules, mean, covariance }
        })
    }

    /// Molecules in the set.
    #[must_use]
    pub fn molecules(&self) -> usize {
        self.molecules
    }

    /// Whether there are too few molecules for a covariance of full rank, so that the distance says little.
    #[must_use]
    pub fn is_degenerate(&self) -> bool {
        self.molecules <= self.mean.len()
    }

    /// Mean of each activation.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The covariance matrix, row by row.
    #[must_use]
    pub fn covariance(&self) -> &[f64] {
        self.covariance.as_slice()
    }

    /// The distance to another set; symmetric to rounding. Cost: two eigenvalue problems, about 0.2 s.
    #[must_use]
    pub fn frechet_distance(&self, other: &Self) -> f64 {
        let shift: f64 = self.mean.iter().zip(&other.mean).map(|(a, b)| (a - b) * (a - b)).sum();
        // C1 C2 has the eigenvalues of the symmetric S C2 S^T with S = L^(1/2) Q^T, where C1 = Q L Q^T = S^T S. Negative
        // eigenvalues are rounding.
        let eigen = SymmetricEigen::new(self.covariance.clone());
        let mut root = eigen.eigenvectors.transpose();
        for (mut row, value) in root.row_iter_mut().zip(eigen.eigenvalues.iter()) {
            row *= value.max(0.0).sqrt();
        }
        let product = &root * &other.covariance * root.transpose();
        let symmetric = (&product + product.transpose()) * 0.5;
        let cross: f64 = symmetric.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum();
        shift + self.covariance.trace() + other.covariance.trace() - 2.0 * cross
    }
}

/// Mean and sum of squares about it, chunk by chunk (Chan, Golub & LeVeque 1983): no difference of large sums.
struct Moments {
    count: usize,
    mean: Vec<f64>,
    scatter: DMatrix<f64>,
}

impl Moments {
    fn new(width: usize) -> Self {
        Self { count: 0, mean: vec![0.0; width], scatter: DMatrix::zeros(width, width) }
    }

    /// Rows `[count][width]`.
    fn add(&mut self, rows: &[f32]) {
        let width = self.mean.len();
        let added = rows.len() / width;
        if added == 0 {
            return;
        }
        let mut mean = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        mean.iter_mut().for_each(|sum| *sum /= added as f64);
        // `[width][count]`, because nalgebra's matrices are stored by columns.
        let centred = DMatrix::from_fn(width, added, |i, row| f64::from(rows[row * width + i]) - mean[i]);
        self.scatter += &centred * centred.transpose();
        let total = (self.count + added) as f64;
        let weight = self.count as f64 * added as f64 / total;
        let shift: Vec<f64> = mean.iter().zip(&self.mean).map(|(new, old)| new - old).collect();
        for (j, mut column) in self.scatter.column_iter_mut().enumerate() {
            column.iter_mut().zip(&shift).for_each(|(value, shift_i)| *value += weight * shift_i * shift[j]);
        }
        self.mean.iter_mut().zip(&shift).for_each(|(mean, shift)| *mean += shift * added as f64 / total);
        self.count += added;
    }

    fn finish(self) -> Result<ActivationStatistics, MoleculeError> {
        if self.count < 2 {
            return Err(MoleculeError::TooFewMolecules { metric: "FCD", needed: 2, found: self.count });
        }
        let covariance = self.scatter / (self.count - 1) as f64;
        Ok(ActivationStatistics { molecules: self.count, mean: self.mean, covariance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(count: usize, width: usize, step: f32) -> Vec<f32> {
        (0..count * width).map(|i| (i as f32 * step + (i % width) as f32).sin()).collect()
    }

    fn statistics(width: usize, chunks: &[&[f32]]) -> ActivationStatistics {
        let mut moments = Moments::new(width);
        chunks.iter().for_each(|chunk| moments.add(chunk));
        moments.finish().unwrap()
    }

    #[test]
    fn moments_do_not_depend_on_the_chunks() {
        let rows = wave(50, 3, 0.7);
        let whole = statistics(3, &[&rows]);
        let parts = statistics(3, &[&rows[..9], &[], &rows[9..12], &rows[12..]]);
        assert_eq!(whole.molecules, 50);
        assert!((&whole.covariance - &parts.covariance).amax() < 1e-14);
        let mean: f64 = rows.chunks(3).map(|row| f64::from(row[1])).sum::<f64>() / 50.0;
        let variance = rows.chunks(3).map(|row| (f64::from(row[1]) - mean).powi(2)).sum::<f64>() / 49.0;
        assert!((parts.mean[1] - mean).abs() < 1e-14);
        assert!((parts.covariance[(1, 1)] - variance).abs() < 1e-14);
    }

    #[test]
    fn the_distance_of_normal_laws_with_commuting_covariances_is_the_closed_form() {
        let law = |mean: [f64; 3], std: [f64; 3]| ActivationStatistics {
            molecules: 9,
            mean: mean.to_vec(),
            covariance: {
                // The same rotation for both laws.
                let (s, c) = (0.6, 0.8);
                let q = DMatrix::from_row_slice(3, 3, &[c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0]);
                &q * DMatrix::from_diagonal(&std.map(|std| std * std).to_vec().into()) * q.transpose()
            },
        };
        let (a, b) = (law([1.0, 2.0, 0.0], [0.5, 2.0, 0.0]), law([0.0, 2.0, 2.0], [1.5, 1.0, 0.25]));
        // |m1 - m2|^2 + sum (s1 - s2)^2
        let exact = 5.0 + 1.0 + 1.0 + 0.0625;
        assert!((a.frechet_distance(&b) - exact).abs() < 1e-12, "{}", a.frechet_distance(&b));
        assert!((b.frechet_distance(&a) - exact).abs() < 1e-12);
        assert!(a.frechet_distance(&a).abs() < 1e-12);
    }

    #[test]
    fn one_molecule_has_no_covariance() {
        let mut moments = Moments::new(3);
        moments.add(&[1.0, 2.0, 3.0]);
        assert!(matches!(moments.finish(), Err(MoleculeError::TooFewMolecules { needed: 2, found: 1, .. })));
    }
}
