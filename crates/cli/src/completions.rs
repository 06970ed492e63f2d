//! `equidrift completions SHELL`

use clap::Args;
use clap_complete::Shell;

use crate::exit::CliResult;
use crate::stdout;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  equidrift completions bash > ~/.local/share/bash-completion/completions/equidrift
  equidrift completions zsh > ~/.zfunc/_equidrift")]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, mut command: clap::Command) -> CliResult {
    // Into memory first: the generator panics where the reader of standard output has gone away.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "equidrift", &mut script);
    stdout::text(&String::from_utf8_lossy(&script))
}
