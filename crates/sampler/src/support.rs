//! The subspace a component lives in, sample by sample.
//!
//! A component is stored as a padded matrix row, but only some of its entries are free coordinates: those of real
//! nodes, and for a symmetric matrix one per unordered pair of different real nodes. A [`Support`] knows which, and
//! gives every coordinate a **key** that depends on the nodes alone, not on padding or position in the batch.

use std::sync::Arc;

/// How a row `[D]` of a component is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// `dim` free coordinates; D = `dim`.
    Vector {
        /// Number of coordinates.
        dim: usize,
    },
    /// `[N, F]`, one feature row per node; D = N·F.
    Nodes {
        /// Padded number of nodes N.
        nodes: usize,
        /// Features per node F.
        features: usize,
    },
    /// `[N, N]`, symmetric with a zero diagonal; D = N².
    SymmetricPairs {
        /// Padded number of nodes N.
        nodes: usize,
    },
}

impl Layout {
    /// Row width D.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            Self::Vector { dim } => dim,
            Self::Nodes { nodes, features } => nodes * features,
            Self::SymmetricPairs { nodes } => nodes * nodes,
        }
    }

    /// Number of sites a mask has: nodes N, or `dim` for a vector.
    #[must_use]
    pub fn sites(self) -> usize {
        match self {
            Self::Vector { dim } => dim,
            Self::Nodes { nodes, .. } | Self::SymmetricPairs { nodes } => nodes,
        }
    }
}

/// The subspace of a batch of B rows: layout, node masks and node labels. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Support {
    layout: Layout,
    mask: Arc<Vec<Vec<bool>>>,
    labels: Option<Arc<Vec<Vec<u32>>>>,
    /// Whether every site of every row is real.
    full: bool,
    /// Whether the mean over the real nodes of every row is 0 in every feature.
    centred: bool,
    /// Which row of the batch each row was taken from; its own place where absent.
    origins: Option<Arc<Vec<usize>>>,
}

/// Equal are supports of the same subspaces and labels, wherever their rows come from.
impl PartialEq for Support {
    fn eq(&self, other: &Self) -> bool {
        (self.layout, self.full, self.centred, &self.mask, &self.labels)
            == (other.layout, other.full, other.centred, &other.mask, &other.labels)
    }
}

/// Key of coordinate `feature` of the node labelled `label`, for `features` features per node.
#[inline]
#[must_use]
pub fn node_key(label: u32, feature: usize, features: usize) -> u64 {
    u64::from(label) * features as u64 + feature as u64
}

/// Key of the unordered pair of two different labels: `hi·(hi−1)/2 + lo`, dense and independent of N.
#[inline]
#[must_use]
pub fn pair_key(a: u32, b: u32) -> u64 {
    let (lo, hi) = if a < b { (u64::from(a), u64::from(b)) } else { (u64::from(b), u64::from(a)) };
    hi * hi.saturating_sub(1) / 2 + lo
}

impl Support {
    /// Vectors of `dim` free coordinates, `batch` rows.
    #[must_use]
    pub fn vector(batch: usize, dim: usize) -> Self {
        Self {
            layout: Layout::Vector { dim },
            mask: Arc::new(vec![vec![true; dim]; batch]),
            labels: None,
            full: true,
            centred: false,
            origins: None,
        }
    }

    /// Node features `[N, F]`; `mask[b][i]` says whether node i of sample b is real. Rows must be equally long:
    /// short ones are completed with absent nodes.
    #[must_use]
    pub fn nodes(mask: Vec<Vec<bool>>, features: usize) -> Self {
        let (mask, nodes, full) = even(mask);
        let layout = Layout::Nodes { nodes, features };
        Self { layout, mask, labels: None, full, centred: false, origins: None }
    }

    /// Symmetric matrices `[N, N]` with zero diagonal over the nodes of `mask`, as [`Support::nodes`].
    #[must_use]
    pub fn symmetric_pairs(mask: Vec<Vec<bool>>) -> Self {
        let (mask, nodes, full) = even(mask);
        let layout = Layout::SymmetricPairs { nodes };
        Self { layout, mask, labels: None, full, centred: false, origins: None }
    }

