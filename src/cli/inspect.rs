//! `labimg inspect`: what is in an image.

use std::path::PathBuf;

use clap::Args;

use super::Outcome;
use super::output::{Failure, Output};
use crate::inspect;

/// Show what is in an image: partitions, packages, layers, sizes, users, services
#[derive(Debug, Args)]
#[command(after_help = "Any image will do, also Raspberry Pi OS, Debian or Ubuntu: it is read directly, without root.")]
pub struct InspectArgs {
    /// The image
    image: PathBuf,
}

pub fn run(args: &InspectArgs, out: &Output) -> Outcome {
    let report = inspect::open(&args.image).map_err(Failure::work)?;
    out.result(&report, inspect::render)
}
