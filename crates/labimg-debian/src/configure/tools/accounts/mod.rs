//! Users and groups: `passwd`, `group`, `shadow` and `gshadow` in `/etc`, edited as Debian's tools do on a system where
//! nobody has logged in yet.

mod rows;

use super::super::ConfigureError;
use labimg_tree::Tree;
pub(crate) use rows::{Group, Row, ShadowGroup, ShadowUser, User, days};

/// Seconds in a day: `shadow` counts in days.
const DAY: i64 = 86_400;

/// One account file.
#[derive(Debug, Clone)]
struct Table<R> {
    path: &'static str,
    /// The text as read; `None` when the file is missing.
    before: Option<String>,
    rows: Option<Vec<R>>,
}

impl<R: Row> Table<R> {
    fn load(tree: &Tree, path: &'static str) -> Result<Self, ConfigureError> {
        if !tree.contains(path) {
            return Ok(Self { path, before: None, rows: None });
        }
        let before = tree.read_text(path)?;
        let bad = |line: &str, what| ConfigureError::format(path, format!("`{line}` {what}"));
        let lines = before.lines().filter(|line| !line.is_empty());
        let rows = lines.map(|line| R::parse(line).map_err(|what| bad(line, what))).collect::<Result<_, _>>()?;
        Ok(Self { path, rows: Some(rows), before: Some(before) })
    }

    fn rows(&self) -> &[R] {
        self.rows.as_deref().unwrap_or_default()
    }

    fn row(&self, name: &str) -> Option<&R> {
        self.rows().iter().find(|row| row.name() == name)
    }

    fn row_mut(&mut self, name: &str) -> Option<&mut R> {
        self.rows.iter_mut().flatten().find(|row| row.name() == name)
    }

    /// Adds a line to a file that exists.
    fn add(&mut self, row: R) {
        if let Some(rows) = &mut self.rows {
            rows.push(row);
        }
    }

    fn text(&self) -> String {
        self.rows().iter().map(|row| row.print() + "\n").collect()
    }

    /// Writes a changed table, and its old content to the backup (`passwd-`), as Debian's tools do.
    fn save(&self, tree: &mut Tree, mode: u16, gid: u32) -> Result<(), ConfigureError> {
        let text = self.text();
        if self.rows.is_none() || self.before.as_ref() == Some(&text) {
            return Ok(());
        }
        if let Some(before) = &self.before {
            put(tree, &format!("{}-", self.path), mode, gid, before.clone())?;
        }
        put(tree, self.path, mode, gid, text)
    }
}

fn put(tree: &mut Tree, path: &str, mode: u16, gid: u32, text: String) -> Result<(), ConfigureError> {
    tree.write(path, mode, text)?;
    if let Some(inode) = tree.get_mut(path) {
        inode.gid = gid;
    }
    Ok(())
}

/// The lock of lckpwdf(3), which every tool leaves behind.
fn leave_lock(tree: &mut Tree) -> Result<(), ConfigureError> {
    if !tree.contains("/etc/.pwd.lock") {
        tree.write("/etc/.pwd.lock", 0o600, "")?;
    }
    Ok(())
}

/// The account files of a tree, to be edited together.
#[derive(Debug, Clone)]
pub(crate) struct Accounts {
    users: Table<User>,
    groups: Table<Group>,
    shadow: Table<ShadowUser>,
    gshadow: Table<ShadowGroup>,
    /// Today as a day number, for the last password change.
    today: i64,
}

