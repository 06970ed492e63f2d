//! The `README.md` of a model folder.

use equidrift_backend::model_folder::card_table;
use equidrift_backend::weights::ParameterSet;
use equidrift_sampler::PathConfig;

use crate::config::{GdssConfig, SamplingWeights, Task};
use crate::network_config::NodeNetworkConfig;

/// A model card in Markdown: what the model is, its sizes, and a table of what was measured with it.
pub fn model_card(config: &GdssConfig, parameters: &ParameterSet, measured: &[(String, String)]) -> String {
    let count = |prefix: &str| -> usize {
        parameters.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, tensor)| tensor.len()).sum()
    };
    let (what, features) = match (&config.task, &config.vocabulary) {
        (Task::Molecules, Some(vocabulary)) => {
            let bonds =
                if config.bonds.are_orders() { "" } else { "; aromatic bonds are a level of their own" };
            ("molecules", format!("atoms {}{bonds}", vocabulary.atoms.join(", ")))
        }
        (Task::Molecules, None) => ("molecules", "atoms".to_owned()),
        (Task::Graphs, _) => ("graphs", "one-hot node degrees".to_owned()),
    };
    let node_network = match &config.networks.x {
        NodeNetworkConfig::ScoreNetworkX(x) => format!("ScoreNetworkX, depth {}, width {}", x.depth, x.nhid),
        NodeNetworkConfig::ScoreNetworkXGmh(x) => {
            format!("ScoreNetworkX_GMH, depth {}, width {}", x.depth, x.nhid)
        }
    };
    let adj = config.networks.adj_sizes();
    let weights = match config.sampling_weights {
        SamplingWeights::Raw => "last step",
        SamplingWeights::Ema => "exponential moving average",
    };
    let sizes = config.node_counts.as_ref().map_or_else(
        || "not known".to_owned(),
        |counts| format!("{} graphs of {} different sizes", counts.values().sum::<u64>(), counts.len()),
    );
    let rows = [
        ("generates", format!("{what} of up to {} nodes", config.max_nodes)),
        ("node features", features),
        ("node network", format!("{node_network}, {} parameters", count("x."))),
        (
            "adjacency network",
            format!(
                "ScoreNetworkA, {} layers, width {}, {} parameters",
                adj.num_layers,
                adj.nhid,
                count("adj.")
            ),
        ),
        ("paths", format!("nodes {}, adjacency {}", describe(&config.paths.x), describe(&config.paths.adj))),
        ("default sampler", format!("`{}`, {} steps", config.sampler.name(), config.steps)),
        ("weights", weights.to_owned()),
        ("sizes of the training graphs", sizes),
        ("origin", config.origin.clone().unwrap_or_else(|| "not recorded".to_owned())),
    ];
    let mut card =
        format!("# {}\n\nA GDSS model (score-based generation of graphs) for equidrift.\n\n", config.name);
    card_table(&mut card, ("property", "value"), rows.into_iter());
    if !measured.is_empty() {
        card.push_str("\n## Measured\n\n");
        let rows = measured.iter().map(|(what, value)| (what.as_str(), value.clone()));
        card_table(&mut card, ("what", "value"), rows);
    }
    card.push_str(
        "\nReference: Jo, Lee, Hwang, \"Score-based Generative Modeling of Graphs via the System of Stochastic \
         Differential Equations\", ICML 2022, <https://arxiv.org/abs/2202.02514>.\n",
    );
    card
}

fn describe(path: &PathConfig) -> String {
    match path {
        PathConfig::VarianceExploding { beta_min, beta_max } => {
            format!("VE (sigma {beta_min} to {beta_max})")
        }
        PathConfig::VariancePreserving { beta_min, beta_max } => {
            format!("VP (beta {beta_min} to {beta_max})")
        }
        PathConfig::SubVariancePreserving { beta_min, beta_max } => {
            format!("sub-VP (beta {beta_min} to {beta_max})")
        }
        other => other.name().to_owned(),
    }
}
