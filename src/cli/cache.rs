//! x
use clap::Args;
use super::Outcome; use super::output::Output; use crate::report::Reporter;
/// x
#[derive(Debug, Args)]
pub struct CacheArgs {}
pub fn run(_: &CacheArgs, _: &mut Output, _: &Reporter) -> Outcome { Ok(()) }
