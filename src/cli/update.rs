//! `labimg update`: updates the lock, or some of its packages, to the mirror's current versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use labimg_tree::human::{HumanBytes, total};
use serde::Serialize;

use super::Outcome;
use super::changes::changes_text;
use super::lock::Common;
use super::output::{Failure, Output};
use super::report::Reporter;
use crate::build::{self, BuildOptions, Renewed};
use crate::changes::Change;
use crate::lock_file::LockFile;
use crate::lock_file::snapshot;
use crate::plan::Plan;
use crate::plan::target::Target;
use labimg_tree::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  labimg update --dry-run                      what would change
  labimg update                                shows it, then writes labimg.lock
  labimg update openssh-server                 this package, and what has to change with it
  labimg update k3s                            k3s alone, as lab.toml names it";

/// Renew labimg.lock, or some packages of it, and show what changes
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct UpdateArgs {
    /// Packages of the lock, or `k3s`: all else stays as it is, except what cannot stay with them [default: everything]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    common: Common,
    /// Where packages are looked for that stay though the mirror no longer has them
    #[arg(long, value_name = "URL", default_value = snapshot::DEFAULT_URL, env = "LABIMG_SNAPSHOTS", hide_env = true)]
    snapshots: String,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
}

/// The result for programs.
#[derive(Debug, Serialize)]
struct Updated {
    lock: PathBuf,
    changes: Vec<Shown>,
    written: bool,
    /// The names to be renewed; empty means everything.
    #[serde(skip)]
    names: BTreeSet<String>,
}

/// A change.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    change: Change,
    /// True when it was not named, but changes because of a named one.
    comes_along: bool,
    /// Why it changes too.
    why: Option<String>,
}

pub fn run(args: &UpdateArgs, out: &Output, reporter: &Reporter) -> Outcome {
    let subject = args.common.subject(out)?;
    let older = LockFile::load(&subject.path)?;
    let names: BTreeSet<String> = args.names.iter().cloned().collect();
    let Renewed { file: newer, why, .. } = if names.is_empty() {
        Renewed { file: args.common.make(&subject, reporter)?, why: BTreeMap::new(), left: Vec::new() }
    } else {
        renew(args, &older, &subject.targets, &names, reporter)?
    };
    let changes = older.changes(&newer).into_iter().map(|change| {
        // The name of k3s is followed by its architecture.
        let name = change.name.split(' ').next().unwrap_or_default();
        let comes_along = !names.is_empty() && !names.contains(name);
        let why = why.get(name).filter(|_| comes_along).cloned();
        Shown { change, comes_along, why }
    });
    let written = !args.dry_run && !older.is_same(&newer);
    let updated = Updated { lock: subject.path, changes: changes.collect(), written, names };
    // Shown first: a user who interrupts now keeps the old file.
    out.result(&updated, text)?;
    if written {
        newer.save(&updated.lock)?;
    }
    Ok(())
}

fn renew(
    args: &UpdateArgs,
    older: &LockFile,
    targets: &[Target],
    names: &BTreeSet<String>,
    reporter: &Reporter,
) -> Result<Renewed, Failure> {
    let options = args.common.from.options(jiff::Timestamp::now().as_second())?;
    let options = BuildOptions { snapshots: args.snapshots.clone(), ..options };
    let plans: Vec<&Plan> = targets.iter().map(|t| &t.plan).collect();
    reporter.note(&format!("Renewing {}; the mirror is {}", list(names), options.mirror));
    let renewed = build::renew(older, &plans, names, &options, reporter)?;
    for image in &renewed.left {
        reporter.note(&format!(
            "{image} is no longer in the lab and stays in the lock as it is: `labimg update` without a name drops it"
        ));
    }
    Ok(renewed)
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn text(updated: &Updated) -> String {
    let (along, named): (Vec<&Shown>, Vec<&Shown>) = updated.changes.iter().partition(|shown| shown.comes_along);
    let mut text = changes_text(named.iter().map(|shown| &shown.change));
    // Writing to a String cannot fail.
    if !along.is_empty() {
        let _ = writeln!(text, "Along with that:");
    }
    for Shown { change, why, .. } in along {
        text += &changes_text([change]);
        if let Some(why) = why {
            let _ = writeln!(text, "      {why}");
        }
    }
    let download = total(updated.changes.iter().flat_map(|s| &s.change.to).map(|v| v.size));
    let what = if updated.names.is_empty() { "everything".to_owned() } else { list(&updated.names) };
    let _ = match updated.changes.len() {
        0 => writeln!(
            text,
            "{}: {what} {} up to date",
            updated.lock.display(),
            if updated.names.len() > 1 { "are" } else { "is" }
        ),
        count => writeln!(
            text,
            "{}: {count} {}, {} to download{}",
            updated.lock.display(),
            if count == 1 { "change" } else { "changes" },
            HumanBytes(download),
            if updated.written { "" } else { "; not written, because of --dry-run" }
        ),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Version;

    #[test]
    fn what_comes_along_is_shown_with_its_reason() {
        let versions = |all: &[&str]| all.iter().map(|v| Version { version: (*v).to_owned(), size: 4096 }).collect();
        let shown = |name: &str, from: &[&str], to: &[&str], why: Option<&str>| Shown {
            change: Change { name: name.to_owned(), from: versions(from), to: versions(to) },
            comes_along: why.is_some(),
            why: why.map(str::to_owned),
        };
        let mut updated = Updated {
            lock: "labimg.lock".into(),
            changes: vec![
                shown("curl", &["8.1"], &["8.2"], None),
                shown("k3s (arm64)", &["v1.36.5+k3s1"], &["v1.37.0+k3s1"], None),
                shown("libcurl4t64", &["8.1"], &["8.2"], Some("curl 8.2 depends on libcurl4t64 (= 8.2)")),
                shown("libnew1", &[], &["1"], Some("libcurl4t64 8.2 depends on libnew1")),
                shown("libold1", &["1"], &[], Some("nothing needs it any more")),
            ],
            written: true,
            names: ["curl", "k3s"].map(str::to_owned).into(),
        };
        insta::assert_snapshot!(text(&updated));
        updated.changes.clear();
        assert_eq!(text(&updated), "labimg.lock: curl, k3s are up to date\n");
        updated.names.clear();
        assert_eq!(text(&updated), "labimg.lock: everything is up to date\n");
    }
}
