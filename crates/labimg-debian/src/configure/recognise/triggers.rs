//! The triggers that Debian's packages are interested in (deb-triggers(5)), and what the packages do when triggered.

use crate::packages::Package;

/// What a package interested in a trigger does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effect {
    /// Nothing visible in an image: a running daemon rereads its configuration, or labimg makes the file elsewhere.
    None,
    LoaderCache,
    Certificates,
    Shells,
    Catalog,
    Hardware,
}

/// The triggers that labimg knows, by the interested package.
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

/// What a package does for a trigger.
pub(crate) fn effect(package: &str, trigger: &str) -> Option<Effect> {
    KNOWN.iter().find(|(name, known, _)| *name == package && *known == trigger).map(|(_, _, effect)| *effect)
}

/// A trigger that the package is interested in and labimg does not know.
pub(crate) fn unknown(package: &Package) -> Option<&str> {
    let mut names = package.triggers.interest.iter().map(|(name, _)| name.as_str());
    names.find(|name| effect(&package.name, name).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_trigger_is_listed_once() {
        let names: BTreeSet<_> = KNOWN.iter().map(|(package, name, _)| (package, name)).collect();
        assert_eq!(names.len(), KNOWN.len());
        assert_eq!(effect("man-db", "/usr/share/man"), None);
    }
}
