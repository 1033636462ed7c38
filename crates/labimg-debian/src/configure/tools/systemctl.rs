//! `systemctl enable` (systemctl(1)).

use super::super::ConfigureError;
use super::units::{self, Manager};
use labimg_tree::Tree;

/// `systemctl enable UNIT`: all links that the unit asks for in its `[Install]` section. Used by layers as well as for
/// scripts.
///
/// # Errors
/// A missing unit or a bad unit file.
pub fn enable(tree: &mut Tree, unit: &str) -> Result<(), ConfigureError> {
    if Manager::System.find(tree, unit).is_none() {
        return Err(ConfigureError::NoUnit(unit.to_owned()));
    }
    let links = units::links(tree, Manager::System, unit)?;
    units::make(tree, &links)
}

#[cfg(test)]
mod tests {
    use super::*;
    use labimg_tree::Kind;

    #[test]
    fn instances_and_templates() {
        let mut tree = Tree::new(0);
        let text = "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n";
        tree.write("usr/lib/systemd/system/getty@.service", 0o644, text).unwrap();
        enable(&mut tree, "getty@tty2.service").unwrap();
        enable(&mut tree, "getty@.service").unwrap();
        let links: Vec<String> = tree
            .iter()
            .filter(|(path, _, inode)| path.as_bytes().starts_with(b"etc/") && !matches!(inode.kind, Kind::Dir))
            .map(|(path, _, _)| path.to_string())
            .collect();
        assert_eq!(
            links,
            [
                "/etc/systemd/system/getty.target.wants/getty@tty1.service",
                "/etc/systemd/system/getty.target.wants/getty@tty2.service"
            ]
        );
    }

    #[test]
    fn a_unit_that_is_not_there_is_an_error() {
        assert!(matches!(enable(&mut Tree::new(0), "gone.service"), Err(ConfigureError::NoUnit(_))));
    }
}
