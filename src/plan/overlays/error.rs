//! Errors about the lab folder's files for the nodes.

use super::LARGEST;
use crate::parts::reserved::{K3S_CONFIG, K3S_CONFIG_FOLDER, Reserved};
use crate::user_name::{USER, home};
use crate::wording::Mistake;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::suggest::did_you_mean;

/// Why a file of an overlay cannot go onto a node.
#[derive(Debug, thiserror::Error)]
pub enum OverlayFileError {
    /// It is where the node would not see it.
    #[error("{folder}/{path} would lie below the firmware partition, where the node does not see it")]
    Firmware {
        /// The folder, such as `overlays/common`.
        folder: String,
        /// The path below it.
        path: String,
    },
    /// It is in the home folder of a user who is called otherwise.
    #[error("{folder}/{path} lies in the home folder of `{USER}`, and the user is called `{user}`")]
    Home {
        /// The folder, such as `overlays/common`.
        folder: String,
        /// The path below it.
        path: String,
        /// The user's name.
        user: String,
    },
    /// Something else has this place.
    #[error("{folder}/{path} cannot go onto the nodes: {}", reserved.why)]
    Reserved {
        /// The folder, such as `overlays/common`.
        folder: String,
        /// The path below it.
        path: String,
        /// What forbids it.
        reserved: Reserved,
    },
    /// A line cannot be added to what labimg writes.
    #[error("{folder}/{path}:{}: {}", mistake.line, mistake.what)]
    Line {
        /// The folder, such as `overlays/common`.
        folder: String,
        /// The path below it.
        path: String,
        /// The mistake and its line.
        mistake: Mistake,
    },
    /// Two files are for the same place on a node.
    #[error("{folder}/{path} and overlays/{overlay}/{path} are for the same place on the node")]
    Both {
        /// The folder of the one that the seed brings.
        folder: String,
        /// The other one's overlay.
        overlay: String,
        /// The path below both.
        path: String,
    },
    /// What is joined with labimg's own must be in `overlays/`.
    #[error("{folder}/{path} would take the place of what labimg writes there")]
    NotJoined {
        /// The folder.
        folder: String,
        /// The path below it.
        path: String,
    },
    /// A folder for a node that the lab does not have.
    #[error("secrets/files/nodes/{name}: there is no node of this name")]
    NoNode {
        /// The name.
        name: String,
        /// Similar names, best first.
        nearest: Vec<String>,
    },
    /// More than a seed should hold.
    #[error("the files of secrets/files for {node} have {size} bytes, more than the {LARGEST} that a seed may bring")]
    TooLarge {
        /// The node.
        node: String,
        /// Their bytes.
        size: u64,
    },
    /// A setting of k3s has two values.
    #[error("`{name}` has two values: of the overlays' files {K3S_CONFIG}, or of one and of lab.toml")]
    Twice {
        /// The setting.
        name: String,
    },
    /// It has to be a text.
    #[error("{folder}/{path} is {what}, and a text in UTF-8 belongs there")]
    NoText {
        /// The folder, such as `overlays/common`.
        folder: String,
        /// The path below it.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
    /// It cannot be read.
    #[error("{folder}/{path} cannot be read")]
    Read {
        /// The folder, such as `overlays/common`.
        folder: String,
        /// The path below it.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
}

impl Fault for OverlayFileError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Firmware { .. }
            | Self::Home { .. }
            | Self::Reserved { .. }
            | Self::Line { .. }
            | Self::Both { .. }
            | Self::NotJoined { .. }
            | Self::NoNode { .. }
            | Self::TooLarge { .. }
            | Self::Twice { .. }
            | Self::NoText { .. } => FaultKind::Configuration,
            Self::Read { .. } => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Firmware { .. } => {
                let text =
                    "lines for config.txt and arguments of the kernel are the board's: put them into boards/NAME.toml";
                Some(text.to_owned())
            }
            Self::Home { user, .. } => Some(format!("put it below {}", home(user))),
            Self::Reserved { reserved, .. } => Some(reserved.instead.to_owned()),
            Self::Line { mistake, .. } => mistake.help.clone(),
            Self::Both { .. } | Self::Twice { .. } => Some("keep one of the two".to_owned()),
            Self::NotJoined { path, .. } if path == K3S_CONFIG => Some(format!("call it {K3S_CONFIG_FOLDER}NAME.yaml")),
            Self::NotJoined { .. } => Some("it holds nothing secret: put it into overlays/".to_owned()),
            Self::NoNode { nearest, .. } => {
                did_you_mean(nearest).or_else(|| Some("`labimg check` lists the nodes".to_owned()))
            }
            Self::TooLarge { .. } => Some("put what is not secret into overlays/".to_owned()),
            Self::NoText { .. } | Self::Read { .. } => None,
        }
    }
}
