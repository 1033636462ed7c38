//! `systemd-sysusers FILE…`: users and groups from `sysusers.d` (sysusers.d(5)).

use super::accounts::SysUser;
use super::{Accounts, ConfigureError, files, words};
use labimg_tree::Tree;

/// Where files are looked up, the first wins (sysusers.d(5)).
const FOLDERS: [&str; 4] = ["/etc/sysusers.d", "/run/sysusers.d", "/usr/local/lib/sysusers.d", "/usr/lib/sysusers.d"];

/// Makes what the named files describe: groups first, then users, then memberships.
pub fn create(tree: &mut Tree, names: &[String]) -> Result<(), ConfigureError> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for name in names {
        let Some(path) = find(tree, &FOLDERS, name) else {
            let what = "named by a package's script, but in no sysusers.d folder".to_owned();
            return Err(ConfigureError::Bad { path: name.clone(), what });
        };
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
                return Err(ConfigureError::Bad {
                    path: path.clone(),
                    what: format!("`{}` has no name", line.join(" ")),
                });
            };
            if kind == "g" {
                accounts.add_sysusers_group(name, number(field(line, 2), path)?)?;
            }
        }
        // A user without a group gets one of its own, after those that lines ask for.
        for (path, line) in lines.iter().filter(|(_, line)| is_user(line)) {
            let (id, group) = ids(line);
            if group.is_none() {
                accounts.add_sysusers_group(field(line, 1), number(id, path)?)?;
            }
        }
        for (path, line) in lines.iter().filter(|(_, line)| is_user(line)) {
            let (id, group) = ids(line);
            accounts.add_sysusers_user(&SysUser {
                name: field(line, 1),
                uid: number(id, path)?,
                group,
                gecos: given(field(line, 3)).unwrap_or_default(),
                home: given(field(line, 4)).unwrap_or("/"),
                shell: given(field(line, 5)).unwrap_or("/usr/sbin/nologin"),
                locked: field(line, 0).contains('!'),
            })?;
        }
        for (path, line) in &lines {
            match field(line, 0) {
                "m" => accounts.add_member(field(line, 1), field(line, 2))?,
                // A range for free numbers: Debian's packages name none.
                "g" | "u" | "u!" => {}
                other => {
                    return Err(ConfigureError::Bad {
                        path: path.clone(),
                        what: format!("lines of type `{other}` are not supported"),
                    });
                }
            }
        }
        Ok(())
    })
}

/// The path of a configuration file that is named without its folder.
pub fn find(tree: &Tree, folders: &[&str], name: &str) -> Option<String> {
    let mut paths = folders.iter().map(|folder| format!("{folder}/{name}"));
    if name.starts_with('/') { Some(name.to_owned()) } else { paths.find(|path| files::target(tree, path).is_some()) }
}

fn is_user(line: &[String]) -> bool {
    matches!(field(line, 0), "u" | "u!")
}

fn field(line: &[String], index: usize) -> &str {
    line.get(index).map_or("", String::as_str)
}

/// A value that is not left out.
fn given(value: &str) -> Option<&str> {
    (!matches!(value, "" | "-")).then_some(value)
}

/// The uid and the group of a user's line: `uid`, `uid:gid` or `-:group`.
fn ids(line: &[String]) -> (&str, Option<&str>) {
    let id = field(line, 2);
    id.split_once(':').map_or((id, None), |(uid, gid)| (uid, given(gid)))
}

fn number(value: &str, path: &str) -> Result<Option<u32>, ConfigureError> {
    let bad = |_| ConfigureError::Bad { path: path.to_owned(), what: format!("`{value}` is not a number") };
    given(value).map(|v| v.parse().map_err(bad)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_groups_come_after_those_asked_for() {
        let mut tree = Tree::new(0);
        tree.write("etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/bash\n").unwrap();
        tree.write("etc/group", 0o644, "root:x:0:\nnogroup:x:65534:\n").unwrap();
        let text = "# c\nu! net - \"The Net\"\ng log - -\nu sshd -:nogroup \"sshd user\" /run/sshd\nu old 7 - /o /bin/sh\nm sshd log\n";
        tree.write("usr/lib/sysusers.d/a.conf", 0o644, text).unwrap();
        create(&mut tree, &["a.conf".to_owned()]).unwrap();
        let passwd = tree.read_text("etc/passwd").unwrap();
        assert!(passwd.ends_with(
            "net:x:998:998:The Net:/:/usr/sbin/nologin\nsshd:x:997:65534:sshd user:/run/sshd:/usr/sbin/nologin\nold:x:7:7::/o:/bin/sh\n"
        ), "{passwd}");
        assert!(tree.read_text("etc/group").unwrap().ends_with("log:x:999:sshd\nnet:x:998:\nold:x:7:\n"));
        assert!(tree.read_text("etc/shadow").unwrap().contains("net:!*:0:::::1:\n"));
        assert!(create(&mut tree, &["missing.conf".to_owned()]).is_err());
    }
}
