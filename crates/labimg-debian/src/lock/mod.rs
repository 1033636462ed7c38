//! Every input of an image by name, version, size and SHA-256: made from signed indexes ([`Plan`](labimg::plan::Plan) → [`Lock`]).
//!
//! [`make`] asks the mirror for the suite, its updates and its security updates, verifies what comes, and resolves the
//! request as apt would without recommended packages.

pub mod archive;
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
use labimg_store::http::HttpError;
use labimg_store::{Context, StoreError};
use labimg_tree::hash::Sha256;
use mirror::Mirror;
use openpgp::{KeyringError, SignatureError, Signer};
use release::ReleaseError;
use resolve::ResolveError;
use table::TableError;

/// All inputs of one image. The same lock gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Debian's code name, such as `trixie`.
    pub suite: String,
    /// Debian's name of the architecture, such as `arm64`.
    pub architecture: String,
    /// The newest `Date` of the Release files, seconds since 1970: the time of everything that labimg itself makes.
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
    /// Which of Debian's archives has it.
    pub archive: ArchiveName,
    /// Its path below the archive's base, as part of a URL.
    pub path: String,
    /// Where it is to be found, best first.
    pub urls: Vec<String>,
    /// True when nothing but dependencies asked for it (`apt-mark showauto`).
    pub auto: bool,
}

/// Debian's two archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveName {
    /// All suites but the security updates'.
    Debian,
    /// Security updates.
    Security,
}

/// What a lock is made for.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// Code name or suite, such as `trixie`; its `-updates` and `-security` come along.
    pub suite: String,
    /// Further suites of the archive that requests name, such as `trixie-backports`.
    pub extra_suites: Vec<String>,
    /// Debian's name of the architecture, such as `arm64`.
    pub architecture: String,
    /// `name`, `name=version` or `name/suite`.
    pub packages: Vec<String>,
    /// Where from.
    pub mirror: Mirror,
    /// Files of `OpenPGP` public keys that are trusted besides Debian's.
    pub keyrings: Vec<PathBuf>,
    /// The time now, seconds since 1970: releases that expired or are from the future are refused.
    pub now: i64,
}

/// Why there is no lock.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A keyring cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The mirror does not give a release file.
    #[error("the mirror {mirror} cannot be asked for its packages: {source}")]
    Mirror {
        /// The mirror's addresses and who named them.
        mirror: String,
        /// Why not.
        source: HttpError,
    },
    /// The mirror has no such suite.
    #[error(
        "the mirror has no suite `{suite}`: {url} does not exist; check the suite's name and the mirror's address (--mirror ARCHIVE,SECURITY names both)"
    )]
    NoSuite {
        /// The suite.
        suite: String,
        /// Where it should be.
        url: String,
    },
    /// A release file is not signed by a key that counts.
    #[error(
        "{url} is not trusted: {source}; if this computer's clock is right, try another mirror, or add the archive's key with --keyring"
    )]
    Signature {
        /// The file.
        url: String,
        /// Why not.
        source: SignatureError,
    },
    /// A release file must not be used.
    #[error("{url}, signed by {signers}: {source}")]
    Release {
        /// The file.
        url: String,
        /// The keys, each with fingerprint and user ID.
        signers: String,
        /// Why not.
        source: Box<ReleaseError>,
    },
    /// A release file does not list an index.
    #[error("{url} lists no `{path}`: this archive has no such component or architecture")]
    NoIndex {
        /// The release file.
        url: String,
        /// The index.
        path: String,
    },
    /// A verified index cannot be unpacked.
    #[error("{url}, as it lies in the cache, cannot be unpacked: {source}; `labimg cache verify` finds damaged files")]
    Unpack {
        /// The index file.
        url: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A verified index cannot be read.
    #[error("{url}: {source}")]
    Index {
        /// The index file.
        url: String,
        /// Why not.
        source: TableError,
    },
    /// A table in the cache was damaged.
    #[error("{}, line {line}: the file is damaged; delete it", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
    },
    /// The control file of a locked package cannot be used.
    #[error("the control file of {package} {version}: {what}; `labimg lock` writes the lock anew")]
    Control {
        /// The package, as the lock names it.
        package: String,
        /// Its version there.
        version: String,
        /// What is wrong with the file.
        what: String,
    },
    /// A suite such as `stable` means another release than when the lock was made.
    #[error(
        "the lock is of {locked} and the mirror's release is {now}: they do not go together; `labimg update` without a name renews everything"
    )]
    Moved {
        /// Code name in the lock.
        locked: String,
        /// Code name now.
        now: String,
    },
    /// A digest in a table of the cache was damaged.
    #[error("the cache has a damaged digest for package {0}; `labimg cache verify` finds damaged files")]
    Digest(String),
    /// A small file of the cache cannot be used.
    #[error("cannot {action} {}: {source}; if it is damaged, delete it", path.display())]
    Memory {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The packages cannot be had together.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

impl LockError {
    fn release(url: String, signers: &[Signer], source: ReleaseError) -> Self {
        let signers = signers.iter().map(Signer::to_string).collect::<Vec<_>>().join(", ");
        Self::Release { url, signers, source: Box::new(source) }
    }
}

/// Makes the lock of a whole system from what the mirror has now: what the request names, and what every system has. Nothing is downloaded but what changed since the last time.
///
/// # Errors
/// [`LockError`]
pub fn make(request: &LockRequest, context: &Context<'_>) -> Result<Lock, LockError> {
    Archive::fetch(request, context)?.lock(&request.packages, true)
}
