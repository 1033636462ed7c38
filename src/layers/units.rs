//! Enables, disables and masks units as a role asks for, after packages and overlays.

use crate::parts::role::Units;
use labimg_debian::configure::{ConfigureError, systemd};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::{Kind, Tree, TreeError, TreePath};

/// Why a role's units could not be set.
#[derive(Debug, thiserror::Error)]
pub enum UnitsError {
    /// A unit is missing or has a bad file.
    #[error("the role's unit {unit} cannot be enabled")]
    Enable {
        /// The unit.
        unit: String,
        /// The cause.
        source: ConfigureError,
    },
    /// A link cannot be created or removed.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Fault for UnitsError {
    fn kind(&self) -> FaultKind {
        match self {
            // A unit that no package has cannot be fixed on the command line.
            Self::Enable { .. } => FaultKind::World,
            Self::Tree(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Enable { source, .. } => source.help(),
            Self::Tree(source) => source.help(),
        }
    }
}

/// Where the administrator's units and links are (systemd.unit(5)).
const CONFIG: &str = "etc/systemd/system";

/// Where a link to `/dev/null` masks a generator (systemd.generator(7)).
const GENERATORS: &str = "etc/systemd/system-generators";

/// Enables, disables and masks units as `systemctl` does.
///
/// # Errors
/// A unit to enable that is in no package and no overlay.
pub fn apply(tree: &mut Tree, units: &Units) -> Result<(), UnitsError> {
    tree.begin_layer("units");
    for unit in &units.enable {
        systemd::enable(tree, unit).map_err(|source| UnitsError::Enable { unit: unit.clone(), source })?;
    }
    for unit in &units.disable {
        disable(tree, unit)?;
    }
    for unit in &units.mask {
        let folder = if unit.ends_with("-generator") { GENERATORS } else { CONFIG };
        disable(tree, unit)?;
        tree.symlink(format!("{folder}/{unit}"), "/dev/null")?;
    }
    Ok(())
}

/// Removes all links to the unit, by name or as an alias.
fn disable(tree: &mut Tree, unit: &str) -> Result<(), TreeError> {
    let folder = TreePath::new(CONFIG)?;
    let links: Vec<TreePath> = tree
        .below(&folder)
        .filter(|(path, _, inode)| {
            let Kind::Symlink(target) = &inode.kind else { return false };
            let target_name = target.rsplit(|&b| b == b'/').next().unwrap_or_default();
            path.name() == unit.as_bytes() || target_name == unit.as_bytes()
        })
        .map(|(path, _, _)| path.clone())
        .collect();
    for path in &links {
        tree.remove(path);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_switched() {
        let mut tree = Tree::new(0);
        for name in ["a", "b", "c"] {
            let text = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\nAlias=other.service\n";
            tree.write(format!("usr/lib/systemd/system/{name}.service"), 0o644, text).unwrap();
        }
        tree.symlink(format!("{CONFIG}/timers.target.wants/c.service"), "/usr/lib/systemd/system/c.service").unwrap();
        let unit = |name: &str| vec![format!("{name}.service")];
        apply(&mut tree, &Units { enable: unit("a"), disable: unit("c"), mask: unit("b") }).unwrap();
        assert!(tree.contains(format!("{CONFIG}/multi-user.target.wants/a.service")));
        assert!(!tree.contains(format!("{CONFIG}/timers.target.wants/c.service")));
        assert_eq!(tree.resolve_parent(format!("{CONFIG}/b.service")).unwrap().name(), b"b.service");
        let generator = Units { mask: vec!["x-generator".to_owned()], ..Units::default() };
        apply(&mut tree, &generator).unwrap();
        assert!(tree.contains("etc/systemd/system-generators/x-generator"));
        let missing = Units { enable: unit("nothing"), ..Units::default() };
        assert!(apply(&mut tree, &missing).unwrap_err().to_string().contains("nothing.service"));
    }
}
