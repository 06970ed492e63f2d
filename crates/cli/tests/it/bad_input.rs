//! Whatever is wrong with what the programme is given: the documented exit code, a message that says where, no panic, and
//! never a half-written final file.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::command::{assert_drawn, assert_refused, code, equidrift, generate, run, stderr, stdout};
use crate::folder::{change, reconfigure, small_model, tamper};

#[test]
fn a_missing_model_is_named() {
    let (folder, model) = small_model();
    let out = folder.path().join("x.smi");
    let draw = || generate(&model, Some(&out), "--num 3").output().unwrap();
    for file in ["config.json", "model.safetensors", "SHA256SUMS"] {
        let bytes = fs::read(model.join(file)).unwrap();
        fs::remove_file(model.join(file)).unwrap();
        assert_refused(&draw(), 3, file);
        fs::write(model.join(file), bytes).unwrap();
    }
    assert_refused(&generate(&folder.path().join("nowhere"), Some(&out), "").output().unwrap(), 3, "nowhere");
    assert!(!out.exists());
    assert_drawn(&draw());
}

#[test]
fn tampered_files_are_caught_before_they_are_parsed() {
    for (file, place) in [("config.json", 30), ("model.safetensors", 4000)] {
        let (folder, model) = small_model();
        let out = folder.path().join("x.smi");
        tamper(&model, file, |bytes| bytes[place] ^= 1);
        assert_refused(&generate(&model, Some(&out), "--num 3").output().unwrap(), 3, "checksum mismatch");
        assert_refused(&run(["inspect".as_ref(), model.as_os_str()]), 3, file);
        assert!(!out.exists());
    }
}

#[test]
fn truncated_files_are_caught_behind_good_checksums_too() {
    for (file, message) in [("config.json", "config.json"), ("model.safetensors", "truncated")] {
        let (folder, model) = small_model();
        let out = folder.path().join("x.smi");
        tamper(&model, file, |bytes| bytes.truncate(bytes.len() - 100));
        assert_refused(&generate(&model, Some(&out), "--num 3").output().unwrap(), 3, "checksum");
        change(&model, file, |_| ());
        assert_refused(&generate(&model, Some(&out), "--num 3").output().unwrap(), 3, message);
    }
    let (_folder, model) = small_model();
    change(&model, "model.safetensors", |bytes| bytes.truncate(5));
    assert_refused(&run(["inspect".as_ref(), model.as_os_str()]), 3, "truncated");
    change(&model, "model.safetensors", Vec::clear);
    assert_refused(&run(["inspect".as_ref(), model.as_os_str()]), 3, "truncated");
}

#[test]
fn a_configuration_that_does_not_match_the_weights_names_the_tensor_and_both_shapes() {
    let (_folder, model) = small_model();
    reconfigure(&model, |config| config["networks"]["x"]["nhid"] = json!(12));
    let result = run(["inspect".as_ref(), model.as_os_str()]);
    assert_refused(&result, 4, "tensor `x.");
    let text = stderr(&result);
    // The node network's last perceptron sees 4 + 2 * nhid features and is twice as wide.
    assert!(text.contains("[56]") && text.contains("[40]") && text.contains("model.safetensors"), "{text}");
}

#[test]
fn configurations_that_make_no_sense_name_the_field() {
    for (pointer, value, expected, message) in [
        ("/nonsense", json!(1), 3, "nonsense"),
        ("/max_nodes", json!("many"), 3, "config.json"),
        ("/library", json!("another"), 4, "library"),
        ("/format_version", json!(99), 4, "format_version"),
        ("/steps", json!(0), 4, "steps"),
        ("/vocabulary/atoms", json!(["C", "N"]), 4, "vocabulary"),
        ("/node_counts", json!({"9": 3}), 4, "node_counts"),
        ("/networks/adj/num_heads", json!(0), 4, "heads"),
        ("/networks/x/nhid", json!(u32::MAX), 4, "nhid"),
        ("/vocabulary/atoms/0", json!("Xx"), 3, "Xx"),
    ] {
        let (_folder, model) = small_model();
        reconfigure(&model, |config| match config.pointer_mut(pointer) {
            Some(field) => *field = value,
            None => config[&pointer[1..]] = value,
        });
        let result = run(["inspect".as_ref(), model.as_os_str()]);
        assert_refused(&result, expected, message);
    }
}

