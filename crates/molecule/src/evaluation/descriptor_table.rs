//! Descriptors of every molecule of a set, column by column, for distributions.

use serde::{Deserialize, Serialize};

use crate::metrics::profile::MoleculeProfile;

/// One descriptor of all molecules of a set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Column {
    values: Vec<f32>,
}

/// What a column comes to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// The mean.
    pub mean: f64,
    /// The standard deviation over molecules.
    pub standard_deviation: f64,
    /// The standard error of the mean, of independent molecules.
    pub standard_error: f64,
    /// The 5 %, 50 % and 95 % quantiles.
    pub quantiles: [f64; 3],
}

impl Column {
    /// The values, in the order of the file.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The summary; `None` for no molecule. The error of one molecule is zero.
    #[must_use]
    pub fn summary(&self) -> Option<ColumnSummary> {
        let count = self.values.len() as f64;
        let values = || self.values.iter().map(|value| f64::from(*value));
        let mean = values().sum::<f64>() / count;
        let square = values().map(|value| (value - mean) * (value - mean)).sum::<f64>();
        let standard_deviation = (square / (count - 1.0).max(1.0)).sqrt();
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let quantile =
            |share: f64| sorted.get((share * (count - 1.0)).round() as usize).map(|value| f64::from(*value));
        Some(ColumnSummary {
            mean,
            standard_deviation,
            standard_error: standard_deviation / count.sqrt(),
            quantiles: [quantile(0.05)?, quantile(0.5)?, quantile(0.95)?],
        })
    }
}

/// The columns. Memory: 4 bytes a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DescriptorTable {
    /// Atoms other than hydrogen.
    pub heavy_atoms: Column,
    /// Molecular weight, g/mol.
    pub molecular_weight: Column,
    /// Octanol-water partition coefficient, log10 (Crippen).
    pub log_p: Column,
    /// Quantitative estimate of drug-likeness.
    pub drug_likeness: Column,
    /// Rings.
    pub rings: Column,
    /// Synthetic accessibility score; empty without its table.
    pub synthetic_accessibility: Column,
    /// Molecules that cannot be analysed.
    pub left_out: u64,
}

impl DescriptorTable {
    /// Add a molecule; `None` for one that cannot be analysed.
    pub(super) fn add(&mut self, profile: Option<&MoleculeProfile>) {
        let Some(MoleculeProfile { descriptors, synthetic_accessibility, .. }) = profile else {
            self.left_out += 1;
            return;
        };
        for (column, value) in [
            (&mut self.heavy_atoms, f64::from(descriptors.heavy_atoms)),
            (&mut self.molecular_weight, descriptors.molecular_weight),
            (&mut self.log_p, descriptors.log_p),
            (&mut self.drug_likeness, descriptors.drug_likeness),
            (&mut self.rings, f64::from(descriptors.rings)),
        ] {
            column.values.push(value as f32);
        }
        self.synthetic_accessibility.values.extend(synthetic_accessibility.map(|score| score as f32));
    }

    /// The columns that have values, with the names of their descriptors.
    pub fn columns(&self) -> impl Iterator<Item = (&'static str, &Column)> {
        [
            ("heavy_atoms", &self.heavy_atoms),
            ("molecular_weight", &self.molecular_weight),
            ("log_p", &self.log_p),
            ("drug_likeness", &self.drug_likeness),
            ("rings", &self.rings),
            ("synthetic_accessibility", &self.synthetic_accessibility),
        ]
        .into_iter()
        .filter(|(_, column)| !column.values.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::profile::{ProfileScope, Profiler};

    #[test]
    fn columns_hold_the_values_and_sum_them_up() {
        let mut table = DescriptorTable::default();
        let mut profiler = Profiler::new(ProfileScope::default());
        for smiles in ["CCO", "c1ccccc1", "C(", "C1CC1"] {
            table.add(profiler.profile(smiles).ok().as_ref());
        }
        assert_eq!((table.heavy_atoms.values(), table.left_out), (&[3.0, 6.0, 3.0][..], 1));
        assert_eq!(table.rings.values(), [0.0, 1.0, 1.0]);
        assert!((table.molecular_weight.values()[0] - 46.069).abs() < 1e-4);
        let summary = table.heavy_atoms.summary().unwrap();
        assert_eq!(
            (summary.mean, summary.standard_deviation, summary.quantiles),
            (4.0, 3_f64.sqrt(), [3.0, 3.0, 6.0])
        );
        assert!((summary.standard_error - 1.0).abs() < 1e-12);
        let names: Vec<_> = table.columns().map(|(name, _)| name).collect();
        assert_eq!(names, ["heavy_atoms", "molecular_weight", "log_p", "drug_likeness", "rings"]);
        assert_eq!(Column::default().summary(), None);
    }
}
