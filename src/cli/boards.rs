//! `labimg boards`: the boards that images can be built for.

use std::fmt::Write;
use std::path::Path;

use clap::Args;

use super::Outcome;
use super::inputs::parts_of;
use super::output::Output;

/// List the boards
#[derive(Debug, Args)]
pub struct BoardsArgs {}

pub fn run(_: &BoardsArgs, out: &Output) -> Outcome {
    let parts = parts_of(&[Path::new("")])?;
    let boards: Vec<_> = parts.boards().collect();
    out.result(&boards, |boards| {
        boards.iter().fold(String::new(), |mut text, board| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<8} {}", board.name, board.title);
            text
        })
    })
}
