//! `labimg boards`: what images can be built for.

use std::fmt::Write;

use clap::Args;

use super::Outcome;
use super::output::{Failure, Output};
use crate::plan::board::Board;

/// List the boards
#[derive(Debug, Args)]
pub struct BoardsArgs {}

pub fn run(_: &BoardsArgs, out: &Output) -> Outcome {
    let boards = Board::all().map_err(Failure::work)?;
    out.result(&boards, |boards| {
        boards.iter().fold(String::new(), |mut text, board| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:<8} {}", board.name, board.title);
            text
        })
    })
}
