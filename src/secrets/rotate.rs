//! New secrets in place of old ones, which are kept.

use std::path::{Path, PathBuf};

use super::folder::Folder;
use super::{ADMIN, HOST_KEYS, Secrets, SecretsError, TLS, TOKENS, certificate, check_name, complete};
use crate::lab::Lab;

/// Which secrets are made anew. Passwords of nodes stay: k3s keeps them in its database, and a node that comes with another
/// one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotate {
    /// Passwords with which servers and workers join.
    pub tokens: bool,
    /// CAs, service account key and the administrator's certificate.
    pub certificates: bool,
    /// SSH host keys of all nodes.
    pub host_keys: bool,
}

/// What was done.
#[derive(Debug)]
pub struct Rotation {
    /// The new secrets.
    pub secrets: Secrets,
    /// Where the old ones are.
    pub kept: PathBuf,
    /// Names of the nodes whose cards must be flashed again, in the order of the lab.
    pub reflash: Vec<String>,
}

/// Puts secrets away into `old-DATE/` and makes new ones. A power cut leaves old or new ones, never a mixture: the next run
/// makes what is missing.
///
/// # Errors
/// As [`Secrets::open`], and [`SecretsError::None`] when there is nothing to put away.
pub fn rotate(dir: &Path, lab: &Lab, now: i64, what: Rotate) -> Result<Rotation, SecretsError> {
    for node in &lab.nodes {
        check_name(&node.name)?;
    }
    let folder = Folder::open(dir)?;
    folder.remove_unfinished()?;
    let kept = unused(&folder, now);
    // The administrator's certificate first: with the CA gone and the certificate there, nothing would fit.
    let groups =
        [(ADMIN, what.certificates), (TLS, what.certificates), (TOKENS, what.tokens), (HOST_KEYS, what.host_keys)];
    let mut moved = false;
    for (group, _) in groups.iter().filter(|(_, wanted)| *wanted) {
        moved |= folder.retire(group, &kept)?;
    }
    if !moved {
        return Err(SecretsError::None(dir.to_owned()));
    }
    complete(&folder, lab, now)?;
    let secrets = Secrets::read(&folder, lab, now)?;
    Ok(Rotation { secrets, kept, reflash: lab.nodes.iter().map(|node| node.name.clone()).collect() })
}

/// `old-2026-11-24`, or the same with a number when that is taken.
fn unused(folder: &Folder, now: i64) -> PathBuf {
    let first = format!("old-{}", certificate::day(now));
    let mut name = first.clone();
    let mut count = 1;
    while folder.has(&name) {
        count += 1;
        name = format!("{first}-{count}");
    }
    folder.path(&name)
}
