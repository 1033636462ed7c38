//! `labimg inspect`: the content of an image.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use super::output::Output;
use crate::inspect;
use crate::inspect::sbom::{self, SbomFormat};

const EXAMPLES: &str = "\
Examples:
  labimg inspect master-rpi4.img
  labimg inspect master-rpi4.img --why /etc/exports
  labimg inspect master-rpi4.img --sbom cyclonedx > master.cdx.json

Any image will do, also Raspberry Pi OS, Debian or Ubuntu: it is read directly, without root.";

/// Show what is in an image: partitions, packages, layers, sizes, users, services
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InspectArgs {
    /// The image
    image: PathBuf,
    /// Only say which layer or package put this file there, and what that was asked for
    #[arg(long, value_name = "PATH")]
    why: Option<String>,
    /// Print a bill of materials instead: every package with version and package URL
    #[arg(long, value_enum, value_name = "FORM", conflicts_with = "why")]
    sbom: Option<SbomFormat>,
}

pub fn run(args: &InspectArgs, out: &Output) -> Outcome {
    if let Some(path) = &args.why {
        let why = inspect::why::why(&args.image, path)?;
        return out.result(&why, inspect::render_why);
    }
    if let Some(format) = args.sbom {
        let sbom = sbom::sbom(&args.image, format)?;
        // Always for programs.
        return Output::json(&sbom);
    }
    let report = inspect::open(&args.image)?;
    out.result(&report, inspect::render)
}
