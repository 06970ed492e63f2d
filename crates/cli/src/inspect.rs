//! `equidrift inspect DIR`

use clap::Args;
use equidrift::FamilyModel;
use equidrift_backend::model_description::{BondsConfig, Vocabulary};
use equidrift_backend::weights::{HostTensor, ParameterSet};
use equidrift_geotdm::{GeotdmModel, NetworkConfig};
use equidrift_pard::PardModel;
use serde::Serialize;

use crate::exit::{CliResult, Exit, Failure};
use crate::stdout;

/// Show what is in a model folder
///
/// Opens the folder as `generate` does (checksums, configuration, weights) and prints what it finds.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift inspect my-model/
  equidrift inspect qm9-gdss --json")]
pub(crate) struct InspectArgs {
    /// Model folder or embedded model
    #[arg(value_name = "DIR|NAME")]
    model: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Inspection<'a, P, C> {
    sha256: &'a str,
    parameters: P,
    config: &'a C,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Parameters {
    x: usize,
    adj: usize,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    shape: &'a [usize],
}

pub(crate) fn run(args: &InspectArgs) -> CliResult {
    let model = equidrift::Model::open(&args.model)?;
    let gdss = match model.family() {
        FamilyModel::Gdss(gdss) => gdss,
        FamilyModel::Pard(pard) => return inspect_pard(&model, pard, args.json),
        FamilyModel::Geotdm(geotdm) => return inspect_geotdm(&model, geotdm, args.json),
    };
    let (config, tensors) = (gdss.config(), gdss.parameters());
    let count = |prefix: &str| {
        tensors.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, tensor)| tensor.len()).sum()
    };
    let parameters = Parameters { x: count("x."), adj: count("adj.") };
    if args.json {
        return for_machines(&model, parameters, config, tensors);
    }
    let json = |value: serde_json::Result<String>| value.map_err(|error| Failure::new(Exit::Failure, error));
    let mut lines = vec![
        ("model", config.name.clone()),
        ("family", config.family.clone()),
        ("task", format!("{:?}", config.task).to_lowercase()),
        ("sha256", model.sha256().to_owned()),
        ("nodes", format!("at most {}", config.max_nodes)),
    ];
    if let Some(vocabulary) = &config.vocabulary {
        lines.extend(of_molecules(vocabulary, config.bonds));
    }
    lines.push((
        "node network",
        format!("{} parameters, {}", parameters.x, json(serde_json::to_string(&config.networks.x))?),
    ));
    lines.push((
        "edge network",
        format!("{} parameters, {}", parameters.adj, json(serde_json::to_string(&config.networks.adj))?),
    ));
    lines.push(("node path", json(serde_json::to_string(&config.paths.x))?));
    lines.push(("edge path", json(serde_json::to_string(&config.paths.adj))?));
    lines.push((
        "sampler",
        format!("{} steps, {}", config.steps, json(serde_json::to_string(&config.sampler))?),
    ));
    lines.push((
        "sizes",
        match &config.node_counts {
            Some(counts) => counts.iter().map(|(n, c)| format!("{n}: {c}")).collect::<Vec<_>>().join(", "),
            None => "not known; every sample gets the largest".to_owned(),
        },
    ));
    lines.push((
        "weights",
        format!("{:?}, {} tensors", config.sampling_weights, tensors.len()).to_lowercase(),
    ));
    if let Some(origin) = &config.origin {
        lines.push(("origin", origin.clone()));
    }
    for_people(&lines)
}

/// Numbers in all tensors.
fn numbers(tensors: &ParameterSet) -> usize {
    tensors.values().map(HostTensor::len).sum()
}

/// Everything, as JSON.
fn for_machines(
    model: &equidrift::Model,
    parameters: impl Serialize,
    config: &impl Serialize,
    tensors: &ParameterSet,
) -> CliResult {
    let tensors = tensors.iter().map(|(name, tensor)| Tensor { name, shape: &tensor.shape }).collect();
    stdout::json(&Inspection { sha256: model.sha256(), parameters, config, tensors })
}

