//! `shadowconfig on`, which `passwd` runs once: passwords move from `/etc/passwd` and `/etc/group` to the shadow files
//! (pwconv(8), passwd(5), shadow(5), gshadow(5)).

use super::{GenError, exists, skeleton::own};
use labimg_tree::Tree;

/// shadow: group 42 in every Debian system (base-passwd).
const SHADOW_GROUP: u32 = 42;
const SECONDS_A_DAY: i64 = 86_400;

/// Moves what is not yet shadowed. The day of the last password change is that of the tree's time.
///
/// # Errors
/// When an account file is missing or has a line with too few fields.
pub fn shadow_on(tree: &mut Tree) -> Result<(), GenError> {
    let defaults = if exists(tree, "/etc/login.defs") { tree.read_text("/etc/login.defs")? } else { String::new() };
    let number = |name: &str| {
        let mut lines = defaults.lines().filter_map(|l| l.trim_start().strip_prefix(name)?.split_whitespace().next());
        lines.next_back().unwrap_or_default().to_owned()
    };
    let day = tree.time() / SECONDS_A_DAY;
    let rest = format!("{day}:{}:{}:{}:::", number("PASS_MIN_DAYS"), number("PASS_MAX_DAYS"), number("PASS_WARN_AGE"));
    convert(tree, "/etc/passwd", "/etc/shadow", |password, _| format!("{password}:{rest}"))?;
    convert(tree, "/etc/group", "/etc/gshadow", |password, members| format!("{password}::{members}"))?;
    if !exists(tree, "/etc/.pwd.lock") {
        tree.write("/etc/.pwd.lock", 0o600, "")?;
    }
    Ok(())
}

/// `entry` makes the fields behind the name from the password and the fourth field.
fn convert(tree: &mut Tree, open: &str, secret: &str, entry: impl Fn(&str, &str) -> String) -> Result<(), GenError> {
    let mut shadow = if exists(tree, secret) { tree.read_text(secret)? } else { String::new() };
    let mut text = String::new();
    for line in tree.read_text(open)?.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        let &[name, password, _, fourth, ..] = fields.as_slice() else {
            return Err(GenError::format(open, format!("`{line}` has too few fields")));
        };
        let known = shadow.lines().any(|l| l.split(':').next() == Some(name));
        if !known {
            shadow.extend([name, ":", &entry(password, fourth), "\n"]);
            fields[1] = "x";
        }
        text += &fields.join(":");
        text.push('\n');
    }
    tree.write(open, 0o644, text)?;
    tree.write(secret, 0o640, shadow)?;
    own(tree, secret, 0, SHADOW_GROUP, 0o640)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Reference;
    use super::*;

    #[test]
    fn passwords_move_once() {
        let mut tree = Tree::new(20_780 * SECONDS_A_DAY + 5);
        tree.write("etc/passwd", 0o644, "root:*:0:0:root:/root:/bin/bash\nnet:x:998:998::/:/bin/false\n").unwrap();
        tree.write("etc/shadow", 0o644, "net:!*:20000::::::\n").unwrap();
        tree.write("etc/group", 0o644, "root:*:0:\nsudo:*:27:ann,bob\n").unwrap();
        tree.write(
            "etc/login.defs",
            0o644,
            "#PASS_MAX_DAYS 1\nPASS_MAX_DAYS\t99999\nPASS_MIN_DAYS 0\nPASS_WARN_AGE 7\n",
        )
        .unwrap();
        for _ in 0..2 {
            shadow_on(&mut tree).unwrap();
            assert_eq!(
                tree.read_text("etc/passwd").unwrap(),
                "root:x:0:0:root:/root:/bin/bash\nnet:x:998:998::/:/bin/false\n"
            );
            assert_eq!(tree.read_text("etc/shadow").unwrap(), "net:!*:20000::::::\nroot:*:20780:0:99999:7:::\n");
            assert_eq!(tree.read_text("etc/group").unwrap(), "root:x:0:\nsudo:x:27:ann,bob\n");
            assert_eq!(tree.read_text("etc/gshadow").unwrap(), "root:*::\nsudo:*::ann,bob\n");
        }
        assert_eq!(tree.get("etc/shadow").map(|i| (i.gid, i.mode)), Some((42, 0o640)));
        tree.write("etc/passwd", 0o644, "root\n").unwrap();
        assert!(shadow_on(&mut tree).is_err());
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn the_base_accounts_are_those_of_the_reference() {
        let reference = Reference::open();
        let wanted = reference.tree(&["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"]);
        let mut tree = reference.tree(&["usr/share/base-passwd", "etc/login.defs"]);
        super::super::skeleton::base_passwd(&mut tree).unwrap();
        shadow_on(&mut tree).unwrap();
        for file in ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"] {
            // The day of the build differs.
            let lines = |tree: &Tree| -> Vec<String> {
                let day = |l: &str| {
                    l.split(':')
                        .map(|f| {
                            if f.len() == 5 && f.bytes().all(|b| b.is_ascii_digit()) && f != "99999" { "D" } else { f }
                                .to_owned()
                        })
                        .collect::<Vec<_>>()
                        .join(":")
                };
                tree.read_text(file).unwrap().lines().map(day).collect()
            };
            let wanted = lines(&wanted);
            let found = lines(&tree);
            assert!(found.len() > 15, "{file}");
            for line in found {
                assert!(wanted.contains(&line), "{file}: {line}");
            }
        }
    }
}