    /// The subspace in which the mean over the real nodes of a row is 0 in every feature: trajectories without a joint centre
    /// of mass (Han et al., NeurIPS 2024). Projection takes the mean away. Node features only; other layouts are left as
    /// they are.
    #[must_use]
    pub fn centred(mut self) -> Self {
        self.centred = matches!(self.layout, Layout::Nodes { .. });
        self
    }

    /// Names the nodes: `labels[b][i]` is the label of node i of sample b (default: i). Noise is keyed by labels, so
    /// permuting nodes together with their labels permutes the noise. Labels of a sample should be distinct.
    /// Short rows are completed with positions.
    #[must_use]
    pub fn with_labels(mut self, mut labels: Vec<Vec<u32>>) -> Self {
        let sites = self.layout.sites();
        labels.resize_with(self.batch(), Vec::new);
        for row in &mut labels {
            let from = row.len().min(sites);
            row.truncate(sites);
            row.extend(from as u32..sites as u32);
        }
        self.labels = Some(Arc::new(labels));
        self
    }

    /// The rows at these places, in this order.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        let mask: Vec<Vec<bool>> = rows.iter().map(|&row| self.mask[row].clone()).collect();
        let full = self.full || mask.iter().flatten().all(|&m| m);
        let labels = self
            .labels
            .as_ref()
            .map(|labels| Arc::new(rows.iter().map(|&row| labels[row].clone()).collect()));
        let origins = Some(Arc::new(rows.iter().map(|&row| self.origin(row)).collect()));
        Self { layout: self.layout, mask: Arc::new(mask), labels, full, centred: self.centred, origins }
    }

    /// Which row of the batch it was selected from a row is, through any number of [`Support::select`]; its own place where
    /// nothing was selected. A denoiser with values per sample, such as a mean, finds them by it when rows have left the
    /// batch or were doubled.
    #[must_use]
    pub fn origin(&self, row: usize) -> usize {
        self.origins.as_ref().map_or(row, |origins| origins[row])
    }

    /// All rows of supports with the layout of the first, one after another.
    #[must_use]
    pub(crate) fn concat(parts: &[&Self]) -> Self {
        let mask = parts.iter().flat_map(|part| part.mask.iter().cloned()).collect();
        let labels = parts.iter().any(|part| part.has_labels()).then(|| {
            let rows = parts.iter().flat_map(|part| {
                (0..part.batch())
                    .map(|row| (0..part.layout.sites()).map(|site| part.label(row, site)).collect())
            });
            Arc::new(rows.collect())
        });
        let full = parts.iter().all(|part| part.full);
        let origins = parts.iter().any(|part| part.origins.is_some()).then(|| {
            let rows = parts.iter().flat_map(|part| (0..part.batch()).map(|row| part.origin(row)));
            Arc::new(rows.collect())
        });
        let (layout, centred) = (parts[0].layout, parts[0].centred);
        Self { layout, mask: Arc::new(mask), labels, full, centred, origins }
    }

    /// How rows are to be read.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Number of rows B.
    #[must_use]
    pub fn batch(&self) -> usize {
        self.mask.len()
    }

    /// Row width D.
    #[must_use]
    pub fn width(&self) -> usize {
        self.layout.width()
    }

    /// Which sites of a row are real.
    #[must_use]
    pub fn mask(&self, row: usize) -> &[bool] {
        &self.mask[row]
    }

    /// Whether every site of every row is real, so that no mask is needed on nodes.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Whether the mean over the real nodes is 0.
    #[must_use]
    pub fn is_centred(&self) -> bool {
        self.centred
    }

    /// Label of a site.
    #[must_use]
    pub fn label(&self, row: usize, site: usize) -> u32 {
        self.labels.as_ref().map_or(site as u32, |labels| labels[row][site])
    }

    /// Whether labels were given.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// Number of free coordinates of a row: real nodes × F (F fewer where their mean is 0), or unordered pairs of real nodes.
    #[must_use]
    pub fn degrees_of_freedom(&self, row: usize) -> usize {
        match self.layout {
            Layout::Nodes { features, .. } if self.centred => self.coordinates(row).saturating_sub(features),
            _ => self.coordinates(row),
        }
    }

    /// Number of coordinates that [`Support::for_each_coordinate`] visits.
    pub(crate) fn coordinates(&self, row: usize) -> usize {
        let real = self.mask[row].iter().filter(|&&m| m).count();
        match self.layout {
            Layout::Vector { .. } => real,
            Layout::Nodes { features, .. } => real * features,
            Layout::SymmetricPairs { .. } => real * real.saturating_sub(1) / 2,
        }
    }

    /// Calls `visit(index in the row, key)` for each free coordinate; of a symmetric pair only the entry above the
    /// diagonal is visited.
    pub fn for_each_coordinate(&self, row: usize, mut visit: impl FnMut(usize, u64)) {
        let mask = &self.mask[row];
        match self.layout {
            Layout::Vector { dim } => {
                for (i, _) in mask.iter().enumerate().take(dim).filter(|(_, m)| **m) {
                    visit(i, node_key(self.label(row, i), 0, 1));
                }
            }
            Layout::Nodes { nodes, features } => {
                for i in (0..nodes).filter(|&i| mask[i]) {
                    let label = self.label(row, i);
                    for f in 0..features {
                        visit(i * features + f, node_key(label, f, features));
                    }
                }
            }
            Layout::SymmetricPairs { nodes } => {
                for i in (0..nodes).filter(|&i| mask[i]) {
                    let label = self.label(row, i);
                    for j in (i + 1..nodes).filter(|&j| mask[j]) {
                        visit(i * nodes + j, pair_key(label, self.label(row, j)));
                    }
                }
            }
        }
    }

    /// 1 where an entry of the padded batch `[B, D]` belongs to the support, else 0 (diagonal of pairs: 0).
    #[must_use]
    pub fn element_mask(&self) -> Vec<f64> {
        let width = self.width();
        let mut out = vec![0.0; self.batch() * width];
        for (row, values) in out.chunks_exact_mut(width.max(1)).enumerate().take(self.batch()) {
            self.for_each_coordinate(row, |index, _| values[index] = 1.0);
            if let Layout::SymmetricPairs { nodes } = self.layout {
                mirror(values, nodes);
            }
        }
        out
    }

    /// Orthogonal projection of one row onto the support: entries of absent nodes and the diagonal of pairs become
    /// zero (whatever they hold, NaN included), the two entries of a pair their mean; where the support is centred, the mean
    /// over real nodes is taken away. Returns whether anything changed.
    pub fn project_row<T: Real>(&self, row: usize, values: &mut [T]) -> bool {
        let mask = &self.mask[row];
        let mut changed = false;
        match self.layout {
            Layout::Vector { .. } | Layout::Nodes { .. } => {
                let features = if let Layout::Nodes { features, .. } = self.layout { features } else { 1 };
                if !self.full {
                    for (site, _) in mask.iter().enumerate().filter(|(_, m)| !**m) {
                        changed |= clear(&mut values[site * features..(site + 1) * features]);
                    }
                }
                if self.centred {
                    changed |= centre(mask, features, values);
                }
            }
            Layout::SymmetricPairs { nodes } => {
                for i in 0..nodes {
                    if !mask[i] {
                        changed |= clear(&mut values[i * nodes..(i + 1) * nodes]);
                        continue;
                    }
                    changed |= clear(&mut values[i * nodes + i..=i * nodes + i]);
                    for j in 0..i {
                        let (below, above) = (values[i * nodes + j], values[j * nodes + i]);
                        if mask[j] && below != above {
                            let mean = below.midpoint(above);
                            values[i * nodes + j] = mean;
                            values[j * nodes + i] = mean;
                            changed = true;
                        }
                    }
                    if !self.full {
                        for j in (0..nodes).filter(|&j| !mask[j]) {
                            changed |= clear(&mut values[i * nodes + j..=i * nodes + j]);
                        }
                    }
                }
            }
        }
        changed
    }

    /// Sum of squares of a row in free coordinates, in f64: each unordered pair counts once.
    ///
    /// Four interleaved partial sums over the free coordinates in order: no chain of dependent additions, and an order
    /// that depends neither on the batch nor on how far the row is padded.
    #[must_use]
    pub fn sum_of_squares<T: Real>(&self, row: usize, values: &[T]) -> f64 {
        let mask = &self.mask[row];
        let mut partial = [0.0; 4];
        let mut place = 0;
        let mut add = |value: T| {
            let value = value.to_f64();
            partial[place & 3] += value * value;
            place += 1;
        };
        match self.layout {
            Layout::Vector { .. } => values.iter().copied().for_each(&mut add),
            Layout::Nodes { features, .. } => {
                for (site, _) in mask.iter().enumerate().filter(|(_, m)| **m) {
                    values[site * features..(site + 1) * features].iter().copied().for_each(&mut add);
                }
            }
            Layout::SymmetricPairs { nodes } => {
                for i in (0..nodes).filter(|&i| mask[i]) {
                    let above = &values[i * nodes + i + 1..(i + 1) * nodes];
                    for (value, _) in above.iter().zip(&mask[i + 1..]).filter(|(_, m)| **m) {
                        add(*value);
                    }
                }
            }
        }
        (partial[0] + partial[1]) + (partial[2] + partial[3])
    }

    /// Inner product of two rows in free coordinates: each unordered pair counts once.
    #[must_use]
    pub fn dot(&self, row: usize, a: &[f64], b: &[f64]) -> f64 {
        let mut sum = 0.0;
        self.for_each_coordinate(row, |index, _| sum += a[index] * b[index]);
        sum
    }

    /// Euclidean norm of a row in free coordinates: each unordered pair counts once.
    #[must_use]
    pub fn norm(&self, row: usize, a: &[f64]) -> f64 {
        libm::sqrt(self.dot(row, a, a))
    }
}

