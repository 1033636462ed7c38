//! `update-shells`: `/etc/shells` and its state file, as debianutils keeps them (update-shells(8)).

use super::super::{ConfigureError, Context};
use super::{exists, text_of};
use labimg_tree::{Kind, TreePath};

const TEMPLATE: &str = "/usr/share/debianutils/shells";
const FOLDER: &str = "usr/share/debianutils/shells.d";
const SHELLS: &str = "/etc/shells";
const STATE: &str = "/var/lib/shells.state";

/// Adds the shells that packages list, both by the listed path and by the one with folder links resolved, unless an
/// administrator removed them. Removes those that no package lists any more.
///
/// # Errors
/// When a list cannot be read or written.
pub(crate) fn update(context: &mut Context<'_>) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    let mut sources = vec![TreePath::new(TEMPLATE)?];
    let folder = TreePath::new(FOLDER)?;
    sources.extend(tree.below(&folder).filter(|(_, _, i)| matches!(i.kind, Kind::File(_))).map(|(p, _, _)| p.clone()));
    let mut listed: Vec<String> = Vec::new();
    for source in sources {
        for line in tree.read_text(&source)?.lines() {
            let shell = without_comment(line);
            if shell.is_empty() {
                continue;
            }
            let real = tree.resolve_parent(shell)?.to_string();
            for name in [shell.to_owned(), real] {
                if !listed.contains(&name) {
                    listed.push(name);
                }
            }
        }
    }
    let state = text_of(tree, STATE)?;
    let known: Vec<&str> = state.lines().map(without_comment).filter(|s| !s.is_empty()).collect();

    let source = if exists(tree, SHELLS) { SHELLS } else { TEMPLATE };
    let mut text = String::new();
    let mut kept: Vec<String> = Vec::new();
    for line in tree.read_text(source)?.lines() {
        let shell = without_comment(line);
        let local = !known.contains(&shell);
        let new = !kept.iter().any(|k| k == shell);
        if shell.is_empty() || ((local || listed.iter().any(|l| l == shell)) && new) {
            text.push_str(line);
            text.push('\n');
            kept.push(shell.to_owned());
        }
    }
    for shell in &listed {
        if !kept.contains(shell) && !known.contains(&shell.as_str()) {
            text.push_str(shell);
            text.push('\n');
        }
    }
    tree.write(SHELLS, 0o644, text)?;
    tree.write(STATE, 0o644, listed.iter().flat_map(|s| [s.as_str(), "\n"]).collect::<String>())?;
    Ok(())
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Reference, same_files};
    use super::*;
    use labimg_tree::Tree;

    #[test]
    fn local_lines_stay_and_removed_shells_do_not_come_back() {
        let mut tree = Tree::new(0);
        tree.mkdir("usr/bin", 0o755).unwrap();
        tree.symlink("bin", "usr/bin").unwrap();
        tree.write("usr/share/debianutils/shells", 0o644, "# valid\n/bin/sh\n").unwrap();
        tree.write("usr/share/debianutils/shells.d/bash", 0o644, "/bin/bash\n").unwrap();
        update(&mut Context::new(&mut tree, "arm64")).unwrap();
        assert_eq!(tree.read_text(SHELLS).unwrap(), "# valid\n/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n");
        assert_eq!(tree.read_text(STATE).unwrap(), "/bin/sh\n/usr/bin/sh\n/bin/bash\n/usr/bin/bash\n");
        tree.write(SHELLS, 0o644, "# valid\n/bin/sh\n/usr/bin/bash\n/opt/mine\n").unwrap();
        update(&mut Context::new(&mut tree, "arm64")).unwrap();
        assert_eq!(tree.read_text(SHELLS).unwrap(), "# valid\n/bin/sh\n/usr/bin/bash\n/opt/mine\n");
        tree.remove(&TreePath::new("usr/share/debianutils/shells.d/bash").unwrap());
        update(&mut Context::new(&mut tree, "arm64")).unwrap();
        assert_eq!(tree.read_text(SHELLS).unwrap(), "# valid\n/bin/sh\n/opt/mine\n");
    }

    #[test]
    #[ignore = "needs LABIMG_REFERENCE_TREE, a tree made with the real maintainer scripts"]
    fn same_as_the_reference() {
        let reference = Reference::open();
        let mut tree = reference.tree(&["usr/share/debianutils", "bin", "usr/bin"]);
        update(&mut Context::new(&mut tree, "arm64")).unwrap();
        let files = ["etc/shells", "var/lib/shells.state"];
        same_files(&tree, &reference.tree(&files), &files);
    }
}
