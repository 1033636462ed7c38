//! `dpkg-divert`: dpkg's table of diversions (dpkg-divert(1)).

use super::super::{ConfigureError, Context};
use super::text_of;
use labimg_tree::Tree;

const DIVERSIONS: &str = "/var/lib/dpkg/diversions";

/// `dpkg-divert --add --no-rename` on behalf of the context's package: from now on, files that other packages ship at
/// `path` go to `to`.
///
/// # Errors
/// When the table is damaged or another package diverts `path`.
pub(crate) fn add(context: &mut Context<'_>, path: &str, to: &str) -> Result<(), ConfigureError> {
    let package = context.package.as_str();
    let mut all = diversions(context.tree)?;
    match all.iter().find(|[from, ..]| from == path) {
        None => all.push([path, to, package].map(str::to_owned)),
        Some([_, other, owner]) if other == to && owner == package => return Ok(()),
        Some([_, _, owner]) => {
            return Err(ConfigureError::format(
                DIVERSIONS,
                format!("{path} is diverted by {owner}, so {package} cannot"),
            ));
        }
    }
    write_diversions(context.tree, &all)
}

fn diversions(tree: &Tree) -> Result<Vec<[String; 3]>, ConfigureError> {
    let text = text_of(tree, DIVERSIONS)?;
    let lines: Vec<&str> = text.lines().collect();
    let entry = |lines: &[&str]| match lines {
        &[from, to, package] => Ok([from, to, package].map(str::to_owned)),
        _ => Err(ConfigureError::format(DIVERSIONS, "does not have three lines for each diversion")),
    };
    lines.chunks(3).map(entry).collect()
}

fn write_diversions(tree: &mut Tree, all: &[[String; 3]]) -> Result<(), ConfigureError> {
    let text: String = all.iter().flatten().flat_map(|line| [line.as_str(), "\n"]).collect();
    Ok(tree.write(DIVERSIONS, 0o644, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divert(tree: &mut Tree, package: &str, path: &str, to: &str) -> Result<(), ConfigureError> {
        let mut context = Context::new(tree, "arm64");
        package.clone_into(&mut context.package);
        add(&mut context, path, to)
    }

    #[test]
    fn a_path_is_diverted_once() {
        let mut tree = Tree::new(0);
        divert(&mut tree, "base-files", "/lib32", "/.lib32.usr-is-merged").unwrap();
        divert(&mut tree, "base-files", "/lib32", "/.lib32.usr-is-merged").unwrap();
        divert(&mut tree, "nfs-common", "/lib/x", "/lib/x.u").unwrap();
        assert!(divert(&mut tree, "other", "/lib32", "/x").is_err());
        assert_eq!(
            tree.read_text(DIVERSIONS).unwrap(),
            "/lib32\n/.lib32.usr-is-merged\nbase-files\n/lib/x\n/lib/x.u\nnfs-common\n"
        );
        tree.write(DIVERSIONS, 0o644, "/a\n/b\n").unwrap();
        assert!(divert(&mut tree, "p", "/c", "/d").is_err());
    }
}
