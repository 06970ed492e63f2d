//! The `README.md` of a model folder.

use equidrift_backend::model_folder::card_table;
use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::config::GeotdmConfig;
use crate::network_config::Temporal;

/// A model card in Markdown: what the model is, its sizes, and a table of what was measured with it.
#[must_use]
pub fn model_card(config: &GeotdmConfig, parameters: &ParameterSet, measured: &[(String, String)]) -> String {
    let network = &config.network;
    let count: usize = parameters.values().map(HostTensor::len).sum();
    let generates = if network.prior.is_conditional() {
        let (before, behind) = (config.given_frames - config.given_behind, config.given_behind);
        match behind {
            0 => format!("{} frames that follow {before} given ones", config.frames),
            _ => format!("{} frames between {before} and {behind} given ones", config.frames),
        }
    } else {
        format!("trajectories of {} frames", config.frames)
    };
    let systems = match (config.system_kind(), config.time_step) {
        (Some(kind), Some(step)) => format!("{}, a frame every {step} fs", kind.name()),
        (Some(kind), None) => kind.name().to_owned(),
        (None, _) => "not recorded".to_owned(),
    };
    let kind = match network.temporal {
        Temporal::Attention => "EGTN",
        Temporal::None => "EGNN, frames apart",
    };
    let rows = [
        ("generates", generates),
        ("systems", systems),
        (
            "network",
            format!("{kind}, {} layers, width {}, {count} parameters", network.layers, network.hidden),
        ),
        ("features", format!("{} of a node, {} of an edge", network.node_features, network.edge_features)),
        ("prior", network.prior.to_string()),
        ("noise levels", config.diffusion.steps().to_string()),
        ("default sampler", format!("`{}`, {} steps", config.sampler.name(), config.steps)),
        ("origin", config.origin.clone().unwrap_or_else(|| "not recorded".to_owned())),
    ];
    let mut card =
        format!("# {}\n\nA GeoTDM model (diffusion of whole trajectories) for equidrift.\n\n", config.name);
    card_table(&mut card, ("property", "value"), rows.into_iter());
    if !measured.is_empty() {
        card.push_str("\n## Measured\n\n");
        let rows = measured.iter().map(|(what, value)| (what.as_str(), value.clone()));
        card_table(&mut card, ("what", "value"), rows);
    }
    card.push_str(
        "\nReference: Han, Xu, Lou, Ye, Ermon, \"Geometric Trajectory Diffusion Models\", NeurIPS 2024, \
         <https://arxiv.org/abs/2410.13027>.\n",
    );
    card
}
