//! Errors about a `labimg.lock`.

use std::path::PathBuf;

use super::FORMAT;
use crate::charts::ChartRef;
use crate::containers::ImageName;
use crate::wording::Mistake;
use labimg_tree::fault::{Fault, FaultKind};

/// Why a `labimg.lock` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    /// It does not exist.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// It cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not what `labimg lock` writes.
    #[error("{}:{}: {}", path.display(), mistake.line, mistake.what)]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        mistake: Mistake,
    },
    /// It has contradictory content.
    #[error("{}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A newer labimg wrote it.
    #[error("{}: it has format {found}, and this labimg reads format {FORMAT}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It does not have the image.
    #[error("{}: it has no image for role `{role}` on board `{board}`", path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
        /// The role.
        role: String,
        /// The board.
        board: String,
        /// The images that it has.
        there: Vec<String>,
    },
    /// The request for the image changed since the file was written.
    #[error("{}: role `{role}` on board `{board}` {difference} since it was written", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// The role.
        role: String,
        /// The board.
        board: String,
        /// What was added to or removed from the request.
        difference: String,
    },
    /// It has no k3s for an architecture, or only another version.
    #[error("{}: it has no {what} {version} for {architecture}{}", path.display(), other.as_ref().map(|v| format!(" but {v}")).unwrap_or_default())]
    NoK3s {
        /// The file.
        path: PathBuf,
        /// `k3s` or its container images.
        what: &'static str,
        /// The requested version.
        version: String,
        /// The architecture.
        architecture: String,
        /// The locked version.
        other: Option<String>,
    },
    /// It lacks a container image for the cards.
    #[error("{}: it has no container image {name} for {architecture}", path.display())]
    NoContainer {
        /// The file.
        path: PathBuf,
        /// The requested image.
        name: Box<ImageName>,
        /// The architecture.
        architecture: String,
    },
    /// It lacks a chart of a manifest, or has another version from the same repository.
    #[error("{}: it has no chart {} {}{}", path.display(), chart.name, chart.version, other.as_ref().map(|v| format!(" but {v}")).unwrap_or_default())]
    NoChart {
        /// The file.
        path: PathBuf,
        /// The requested chart.
        chart: Box<ChartRef>,
        /// The locked version.
        other: Option<String>,
    },
}

impl Fault for LockFileError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Io { .. } => FaultKind::World,
            Self::Missing(_)
            | Self::Syntax { .. }
            | Self::Damaged { .. }
            | Self::Format { .. }
            | Self::NoImage { .. }
            | Self::Changed { .. }
            | Self::NoK3s { .. }
            | Self::NoContainer { .. }
            | Self::NoChart { .. } => FaultKind::Configuration,
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::Io { .. } => return None,
            Self::Syntax { mistake: Mistake { help: Some(help), .. }, .. } => {
                return Some(format!("{help}\n`labimg lock` writes it anew"));
            }
            Self::NoImage { there, .. } => return Some(format!("it has {}; `labimg lock` adds it", there.join(", "))),
            Self::Missing(_) => "`labimg lock` writes it",
            Self::Syntax { .. } | Self::Damaged { .. } | Self::Changed { .. } => "`labimg lock` writes it anew",
            Self::Format { .. } => "use the labimg that wrote it",
            // Nodes that download k3s must know what it hashes to.
            Self::NoK3s { what: "k3s", .. } => "`labimg lock` adds it, `--k3s-bin FILE` takes yours",
            Self::NoK3s { .. } => "`labimg lock` adds it, `--k3s first-boot` leaves it to the nodes",
            Self::NoContainer { .. } => {
                "`labimg lock` adds it, `--k3s first-boot` leaves container images to the nodes too"
            }
            Self::NoChart { .. } => "`labimg lock` adds it, `--k3s first-boot` leaves charts to the cluster too",
        };
        Some(help.to_owned())
    }
}
