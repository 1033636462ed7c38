//! `labimg check`: finds mistakes in a `lab.toml`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::inputs::DEFAULT_SUITE;
use super::output::Output;
use super::{Outcome, problems};
use crate::lab::{self, Checked};
use crate::plan::target::{self, Flags};

const EXAMPLES: &str = "\
Examples:
  labimg check                                the lab.toml of this folder
  labimg check ~/lab
  labimg check --schema > lab.schema.json     for an editor that knows JSON Schema";

/// Check a lab.toml and list its nodes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The lab.toml, or the folder that holds it
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    path: PathBuf,
    /// Print the JSON Schema of lab.toml instead
    #[arg(long)]
    schema: bool,
}

/// The content of a valid file, without secrets.
#[derive(Debug, Serialize)]
struct Summary<'l> {
    file: String,
    name: &'l str,
    nodes: Vec<Node<'l>>,
    warnings: Vec<serde_json::Value>,
}

#[derive(Debug, Serialize)]
struct Node<'l> {
    name: &'l str,
    role: &'l str,
    board: &'l str,
    /// `None` means DHCP.
    address: Option<&'l str>,
}

pub fn run(args: &CheckArgs, out: &Output) -> Outcome {
    if args.schema {
        return Output::text(&format!("{:#}\n", lab::schema::published()?));
    }
    let checked = lab::check(&args.path)?;
    out.warnings(&checked);
    // Finds mistakes that only show when board, role and files are combined.
    let flags = Flags { suite: DEFAULT_SUITE.to_owned(), ..Flags::default() };
    target::of_lab(&checked.folder, &[], &flags)?;
    if checked.folder.lab.embeds_images() {
        checked.folder.parts.manifests().images()?;
    }
    out.result(&summary(&checked), text)
}

fn summary(checked: &Checked) -> Summary<'_> {
    let lab = &checked.folder.lab;
    let nodes = lab.nodes.iter();
    Summary {
        file: checked.file.display().to_string(),
        name: &lab.name,
        nodes: nodes
            .map(|n| Node { name: &n.name, role: &n.role, board: &n.board, address: n.address.as_deref() })
            .collect(),
        warnings: problems::objects(&checked.text, &checked.warnings)
            .into_iter()
            .chain(checked.folder.parts.notes().iter().map(|note| serde_json::json!({ "message": note })))
            .collect(),
    }
}

fn text(summary: &Summary<'_>) -> String {
    let mut rows = vec![["NAME", "ROLE", "BOARD", "ADDRESS"]];
    rows.extend(summary.nodes.iter().map(|n| [n.name, n.role, n.board, n.address.unwrap_or("DHCP")]));
    let width = |column: usize| rows.iter().map(|r| r[column].len()).max().unwrap_or(0);
    let widths = [0, 1, 2].map(width);
    let mut text = String::new();
    for [name, role, board, address] in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<0$}  {role:<1$}  {board:<2$}  {address}", widths[0], widths[1], widths[2]);
    }
    let notes = summary.warnings.len();
    let good = if notes == 0 {
        "good".to_owned()
    } else {
        format!("good, with {notes} warning{}", if notes == 1 { "" } else { "s" })
    };
    let _ = writeln!(text, "{}: {good}", summary.file);
    text
}
