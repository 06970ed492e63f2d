//! QED, the quantitative estimate of drug-likeness: a weighted geometric mean of eight desirabilities.
//!
//! `QED = exp(sum_i w_i ln d_i(p_i) / sum_i w_i)` with the asymmetric double sigmoid
//! `d(p) = (a + b / (1 + exp(-(p - c + d/2) / e)) (1 - 1 / (1 + exp(-(p - c - d/2) / f)))) / d_max`.
//!
//! | symbol | here |
//! | --- | --- |
//! | `p_i` | the fields of [`QedProperties`] |
//! | `a..f, d_max` | [`DoubleSigmoid`] |
//! | `w_i` | [`MEAN_WEIGHTS`] |
//!
//! Cost: 127 substructure searches, about a millisecond for a drug.
//!
//! Reference: Bickerton, Paolini, Besnard, Muresan, Hopkins, "Quantifying the chemical beauty of drugs", Nature
//! Chemistry 4, 90 (2012). RDKit has QED in Python only (`rdkit/Chem/QED.py`);
//! the properties here are computed as there, with RDKit's C++ functions.

use cxx::{SharedPtr, let_cxx_string};

use crate::bridge::ffi;
use crate::error::RdkitError;
use crate::molecule::Molecule;
use crate::structural_alerts::{ACCEPTORS, ALERTS, ALIPHATIC_RING_ATOM};

/// As many matches of one acceptor pattern as RDKit's Python code would count.
const MATCH_LIMIT: u32 = 1000;

/// The eight properties that QED weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QedProperties {
    /// Average molecular weight in dalton.
    pub molecular_weight: f64,
    /// Wildman-Crippen estimate of the octanol-water partition coefficient, log10.
    pub log_p: f64,
    /// Hydrogen-bond acceptors.
    pub acceptors: u32,
    /// Hydrogen-bond donors.
    pub donors: u32,
    /// Topological polar surface area in square angstrom.
    pub polar_surface_area: f64,
    /// Rotatable bonds, strict definition.
    pub rotatable_bonds: u32,
    /// Rings left when aliphatic ring atoms are deleted.
    pub aromatic_rings: u32,
    /// Kinds of unwanted groups that occur.
    pub alerts: u32,
}

/// The parameters of one desirability function.
struct DoubleSigmoid {
    a: f64,
    b: f64,
    c: f64,
    d: f64,
    e: f64,
    f: f64,
    maximum: f64,
}

impl DoubleSigmoid {
    /// Desirability of the value `p`, in 0..=1.
    fn at(&self, p: f64) -> f64 {
        let rise = 1.0 + (-(p - self.c + self.d / 2.0) / self.e).exp();
        let fall = 1.0 + (-(p - self.c - self.d / 2.0) / self.f).exp();
        (self.a + self.b / rise * (1.0 - 1.0 / fall)) / self.maximum
    }
}

const fn sigmoid(a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, maximum: f64) -> DoubleSigmoid {
    DoubleSigmoid { a, b, c, d, e, f, maximum }
}

/// Fitted by the authors to 771 oral drugs; in the order of [`QedProperties`].
const DESIRABILITY: [DoubleSigmoid; 8] = [
    sigmoid(2.817065973, 392.5754953, 290.7489764, 2.419764353, 49.22325677, 65.37051707, 104.9805561),
    sigmoid(3.172690585, 137.8624751, 2.534937431, 4.581497897, 0.822739154, 0.576295591, 131.3186604),
    sigmoid(2.948620388, 160.4605972, 3.615294657, 4.435986202, 0.290141953, 1.300669958, 148.7763046),
    sigmoid(1.618662227, 1010.051101, 0.985094388, 0.000000001, 0.713820843, 0.920922555, 258.1632616),
    sigmoid(1.876861559, 125.2232657, 62.90773554, 87.83366614, 12.01999824, 28.51324732, 104.5686167),
    sigmoid(0.010000000, 272.4121427, 2.558379970, 1.565547684, 1.271567166, 2.758063707, 105.4420403),
    sigmoid(3.217788970, 957.7374108, 2.274627939, 0.000000001, 1.317690384, 0.375760881, 312.3372610),
    sigmoid(0.010000000, 1199.094025, -0.09002883, 0.000000001, 0.185904477, 0.875193782, 417.7253140),
];

/// Mean of the 1,000 most informative weightings (`QED_w,mo` in the paper), in the same order.
const MEAN_WEIGHTS: [f64; 8] = [0.66, 0.46, 0.05, 0.61, 0.06, 0.65, 0.48, 0.95];

