//! The `[Install]` sections of units: the links that enable them, and Debian's presets (systemd.unit(5),
//! systemd.preset(5)).

use std::collections::{BTreeMap, BTreeSet};

use super::super::{ConfigureError, words};
use super::{matches, target};
use labimg_tree::{Kind, Tree, TreePath};

/// Which manager runs a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// The system's.
    System,
    /// Each user's.
    User,
}

impl Manager {
    /// The manager for an action's `user` flag.
    pub(crate) fn of(user: bool) -> Self {
        if user { Self::User } else { Self::System }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
        }
    }

    /// Where the administrator's units and links are.
    pub(super) fn config(self) -> String {
        format!("/etc/systemd/{}", self.name())
    }

    /// Where `deb-systemd-helper` keeps its state.
    pub(super) fn record(self) -> &'static str {
        match self {
            Self::System => "/var/lib/systemd/deb-systemd-helper-enabled",
            Self::User => "/var/lib/systemd/deb-systemd-user-helper-enabled",
        }
    }

    /// The file of a unit; for an instance that of its template.
    pub(super) fn find(self, tree: &Tree, unit: &str) -> Option<String> {
        let folders = [
            self.config(),
            format!("/usr/local/lib/systemd/{}", self.name()),
            format!("/usr/lib/systemd/{}", self.name()),
        ];
        let template = split_instance(unit).map(|(prefix, _, suffix)| format!("{prefix}@{suffix}"));
        let names = [Some(unit.to_owned()), template];
        let paths = names.iter().flatten().flat_map(|name| folders.iter().map(move |f| format!("{f}/{name}")));
        paths.into_iter().find(|path| target(tree, path).is_some())
    }
}

/// The prefix, instance and suffix of `prefix@instance.suffix`; the instance is empty for a template.
fn split_instance(unit: &str) -> Option<(&str, &str, &str)> {
    let (prefix, rest) = unit.split_once('@')?;
    let dot = rest.rfind('.')?;
    Some((prefix, &rest[..dot], &rest[dot..]))
}

/// One setting of a unit's `[Install]` section (systemd.unit(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
enum Install {
    /// A folder for links, such as `multi-user.target.wants`.
    Folder(String),
    Also(String),
    Alias(String),
    DefaultInstance(String),
}

fn install_section(text: &str) -> Vec<Install> {
    let joined = text.replace("\\\n", " ");
    let mut inside = false;
    let mut found = Vec::new();
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        }
        let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';'])) else {
            continue;
        };
        let values = words::split(value);
        let folder = |suffix: &str| values.iter().map(|v| Install::Folder(format!("{v}.{suffix}"))).collect::<Vec<_>>();
        match key.trim_end() {
            "WantedBy" => found.extend(folder("wants")),
            "RequiredBy" => found.extend(folder("requires")),
            "UpheldBy" => found.extend(folder("upholds")),
            "Also" => found.extend(values.into_iter().map(Install::Also)),
            "Alias" => found.extend(values.into_iter().map(Install::Alias)),
            "DefaultInstance" => found.extend(values.into_iter().map(Install::DefaultInstance)),
            _ => {}
        }
    }
    found
}

/// A link to be created: its path and the unit file it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) path: String,
    pub(super) unit: String,
}

/// The links of a unit and of the units in its `Also=`, in the order of `deb-systemd-helper`'s state file: first those
/// of `Also=` and `Alias=` in the order of their lines, then the folders.
pub(super) fn links(tree: &Tree, manager: Manager, unit: &str) -> Result<Vec<Link>, ConfigureError> {
    links_but(tree, manager, unit, &mut BTreeSet::new())
}

/// As [`links`], without the units in `seen`.
fn links_but(
    tree: &Tree,
    manager: Manager,
    unit: &str,
    seen: &mut BTreeSet<String>,
) -> Result<Vec<Link>, ConfigureError> {
    let Some(file) = manager.find(tree, unit) else { return Ok(Vec::new()) };
    seen.insert(unit.to_owned());
    let install = install_section(&tree.read_text(&file)?);
    let mut name = unit.to_owned();
    for item in &install {
        if let (Install::DefaultInstance(instance), Some((prefix, "", suffix))) = (item, split_instance(unit)) {
            name = format!("{prefix}@{instance}{suffix}");
        }
    }
    let expand = |text: &str| {
        let (prefix, instance, _) = split_instance(&name).unwrap_or((&name, "", ""));
        text.replace("%i", instance).replace("%p", prefix).replace("%n", &name).replace("%%", "%")
    };
    let mut made = Vec::new();
    for item in &install {
        match item {
            Install::Also(other) if !seen.contains(other) => made.extend(links_but(tree, manager, other, seen)?),
            Install::Alias(alias) if alias != unit => {
                made.push(Link { path: format!("{}/{}", manager.config(), expand(alias)), unit: file.clone() });
            }
            _ => {}
        }
    }
    for item in &install {
        if let Install::Folder(folder) = item {
            made.push(Link { path: format!("{}/{}/{name}", manager.config(), expand(folder)), unit: file.clone() });
        }
    }
    Ok(made)
}

/// Creates the missing links.
pub(super) fn make(tree: &mut Tree, links: &[Link]) -> Result<(), ConfigureError> {
    for link in links {
        // A template without an instance cannot be wanted by anything.
        let (folder, name) = link.path.rsplit_once('/').unwrap_or_default();
        let wanted = [".wants", ".requires", ".upholds"].iter().any(|end| folder.ends_with(end));
        if wanted && matches!(split_instance(name), Some((_, "", _))) {
            continue;
        }
        if !tree.contains(&link.path) {
            tree.symlink(&link.path, &link.unit)?;
        }
    }
    Ok(())
}

/// Whether presets enable a unit: the first matching rule counts; without one it is enabled (systemd.preset(5)).
pub(super) fn preset(tree: &Tree, unit: &str, manager: Manager) -> Result<bool, ConfigureError> {
    let mut files = BTreeMap::new();
    for folder in ["usr/lib", "usr/local/lib", "etc"] {
        let folder = TreePath::new(format!("{folder}/systemd/{}-preset", manager.name()))?;
        for (path, _, inode) in tree.below(&folder) {
            if path.name().ends_with(b".preset") && !matches!(inode.kind, Kind::Dir) {
                files.insert(path.name().to_vec(), path.clone());
            }
        }
    }
    let template = split_instance(unit).map(|(prefix, _, suffix)| format!("{prefix}@{suffix}"));
    for path in files.values() {
        for line in tree.read_text(path)?.lines() {
            let words = words::split(line);
            let [verb, pattern, instances @ ..] = words.as_slice() else { continue };
            let instance = split_instance(unit).map_or("", |(_, i, _)| i);
            let by_instance = instances.iter().any(|i| i == instance)
                && template.as_deref().is_some_and(|template| matches(pattern, template));
            if matches(pattern, unit) && instances.is_empty() || by_instance {
                return Ok(verb == "enable");
            }
        }
    }
    Ok(true)
}