/// What models of molecules have besides.
fn of_molecules(vocabulary: &Vocabulary, bonds: BondsConfig) -> [(&'static str, String); 2] {
    let bonds = match bonds {
        BondsConfig::Orders => "orders of a Kekulé form",
        BondsConfig::Aromatic => "single, aromatic, double and triple",
    };
    [("atoms", vocabulary.atoms.join(" ")), ("bonds", bonds.to_owned())]
}

/// A line for each.
fn for_people(lines: &[(&str, String)]) -> CliResult {
    stdout::text(&lines.iter().map(|(name, value)| format!("{name:13} {value}\n")).collect::<String>())
}

/// The same for Pard.
fn inspect_pard(model: &equidrift::Model, pard: &PardModel, as_json: bool) -> CliResult {
    let (config, tensors) = (pard.config(), pard.parameters());
    if as_json {
        return for_machines(model, numbers(tensors), config, tensors);
    }
    let parameters = numbers(tensors);
    let json = |value: serde_json::Result<String>| value.map_err(|error| Failure::new(Exit::Failure, error));
    let sizes = config.first_sizes.iter().map(|(size, count)| format!("{size}: {count}")).collect::<Vec<_>>();
    let mut lines = vec![
        ("model", config.name.clone()),
        ("family", config.family.clone()),
        ("task", format!("{:?}", config.task).to_lowercase()),
        ("sha256", model.sha256().to_owned()),
        ("nodes", format!("at most {}", config.max_nodes)),
        ("network", format!("{parameters} parameters, {}", json(serde_json::to_string(&config.network))?)),
        ("blocks", format!("degrees over {} hops", config.max_hops)),
        ("diffusion", json(serde_json::to_string(&config.diffusion))?),
        ("steps", format!("{} per block, grid {}, {}", config.steps, config.grid, config.reverse_step)),
        (
            "first blocks",
            if sizes.is_empty() { "not known; it generates nothing".to_owned() } else { sizes.join(", ") },
        ),
        ("weights", format!("{:?}, {} tensors", config.sampling_weights, tensors.len()).to_lowercase()),
    ];
    if let Some(vocabulary) = &config.vocabulary {
        lines.splice(5..5, of_molecules(vocabulary, config.bonds));
    }
    if let Some(origin) = &config.origin {
        lines.push(("origin", origin.clone()));
    }
    for_people(&lines)
}

/// The same for GeoTDM.
fn inspect_geotdm(model: &equidrift::Model, geotdm: &GeotdmModel, as_json: bool) -> CliResult {
    let (config, tensors) = (geotdm.config(), geotdm.parameters());
    if as_json {
        return for_machines(model, numbers(tensors), config, tensors);
    }
    let parameters = numbers(tensors);
    let json = |value: serde_json::Result<String>| value.map_err(|error| Failure::new(Exit::Failure, error));
    let systems = config.system_kind().map_or("not known", |kind| kind.name());
    // The weights of a linear forecast are in the configuration, and many.
    let network = NetworkConfig { extrapolation: None, ..config.network.clone() };
    let mut lines = vec![
        ("model", config.name.clone()),
        ("family", config.family.clone()),
        ("task", "trajectories".to_owned()),
        ("sha256", model.sha256().to_owned()),
        ("systems", systems.to_owned()),
        ("frames", config.frames_in_words()),
        ("network", format!("{parameters} parameters, {}", json(serde_json::to_string(&network))?)),
        ("prior", config.network.prior.to_string()),
        ("diffusion", json(serde_json::to_string(&config.diffusion))?),
        ("sampler", format!("{} steps, {}", config.steps, json(serde_json::to_string(&config.sampler))?)),
        ("weights", format!("{} tensors", tensors.len())),
    ];
    if let Some(molecule) = &config.molecule {
        lines.insert(5, ("molecule", format!("its own, {} atoms", molecule.topology.atoms())));
    }
    if let Some(step) = config.time_step {
        lines.insert(6, ("time step", format!("{step} fs")));
    }
    if let Some(origin) = &config.origin {
        lines.push(("origin", origin.clone()));
    }
    for_people(&lines)
}
