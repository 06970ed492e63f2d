//! `evaluate likelihood`.

use std::fs;

use serde_json::Value;

use crate::command::{assert_refused, code, data_file, equidrift, stderr, stdout};
use crate::folder::small_model;

#[test]
fn likelihoods_of_a_file_of_molecules() {
    let (folder, model) = small_model();
    let data = folder.path().join("held_out.smi");
    fs::write(&data, "CCO\nC\nno molecule\nCC(=O)N\nC1CC1F\n").unwrap();
    let mut command = equidrift();
    command.args(["evaluate", "likelihood", "--tolerance", "1e-2", "--model"]).arg(&model);
    command.arg("--data").arg(&data);
    let text = command.output().unwrap();
    assert_eq!(code(&text), 0, "{}", stderr(&text));
    for line in ["nats per graph", "bits per dimension", "bits per node and edge", "t = 1e-5", "code length"]
    {
        assert!(stdout(&text).contains(line), "{line} in {}", stdout(&text));
    }
    assert!(
        stderr(&text).contains("held_out.smi:2") && stderr(&text).contains("held_out.smi:3"),
        "{}",
        stderr(&text)
    );
    let report: Value = serde_json::from_str(&stdout(&command.arg("--json").output().unwrap())).unwrap();
    assert_eq!((&report["molecules"], &report["complete"]), (&3.into(), &true.into()));
    let graphs = report["graphs"].as_array().unwrap();
    assert_eq!(
        (graphs[0]["nodes"].as_u64(), graphs[0]["degrees_of_freedom"].as_u64()),
        (Some(3), Some(12 + 3))
    );
    let nats: f64 = graphs.iter().map(|graph| -graph["log_density"].as_f64().unwrap()).sum::<f64>() / 3.0;
    assert!((report["nats_per_graph"]["mean"].as_f64().unwrap() - nats).abs() < 1e-9);
    // Another batch, another number of threads: the same numbers. Another seed: others.
    let again = command.args(["--batch", "1", "--threads", "3"]).output().unwrap();
    let again: Value = serde_json::from_str(&stdout(&again)).unwrap();
    assert_eq!(again["graphs"], report["graphs"]);
    let other: Value =
        serde_json::from_str(&stdout(&command.args(["--seed", "5"]).output().unwrap())).unwrap();
    assert_ne!(other["graphs"], report["graphs"]);
}

#[test]
fn what_has_no_likelihood_is_refused() {
    let (folder, model) = small_model();
    let data = folder.path().join("held_out.smi");
    let run = |smiles: &str, arguments: &[&str]| {
        fs::write(&data, smiles).unwrap();
        let mut command = equidrift();
        command
            .args(["evaluate", "likelihood", "--model"])
            .arg(&model)
            .arg("--data")
            .arg(&data)
            .args(arguments);
        command.output().unwrap()
    };
    assert_refused(&run("C\nCCBr\n", &[]), 3, "no molecule can be used");
    assert_refused(&run("CC\n", &["--tolerance", "0"]), 2, "rtol");
    assert_refused(&run("CC\n", &["--rows", "/no/such/file"]), 3, "cannot read");
}

/// Held-out graphs of QM9 under the embedded model of published settings: the figures do not depend on the tolerance.
#[test]
fn likelihoods_of_held_out_graphs_are_stable() {
    let (Some(data), Some(rows)) = (data_file("molecules/qm9.smi"), data_file("molecules/qm9_test_idx.txt"))
    else {
        return;
    };
    let report = |tolerance: &str| -> Value {
        let mut command = equidrift();
        command.args(["evaluate", "likelihood", "--model", "qm9-gdss-ve", "--num", "12", "--json"]);
        command.args(["--tolerance", tolerance, "--data"]);
        let output = command.arg(&data).arg("--rows").arg(&rows).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let [coarse, middle, fine] = ["1e-4", "1e-5", "1e-7"].map(report);
    let figures =
        ["nats_per_graph", "bits_per_dimension", "bits_per_node_and_edge", "code_bits_per_node_and_edge"];
    for figure in figures {
        let read = |report: &Value| {
            let value = &report[figure];
            value.as_f64().or_else(|| value["mean"].as_f64()).unwrap_or_else(|| panic!("{figure}: {report}"))
        };
        let (coarse, middle, fine) = (read(&coarse), read(&middle), read(&fine));
        println!("{figure}: {coarse:.5} at 1e-4, {middle:.5} at 1e-5, {fine:.5} at 1e-7");
        assert!((middle / fine - 1.0).abs() < 1e-3, "{figure}: {middle} {fine}");
        assert!((coarse / fine - 1.0).abs() < 1e-2, "{figure}: {coarse} {fine}");
    }
}
