//! `evaluate trajectories` and `simulate`: figures worked out by hand, files that do not fit, reports, and the baselines of the
//! data sets.

use std::fs;
use std::path::Path;
use std::process::Output;

use equidrift_trajectory::file::{NumpyArchive, NumpyWriter};
use serde_json::{Value, json};

use crate::command::{assert_refused, code, data_file, equidrift, stderr, stdout};

/// A line of words; `~` stands for a space within one.
fn run(folder: &Path, line: &str) -> Output {
    let words = line.split_whitespace().map(|word| word.replace('~', " "));
    equidrift().current_dir(folder).args(words).output().unwrap()
}

fn figures(folder: &Path, line: &str) -> Value {
    let result = run(folder, &format!("evaluate trajectories {line} --json"));
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    serde_json::from_slice(&result.stdout).unwrap()
}

fn write(path: &Path, shape: &[usize], positions: &[f32], windows: Option<&[i64]>, elements: &[u8]) {
    let mut writer = NumpyWriter::create(path).unwrap();
    writer.floats("positions", shape, positions).unwrap();
    if let Some(windows) = windows {
        writer.integers("window", &[windows.len()], windows).unwrap();
    }
    if !elements.is_empty() {
        writer.bytes("z", &[elements.len()], elements).unwrap();
    }
    writer.finish().unwrap();
}

/// Two atoms, of which the first moves along x: at `t²` in frame `t` of twelve; the other rests.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let atoms = |x: f32| [x, 0.0, 0.0, 0.0, 1.0, 0.0];
    let positions: Vec<f32> = (0..12).flat_map(|t| atoms((t * t) as f32)).collect();
    write(&path("reference.npz"), &[12, 2, 3], &positions, None, &[]);
    // Two windows of two samples; x of two predicted frames. True: 9, 16 (window at 3) and 25, 36 (at 5).
    let positions: Vec<f32> =
        [9.0, 17.0, 12.0, 16.0, 25.0, 36.0, 23.0, 40.0].into_iter().flat_map(atoms).collect();
    write(&path("samples.npz"), &[4, 2, 2, 3], &positions, Some(&[3, 3, 5, 5]), &[]);
    folder
}

#[test]
fn a_forecast_worked_out_by_hand() {
    let folder = folder();
    let line =
        "samples.npz --reference reference.npz --condition-frames 3 --train reference.npz --train-part all";
    let found = figures(folder.path(), line);
    assert_eq!((&found["kind"], &found["ensemble"]), (&json!("forecast"), &Value::Null));
    let forecast = &found["forecast"];
    for (field, value) in
        [("windows", 2), ("given", 3), ("predicted", 2), ("every", 1), ("atoms", 2), ("training_windows", 8)]
    {
        assert_eq!(forecast[field], json!(value), "{field}");
    }
    let [samples, of_mean, velocity, regression] = &forecast["rows"].as_array().unwrap()[..] else {
        panic!("{found}")
    };
    // One of two atoms is off: by (0, 1) and (3, 0) in window 3, by (0, 0) and (2, 4) in window 5.
    assert_eq!(samples["samples_per_window"], json!(2));
    assert_eq!(samples["ade"]["value"], json!((0.25 + 0.75 + 0.0 + 1.5) / 4.0));
    assert_eq!(samples["fde"]["value"], json!((0.5 + 0.0 + 0.0 + 2.0) / 4.0));
    assert_eq!(samples["best_ade"]["value"], json!(0.125));
    assert_eq!(samples["best_fde"]["value"], json!(0.0));
    assert_eq!(samples["by_frame"], json!([0.625, 0.625]));
    // Means 10.5, 16.5 and 24, 38 of the atom that moves.
    assert_eq!(of_mean["name"], json!("mean of samples"));
    assert_eq!(of_mean["ade"]["value"], json!((1.5 + 0.5 + 1.0 + 2.0) / 8.0));
    assert!(samples["ade"]["standard_error"].as_f64().unwrap() > 0.0);
    assert_eq!((&velocity["name"], &velocity["ade"]["value"]), (&json!("last velocity"), &json!(2.0)));
    assert_eq!((&velocity["fde"]["value"], &velocity["best_ade"]), (&json!(3.0), &Value::Null));
    assert_eq!(regression["name"], json!("linear regression"));
    // Only the moving atom: twice as far.
    let line_of_one = "samples.npz --reference reference.npz --condition-frames 3 --select index~0";
    let selected = figures(folder.path(), line_of_one);
    assert_eq!(selected["forecast"]["rows"][0]["ade"]["value"], json!(1.25));
    let text = stdout(&run(folder.path(), &format!("evaluate trajectories {line} --bootstrap 0")));
    assert!(text.contains("2 windows") && text.contains("0.6250") && !text.contains('\u{b1}'), "{text}");
}

