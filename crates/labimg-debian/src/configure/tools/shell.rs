//! `mkdir`, `cp`, `ln`, `chown` and the like: folders, files, links and owners that maintainer scripts set with a line
//! of shell.

use super::super::{ConfigureError, Context};
use super::accounts::Accounts;
use super::target;
use labimg_tree::{Kind, TreeError};

/// Creates a folder if nothing is there.
pub(crate) fn mkdir(
    context: &mut Context<'_>,
    path: &str,
    mode: u16,
    owner: &str,
    group: &str,
) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    if target(tree, path).is_some() {
        return Ok(());
    }
    let at = tree.place(path)?;
    tree.mkdir(&at, mode)?;
    own(context, path, Some(owner), Some(group), Some(mode))
}

/// Creates a file if nothing is there.
pub(crate) fn file(
    context: &mut Context<'_>,
    path: &str,
    mode: u16,
    owner: &str,
    group: &str,
    text: &str,
) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    if target(tree, path).is_some() {
        return Ok(());
    }
    let at = tree.place(path)?;
    tree.write(&at, mode, text)?;
    own(context, path, Some(owner), Some(group), Some(mode))
}

/// Copies a file with owner, mode and time if the target is missing. With `without` it leaves out lines that start with
/// it and creates a new file (`sed > file`).
pub(crate) fn copy(
    context: &mut Context<'_>,
    from: &str,
    to: &str,
    without: Option<&str>,
) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    if target(tree, to).is_some() {
        return Ok(());
    }
    let source = tree.resolve(from)?;
    let at = tree.place(to)?;
    if let Some(start) = without {
        let text = tree.read_text(&source)?;
        let kept: String = text.split_inclusive('\n').filter(|line| !line.starts_with(start)).collect();
        return Ok(tree.write(&at, 0o644, kept)?);
    }
    let inode = tree.get(&source).cloned().ok_or(TreeError::NotFound(source))?;
    // Creates the folders above it.
    tree.write(&at, inode.mode, "")?;
    tree.insert(&at, inode)?;
    Ok(())
}

/// Creates a symbolic link if nothing is there; with `replace` it replaces a file, a link or an empty folder.
pub(crate) fn link(context: &mut Context<'_>, path: &str, to: &str, replace: bool) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let at = tree.place(path)?;
    match tree.get(&at).map(|i| &i.kind) {
        Some(Kind::Symlink(old)) if old == to.as_bytes() => return Ok(()),
        Some(_) if !replace => return Ok(()),
        Some(Kind::Dir) if tree.below(&at).next().is_some() => {
            let what = format!("a folder with files stands where a link to {to} was to be put");
            return Err(ConfigureError::format(path, what));
        }
        Some(_) => tree.remove(&at),
        None => {}
    }
    Ok(tree.symlink(&at, to)?)
}

/// Sets owner, group and mode of `path`, following links.
pub(crate) fn own(
    context: &mut Context<'_>,
    path: &str,
    owner: Option<&str>,
    group: Option<&str>,
    mode: Option<u16>,
) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let at = tree.resolve(path)?;
    let accounts = Accounts::load(tree)?;
    // Root is known even before base-passwd is configured.
    let number = |name: Option<&str>, find: &dyn Fn(&str) -> Result<u32, ConfigureError>| match name {
        None => Ok(None),
        Some("root") => Ok(Some(0)),
        Some(name) => find(name).map(Some),
    };
    let uid = number(owner, &|name| accounts.uid(name))?;
    let gid = number(group, &|name| accounts.gid(name))?;
    let inode = tree.get_mut(&at).ok_or(TreeError::NotFound(at))?;
    inode.uid = uid.unwrap_or(inode.uid);
    inode.gid = gid.unwrap_or(inode.gid);
    inode.mode = mode.unwrap_or(inode.mode);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use labimg_tree::Tree;

    #[test]
    fn what_is_there_stays_and_links_give_way() {
        let mut tree = Tree::new(0);
        tree.mkdir("usr/lib", 0o755).unwrap();
        tree.symlink("lib", "usr/lib").unwrap();
        file(&mut Context::new(&mut tree, "arm64"), "/lib/new/a", 0o640, "root", "7", "x").unwrap();
        assert_eq!(tree.get("usr/lib/new/a").unwrap().gid, 7);
        file(&mut Context::new(&mut tree, "arm64"), "/lib/new/a", 0o600, "root", "root", "y").unwrap();
        assert_eq!(tree.read_text("/lib/new/a").unwrap(), "x");
        copy(&mut Context::new(&mut tree, "arm64"), "/lib/new/a", "/etc/b", None).unwrap();
        assert_eq!(tree.get("etc/b").unwrap().mode, 0o640);
        link(&mut Context::new(&mut tree, "arm64"), "/etc/b", "c", false).unwrap();
        assert_eq!(tree.read_text("/etc/b").unwrap(), "x");
        link(&mut Context::new(&mut tree, "arm64"), "/etc/b", "c", true).unwrap();
        assert!(matches!(&tree.get("etc/b").unwrap().kind, Kind::Symlink(to) if to == b"c"));
        assert!(link(&mut Context::new(&mut tree, "arm64"), "/usr/lib", "c", true).is_err());
    }

    #[test]
    fn lines_are_left_out() {
        let mut tree = Tree::new(0);
        tree.write("a", 0o600, "### no\nyes\n# too\n").unwrap();
        copy(&mut Context::new(&mut tree, "arm64"), "/a", "/b", Some("###")).unwrap();
        assert_eq!(tree.read_text("b").unwrap(), "yes\n# too\n");
        assert_eq!(tree.get("b").unwrap().mode, 0o644);
    }
}
