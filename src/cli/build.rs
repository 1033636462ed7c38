//! `labimg build`: packages to images.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Outcome;
use super::output::{Failure, Output};
use crate::build::{self, BuildError, BuildOptions, Built};
use crate::image::ImageError;
use crate::k3s::{K3sError, K3sMode};
use crate::lab::{self, LabFolder};
use crate::lock::LockError;
use crate::lock::mirror::Mirror;
use crate::plan::target::{self, Flags, Target};
use crate::report::Reporter;
use crate::secrets::Secrets;
use crate::store;

const EXAMPLES: &str = "\
Examples:
  labimg build                                         all nodes of the lab.toml in this folder
  labimg build worker-1 worker-2                       these two
  labimg build --board rpi4 --role master --ssh-key ~/.ssh/id_ed25519.pub
  labimg build --board virt --role worker && labimg boot worker-virt.img

Packages come from the Debian mirror that this computer's apt uses, else from a public one.";

/// Build the images of a lab, or one image by board and role
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BuildArgs {
    /// Nodes of the `lab.toml` [default: all of them]
    #[arg(value_name = "NODE", conflicts_with_all = ["board", "role", "hostname"])]
    nodes: Vec<String>,
    /// The folder of the `lab.toml` [default: this one]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["board", "role", "hostname"])]
    lab: Option<PathBuf>,
    /// Without a lab: the board, as `labimg boards` lists them
    #[arg(long, requires = "role")]
    board: Option<String>,
    /// Without a lab: what the node is for, as `labimg roles` lists them
    #[arg(long, requires = "board")]
    role: Option<String>,
    /// Without a lab: the node's name, without a domain; it is found as NAME.local [default: the role]
    #[arg(long, value_name = "NAME", requires = "board")]
    hostname: Option<String>,
    /// Leave out what makes it one node's image: no name, no key, no secret in it; the same bytes for all nodes of the role
    #[arg(long)]
    generic: bool,
    /// How k3s gets onto the nodes
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    k3s: K3sMode,
    /// Put this k3s into the image instead of a release
    #[arg(long, value_name = "FILE")]
    k3s_bin: Option<PathBuf>,
    /// A public key that may log in as the user `lab`: the key itself or a file; may be given more than once
    #[arg(long, value_name = "FILE|KEY")]
    ssh_key: Vec<String>,
    /// A Debian package to add; may be given more than once
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Debian's release
    #[arg(long, default_value = "trixie", value_name = "NAME")]
    suite: String,
    /// The Debian mirror, or mirror and security mirror with a comma between them
    #[arg(long, value_name = "URL", env = "LABIMG_MIRROR")]
    mirror: Option<String>,
    /// A file of OpenPGP keys that may sign the archive, besides Debian's own
    #[arg(long, value_name = "FILE")]
    keyring: Vec<PathBuf>,
    /// Where the image goes, or the folder for several [default: HOSTNAME-BOARD.img]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many downloads at once
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Folder of the cache [default: ~/.cache/labimg]
    #[arg(long, value_name = "DIR", env = "LABIMG_CACHE")]
    cache: Option<PathBuf>,
    /// Show how long each step took
    #[arg(long)]
    timings: bool,
}

/// What was built: the result for programs.
#[derive(Debug, Serialize)]
struct Images {
    images: Vec<Built>,
    /// Beside the `lab.toml`: reaches the cluster as soon as its API answers.
    kubeconfig: Option<PathBuf>,
}

