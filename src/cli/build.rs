//! `labimg build`: packages to an image.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::HumanBytes;

use super::Outcome;
use super::output::{Failure, Output};
use crate::build::{self, BuildError, BuildOptions, Built};
use crate::image::ImageError;
use crate::lock::LockError;
use crate::lock::mirror::Mirror;
use crate::plan::{Plan, Request};
use crate::report::Reporter;
use crate::store;

const EXAMPLES: &str = "\
Examples:
  labimg build --board rpi4 --role master --ssh-key ~/.ssh/id_ed25519.pub
  labimg build --board rpi3 --role worker --hostname worker-2 --package htop -o worker-2.img
  labimg build --board virt --role worker && labimg boot worker-virt.img

Packages come from the Debian mirror that this computer's apt uses, else from a public one.";

/// Build an image
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BuildArgs {
    /// The board, as `labimg boards` lists them
    #[arg(long)]
    board: String,
    /// What the node is for, as `labimg roles` lists them
    #[arg(long)]
    role: String,
    /// The node's name, without a domain; it is found as NAME.local [default: the role]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
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
    /// Where the image goes [default: HOSTNAME-BOARD.img]
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

pub fn run(args: &BuildArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let request = Request {
        board: args.board.clone(),
        role: args.role.clone(),
        hostname: args.hostname.clone(),
        ssh_keys: args.ssh_key.clone(),
        suite: args.suite.clone(),
        packages: args.package.clone(),
    };
    let plan = Plan::new(&request).map_err(Failure::usage)?;
    let default_name = || format!("{}-{}.img", plan.hostname, plan.board.name).into();
    let options = BuildOptions {
        out: args.output.clone().unwrap_or_else(default_name),
        cache: args.cache.clone().map_or_else(store::default_dir, Ok).map_err(Failure::usage)?,
        mirror: Mirror::choose(args.mirror.as_deref(), Path::new("/")).map_err(Failure::usage)?,
        keyrings: args.keyring.clone(),
        jobs: usize::from(args.jobs),
        now: jiff::Timestamp::now().as_second(),
    };
    reporter.note(&format!(
        "Building {} ({}, {}) from {}",
        options.out.display(),
        plan.board.title,
        plan.role.name,
        options.mirror
    ));
    for note in &plan.board.notes {
        reporter.warn(note);
    }
    let built = build::run(&plan, &options, reporter).map_err(|e| match e {
        BuildError::Lock(LockError::Resolve(_) | LockError::Keyring(_) | LockError::NoSuite { .. })
        | BuildError::Image(ImageError::BadOutput { .. }) => Failure::usage(e),
        _ => Failure::work(e),
    })?;
    for p in &built.pending {
        reporter.warn(&format!("{} stays unpacked, the node finishes it at first boot: {}", p.package, p.reason));
    }
    if !built.login {
        reporter.warn("no --ssh-key was given: nobody can log in to this node");
    }
    if args.timings {
        for (step, took) in reporter.timings() {
            reporter.note(&format!("{step:<28} {:>8.3} s", took.as_secs_f64()));
        }
    }
    out.result(&built, text)
}

fn text(built: &Built) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}: {} ({} of data), {} packages",
        built.image.display(),
        HumanBytes(built.size),
        HumanBytes(built.occupied),
        built.packages
    );
    let _ = writeln!(text, "Try it in QEMU:  labimg boot {} --ssh-port 2222", built.image.display());
    if built.board != "virt" {
        let _ = writeln!(
            text,
            "Flash it:        sudo dd if={} of=/dev/YOUR_CARD bs=4M conv=fsync status=progress",
            built.image.display()
        );
    }
    let login = if built.board == "virt" {
        "-p 2222 lab@127.0.0.1".to_owned()
    } else {
        format!("lab@{}.local", built.hostname)
    };
    if built.login {
        let _ = writeln!(text, "Log in:          ssh {login}");
    }
    text
}
