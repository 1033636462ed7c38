//! Users and groups: `passwd`, `group`, `shadow` and `gshadow` in `/etc` (passwd(5), group(5), shadow(5), gshadow(5)),
//! edited as Debian's tools do on a system where nobody logged in yet.

use super::ConfigureError;
use labimg_tree::Tree;

/// Ids of system users and groups made by `adduser --system`, counted up (adduser.conf(5), `FIRST_SYSTEM_UID`).
const SYSTEM_IDS: std::ops::RangeInclusive<u32> = 100..=999;
/// `nogroup`, the group of system users without one of their own.
const NOGROUP: u32 = 65_534;
const NOLOGIN: &str = "/usr/sbin/nologin";
/// Seconds in a day: `shadow` counts in days.
const DAY: i64 = 86_400;

/// One line of an account file: its fields between colons.
type Row = Vec<String>;

/// One account file.
#[derive(Debug, Clone)]
struct Table {
    path: &'static str,
    /// As it was read; none when the file is missing.
    before: Option<String>,
    rows: Option<Vec<Row>>,
}

impl Table {
    fn load(tree: &Tree, path: &'static str) -> Result<Self, ConfigureError> {
        let before = if tree.contains(path) { Some(tree.read_text(path)?) } else { None };
        let rows = |text: &String| {
            let lines = text.lines().filter(|l| !l.is_empty());
            lines.map(|l| l.split(':').map(str::to_owned).collect()).collect()
        };
        let rows = before.as_ref().map(rows);
        Ok(Self { path, before, rows })
    }

    fn rows(&self) -> &[Row] {
        self.rows.as_deref().unwrap_or_default()
    }

    fn row_mut(&mut self, name: &str) -> Option<&mut Row> {
        self.rows.iter_mut().flatten().find(|row| row.first().is_some_and(|n| n == name))
    }

    fn has(&self, name: &str) -> bool {
        self.rows().iter().any(|row| row.first().is_some_and(|n| n == name))
    }

    /// Adds a line to a file that exists.
    fn add(&mut self, fields: &[&str]) {
        if let Some(rows) = &mut self.rows {
            rows.push(fields.iter().map(|&f| f.to_owned()).collect());
        }
    }

    /// The number in a field of the line `name`.
    fn number(&self, name: &str, field: usize) -> Option<u32> {
        let row = self.rows().iter().find(|row| row.first().is_some_and(|n| n == name))?;
        row.get(field)?.parse().ok()
    }

    fn holds_id(&self, id: u32) -> bool {
        let id = id.to_string();
        self.rows().iter().any(|row| row.get(2) == Some(&id))
    }

    /// Writes what changed, and what was there before to the file's backup, as Debian's tools do (`passwd-`).
    fn save(&self, tree: &mut Tree, mode: u16, gid: u32) -> Result<(), ConfigureError> {
        let Some(rows) = &self.rows else { return Ok(()) };
        let text: String = rows.iter().map(|row| row.join(":") + "\n").collect();
        if self.before.as_ref() == Some(&text) {
            return Ok(());
        }
        let mut put = |path: String, text: String| -> Result<(), ConfigureError> {
            tree.write(&path, mode, text)?;
            if let Some(inode) = tree.get_mut(&path) {
                inode.gid = gid;
            }
            Ok(())
        };
        if let Some(before) = &self.before {
            put(format!("{}-", self.path), before.clone())?;
        }
        put(self.path.to_owned(), text)
    }
}

/// The account files of a tree, to be edited together.
#[derive(Debug, Clone)]
pub struct Accounts {
    passwd: Table,
    group: Table,
    shadow: Table,
    gshadow: Table,
    /// The day of a password's last change.
    today: String,
}

/// What `systemd-sysusers` is told of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysUser<'a> {
    /// Login name.
    pub name: &'a str,
    /// The uid, when it is fixed.
    pub uid: Option<u32>,
    /// The primary group, when it is not one of the user's own.
    pub group: Option<&'a str>,
    /// Full name.
    pub gecos: &'a str,
    /// Home folder.
    pub home: &'a str,
    /// Login shell.
    pub shell: &'a str,
    /// Locked for good: the account is marked as expired.
    pub locked: bool,
}

