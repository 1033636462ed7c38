//! `deb-systemd-helper`: enables units as `systemctl` does, and records that, so that an upgrade does not enable again
//! what an administrator disabled.

use super::super::{ConfigureError, Context};
use super::units::{self, Manager};
use labimg_tree::{Kind, Tree};

/// `deb-systemd-helper enable UNIT` after `was-enabled`, as debhelper writes it. The first time the preset decides;
/// later only new links are made, and only while others exist. A missing unit is skipped, as the tool does.
///
/// # Errors
/// A bad unit, preset or record file.
pub(crate) fn enable(context: &mut Context<'_>, unit: &str, manager: Manager) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    if manager.find(tree, unit).is_none() {
        return Ok(());
    }
    let record = record_of(manager, unit);
    let recorded = recorded(tree, &record)?;
    if recorded.iter().flatten().any(|link| !is_link(tree, link)) {
        return update_state(context, unit, manager);
    }
    let links = units::links(tree, manager, unit)?;
    let make_links = match recorded {
        Some(_) => links.iter().any(|l| is_link(tree, &l.path)),
        None => units::preset(tree, unit, manager)?,
    };
    if make_links {
        units::make(tree, &links)?;
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

/// `deb-systemd-helper update-state UNIT`: records the unit's links without making them.
///
/// # Errors
/// A bad unit file, or a record that cannot be written.
pub(crate) fn update_state(context: &mut Context<'_>, unit: &str, manager: Manager) -> Result<(), ConfigureError> {
    let tree = &mut *context.tree;
    if manager.find(tree, unit).is_none() {
        return Ok(());
    }
    let links = units::links(tree, manager, unit)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use labimg_tree::TreePath;

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
        enable(&mut Context::new(&mut tree, "arm64"), "ssh.service", Manager::System).unwrap();
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
        // A link that an administrator removed stays removed.
        tree.remove(&TreePath::new("etc/systemd/system/sshd.service").unwrap());
        enable(&mut Context::new(&mut tree, "arm64"), "ssh.service", Manager::System).unwrap();
        assert!(!tree.contains("etc/systemd/system/sshd.service"));
    }

    #[test]
    fn presets_disable_but_the_record_is_kept() {
        let mut tree = tree();
        enable(&mut Context::new(&mut tree, "arm64"), "wait.service", Manager::System).unwrap();
        assert!(found(&tree, "etc").is_empty());
        assert!(tree.contains("var/lib/systemd/deb-systemd-helper-enabled/sysinit.target.wants/wait.service"));
        update_state(&mut Context::new(&mut tree, "arm64"), "keys.service", Manager::System).unwrap();
        assert!(found(&tree, "etc").is_empty());
        enable(&mut Context::new(&mut tree, "arm64"), "gone.service", Manager::System).unwrap();
        assert!(!tree.contains("var/lib/systemd/deb-systemd-helper-enabled/gone.service.dsh-also"));
    }
}
