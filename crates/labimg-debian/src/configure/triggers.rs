//! dpkg's triggers (deb-triggers(5)): what a package does once after others were configured or brought files.

use std::collections::BTreeSet;

use super::generate::{catalog, certificates, hwdb, ldcache, shells};
use super::{ConfigureError, Context};
use crate::packages::{Installed, Package};
use labimg_tree::{Tree, TreePath};

/// What a package interested in a trigger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effect {
    /// Nothing that an image shows: a running daemon rereads its configuration, or labimg makes the file elsewhere.
    None,
    LoaderCache,
    Certificates,
    Shells,
    Catalog,
    Hardware,
}

/// The triggers that labimg knows by the package that is interested in them.
const KNOWN: &[(&str, &str, Effect)] = &[
    ("base-files", "/usr/lib32", Effect::None),
    ("base-files", "/usr/lib64", Effect::None),
    ("base-files", "/usr/libo32", Effect::None),
    ("base-files", "/usr/libx32", Effect::None),
    ("ca-certificates", "update-ca-certificates", Effect::Certificates),
    ("ca-certificates", "update-ca-certificates-fresh", Effect::Certificates),
    ("dbus", "/etc/dbus-1/system.d", Effect::None),
    ("dbus", "/usr/share/dbus-1/system-services", Effect::None),
    ("dbus", "/usr/share/dbus-1/system.d", Effect::None),
    ("debianutils", "/usr/share/debianutils/shells.d", Effect::Shells),
    ("initramfs-tools", "update-initramfs", Effect::None),
    ("libc-bin", "ldconfig", Effect::LoaderCache),
    ("procps", "/usr/lib/sysctl.d", Effect::None),
    ("systemd", "/usr/lib/binfmt.d", Effect::None),
    ("systemd", "/usr/lib/sysctl.d", Effect::None),
    ("systemd", "/usr/lib/systemd/catalog", Effect::Catalog),
    ("systemd", "libc-upgrade", Effect::None),
    ("udev", "/lib/udev/hwdb.d", Effect::Hardware),
    ("udev", "/usr/lib/udev/hwdb.d", Effect::Hardware),
];

fn effect(package: &str, trigger: &str) -> Option<Effect> {
    KNOWN.iter().find(|(name, known, _)| *name == package && *known == trigger).map(|(_, _, effect)| *effect)
}

/// A trigger that the package is interested in and that labimg does not know.
pub fn unknown(package: &Package) -> Option<&str> {
    let mut names = package.triggers.interest.iter().map(|(name, _)| name.as_str());
    names.find(|name| effect(&package.name, name).is_none())
}

/// Does, once each, what configured packages do for the triggers that were activated: by scripts (`context`), by
/// packages that were configured, by files below a path.
///
/// # Errors
/// Those of the generators.
pub fn finish(
    tree: &mut Tree,
    installed: &Installed,
    held: &BTreeSet<&str>,
    context: &Context,
) -> Result<(), ConfigureError> {
    let mut explicit: BTreeSet<&str> = context.triggered.iter().map(String::as_str).collect();
    let configured = || installed.packages.iter().filter(|p| !held.contains(p.name.as_str()));
    for package in configured() {
        explicit.extend(package.triggers.activate.iter().map(|(name, _)| name.as_str()));
    }
    let mut effects = BTreeSet::new();
    for package in configured() {
        for (name, _) in &package.triggers.interest {
            let Some(effect) = effect(&package.name, name) else { continue };
            if explicit.contains(name.as_str()) || (name.starts_with('/') && brings_files(tree, installed, name)?) {
                effects.insert(effect);
            }
        }
    }
    for effect in effects {
        match effect {
            Effect::None => {}
            Effect::LoaderCache => ldcache::ldconfig(tree)?,
            Effect::Certificates => certificates::update(tree)?,
            Effect::Shells => shells::update_shells(tree)?,
            Effect::Catalog => catalog::update(tree)?,
            Effect::Hardware => hwdb::update(tree)?,
        }
    }
    Ok(())
}

/// Whether a package has a file below the path, whatever link leads there.
fn brings_files(tree: &Tree, installed: &Installed, path: &str) -> Result<bool, ConfigureError> {
    let named = TreePath::new(path)?;
    let real = tree.resolve(path).unwrap_or_else(|_| named.clone());
    Ok(installed.packages.iter().flat_map(|p| &p.files).any(|f| f.starts_with(&named) || f.starts_with(&real)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trigger_is_listed_once() {
        let names: BTreeSet<_> = KNOWN.iter().map(|(package, name, _)| (package, name)).collect();
        assert_eq!(names.len(), KNOWN.len());
        assert_eq!(effect("man-db", "/usr/share/man"), None);
    }
}
