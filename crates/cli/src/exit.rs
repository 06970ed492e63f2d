//! Exit codes and the errors that lead to them.

use std::error::Error as StdError;
use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use equidrift::ErrorKind;

/// How the programme ends. Scripts rely on the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything asked for was done.
    Ok = 0,
    /// Something failed that is none of the below: a full disk, an unwritable file, a device error.
    Failure = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// An input file is missing, unreadable or malformed.
    BadInput = 3,
    /// A model folder contradicts itself, or a file belongs to another run or model.
    Mismatch = 4,
    /// Fewer valid samples than asked for.
    TooFewValid = 5,
    /// Stopped by a signal; what was done is recorded and can be resumed.
    Interrupted = 130,
}

/// The codes as the help shows them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  failure (unwritable output, full disk, device error, ...)
    2  usage
    3  bad input file (missing, truncated, malformed)
    4  model and configuration do not match, or the file belongs to another run
    5  fewer valid samples than asked for
  130  interrupted; what was done is recorded, --resume continues it";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What a subcommand returns.
pub(crate) type CliResult = Result<Exit, Failure>;

/// An error with the code the programme shall end with.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// The error and its causes, to end with `exit`.
    pub(crate) fn new(exit: Exit, error: impl StdError) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Many messages already end with their cause.
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = error.source();
        }
        Self { exit, message }
    }

    /// A message of the command line's own.
    pub(crate) fn message(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// An error of writing to standard output: the reader has gone away, which is its right, or a real failure.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { exit: Exit::Ok, message: String::new() },
            _ => Self::message(Exit::Failure, format_args!("standard output: {error}")),
        }
    }

    /// The code to end with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The text for people; empty where there is nothing to say.
    pub(crate) fn text(&self) -> &str {
        &self.message
    }
}

impl From<equidrift_sampler::SamplerError> for Failure {
    fn from(error: equidrift_sampler::SamplerError) -> Self {
        equidrift::Error::from(error).into()
    }
}

impl From<equidrift::Error> for Failure {
    fn from(error: equidrift::Error) -> Self {
        if error.is_broken_pipe() {
            return Self { exit: Exit::Ok, message: String::new() };
        }
        let exit = match error.kind() {
            ErrorKind::Usage => Exit::Usage,
            ErrorKind::BadInput => Exit::BadInput,
            ErrorKind::Mismatch => Exit::Mismatch,
            _ => Exit::Failure,
        };
        Self::new(exit, error)
    }
}

impl From<equidrift_geotdm::GeotdmError> for Failure {
    fn from(error: equidrift_geotdm::GeotdmError) -> Self {
        use equidrift_geotdm::GeotdmError as E;
        let exit = match &error {
            E::Config { .. } | E::Mismatch { .. } => Exit::Mismatch,
            E::Device(_) => Exit::Usage,
            E::Layer(_) | E::Values { .. } => Exit::Failure,
            _ => Exit::BadInput,
        };
        Self::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = Failure::stdout(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.exit(), gone.text()), (Exit::Ok, ""));
        let full = Failure::stdout(&io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit(), Exit::Failure);
    }

    #[test]
    fn the_documented_codes_are_the_codes() {
        for exit in [
            Exit::Ok,
            Exit::Failure,
            Exit::Usage,
            Exit::BadInput,
            Exit::Mismatch,
            Exit::TooFewValid,
            Exit::Interrupted,
        ] {
            let line = format!("{:>5}  ", exit as u8);
            assert!(EXIT_CODES.contains(&line), "{line}");
        }
    }
}
