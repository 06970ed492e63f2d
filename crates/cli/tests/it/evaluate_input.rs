//! `evaluate molecules` on files made to break it: every bad line is named with its reason and counted by kind; a file that
//! cannot be read ends with the documented exit code; nothing is allocated because a file says so.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::command::{assert_refused, code, equidrift, stderr, stdout};

fn evaluate(path: &Path, more: &[&str]) -> Output {
    equidrift().args(["evaluate", "molecules"]).arg(path).args(more).stdin(Stdio::null()).output().unwrap()
}

fn figures(path: &Path) -> (Value, String) {
    let result = evaluate(path, &["--json"]);
    assert_eq!(code(&result), 0, "{}", stderr(&result));
    let report: Value = serde_json::from_slice(&result.stdout).unwrap();
    (report["generated"].clone(), stderr(&result))
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::TempDir::new().unwrap())
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn every_kind_of_bad_line_is_named_with_its_reason_and_counted() {
    let folder = Folder::new();
    let huge = "C".repeat(20_000);
    let large = format!("C1CC1{}", "C".repeat(1_500));
    let mut content = Vec::new();
    for line in [
        &b"CCO"[..],
        b"CCO ethanol",
        b"",
        b"C1CC",
        b"C[Xx]C",
        b"*CC",
        b"CC(C)(C)(C)C",
        b"c1cccc1",
        b"Cc",
        b"C\xe9",
        b"\xff\xfeC\0C\0",
        b"C\0C",
        huge.as_bytes(),
        large.as_bytes(),
        b"C.N",
        b"[Na+].[Cl-]",
    ] {
        content.extend_from_slice(line);
        content.push(b'\n');
    }
    content.extend(vec![b'C'; 100_000]);
    let path = folder.file("mixed.smi", &content);
    let (generated, warnings) = figures(&path);
    assert_eq!(
        generated["problems"],
        json!({"line_length": 1, "encoding": 3, "syntax": 1, "unknown_atom": 2, "size": 2, "valence": 1, "kekulisation": 1, "aromaticity": 1})
    );
    assert_eq!(
        (&generated["samples"], &generated["valid"], &generated["blank"]),
        (&json!(17), &json!(4), &json!(1))
    );
    assert_eq!(generated["bad_lines"], json!([4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17]));
    // Two of four are in pieces.
    assert_eq!(generated["connectedness"], json!(0.5));
    for said in [
        "mixed.smi:4: cannot read SMILES \"C1CC\": ring 1 is not closed",
        "mixed.smi:5: cannot read SMILES \"C[Xx]C\": unknown atom [Xx] at position 1",
        "mixed.smi:10: the line is not UTF-8: byte 0xe9 at position 1",
        "mixed.smi:12: a NUL byte at position 1",
        "12 lines are no molecules",
        "unknown atom 2",
    ] {
        assert!(warnings.contains(said), "no {said:?} in {warnings}");
    }
    // No message repeats a string of 20,000 letters.
    assert!(warnings.lines().all(|line| line.len() < 400), "{warnings}");

    let table = stdout(&evaluate(&path, &[]));
    for row in ["bad lines", "not UTF-8 text", "line too long", "cannot be kekulised", "blank"] {
        assert!(table.contains(row), "{table}");
    }
    assert_refused(&evaluate(&path, &["--on-bad-line", "fail"]), 3, "mixed.smi:4: ");
}

#[test]
fn files_that_cannot_be_read_end_with_exit_code_3_and_say_where() {
    let folder = Folder::new();
    for (name, content, said) in [
        ("empty.smi", Vec::new(), "no molecules in it"),
        ("comments.smi", b"# nothing\n# here\n".to_vec(), "no molecules in it"),
        ("empty.smi.gz", compressed(b""), "no molecules in it"),
        ("utf16.smi", b"\xff\xfeC\0C\0O\0\n\0".to_vec(), "line 1: the file is UTF-16"),
        ("utf16be.smi", b"\xfe\xff\0C\0C\0\n".to_vec(), "line 1: the file is UTF-16"),
        ("utf16.smi.gz", compressed(b"\xff\xfeC\0\n\0"), "line 1: the file is UTF-16"),
    ] {
        assert_refused(&evaluate(&folder.file(name, &content), &[]), 3, said);
    }
    let molecules: String = (0..40_000).map(|i| format!("{}O\n", "C".repeat(i % 30 + i % 7 + 1))).collect();
    let whole = compressed(molecules.as_bytes());
    let cut = folder.file("cut.smi.gz", &whole[..whole.len() / 2]);
    let result = evaluate(&cut, &[]);
    assert_refused(&result, 3, "cut.smi.gz: after line ");
    assert!(stderr(&result).contains("truncated"), "{}", stderr(&result));
    let mut broken = whole.clone();
    broken[whole.len() / 2] ^= 0x55;
    assert_refused(&evaluate(&folder.file("broken.smi.gz", &broken), &[]), 3, "broken.smi.gz: after line ");
    // As training set and as reference as well.
    let good = folder.file("good.smi", b"CCO\n");
    let cut = cut.to_str().unwrap();
    assert_refused(&evaluate(&good, &["--train", cut]), 3, "after line ");
    assert_refused(&evaluate(&good, &["--reference", cut]), 3, "after line ");
    assert_refused(&evaluate(&good, &["--train", "nowhere.smi"]), 3, "nowhere.smi");
    assert_refused(&evaluate(&good, &["--reference", "x.sdf"]), 2, "show every sample");
}

