//! The k3s that an image gets: found, checked and kept ([`K3sSource`] → [`K3sBinary`]), and its configuration.
//!
//! ```text
//! <url>/<version>/sha256sum-arm64.txt     names the release's files with their SHA-256
//! <url>/<version>/k3s-arm64               the program: server, agent, kubectl, crictl and ctr in one
//! <url>/<version>/k3s-airgap-images-…     the container images that it runs by itself
//! ```

pub mod config;
mod error;
mod fetch;
mod local;
mod release;
pub mod sums;
pub mod yaml;

use std::path::Path;

use serde::{Deserialize, Serialize};

/// The release that is used when nothing else is asked for.
pub use crate::lab::DEFAULT_K3S as DEFAULT_VERSION;
use crate::lab::Lab;
use labimg_store::Context;
use labimg_tree::Content;
use labimg_tree::fault::whole;
use labimg_tree::hash::Sha256;

pub use error::K3sError;
pub use fetch::{ASKING, Asked, Sums, ask, ask_images, fetch_images, is_remembered, look_up, resolve, resolve_images};
pub use local::LocalK3s;
use release::Release;

/// Where the k3s project publishes its releases.
pub const DEFAULT_URL: &str = "https://github.com/k3s-io/k3s/releases/download";

/// Which release of k3s, and where to get it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct K3sSource {
    /// Such as `v1.36.5+k3s1`.
    pub version: String,
    /// Base URL: files are below `<url>/<version>/`.
    pub url: String,
}

impl Default for K3sSource {
    fn default() -> Self {
        Self { version: DEFAULT_VERSION.to_owned(), url: DEFAULT_URL.to_owned() }
    }
}

impl K3sSource {
    /// What a `lab.toml` asks for; the defaults without one.
    #[must_use]
    pub fn of(lab: Option<&Lab>) -> Self {
        let (default, k3s) = (Self::default(), lab.map(|lab| &lab.k3s));
        Self {
            version: k3s.and_then(|k| k.version.clone()).unwrap_or(default.version),
            url: k3s.and_then(|k| k.url.clone()).unwrap_or(default.url),
        }
    }
}

/// How the program gets onto the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum K3sMode {
    /// It is in the image; no image is built when the release cannot be reached
    Embed,
    /// The node downloads it at first boot
    FirstBoot,
    /// In the image, or at first boot when the release cannot be reached now
    #[default]
    Auto,
}

/// A release's program, or its container images, as it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedK3s {
    /// Such as `v1.36.5+k3s1`.
    pub version: String,
    /// As Debian calls it.
    pub architecture: String,
    /// Its size in bytes.
    pub size: u64,
    /// What it hashes to.
    pub sha256: Sha256,
    /// Where it came from, without a password.
    pub url: String,
}

/// k3s as an image gets it.
#[derive(Debug, Clone)]
pub enum K3sBinary {
    /// A release's program, to be put into the image.
    Embedded {
        /// The program.
        content: Content,
        /// What it is.
        locked: LockedK3s,
    },
    /// A file that the user named, to be put into the image.
    Local(LocalK3s),
    /// The node downloads it.
    FirstBoot(FirstBoot),
}

/// What the node downloads at first boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstBoot {
    /// Such as `v1.36.5+k3s1`.
    pub version: String,
    /// Base URL of the releases, as the node is to use it: without a password, and never this computer's own address.
    pub url: String,
    /// What the program must hash to; when it is not known, the node goes by the release's own checksum file.
    pub sha256: Option<Sha256>,
    /// Why it is not in the image.
    pub why: Why,
}

/// Why k3s is not in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The user asked for it.
    Asked,
    /// The release could not be reached: what failed.
    Unreachable(String),
}

/// What a manifest and `--json` tell about the k3s of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct K3sRecord {
    /// `embedded`, `local file`, `local stand-in (a script, not k3s)` or `first boot`.
    pub how: String,
    /// The release; none for a local file, whose version nobody knows.
    pub version: Option<String>,
    /// Where it comes from, without a password.
    pub url: Option<String>,
    /// Its size in bytes, when it is in the image.
    pub size: Option<u64>,
    /// What it hashes to, when that is known.
    pub sha256: Option<Sha256>,
    /// Why it is not in the image although that was wanted.
    pub unreachable: Option<String>,
}