pub fn run(args: &BuildArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let now = jiff::Timestamp::now().as_second();
    let flags = Flags { suite: args.suite.clone(), packages: args.package.clone(), ssh_keys: args.ssh_key.clone() };
    let (folder, targets) = targets(args, &flags, out)?;
    let outputs = outputs(args, targets)?;
    let (secrets, kubeconfig) = match &folder {
        Some(folder) if !args.generic => {
            let secrets = Secrets::open(&folder.dir.join("secrets"), &folder.lab, now).map_err(Failure::work)?;
            let kubeconfig = secrets.write_kubeconfig(folder).map_err(Failure::work)?;
            (Some(secrets), kubeconfig)
        }
        _ => (None, None),
    };
    let options = BuildOptions {
        cache: args.cache.clone().map_or_else(store::default_dir, Ok).map_err(Failure::usage)?,
        mirror: Mirror::choose(args.mirror.as_deref(), Path::new("/")).map_err(Failure::usage)?,
        keyrings: args.keyring.clone(),
        jobs: usize::from(args.jobs),
        now,
        k3s: args.k3s,
        k3s_bin: args.k3s_bin.clone(),
        lab_dir: folder.map(|folder| folder.dir),
        secrets,
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
    let images = build::run(&outputs, &options, reporter).map_err(|e| match e {
        BuildError::Lock(LockError::Resolve(_) | LockError::Keyring(_) | LockError::NoSuite { .. })
        | BuildError::K3s(
            K3sError::Version(_)
            | K3sError::Url(_)
            | K3sError::Read { .. }
            | K3sError::NotK3s { .. }
            | K3sError::Contradiction(_),
        )
        | BuildError::Manifests(_)
        | BuildError::Image(ImageError::BadOutput { .. }) => Failure::usage(e),
        _ => Failure::work(e),
    })?;
    for (output, built) in outputs.iter().zip(&images) {
        remarks(&output.target, built, options.secrets.is_some(), args.generic, reporter);
    }
    if args.timings {
        for (step, took) in reporter.timings() {
            reporter.note(&format!("{step:<28} {:>8.3} s", took.as_secs_f64()));
        }
    }
    out.result(&Images { images, kubeconfig }, text)
}

/// The nodes of a lab, or the one that flags describe.
fn targets(args: &BuildArgs, flags: &Flags, out: &Output) -> Result<(Option<LabFolder>, Vec<Target>), Failure> {
    if let (Some(board), Some(role)) = (&args.board, &args.role) {
        let target = target::alone(board, role, args.hostname.as_deref(), flags).map_err(Failure::usage)?;
        return Ok((None, vec![target]));
    }
    let dir = args.lab.as_deref().unwrap_or(Path::new("."));
    if lab::find(dir).is_none() && args.lab.is_none() {
        let text = "there is no lab.toml in this folder: make one with `labimg new DIR`, name another folder with --lab DIR, \
                    or build one image with --board and --role";
        return Err(Failure::usage(text));
    }
    let checked = lab::check(dir).map_err(Failure::lab)?;
    out.warnings(&checked);
    let folder = checked.folder;
    let targets = target::of_lab(&folder, &args.nodes, flags).map_err(Failure::usage)?;
    Ok((Some(folder), targets))
}

/// Where each image goes. Generic images of the same plan are one.
fn outputs(args: &BuildArgs, targets: Vec<Target>) -> Result<Vec<build::Output>, Failure> {
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
            let text = format!(
                "-o {}: {} images go into a folder, and there is none of this name",
                other.display(),
                outputs.len()
            );
            return Err(Failure::usage(text));
        }
        None => {}
    }
    Ok(outputs)
}

/// What the user should know about one image.
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
    if !generic && !secrets && target.plan.role.name != "master" {
        reporter.warn(&format!(
            "{image}: a {} joins a cluster, and without a lab.toml it knows none: k3s does not start (`labimg new` makes one)",
            target.plan.role.name
        ));
    }
    if !generic && !secrets && target.plan.board.wireless_only && target.plan.lab.wifi.is_none() {
        reporter.warn(&format!("{image}: Wi-Fi is this board's only network: set it in labimg.conf on the card"));
    }
    // Last, so that it is what stands before the result.
    if let Some(k3s) = built.k3s.as_ref().filter(|k3s| k3s.size.is_none()) {
        reporter.warn(&format!("{image}: K3S {}", k3s.sentence()));
    }
}

fn text(result: &Images) -> String {
    let mut text = String::new();
    for built in &result.images {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{}: {} ({} of data), {} packages",
            built.image.display(),
            HumanBytes(built.size),
            HumanBytes(built.occupied),
            built.packages
        );
    }
    let on_card = result.images.iter().find(|b| b.board != "virt");
    if let Some(first) = result.images.first() {
        let _ = writeln!(text, "Try it in QEMU:  labimg boot {} --ssh-port 2222", first.image.display());
    }
    if let Some(first) = on_card {
        let image = first.image.display();
        let _ =
            writeln!(text, "Flash it:        sudo dd if={image} of=/dev/YOUR_CARD bs=4M conv=fsync status=progress");
    }
    if let Some(first) = result.images.iter().find(|b| b.login) {
        let login = match &first.hostname {
            Some(name) if first.board != "virt" => format!("lab@{name}.local"),
            _ => "-p 2222 lab@127.0.0.1".to_owned(),
        };
        let _ = writeln!(text, "Log in:          ssh {login}");
    }
    if let Some(path) = &result.kubeconfig {
        let _ =
            writeln!(text, "Then:            labimg status --wait, kubectl --kubeconfig {} get nodes", path.display());
    }
    text
}
