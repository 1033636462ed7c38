//! Every input of an image by name, version, size and SHA-256: made from signed indexes ([`Plan`](crate::plan::Plan) → [`Lock`]).

pub mod explain;
pub mod mirror;
pub mod openpgp;
pub mod release;
pub mod resolve;
mod solve;
pub mod table;
pub mod universe;
mod walk;

use serde::{Deserialize, Serialize};

use crate::hash::Sha256;

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
    /// Where it is to be found, best first.
    pub urls: Vec<String>,
    /// True when nothing but dependencies asked for it (`apt-mark showauto`).
    pub auto: bool,
}
