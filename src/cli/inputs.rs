//! Shared arguments of the commands that choose packages: which images, and where their parts come from.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Failure, Output};
use crate::build::BuildOptions;
use crate::k3s::K3sMode;
use crate::lab::{self, LabFolder};
use crate::lock_file;
use crate::lock_file::snapshot;
use crate::parts::Parts;
use crate::plan::target::{self, Flags, Target};
use labimg_debian::lock::mirror::Mirror;
use labimg_tree::fault::{Fault, FaultKind};

/// The default Debian release.
pub const DEFAULT_SUITE: &str = "trixie";

/// Which images.
#[derive(Debug, Args)]
pub struct WhatArgs {
    /// The folder of the `lab.toml` [default: this one]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["board", "role"])]
    lab: Option<PathBuf>,
    /// Without a lab: the board, as `labimg boards` lists them
    #[arg(long, requires = "role")]
    board: Option<String>,
    /// Without a lab: what the node is for, as `labimg roles` lists them
    #[arg(long, requires = "board")]
    role: Option<String>,
    /// A Debian package to add; may be given more than once
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Debian's release
    #[arg(long, default_value = DEFAULT_SUITE, value_name = "NAME")]
    suite: String,
}

/// Where the parts of images come from.
#[derive(Debug, Args)]
pub struct FromArgs {
    /// How k3s gets onto the nodes
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    k3s: K3sMode,
    /// Put this k3s into the image instead of a release
    #[arg(long, value_name = "FILE")]
    k3s_bin: Option<PathBuf>,
    /// The Debian mirror, or mirror and security mirror with a comma between them
    #[arg(long, value_name = "URL", env = "LABIMG_MIRROR")]
    mirror: Option<String>,
    /// A file of OpenPGP keys that may sign the archive, besides Debian's own
    #[arg(long, value_name = "FILE")]
    keyring: Vec<PathBuf>,
    /// How many downloads at once
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Folder of the cache [default: ~/.cache/labimg]
    #[arg(long, value_name = "DIR", env = "LABIMG_CACHE")]
    cache: Option<PathBuf>,
}

/// Neither a lab nor flags select images.
#[derive(Debug, thiserror::Error)]
#[error("there is no lab.toml in this folder")]
struct NoLab;

impl Fault for NoLab {
    fn kind(&self) -> FaultKind {
        FaultKind::Usage
    }

    fn help(&self) -> Option<String> {
        let text = "make one with `labimg new DIR`, name another folder with --lab DIR, or describe one image with --board \
                    and --role";
        Some(text.to_owned())
    }
}

impl WhatArgs {
    /// The nodes of a lab (all when none is named), or the one described by flags.
    pub fn targets(
        &self,
        nodes: &[String],
        hostname: Option<&str>,
        ssh_keys: &[String],
        out: &Output,
    ) -> Result<(Option<LabFolder>, Vec<Target>), Failure> {
        let flags = Flags { suite: self.suite.clone(), packages: self.package.clone(), ssh_keys: ssh_keys.to_vec() };
        if let (Some(board), Some(role)) = (&self.board, &self.role) {
            let target = target::alone(board, role, hostname, &flags, &Parts::built_in()?)?;
            return Ok((None, vec![target]));
        }
        let dir = self.lab.as_deref().unwrap_or(Path::new("."));
        if lab::find(dir).is_none() && self.lab.is_none() {
            return Err(NoLab.into());
        }
        let checked = lab::check(dir)?;
        out.warnings(&checked);
        let targets = target::of_lab(&checked.folder, nodes, &flags)?;
        Ok((Some(checked.folder), targets))
    }
}

impl FromArgs {
    /// The build options from these flags, without a lab or lock.
    pub fn options(&self, now: i64) -> Result<BuildOptions, Failure> {
        Ok(BuildOptions {
            cache: self.cache.clone().map_or_else(labimg_store::default_dir, Ok)?,
            mirror: Mirror::choose(self.mirror.as_deref(), Path::new("/"))?,
            keyrings: self.keyring.clone(),
            jobs: usize::from(self.jobs),
            now,
            k3s: self.k3s,
            k3s_bin: self.k3s_bin.clone(),
            secrets: None,
            locked: None,
            snapshots: snapshot::DEFAULT_URL.to_owned(),
        })
    }
}

/// The available boards, roles and overlays: the built-in ones, and those of the first of these folders with a lab.
pub fn parts_of(folders: &[&Path]) -> Result<Parts, Failure> {
    let lab = folders.iter().find(|folder| lab::find(folder).is_some());
    let found = lab.map_or_else(Parts::built_in, |folder| Parts::of(folder));
    Ok(found?)
}

/// The lock of a lab, or of the folder that labimg runs in.
pub fn lock_beside(folder: Option<&LabFolder>) -> PathBuf {
    folder.map_or(Path::new(""), |folder| &folder.dir).join(lock_file::FILE)
}
