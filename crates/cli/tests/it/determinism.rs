//! One seed, one file: whatever the batch size, the threads, the shards, and where a run was killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::command::{Running, assert_drawn, assert_refused, code, generate, run, stderr};
use crate::folder::small_model;

const REQUEST: &str = "--num 150 --seed 7 --steps 12";

fn drawn(model: &Path, output: &Path, line: &str) -> Vec<u8> {
    let result = generate(model, Some(output), &format!("{REQUEST} {line}")).output().unwrap();
    assert_drawn(&result);
    assert!(!equidrift::Manifest::partial_for(output).exists(), "a partial file is left");
    fs::read(output).unwrap()
}

fn manifest(output: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(equidrift::Manifest::path_for(output)).ok()?).ok()
}

#[test]
fn batch_size_changes_no_byte() {
    let (folder, model) = small_model();
    for engine in ["fused", "burn"] {
        for format in ["smi", "jsonl", "sdf"] {
            let file = |batch: u32| folder.path().join(format!("{engine}{batch}.{format}"));
            let line = |batch: u32| format!("--engine {engine} --batch {batch}");
            let one = drawn(&model, &file(1), &line(1));
            assert!(!one.is_empty());
            assert_eq!(drawn(&model, &file(64), &line(64)), one, "{engine} {format} --batch 64");
            assert_eq!(drawn(&model, &file(1000), &line(1000)), one, "{engine} {format} --batch 1000");
        }
    }
}

#[test]
fn thread_count_changes_no_byte() {
    let (folder, model) = small_model();
    let one = drawn(&model, &folder.path().join("1.smi"), "--threads 1 --batch 16");
    let two = drawn(&model, &folder.path().join("2.smi"), "--threads 2 --batch 16");
    let five = drawn(&model, &folder.path().join("5.smi"), "--threads 5 --batch 3");
    assert!(one == two && one == five);
    assert_eq!(one.iter().filter(|&&byte| byte == b'\n').count(), 150, "one line per sample");
}

#[test]
fn every_sampler_is_independent_of_the_batch() {
    let (folder, model) = small_model();
    for sampler in equidrift_sampler::SamplerConfig::names() {
        let line = |batch: u32| format!("--sampler {sampler} --batch {batch}");
        let small = drawn(&model, &folder.path().join("small.jsonl"), &line(7));
        let large = drawn(&model, &folder.path().join("large.jsonl"), &line(150));
        assert!(small == large, "{sampler}");
    }
}

#[test]
fn seeds_differ() {
    let (folder, model) = small_model();
    let seven = drawn(&model, &folder.path().join("7.jsonl"), "");
    let eight = generate(&model, Some(&folder.path().join("8.jsonl")), "--num 150 --seed 8 --steps 12")
        .output()
        .unwrap();
    assert_drawn(&eight);
    assert!(seven != fs::read(folder.path().join("8.jsonl")).unwrap());
}

#[test]
fn standard_output_carries_the_same_bytes_as_a_file() {
    let (folder, model) = small_model();
    let file = drawn(&model, &folder.path().join("x.jsonl"), "");
    let stream = generate(&model, None, &format!("{REQUEST} --format jsonl")).output().unwrap();
    assert_drawn(&stream);
    assert!(stream.stdout == file);
}

#[test]
fn merged_shards_are_the_undivided_run() {
    let (folder, model) = small_model();
    let whole_path = folder.path().join("whole.smi");
    let whole = drawn(&model, &whole_path, "");
    let parts: Vec<PathBuf> = (0..3).map(|i| folder.path().join(format!("part{i}.smi"))).collect();
    for (i, part) in parts.iter().enumerate() {
        drawn(&model, part, &format!("--shard {i}/3 --batch {}", 10 + 7 * i));
    }
    let merged_path = folder.path().join("merged.smi");
    // Out of order on purpose.
    let merge = |parts: &[&PathBuf]| {
        let mut arguments = vec!["merge".into()];
        arguments.extend(parts.iter().map(|part| part.as_os_str().to_owned()));
        arguments.extend(["-o".into(), merged_path.as_os_str().to_owned()]);
        run(arguments)
    };
    assert_refused(&merge(&[&parts[0], &parts[2]]), 3, "1/3");
    assert_refused(&merge(&[&parts[0], &parts[1], &parts[2], &parts[1]]), 2, "twice");
    assert!(!merged_path.exists());
    let result = merge(&[&parts[2], &parts[0], &parts[1]]);
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    assert!(fs::read(&merged_path).unwrap() == whole);

    let (merged, whole_manifest) = (manifest(&merged_path).unwrap(), manifest(&whole_path).unwrap());
    for field in ["identity", "progress", "done", "bytes", "sha256", "tally", "diverged"] {
        assert_eq!(merged[field], whole_manifest[field], "{field}");
    }

    // A shard that was changed after it was finished, and one of another run.
    let mut bytes = fs::read(&parts[1]).unwrap();
    bytes[0] ^= 1;
    fs::write(&parts[1], bytes).unwrap();
    fs::remove_file(&merged_path).unwrap();
    assert_refused(&merge(&[&parts[0], &parts[1], &parts[2]]), 3, "not what its manifest recorded");
    let other =
        generate(&model, Some(&parts[1]), "--num 150 --seed 9 --steps 12 --shard 1/3").output().unwrap();
    assert_drawn(&other);
    assert_refused(&merge(&[&parts[0], &parts[1], &parts[2]]), 4, "another run");
    assert!(!merged_path.exists(), "a failed merge leaves nothing behind");
    assert!(!equidrift::Manifest::partial_for(&merged_path).exists());
}

