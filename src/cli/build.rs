//! `labimg build`: from packages to images.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use labimg_tree::human::{HumanBytes, shell_word};
use serde::Serialize;

use super::Outcome;
use super::inputs::{self, FromArgs, WhatArgs};
use super::output::Output;
use super::report::Reporter;
use crate::build::{self, BuildOptions, Built, Containers};
use crate::lock_file::snapshot;
use crate::lock_file::{LockFile, LockFileError};
use crate::parts::role::FOUNDER;
use crate::plan::target::Target;
use crate::secrets::Secrets;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  labimg build                                         all nodes of the lab.toml in this folder
  labimg build worker-1 worker-2                       these two
  labimg build --board rpi4 --role master --ssh-key ~/.ssh/id_ed25519.pub
  labimg build --board virt --role worker && labimg boot worker-virt.img
  labimg build --locked                                the same bytes as when `labimg lock` was run

Packages come from the Debian mirror that this computer's apt uses, else from a public one.";

/// Build the images of a lab, or one image by board and role
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BuildArgs {
    /// Nodes of the `lab.toml` [default: all of them]
    #[arg(value_name = "NODE", conflicts_with_all = ["board", "role", "hostname"])]
    nodes: Vec<String>,
    #[command(flatten)]
    what: WhatArgs,
    /// Without a lab: the node's name, without a domain; it is found as NAME.local [default: the role]
    #[arg(long, value_name = "NAME", requires = "board")]
    hostname: Option<String>,
    /// Leave out what makes it one node's image: no name, no key, no secret in it; the same bytes for all nodes of the role
    #[arg(long)]
    generic: bool,
    /// A public key that may log in: the key itself or a file; may be given more than once
    #[arg(long, value_name = "FILE|KEY")]
    ssh_key: Vec<String>,
    #[command(flatten)]
    from: FromArgs,
    /// Build from exactly what the lock says; needs no network when the cache has it all [default: labimg.lock beside the
    /// `lab.toml`, or in this folder]
    #[arg(long, value_name = "LOCK", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    locked: Option<String>,
    /// Where packages are looked for that the mirror no longer has
    #[arg(long, value_name = "URL", default_value = snapshot::DEFAULT_URL, env = "LABIMG_SNAPSHOTS", hide_env = true)]
    snapshots: String,
    /// Where the image goes, or the folder for several [default: HOSTNAME-BOARD.img]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show how long each step took
    #[arg(long)]
    timings: bool,
}

/// Why `labimg build` refuses its arguments.
#[derive(Debug, thiserror::Error)]
enum BuildCommandError {
    /// Several images, but the output is not a folder.
    #[error("-o {}: {count} images go into a folder, and there is none of this name", path.display())]
    Folder { path: PathBuf, count: usize },
    /// The lock to build from cannot be used.
    #[error(transparent)]
    Locked(LockFileError),
}

impl Fault for BuildCommandError {
    fn kind(&self) -> FaultKind {
        match self {
            // The user named the lock that cannot be read.
            Self::Folder { .. } | Self::Locked(_) => FaultKind::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Folder { path, .. } => Some(format!("`mkdir -p {}` makes it", shell_word(path))),
            Self::Locked(source) => source.help(),
        }
    }
}

/// The built images: the result for programs.
#[derive(Debug, Serialize)]
struct Images {
    #[serde(rename = "images")]
    built: Vec<Built>,
    /// Beside the `lab.toml`; works as soon as the cluster's API answers.
    kubeconfig: Option<PathBuf>,
    /// Where the lab's page is, if it has one.
    domain: Option<String>,
}

pub fn run(args: &BuildArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let now = jiff::Timestamp::now().as_second();
    let (folder, targets) = args.what.targets(&args.nodes, args.hostname.as_deref(), &args.ssh_key, out)?;
    let outputs = outputs(args, targets)?;
    let (secrets, kubeconfig) = match &folder {
        Some(folder) if !args.generic => {
            let dir = folder.dir.join("secrets");
            let mut secrets = Secrets::open(&dir, &folder.lab, now)?;
            if let Some(target) = outputs.first().map(|output| &output.target) {
                secrets.open_stack(&dir, &target.plan.stack.secret_names(), now)?;
            }
            secrets.write_authority(folder)?;
            let kubeconfig = secrets.write_kubeconfig(folder)?;
            if let Some(ending) = secrets.ending(now).filter(|_| kubeconfig.is_some()) {
                reporter.warn(&ending);
            }
            (Some(secrets), kubeconfig)
        }
        _ => (None, None),
    };
    let beside = inputs::lock_beside(folder.as_ref());
    let locked =
        args.locked.as_ref().map(|path| LockFile::load(if path.is_empty() { &beside } else { Path::new(path) }));
    let options = BuildOptions {
        secrets,
        locked: locked.transpose().map_err(BuildCommandError::Locked)?,
        snapshots: args.snapshots.clone(),
        ..args.from.options(now)?
    };
    let what: Vec<String> = outputs
        .iter()
        .map(|o| format!("{} ({}, {})", o.path.display(), o.target.plan.board.title, o.target.plan.role.name))
        .collect();
    reporter.note(&format!("Building {} from {}", what.join(", "), options.mirror));
    let notes: BTreeSet<&String> = outputs.iter().flat_map(|o| &o.target.plan.board.notes).collect();
    for note in notes {
        reporter.warn(note);
    }
    if options.locked.is_none() && beside.is_file() {
        reporter.note(&format!("{} is not used: `labimg build --locked` builds from it", beside.display()));
    }
    let images = build::run(&outputs, &options, reporter)?;
    for (output, built) in outputs.iter().zip(&images) {
        remarks(&output.target, built, options.secrets.is_some(), args.generic, reporter);
    }
    if args.timings {
        for (step, took) in reporter.timings() {
            reporter.note(&format!("{step:<28} {:>8.3} s", took.as_secs_f64()));
        }
    }
    let domain = outputs.first().filter(|_| kubeconfig.is_some()).and_then(|output| {
        let plan = &output.target.plan;
        let serves = plan.stack.components().iter().any(|chosen| !chosen.component.front.hosts.is_empty());
        serves.then(|| plan.lab.domain.clone())
    });
    out.result(&Images { built: images, kubeconfig, domain }, text)
}

