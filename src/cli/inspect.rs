//! `labimg inspect`: what is in an image.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use super::output::{Failure, Output};
use crate::inspect::{self, InspectError};

const EXAMPLES: &str = "\
Examples:
  labimg inspect master-rpi4.img
  labimg inspect master-rpi4.img --why /etc/exports

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
}

pub fn run(args: &InspectArgs, out: &Output) -> Outcome {
    if let Some(path) = &args.why {
        let why = inspect::why::why(&args.image, path).map_err(|e| match e {
            InspectError::NotFound { .. } | InspectError::NoSystem { .. } => Failure::usage(e),
            _ => Failure::work(e),
        })?;
        return out.result(&why, inspect::render_why);
    }
    let report = inspect::open(&args.image).map_err(Failure::work)?;
    out.result(&report, inspect::render)
}
