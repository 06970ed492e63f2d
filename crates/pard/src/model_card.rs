//! The `README.md` of a model folder.

use equidrift_backend::model_description::{SamplingWeights, Task};
use equidrift_backend::model_folder::card_table;
use equidrift_backend::weights::{HostTensor, ParameterSet};

use crate::config::PardConfig;
use crate::network_config::Tasks;

/// A model card in Markdown: what the model is, its sizes, and a table of what was measured with it.
#[must_use]
pub fn model_card(config: &PardConfig, parameters: &ParameterSet, measured: &[(String, String)]) -> String {
    let (what, classes) = match (&config.task, &config.vocabulary) {
        (Task::Molecules, Some(vocabulary)) => {
            ("molecules", format!("atoms {}", vocabulary.atoms.join(", ")))
        }
        (Task::Molecules, None) => ("molecules", "atoms".to_owned()),
        (Task::Graphs, _) => ("graphs", "one".to_owned()),
    };
    let network = &config.network;
    let blocks = match (config.max_hops, network.tasks) {
        (0, _) => "one, the whole graph (K = 0)".to_owned(),
        (hops, Tasks::Combined) => {
            format!("in the order of degrees over K = {hops} hops; one network for both tasks")
        }
        (hops, _) => {
            format!("in the order of degrees over K = {hops} hops; a network of their sizes and degrees")
        }
    };
    let weights = match config.sampling_weights {
        SamplingWeights::Raw => "last step",
        SamplingWeights::Ema => "exponential moving average",
    };
    let schedule = format!("{:?}", config.diffusion.schedule).to_lowercase();
    let rows = [
        ("generates", format!("{what} of up to {} nodes", config.max_nodes)),
        ("node classes", classes),
        ("blocks", blocks),
        (
            "networks",
            format!(
                "higher-order graph transformer, {} layers, nodes {}, pairs {}, {} heads, {} parameters",
                network.layers,
                network.hidden,
                network.pair_width(),
                network.heads,
                parameters.values().map(HostTensor::len).sum::<usize>()
            ),
        ),
        ("noise", format!("categorical, {schedule} schedule, {} steps", config.diffusion.steps)),
        (
            "default sampler",
            format!("{} calls per block, grid {}, {}", config.steps, config.grid, config.reverse_step),
        ),
        ("weights", weights.to_owned()),
        ("training graphs", config.first_sizes.values().sum::<u64>().to_string()),
        ("origin", config.origin.clone().unwrap_or_else(|| "not recorded".to_owned())),
    ];
    let mut card = format!(
        "# {}\n\nA Pard model (categorical diffusion of graphs, block by block) for equidrift.\n\n",
        config.name
    );
    card_table(&mut card, ("property", "value"), rows.into_iter());
    if !measured.is_empty() {
        card.push_str("\n## Measured\n\n");
        let rows = measured.iter().map(|(what, value)| (what.as_str(), value.clone()));
        card_table(&mut card, ("what", "value"), rows);
    }
    card.push_str(
        "\nReference: Zhao, Ding, Akoglu, \"Pard: Permutation-Invariant Autoregressive Diffusion for Graph \
         Generation\", NeurIPS 2024, <https://arxiv.org/abs/2402.03687>.\n",
    );
    card
}