/// The path of each image. Generic images with the same plan are built once.
fn outputs(args: &BuildArgs, targets: Vec<Target>) -> Result<Vec<build::Output>, BuildCommandError> {
    let mut outputs: Vec<build::Output> = Vec::new();
    for target in targets {
        if args.generic && outputs.iter().any(|o| o.target.plan == target.plan) {
            continue;
        }
        let name = if args.generic { &target.plan.role.name } else { &target.node.name };
        let mut path = PathBuf::from(format!("{name}-{}.img", target.plan.board.name));
        // Nodes of one role with different packages.
        for number in 2.. {
            if outputs.iter().all(|o| o.path != path) {
                break;
            }
            path = format!("{name}-{}-{number}.img", target.plan.board.name).into();
        }
        outputs.push(build::Output { target, seeded: !args.generic, path });
    }
    match &args.output {
        Some(folder) if folder.is_dir() => outputs.iter_mut().for_each(|o| o.path = folder.join(&o.path)),
        Some(file) if outputs.len() == 1 => outputs.iter_mut().for_each(|o| o.path.clone_from(file)),
        Some(other) => {
            return Err(BuildCommandError::Folder { path: other.clone(), count: outputs.len() });
        }
        None => {}
    }
    Ok(outputs)
}

/// Remarks for the user about one image.
fn remarks(target: &Target, built: &Built, secrets: bool, generic: bool, reporter: &Reporter) {
    let image = built.image.display();
    for p in &built.pending {
        let text = format!("{image}: {} stays unpacked, the node finishes it at first boot: {}", p.package, p.reason);
        reporter.warn(&text);
    }
    for path in &built.secret_manifests {
        reporter.warn(&format!("{} holds a Secret: whoever has the card can read it", path.display()));
    }
    if !generic && !built.login {
        reporter.warn(&format!("{image}: no SSH key was given: nobody can log in to this node"));
    }
    if !generic && !secrets && target.plan.role.name != FOUNDER {
        reporter.warn(&format!(
            "{image}: a {} joins a cluster, and without a lab.toml it knows none: k3s does not start (`labimg new` makes one)",
            target.plan.role.name
        ));
    }
    if !generic && !secrets && target.plan.board.wireless_only && target.plan.lab.wifi.is_none() {
        reporter.warn(&format!("{image}: Wi-Fi is this board's only network: set it in labimg.conf on the card"));
    }
    // Last, so that it is directly above the result.
    if let Some(k3s) = built.k3s.as_ref().filter(|k3s| k3s.size.is_none()) {
        reporter.warn(&format!("{image}: k3s {}", k3s.sentence()));
    }
}

fn text(result: &Images) -> String {
    let mut text = String::new();
    for built in &result.built {
        let containers = match built.containers {
            Containers { count: 0, .. } => String::new(),
            Containers { count, bytes } => format!(", {count} container images of {}", HumanBytes(bytes)),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}: {} ({} of data), {} packages{containers}",
            built.image.display(),
            HumanBytes(built.size),
            HumanBytes(built.occupied),
            built.packages
        );
    }
    let on_card = result.built.iter().find(|b| b.board != "virt");
    if let Some(first) = result.built.first() {
        let _ = writeln!(text, "Try it in QEMU:  labimg boot {} --ssh-port 2222", first.image.display());
    }
    if let Some(first) = on_card {
        let image = first.image.display();
        let _ =
            writeln!(text, "Flash it:        sudo dd if={image} of=/dev/YOUR_CARD bs=4M conv=fsync status=progress");
    }
    if let Some(first) = result.built.iter().find(|b| b.login) {
        let login = match &first.hostname {
            Some(name) if first.board != "virt" => format!("{}@{name}.local", first.user),
            _ => format!("-p 2222 {}@127.0.0.1", first.user),
        };
        let _ = writeln!(text, "Log in:          ssh {login}");
    }
    if let Some(path) = &result.kubeconfig {
        let _ =
            writeln!(text, "Then:            labimg status --wait, kubectl --kubeconfig {} get nodes", path.display());
    }
    if let Some(domain) = &result.domain {
        let _ = writeln!(text, "Open:            https://{domain}, after `labimg hosts` and `labimg trust`");
    }
    text
}
