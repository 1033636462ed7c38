//! `labimg diff`: differences between two images.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use labimg_tree::human::HumanBytes;

use super::Outcome;
use super::changes::changes_text;
use super::output::Output;
use crate::inspect::diff::{self, Diff, Files, Names};
use crate::inspect::printable;

const EXAMPLES: &str = "\
Examples:
  labimg diff master-rpi4.old.img master-rpi4.img
  labimg diff --files a.img b.img                     every file, not only the first ones

Times of files do not count. Any two images will do; they are read directly, without root.";

/// Number of files shown per partition, unless all are requested.
const FEW: usize = 20;

/// Show what differs between two images: packages, k3s, services, users, files
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DiffArgs {
    /// The first image
    #[arg(value_name = "OLD")]
    first: PathBuf,
    /// The second
    #[arg(value_name = "NEW")]
    second: PathBuf,
    /// Show all files
    #[arg(long)]
    files: bool,
}

pub fn run(args: &DiffArgs, out: &Output) -> Outcome {
    let diff = diff::diff(&args.first, &args.second)?;
    out.result(&diff, |diff| text(diff, if args.files { usize::MAX } else { FEW }))
}

fn text(diff: &Diff, most: usize) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Size      {}", pair(diff.size));
    let _ = writeln!(text, "Used      {}", pair(diff.used));
    if let Some((old, new)) = &diff.k3s {
        let _ = writeln!(text, "k3s       {old}\n       -> {new}");
    }
    for (title, changes) in [("Packages", &diff.packages), ("Container images", &diff.containers)] {
        if changes.is_empty() {
            continue;
        }
        let _ = write!(text, "\n{title}\n{}", changes_text(changes));
    }
    for (title, Names { added, removed }) in [("Services", &diff.services), ("Users", &diff.users)] {
        if !added.is_empty() || !removed.is_empty() {
            let _ = writeln!(text, "\n{title}");
            for name in removed {
                let _ = writeln!(text, "- {name}");
            }
            for name in added {
                let _ = writeln!(text, "+ {name}");
            }
        }
    }
    for files in &diff.files {
        of_partition(&mut text, files, most);
    }
    printable(&text)
}

fn pair((old, new): (u64, u64)) -> String {
    if old == new {
        return format!("{}, the same", HumanBytes(old));
    }
    let sign = if new < old { '-' } else { '+' };
    format!("{} -> {} ({sign}{})", HumanBytes(old), HumanBytes(new), HumanBytes(new.abs_diff(old)))
}

fn of_partition(text: &mut String, files: &Files, most: usize) {
    let (added, removed, changed) = (files.names.added.len(), files.names.removed.len(), files.changed.len());
    let _ = writeln!(text, "\nFiles of partition {}: {added} new, {removed} gone, {changed} changed", files.partition);
    let lines = files.names.removed.iter().map(|path| format!("- {path}"));
    let lines = lines.chain(files.names.added.iter().map(|path| format!("+ {path}")));
    let lines = lines.chain(files.changed.iter().map(|c| format!("  {}: {}", c.path, c.what.join(", "))));
    for line in lines.take(most) {
        *text += &line;
        text.push('\n');
    }
    let left = (added + removed + changed).saturating_sub(most);
    if left > 0 {
        let _ = writeln!(text, "  and {left} more: --files shows all");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::{Change, Version};
    use crate::inspect::diff::Changed;

    #[test]
    fn a_difference_reads_as_people_expect() {
        let version = |version: &str, size| vec![Version { version: version.to_owned(), size }];
        let change = |name: &str, from, to| Change { name: name.to_owned(), from, to };
        let diff = Diff {
            size: (1 << 30, 1 << 30),
            used: (400 << 20, 412 << 20),
            k3s: Some(("v1.36.5+k3s1, embedded".to_owned(), "none".to_owned())),
            containers: vec![change(
                "registry.k8s.io/pause",
                version("3.9 0123456789ab", 2000),
                version("3.10 ba9876543210", 1000),
            )],
            packages: vec![
                change("curl", version("8.1", 2000), version("8.2", 1000)),
                change("htop", Vec::new(), version("3", 4096)),
                change("zsh", version("5", 4096), Vec::new()),
            ],
            services: Names { added: vec!["cron.service".to_owned()], removed: Vec::new() },
            users: Names::default(),
            files: vec![Files {
                partition: 2,
                names: Names { added: vec!["/new\u{1b}[2J".to_owned()], removed: vec!["/old".to_owned()] },
                changed: vec![Changed {
                    path: "/etc/x".to_owned(),
                    what: vec!["content".to_owned(), "mode 0644 -> 0600".to_owned()],
                }],
            }],
        };
        insta::assert_snapshot!(text(&diff, 2));
    }
}
