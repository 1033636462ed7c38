//! The command line: one file per command, with its arguments and one function. Only `output` prints.

mod boards;
mod boot;
mod build;
mod cache;
mod changes;
mod check;
mod clean;
mod completions;
mod diff;
mod export;
mod hosts;
mod inputs;
mod inspect;
mod lock;
mod new;
mod output;
mod problems;
mod reach;
mod report;
mod roles;
mod secrets;
mod signals;
mod size;
mod stack;
mod status;
mod tied;
mod trust;
mod update;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use labimg_tree::progress::Progress;
use output::{Failure, Output};
use report::{Reporter, Style};

const AFTER_HELP: &str = "\
Examples:
  labimg build --board rpi4 --role master --ssh-key ~/.ssh/id_ed25519.pub
  labimg boot master-rpi4.img
  labimg inspect master-rpi4.img

Exit codes:
  0    done
  1    failed: network, disk, archive, a bad image
  2    the command line or lab.toml is wrong: unknown option or name, a bad key or output
  130  interrupted";

/// Builds flashable SD-card images for Raspberry-Pi-class k3s nodes: no root, no Docker, no emulator.
#[derive(Debug, Parser)]
#[command(name = "labimg", version, after_help = AFTER_HELP, max_term_width = 100, disable_help_subcommand = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, Args)]
struct Global {
    /// Results as JSON on standard output, progress as JSON lines on standard error
    #[arg(long, global = true, display_order = 900)]
    json: bool,
    /// Show warnings only
    #[arg(long, short, global = true, display_order = 901)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::NewArgs),
    Check(check::CheckArgs),
    Build(build::BuildArgs),
    Lock(lock::LockArgs),
    Update(update::UpdateArgs),
    Boot(boot::BootArgs),
    Inspect(inspect::InspectArgs),
    Diff(diff::DiffArgs),
    Export(export::ExportArgs),
    Boards(boards::BoardsArgs),
    Roles(roles::RolesArgs),
    Stack(stack::StackArgs),
    Status(status::StatusArgs),
    Hosts(hosts::HostsArgs),
    Trust(trust::TrustArgs),
    Secrets(secrets::SecretsArgs),
    Cache(cache::CacheArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true, name = crate::boot::tied::COMMAND)]
    Tied(tied::TiedArgs),
}

/// Runs the program: all of `main`.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version go to standard output with 0, mistakes to standard error with 2.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let out = Output::new(cli.global.json);
    let reporter = Reporter::new(Style::choose(cli.global.quiet, cli.global.json));
    if let Err(e) = signals::handle() {
        reporter.warn(&format!("Ctrl-C will not clean up: {e}"));
    }
    let result = match &cli.command {
        Command::New(args) => new::run(args, &out),
        Command::Check(args) => check::run(args, &out),
        Command::Build(args) => build::run(args, &out, &reporter),
        Command::Lock(args) => lock::run(args, &out, &reporter),
        Command::Update(args) => update::run(args, &out, &reporter),
        Command::Boot(args) => boot::run(args, &reporter),
        Command::Inspect(args) => inspect::run(args, &out),
        Command::Diff(args) => diff::run(args, &out),
        Command::Export(args) => export::run(args, &out, &reporter),
        Command::Boards(args) => boards::run(args, &out),
        Command::Roles(args) => roles::run(args, &out),
        Command::Stack(args) => stack::run(args, &out, &reporter),
        Command::Status(args) => status::run(args, &out, &reporter),
        Command::Hosts(args) => hosts::run(args, &out),
        Command::Trust(args) => trust::run(args, &out),
        Command::Secrets(args) => secrets::run(args, &out, &reporter),
        Command::Cache(args) => cache::run(args, &out, &reporter),
        Command::Completions(args) => completions::run::<Cli>(args),
        Command::Tied(args) => tied::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => out.fail(&failure),
    }
}

/// What every command returns.
type Outcome = Result<(), Failure>;
