//! Fréchet ChemNet Distance (Preuer, Renz, Unterthiner, Hochreiter & Klambauer, J. Chem. Inf. Model. 58, 1736, 2018).
//!
//! FCD = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), the squared 2-Wasserstein distance of two normal laws with the means
//! and covariances of [`ChemNet`]'s activations of two sets of molecules. Protocol, as in MOSES and
//! GDSS: all valid molecules of a set, repetitions kept, as canonical SMILES *of one back end for both sets*: the network
//! reads strings, so another spelling of the same molecules is another set to it. The covariance is the unbiased one.
//!
//! The distance of two finite draws of one law is not zero: it falls about as one over the set sizes. Compare only figures
//! whose set sizes are equal.

use std::borrow::Cow;

use nalgebra::{DMatrix, SymmetricEigen};

use super::chemnet::{ACTIVATIONS, ChemNet};
use crate::error::MoleculeError;

/// Strings whose activations are held at a time.
const CHUNK: usize = 4_096;
/// Rows that wait until they are added together, so that the sum of squares is a product of matrices.
const WAITING: usize = 64;

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
        let mut moments = ActivationMoments::new(1);
        for smiles in smiles.chunks(CHUNK) {
            moments.add(&net.encode(smiles, threads, progress));
        }
        moments.statistics()
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
        FrechetPivot::of(self).distance(other)
    }
}

/// One set that many others are compared with: what the distance needs of it, computed once.
#[derive(Debug, Clone)]
pub struct FrechetPivot<'a> {
    statistics: &'a ActivationStatistics,
    /// `S` with `C = S^T S`.
    root: DMatrix<f64>,
}

impl<'a> FrechetPivot<'a> {
    /// Cost: an eigenvalue problem with vectors, about 0.1 s.
    #[must_use]
    pub fn of(statistics: &'a ActivationStatistics) -> Self {
        // C = Q L Q^T = S^T S with S = L^(1/2) Q^T. Negative eigenvalues are rounding.
        let eigen = SymmetricEigen::new(statistics.covariance.clone());
        let mut root = eigen.eigenvectors.transpose();
        for (mut row, value) in root.row_iter_mut().zip(eigen.eigenvalues.iter()) {
            row *= value.max(0.0).sqrt();
        }
        Self { statistics, root }
    }

    /// The distance to a set. Cost: an eigenvalue problem without vectors, about 0.1 s.
    #[must_use]
    pub fn distance(&self, other: &ActivationStatistics) -> f64 {
        let own = self.statistics;
        let shift: f64 = own.mean.iter().zip(&other.mean).map(|(a, b)| (a - b) * (a - b)).sum();
        // C1 C2 has the eigenvalues of the symmetric S C2 S^T.
        let product = &self.root * &other.covariance * self.root.transpose();
        let symmetric = (&product + product.transpose()) * 0.5;
        let cross: f64 = symmetric.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum();
        shift + own.covariance.trace() + other.covariance.trace() - 2.0 * cross
    }
}

/// Moments of a stream of activations, in groups: row `i` belongs to group `i` mod `groups`. The statistics of any choice of
/// groups follow, such as the halves that standard errors are computed from ([`super::resampling`]). Memory: 2.2 MB a group, however long the stream.
#[derive(Debug, Clone)]
pub struct ActivationMoments {
    groups: Vec<Moments>,
    /// Rows seen.
    rows: usize,
}

impl ActivationMoments {
    /// Count the rows that still wait; then [`ActivationMoments::of_groups`] need not do so each time.
    pub fn settle(&mut self) {
        self.groups.iter_mut().for_each(Moments::settle);
    }

    /// Of no row yet. `groups` is at least one.
    #[must_use]
    pub fn new(groups: usize) -> Self {
        Self { groups: vec![Moments::new(ACTIVATIONS); groups.max(1)], rows: 0 }
    }

    /// Add rows `[count][512]`, in the order of the stream.
    pub fn add(&mut self, activations: &[f32]) {
        for row in activations.chunks_exact(ACTIVATIONS) {
            let group = self.rows % self.groups.len();
            self.groups[group].push(row);
            self.rows += 1;
        }
    }

    /// The statistics of the whole stream.
    ///
    /// # Errors
    /// [`MoleculeError::TooFewMolecules`] for fewer than two rows.
    pub fn statistics(&self) -> Result<ActivationStatistics, MoleculeError> {
        self.of_groups(&vec![1; self.groups.len()])
    }

    /// The statistics of a set that has each row of group `g` `times[g]` times. Cost: some ms a group.
    ///
    /// # Errors
    /// [`MoleculeError::TooFewMolecules`] for fewer than two rows.
    pub fn of_groups(&self, times: &[u32]) -> Result<ActivationStatistics, MoleculeError> {
        let groups: Vec<Cow<'_, Moments>> = self.groups.iter().map(Moments::settled).collect();
        let chosen = || groups.iter().zip(times).filter(|(group, times)| group.count > 0 && **times > 0);
        let count: usize = chosen().map(|(group, times)| group.count * *times as usize).sum();
        if count < 2 {
            return Err(MoleculeError::TooFewMolecules { metric: "FCD", needed: 2, found: count });
        }
        let mut mean = vec![0.0; ACTIVATIONS];
        for (group, times) in chosen() {
            let share = f64::from(*times) * group.count as f64 / count as f64;
            mean.iter_mut().zip(&group.mean).for_each(|(mean, of_group)| *mean += share * of_group);
        }
        let mut scatter = DMatrix::zeros(ACTIVATIONS, ACTIVATIONS);
        for (group, times) in chosen() {
            let times = f64::from(*times);
            scatter.zip_apply(&group.scatter, |sum, of_group| *sum += times * of_group);
            let shift: Vec<f64> =
                group.mean.iter().zip(&mean).map(|(of_group, mean)| of_group - mean).collect();
            add_square(&mut scatter, times * group.count as f64, &shift);
        }
        scatter /= (count - 1) as f64;
        Ok(ActivationStatistics { molecules: count, mean, covariance: scatter })
    }
}

