//! `labimg check`: finds mistakes in a `lab.toml`, and in what the cluster would get.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::inputs::{self, DEFAULT_SUITE};
use super::output::{Failure, Output};
use super::{Outcome, problems};
use crate::build::checks;
use crate::charts;
use crate::lab::{self, Checked};
use crate::lock_file::LockFile;
use crate::plan::Plan;
use crate::plan::target::{self, Flags, Target};
use crate::stack::check::{self, Contents, Finding, Unchecked};
use labimg_store::Store;
use labimg_tree::progress::Silent;

const EXAMPLES: &str = "\
Examples:
  labimg check                                the lab.toml of this folder
  labimg check ~/lab
  labimg check --cache /srv/cache             values of charts too, as far as lock and cache have the charts
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
    /// Folder of the cache, which is only looked into [default: ~/.cache/labimg]
    #[arg(long, value_name = "DIR", env = "LABIMG_CACHE")]
    cache: Option<PathBuf>,
}

/// The content of a valid file, without secrets.
#[derive(Debug, Serialize)]
struct Summary<'l> {
    file: String,
    name: &'l str,
    nodes: Vec<Node<'l>>,
    warnings: Vec<serde_json::Value>,
    /// What the cluster would get that was not checked, since no chart at hand says what is right.
    unchecked: Unchecked,
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
    let targets = target::of_lab(&checked.folder, &[], &flags)?;
    if checked.folder.lab.embeds_images() {
        checked.folder.parts.manifests().images()?;
    }
    let (found, unchecked) = manifests(args, &checked, &targets)?;
    out.findings(&found);
    out.result(&summary(&checked, &found, unchecked), text)
}

/// What is probably wrong with what the cluster would get, and what was not checked.
fn manifests(args: &CheckArgs, checked: &Checked, targets: &[Target]) -> Result<(Vec<Finding>, Unchecked), Failure> {
    let mut plans: Vec<&Plan> = Vec::new();
    for target in targets.iter().filter(|target| target.plan.role.manifests) {
        if !plans.contains(&&target.plan) {
            plans.push(&target.plan);
        }
    }
    let contents = charts(args, checked)?;
    let (mut found, mut unchecked) = (Vec::new(), Unchecked::default());
    for plan in &plans {
        let (offline, checked) = checks::all(plan, &contents)?;
        found.extend(offline);
        found.extend(checked.found);
        unchecked.values_of.extend(checked.unchecked.values_of);
        unchecked.kinds.extend(checked.unchecked.kinds);
    }
    Ok((check::judged(found)?, unchecked))
}

/// The charts of the lock that the cache has.
fn charts(args: &CheckArgs, checked: &Checked) -> Result<Contents, Failure> {
    let lock = inputs::lock_beside(Some(&checked.folder));
    if !lock.is_file() {
        return Ok(Contents::new());
    }
    let lock = LockFile::load(&lock)?;
    let cache = args.cache.clone().map_or_else(labimg_store::default_dir, Ok)?;
    let Some(store) = Store::look(&cache)? else { return Ok(Contents::new()) };
    // A damaged archive is as good as none, and no affair of this command.
    Ok(charts::contents(lock.charts(), &store, &Silent)?)
}

fn summary<'c>(checked: &'c Checked, found: &[Finding], unchecked: Unchecked) -> Summary<'c> {
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
            .chain(found.iter().map(|found| {
                let Finding { file, line, object, path, what, help, .. } = found;
                serde_json::json!({
                    "file": file, "line": line, "object": object, "path": path, "message": what, "help": help,
                })
            }))
            .collect(),
        unchecked,
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
    if !summary.unchecked.is_empty() {
        let _ = writeln!(text, "Not checked, since no chart at hand says what is right: {}", summary.unchecked);
    }
    text
}
