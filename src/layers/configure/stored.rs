//! What dpkg remembers beside its packages: owners and modes that an administrator or a script chose
//! (dpkg-statoverride(1)) and names that give way to others (dpkg-divert(1)).

use super::{ConfigureError, files};
use crate::tree::Tree;

const STAT_OVERRIDES: &str = "/var/lib/dpkg/statoverride";
const DIVERSIONS: &str = "/var/lib/dpkg/diversions";

/// Records owner, group and mode of a path and gives them to what is there.
pub fn stat_override(tree: &mut Tree, path: &str, owner: &str, group: &str, mode: u16) -> Result<(), ConfigureError> {
    let mut lines = lines(tree, STAT_OVERRIDES)?;
    if lines.iter().any(|line| line.ends_with(&format!(" {path}"))) {
        return Ok(());
    }
    lines.push(format!("{owner} {group} {mode:o} {path}"));
    tree.write(STAT_OVERRIDES, 0o644, lines.join("\n") + "\n")?;
    if files::target(tree, path).is_none() {
        return Ok(());
    }
    files::own(tree, path, Some(owner), Some(group), Some(mode))
}

/// Records a diversion without moving anything: three lines each, the name, the other name, the package.
pub fn divert(tree: &mut Tree, path: &str, to: &str, package: &str) -> Result<(), ConfigureError> {
    let mut lines = lines(tree, DIVERSIONS)?;
    if lines.chunks(3).any(|diversion| diversion.first().is_some_and(|name| name == path)) {
        return Ok(());
    }
    lines.extend([path, to, package].map(str::to_owned));
    Ok(tree.write(DIVERSIONS, 0o644, lines.join("\n") + "\n")?)
}

fn lines(tree: &Tree, path: &str) -> Result<Vec<String>, ConfigureError> {
    if files::target(tree, path).is_none() {
        return Ok(Vec::new());
    }
    Ok(tree.read_text(path)?.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_recorded_once() {
        let mut tree = Tree::new(0);
        tree.write("bin/x", 0o755, "").unwrap();
        for _ in 0..2 {
            stat_override(&mut tree, "/bin/x", "root", "5", 0o4754).unwrap();
            divert(&mut tree, "/lib/a", "/lib/a.old", "p").unwrap();
        }
        divert(&mut tree, "/lib/b", "/lib/b.old", "p").unwrap();
        assert_eq!(tree.read_text(STAT_OVERRIDES).unwrap(), "root 5 4754 /bin/x\n");
        assert_eq!(tree.read_text(DIVERSIONS).unwrap(), "/lib/a\n/lib/a.old\np\n/lib/b\n/lib/b.old\np\n");
        let x = tree.get("bin/x").unwrap();
        assert_eq!((x.mode, x.gid), (0o4754, 5));
    }
}