#[test]
fn more_shards_than_samples_merge_as_well() {
    let (folder, model) = small_model();
    let (whole, merged) = (folder.path().join("whole.smi"), folder.path().join("merged.smi"));
    assert_drawn(&generate(&model, Some(&whole), "--num 2").output().unwrap());
    let mut arguments = vec!["merge".into()];
    for i in 0..3 {
        let part = folder.path().join(format!("part{i}.smi"));
        assert_drawn(&generate(&model, Some(&part), &format!("--num 2 --shard {i}/3")).output().unwrap());
        arguments.push(part.into_os_string());
    }
    arguments.extend(["-o".into(), merged.as_os_str().to_owned()]);
    let result = run(arguments);
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    assert!(fs::read(&merged).unwrap() == fs::read(&whole).unwrap());
}

/// Starts a run and waits until its manifest records some but not all samples.
fn started(model: &Path, output: &Path, line: &str) -> Running {
    let mut running = Running::start(generate(model, Some(output), line));
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let done = manifest(output).and_then(|m| m["done"][0]["end"].as_u64()).unwrap_or(0);
        if done > 0 {
            return running;
        }
        assert!(Instant::now() < limit, "no progress recorded");
        assert!(running.0.try_wait().unwrap().is_none(), "the run ended before it could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_run_resumes_to_the_same_bytes() {
    let (folder, model) = small_model();
    let long = "--num 400 --seed 3 --steps 150 --batch 4 --threads 1";
    for format in ["smi", "sdf"] {
        let (reference, killed) =
            (folder.path().join(format!("whole.{format}")), folder.path().join(format!("killed.{format}")));
        let whole =
            generate(&model, Some(&reference), "--num 400 --seed 3 --steps 150 --json").output().unwrap();
        assert_drawn(&whole);

        let mut running = started(&model, &killed, long);
        running.0.kill().unwrap(); // SIGKILL: no chance to tidy up
        running.0.wait().unwrap();
        let done = manifest(&killed).unwrap()["done"][0]["end"].as_u64().unwrap();
        assert!((1..400).contains(&done), "killed too late: {done} done");
        assert!(!killed.exists(), "the final file appears only when it is whole");

        let refused =
            generate(&model, Some(&killed), "--num 400 --seed 4 --steps 150 --resume").output().unwrap();
        assert_refused(&refused, 4, "another run");
        let resumed = generate(&model, Some(&killed), "--num 400 --seed 3 --steps 150 --resume --json")
            .output()
            .unwrap();
        assert_drawn(&resumed);
        assert!(fs::read(&killed).unwrap() == fs::read(&reference).unwrap(), "{format}");
        assert!(!equidrift::Manifest::partial_for(&killed).exists());

        // The summary of the two halves is that of the whole.
        let summary =
            |output: &std::process::Output| serde_json::from_slice::<Value>(&output.stderr).unwrap();
        let (whole, resumed) = (summary(&whole), summary(&resumed));
        for field in
            ["samples", "valid", "validity_before_repair", "uniqueness", "connectedness", "output_sha256"]
        {
            assert_eq!(whole[field], resumed[field], "{field}");
        }
        assert!(resumed["samples_this_run"].as_u64().unwrap() <= 400 - done);

        // Once more: nothing is left to do.
        let again = generate(&model, Some(&killed), "--num 400 --seed 3 --steps 150 --resume --json")
            .output()
            .unwrap();
        assert_drawn(&again);
        assert_eq!(summary(&again)["samples_this_run"], 0);
    }
}

#[test]
fn a_partial_file_that_was_changed_is_not_continued() {
    let (folder, model) = small_model();
    let output = folder.path().join("x.smi");
    let mut running = started(&model, &output, "--num 400 --seed 3 --steps 150 --batch 4 --threads 1");
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    let partial = equidrift::Manifest::partial_for(&output);
    let mut bytes = fs::read(&partial).unwrap();
    bytes[0] ^= 1;
    fs::write(&partial, &bytes).unwrap();
    let resume =
        || generate(&model, Some(&output), "--num 400 --seed 3 --steps 150 --resume").output().unwrap();
    assert_refused(&resume(), 3, "SHA-256");
    fs::write(&partial, b"").unwrap();
    assert_refused(&resume(), 3, "shorter than recorded");
    fs::write(equidrift::Manifest::path_for(&output), b"{\"format_version\": 1, \"do").unwrap();
    assert_refused(&resume(), 3, "manifest");
    assert!(!output.exists());
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_says_130_and_resumes() {
    let (folder, model) = small_model();
    let (reference, output) = (folder.path().join("whole.smi"), folder.path().join("interrupted.smi"));
    assert_drawn(&generate(&model, Some(&reference), "--num 400 --seed 3 --steps 150").output().unwrap());
    let mut running = started(&model, &output, "--num 400 --seed 3 --steps 150 --batch 4 --threads 2");
    let signal =
        std::process::Command::new("kill").args(["-INT", &running.0.id().to_string()]).status().unwrap();
    assert!(signal.success());
    assert_eq!(running.0.wait().unwrap().code(), Some(130));
    assert_eq!(manifest(&output).unwrap()["progress"], "interrupted");
    assert!(!output.exists());
    let refused =
        run(["merge".as_ref(), output.as_os_str(), "-o".as_ref(), folder.path().join("m.smi").as_os_str()]);
    assert_refused(&refused, 3, "not complete");
    assert_drawn(
        &generate(&model, Some(&output), "--num 400 --seed 3 --steps 150 --resume").output().unwrap(),
    );
    assert!(fs::read(&output).unwrap() == fs::read(&reference).unwrap());
}