impl Accounts {
    /// Reads the account files. A missing one counts as empty; a missing `shadow` or `gshadow` is not written.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn load(tree: &Tree) -> Result<Self, ConfigureError> {
        Ok(Self {
            users: Table::load(tree, "/etc/passwd")?,
            groups: Table::load(tree, "/etc/group")?,
            shadow: Table::load(tree, "/etc/shadow")?,
            gshadow: Table::load(tree, "/etc/gshadow")?,
            today: tree.time() / DAY,
        })
    }

    /// Writes the changed files, each with a backup of its old content. Only root and group `shadow` can read `shadow`
    /// and `gshadow`.
    fn save(&self, tree: &mut Tree) -> Result<(), ConfigureError> {
        let shadow = self.groups.row("shadow").map_or(0, |group| group.gid);
        self.users.save(tree, 0o644, 0)?;
        self.groups.save(tree, 0o644, 0)?;
        self.shadow.save(tree, 0o640, shadow)?;
        self.gshadow.save(tree, 0o640, shadow)?;
        leave_lock(tree)
    }

    /// Loads, changes and saves.
    ///
    /// # Errors
    /// Those of `change`, and when the files cannot be read or written.
    pub(crate) fn edit(
        tree: &mut Tree,
        change: impl FnOnce(&mut Self) -> Result<(), ConfigureError>,
    ) -> Result<(), ConfigureError> {
        let mut accounts = Self::load(tree)?;
        change(&mut accounts)?;
        accounts.save(tree)
    }

    /// Moves passwords that are not yet shadowed to `shadow` and `gshadow`. `entry` is a user's line there except for
    /// name, password and day. Writes all four files without backups; the secret ones belong to group `shadow_gid`.
    ///
    /// # Errors
    /// When `passwd` or `group` is missing, or a file cannot be written.
    pub(crate) fn shadow(tree: &mut Tree, shadow_gid: u32, entry: &ShadowUser) -> Result<(), ConfigureError> {
        let mut accounts = Self::load(tree)?;
        for path in [accounts.users.path, accounts.groups.path] {
            tree.read(path)?;
        }
        accounts.make_shadow();
        let Self { users, groups, shadow, gshadow, today } = &mut accounts;
        for user in users.rows.iter_mut().flatten() {
            if shadow.row(&user.name).is_none() {
                let password = std::mem::replace(&mut user.password, "x".to_owned());
                let name = user.name.clone();
                shadow.add(ShadowUser { name, password, changed: Some(*today), ..entry.clone() });
            }
        }
        for group in groups.rows.iter_mut().flatten() {
            if gshadow.row(&group.name).is_none() {
                let password = std::mem::replace(&mut group.password, "x".to_owned());
                let (name, members) = (group.name.clone(), group.members.clone());
                gshadow.add(ShadowGroup { name, password, members, admins: Vec::new() });
            }
        }
        put(tree, users.path, 0o644, 0, users.text())?;
        put(tree, shadow.path, 0o640, shadow_gid, shadow.text())?;
        put(tree, groups.path, 0o644, 0, groups.text())?;
        put(tree, gshadow.path, 0o640, shadow_gid, gshadow.text())?;
        leave_lock(tree)
    }

    /// A user's uid.
    ///
    /// # Errors
    /// When there is no such user.
    pub(crate) fn uid(&self, name: &str) -> Result<u32, ConfigureError> {
        let missing = || ConfigureError::NoAccount { kind: "user", name: name.to_owned(), file: "/etc/passwd" };
        id(name).or_else(|| self.users.row(name).map(|user| user.uid)).ok_or_else(missing)
    }

    /// A group's gid.
    ///
    /// # Errors
    /// When there is no such group.
    pub(crate) fn gid(&self, name: &str) -> Result<u32, ConfigureError> {
        let missing = || ConfigureError::NoAccount { kind: "group", name: name.to_owned(), file: "/etc/group" };
        id(name).or_else(|| self.groups.row(name).map(|group| group.gid)).ok_or_else(missing)
    }

    pub(crate) fn has_user(&self, name: &str) -> bool {
        self.users.row(name).is_some()
    }

    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.groups.row(name).is_some()
    }

    pub(crate) fn holds_uid(&self, uid: u32) -> bool {
        self.users.rows().iter().any(|user| user.uid == uid)
    }

    pub(crate) fn holds_gid(&self, gid: u32) -> bool {
        self.groups.rows().iter().any(|group| group.gid == gid)
    }

    /// Adds a user whose password is `password`, in `shadow` if that exists; `expires` is the day from which nobody may
    /// log in.
    pub(crate) fn add_user(&mut self, user: User, password: &str, expires: Option<i64>) {
        let (name, password) = (user.name.clone(), password.to_owned());
        self.users.rows.get_or_insert_default();
        self.users.add(user);
        self.shadow.add(ShadowUser { name, password, changed: Some(self.today), expires, ..ShadowUser::default() });
    }

    /// Adds a group without members, with its password in `gshadow` if that exists.
    pub(crate) fn add_group(&mut self, name: &str, gid: u32, password: &str) {
        let (name, password) = (name.to_owned(), password.to_owned());
        self.groups.rows.get_or_insert_default();
        self.groups.add(Group { name: name.clone(), password: "x".to_owned(), gid, members: Vec::new() });
        self.gshadow.add(ShadowGroup { name, password, ..ShadowGroup::default() });
    }

    /// Makes `user` a member of `group`.
    ///
    /// # Errors
    /// When the group is missing.
    pub(crate) fn add_member(&mut self, user: &str, group: &str) -> Result<(), ConfigureError> {
        self.gid(group)?;
        let open = self.groups.row_mut(group).map(|group| &mut group.members);
        let secret = self.gshadow.row_mut(group).map(|group| &mut group.members);
        for members in [open, secret].into_iter().flatten() {
            if !members.iter().any(|member| member == user) {
                members.push(user.to_owned());
            }
        }
        Ok(())
    }

    /// From here on `shadow` and `gshadow` exist.
    pub(crate) fn make_shadow(&mut self) {
        self.shadow.rows.get_or_insert_default();
        self.gshadow.rows.get_or_insert_default();
    }
}

/// A user or group given as a number.
fn id(name: &str) -> Option<u32> {
    name.parse().ok()
}

#[cfg(test)]
mod tests;
