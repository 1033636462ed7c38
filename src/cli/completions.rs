//! `labimg completions`: scripts for shell completion.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Outcome;
use super::output::Output;

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  labimg completions bash > ~/.local/share/bash-completion/completions/labimg")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub fn run<C: CommandFactory>(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "labimg", &mut script);
    Output::text(&String::from_utf8_lossy(&script))
}
