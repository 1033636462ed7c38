//! `labimg lock`: records the inputs of all images.

use std::path::PathBuf;

use clap::Args;
use labimg_tree::human::HumanBytes;
use serde::Serialize;

use super::Outcome;
use super::inputs::{self, FromArgs, WhatArgs};
use super::output::{Failure, Output};
use super::report::Reporter;
use crate::build;
use crate::lock_file::LockFile;
use crate::plan::Plan;
use crate::plan::target::Target;
use labimg_tree::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  labimg lock                                  for all nodes of the lab.toml in this folder
  labimg lock --board rpi4 --role master       for one image; labimg.lock goes into this folder
  labimg build --locked                        builds from it";

/// Write down every input of the images by version, size and SHA-256: labimg.lock
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LockArgs {
    #[command(flatten)]
    common: Common,
}

/// What `labimg lock` and `labimg update` share: which images, where from, and the lock.
#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    what: WhatArgs,
    #[command(flatten)]
    pub(super) from: FromArgs,
    /// The lock [default: labimg.lock beside the `lab.toml`, or in this folder]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The images to be locked.
pub(super) struct Subject {
    pub(super) targets: Vec<Target>,
    /// Path of the lock.
    pub(super) path: PathBuf,
}

impl Common {
    pub(super) fn subject(&self, out: &Output) -> Result<Subject, Failure> {
        let (folder, targets) = self.what.targets(&[], None, &[], out)?;
        let path = self.output.clone().unwrap_or_else(|| inputs::lock_beside(folder.as_ref()));
        Ok(Subject { targets, path })
    }

    /// Makes a lock of the current inputs.
    pub(super) fn make(&self, subject: &Subject, reporter: &Reporter) -> Result<LockFile, Failure> {
        let options = self.from.options(jiff::Timestamp::now().as_second())?;
        let plans: Vec<&Plan> = subject.targets.iter().map(|t| &t.plan).collect();
        reporter.note(&format!("Locking what {} has", options.mirror));
        Ok(build::lock(&plans, &options, reporter)?)
    }
}

/// The result for programs.
#[derive(Debug, Serialize)]
struct Written {
    lock: PathBuf,
    packages: usize,
    /// Total size of the packages in bytes.
    size: u64,
    k3s: Vec<String>,
    charts: Vec<String>,
    containers: Vec<String>,
}

pub fn run(args: &LockArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let subject = args.common.subject(out)?;
    let lock = args.common.make(&subject, reporter)?;
    lock.save(&subject.path)?;
    let (packages, size) = lock.totals();
    let k3s = lock.releases().iter().map(|k| format!("{} ({})", k.version, k.architecture)).collect();
    let charts = lock.charts().iter().map(|c| format!("{} {}", c.name, c.version)).collect();
    let containers = lock.container_names();
    out.result(&Written { lock: subject.path, packages, size, k3s, charts, containers }, |w| {
        let k3s = if w.k3s.is_empty() { "no k3s".to_owned() } else { format!("k3s {}", w.k3s.join(", ")) };
        let charts = if w.charts.is_empty() { String::new() } else { format!(", chart {}", w.charts.join(", ")) };
        let images: String = w.containers.iter().map(|image| format!("\n  container image  {image}")).collect();
        let size = HumanBytes(w.size);
        format!(
            "{}: {} packages ({size}), {k3s}{charts}{images}\nBuild from it:   labimg build --locked\n",
            w.lock.display(),
            w.packages
        )
    })
}