/// The two precisions a state may have.
pub trait Real: Copy + PartialEq + private::Sealed {
    /// Zero.
    const ZERO: Self;
    /// (a + b) / 2.
    #[must_use]
    fn midpoint(self, other: Self) -> Self;
    /// To f64, exact.
    fn to_f64(self) -> f64;
    /// From f64, rounded.
    fn of_f64(value: f64) -> Self;
    /// Neither infinite nor NaN.
    fn is_finite(self) -> bool;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    fn midpoint(self, other: Self) -> Self {
        0.5 * self + 0.5 * other
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn of_f64(value: f64) -> Self {
        value as Self
    }
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    fn midpoint(self, other: Self) -> Self {
        0.5 * self + 0.5 * other
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn of_f64(value: f64) -> Self {
        value
    }
    fn is_finite(self) -> bool {
        self.is_finite()
    }
}

/// Sets values to zero; whether any was not.
fn clear<T: Real>(values: &mut [T]) -> bool {
    let changed = values.iter().any(|value| *value != T::ZERO);
    if changed {
        values.fill(T::ZERO);
    }
    changed
}

/// Takes the mean over the real sites of a row `[sites, features]` away, feature by feature; whether it was not 0. The sums
/// are in f64 and over real sites in order, so that padding does not matter.
fn centre<T: Real>(mask: &[bool], features: usize, values: &mut [T]) -> bool {
    let real = mask.iter().filter(|&&m| m).count().max(1) as f64;
    let mut changed = false;
    for feature in 0..features {
        let places = || (0..mask.len()).filter(|&site| mask[site]).map(|site| site * features + feature);
        let mean = places().map(|place| values[place].to_f64()).sum::<f64>() / real;
        if mean != 0.0 {
            changed = true;
            for place in places() {
                values[place] = T::of_f64(values[place].to_f64() - mean);
            }
        }
    }
    changed
}

/// Copies the entries above the diagonal of an `[N, N]` row below it.
pub(crate) fn mirror(values: &mut [f64], nodes: usize) {
    for i in 0..nodes {
        for j in 0..i {
            values[i * nodes + j] = values[j * nodes + i];
        }
    }
}

fn even(mut mask: Vec<Vec<bool>>) -> (Arc<Vec<Vec<bool>>>, usize, bool) {
    let nodes = mask.iter().map(Vec::len).max().unwrap_or(0);
    for row in &mut mask {
        row.resize(nodes, false);
    }
    let full = mask.iter().flatten().all(|&m| m);
    (Arc::new(mask), nodes, full)
}
