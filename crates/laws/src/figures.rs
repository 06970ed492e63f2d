//! Figures: a number that was published or derived, the number measured, and how far apart they may be.
//!
//! A law test makes figures and checks them; the same figures make the table of the book, so that the table cannot say
//! something else than the tests.

use std::fmt;

/// What a measured number must satisfy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Accept {
    /// |measured − expected| ≤ x |expected|.
    Relative(f64),
    /// |measured − expected| ≤ x.
    Absolute(f64),
    /// measured ≤ expected.
    AtMost,
    /// measured ≥ expected.
    AtLeast,
    /// low ≤ measured ≤ high; the expected number is for information.
    Between(f64, f64),
}

/// An expected and a measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The method or problem it belongs to, for instance `C18` or `L2`.
    pub entry: &'static str,
    /// What is measured.
    pub what: String,
    /// The expected number or bound.
    pub expected: f64,
    /// What is accepted.
    pub accept: Accept,
    /// The measured number.
    pub measured: f64,
}

impl Figure {
    /// A figure.
    #[must_use]
    pub fn new(
        entry: &'static str,
        what: impl Into<String>,
        expected: f64,
        accept: Accept,
        measured: f64,
    ) -> Self {
        Self { entry, what: what.into(), expected, accept, measured }
    }

    /// Whether the measured number is accepted. What is not a number never is.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        let Self { expected, measured, .. } = *self;
        match self.accept {
            Accept::Relative(x) => (measured - expected).abs() <= x * expected.abs(),
            Accept::Absolute(x) => (measured - expected).abs() <= x,
            Accept::AtMost => measured <= expected,
            Accept::AtLeast => measured >= expected,
            Accept::Between(low, high) => (low..=high).contains(&measured),
        }
    }

    /// Fails a test unless the measured number is accepted.
    ///
    /// # Panics
    /// If it is not.
    pub fn check(&self) {
        assert!(self.is_accepted(), "{self}");
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entry, what, expected, accept, measured } = self;
        write!(f, "{entry}: {what}: measured {measured:.6e}, expected {expected:.6e}, accepted {accept}")
    }
}

impl fmt::Display for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(x) => write!(f, "± {:.3} %", 100.0 * x),
            Self::Absolute(x) => write!(f, "± {x}"),
            Self::AtMost => f.write_str("at most that"),
            Self::AtLeast => f.write_str("at least that"),
            Self::Between(low, high) => write!(f, "{low} to {high}"),
        }
    }
}
