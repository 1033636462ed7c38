//! x
use clap::Args;
use super::Outcome; use super::output::Output; use crate::report::Reporter;
/// x
#[derive(Debug, Args)]
pub struct InspectArgs {}
pub fn run(_: &InspectArgs, _: &mut Output, _: &Reporter) -> Outcome { Ok(()) }