impl Accounts {
    /// Reads the account files; `shadow` and `gshadow` may be missing, the others are empty then.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn load(tree: &Tree) -> Result<Self, ConfigureError> {
        Ok(Self {
            passwd: Table::load(tree, "/etc/passwd")?,
            group: Table::load(tree, "/etc/group")?,
            shadow: Table::load(tree, "/etc/shadow")?,
            gshadow: Table::load(tree, "/etc/gshadow")?,
            today: (tree.time() / DAY).to_string(),
        })
    }

    /// Writes the files that changed, each with a backup of what it held before: `shadow` and `gshadow` for root and
    /// group `shadow` only.
    ///
    /// # Errors
    /// When the tree cannot take them.
    pub fn save(&self, tree: &mut Tree) -> Result<(), ConfigureError> {
        let shadow = self.group.number("shadow", 2).unwrap_or_default();
        self.passwd.save(tree, 0o644, 0)?;
        self.group.save(tree, 0o644, 0)?;
        self.shadow.save(tree, 0o640, shadow)?;
        self.gshadow.save(tree, 0o640, shadow)?;
        // The lock of lckpwdf(3), which every tool leaves behind.
        if !tree.contains("/etc/.pwd.lock") {
            tree.write("/etc/.pwd.lock", 0o600, "")?;
        }
        Ok(())
    }

    /// Loads, changes and saves.
    ///
    /// # Errors
    /// Those of `change`, and when the files cannot be read or written.
    pub fn edit(
        tree: &mut Tree,
        change: impl FnOnce(&mut Self) -> Result<(), ConfigureError>,
    ) -> Result<(), ConfigureError> {
        let mut accounts = Self::load(tree)?;
        change(&mut accounts)?;
        accounts.save(tree)
    }

    /// A user's number.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn uid(&self, name: &str) -> Result<u32, ConfigureError> {
        let missing = || ConfigureError::NoAccount { kind: "user", name: name.to_owned(), file: "/etc/passwd" };
        id(name).or_else(|| self.passwd.number(name, 2)).ok_or_else(missing)
    }

    /// A group's number.
    ///
    /// # Errors
    /// When there is no such group.
    pub fn gid(&self, name: &str) -> Result<u32, ConfigureError> {
        let missing = || ConfigureError::NoAccount { kind: "group", name: name.to_owned(), file: "/etc/group" };
        id(name).or_else(|| self.group.number(name, 2)).ok_or_else(missing)
    }

    /// As `adduser --system --no-create-home`: group `nogroup`, no login, the first free uid from 100 up. A user that
    /// is there already stays as it is.
    ///
    /// # Errors
    /// When no uid is free.
    pub fn add_system_user(&mut self, name: &str, home: &str) -> Result<(), ConfigureError> {
        if self.passwd.has(name) {
            return Ok(());
        }
        let uid = SYSTEM_IDS.clone().find(|&id| !self.passwd.holds_id(id));
        let uid = uid.ok_or_else(|| ConfigureError::NoFreeId { kind: "user", name: name.to_owned() })?;
        self.add_user(name, uid, NOGROUP, "", home, NOLOGIN, "!", "");
        Ok(())
    }

    /// As `addgroup --system`: the first free gid from 100 up. A group that is there already stays as it is.
    ///
    /// # Errors
    /// When no gid is free.
    pub fn add_system_group(&mut self, name: &str) -> Result<(), ConfigureError> {
        if self.group.has(name) {
            return Ok(());
        }
        let gid = SYSTEM_IDS.clone().find(|&id| !self.group.holds_id(id));
        let gid = gid.ok_or_else(|| ConfigureError::NoFreeId { kind: "group", name: name.to_owned() })?;
        self.add_group(name, gid, "!");
        Ok(())
    }

    /// As a `g` line of sysusers.d(5): the given gid, or the first from 999 down that is free as uid too.
    ///
    /// # Errors
    /// When no id is free.
    pub fn add_sysusers_group(&mut self, name: &str, gid: Option<u32>) -> Result<(), ConfigureError> {
        self.make_shadow();
        if self.group.has(name) {
            return Ok(());
        }
        // A number that another group holds is replaced by a free one, as systemd-sysusers does.
        let gid = match gid.filter(|&gid| !self.group.holds_id(gid)) {
            Some(gid) => gid,
            None => self.free_from_above("group", name)?,
        };
        self.add_group(name, gid, "!*");
        Ok(())
    }

    /// As a `u` line of sysusers.d(5), whose own group, if it has one, was added before.
    ///
    /// # Errors
    /// When its group is missing or no id is free.
    pub fn add_sysusers_user(&mut self, user: &SysUser) -> Result<(), ConfigureError> {
        self.make_shadow();
        if self.passwd.has(user.name) {
            return Ok(());
        }
        let gid = self.gid(user.group.unwrap_or(user.name))?;
        let own = user.group.is_none().then_some(gid);
        let uid = match user.uid.or(own).filter(|&uid| !self.passwd.holds_id(uid)) {
            Some(uid) => uid,
            None => self.free_from_above("user", user.name)?,
        };
        let expires = if user.locked { "1" } else { "" };
        self.add_user(user.name, uid, gid, user.gecos, user.home, user.shell, "!*", expires);
        Ok(())
    }

    /// Makes `user` a member of `group`.
    ///
    /// # Errors
    /// When the group is missing.
    pub fn add_member(&mut self, user: &str, group: &str) -> Result<(), ConfigureError> {
        self.gid(group)?;
        for table in [&mut self.group, &mut self.gshadow] {
            if let Some(members) = table.row_mut(group).and_then(|row| row.get_mut(3))
                && !members.split(',').any(|m| m == user)
            {
                if !members.is_empty() {
                    members.push(',');
                }
                members.push_str(user);
            }
        }
        Ok(())
    }

    fn make_shadow(&mut self) {
        self.shadow.rows.get_or_insert_default();
        self.gshadow.rows.get_or_insert_default();
    }

    fn free_from_above(&self, kind: &'static str, name: &str) -> Result<u32, ConfigureError> {
        // systemd-sysusers: from SYSTEM_UID_MAX (999) down, free among both users and groups.
        let free = (1..=999).rev().find(|&id| !self.passwd.holds_id(id) && !self.group.holds_id(id));
        free.ok_or_else(|| ConfigureError::NoFreeId { kind, name: name.to_owned() })
    }

    fn add_group(&mut self, name: &str, gid: u32, password: &str) {
        self.group.rows.get_or_insert_default();
        self.group.add(&[name, "x", &gid.to_string(), ""]);
        self.gshadow.add(&[name, password, "", ""]);
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of a line")]
    fn add_user(
        &mut self,
        name: &str,
        uid: u32,
        gid: u32,
        gecos: &str,
        home: &str,
        shell: &str,
        password: &str,
        expires: &str,
    ) {
        self.passwd.rows.get_or_insert_default();
        self.passwd.add(&[name, "x", &uid.to_string(), &gid.to_string(), gecos, home, shell]);
        self.shadow.add(&[name, password, &self.today, "", "", "", "", expires, ""]);
    }
}

