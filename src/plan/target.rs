//! Which images to make: the nodes of a `lab.toml`, or the one that flags describe (flags, lab → [`Target`]s).

use std::collections::BTreeMap;

use super::{Plan, PlanError, Request, overlays};
use crate::lab::{Lab, LabFolder, LabNode, is_package};
use crate::names::check_hostname;
use crate::parts::{OwnFile, Parts};
use crate::ssh_key::{self, SshKeyError};
use labimg_tree::suggest::nearest;

/// One image to make, and its node.
#[derive(Debug, Clone)]
pub struct Target {
    /// The content of the image; the same for all nodes of one role on one board.
    pub plan: Plan,
    /// The node.
    pub node: LabNode,
    /// Public keys that may log in.
    pub ssh_keys: Vec<String>,
    /// Folders of `secrets/files` with their files, in order, which its seed brings.
    pub secret_files: Vec<(String, Vec<OwnFile>)>,
}

/// The flags for all images.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// Debian's code name.
    pub suite: String,
    /// Debian packages to add.
    pub packages: Vec<String>,
    /// More keys or key files.
    pub ssh_keys: Vec<String>,
}

/// The targets for the named nodes, or for all nodes.
///
/// # Errors
/// Names that the lab does not have, what [`Plan::new`] refuses, and keys that cannot be read.
pub fn of_lab(folder: &LabFolder, names: &[String], flags: &Flags) -> Result<Vec<Target>, PlanError> {
    let lab = &folder.lab;
    if let Some(name) = names.iter().find(|name| lab.node(name).is_none()) {
        return Err(PlanError::NoNode {
            file: folder.dir.join("lab.toml"),
            name: name.clone(),
            nearest: nearest(name, lab.nodes.iter().map(|n| n.name.as_str())),
            all: lab.nodes.iter().map(|n| n.name.clone()).collect(),
        });
    }
    overlays::check_nodes(lab, &folder.parts)?;
    let keys = read_keys(folder.ssh_keys().iter().chain(&flags.ssh_keys))?;
    let wanted = lab.nodes.iter().filter(|n| names.is_empty() || names.contains(&n.name));
    wanted
        .map(|node| {
            let of_lab =
                lab.packages.iter().chain(&node.packages).map(|p| (p.clone(), "asked for in lab.toml".to_owned()));
            target(lab.clone(), node.clone(), of_lab.collect(), &keys, flags, &folder.parts)
        })
        .collect()
}

/// The target from flags only: a lab with one node.
///
/// # Errors
/// As [`of_lab`], and an invalid host name.
pub fn alone(
    board: &str,
    role: &str,
    hostname: Option<&str>,
    flags: &Flags,
    parts: &Parts,
) -> Result<Target, PlanError> {
    let name = hostname.unwrap_or(role);
    let lab = lone_lab(name, role, board);
    let node = lab.nodes[0].clone();
    let target = target(lab, node, BTreeMap::new(), &read_keys(&flags.ssh_keys)?, flags, parts)?;
    check_hostname(name)?;
    Ok(target)
}

/// The cluster of a node without a `lab.toml`: only that node, with all defaults.
pub(crate) fn lone_lab(name: &str, role: &str, board: &str) -> Lab {
    let node = LabNode { name: name.to_owned(), role: role.to_owned(), board: board.to_owned(), ..LabNode::default() };
    Lab { name: "lab".to_owned(), nodes: vec![node], ..Lab::default() }
}

fn target(
    lab: Lab,
    node: LabNode,
    mut packages: BTreeMap<String, String>,
    ssh_keys: &[String],
    flags: &Flags,
    parts: &Parts,
) -> Result<Target, PlanError> {
    if let Some(wrong) = flags.packages.iter().find(|name| !is_package(name)) {
        return Err(PlanError::Package(wrong.clone()));
    }
    packages.extend(flags.packages.iter().map(|p| (p.clone(), "asked for with --package".to_owned())));
    let (board, role, suite) = (node.board.clone(), node.role.clone(), flags.suite.clone());
    let plan = Plan::new(&Request { board, role, suite, packages, lab }, parts)?;
    let more = plan.added.ssh_keys.iter().filter(|key| !ssh_keys.contains(key));
    let ssh_keys = ssh_keys.iter().chain(more).cloned().collect();
    let secret_files = overlays::secret_files(&plan, &node, parts)?;
    Ok(Target { plan, node, ssh_keys, secret_files })
}

/// Each key once, in the given order.
fn read_keys<'a>(texts: impl IntoIterator<Item = &'a String>) -> Result<Vec<String>, SshKeyError> {
    let mut all: Vec<String> = Vec::new();
    for text in texts {
        for key in ssh_key::read(text)? {
            if !all.contains(&key) {
                all.push(key);
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;

    fn folder() -> LabFolder {
        let mut lab = lone_lab("master", "master", "rpi4");
        lab.nodes.push(LabNode { name: "worker-1".to_owned(), role: "worker".to_owned(), ..lab.nodes[0].clone() });
        lab.nodes.push(LabNode { name: "worker-2".to_owned(), role: "worker".to_owned(), ..lab.nodes[0].clone() });
        LabFolder { dir: "lab".into(), lab, parts: Parts::built_in().unwrap() }
    }

    fn flags() -> Flags {
        Flags { suite: "trixie".to_owned(), ..Flags::default() }
    }

    #[test]
    fn all_nodes_unless_some_are_named_and_equal_ones_share_a_plan() {
        let all = of_lab(&folder(), &[], &flags()).unwrap();
        assert_eq!(all.iter().map(|t| t.node.name.as_str()).collect::<Vec<_>>(), ["master", "worker-1", "worker-2"]);
        assert_eq!(all[1].plan, all[2].plan);
        assert_ne!(all[0].plan, all[1].plan);
        assert_eq!(of_lab(&folder(), &["worker-2".to_owned()], &flags()).unwrap().len(), 1);
        let error = one_line(&of_lab(&folder(), &["worker-3".to_owned()], &flags()).unwrap_err());
        assert!(
            error.contains("no node `worker-3` (did you mean `worker-1` or `worker-2`?")
                && error.contains("master, worker-1, worker-2"),
            "{error}"
        );
    }

    #[test]
    fn a_node_alone_has_the_defaults_of_a_lab() {
        let target = alone("rpi4", "master", None, &flags(), &Parts::built_in().unwrap()).unwrap();
        assert_eq!((target.node.name.as_str(), target.plan.lab.timezone.as_str()), ("master", "Etc/UTC"));
        assert!(target.plan.lab.storage.enabled);
        assert!(alone("rpi4", "master", Some("My.Node"), &flags(), &Parts::built_in().unwrap()).is_err());
    }
}