#[test]
fn a_header_that_claims_ten_gigabytes_costs_nothing() {
    let (folder, model) = small_model();
    change(&model, "model.safetensors", |bytes| {
        bytes[..8].copy_from_slice(&10_000_000_000_u64.to_le_bytes());
    });
    let start = Instant::now();
    assert_refused(&run(["inspect".as_ref(), model.as_os_str()]), 3, "10000000000");
    let inputs = folder.path().join("in.safetensors");
    fs::write(&inputs, 10_000_000_000_u64.to_le_bytes()).unwrap();
    let (_other, sound) = small_model();
    let output = folder.path().join("out.safetensors");
    let arguments = ["forward".as_ref(), "--model".as_ref(), sound.as_os_str(), "--inputs".as_ref()];
    let result = equidrift().args(arguments).arg(&inputs).arg("--output").arg(&output).output().unwrap();
    assert_refused(&result, 3, "10000000000");
    assert!(!output.exists());
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn bad_smiles_lines_are_reported_by_number_and_skipped_or_fatal() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("x.smi");
    fs::write(&file, "CCO\nC1CC\nnonsense?\n\nCCN\n\u{1F}\n").unwrap();
    let evaluate = |more: &[&str]| {
        equidrift().args(["evaluate", "molecules", "--generated"]).arg(&file).args(more).output().unwrap()
    };
    let skipped = evaluate(&["--json"]);
    assert_eq!(code(&skipped), 0, "{}", stderr(&skipped));
    assert!(
        stderr(&skipped).contains("x.smi:2:") && stderr(&skipped).contains("x.smi:3:"),
        "{}",
        stderr(&skipped)
    );
    let report: serde_json::Value = serde_json::from_slice(&skipped.stdout).unwrap();
    assert_eq!(report["generated"]["valid"], 2);
    // The blank line is a sample without a molecule.
    assert_eq!(report["generated"]["samples"], 6);
    assert_eq!(report["generated"]["bad_lines"], json!([2, 3, 6]));

    assert_refused(&evaluate(&["--on-bad-line", "fail"]), 3, "x.smi:2:");
    let train = folder.path().join("train.smi");
    fs::write(&train, "CCO\nC(\n").unwrap();
    let fatal = evaluate(&["--train", train.to_str().unwrap(), "--on-bad-line", "fail"]);
    assert_refused(&fatal, 3, "train.smi:2:");
    assert_eq!(stdout(&fatal), "");
    let missing = folder.path().join("missing.smi");
    assert_refused(&evaluate(&["--train", missing.to_str().unwrap()]), 3, "missing.smi");
    fs::write(&file, "").unwrap();
    assert_refused(&evaluate(&[]), 3, "no molecules");
}

#[test]
fn nonsense_on_the_command_line_is_a_usage_error() {
    let (folder, model) = small_model();
    let out = folder.path().join("x.smi");
    for (line, message) in [
        ("--num 0", "0"),
        ("--num -3", "-3"),
        ("--num 3 --shard 3/3", "the last is 2/3"),
        ("--num 3 --shard 1", "0/3"),
        ("--num 3 --shard 0/0", "0 shards"),
        ("--num 3 --batch 0", "0"),
        ("--num 3 --threads 0", "0"),
        ("--num 3 --steps 0", "0"),
        ("--num 3 --sampler magic", "predictor-corrector"),
        ("--num 3 --device toaster", "cuda"),
        ("--num 3 --engine warp", "fused"),
        ("--num 3 --sampler heun --snr 0.2", "snr"),
        ("--num 3 --snr nan", "snr"),
        ("--num 3 --format sdf", "suffix"),
        ("--num 3 --frobnicate", "frobnicate"),
    ] {
        assert_refused(&generate(&model, Some(&out), line).output().unwrap(), 2, message);
    }
    assert_refused(
        &generate(&model, Some(&folder.path().join("x.xyz")), "--num 3").output().unwrap(),
        2,
        ".sdf",
    );
    assert_refused(&generate(&model, None, "--num 3 --resume").output().unwrap(), 2, "--output");
    assert_refused(&run(["evaluate", "molecules", "--generated", "x.sdf"]), 2, ".jsonl");
    assert_refused(&run(["samplers", "show", "magic"]), 2, "dpm-solver++");
    assert_refused(&run(["merge", "-o", "x.smi"]), 2, "FILE");
    assert_eq!(code(&run::<&str>([])), 2);
    assert!(!out.exists());
    #[cfg(not(feature = "cuda"))]
    assert_refused(
        &generate(&model, None, "--num 3 --device cuda:1").output().unwrap(),
        2,
        "--features cuda",
    );
}

