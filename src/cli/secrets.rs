//! `labimg secrets`: shows and renews the keys of a lab.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use super::Outcome;
use super::output::Output;
use super::report::Reporter;
use crate::lab;
use crate::secrets::{self, Listed, Rotate, Secrets};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::progress::Progress;

/// Show or renew the keys of a lab
#[derive(Debug, Args)]
pub struct SecretsArgs {
    #[command(subcommand)]
    command: SecretsCommand,
    /// The folder that holds lab.toml
    #[arg(long, value_name = "DIR", default_value = ".", global = true)]
    lab: PathBuf,
}

#[derive(Debug, Subcommand)]
enum SecretsCommand {
    /// List what there is, with fingerprints and last days; never a secret
    Show,
    /// Make another kubeconfig, whose certificate is valid for a year; no card changes
    #[command(
        after_help = "A certificate cannot be called back: whoever has a copy of the old kubeconfig may use it until its last \
                            day. `labimg secrets rotate --certificates` ends all of them, and the cluster begins afresh."
    )]
    Kubeconfig,
    /// Make new secrets and keep the old ones in `secrets/old-DATE/`
    #[command(
        group(ArgGroup::new("what").args(["tokens", "certificates", "host_keys", "all"]).required(true).multiple(true)),
        after_help = "Example:\n  labimg secrets rotate --tokens\n\n\
                      A running cluster knows nothing of the new ones: flash the cards that are named. The cluster's database \
                      belongs to the old tokens and certificates."
    )]
    Rotate {
        /// Passwords with which servers and workers join
        #[arg(long)]
        tokens: bool,
        /// Certificate authorities, service account key and the administrator's certificate
        #[arg(long)]
        certificates: bool,
        /// SSH host keys of all nodes
        #[arg(long)]
        host_keys: bool,
        /// All of these
        #[arg(long)]
        all: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// For programs: a kubeconfig that was made.
#[derive(Debug, Serialize)]
struct Renewed {
    kept: PathBuf,
    kubeconfig: Option<PathBuf>,
    /// The last day of its certificate.
    expires: String,
}

#[derive(Debug, Serialize)]
struct Rotated {
    kept: PathBuf,
    reflash: Vec<String>,
    kubeconfig: Option<PathBuf>,
}

/// Why the secrets were not changed.
#[derive(Debug, thiserror::Error)]
enum SecretsCommandError {
    /// The user said no.
    #[error("nothing was changed")]
    Declined,
    /// The clock is wrong, so dates of certificates would be wrong.
    #[error("this computer's clock is before 1970")]
    Clock,
}

impl Fault for SecretsCommandError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Declined | Self::Clock => FaultKind::World,
        }
    }
}

pub fn run(args: &SecretsArgs, out: &Output, reporter: &Reporter) -> Outcome {
    match &args.command {
        SecretsCommand::Show => show(&args.lab, out),
        SecretsCommand::Kubeconfig => kubeconfig(&args.lab, out),
        SecretsCommand::Rotate { tokens, certificates, host_keys, all, yes } => {
            let what =
                Rotate { tokens: *tokens || *all, certificates: *certificates || *all, host_keys: *host_keys || *all };
            rotate(&args.lab, what, *yes, out, reporter)
        }
    }
}

fn show(dir: &Path, out: &Output) -> Outcome {
    let folder = lab::load(dir)?;
    let found = Secrets::open_existing(&folder.dir.join(secrets::FOLDER), &folder.lab, now()?)?;
    out.result(&found.list(), |listed| text(listed))
}

fn text(listed: &[Listed]) -> String {
    let width = |of: fn(&Listed) -> usize| listed.iter().map(of).max().unwrap_or(0);
    let (name, kind) = (width(|l| l.name.len()), width(|l| l.kind.len()));
    let line = |l: &Listed| {
        let until = l.expires.as_deref().map_or(String::new(), |day| format!("until {day}"));
        let fingerprint = l.fingerprint.as_deref().unwrap_or_default();
        format!("{}\n", format!("{:name$}  {:kind$}  {until:16}  {fingerprint}", l.name, l.kind).trim_end())
    };
    listed.iter().map(line).collect()
}

fn kubeconfig(dir: &Path, out: &Output) -> Outcome {
    let folder = lab::load(dir)?;
    let rotation = secrets::renew_administrator(&folder.dir.join(secrets::FOLDER), &folder.lab, now()?)?;
    let kubeconfig = rotation.secrets.write_kubeconfig(&folder)?;
    let done = Renewed { kept: rotation.kept, kubeconfig, expires: rotation.secrets.administrators_last_day() };
    out.result(&done, |done| {
        let path = done.kubeconfig.as_ref().map(|path| format!("Kubeconfig: {}\n", path.display()));
        format!(
            "{}Valid until {}. The old certificate is in {}\n",
            path.unwrap_or_default(),
            done.expires,
            done.kept.display()
        )
    })
}

fn rotate(dir: &Path, what: Rotate, yes: bool, out: &Output, reporter: &Reporter) -> Outcome {
    let folder = lab::load(dir)?;
    let nodes: Vec<&str> = folder.lab.nodes.iter().map(|node| node.name.as_str()).collect();
    let question = format!("Make new secrets? These cards must be flashed again: {}.", nodes.join(", "));
    if !yes && !Output::confirm(&question, "this replaces secrets, and nobody can be asked", "say --yes")? {
        return Err(SecretsCommandError::Declined.into());
    }
    let rotation = secrets::rotate(&folder.dir.join(secrets::FOLDER), &folder.lab, now()?, what)?;
    let kubeconfig = rotation.secrets.write_kubeconfig(&folder)?;
    if what.tokens || what.certificates {
        reporter.warn(
            "k3s does not open a database that was made with the old secrets: a cluster that starts with the new ones begins \
             afresh, with an empty partition `labimg-k3s` on the USB disk; the files of the applications are not touched",
        );
    }
    let done = Rotated { kept: rotation.kept, reflash: rotation.reflash, kubeconfig };
    out.result(&done, |done| {
        let kubeconfig = done.kubeconfig.as_ref().map(|path| format!("Kubeconfig: {}\n", path.display()));
        format!(
            "The old ones are in {}\nBuild and flash these cards again: {}\n{}",
            done.kept.display(),
            done.reflash.join(", "),
            kubeconfig.unwrap_or_default()
        )
    })
}

/// This computer's time in seconds since 1970.
fn now() -> Result<i64, SecretsCommandError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|t| i64::try_from(t.as_secs()).ok());
    now.ok_or(SecretsCommandError::Clock)
}
