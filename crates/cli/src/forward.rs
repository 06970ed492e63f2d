//! `equidrift forward --model DIR --inputs FILE --output FILE`

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use equidrift::FamilyModel;
use equidrift_backend::device::DeviceKind;
use equidrift_backend::model_folder::{CONFIG_FILE, MAX_CONFIG, read_limited};
use equidrift_backend::weights::TensorFile;
use equidrift_gdss::{EngineKind, Precision, forward};
use equidrift_pard::PardModel;
use serde::Deserialize;

use crate::exit::{CliResult, Exit, Failure};

/// Evaluate a model's networks on given tensors
///
/// For checking converted weights against the programme they come from.
///
/// GDSS: reads in.x [B, N, F], in.adj [B, N, N], in.flags [B, N] (1 at real nodes) and in.t [B] from a safetensors file
/// and writes out.x.net, out.adj.net (the networks after their mask) and out.x.score, out.adj.score.
///
/// GeoTDM: reads in.x [nodes, D, frames], in.h, in.edge_index [2, edges], in.edge_attr, in.batch [nodes], in.t_graph
/// [systems] and in.noise [nodes, D, made frames], the nodes of all systems one after another, and writes out.x_ref,
/// out.x_start, out.q_sample, out.net.x, out.net.h, the reverse step out.p.*, the posterior out.q.*, the losses
/// out.loss_node, out.loss_graph, out.loss and, with in.vlb_noise, the likelihood bound out.vlb.*.
///
/// Pard: reads in.nodes_blockid [B, N], in.virtual [B, N], in.block_size and in.block_degree [B, M], in.t [B] and the noisy
/// classes, one-hot (in.nodes_x_t, in.edges_x_t) or as numbers (in.nodes_t, in.edges_t); of models on prefixes also the clean
/// ones (in.nodes, in.edges), in.structure.all, in.next_block_size and in.next_block_degree. Writes out.PHASE.node_logit,
/// .edge_logit, .loss and .block.* for PHASE train (batch norm by the batch) and eval (by the running moments).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift forward --model qm9/ --inputs golden.safetensors --output out.safetensors
  equidrift forward --model qm9/ --inputs golden.safetensors --output out.safetensors --precision f64")]
pub(crate) struct ForwardArgs {
    /// Embedded model or model folder
    #[arg(short, long, value_name = "NAME|DIR", default_value = equidrift::DEFAULT_SCORE_MODEL)]
    model: String,
    /// Safetensors file with the inputs
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Safetensors file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What evaluates the networks [default: the fastest on the device; GeoTDM and Pard: burn]
    #[arg(long, value_name = "fused|burn")]
    engine: Option<EngineKind>,
    /// Device: cpu, tch, cuda[:i], wgpu[:i] (as compiled in)
    #[arg(long, default_value = "cpu")]
    device: DeviceKind,
    /// Precision; f64 always runs on the tensor library
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionName,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PrecisionName {
    F32,
    F64,
}

pub(crate) fn run(args: &ForwardArgs) -> CliResult {
    if family_of(Path::new(&args.model)).as_deref() == Some(equidrift_geotdm::config::FAMILY) {
        return geotdm(args);
    }
    let model = equidrift::Model::open(&args.model)?;
    if let FamilyModel::Pard(model) = model.family() {
        return pard(args, model);
    }
    let inputs = TensorFile::read(&args.inputs).map_err(|error| Failure::new(Exit::BadInput, error))?;
    let engine = args.engine.unwrap_or_else(|| EngineKind::for_device(args.device));
    let precision = match args.precision {
        PrecisionName::F32 => Precision::F32,
        PrecisionName::F64 => Precision::F64,
    };
    let outputs = forward(model.gdss()?, &inputs, &args.inputs, precision, engine, args.device)
        .map_err(equidrift::Error::from)?;
    outputs.write(&args.output).map_err(|error| Failure::new(Exit::Failure, error))?;
    Ok(Exit::Ok)
}

/// The family that a model folder's configuration names; none where that cannot be told.
fn family_of(folder: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        family: String,
    }
    let config = read_limited(&folder.join(CONFIG_FILE), MAX_CONFIG).ok()?;
    serde_json::from_slice::<Named>(&config).ok().map(|named| named.family)
}

fn geotdm(args: &ForwardArgs) -> CliResult {
    if args.engine == Some(EngineKind::Fused) {
        let message = "--engine fused: a GeoTDM model is evaluated by the tensor library (burn)";
        return Err(Failure::message(Exit::Usage, message));
    }
    let precision = match args.precision {
        PrecisionName::F32 => equidrift_geotdm::Precision::F32,
        PrecisionName::F64 => equidrift_geotdm::Precision::F64,
    };
    let model = equidrift_geotdm::GeotdmModel::open(&args.model)?;
    let inputs = TensorFile::read(&args.inputs).map_err(|error| Failure::new(Exit::BadInput, error))?;
    let outputs = equidrift_geotdm::forward(&model, &inputs, &args.inputs, precision, args.device)?;
    outputs.write(&args.output).map_err(|error| Failure::new(Exit::Failure, error))?;
    Ok(Exit::Ok)
}

fn pard(args: &ForwardArgs, model: &PardModel) -> CliResult {
    if args.engine == Some(EngineKind::Fused) {
        let message = "--engine fused: `forward` evaluates a Pard model by the tensor library (burn)";
        return Err(Failure::message(Exit::Usage, message));
    }
    let precision = match args.precision {
        PrecisionName::F32 => equidrift_pard::Precision::F32,
        PrecisionName::F64 => equidrift_pard::Precision::F64,
    };
    let device = args.device.open().map_err(|error| Failure::new(Exit::Usage, error))?;
    let inputs = TensorFile::read(&args.inputs).map_err(|error| Failure::new(Exit::BadInput, error))?;
    let outputs = equidrift_pard::forward(model, &inputs, &args.inputs, precision, &device)
        .map_err(equidrift::Error::from)?;
    outputs.write(&args.output).map_err(|error| Failure::new(Exit::Failure, error))?;
    Ok(Exit::Ok)
}
