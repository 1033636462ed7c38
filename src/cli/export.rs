//! `labimg export`: the files of an image as an archive.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Outcome;
use super::output::{Failure, Output};
use super::report::Reporter;
use crate::inspect::export::{self, ExportError};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::files::{self, BadPlace, NewFile};

const EXAMPLES: &str = "\
Examples:
  labimg export master-rpi4.img --tar master.tar
  labimg export master-rpi4.img --tar - | tar -tv
  labimg export master-rpi4.img --tar - | docker import --platform linux/arm64 - master

Owners, modes, times, hard links, devices and extended attributes are in it; the firmware partition's files are where
the node mounts them. Any image will do, and no root is needed.";

/// Write all files of an image into a tar archive
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportArgs {
    /// The image
    image: PathBuf,
    /// The archive; `-` is standard output
    #[arg(long, value_name = "FILE")]
    tar: PathBuf,
}

/// The result for programs (`--json`).
#[derive(Debug, Serialize)]
struct Exported {
    tar: PathBuf,
    files: u64,
}

/// Why no archive was written.
#[derive(Debug, thiserror::Error)]
enum ExportCommandError {
    /// Standard output is a terminal.
    #[error("a terminal cannot show a tar archive")]
    Terminal,
    /// Something stands where it goes.
    #[error(transparent)]
    Place(BadPlace),
    /// It cannot be written.
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

impl Fault for ExportCommandError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Terminal => FaultKind::Usage,
            Self::Place(source) => source.kind(),
            Self::Write { .. } => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Terminal => Some("name a file, or send it on with |".to_owned()),
            Self::Place(source) => source.help(),
            Self::Write { .. } => None,
        }
    }
}

pub fn run(args: &ExportArgs, out: &Output, reporter: &Reporter) -> Outcome {
    if args.tar == Path::new("-") {
        let stdout = std::io::stdout();
        if stdout.is_terminal() {
            return Err(ExportCommandError::Terminal.into());
        }
        return match export::export(&args.image, BufWriter::new(stdout.lock()), reporter) {
            Ok(_) => Ok(()),
            Err(ExportError::Write(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => Err(Failure::ClosedPipe),
            Err(e) => Err(e.into()),
        };
    }
    let place = files::place(&args.tar).map_err(ExportCommandError::Place)?;
    let write = |source| ExportCommandError::Write { path: args.tar.clone(), source };
    // Like the image it may hold a node's keys, so only its owner may read it.
    let new = NewFile::beside(&place, 0o600).map_err(write)?;
    let mut writer = BufWriter::with_capacity(1 << 20, new.file());
    let files = export::export(&args.image, &mut writer, reporter)?;
    writer.flush().map_err(write)?;
    drop(writer);
    new.put().map_err(write)?;
    out.result(&Exported { tar: args.tar.clone(), files }, |e| format!("{}: {} files\n", e.tar.display(), e.files))
}