#[test]
fn files_that_do_not_fit_are_refused() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    write(&path("one.npz"), &[1, 2, 1, 3], &[0.0; 6], Some(&[3]), &[]);
    write(&path("late.npz"), &[1, 2, 2, 3], &[0.0; 12], Some(&[11]), &[]);
    write(&path("empty.npz"), &[0, 2, 2, 3], &[], None, &[]);
    write(&path("nan.npz"), &[1, 1, 2, 3], &[0.0, f32::NAN, 0.0, 0.0, 0.0, 0.0], Some(&[3]), &[]);
    write(&path("windows.npz"), &[2, 1, 2, 3], &[0.0; 12], Some(&[3]), &[]);
    fs::write(path("text.npz"), "no archive").unwrap();
    fs::write(path("empty.xyz"), "").unwrap();
    let refused = |line: &str, code: i32, message: &str| {
        let line = format!("evaluate trajectories {line} --condition-frames 3");
        assert_refused(&run(folder.path(), &line), code, message);
    };
    refused("one.npz --reference reference.npz", 4, "1 atoms");
    refused("late.npz --reference reference.npz", 4, "frame 11");
    refused("empty.npz --reference reference.npz", 3, "empty.npz");
    refused("nan.npz --reference reference.npz", 3, "not finite");
    refused("windows.npz --reference reference.npz", 3, "window");
    refused("text.npz --reference reference.npz", 3, "text.npz");
    refused("empty.xyz --reference reference.npz", 3, "empty.xyz");
    refused("missing.npz --reference reference.npz", 3, "missing.npz");
    refused("samples.npz --reference samples.doc", 2, "samples.doc");
    refused("samples.npz --reference reference.npz --sample-frames 2", 4, "cannot be cut");
    refused("samples.npz --reference reference.npz --select index~9", 2, "atom 9");
    refused("--reference reference.npz --kind ensemble", 2, "SAMPLES");
    refused("--reference reference.npz --frames 20", 3, "frames");
    refused("samples.npz --reference reference.npz --torsions 1,2,3", 2, "torsions");
    refused("samples.npz --reference reference.npz --kind ensemble --torsions 0,1,2,3:1,2,3,4", 2, "atom 2");
    refused("samples.npz --reference reference.npz --train one.npz", 4, "1 atoms");
    refused("samples.npz --reference reference.npz --report no/such.html", 1, "no/such.html");
}

/// That a page has no address in it but the name of a format and what the library that draws motions mentions; and that it forbids the
/// browser to load anything.
fn assert_alone(page: &str) {
    assert!(page.contains("http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'"));
    let mut named = page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "");
    if page.contains("3Dmol") {
        named = named.replace(include_str!("../../src/report/3dmol/3Dmol-min.js"), "");
        let licence = named.find("3Dmol.js incorporates").zip(named.find("-->")).unwrap();
        named.replace_range(licence.0..licence.1, "");
    }
    for word in ["http", "//cdn", "src=", "url(", "@import", "fetch("] {
        assert!(!named.contains(word), "{word}");
    }
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
}

