//! `shadowconfig on`, which `passwd` runs once: passwords move from `/etc/passwd` and `/etc/group` to the shadow files
//! (pwconv(8), passwd(5), shadow(5), gshadow(5)).

use super::super::{ConfigureError, Context};
use super::accounts::{Accounts, ShadowUser, days};
use super::text_of;

/// shadow is group 42 in every Debian system (base-passwd).
const SHADOW_GROUP: u32 = 42;

const DEFAULTS: &str = "/etc/login.defs";

/// `shadowconfig on`: moves the passwords that are not yet shadowed. The tree's time gives the day of the last password
/// change.
///
/// # Errors
/// When an account file is missing, or it or `login.defs` has a malformed line.
pub(crate) fn on(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let defaults = text_of(tree, DEFAULTS)?;
    let number = |name: &str| {
        let mut lines = defaults.lines().filter_map(|l| l.trim_start().strip_prefix(name)?.split_whitespace().next());
        let number = days(lines.next_back().unwrap_or_default());
        number.map_err(|_| ConfigureError::format(DEFAULTS, format!("`{name}` is not a plain number")))
    };
    let entry = ShadowUser {
        min_days: number("PASS_MIN_DAYS")?,
        max_days: number("PASS_MAX_DAYS")?,
        warn_days: number("PASS_WARN_AGE")?,
        ..ShadowUser::default()
    };
    Accounts::shadow(tree, SHADOW_GROUP, &entry)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Reference;
    use super::*;
    use labimg_tree::Tree;

    const SECONDS_A_DAY: i64 = 86_400;

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
            on(&mut Context::new(&mut tree, "arm64")).unwrap();
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
        assert!(on(&mut Context::new(&mut tree, "arm64")).is_err());
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn the_base_accounts_are_those_of_the_reference() {
        let reference = Reference::open();
        let wanted = reference.tree(&["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"]);
        let mut tree = reference.tree(&["usr/share/base-passwd", "etc/login.defs"]);
        super::super::base_passwd::configure(&mut Context::new(&mut tree, "arm64")).unwrap();
        on(&mut Context::new(&mut tree, "arm64")).unwrap();
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
