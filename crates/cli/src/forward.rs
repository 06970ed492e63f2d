//! `equidrift forward --model DIR --inputs FILE --output FILE`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::TensorFile;
use equidrift_gdss::{EngineKind, Precision, forward};

use crate::exit::{CliResult, Exit, Failure};

/// Evaluate a model's networks on given tensors
///
/// Reads in.x [B, N, F], in.adj [B, N, N], in.flags [B, N] (1 at real nodes) and in.t [B] from a safetensors file and
/// writes out.x.net, out.adj.net (the networks after their mask) and out.x.score, out.adj.score. For checking
/// converted weights against the programme they come from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift forward --model qm9/ --inputs golden.safetensors --output out.safetensors
  equidrift forward --model qm9/ --inputs golden.safetensors --output out.safetensors --precision f64")]
pub(crate) struct ForwardArgs {
    /// Embedded model or model folder
    #[arg(short, long, value_name = "NAME|DIR", default_value = equidrift::DEFAULT_MODEL)]
    model: String,
    /// Safetensors file with the inputs
    #[arg(long, value_name = "FILE")]
    inputs: PathBuf,
    /// Safetensors file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// What evaluates the networks [default: the fastest on the device]
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
    let model = equidrift::Model::open(&args.model)?;
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