impl QedProperties {
    /// The weighted geometric mean of the desirabilities, in 0..=1.
    #[must_use]
    pub fn qed(&self) -> f64 {
        let values = [
            self.molecular_weight,
            self.log_p,
            f64::from(self.acceptors),
            f64::from(self.donors),
            self.polar_surface_area,
            f64::from(self.rotatable_bonds),
            f64::from(self.aromatic_rings),
            f64::from(self.alerts),
        ];
        let mut weighted = 0.0;
        for ((value, desirability), weight) in values.iter().zip(&DESIRABILITY).zip(MEAN_WEIGHTS) {
            weighted += weight * desirability.at(*value).ln();
        }
        (weighted / MEAN_WEIGHTS.iter().sum::<f64>()).exp()
    }
}

/// The compiled patterns.
struct Patterns {
    acceptors: Vec<SharedPtr<ffi::RWMol>>,
    alerts: Vec<SharedPtr<ffi::RWMol>>,
    aliphatic_ring_atom: SharedPtr<ffi::RWMol>,
}

impl Patterns {
    fn compile() -> Result<Self, RdkitError> {
        Ok(Self {
            acceptors: compile_all(&ACCEPTORS)?,
            alerts: compile_all(&ALERTS)?,
            aliphatic_ring_atom: compile_smarts(ALIPHATIC_RING_ATOM)?,
        })
    }
}

thread_local! {
    // One set per thread: RDKit's recursive queries keep state in the pattern while they are matched.
    static PATTERNS: Result<Patterns, RdkitError> = Patterns::compile();
}

fn compile_all(patterns: &[&str]) -> Result<Vec<SharedPtr<ffi::RWMol>>, RdkitError> {
    patterns.iter().map(|pattern| compile_smarts(pattern)).collect()
}

fn compile_smarts(pattern: &str) -> Result<SharedPtr<ffi::RWMol>, RdkitError> {
    const TASK: &str = "read a SMARTS pattern of QED";
    let_cxx_string!(text = pattern);
    let compiled = rdkit_sys::rw_mol_ffi::smarts_to_mol(&text).map_err(RdkitError::exception(TASK))?;
    if compiled.is_null() {
        return Err(RdkitError::Exception { task: TASK, reason: format!("syntax error in {pattern}") });
    }
    Ok(compiled)
}

impl Molecule {
    /// The properties that QED weighs.
    ///
    /// # Errors
    /// [`RdkitError::Exception`] if RDKit gives up.
    pub fn qed_properties(&self) -> Result<QedProperties, RdkitError> {
        PATTERNS.with(|patterns| match patterns {
            Ok(patterns) => self.properties_with(patterns),
            Err(error) => {
                Err(RdkitError::Exception { task: "prepare QED's patterns", reason: error.to_string() })
            }
        })
    }

    /// QED with the paper's mean weights, in 0..=1.
    ///
    /// # Errors
    /// As [`Molecule::qed_properties`].
    pub fn qed(&self) -> Result<f64, RdkitError> {
        Ok(self.qed_properties()?.qed())
    }

    fn properties_with(&self, patterns: &Patterns) -> Result<QedProperties, RdkitError> {
        let failed = RdkitError::exception;
        let molecule = ffi::without_hydrogen_atoms(&self.handle).map_err(failed("remove hydrogen atoms"))?;
        let descriptors = ffi::descriptors(&molecule).map_err(failed("compute descriptors"))?;
        let mut acceptors = 0;
        for pattern in &patterns.acceptors {
            acceptors +=
                ffi::count_matches(&molecule, pattern, MATCH_LIMIT).map_err(failed("match acceptors"))?;
        }
        let mut alerts = 0;
        for pattern in &patterns.alerts {
            alerts += ffi::count_matches(&molecule, pattern, 1).map_err(failed("match structural alerts"))?;
        }
        let aromatic_rings = ffi::rings_after_deleting(&molecule, &patterns.aliphatic_ring_atom)
            .map_err(failed("count aromatic rings"))?;
        Ok(QedProperties {
            molecular_weight: descriptors.molecular_weight,
            log_p: descriptors.log_p,
            acceptors,
            donors: descriptors.hydrogen_bond_donors,
            polar_surface_area: descriptors.polar_surface_area,
            rotatable_bonds: descriptors.rotatable_bonds,
            aromatic_rings,
            alerts,
        })
    }
}
