//! Every input of an image by name, version, size and SHA-256: made from signed indexes (`labimg::plan::Plan` → [`Lock`]).
//!
//! [`make`] asks the mirror for the suite, its updates and its security updates, verifies them, and resolves the
//! request as apt would without recommended packages.

pub mod archive;
mod error;
pub mod explain;
mod keep;
pub mod mirror;
pub mod openpgp;
pub mod release;
pub mod resolve;
mod solve;
pub mod table;
pub mod universe;
mod walk;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use archive::Archive;
pub use error::LockError;
use labimg_store::Context;
use labimg_tree::hash::Sha256;
use mirror::Mirror;

/// All inputs of one image. The same lock gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Debian's code name, such as `trixie`.
    pub suite: String,
    /// Debian's name of the architecture, such as `arm64`.
    pub architecture: String,
    /// The newest `Date` of the Release files, seconds since 1970: the time of everything that labimg itself creates.
    pub date: i64,
    /// The packages, sorted by name.
    pub packages: Vec<LockedPackage>,
}

/// One package file of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockedPackage {
    /// Package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `arm64` or `all`.
    pub architecture: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub sha256: Sha256,
    /// The archive that has it.
    pub archive: ArchiveName,
    /// Its path below the archive's base URL.
    pub path: String,
    /// Its addresses, best first.
    pub urls: Vec<String>,
    /// True when only installed as a dependency (`apt-mark showauto`).
    pub auto: bool,
}

/// Debian's two archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveName {
    /// All suites except security updates.
    Debian,
    /// Security updates.
    Security,
}

/// The request for a lock.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// Code name or suite, such as `trixie`; its `-updates` and `-security` are used too.
    pub suite: String,
    /// More suites of the archive, named by requests, such as `trixie-backports`.
    pub extra_suites: Vec<String>,
    /// Debian's name of the architecture, such as `arm64`.
    pub architecture: String,
    /// `name`, `name=version` or `name/suite`.
    pub packages: Vec<String>,
    /// The mirror to use.
    pub mirror: Mirror,
    /// Files of `OpenPGP` public keys that are trusted in addition to Debian's.
    pub keyrings: Vec<PathBuf>,
    /// The current time, seconds since 1970: expired releases and those from the future are refused.
    pub now: i64,
}

/// Makes the lock of a request from what the mirror has now. Only downloads what changed since the last time.
///
/// # Errors
/// [`LockError`]
pub fn make(request: &LockRequest, context: &Context<'_>) -> Result<Lock, LockError> {
    Archive::fetch(request, context)?.lock(&request.packages, true)
}
