//! Links of init scripts in `/etc/rc?.d`, as `update-rc.d NAME defaults` makes them without insserv: all with the
//! number 01.

use super::super::{ConfigureError, Context};
use super::target;
use labimg_tree::{Kind, Tree, TreePath};

/// Links an init script into the run levels of its LSB header, unless it already has links.
///
/// # Errors
/// A script that cannot be read, or a file in the place of a link or folder.
pub(crate) fn defaults(context: &mut Context<'_>, script: &str) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let path = format!("/etc/init.d/{script}");
    // debhelper's sections test whether it is executable.
    let runs = target(tree, &path).and_then(|p| tree.get(&p).map(|i| i.mode & 0o111 != 0)).unwrap_or(false);
    if !runs || has_links(tree, script)? {
        return Ok(());
    }
    let text = tree.read_text(&path)?;
    for (field, kind) in [("# Default-Start:", 'S'), ("# Default-Stop:", 'K')] {
        for level in levels(&text, field) {
            tree.symlink(format!("etc/rc{level}.d/{kind}01{script}"), format!("../init.d/{script}"))?;
        }
    }
    Ok(())
}

/// The run levels of a field between `### BEGIN INIT INFO` and `### END INIT INFO` (LSB 5, "Comment conventions").
fn levels<'a>(text: &'a str, field: &str) -> Vec<&'a str> {
    let header = text
        .lines()
        .skip_while(|l| l.trim_end() != "### BEGIN INIT INFO")
        .take_while(|l| l.trim_end() != "### END INIT INFO");
    let value = header.filter_map(|line| line.strip_prefix(field)).last().unwrap_or_default();
    value.split_whitespace().filter(|l| l.len() == 1 && l.bytes().all(|b| b.is_ascii_alphanumeric())).collect()
}

fn has_links(tree: &Tree, script: &str) -> Result<bool, ConfigureError> {
    for level in "0123456S".chars() {
        let folder = TreePath::new(format!("etc/rc{level}.d"))?;
        let linked = tree.below(&folder).any(|(path, _, inode)| {
            let name = path.name();
            matches!(inode.kind, Kind::Symlink(_))
                && matches!(name, [b'S' | b'K', b'0'..=b'9', b'0'..=b'9', rest @ ..] if rest == script.as_bytes())
        });
        if linked {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_the_header_only() {
        let mut tree = Tree::new(0);
        let text = "#!/bin/sh\n# Default-Start: 4\n### BEGIN INIT INFO\n# Default-Start:     S 2\n# Default-Stop: 0\n### END INIT INFO\n# Default-Start: 5\n";
        tree.write("etc/init.d/x", 0o755, text).unwrap();
        tree.write("etc/init.d/y", 0o644, text).unwrap();
        defaults(&mut Context::new(&mut tree, "arm64"), "x").unwrap();
        defaults(&mut Context::new(&mut tree, "arm64"), "y").unwrap();
        let links: Vec<String> = tree.iter().map(|(p, _, _)| p.to_string()).filter(|p| p.contains("01")).collect();
        assert_eq!(links, ["/etc/rc0.d/K01x", "/etc/rc2.d/S01x", "/etc/rcS.d/S01x"]);
        // An administrator's change stays.
        tree.rename(&TreePath::new("etc/rc2.d/S01x").unwrap(), &TreePath::new("etc/rc2.d/K01x").unwrap()).unwrap();
        defaults(&mut Context::new(&mut tree, "arm64"), "x").unwrap();
        assert!(!tree.contains("etc/rc2.d/S01x"));
    }
}
