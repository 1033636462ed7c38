//! k3s on the node: program, unit, kernel modules and settings; or what installs the program at first boot.

use super::overlay::{self, OverlayError};
use crate::k3s::{FirstBoot, K3sBinary};
use crate::parts::role::K3sKind;
use labimg_debian::configure::{ConfigureError, systemd};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::{Tree, TreeError};

/// The program, in the same place as by k3s's own installer.
pub const PROGRAM: &str = "usr/local/bin/k3s";

/// The node's configuration, written by the seed.
pub const CONFIG: &str = "etc/rancher/k3s/config.yaml";

/// Settings for the installer that runs at first boot.
const INSTALL: &str = "etc/labimg/k3s-install.conf";

/// Why k3s could not be added.
#[derive(Debug, thiserror::Error)]
pub enum K3sLayerError {
    /// One of labimg's overlays.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// A unit cannot be enabled.
    #[error("the units of k3s cannot be enabled")]
    Enable(#[from] ConfigureError),
    /// A conflict with another file in the tree.
    #[error("k3s cannot be put into the system")]
    Tree(#[from] TreeError),
}

impl Fault for K3sLayerError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Overlay(source) => source.kind(),
            Self::Enable(_) => FaultKind::World,
            Self::Tree(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Overlay(source) => source.help(),
            Self::Enable(source) => source.help(),
            Self::Tree(source) => source.help(),
        }
    }
}

/// Adds k3s for a node that runs it as `kind`, and enables its unit.
///
/// Nothing here differs from node to node: configuration and tokens come with the seed, and the unit waits for them.
///
/// # Errors
/// A conflict with another file in the tree.
pub fn apply(tree: &mut Tree, kind: K3sKind, binary: &K3sBinary) -> Result<(), K3sLayerError> {
    let (folder, unit) = match kind {
        K3sKind::Server => ("k3s-server", "k3s.service"),
        K3sKind::Agent => ("k3s-agent", "k3s-agent.service"),
    };
    overlay::apply(tree, "k3s")?;
    overlay::apply(tree, folder)?;
    systemd::enable(tree, unit)?;
    match binary {
        K3sBinary::Embedded { content, locked } => {
            tree.begin_layer(format!("k3s {}", locked.version));
            tree.write(PROGRAM, 0o755, content.clone())?;
        }
        K3sBinary::Local(local) => {
            tree.begin_layer(if local.stand_in { "k3s stand-in" } else { "k3s from a file" });
            tree.write(PROGRAM, 0o755, local.content.clone())?;
        }
        K3sBinary::FirstBoot(first) => {
            overlay::apply(tree, "k3s-install")?;
            systemd::enable(tree, "labimg-k3s-install.service")?;
            tree.begin_layer("k3s at first boot");
            tree.write(INSTALL, 0o644, install_conf(first))?;
        }
    }
    // The program also acts as these three, depending on the name under which it is called.
    for name in ["kubectl", "crictl", "ctr"] {
        tree.symlink(format!("usr/local/bin/{name}"), "k3s")?;
    }
    Ok(())
}

/// The settings in the syntax of `sh`.
fn install_conf(first: &FirstBoot) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let sha256 = first.sha256.map(|hash| hash.to_string()).unwrap_or_default();
    format!(
        "# The k3s that this node installs at first boot. Empty SHA256: the release's own checksum file decides.\n\
         VERSION={}\nURL={}\nSHA256={}\n",
        quoted(&first.version),
        quoted(&first.url),
        quoted(&sha256)
    )
}

#[cfg(test)]
mod install_tests;
#[cfg(test)]
mod tests;
