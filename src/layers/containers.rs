//! Container images on the card: k3s imports them whenever it starts, before it asks any registry (docs.k3s.io, "Air-Gap
//! Install").

use labimg_tree::{Content, Tree, TreeError};

/// Where k3s looks.
pub const FOLDER: &str = "var/lib/rancher/k3s/agent/images";

/// Name of the archive with all images except k3s's own.
pub const ARCHIVE: &str = "labimg-images.tar";

/// Puts archives of container images into that folder, by name.
///
/// # Errors
/// A conflict with another file in the tree.
pub fn apply(tree: &mut Tree, archives: &[(&'static str, Content)]) -> Result<(), TreeError> {
    if archives.is_empty() {
        return Ok(());
    }
    tree.begin_layer("container images");
    for (name, content) in archives {
        tree.write(format!("{FOLDER}/{name}"), 0o644, content.clone())?;
    }
    Ok(())
}