#[test]
fn a_file_of_one_line_of_a_gigabyte_is_passed_over_in_little_memory() {
    let folder = Folder::new();
    for name in ["line.smi.gz", "line.jsonl.gz"] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let block = vec![b'C'; 1 << 20];
        (0..1024).for_each(|_| encoder.write_all(&block).unwrap());
        encoder.write_all(b"\n{\"smiles\": \"CCO\"}\n").unwrap();
        let path = folder.file(name, &encoder.finish().unwrap());
        // A shell limits the address space to half of the line, where there is one that can.
        let limited = std::process::Command::new("sh")
            .args(["-c", "ulimit -v 524288 && exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_equidrift"))
            .args(["evaluate", "molecules", "--threads", "2", "--json"])
            .arg(&path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_eq!(code(&limited), 0, "{}", stderr(&limited));
        let generated = &serde_json::from_slice::<Value>(&limited.stdout).unwrap()["generated"];
        assert_eq!(
            (&generated["samples"], &generated["problems"]["line_length"]),
            (&json!(2), &json!(1)),
            "{generated}"
        );
        assert!(stderr(&limited).contains(":1: the line is longer than"), "{}", stderr(&limited));
    }
}

#[test]
fn records_of_other_shapes_are_bad_lines() {
    let folder = Folder::new();
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let content = format!(
        "{{\"smiles\": \"CCO\"}}\n{{\"smiles\": 3}}\n\n{{\"smiles\": null}}\n{deep}\n{{\"smiles\": \"C(\"}}\n\"C\"\n{{\"smiles\": \"CC\""
    );
    let (generated, warnings) = figures(&folder.file("x.jsonl", content.as_bytes()));
    assert_eq!(generated["problems"], json!({"record": 5, "syntax": 1}), "{warnings}");
    assert_eq!(
        (&generated["samples"], &generated["valid"], &generated["blank"]),
        (&json!(8), &json!(1), &json!(1))
    );
}

#[test]
fn a_file_full_of_bad_lines_is_summed_up() {
    let folder = Folder::new();
    let (generated, warnings) = figures(&folder.file("bad.smi", "C(\n".repeat(30_000).as_bytes()));
    assert_eq!(generated["problems"], json!({"syntax": 30_000}));
    assert_eq!(generated["bad_lines"].as_array().unwrap().len(), 1_000);
    assert_eq!(warnings.lines().count(), 11, "{warnings}");
    assert_eq!((&generated["validity"], &generated["uniqueness"]), (&json!(0.0), &Value::Null));
}

#[test]
fn standard_input_is_a_file_too() {
    let mut child = equidrift()
        .args(["evaluate", "molecules", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"CCO\nOCC\n").unwrap();
    let result = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&result.stdout).unwrap();
    assert_eq!((&report["generated"]["valid"], &report["generated"]["distinct"]), (&json!(2), &json!(1)));
}

#[test]
fn figures_and_errors_do_not_depend_on_threads() {
    let folder = Folder::new();
    let molecules: String =
        (0..3_000).map(|i| format!("{}{}\n", "C".repeat(i % 23 + 1), ["O", "N", "?"][i % 3])).collect();
    let path = folder.file("x.smi", molecules.as_bytes());
    let reference = folder.file("reference.smi", b"CCO\nCCN\nCCCl\n");
    let run = |threads: &str, seed: &str| {
        let more = [
            "--reference",
            reference.to_str().unwrap(),
            "--nspdk",
            "--json",
            "--threads",
            threads,
            "--seed",
            seed,
        ];
        stdout(&evaluate(&path, &more))
    };
    let one = run("1", "7");
    assert_eq!(one, run("3", "7"));
    let errors = |text: &str| {
        serde_json::from_str::<Value>(text).unwrap()["distances"]["standard_errors"]["nspdk_mmd"].clone()
    };
    assert!(errors(&one).as_f64().unwrap() > 0.0, "{one}");
    assert_ne!(errors(&one), errors(&run("1", "8")));
}
