//! `systemd-tmpfiles --create FILE…` (tmpfiles.d(5)), for paths that stay on the disk.
//!
//! At every boot `systemd-tmpfiles-setup.service` applies all lines again. So what is skipped here on purpose is done
//! then: paths below `/run`, `/tmp` and `/dev`, attributes, access control lists, and what needs the machine id.

use super::super::{ConfigureError, Context, words};
use super::accounts::Accounts;
use super::{matches, named_file, shell, target};
use labimg_tree::{Kind, Tree, TreePath};

const FOLDERS: [&str; 4] = ["/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d"];

/// File systems that are created anew at each boot.
const VOLATILE: [&str; 5] = ["/run", "/tmp", "/dev", "/proc", "/sys"];

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    kind: u8,
    /// With `+`: replace an existing file.
    replace: bool,
    /// With `?`: only if the target of the link exists.
    if_exists: bool,
    path: String,
    mode: Option<Mode>,
    owner: Option<Owner>,
    group: Option<Owner>,
    argument: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mode {
    bits: u16,
    /// With `:`: for new files only.
    new_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    name: String,
    new_only: bool,
}

/// Applies the lines of the named files, folders before their content.
///
/// # Errors
/// A file is missing or has a line that is not understood, or the tree cannot hold what a line creates.
pub(crate) fn create(context: &mut Context<'_>, names: &[String]) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let mut lines: Vec<Line> = Vec::new();
    for name in names {
        let path = named_file(tree, &FOLDERS, name)
            .ok_or_else(|| ConfigureError::NoFile { name: name.clone(), folder: "tmpfiles.d" })?;
        for text in tree.read_text(&path)?.lines() {
            let Some(line) = parse(text, &path)? else { continue };
            // Of two lines that create the same path the first counts.
            if makes(line.kind) && lines.iter().any(|l| makes(l.kind) && l.path == line.path) {
                continue;
            }
            lines.push(line);
        }
    }
    lines.sort_by(|a, b| (!makes(a.kind), &a.path).cmp(&(!makes(b.kind), &b.path)));
    let accounts = Accounts::load(tree)?;
    for line in &lines {
        if !is_volatile(context.tree, &line.path) {
            apply(context, line, &accounts)?;
        }
    }
    Ok(())
}

fn makes(kind: u8) -> bool {
    matches!(kind, b'd' | b'D' | b'v' | b'q' | b'Q' | b'f' | b'L' | b'C' | b'p')
}

/// True below a file system that is created anew at each boot, also through a link such as `/var/run`.
fn is_volatile(tree: &Tree, path: &str) -> bool {
    let place = tree.place(path).map_or_else(|_| path.to_owned(), |p| p.to_string());
    VOLATILE.iter().any(|v| place == *v || place.starts_with(&format!("{v}/")))
}

/// A line that applies when a package is configured. `None` for comments, for `!` (only at boot), for `^` (from a
/// credential) and for paths with a specifier that has no value yet.
fn parse(text: &str, file: &str) -> Result<Option<Line>, ConfigureError> {
    let text = text.trim();
    if text.starts_with('#') || text.is_empty() {
        return Ok(None);
    }
    let bad = |what: String| ConfigureError::format(file, what);
    let fields = words::split(text);
    let [kind, path, ..] = fields.as_slice() else {
        return Err(bad(format!("`{text}` has no path")));
    };
    let (&[letter, ref flags @ ..], true) = (kind.as_bytes(), path.starts_with('/')) else {
        return Err(bad(format!("`{text}` is not a line of tmpfiles.d")));
    };
    if flags.iter().any(|f| matches!(f, b'!' | b'^')) {
        return Ok(None);
    }
    let Some(path) = specifiers(path) else { return Ok(None) };
    let field = |index: usize| fields.get(index).map(String::as_str).filter(|f| !matches!(*f, "" | "-"));
    let mode = field(2).map(|text| {
        let digits = text.trim_start_matches([':', '~']);
        let bits = u16::from_str_radix(digits, 8).map_err(|_| bad(format!("`{text}` is not a mode")))?;
        Ok::<_, ConfigureError>(Mode { bits, new_only: text.contains(':') })
    });
    let owner = |index| {
        field(index)
            .map(|text| Owner { name: text.trim_start_matches(':').to_owned(), new_only: text.starts_with(':') })
    };
    // The last field extends to the end of the line.
    let argument = (fields.len() > 6).then(|| fields.get(6..).unwrap_or_default().join(" "));
    Ok(Some(Line {
        kind: letter,
        replace: flags.contains(&b'+'),
        if_exists: flags.contains(&b'?'),
        path: if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path },
        mode: mode.transpose()?,
        owner: owner(3),
        group: owner(4),
        argument: argument.filter(|a| a != "-"),
    }))
}

/// Replaces the specifiers of tmpfiles.d(5) that have the same value on every system.
fn specifiers(path: &str) -> Option<String> {
    let mut filled = String::new();
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            filled.push(c);
            continue;
        }
        filled.push_str(match chars.next()? {
            '%' => "%",
            'S' => "/var/lib",
            'C' => "/var/cache",
            'L' => "/var/log",
            't' => "/run",
            'T' => "/tmp",
            'V' => "/var/tmp",
            _ => return None,
        });
    }
    Some(filled)
}

