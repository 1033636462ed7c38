//! What `base-passwd` creates: the account files from their masters, without subordinate ids.

use super::super::{ConfigureError, Context};
use super::{install_default, touch};

/// Does what its `postinst` does on a fresh installation.
///
/// # Errors
/// When a master is missing.
pub(crate) fn configure(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    install_default(tree, "/usr/share/base-passwd/passwd.master", "/etc/passwd")?;
    install_default(tree, "/usr/share/base-passwd/group.master", "/etc/group")?;
    touch(tree, "/etc/subuid", 0o644)?;
    touch(tree, "/etc/subgid", 0o644)
}
