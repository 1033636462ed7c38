//! `systemd-sysusers FILE…`: users and groups from `sysusers.d` (sysusers.d(5)).

use super::super::{ConfigureError, Context, words};
use super::accounts::{Accounts, User};
use super::named_file;

/// Where files are looked up; the first match wins (sysusers.d(5)).
const FOLDERS: [&str; 4] = ["/etc/sysusers.d", "/run/sysusers.d", "/usr/local/lib/sysusers.d", "/usr/lib/sysusers.d"];

/// A user as described by a `u` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SysUser<'a> {
    pub(super) name: &'a str,
    /// The uid, when it is fixed.
    pub(super) uid: Option<u32>,
    /// The primary group, when it is not the user's own group.
    pub(super) group: Option<&'a str>,
    /// Full name.
    pub(super) gecos: &'a str,
    pub(super) home: &'a str,
    pub(super) shell: &'a str,
    /// Permanently locked: the account is marked as expired.
    pub(super) locked: bool,
}

/// Creates what the named files describe: first groups, then users, then memberships.
///
/// # Errors
/// A file is missing or has a line that is not understood, or no id is free.
pub(crate) fn create(context: &mut Context<'_>, names: &[String]) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for name in names {
        let path = named_file(tree, &FOLDERS, name)
            .ok_or_else(|| ConfigureError::NoFile { name: name.clone(), folder: "sysusers.d" })?;
        lines.extend(
            tree.read_text(&path)?
                .lines()
                .map(|line| (path.clone(), words::split(line)))
                .filter(|(_, l)| !l.is_empty()),
        );
    }
    Accounts::edit(tree, |accounts| {
        for (path, line) in &lines {
            let [kind, name, ..] = line.as_slice() else {
                return Err(ConfigureError::format(path, format!("`{}` has no name", line.join(" "))));
            };
            if kind == "g" {
                add_group(accounts, name, number(field(line, 2), path)?)?;
            }
        }
        // A user without a group gets its own one, after the groups that lines ask for.
        for (path, line) in lines.iter().filter(|(_, line)| is_user(line)) {
            let (id, group) = ids(line);
            if group.is_none() {
                add_group(accounts, field(line, 1), number(id, path)?)?;
            }
        }
        for (path, line) in lines.iter().filter(|(_, line)| is_user(line)) {
            let (id, group) = ids(line);
            let user = SysUser {
                name: field(line, 1),
                uid: number(id, path)?,
                group,
                gecos: given(field(line, 3)).unwrap_or_default(),
                home: given(field(line, 4)).unwrap_or("/"),
                shell: given(field(line, 5)).unwrap_or("/usr/sbin/nologin"),
                locked: field(line, 0).contains('!'),
            };
            add_user(accounts, &user)?;
        }
        for (path, line) in &lines {
            match field(line, 0) {
                "m" => accounts.add_member(field(line, 1), field(line, 2))?,
                // A range for free ids: no Debian package has one.
                "g" | "u" | "u!" => {}
                other => {
                    return Err(ConfigureError::format(path, format!("lines of type `{other}` are not supported")));
                }
            }
        }
        Ok(())
    })
}

/// A `g` line: the given gid, or the first from 999 down that is also free as uid.
///
/// # Errors
/// When no id is free.
pub(super) fn add_group(accounts: &mut Accounts, name: &str, gid: Option<u32>) -> Result<(), ConfigureError> {
    accounts.make_shadow();
    if accounts.has_group(name) {
        return Ok(());
    }
    // A gid that another group has is replaced by a free one, as systemd-sysusers does.
    let gid = match gid.filter(|&gid| !accounts.holds_gid(gid)) {
        Some(gid) => gid,
        None => free_id(accounts, "group", name)?,
    };
    accounts.add_group(name, gid, "!*");
    Ok(())
}

/// A `u` line. The user's own group, if any, was added before.
///
/// # Errors
/// When its group is missing or no id is free.
pub(super) fn add_user(accounts: &mut Accounts, user: &SysUser<'_>) -> Result<(), ConfigureError> {
    accounts.make_shadow();
    if accounts.has_user(user.name) {
        return Ok(());
    }
    let gid = accounts.gid(user.group.unwrap_or(user.name))?;
    let own = user.group.is_none().then_some(gid);
    let uid = match user.uid.or(own).filter(|&uid| !accounts.holds_uid(uid)) {
        Some(uid) => uid,
        None => free_id(accounts, "user", user.name)?,
    };
    let row = User {
        name: user.name.to_owned(),
        password: "x".to_owned(),
        uid,
        gid,
        gecos: user.gecos.to_owned(),
        home: user.home.to_owned(),
        shell: user.shell.to_owned(),
    };
    accounts.add_user(row, "!*", user.locked.then_some(1));
    Ok(())
}

/// The first id from `SYSTEM_UID_MAX` (999) down that is free as uid and gid.
fn free_id(accounts: &Accounts, kind: &'static str, name: &str) -> Result<u32, ConfigureError> {
    let free = (1..=999).rev().find(|&id| !accounts.holds_uid(id) && !accounts.holds_gid(id));
    free.ok_or_else(|| ConfigureError::NoFreeId { kind, name: name.to_owned() })
}

fn is_user(line: &[String]) -> bool {
    matches!(field(line, 0), "u" | "u!")
}

fn field(line: &[String], index: usize) -> &str {
    line.get(index).map_or("", String::as_str)
}

/// A value, unless it is left out.
fn given(value: &str) -> Option<&str> {
    (!matches!(value, "" | "-")).then_some(value)
}

/// The uid and the group of a user's line: `uid`, `uid:gid` or `-:group`.
fn ids(line: &[String]) -> (&str, Option<&str>) {
    let id = field(line, 2);
    id.split_once(':').map_or((id, None), |(uid, gid)| (uid, given(gid)))
}

fn number(value: &str, path: &str) -> Result<Option<u32>, ConfigureError> {
    let bad = |_| ConfigureError::format(path, format!("`{value}` is not a number"));
    given(value).map(|v| v.parse().map_err(bad)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use labimg_tree::Tree;

    #[test]
    fn own_groups_come_after_those_asked_for() {
        let mut tree = Tree::new(0);
        tree.write("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\n").unwrap();
        tree.write("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n").unwrap();
        let text = "# c\nu! net - \"The Net\"\ng log - -\nu sshd -:nogroup \"sshd user\" /run/sshd\nu old 7 - /o /bin/sh\nm sshd log\n";
        tree.write("usr/lib/sysusers.d/a.conf", 0o644, text).unwrap();
        create(&mut Context::new(&mut tree, "arm64"), &["a.conf".to_owned()]).unwrap();
        let passwd = tree.read_text("etc/passwd").unwrap();
        assert!(passwd.ends_with(
            "net:x:998:998:The Net:/:/usr/sbin/nologin\nsshd:x:997:65534:sshd user:/run/sshd:/usr/sbin/nologin\nold:x:7:7::/o:/bin/sh\n"
        ), "{passwd}");
        assert!(tree.read_text("etc/group").unwrap().ends_with("log:x:999:sshd\nnet:x:998:\nold:x:7:\n"));
        assert!(tree.read_text("etc/shadow").unwrap().contains("net:!*:0:::::1:\n"));
        assert!(create(&mut Context::new(&mut tree, "arm64"), &["missing.conf".to_owned()]).is_err());
    }
}
