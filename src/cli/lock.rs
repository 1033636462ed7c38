//! `labimg lock` and `labimg update`: the inputs of all images, written down.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Outcome;
use super::inputs::{self, FromArgs, WhatArgs};
use super::output::{Failure, Output};
use crate::build;
use crate::changes::{Change, Version};
use crate::lock::file::{LockFile, LockFileError};
use crate::plan::Plan;
use crate::plan::target::Target;
use crate::report::Reporter;

const LOCK_EXAMPLES: &str = "\
Examples:
  labimg lock                                  for all nodes of the lab.toml in this folder
  labimg lock --board rpi4 --role master       for one image; labimg.lock goes into this folder
  labimg build --locked                        builds from it";

const UPDATE_EXAMPLES: &str = "\
Examples:
  labimg update --dry-run                      what would change
  labimg update                                shows it, then writes labimg.lock";

/// Write down every input of the images by version, size and SHA-256: labimg.lock
#[derive(Debug, Args)]
#[command(after_help = LOCK_EXAMPLES)]
pub struct LockArgs {
    #[command(flatten)]
    common: Common,
}

/// Renew labimg.lock and show what changes
#[derive(Debug, Args)]
#[command(after_help = UPDATE_EXAMPLES)]
pub struct UpdateArgs {
    #[command(flatten)]
    common: Common,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    from: FromArgs,
    /// The lock [default: labimg.lock beside the `lab.toml`, or in this folder]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Common {
    /// What is to be locked, and where the lock is.
    fn targets(&self, out: &Output) -> Result<(Vec<Target>, PathBuf), Failure> {
        let (folder, targets) = self.what.targets(&[], None, &[], out)?;
        Ok((targets, self.output.clone().unwrap_or_else(|| inputs::lock_beside(folder.as_ref()))))
    }

    /// The lock of what there is now.
    fn make(&self, targets: &[Target], reporter: &Reporter) -> Result<LockFile, Failure> {
        let options = self.from.options(jiff::Timestamp::now().as_second())?;
        let plans: Vec<&Plan> = targets.iter().map(|t| &t.plan).collect();
        reporter.note(&format!("Locking what {} has", options.mirror));
        build::lock(&plans, &options, reporter).map_err(inputs::failure)
    }
}

/// The result for programs.
#[derive(Debug, Serialize)]
struct Written {
    lock: PathBuf,
    packages: usize,
    /// Of all packages, in bytes.
    size: u64,
    k3s: Vec<String>,
}

pub fn run(args: &LockArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let (targets, path) = args.common.targets(out)?;
    let lock = args.common.make(&targets, reporter)?;
    lock.save(&path).map_err(Failure::work)?;
    let (packages, size) = lock.totals();
    let k3s = lock.releases().iter().map(|k| format!("{} ({})", k.version, k.architecture)).collect();
    out.result(&Written { lock: path, packages, size, k3s }, |w| {
        let k3s = if w.k3s.is_empty() { "no k3s".to_owned() } else { format!("k3s {}", w.k3s.join(", ")) };
        let size = HumanBytes(w.size);
        format!(
            "{}: {} packages ({size}), {k3s}\nBuild from it:   labimg build --locked\n",
            w.lock.display(),
            w.packages
        )
    })
}

/// The result for programs.
#[derive(Debug, Serialize)]
struct Updated {
    lock: PathBuf,
    changes: Vec<Change>,
    written: bool,
}

pub fn update(args: &UpdateArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let (targets, path) = args.common.targets(out)?;
    let older = LockFile::load(&path).map_err(|e| match e {
        LockFileError::Io { .. } => Failure::work(e),
        _ => Failure::usage(e),
    })?;
    let newer = args.common.make(&targets, reporter)?;
    let changes = older.changes(&newer);
    let written = !args.dry_run && !older.is_same(&newer);
    let updated = Updated { lock: path, changes, written };
    // Shown first: who stops it here has the old file.
    out.result(&updated, text)?;
    if written {
        newer.save(&updated.lock).map_err(Failure::work)?;
    }
    Ok(())
}

fn text(updated: &Updated) -> String {
    let mut text = changes_text(&updated.changes);
    let download: u64 = updated.changes.iter().flat_map(|c| &c.to).map(|v| v.size).sum();
    // Writing to a String cannot fail.
    let _ = match updated.changes.len() {
        0 => writeln!(text, "{}: everything is up to date", updated.lock.display()),
        count => writeln!(
            text,
            "{}: {count} {}, {} to download{}",
            updated.lock.display(),
            if count == 1 { "change" } else { "changes" },
            HumanBytes(download),
            if updated.written { "" } else { "; not written, because of --dry-run" }
        ),
    };
    text
}

/// A line for each: `+` for what is new, `-` for what is gone.
pub fn changes_text(changes: &[Change]) -> String {
    let mut text = String::new();
    let versions = |all: &[Version]| all.iter().map(|v| v.version.as_str()).collect::<Vec<_>>().join(", ");
    let size = |all: &[Version]| all.iter().map(|v| v.size).sum::<u64>();
    for Change { name, from, to } in changes {
        let (old, new) = (size(from), size(to));
        let _ = match (from.is_empty(), to.is_empty()) {
            (true, _) => writeln!(text, "+ {name:<28} {} ({})", versions(to), HumanBytes(new)),
            (_, true) => writeln!(text, "- {name:<28} {} ({})", versions(from), HumanBytes(old)),
            _ => {
                let (sign, by) = (if new < old { "-" } else { "+" }, HumanBytes(new.abs_diff(old)));
                writeln!(text, "  {name:<28} {} -> {} ({}, {sign}{by})", versions(from), versions(to), HumanBytes(new))
            }
        };
    }
    text
}
