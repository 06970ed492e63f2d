//! Converted checkpoints on files of tensors: everything that the vectors record of the networks.

use burn::tensor::Device;
use equidrift_backend::weights::TensorFile;
use equidrift_pard::{Precision, convert_pard, forward};

use crate::reference::{GOLDEN, cases, pard_dir, relative_error};

#[test]
fn the_recorded_outputs_come_out() {
    let Some(dir) = pard_dir() else { return };
    for case in cases() {
        let model = convert_pard(&dir.join(format!("{}.json", case.name))).unwrap().into_model(None).unwrap();
        let path = dir.join(format!("{}{GOLDEN}", case.name));
        for (precision, allowed) in [(Precision::F32, 1e-5), (Precision::F64, 1e-10)] {
            let found = forward(&model, &case.golden, &path, precision, &Device::flex()).unwrap();
            let (mut compared, mut worst) = (0, (0.0_f64, ""));
            for (name, expected) in &case.golden.tensors {
                let Some(name) = name.strip_prefix("out64.") else { continue };
                let found = &found.tensors[&format!("out.{name}")];
                assert_eq!(found.shape, expected.shape, "{} {name}", case.name);
                let error = relative_error(&found.to_f64(), &expected.to_f64());
                worst = if error > worst.0 { (error, name) } else { worst };
                compared += 1;
            }
            println!("{} {precision:?}: {compared} tensors, {:.1e} ({})", case.name, worst.0, worst.1);
            assert!(worst.0 <= allowed && compared >= 12, "{} {precision:?}: {worst:?}", case.name);
        }
    }
}

#[test]
fn classes_may_be_numbers_or_one_hot_rows() {
    let Some(dir) = pard_dir() else { return };
    let case = cases().into_iter().find(|case| case.name == "small_ln").unwrap();
    let model = convert_pard(&dir.join("small_ln.json")).unwrap().into_model(None).unwrap();
    let run = |file: &TensorFile| forward(&model, file, &dir, Precision::F32, &Device::flex()).unwrap();
    let one_hot = run(&case.golden);
    let mut numbers = case.golden.clone();
    assert!(
        numbers.tensors.remove("in.nodes_x_t").is_some() && numbers.tensors.remove("in.edges_x_t").is_some()
    );
    assert_eq!(one_hot, run(&numbers));
}
