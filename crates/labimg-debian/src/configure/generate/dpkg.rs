//! dpkg's own tables of exceptions: diversions (dpkg-divert(1)) and overridden owners and modes (dpkg-statoverride(1)).

use super::{GenError, exists, skeleton::own};
use labimg_tree::Tree;

const DIVERSIONS: &str = "/var/lib/dpkg/diversions";
const OVERRIDES: &str = "/var/lib/dpkg/statoverride";

/// `dpkg-divert --add --no-rename`: from now on, what other packages ship at `path` goes to `to`.
///
/// # Errors
/// When the table is damaged or `path` is diverted by somebody else.
pub fn divert(tree: &mut Tree, package: &str, path: &str, to: &str) -> Result<(), GenError> {
    let mut all = diversions(tree)?;
    match all.iter().find(|[from, ..]| from == path) {
        None => all.push([path, to, package].map(str::to_owned)),
        Some([_, other, owner]) if other == to && owner == package => return Ok(()),
        Some([_, _, owner]) => {
            return Err(GenError::format(DIVERSIONS, format!("{path} is diverted by {owner}, so {package} cannot")));
        }
    }
    write_diversions(tree, &all)
}

fn diversions(tree: &Tree) -> Result<Vec<[String; 3]>, GenError> {
    let text = if exists(tree, DIVERSIONS) { tree.read_text(DIVERSIONS)? } else { String::new() };
    let lines: Vec<&str> = text.lines().collect();
    let entry = |lines: &[&str]| match lines {
        &[from, to, package] => Ok([from, to, package].map(str::to_owned)),
        _ => Err(GenError::format(DIVERSIONS, "does not have three lines for each diversion")),
    };
    lines.chunks(3).map(entry).collect()
}

fn write_diversions(tree: &mut Tree, all: &[[String; 3]]) -> Result<(), GenError> {
    let text: String = all.iter().flatten().flat_map(|line| [line.as_str(), "\n"]).collect();
    Ok(tree.write(DIVERSIONS, 0o644, text)?)
}

/// `dpkg-statoverride --update --add USER GROUP MODE PATH`, with the ids of `user` and `group`. One that is there stays.
///
/// # Errors
/// When `path` does not exist.
pub fn override_mode(
    tree: &mut Tree,
    (user, uid): (&str, u32),
    (group, gid): (&str, u32),
    mode: u16,
    path: &str,
) -> Result<(), GenError> {
    let mut text = if exists(tree, OVERRIDES) { tree.read_text(OVERRIDES)? } else { String::new() };
    if text.lines().any(|line| line.splitn(4, ' ').nth(3) == Some(path)) {
        return Ok(());
    }
    own(tree, path, uid, gid, mode)?;
    text.extend([user, " ", group, " ", &format!("{mode:o}"), " ", path, "\n"]);
    Ok(tree.write(OVERRIDES, 0o644, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_diverted_once() {
        let mut tree = Tree::new(0);
        divert(&mut tree, "base-files", "/lib32", "/.lib32.usr-is-merged").unwrap();
        divert(&mut tree, "base-files", "/lib32", "/.lib32.usr-is-merged").unwrap();
        divert(&mut tree, "nfs-common", "/lib/x", "/lib/x.u").unwrap();
        assert!(divert(&mut tree, "other", "/lib32", "/x").is_err());
        assert_eq!(
            tree.read_text(DIVERSIONS).unwrap(),
            "/lib32\n/.lib32.usr-is-merged\nbase-files\n/lib/x\n/lib/x.u\nnfs-common\n"
        );
        tree.write(DIVERSIONS, 0o644, "/a\n/b\n").unwrap();
        assert!(divert(&mut tree, "p", "/c", "/d").is_err());
    }

    #[test]
    fn an_override_sets_owner_and_mode() {
        let mut tree = Tree::new(0);
        tree.write("usr/lib/helper", 0o755, "").unwrap();
        override_mode(&mut tree, ("root", 0), ("messagebus", 996), 0o4754, "/usr/lib/helper").unwrap();
        override_mode(&mut tree, ("root", 0), ("other", 1), 0o755, "/usr/lib/helper").unwrap();
        let inode = tree.get("usr/lib/helper").unwrap();
        assert_eq!((inode.uid, inode.gid, inode.mode), (0, 996, 0o4754));
        assert_eq!(tree.read_text(OVERRIDES).unwrap(), "root messagebus 4754 /usr/lib/helper\n");
        assert!(override_mode(&mut tree, ("root", 0), ("root", 0), 0o755, "/none").is_err());
    }
}
