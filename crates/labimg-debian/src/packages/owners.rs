//! Owners by name: dpkg looks up the names in a package's tar in the node's own `passwd` and `group`.

use std::collections::HashMap;

use super::PackagesError;
use crate::deb::Deb;
use crate::lock::LockedPackage;
use labimg_tree::{Tree, TreeError};

/// The package that creates both lists.
const MAKER: &str = "base-passwd";

/// The files of `base-passwd` that become `/etc/passwd` and `/etc/group` when it is configured.
const MASTERS: [(&str, &str); 2] =
    [("etc/passwd", "usr/share/base-passwd/passwd.master"), ("etc/group", "usr/share/base-passwd/group.master")];

/// Uids and gids by name.
#[derive(Debug, Default)]
pub(super) struct Owners {
    users: HashMap<String, u32>,
    groups: HashMap<String, u32>,
}

impl Owners {
    /// The owners of the tree; if it has no lists yet, those in the packages; else none.
    ///
    /// # Errors
    /// When a list exists but cannot be read.
    pub fn of(tree: &Tree, debs: &[(LockedPackage, Deb)]) -> Result<Self, PackagesError> {
        let mut tables = [HashMap::new(), HashMap::new()];
        for (table, (path, master)) in tables.iter_mut().zip(MASTERS) {
            let text = match tree.read_text(path) {
                Err(TreeError::NotFound(_)) => packaged(debs, master)?,
                text => text.map_err(|source| PackagesError::Tree { package: MAKER.to_owned(), source })?,
            };
            *table = numbers(&text);
        }
        let [users, groups] = tables;
        Ok(Self { users, groups })
    }

    /// The uid of a user name; `number` when the name is empty or unknown.
    pub fn user(&self, name: &str, number: u32) -> u32 {
        look_up(&self.users, name, number)
    }

    /// As [`Owners::user`], for groups.
    pub fn group(&self, name: &str, number: u32) -> u32 {
        look_up(&self.groups, name, number)
    }
}

/// The text of the first package that has the file `master`; empty when there is none.
fn packaged(debs: &[(LockedPackage, Deb)], master: &str) -> Result<String, PackagesError> {
    let is_master = |path: &[u8]| path.strip_prefix(b"./").unwrap_or(path) == master.as_bytes();
    for (locked, deb) in debs {
        if let Some(entry) = deb.entries.iter().find(|entry| is_master(&entry.path)) {
            let unreadable = |why: String| PackagesError::Control {
                package: locked.name.clone(),
                what: format!("{master} cannot be read: {why}"),
            };
            let content = deb.content(entry).ok_or_else(|| unreadable("it is no regular file".to_owned()))?;
            let bytes = content.to_vec().map_err(|e| unreadable(e.to_string()))?;
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    Ok(String::new())
}

fn look_up(numbers: &HashMap<String, u32>, name: &str, number: u32) -> u32 {
    match name {
        "root" => 0,
        "" => number,
        _ => numbers.get(name).copied().unwrap_or(number),
    }
}

/// Name and third field of each line (passwd(5), group(5)).
fn numbers(text: &str) -> HashMap<String, u32> {
    let line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        Some((name.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_before_numbers() {
        let mut tree = Tree::new(0);
        tree.write("etc/group", 0o644, "root:x:0:\nshadow:x:42:\nbad\n").unwrap();
        let owners = Owners::of(&tree, &[]).unwrap();
        assert_eq!(owners.group("shadow", 7), 42);
        assert_eq!(owners.group("unknown", 7), 7);
        assert_eq!(owners.group("", 7), 7);
        assert_eq!(owners.user("root", 7), 0);
        tree.mkdir("etc/passwd", 0o755).unwrap();
        assert!(matches!(Owners::of(&tree, &[]), Err(PackagesError::Tree { .. })));
    }
}
