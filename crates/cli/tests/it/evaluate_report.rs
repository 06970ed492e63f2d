//! `evaluate molecules --report`: one page that stands alone.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::command::{assert_refused, code, data_file, equidrift, stderr, stdout};

fn evaluate(folder: &Path, line: &str) -> Output {
    let mut command = equidrift();
    command.current_dir(folder).args(["evaluate", "molecules"]).args(line.split_whitespace());
    command.output().unwrap()
}

/// Two sets; the name of one would be markup if it were not escaped.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("<b>&.smi", "OCC\nC1=CC=CC=C1C(=O)[O-]\n\nCCN\nCCN\n<script>\nF/C=C/F\n[Na+].[Cl-]\n");
    write("reference.smi", "CCO\nc1ccncc1C\nNCC\n");
    folder
}

#[test]
fn a_report_is_one_page_with_figures_pictures_and_problems() {
    let folder = folder();
    let result = evaluate(
        folder.path(),
        "<b>&.smi --reference reference.smi --train reference.smi --nspdk --report page.html",
    );
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    // Nothing runs and nothing is fetched; a namespace is a name.
    let fetched = page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "");
    for word in ["<script", "http", "src=", "url(", "@import", "<b>&"] {
        assert!(!fetched.contains(word), "{word}");
    }
    assert!(page.contains("&lt;b&gt;&amp;.smi"));
    for figure in ["validity", "uniqueness", "novelty", "connectedness", "NSPDK MMD", "75.00 %", "± "] {
        assert!(page.contains(figure), "no {figure}");
    }
    // Each distinct molecule is drawn once: ethanol, benzoate, ethylamine, difluoroethene, salt.
    assert_eq!(page.matches("<figure title=").count(), 5);
    assert!(page.contains("title=\"line 2: O=C([O-])c1ccccc1\"") && page.contains("log P "));
    // One chart for each descriptor, generated and reference in it.
    for chart in ["heavy atoms", "molecular weight", "log P", "QED", "rings"] {
        assert!(page.contains(&format!("aria-label=\"{chart}\"")), "no chart of {chart}");
    }
    assert!(page.contains("\ngenerated: ") && page.contains("\nreference: "));
    assert!(page.contains("Lines that are no molecules") && page.contains("no SMILES"));
    // A second run writes the same page over it.
    evaluate(
        folder.path(),
        "<b>&.smi --reference reference.smi --train reference.smi --nspdk --report page.html",
    );
    assert_eq!(fs::read_to_string(folder.path().join("page.html")).unwrap(), page);
}

#[test]
fn descriptors_are_summed_up_and_accessibility_needs_its_table() {
    let folder = folder();
    let line = "reference.smi --reference reference.smi --descriptors";
    let table = stdout(&evaluate(folder.path(), line));
    assert!(
        table.contains("mean log P") && table.contains("mean heavy atoms") && !table.contains("SA"),
        "{table}"
    );
    let report = |line: &str| -> Value {
        let result = evaluate(folder.path(), &format!("{line} --json"));
        serde_json::from_str(&stdout(&result)).unwrap_or_else(|_| panic!("{}", stderr(&result)))
    };
    let plain = report("reference.smi");
    assert_eq!(plain["generated"]["descriptors"], Value::Null);
    let descriptors = &report(line)["generated"]["descriptors"];
    assert_eq!(descriptors["heavy_atoms"]["mean"], json!(13.0 / 3.0));
    assert_eq!(descriptors["rings"]["quantiles"], json!([0.0, 0.0, 1.0]));
    assert_eq!(descriptors["synthetic_accessibility"], Value::Null);
    assert_refused(
        &evaluate(folder.path(), "reference.smi --fragment-scores reference.smi"),
        3,
        "reference.smi",
    );
    if let Some(scores) = data_file("metrics/sa_fragment_scores.npz") {
        let report = report(&format!("reference.smi --fragment-scores {}", scores.display()));
        let score = report["generated"]["descriptors"]["synthetic_accessibility"]["mean"].as_f64().unwrap();
        assert!((1.0..4.0).contains(&score), "{score}");
    }
}

#[test]
fn a_page_that_cannot_be_written_is_a_failure_and_leaves_nothing() {
    let folder = folder();
    assert_refused(
        &evaluate(folder.path(), "reference.smi --report no/such/page.html"),
        1,
        "no/such/page.html",
    );
    fs::create_dir(folder.path().join("taken.html")).unwrap();
    assert_refused(&evaluate(folder.path(), "reference.smi --report taken.html"), 1, "taken.html");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}
