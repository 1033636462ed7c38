//! `labimg new`: creates a folder with a `lab.toml` to start from.

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::output::Output;
use crate::lab::{self, template};
use crate::manifests::Profile;
use crate::names;
use crate::parts::Parts;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::files::{self, NewFile};
use labimg_tree::human::shell_word;

const EXAMPLES: &str = "\
Examples:
  labimg new lab
  labimg new lab --board rpi5 --workers 4 --stack seed";

/// Files that must not get into git: keys, access to the cluster, and what can be built again.
const IGNORED: [&str; 4] = ["secrets/", "kubeconfig", "*.img", "*.img.json"];

/// Start a lab: a folder with a commented lab.toml
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct NewArgs {
    /// The folder; made when it is not there
    dir: PathBuf,
    /// Name of the cluster [default: that of the folder]
    #[arg(long)]
    name: Option<String>,
    /// The board of all nodes, as `labimg boards` lists them
    #[arg(long, default_value = "rpi4")]
    board: String,
    /// How many workers stand beside the master
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(..=99))]
    workers: u8,
    /// How much the cluster runs by itself [default: minimal, or none on boards with less than 1 GB]
    #[arg(long, value_name = "PROFILE", value_parser = ["none", "minimal", "identity", "seed", "full"])]
    stack: Option<String>,
}

#[derive(Debug, Serialize)]
struct Made {
    file: PathBuf,
    name: String,
    board: String,
    workers: u8,
    ssh_key: Option<String>,
}

/// Why no lab was created.
#[derive(Debug, thiserror::Error)]
enum NewError {
    /// The name is not valid for a cluster.
    #[error("--name {name}: {why}")]
    Name { name: String, why: &'static str },
    /// The folder already has a lab.
    #[error("{} is there already and was left as it is", .0.display())]
    There(PathBuf),
    /// A file or folder cannot be created; the error names it.
    #[error(transparent)]
    Write(#[from] std::io::Error),
    /// A file cannot be put in place.
    #[error("{} cannot be written", path.display())]
    File { path: PathBuf, source: std::io::Error },
}

impl Fault for NewError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Name { .. } | Self::There(_) => FaultKind::Usage,
            Self::Write(_) | Self::File { .. } => FaultKind::World,
        }
    }
}

pub fn run(args: &NewArgs, out: &Output) -> Outcome {
    let parts = Parts::built_in()?;
    let board = parts.board(&args.board)?;
    let is_small = board.memory.iter().filter_map(|memory| lab::mebibytes(memory)).max().is_some_and(|mib| mib < 1024);
    let usual = if is_small { Profile::None } else { Profile::Minimal };
    let stack = args.stack.as_deref().and_then(|name| Profile::ALL.into_iter().find(|p| p.name() == name));
    let stack = stack.unwrap_or(usual);
    let board = board.name.clone();
    let name = match &args.name {
        Some(name) => match names::label_fault(name) {
            None => name.clone(),
            Some(why) => return Err(NewError::Name { name: name.clone(), why }.into()),
        },
        None => default_name(&args.dir),
    };
    let ssh_key = std::env::home_dir().and_then(|home| lab::users_key(&home));
    let answers = template::Answers { name, board, workers: args.workers, ssh_key, stack };
    let text = template::render(&answers)?;
    let file = write(&args.dir, &text)?;
    let template::Answers { name, board, workers, ssh_key, stack: _ } = answers;
    out.result(&Made { file, name, board, workers, ssh_key }, |made| self::text(made, &args.dir))
}

fn write(dir: &Path, text: &str) -> Result<PathBuf, NewError> {
    let file = dir.join(lab::FILE);
    if file.symlink_metadata().is_ok() {
        return Err(NewError::There(file));
    }
    fs_err::create_dir_all(dir)?;
    // The lab's file comes last: once it is there, nothing else is done for this folder.
    let ignored = dir.join(".gitignore");
    ignore(&ignored).map_err(|source| NewError::File { path: ignored, source })?;
    let made = NewFile::beside(&file, 0o666).and_then(|new| {
        new.file().write_all(text.as_bytes())?;
        new.put_new()
    });
    made.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => NewError::There(file.clone()),
        _ => NewError::File { path: file.clone(), source: e },
    })?;
    Ok(file)
}

/// Adds missing lines and leaves the rest unchanged.
fn ignore(file: &Path) -> std::io::Result<()> {
    let before = match std::fs::read_to_string(file) {
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let missing: Vec<&str> = IGNORED.into_iter().filter(|name| !before.lines().any(|l| l.trim() == *name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    files::write_whole(file, format!("{before}{end}{}\n", missing.join("\n")).as_bytes(), 0o666, true)
}

/// The folder's name, reduced to valid characters, else `lab`.
fn default_name(dir: &Path) -> String {
    let folder = std::path::absolute(dir).ok();
    let name = folder.as_deref().and_then(Path::file_name).map(|n| names::label(&n.to_string_lossy()));
    name.filter(|n| names::label_fault(n).is_none()).unwrap_or_else(|| "lab".to_owned())
}

fn text(made: &Made, dir: &Path) -> String {
    let mut text = String::new();
    let workers = match made.workers {
        0 => String::new(),
        1 => " and 1 worker".to_owned(),
        n => format!(" and {n} workers"),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}: cluster `{}`, a master{workers} on {}", made.file.display(), made.name, made.board);
    let _ = match &made.ssh_key {
        Some(key) => writeln!(text, "Who may log in: {key}"),
        None => writeln!(text, "No SSH key was found: `ssh-keygen -t ed25519` makes one; name it in lab.toml"),
    };
    let _ = writeln!(text, "\nNext:");
    if std::path::absolute(dir).ok() != std::env::current_dir().ok() {
        let _ = writeln!(text, "  cd {}", shell_word(dir));
    }
    let _ = writeln!(text, "  labimg check    when you have changed lab.toml");
    let _ = writeln!(text, "  labimg build    makes the images of all nodes");
    text
}