#[test]
fn configuration_files_are_checked() {
    let (folder, model) = small_model();
    let config = folder.path().join("run.toml");
    let draw = || generate(&model, None, "--num 3 --steps 2").arg("--config").arg(&config).output().unwrap();
    fs::write(&config, "seed = 4\nsede = 5\n").unwrap();
    assert_refused(&draw(), 3, "sede");
    fs::write(&config, "seed = = 4\n").unwrap();
    assert_refused(&draw(), 3, "run.toml");
    fs::remove_file(&config).unwrap();
    assert_refused(&draw(), 3, "run.toml");
}

#[test]
fn outputs_that_cannot_be_written_are_named() {
    let (folder, model) = small_model();
    let nowhere = folder.path().join("no/such/folder/x.smi");
    assert_refused(&generate(&model, Some(&nowhere), "--num 3").output().unwrap(), 1, "no/such/folder");
    let taken = folder.path().join("taken.smi");
    fs::create_dir(&taken).unwrap();
    assert_refused(&generate(&model, Some(&taken), "--num 3").output().unwrap(), 1, "taken.smi");
    assert!(!equidrift::Manifest::partial_for(&taken).exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_a_failure_on_either_way_out() {
    let (_folder, model) = small_model();
    let full = std::path::Path::new("/dev/full");
    assert_refused(&generate(&model, Some(full), "--num 20 --steps 2").output().unwrap(), 1, "no space left");
    assert!(!std::path::Path::new("/dev/full.partial").exists());
    let to_full = fs::OpenOptions::new().write(true).open(full).unwrap();
    let mut command = generate(&model, None, "--num 20 --steps 2");
    assert_refused(&command.stdout(to_full).output().unwrap(), 1, "no space left");
    let to_full = fs::OpenOptions::new().write(true).open(full).unwrap();
    let listing = equidrift().args(["samplers", "list"]).stdout(to_full).output().unwrap();
    assert_refused(&listing, 1, "no space left");
}

/// A file system of a few pages, where the system lets this user mount one.
#[cfg(target_os = "linux")]
struct SmallDisk {
    place: tempfile::TempDir,
}

#[cfg(target_os = "linux")]
impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let place = tempfile::TempDir::new().unwrap();
        Self::mounted(&place, size).then_some(Self { place })
    }

    fn mounted(place: &tempfile::TempDir, options: &str) -> bool {
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(place.path())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    fn grow(&self, size: &str) -> bool {
        Self::mounted(&self.place, &format!("remount,{size}"))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.place.path()).status();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing_that_was_recorded() {
    let Some(disk) = SmallDisk::mount("size=48k") else {
        eprintln!("skipped: this user may not mount a file system; /dev/full is tested beside this");
        return;
    };
    let (folder, model) = small_model();
    let line = "--num 1500 --seed 5 --steps 2 --batch 16";
    let (whole, output) = (folder.path().join("whole.jsonl"), disk.place.path().join("x.jsonl"));
    assert_drawn(&generate(&model, Some(&whole), line).output().unwrap());
    assert!(fs::metadata(&whole).unwrap().len() > 100_000);

    let full = generate(&model, Some(&output), line).output().unwrap();
    assert_refused(&full, 1, "no space left");
    assert!(stderr(&full).contains("--resume"), "{}", stderr(&full));
    assert!(!output.exists(), "a half-written final file");
    let manifest = equidrift::Manifest::read(&output).unwrap().expect("the manifest is intact");
    assert_eq!(manifest.progress, equidrift::Progress::Running);

    assert!(disk.grow("size=4m"));
    assert_drawn(&generate(&model, Some(&output), &format!("{line} --resume")).output().unwrap());
    assert!(fs::read(&output).unwrap() == fs::read(&whole).unwrap());
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let (_folder, model) = small_model();
    let mut child = generate(&model, None, "--num 100000 --steps 2 --format jsonl")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let result = child.wait_with_output().unwrap();
    assert_eq!((code(&result), stderr(&result).as_str()), (0, ""));
    let mut listing = equidrift()
        .args(["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(listing.stdout.take());
    let result = listing.wait_with_output().unwrap();
    assert_eq!((code(&result), stderr(&result).as_str()), (0, ""));
}

#[test]
fn checkpoints_that_cannot_be_converted_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let json_path = folder.path().join("x.json");
    let convert = || {
        equidrift()
            .args(["convert", "gdss"])
            .arg(&json_path)
            .arg("-o")
            .arg(folder.path().join("model"))
            .output()
            .unwrap()
    };
    assert_refused(&convert(), 3, "x.json");
    fs::write(&json_path, "{\"name\": 3").unwrap();
    assert_refused(&convert(), 3, "x.json");
    assert!(!folder.path().join("model").exists());
}