fn apply(context: &mut Context<'_>, line: &Line, accounts: &Accounts) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let path = line.path.as_str();
    let there = target(tree, path);
    match line.kind {
        b'd' | b'D' | b'v' | b'q' | b'Q' => {
            let at = tree.place(path)?;
            if there.is_none() && !tree.contains(&at) {
                tree.mkdir(&at, line.mode.map_or(0o755, |m| m.bits))?;
            }
            adjust(tree, line, accounts, there.is_none())
        }
        b'f' => {
            if there.is_none() || line.replace {
                let at = tree.place(path)?;
                let text = line.argument.clone().unwrap_or_default();
                tree.write(&at, line.mode.map_or(0o644, |m| m.bits), text)?;
            }
            adjust(tree, line, accounts, there.is_none())
        }
        b'L' => {
            let to = line.argument.clone().unwrap_or_else(|| format!("/usr/share/factory{path}"));
            let from = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let full = if to.starts_with('/') { to.clone() } else { format!("{from}/{to}") };
            if line.if_exists && target(tree, &full).is_none() {
                return Ok(());
            }
            shell::link(context, path, &to, line.replace)
        }
        b'C' => match line.argument.as_deref().and_then(|from| target(tree, from)) {
            Some(from) if there.is_none() => shell::copy(context, &from.to_string(), path, None),
            _ => Ok(()),
        },
        b'z' | b'e' => adjust(tree, line, accounts, false),
        _ => Ok(()),
    }
}

/// Sets owner, group and mode of existing paths; a pattern stands for all paths that match.
fn adjust(tree: &mut Tree, line: &Line, accounts: &Accounts, new: bool) -> Result<(), ConfigureError> {
    let paths: Vec<TreePath> = if line.path.contains(['*', '?', '[']) {
        tree.iter().map(|(p, _, _)| p).filter(|p| matches(&line.path, &p.to_string())).cloned().collect()
    } else {
        target(tree, &line.path).into_iter().collect()
    };
    let uid = line.owner.iter().find(|o| new || !o.new_only).map(|o| accounts.uid(&o.name)).transpose()?;
    let gid = line.group.iter().find(|o| new || !o.new_only).map(|o| accounts.gid(&o.name)).transpose()?;
    let mode = line.mode.filter(|m| new || !m.new_only).map(|m| m.bits);
    for path in paths {
        let Some(inode) = tree.get_mut(&path) else { continue };
        if matches!(inode.kind, Kind::Symlink(_)) {
            continue;
        }
        inode.uid = uid.unwrap_or(inode.uid);
        inode.gid = gid.unwrap_or(inode.gid);
        inode.mode = mode.unwrap_or(inode.mode);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_stays_on_the_disk() {
        let mut tree = Tree::new(0);
        tree.write("etc/passwd", 0o644, "root:x:0:0:::\n").unwrap();
        tree.write("etc/group", 0o644, "root:x:0:\njournal:x:999:\n").unwrap();
        tree.mkdir("run", 0o755).unwrap();
        tree.mkdir("var/log/journal", 0o755).unwrap();
        tree.symlink("var/run", "/run").unwrap();
        let text = "\
            d /var/lib/a/b 0700 root root -\n\
            d /var/lib/a 0750 - - -\n\
            d /var/lib/a 0777 - - -\n\
            d /run/x 0755\n\
            d /var/run/y 0755\n\
            L /etc/mtab - - - - ../proc/mounts\n\
            L? /etc/no - - - - missing\n\
            L! /etc/boot - - - - x\n\
            f /etc/f 0600 - - - one two\n\
            f^ /etc/motd - - - - login\n\
            z /var/log/jour* 2755 root journal - -\n\
            z /var/log/journal/%m 2755 root journal - -\n\
            d /root :0700 root :journal -\n";
        tree.mkdir("root", 0o755).unwrap();
        tree.write("usr/lib/tmpfiles.d/a.conf", 0o644, text).unwrap();
        create(&mut Context::new(&mut tree, "arm64"), &["a.conf".to_owned()]).unwrap();
        assert_eq!(tree.get("var/lib/a").unwrap().mode, 0o750);
        assert_eq!(tree.get("var/lib/a/b").unwrap().mode, 0o700);
        for absent in ["run/x", "run/y", "etc/no", "etc/boot", "etc/motd"] {
            assert!(!tree.contains(absent), "{absent}");
        }
        assert_eq!(tree.read_text("etc/f").unwrap(), "one two");
        let journal = tree.get("var/log/journal").unwrap();
        assert_eq!((journal.mode, journal.gid), (0o2755, 999));
        let root = tree.get("root").unwrap();
        assert_eq!((root.mode, root.gid), (0o755, 0), "`:` is for new folders");
        assert!(tree.contains("etc/mtab"));
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(text in "[dfLz!+ /a%:~0-9\"-]{0,40}") {
            let _ = parse(&text, "x.conf");
        }
    }
}
