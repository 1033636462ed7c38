//! The hidden command by which QEMU ends with labimg.

use std::ffi::OsString;

use clap::Args;

use super::Outcome;
use crate::boot::tied;

/// Become another program that ends when labimg does
#[derive(Debug, Args)]
pub struct TiedArgs {
    /// The process that it ends with
    parent: i32,
    /// The program
    program: OsString,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

pub fn run(args: &TiedArgs) -> Outcome {
    match tied::become_tied(args.parent, &args.program, &args.arguments)? {}
}
