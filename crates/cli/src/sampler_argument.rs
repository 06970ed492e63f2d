//! Samplers as they are named on the command line.

use equidrift_sampler::SamplerConfig;

use crate::exit::{Exit, Failure};

/// The sampler of a name, with its usual options, or of a JSON object with options.
///
/// # Errors
/// [`Exit::Usage`] for an unknown name or option.
pub(crate) fn sampler(text: &str) -> Result<SamplerConfig, Failure> {
    let usage = |error: &dyn std::fmt::Display| {
        Failure::message(Exit::Usage, format_args!("{error} (sampler {text})"))
    };
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| usage(&error));
    }
    SamplerConfig::by_name(text).map_err(|error| Failure::new(Exit::Usage, error))
}
