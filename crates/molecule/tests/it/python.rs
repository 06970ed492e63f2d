//! RDKit by way of Python, where it is installed: `EQUIDRIFT_PYTHON` (default `python3`).

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

fn interpreter() -> String {
    std::env::var("EQUIDRIFT_PYTHON").unwrap_or_else(|_| "python3".to_owned())
}

/// Whether Python has these modules (`["rdkit", "torch"]`); prints why a test is skipped if not.
pub(crate) fn has(modules: &[&str]) -> bool {
    let code =
        format!("import importlib.util as u, sys; sys.exit(not all(u.find_spec(m) for m in {modules:?}))");
    let found = Command::new(interpreter())
        .args(["-c", &code])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        println!("skipped: no Python with {}", modules.join(", "));
    }
    found
}

/// The lines, as JSON, that a script of this folder prints when it reads these lines.
pub(crate) fn run(script: &str, arguments: &[&str], lines: &[String]) -> Vec<Value> {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let mut child = Command::new(interpreter())
        .arg(script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = lines.join("\n");
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
