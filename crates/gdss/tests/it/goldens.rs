//! Networks and scores of every released checkpoint against its golden vectors.

use std::path::Path;

use equidrift_backend::device::DeviceKind;
use equidrift_backend::weights::{HostTensor, TensorFile};
use equidrift_gdss::{EngineKind, GdssModel, Precision, forward};

use crate::checkpoints::{Checkpoint, checkpoints, relative_error};

const F32_TOLERANCE: f64 = 1e-5;
const F64_TOLERANCE: f64 = 1e-10;

/// `in.*` under another prefix (`full.in.*`) as the inputs of `forward`.
fn inputs(golden: &TensorFile, prefix: &str) -> TensorFile {
    let names = ["in.x", "in.adj", "in.flags", "in.t"];
    let tensors = names.map(|name| (name.to_owned(), golden.tensors[&format!("{prefix}{name}")].clone()));
    TensorFile { tensors: tensors.into(), ..TensorFile::default() }
}

/// Compares every golden tensor `{prefix}{quantity}` with what `forward` returns; the largest relative error.
fn compare(
    checkpoint: &Checkpoint,
    model: &GdssModel,
    (inputs_prefix, prefix): (&str, &str),
    (precision, engine): (Precision, EngineKind),
    tolerance: f64,
) -> f64 {
    let golden = &checkpoint.golden;
    let inputs = inputs(golden, inputs_prefix);
    let out = forward(model, &inputs, Path::new("golden"), precision, engine, DeviceKind::Cpu).unwrap();
    let mut largest = 0.0_f64;
    let mut compared = 0;
    for quantity in ["x.net", "adj.net", "x.score", "adj.score"] {
        let Some(expected) = golden.tensors.get(&format!("{prefix}{quantity}")) else { continue };
        let found: &HostTensor = &out.tensors[&format!("out.{quantity}")];
        assert_eq!(found.shape, expected.shape, "{} {prefix}{quantity}", checkpoint.name);
        let error = relative_error(&found.to_f64(), &expected.to_f64());
        assert!(
            error <= tolerance,
            "{} {prefix}{quantity} with {engine} in {precision:?}: relative error {error:.2e}, allowed {tolerance:.0e}",
            checkpoint.name
        );
        largest = largest.max(error);
        compared += 1;
    }
    assert!(compared > 0, "{}: no golden tensor {prefix}*", checkpoint.name);
    println!(
        "{:16} {prefix:16} {engine:6} {precision:?}: largest relative error {largest:.2e}",
        checkpoint.name
    );
    largest
}

fn has(checkpoint: &Checkpoint, prefix: &str) -> bool {
    checkpoint.golden.tensors.keys().any(|name| name.starts_with(prefix))
}

fn all(precision: Precision, engine: EngineKind, tolerance: f64) {
    for checkpoint in checkpoints() {
        let how = (precision, engine);
        compare(&checkpoint, &checkpoint.model_with(""), ("", "out64."), how, tolerance);
        if has(&checkpoint, "out64.ema.") {
            compare(&checkpoint, &checkpoint.model_with("ema_"), ("", "out64.ema."), how, tolerance);
        }
    }
}

#[test]
fn tensor_library_single_precision() {
    all(Precision::F32, EngineKind::Burn, F32_TOLERANCE);
}

#[test]
fn tensor_library_double_precision() {
    all(Precision::F64, EngineKind::Burn, F64_TOLERANCE);
}

#[test]
fn fused_kernel_single_precision() {
    all(Precision::F32, EngineKind::Fused, F32_TOLERANCE);
}

/// One graph of full size; the vectors are in single precision, so double precision meets them to that.
#[test]
fn full_size_graphs() {
    for checkpoint in checkpoints().iter().filter(|checkpoint| has(checkpoint, "full.out32.ema.")) {
        let model = checkpoint.model_with("ema_");
        let prefixes = ("full.", "full.out32.ema.");
        compare(checkpoint, &model, prefixes, (Precision::F32, EngineKind::Burn), F32_TOLERANCE);
        compare(checkpoint, &model, prefixes, (Precision::F32, EngineKind::Fused), F32_TOLERANCE);
    }
}

/// The authors' own single precision is as far from double precision as ours is.
#[test]
fn single_precision_vectors() {
    for checkpoint in checkpoints() {
        let how = (Precision::F32, EngineKind::Burn);
        // Scores divide by a standard deviation that loses digits in the authors' single precision.
        let inputs = inputs(&checkpoint.golden, "");
        let model = checkpoint.model_with("");
        let out = forward(&model, &inputs, Path::new("golden"), how.0, how.1, DeviceKind::Cpu).unwrap();
        for quantity in ["x.net", "adj.net"] {
            let expected = checkpoint.golden.tensors[&format!("out32.{quantity}")].to_f64();
            let error = relative_error(&out.tensors[&format!("out.{quantity}")].to_f64(), &expected);
            assert!(error <= F32_TOLERANCE, "{} out32.{quantity}: {error:.2e}", checkpoint.name);
        }
    }
}
