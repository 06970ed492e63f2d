//! Running the programme.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The programme under test.
pub(crate) fn equidrift() -> Command {
    Command::new(env!("CARGO_BIN_EXE_equidrift"))
}

/// Runs with these arguments to the end.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    equidrift().args(arguments).stdin(Stdio::null()).output().expect("the programme under test starts")
}

/// `generate molecules` with a model folder and further arguments given as one line.
pub(crate) fn generate(model: &Path, output: Option<&Path>, line: &str) -> Command {
    generate_things("molecules", model, output, line)
}

/// The same for `generate graphs`.
pub(crate) fn generate_graphs(model: &Path, output: Option<&Path>, line: &str) -> Command {
    generate_things("graphs", model, output, line)
}

fn generate_things(what: &str, model: &Path, output: Option<&Path>, line: &str) -> Command {
    let mut command = equidrift();
    command.args(["generate", what, "--model"]).arg(model).args(line.split_whitespace());
    if let Some(output) = output {
        command.arg("-o").arg(output);
    }
    command.stdin(Stdio::null());
    command
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// That a run drew what it should. An untrained model may give samples without an atom, hence code 5 as well.
pub(crate) fn assert_drawn(output: &Output) {
    assert!([0, 5].contains(&code(output)), "exit {}: {}", code(output), stderr(output));
}

/// That it ended with `expected`, said `message` on standard error, and did not panic.
pub(crate) fn assert_refused(output: &Output, expected: i32, message: &str) {
    let text = stderr(output);
    assert_eq!(code(output), expected, "{text}");
    assert!(text.to_lowercase().contains(&message.to_lowercase()), "no {message:?} in: {text}");
    assert!(!text.contains("panicked"), "{text}");
}

/// A process that is ended if the test fails before it ends by itself.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the programme under test starts"),
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file of the data sets, where they are at hand; `EQUIDRIFT_DATA` says where.
pub(crate) fn data_file(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("EQUIDRIFT_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"), PathBuf::from);
    let path = data.join(name);
    if path.is_file() {
        return Some(path.canonicalize().unwrap());
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("skipped: no {name}");
    None
}