#[test]
fn reports_stand_alone() {
    let folder = folder();
    let line = "samples.npz --reference reference.npz --condition-frames 3 --report page.html";
    figures(folder.path(), line);
    let page = fs::read_to_string(folder.path().join("page.html")).unwrap();
    assert_alone(&page);
    for text in ["samples.npz", "last velocity", "mean distance by frame"] {
        assert!(page.contains(text), "no {text}");
    }
    // The two windows have errors of 0.5 and 0.75.
    assert!(page.contains("best window: run 0, frame 3, ADE 0.5000"));
    assert!(page.contains("worst window: run 0, frame 5, ADE 0.7500"));
    // Given frames, then the truth, and both samples beside.
    let data = page.split("application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
    let scene: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&scene["given"], scene["motions"].as_array().unwrap().len()), (&json!(3), 3));
    assert_eq!(scene["motions"][0]["frames"][3], json!([9.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
    assert_eq!(scene["motions"][1]["frames"][4], json!([17.0, 0.0, 0.0, 0.0, 1.0, 0.0]));
    assert_eq!(scene["motions"][1]["frames"][2], scene["motions"][0]["frames"][2]);
}

#[test]
fn simulated_runs_are_the_same_on_any_threads_and_are_judged() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    for line in [
        "simulate springs --runs 40 --seed 3 --threads 1 -o a.npz",
        "simulate springs --runs 40 --seed 3 --threads 3 -o b.npz",
        "simulate gravity --runs 3 --bodies 4 --frames 12 -o g.npz",
        "simulate charged --runs 60 --seed 9 -o train.npz",
        "simulate charged --runs 20 --seed 10 -o test.npz",
    ] {
        let result = run(folder.path(), line);
        assert_eq!(code(&result), 0, "{}", stderr(&result));
    }
    assert_eq!(fs::read(path("a.npz")).unwrap(), fs::read(path("b.npz")).unwrap());
    let gravity = NumpyArchive::open(&path("g.npz")).unwrap();
    assert_eq!(gravity.array("positions").unwrap().0, [3, 12, 4, 3]);
    assert_eq!(gravity.array("velocities").unwrap().0, [3, 12, 4, 3]);
    assert_eq!(gravity.array("masses").unwrap(), (vec![3, 4], vec![1.0; 12]));
    assert!(NumpyArchive::open(&path("test.npz")).unwrap().has("charges"));

    let found = figures(folder.path(), "--reference test.npz --train train.npz");
    let forecast = &found["forecast"];
    assert_eq!((&forecast["windows"], &forecast["training_windows"]), (&json!(20), &json!(60)));
    let rows = forecast["rows"].as_array().unwrap();
    let error = |row: usize| rows[row]["ade"]["value"].as_f64().unwrap();
    assert!(rows.len() == 2 && error(0) > 0.0 && error(1) > 0.0);
    let drift = &forecast["energy_drift"];
    assert_eq!(drift["system"], json!("charged"));
    assert!(drift["reference"]["value"].as_f64().unwrap().is_finite());

    // Every run is a window, however many there are.
    let result = run(folder.path(), "simulate springs --runs 1001 --bodies 2 --frames 30 -o many.npz");
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    assert_eq!(figures(folder.path(), "--reference many.npz")["forecast"]["windows"], json!(1001));

    // Springs as an ensemble of themselves: no difference, and energy is kept as well as central differences see it.
    let found = figures(folder.path(), "a.npz --kind ensemble --reference b.npz --report e.html");
    let ensemble = &found["ensemble"];
    assert_eq!(ensemble["radial_distribution"]["divergence"], json!(0.0));
    assert_eq!(ensemble["velocity_autocorrelation"]["mean_difference"], json!(0.0));
    assert_eq!(ensemble["internal"], Value::Null);
    assert!(ensemble["energy_drift"]["generated"].as_f64().unwrap() < 0.01);
    assert_alone(&fs::read_to_string(path("e.html")).unwrap());

    assert_refused(&run(folder.path(), "simulate springs --bodies 1 -o x.npz"), 2, "bodies");
    assert_refused(&run(folder.path(), "simulate springs --frames 50 -o x.npz"), 2, "49");
    assert_refused(&run(folder.path(), "simulate springs -o x.xyz"), 2, "npz");
    assert_refused(&run(folder.path(), "simulate springs --runs 99999999999 -o x.npz"), 2, "at most");
    assert_refused(&run(folder.path(), "simulate springs --runs 1 -o no/such/x.npz"), 1, "no/such");
    assert!(!path("x.npz").exists());
}

#[test]
fn the_data_sets_of_molecules() {
    let Some(ethanol) = data_file("md/ethanol_5fs.npz") else { return };
    let folder = tempfile::TempDir::new().unwrap();
    let ethanol = ethanol.display();
    let line =
        format!("--reference {ethanol} --part test --windows 100 --train {ethanol} --train-windows 500");
    let found = figures(folder.path(), &line);
    let rows = found["forecast"]["rows"].as_array().unwrap();
    let ade = |row: usize| rows[row]["ade"]["value"].as_f64().unwrap();
    // Vibrations make the last velocity useless after a few frames; a regression knows them.
    assert!(ade(1) < 0.6 * ade(0) && ade(1) > 0.05, "{} {}", ade(0), ade(1));
    let Some(alanine) = data_file("md/alanine_dipeptide.npz") else { return };
    let Some(frames) = data_file("md/formats/alanine_dipeptide100.xtc") else { return };
    let (frames, alanine) = (frames.display(), alanine.display());
    let line = format!(
        "{frames} --kind ensemble --reference {alanine} --every 5 --report {}",
        folder.path().join("a.html").display()
    );
    let ensemble = figures(folder.path(), &line)["ensemble"].clone();
    let basins = ensemble["torsion_map"]["basins"].as_array().unwrap();
    assert!((basins[0]["reference"].as_f64().unwrap() - 0.71).abs() < 0.02, "{basins:?}");
    // Not bonds: the file's steps of 0.01 Å are as wide as the histograms of some.
    assert!(ensemble["internal"]["angles"]["mean"].as_f64().unwrap() < 0.05);
    let page = fs::read_to_string(folder.path().join("a.html")).unwrap();
    assert_alone(&page);
    for text in ["free energy at 300 K, samples", "velocity autocorrelation", "torsion 4-6-8-14"] {
        assert!(page.contains(text), "no {text}");
    }
}
