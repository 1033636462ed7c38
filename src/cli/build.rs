//! x
use clap::Args;
use super::Outcome; use super::output::Output; use crate::report::Reporter;
/// x
#[derive(Debug, Args)]
pub struct BuildArgs {}
pub fn run(_: &BuildArgs, _: &mut Output, _: &Reporter) -> Outcome { Ok(()) }
