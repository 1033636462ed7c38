//! The users and groups of an image, by their names.

use crate::parts::Owners;
use labimg_tree::suggest::{did_you_mean, nearest};
use labimg_tree::{Tree, TreeError};

/// A user or group that the image does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAccount {
    /// `user` or `group`.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// Similar names, best first.
    pub nearest: Vec<String>,
}

impl NoAccount {
    /// What to do.
    #[must_use]
    pub fn help(&self) -> String {
        let packages = "users come with packages: add the one that makes it, or give the number in quotes";
        did_you_mean(&self.nearest).into_iter().chain([packages.to_owned()]).collect::<Vec<_>>().join("\n")
    }
}

/// Names and numbers of `/etc/passwd` and `/etc/group`.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: Vec<(String, u32)>,
    groups: Vec<(String, u32)>,
}

impl Accounts {
    /// Those of the image.
    ///
    /// # Errors
    /// A file that cannot be read; a missing one has no names.
    pub fn of(tree: &Tree) -> Result<Self, TreeError> {
        let table = |path: &str| -> Result<Vec<(String, u32)>, TreeError> {
            let text = if tree.contains(path) { tree.read_text(path)? } else { String::new() };
            let account = |line: &str| {
                let mut fields = line.split(':');
                Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
            };
            Ok(text.lines().filter_map(account).collect())
        };
        Ok(Self { users: table("etc/passwd")?, groups: table("etc/group")? })
    }

    /// What has this name already: `user` or `group`.
    #[must_use]
    pub fn taken(&self, name: &str) -> Option<&'static str> {
        let has = |table: &[(String, u32)]| table.iter().any(|(known, _)| known == name);
        has(&self.users).then_some("user").or_else(|| has(&self.groups).then_some("group"))
    }

    /// The numbers of owner and group; `None` where none is named.
    ///
    /// # Errors
    /// A name that the image does not have.
    pub fn ids(&self, owners: &Owners) -> Result<(Option<u32>, Option<u32>), NoAccount> {
        Ok((id("user", &self.users, owners.user.as_deref())?, id("group", &self.groups, owners.group.as_deref())?))
    }
}

fn id(what: &'static str, table: &[(String, u32)], name: Option<&str>) -> Result<Option<u32>, NoAccount> {
    let Some(name) = name else { return Ok(None) };
    let known = || table.iter().find(|(known, _)| known == name).map(|(_, id)| *id);
    let near = || nearest(name, table.iter().map(|(known, _)| known.as_str()));
    let missing = || NoAccount { what, name: name.to_owned(), nearest: near() };
    name.parse().ok().or_else(known).ok_or_else(missing).map(Some)
}
