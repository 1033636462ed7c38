//! `labimg inspect`: what is in an image.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use super::output::{Failure, Output};
use crate::inspect;
use crate::inspect::sbom::{self, SbomFormat};
use labimg_disk::read::InspectError;

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
        let why = inspect::why::why(&args.image, path).map_err(failure)?;
        return out.result(&why, inspect::render_why);
    }
    if let Some(format) = args.sbom {
        let sbom = sbom::sbom(&args.image, format).map_err(failure)?;
        // For programs in any case.
        let mut text = serde_json::to_string_pretty(&sbom).map_err(Failure::work)?;
        text.push('\n');
        return Output::text(&text);
    }
    let report = inspect::open(&args.image).map_err(Failure::work)?;
    out.result(&report, inspect::render)
}

/// Which failures are the user's.
pub fn failure(error: InspectError) -> Failure {
    match error {
        InspectError::NotFound { .. } | InspectError::NoSystem { .. } => Failure::usage(error),
        _ => Failure::work(error),
    }
}