impl K3sRecord {
    /// For people; what is not in the image is said in capital letters.
    #[must_use]
    pub fn sentence(&self) -> String {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        match (&self.size, &self.unreachable) {
            (Some(_), _) => format!("{version}, {}", self.how),
            (None, None) => format!("{version} is not in this image: the node downloads it at first boot"),
            (None, Some(cause)) => format!(
                "{version} is not in this image: the node downloads it at first boot, because it could not be reached: {cause}"
            ),
        }
    }
}

impl K3sBinary {
    /// For the manifest.
    #[must_use]
    pub fn record(&self) -> K3sRecord {
        match self {
            Self::Embedded { locked, .. } => K3sRecord {
                how: "embedded".to_owned(),
                version: Some(locked.version.clone()),
                url: Some(locked.url.clone()),
                size: Some(locked.size),
                sha256: Some(locked.sha256),
                unreachable: None,
            },
            Self::Local(local) => K3sRecord {
                how: if local.stand_in { "local stand-in (a script, not k3s)" } else { "local file" }.to_owned(),
                version: None,
                url: None,
                size: Some(local.content.len()),
                sha256: Some(local.sha256),
                unreachable: None,
            },
            Self::FirstBoot(first) => K3sRecord {
                how: "first boot".to_owned(),
                version: Some(first.version.clone()),
                url: Some(first.url.clone()),
                size: None,
                sha256: first.sha256,
                unreachable: match &first.why {
                    Why::Asked => None,
                    Why::Unreachable(cause) => Some(cause.clone()),
                },
            },
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// How it gets onto the node.
    pub mode: K3sMode,
    /// A file of the user's instead of a release.
    pub local: Option<&'a Path>,
    /// The release.
    pub source: &'a K3sSource,
    /// What its program must be, when that is laid down: nothing else is taken, and nothing is left to the first boot
    /// because it cannot be reached.
    pub locked: Option<&'a LockedK3s>,
    /// The board's architecture, as Debian calls it.
    pub architecture: &'a str,
}

/// Gets k3s in the way that is asked for; `ask` is what [`fetch::ask`] found out, and only called when that is needed.
///
/// With [`K3sMode::Auto`] a release that cannot be reached (no network, the server is down or busy) is left to the first
/// boot, and [`FirstBoot::why`] says so; what was reached and is wrong is an error in every mode.
///
/// # Errors
/// [`K3sError`].
pub fn obtain(
    wanted: &Wanted<'_>,
    ask: impl FnOnce() -> Result<Asked, K3sError>,
    context: &Context<'_>,
) -> Result<K3sBinary, K3sError> {
    if let Some(path) = wanted.local {
        if wanted.mode == K3sMode::FirstBoot {
            return Err(K3sError::Contradiction(path.to_owned()));
        }
        return local::load(path, wanted.architecture).map(K3sBinary::Local);
    }
    let release = Release::new(wanted.source, wanted.architecture)?;
    if let Some(locked) = wanted.locked {
        if wanted.mode == K3sMode::FirstBoot {
            return Ok(K3sBinary::FirstBoot(release.first_boot(Some(locked.sha256), Why::Asked)));
        }
        let content = fetch::fetch_locked(&release, locked, context)?;
        release.check(&content)?;
        return Ok(K3sBinary::Embedded { content, locked: locked.clone() });
    }
    let asked = ask()?;
    let sha256 = asked.sha256;
    let left = |why: Why| {
        if sha256.is_none() && release.is_open() {
            return Err(K3sError::Open { version: release.version.clone(), url: release.shown() });
        }
        Ok(K3sBinary::FirstBoot(release.first_boot(sha256, why)))
    };
    if wanted.mode == K3sMode::FirstBoot {
        match asked.failure() {
            Some(e) if !e.is_unreachable() => return Err(e),
            Some(e) if sha256.is_none() => context.progress.warn(&format!(
                "{}; the node will go by the checksum file that it finds there at first boot",
                whole(&e)
            )),
            _ => {}
        }
        return left(Why::Asked);
    }
    match fetch::fetch(&release, asked, context) {
        Ok((content, locked)) => Ok(K3sBinary::Embedded { content, locked }),
        Err(e) if wanted.mode == K3sMode::Auto && e.is_unreachable() => left(Why::Unreachable(whole(&e))),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests;
