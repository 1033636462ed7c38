//! Container images on the card: k3s imports them whenever it starts, before it asks any registry (docs.k3s.io, "Air-Gap
//! Install").

use labimg_tree::{Content, Tree, TreeError};

/// Where k3s looks.
pub const FOLDER: &str = "var/lib/rancher/k3s/agent/images";

/// What the archive of all but k3s' own is called there.
pub const ARCHIVE: &str = "labimg-images.tar";

/// Puts archives of container images there, by name.
///
/// # Errors
/// Something in the tree is in the way.
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
