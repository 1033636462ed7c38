//! `dpkg-statoverride`: dpkg's table of owners and modes that differ from the packaged ones (dpkg-statoverride(1)).

use super::super::{ConfigureError, Context};
use super::accounts::Accounts;
use super::{set_owner, text_of};

const OVERRIDES: &str = "/var/lib/dpkg/statoverride";

/// `dpkg-statoverride --update --add USER GROUP MODE PATH`. An existing override stays.
///
/// # Errors
/// When `path`, the user or the group does not exist.
pub(crate) fn add(
    context: &mut Context<'_>,
    user: &str,
    group: &str,
    mode: u16,
    path: &str,
) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let accounts = Accounts::load(tree)?;
    let (uid, gid) = (accounts.uid(user)?, accounts.gid(group)?);
    let mut text = text_of(tree, OVERRIDES)?;
    if text.lines().any(|line| line.splitn(4, ' ').nth(3) == Some(path)) {
        return Ok(());
    }
    set_owner(tree, path, uid, gid, mode)?;
    text.extend([user, " ", group, " ", &format!("{mode:o}"), " ", path, "\n"]);
    Ok(tree.write(OVERRIDES, 0o644, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use labimg_tree::Tree;

    #[test]
    fn an_override_sets_owner_and_mode() {
        let mut tree = Tree::new(0);
        tree.write("usr/lib/helper", 0o755, "").unwrap();
        tree.write("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        tree.write("etc/group", 0o644, "root:x:0:\nmessagebus:x:996:\nother:x:1:\n").unwrap();
        add(&mut Context::new(&mut tree, "arm64"), "root", "messagebus", 0o4754, "/usr/lib/helper").unwrap();
        add(&mut Context::new(&mut tree, "arm64"), "root", "other", 0o755, "/usr/lib/helper").unwrap();
        let inode = tree.get("usr/lib/helper").unwrap();
        assert_eq!((inode.uid, inode.gid, inode.mode), (0, 996, 0o4754));
        assert_eq!(tree.read_text(OVERRIDES).unwrap(), "root messagebus 4754 /usr/lib/helper\n");
        let mut context = Context::new(&mut tree, "arm64");
        assert!(add(&mut context, "root", "root", 0o755, "/none").is_err());
        assert!(add(&mut context, "root", "nobody", 0o755, "/usr/lib/x").is_err());
    }
}
