//! Enabling units: the links that `systemctl` makes by the `[Install]` section, Debian's presets, and the record that
//! `deb-systemd-helper` keeps so that an upgrade does not enable again what an administrator disabled.

use std::collections::BTreeSet;

use super::tmpfiles::matches;
use super::{ConfigureError, files, words};
use labimg_tree::{Kind, Tree, TreePath};

/// Which manager runs a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// The system's.
    System,
    /// Each user's.
    User,
}

impl Manager {
    /// By the flag of an action.
    #[must_use]
    pub fn of(user: bool) -> Self {
        if user { Self::User } else { Self::System }
    }

    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
        }
    }

    /// Where the administrator's units and links are.
    fn config(self) -> String {
        format!("/etc/systemd/{}", self.name())
    }

    /// Where `deb-systemd-helper` keeps its record.
    fn record(self) -> &'static str {
        match self {
            Self::System => "/var/lib/systemd/deb-systemd-helper-enabled",
            Self::User => "/var/lib/systemd/deb-systemd-user-helper-enabled",
        }
    }

    /// The file of a unit, and for an instance the one of its template.
    fn find(self, tree: &Tree, unit: &str) -> Option<String> {
        let folders = [
            self.config(),
            format!("/usr/local/lib/systemd/{}", self.name()),
            format!("/usr/lib/systemd/{}", self.name()),
        ];
        let template = split_instance(unit).map(|(prefix, _, suffix)| format!("{prefix}@{suffix}"));
        let names = [Some(unit.to_owned()), template];
        let paths = names.iter().flatten().flat_map(|name| folders.iter().map(move |f| format!("{f}/{name}")));
        paths.into_iter().find(|path| files::target(tree, path).is_some())
    }
}

/// The prefix, instance and suffix of `prefix@instance.suffix`; the instance is empty for a template.
fn split_instance(unit: &str) -> Option<(&str, &str, &str)> {
    let (prefix, rest) = unit.split_once('@')?;
    let dot = rest.rfind('.')?;
    Some((prefix, &rest[..dot], &rest[dot..]))
}

/// One setting of a unit's `[Install]` section, in its order (systemd.unit(5)).
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

/// A link to be made: where, and to which unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Link {
    path: String,
    unit: String,
}

