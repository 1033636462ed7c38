//! `labimg secrets`: shows and renews the keys of a lab.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use super::Outcome;
use super::output::Output;
use super::report::Reporter;
use crate::lab;
use crate::plan;
use crate::secrets::{self, Listed, Rotate, Secrets, StackNames};
use crate::stack::UsedIn;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::progress::Progress;
use labimg_tree::suggest::{did_you_mean, nearest};

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
    /// List what there is, with fingerprints and last days; with a name, print that password of the stack
    #[command(after_help = "Example:\n  labimg secrets show lab-admin      the password for the first login")]
    Show {
        /// A password of the stack, as the list names it
        name: Option<String>,
    },
    /// Make another kubeconfig, whose certificate is valid for a year; no card changes
    #[command(
        after_help = "A certificate cannot be called back: whoever has a copy of the old kubeconfig may use it until its last \
                            day. `labimg secrets rotate --certificates` ends all of them, and the cluster begins afresh."
    )]
    Kubeconfig,
    /// Make new secrets and keep the old ones in `secrets/old-DATE/`
    #[command(
        group(ArgGroup::new("what").args(["tokens", "certificates", "host_keys", "stack", "all"]).required(true).multiple(true)),
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
        /// A password of the stack, by name; no card has to be flashed again for it
        #[arg(long, value_name = "NAME", conflicts_with_all = ["tokens", "certificates", "host_keys", "all"])]
        stack: Vec<String>,
        /// All of these but the stack's
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
    /// The stack has no password of this name.
    #[error("the stack has no password `{name}`")]
    NoPassword {
        /// The name given.
        name: String,
        /// Similar names, best first.
        near: Vec<String>,
        /// All names.
        all: Vec<String>,
    },
    /// It was never made.
    #[error("the password `{0}` was not made yet")]
    NotMade(String),
    /// The clock is wrong, so dates of certificates would be wrong.
    #[error("this computer's clock is before 1970")]
    Clock,
}

impl Fault for SecretsCommandError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::NoPassword { .. } => FaultKind::Usage,
            Self::Declined | Self::NotMade(_) | Self::Clock => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::NoPassword { near, all, .. } => {
                let there = if all.is_empty() {
                    "the stack of this lab has none: `labimg stack` lists it".to_owned()
                } else {
                    format!("there are {}", all.join(", "))
                };
                Some(did_you_mean(near).into_iter().chain([there]).collect::<Vec<_>>().join("\n"))
            }
            Self::NotMade(_) => Some("`labimg build` makes it".to_owned()),
            Self::Declined | Self::Clock => None,
        }
    }
}

pub fn run(args: &SecretsArgs, out: &Output, reporter: &Reporter) -> Outcome {
    match &args.command {
        SecretsCommand::Show { name: None } => show(&args.lab, out),
        SecretsCommand::Show { name: Some(name) } => show_one(&args.lab, name, out),
        SecretsCommand::Kubeconfig => kubeconfig(&args.lab, out),
        SecretsCommand::Rotate { stack, yes, .. } if !stack.is_empty() => rotate_stack(&args.lab, stack, *yes, out),
        SecretsCommand::Rotate { tokens, certificates, host_keys, all, yes, .. } => {
            let what =
                Rotate { tokens: *tokens || *all, certificates: *certificates || *all, host_keys: *host_keys || *all };
            rotate(&args.lab, what, *yes, out, reporter)
        }
    }
}

fn show(dir: &Path, out: &Output) -> Outcome {
    let folder = lab::load(dir)?;
    let dir = folder.dir.join(secrets::FOLDER);
    let mut found = Secrets::open_existing(&dir, &folder.lab, now()?)?;
    found.read_stack(&dir, &plan::stack_of(&folder.lab, &folder.parts)?.secret_names(), now()?)?;
    out.result(&found.list(), |listed| text(listed))
}

/// For programs: a password of the stack.
#[derive(Serialize)]
struct Password<'a> {
    name: &'a str,
    value: &'a str,
    used: Vec<UsedIn>,
}

/// Fails unless the stack has a password of this name.
fn check_name(name: &str, names: &StackNames) -> Result<(), SecretsCommandError> {
    let all: Vec<String> = names.passwords.iter().chain(&names.cookies).cloned().collect();
    if all.iter().any(|known| known == name) {
        return Ok(());
    }
    let near = nearest(name, all.iter().map(String::as_str));
    Err(SecretsCommandError::NoPassword { name: name.to_owned(), near, all })
}

fn show_one(dir: &Path, name: &str, out: &Output) -> Outcome {
    let folder = lab::load(dir)?;
    let stack = plan::stack_of(&folder.lab, &folder.parts)?;
    let names = stack.secret_names();
    // As the list shows it.
    let name = name.strip_prefix("stack/").unwrap_or(name);
    check_name(name, &names)?;
    let path = folder.dir.join(secrets::FOLDER);
    let mut found = Secrets::open_existing(&path, &folder.lab, now()?)?;
    found.read_stack(&path, &names, now()?)?;
    let value = found.stack().value(name).ok_or_else(|| SecretsCommandError::NotMade(name.to_owned()))?;
    out.result(&Password { name, value: value.expose(), used: stack.uses_of(name) }, |one| format!("{}\n", one.value))
}

/// For programs: passwords of the stack that were made anew.
#[derive(Debug, Serialize)]
struct RotatedStack {
    kept: PathBuf,
    names: Vec<String>,
    used: Vec<UsedIn>,
}

fn rotate_stack(dir: &Path, names: &[String], yes: bool, out: &Output) -> Outcome {
    let folder = lab::load(dir)?;
    let stack = plan::stack_of(&folder.lab, &folder.parts)?;
    let wanted = stack.secret_names();
    // As the list shows them.
    let names: Vec<String> = names.iter().map(|name| name.strip_prefix("stack/").unwrap_or(name).to_owned()).collect();
    for name in &names {
        check_name(name, &wanted)?;
    }
    let question = format!("Make new passwords for {}?", names.join(", "));
    if !yes && !Output::confirm(&question, "this replaces passwords, and nobody can be asked", "say --yes")? {
        return Err(SecretsCommandError::Declined.into());
    }
    let path = folder.dir.join(secrets::FOLDER);
    let mut found = Secrets::open_existing(&path, &folder.lab, now()?)?;
    let kept = secrets::rotate_stack(&path, &mut found, &wanted, &names, now()?)?;
    let used = names.iter().flat_map(|name| stack.uses_of(name)).collect();
    out.result(&RotatedStack { kept, names, used }, |done| {
        let mut text = format!("New: {}. The old ones are in {}\n", done.names.join(", "), done.kept.display());
        text += "`labimg stack apply` gives them to a running cluster; the next card of the master has them too.\n";
        for UsedIn { component, secret, key, rotation } in &done.used {
            let more = rotation.as_ref().map(|more| format!(": {more}")).unwrap_or_default();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {component}: Secret {secret}, key {key}{more}");
        }
        text
    })
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
