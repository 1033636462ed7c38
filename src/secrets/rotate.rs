//! Replaces secrets with new ones and keeps the old ones.

use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::{
    ADMIN, HOST_KEYS, Secrets, SecretsError, StackNames, TLS, TOKENS, certificate, check_name, complete, stack,
};
use crate::lab::Lab;

/// Which secrets are replaced. Node passwords stay: k3s stores them in its database and refuses a node with another
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotate {
    /// Passwords with which servers and workers join.
    pub tokens: bool,
    /// CAs, service account key and the administrator's certificate.
    pub certificates: bool,
    /// SSH host keys of all nodes.
    pub host_keys: bool,
}

/// The result of a rotation.
#[derive(Debug)]
pub struct Rotation {
    /// The new secrets.
    pub secrets: Secrets,
    /// Where the old ones are.
    pub kept: PathBuf,
    /// Names of the nodes whose cards must be flashed again, in the order of the lab.
    pub reflash: Vec<String>,
}

/// Moves secrets to `old-DATE/` and creates new ones. After a power cut there are old or new ones, never a mixture: the
/// next run creates what is missing.
///
/// # Errors
/// As [`Secrets::open`], and [`SecretsError::None`] when there are none to replace.
pub fn rotate(dir: &Path, lab: &Lab, now: i64, what: Rotate) -> Result<Rotation, SecretsError> {
    for node in &lab.nodes {
        check_name(&node.name)?;
    }
    let folder = Folder::open(dir)?;
    folder.remove_unfinished()?;
    let mut kept = unused(&folder, now);
    // The administrator's certificate is moved first: a new CA would not match an old certificate.
    let groups =
        [(ADMIN, what.certificates), (TLS, what.certificates), (TOKENS, what.tokens), (HOST_KEYS, what.host_keys)];
    let mut moved = false;
    for (group, _) in groups.iter().filter(|(_, wanted)| *wanted) {
        moved |= folder.retire(group, &kept)?;
    }
    if groups.iter().all(|(_, wanted)| !wanted) {
        return Err(SecretsError::None(dir.to_owned()));
    }
    if !moved {
        kept = kept_before(&folder, dir)?;
    }
    complete(&folder, lab, now)?;
    let secrets = Secrets::read(&folder, lab, now)?;
    Ok(Rotation { secrets, kept, reflash: lab.nodes.iter().map(|node| node.name.clone()).collect() })
}

/// Moves the administrator's certificate to `old-DATE/` and makes another. The old one stays valid until its last day.
///
/// # Errors
/// As [`rotate`].
pub fn renew_administrator(dir: &Path, lab: &Lab, now: i64) -> Result<Rotation, SecretsError> {
    let folder = Folder::open(dir)?;
    folder.remove_unfinished()?;
    let mut kept = unused(&folder, now);
    if !folder.has(TLS) {
        return Err(SecretsError::None(dir.to_owned()));
    }
    if !folder.retire(ADMIN, &kept)? {
        kept = kept_before(&folder, dir)?;
    }
    complete(&folder, lab, now)?;
    Ok(Rotation { secrets: Secrets::read(&folder, lab, now)?, kept, reflash: Vec::new() })
}

/// Moves passwords and keys of the stack to `old-DATE/stack/` and makes others.
///
/// # Errors
/// As [`rotate`].
pub fn rotate_stack(
    dir: &Path,
    secrets: &mut Secrets,
    wanted: &StackNames,
    names: &[String],
    now: i64,
) -> Result<PathBuf, SecretsError> {
    let folder = Folder::open(dir)?;
    folder.remove_unfinished()?;
    let kept = unused(&folder, now);
    for name in names {
        check_name(name)?;
        folder.retire(&format!("{}/{name}", stack::GROUP), &kept)?;
    }
    drop(folder);
    secrets.open_stack(dir, wanted, now)?;
    Ok(kept)
}

/// Where a rotation that was cut moved the old ones, which are all gone from their places.
fn kept_before(folder: &Folder, dir: &Path) -> Result<PathBuf, SecretsError> {
    folder.newest(OLD)?.ok_or_else(|| SecretsError::None(dir.to_owned()))
}

/// How the names of folders with old secrets begin.
const OLD: &str = "old-";

/// `old-2026-11-24`, with a number when that exists.
fn unused(folder: &Folder, now: i64) -> PathBuf {
    let first = format!("{OLD}{}", certificate::day(now));
    let mut name = first.clone();
    let mut count = 1;
    while folder.has(&name) {
        count += 1;
        name = format!("{first}-{count}");
    }
    folder.path(&name)
}