/// `matrix += weight * vector vector^T`.
fn add_square(matrix: &mut DMatrix<f64>, weight: f64, vector: &[f64]) {
    for (j, mut column) in matrix.column_iter_mut().enumerate() {
        let factor = weight * vector[j];
        column.iter_mut().zip(vector).for_each(|(value, vector_i)| *value += factor * vector_i);
    }
}

/// Mean and sum of squares about it, chunk by chunk (Chan, Golub & LeVeque 1983): no difference of large sums.
#[derive(Debug, Clone)]
struct Moments {
    count: usize,
    mean: Vec<f64>,
    scatter: DMatrix<f64>,
    /// Rows not yet counted.
    waiting: Vec<f32>,
}

impl Moments {
    fn new(width: usize) -> Self {
        Self { count: 0, mean: vec![0.0; width], scatter: DMatrix::zeros(width, width), waiting: Vec::new() }
    }

    fn push(&mut self, row: &[f32]) {
        self.waiting.extend_from_slice(row);
        if self.waiting.len() >= WAITING * self.mean.len() {
            self.settle();
        }
    }

    /// Counts the rows that wait.
    fn settle(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        self.add(&waiting);
        self.waiting = waiting;
        self.waiting.clear();
    }

    fn settled(&self) -> Cow<'_, Self> {
        let mut settled = Cow::Borrowed(self);
        if !self.waiting.is_empty() {
            settled.to_mut().settle();
        }
        settled
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
        self.scatter.gemm(1.0, &centred, &centred.transpose(), 1.0);
        let total = (self.count + added) as f64;
        let weight = self.count as f64 * added as f64 / total;
        let shift: Vec<f64> = mean.iter().zip(&self.mean).map(|(new, old)| new - old).collect();
        add_square(&mut self.scatter, weight, &shift);
        self.mean.iter_mut().zip(&shift).for_each(|(mean, shift)| *mean += shift * added as f64 / total);
        self.count += added;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that differ from one another, `[count][512]`.
    fn wave(count: usize) -> Vec<f32> {
        (0..count * ACTIVATIONS).map(|i| (i as f32 * 0.7 + (i % ACTIVATIONS) as f32).sin()).collect()
    }

    fn largest_difference(a: &ActivationStatistics, b: &ActivationStatistics) -> f64 {
        let mean = a.mean.iter().zip(&b.mean).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        mean.max((&a.covariance - &b.covariance).amax())
    }

    #[test]
    fn moments_are_those_of_the_definition_for_any_groups_and_chunks() {
        let rows = wave(150);
        let mut moments = ActivationMoments::new(1);
        moments.add(&rows);
        let whole = moments.statistics().unwrap();
        assert_eq!(whole.molecules, 150);
        let column = |i: usize| rows.chunks(ACTIVATIONS).map(move |row| f64::from(row[i]));
        let mean = |i: usize| column(i).sum::<f64>() / 150.0;
        let covariance =
            column(1).zip(column(7)).map(|(a, b)| (a - mean(1)) * (b - mean(7))).sum::<f64>() / 149.0;
        assert!((whole.mean[1] - mean(1)).abs() < 1e-14);
        assert!((whole.covariance[(1, 7)] - covariance).abs() < 1e-14);
        let mut parts = ActivationMoments::new(4);
        for part in [
            &rows[..9 * ACTIVATIONS],
            &[],
            &rows[9 * ACTIVATIONS..12 * ACTIVATIONS],
            &rows[12 * ACTIVATIONS..],
        ] {
            parts.add(part);
        }
        assert!(largest_difference(&whole, &parts.statistics().unwrap()) < 1e-13);
    }

    #[test]
    fn a_group_taken_twice_has_its_rows_twice() {
        let rows = wave(90);
        let mut grouped = ActivationMoments::new(3);
        grouped.add(&rows);
        let found = grouped.of_groups(&[2, 0, 1]).unwrap();
        let mut plain = ActivationMoments::new(1);
        for (i, row) in rows.chunks(ACTIVATIONS).enumerate() {
            (0..[2, 0, 1][i % 3]).for_each(|_| plain.add(row));
        }
        assert_eq!(found.molecules, 90);
        assert!(largest_difference(&found, &plain.statistics().unwrap()) < 1e-13);
        assert!(grouped.of_groups(&[0, 0, 0]).is_err());
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
        let mut moments = ActivationMoments::new(5);
        moments.add(&wave(1));
        assert!(matches!(
            moments.statistics(),
            Err(MoleculeError::TooFewMolecules { needed: 2, found: 1, .. })
        ));
    }
}
