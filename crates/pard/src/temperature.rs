//! What the denoiser's logits are divided by at each step of generation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::PardError;

/// Largest temperature; its inverse is the smallest.
const MAX_TEMPERATURE: f64 = 100.0;

/// The predicted classes are softmax(logits / tau), with a tau that goes along a line from `noise` at t = T to `data` at t = 0.
///
/// Above 1 the samples are more diverse, below they have fewer kinds. What a tau that falls brings is on the card of `qm9-pard`.
///
/// As text and in files `1.1`, or `1.3:0.9` for a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Temperature {
    /// At t = T, above 0.
    pub noise: f64,
    /// At t = 0, above 0.
    pub data: f64,
}

impl Default for Temperature {
    fn default() -> Self {
        Self::constant(1.0)
    }
}

impl Temperature {
    /// The same at all steps.
    #[must_use]
    pub const fn constant(temperature: f64) -> Self {
        Self { noise: temperature, data: temperature }
    }

    /// The temperature at step t of T.
    #[must_use]
    pub fn at(self, t: usize, steps: usize) -> f64 {
        self.data + (self.noise - self.data) * t as f64 / steps as f64
    }

    /// Checks both ends.
    ///
    /// # Errors
    /// [`PardError::Temperature`].
    pub fn check(self) -> Result<(), PardError> {
        let possible = 1.0 / MAX_TEMPERATURE..=MAX_TEMPERATURE;
        if possible.contains(&self.noise) && possible.contains(&self.data) {
            Ok(())
        } else {
            Err(PardError::Temperature { found: self.to_string() })
        }
    }
}

/// `1.1`, `1.3:0.9`: the form of the command line.
impl fmt::Display for Temperature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.noise)?;
        if self.noise == self.data { Ok(()) } else { write!(formatter, ":{}", self.data) }
    }
}

impl FromStr for Temperature {
    type Err = PardError;

    fn from_str(text: &str) -> Result<Self, PardError> {
        let number = |text: &str| text.parse().map_err(|_| PardError::Temperature { found: text.to_owned() });
        let temperature = match text.split_once(':') {
            None => Self::constant(number(text)?),
            Some((noise, data)) => Self { noise: number(noise)?, data: number(data)? },
        };
        temperature.check()?;
        Ok(temperature)
    }
}

impl Serialize for Temperature {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        if self.noise == self.data { output.serialize_f64(self.noise) } else { output.collect_str(self) }
    }
}

impl<'de> Deserialize<'de> for Temperature {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Temperature;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number, or the text \"NOISE:DATA\"")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Temperature, E> {
                let temperature = Temperature::constant(number);
                temperature.check().map_err(E::custom)?;
                Ok(temperature)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Temperature, E> {
                self.visit_f64(number as f64)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Temperature, E> {
                self.visit_f64(number as f64)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Temperature, E> {
                text.parse().map_err(E::custom)
            }
        }
        input.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_numbers_and_lines_are_read_and_written() {
        let line = Temperature { noise: 1.3, data: 0.9 };
        for (text, json, temperature) in
            [("1.1", "1.1", Temperature::constant(1.1)), ("1.3:0.9", "\"1.3:0.9\"", line)]
        {
            assert_eq!(
                (text.parse::<Temperature>().unwrap(), temperature.to_string()),
                (temperature, text.into())
            );
            assert_eq!(serde_json::to_string(&temperature).unwrap(), json);
            assert_eq!(serde_json::from_str::<Temperature>(json).unwrap(), temperature);
        }
        assert_eq!(serde_json::from_str::<Temperature>("1").unwrap(), Temperature::default());
        assert_eq!(
            [0, 25, 50].map(|t| libm::round(line.at(t, 50) * 100.0)),
            [90.0, 110.0, 130.0],
            "from the noise to the data"
        );
        for text in ["", "a", "1:", ":1", "0", "-1", "nan", "inf", "1:0", "1:2:3", "101"] {
            let error = text.parse::<Temperature>().unwrap_err().to_string();
            assert!(error.contains("0.01 to 100"), "{text}: {error}");
        }
        for json in ["\"1:0\"", "0", "-1.5"] {
            assert!(
                serde_json::from_str::<Temperature>(json).unwrap_err().to_string().contains("0.01 to 100")
            );
        }
        assert!(serde_json::from_str::<Temperature>("true").unwrap_err().to_string().contains("NOISE:DATA"));
    }
}