/// The links of a unit and of those it names in `Also=`, in the order of `deb-systemd-helper`'s record: what `Also=` and
/// `Alias=` give in the order of their lines, then the folders.
fn links(tree: &Tree, manager: Manager, unit: &str, seen: &mut BTreeSet<String>) -> Result<Vec<Link>, ConfigureError> {
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
            Install::Also(other) if !seen.contains(other) => made.extend(links(tree, manager, other, seen)?),
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

fn make(tree: &mut Tree, links: &[Link]) -> Result<(), ConfigureError> {
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

/// As `systemctl enable`: all links of the unit.
///
/// # Errors
/// A unit that is not there, or a bad unit file.
pub fn enable(tree: &mut Tree, unit: &str) -> Result<(), ConfigureError> {
    let links = links(tree, Manager::System, unit, &mut BTreeSet::new())?;
    if Manager::System.find(tree, unit).is_none() {
        let what = "a package's script enables it, but no package has it".to_owned();
        return Err(ConfigureError::Bad { path: unit.to_owned(), what });
    }
    make(tree, &links)
}

/// As debhelper's section for an enabled unit does through `deb-systemd-helper`: at first by preset, later only links
/// that are new while others are there. A unit that is not there is passed over, as there.
///
/// # Errors
/// A bad unit, preset or record file.
pub fn enable_once(tree: &mut Tree, unit: &str, manager: Manager) -> Result<(), ConfigureError> {
    if manager.find(tree, unit).is_none() {
        return Ok(());
    }
    let record = record_of(manager, unit);
    let recorded = recorded(tree, &record)?;
    if recorded.iter().flatten().any(|link| !is_link(tree, link)) {
        return update_state(tree, unit, manager);
    }
    let links = links(tree, manager, unit, &mut BTreeSet::new())?;
    let make_links = match recorded {
        Some(_) => links.iter().any(|l| is_link(tree, &l.path)),
        None => preset(tree, unit, manager)?,
    };
    if make_links {
        make(tree, &links)?;
    }
    let mut record_lines = recorded.unwrap_or_default();
    for link in &links {
        if !record_lines.contains(&link.path) {
            record_lines.push(link.path.clone());
        }
        let mark = link.path.replacen(&manager.config(), manager.record(), 1);
        if !tree.contains(&mark) {
            tree.write(&mark, 0o644, "")?;
        }
    }
    if record_lines.is_empty() { Ok(()) } else { write_record(tree, &record, &record_lines) }
}

/// As `deb-systemd-helper update-state`: the record names the unit's links, none is made.
///
/// # Errors
/// A bad unit file, or a record that cannot be written.
pub fn update_state(tree: &mut Tree, unit: &str, manager: Manager) -> Result<(), ConfigureError> {
    if manager.find(tree, unit).is_none() {
        return Ok(());
    }
    let links = links(tree, manager, unit, &mut BTreeSet::new())?;
    let paths: Vec<String> = links.into_iter().map(|l| l.path).collect();
    write_record(tree, &record_of(manager, unit), &paths)
}

fn record_of(manager: Manager, unit: &str) -> String {
    format!("{}/{unit}.dsh-also", manager.record())
}

fn recorded(tree: &Tree, record: &str) -> Result<Option<Vec<String>>, ConfigureError> {
    if !tree.contains(record) {
        return Ok(None);
    }
    Ok(Some(tree.read_text(record)?.lines().map(str::to_owned).collect()))
}

fn write_record(tree: &mut Tree, record: &str, lines: &[String]) -> Result<(), ConfigureError> {
    let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    Ok(tree.write(record, 0o644, text)?)
}

fn is_link(tree: &Tree, path: &str) -> bool {
    matches!(tree.get(path).map(|i| &i.kind), Some(Kind::Symlink(_)))
}

/// Whether presets let a unit be enabled: the first rule that names it counts, without one it is (systemd.preset(5)).
fn preset(tree: &Tree, unit: &str, manager: Manager) -> Result<bool, ConfigureError> {
    let mut files = std::collections::BTreeMap::new();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(0);
        let mut unit =
            |name: &str, text: &str| tree.write(format!("usr/lib/systemd/system/{name}"), 0o644, text).unwrap();
        unit(
            "ssh.service",
            "[Unit]\nAlias=not.service\n[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\nAlso=keys.service\n",
        );
        unit("keys.service", "[Install]\nRequiredBy=ssh.service sshd@.service\n");
        unit("wait.service", "[Install]\nWantedBy=sysinit.target\n");
        unit("getty@.service", "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n");
        tree.write("usr/lib/systemd/system-preset/90.preset", 0o644, "# x\ndisable wait.*\nenable getty@.service\n")
            .unwrap();
        tree
    }

    fn found(tree: &Tree, below: &str) -> Vec<String> {
        tree.below(&TreePath::new(below).unwrap())
            .filter(|(_, _, i)| !matches!(i.kind, Kind::Dir))
            .map(|(p, _, _)| p.to_string())
            .collect()
    }

    #[test]
    fn links_and_record_of_an_enabled_unit() {
        let mut tree = tree();
        enable_once(&mut tree, "ssh.service", Manager::System).unwrap();
        assert_eq!(
            found(&tree, "etc/systemd/system"),
            [
                "/etc/systemd/system/multi-user.target.wants/ssh.service",
                "/etc/systemd/system/ssh.service.requires/keys.service",
                "/etc/systemd/system/sshd.service",
                "/etc/systemd/system/sshd@.service.requires/keys.service",
            ]
        );
        assert_eq!(
            tree.read_text("var/lib/systemd/deb-systemd-helper-enabled/ssh.service.dsh-also").unwrap(),
            "/etc/systemd/system/sshd.service\n/etc/systemd/system/ssh.service.requires/keys.service\n\
             /etc/systemd/system/sshd@.service.requires/keys.service\n\
             /etc/systemd/system/multi-user.target.wants/ssh.service\n"
        );
        assert!(tree.contains("var/lib/systemd/deb-systemd-helper-enabled/sshd.service"));
        // What an administrator takes away stays away.
        tree.remove(&TreePath::new("etc/systemd/system/sshd.service").unwrap());
        enable_once(&mut tree, "ssh.service", Manager::System).unwrap();
        assert!(!tree.contains("etc/systemd/system/sshd.service"));
    }

    #[test]
    fn presets_disable_but_the_record_is_kept() {
        let mut tree = tree();
        enable_once(&mut tree, "wait.service", Manager::System).unwrap();
        assert!(found(&tree, "etc").is_empty());
        assert!(tree.contains("var/lib/systemd/deb-systemd-helper-enabled/sysinit.target.wants/wait.service"));
        update_state(&mut tree, "keys.service", Manager::System).unwrap();
        assert!(found(&tree, "etc").is_empty());
        enable_once(&mut tree, "gone.service", Manager::System).unwrap();
        assert!(enable(&mut tree, "gone.service").is_err());
    }

    #[test]
    fn instances_and_templates() {
        let mut tree = tree();
        enable(&mut tree, "getty@tty2.service").unwrap();
        enable(&mut tree, "getty@.service").unwrap();
        assert_eq!(
            found(&tree, "etc/systemd/system"),
            [
                "/etc/systemd/system/getty.target.wants/getty@tty1.service",
                "/etc/systemd/system/getty.target.wants/getty@tty2.service"
            ]
        );
    }
}