/// A user or group given as a number.
fn id(name: &str) -> Option<u32> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::generate::shadow;
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(20_000 * DAY + 5);
        tree.write("etc/passwd", 0o644, "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:::\n").unwrap();
        let ages = "PASS_MAX_DAYS 99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 7\n";
        tree.write("etc/login.defs", 0o644, ages).unwrap();
        tree.write("etc/group", 0o644, "root:*:0:\nshadow:*:42:\nusers:*:100:\nnogroup:*:65534:\n").unwrap();
        tree
    }

    fn lines(tree: &Tree, path: &str) -> String {
        tree.read_text(path).unwrap()
    }

    #[test]
    fn sysusers_then_shadow_then_adduser() {
        let mut tree = tree();
        Accounts::edit(&mut tree, |accounts| {
            accounts.add_sysusers_group("journal", None)?;
            accounts.add_sysusers_group("net", None)?;
            let (gecos, home, shell) = ("Net", "/", NOLOGIN);
            let user = SysUser { name: "net", uid: None, group: None, gecos, home, shell, locked: true };
            accounts.add_sysusers_user(&user)?;
            accounts.add_sysusers_user(&SysUser { name: "ssh", group: Some("nogroup"), locked: false, ..user })
        })
        .unwrap();
        shadow::shadow_on(&mut tree).unwrap();
        Accounts::edit(&mut tree, |accounts| {
            accounts.add_system_user("_rpc", "/run/rpcbind")?;
            accounts.add_system_group("_ssh")?;
            accounts.add_member("_rpc", "_ssh")
        })
        .unwrap();
        assert_eq!(
            lines(&tree, "etc/passwd"),
            "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:::\nnet:x:998:998:Net:/:/usr/sbin/nologin\n\
             ssh:x:997:65534:Net:/:/usr/sbin/nologin\n_rpc:x:100:65534::/run/rpcbind:/usr/sbin/nologin\n"
        );
        assert_eq!(
            lines(&tree, "etc/shadow"),
            "net:!*:20000:::::1:\nssh:!*:20000::::::\nroot:*:20000:0:99999:7:::\nnobody:*:20000:0:99999:7:::\n\
             _rpc:!:20000::::::\n"
        );
        assert_eq!(
            lines(&tree, "etc/gshadow"),
            "journal:!*::\nnet:!*::\nroot:*::\nshadow:*::\nusers:*::\nnogroup:*::\n_ssh:!::_rpc\n"
        );
        assert!(lines(&tree, "etc/group").ends_with("journal:x:999:\nnet:x:998:\n_ssh:x:101:_rpc\n"));
        assert!(!lines(&tree, "etc/passwd-").contains("_rpc"), "the backup holds what was there before");
        let shadow = tree.get("etc/shadow").unwrap();
        assert_eq!((shadow.mode, shadow.gid), (0o640, 42));
    }

    #[test]
    fn what_is_there_stays() {
        let mut tree = tree();
        Accounts::edit(&mut tree, |accounts| {
            accounts.add_system_group("users")?;
            accounts.add_system_user("root", "/x")
        })
        .unwrap();
        assert!(!tree.contains("etc/passwd-"));
        let accounts = Accounts::load(&tree).unwrap();
        assert_eq!(accounts.gid("users").unwrap(), 100);
        assert_eq!(accounts.uid("7").unwrap(), 7);
        assert!(matches!(accounts.uid("who"), Err(ConfigureError::NoAccount { .. })));
    }
}
