//! Names, roles and boards of the nodes, and what makes them a cluster.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeTable;

use super::settings::host_name;
use super::{Found, Text, key_span, sections, text};
use crate::parts::Parts;
use crate::parts::role::{FOUNDER, K3sKind};
use labimg_tree::suggest::{did_you_mean, nearest};

pub(super) fn check(root: &DeTable<'_>, parts: &Parts, found: &mut Found) {
    let nodes = sections(root, "nodes");
    let none = root.get("nodes").is_none_or(|v| v.get_ref().as_array().is_some_and(|a| a.is_empty()));
    if none {
        let place = key_span(root, "nodes").or_else(|| key_span(root, "name")).unwrap_or(0..0);
        let problem = found.mistake(place, "there are no nodes");
        problem.help("add at least `[[nodes]]` with name = \"master\", role = \"master\" and a board");
    }
    let mut names = BTreeMap::<&str, Range<usize>>::new();
    for node in &nodes {
        if let Some(name) = text(node, "name") {
            host_name(&name, found);
            if let Some(first) = names.get(name.value) {
                let problem = found.mistake(name.span, format!("two nodes are called `{}`", name.value));
                problem.also(first.clone(), "the first").help("Kubernetes and mDNS know nodes by their names alone");
            } else {
                names.insert(name.value, name.span);
            }
        }
        if let Some(board) = text(node, "board") {
            check_board(root, node, &board, parts, found);
        }
    }
    check_roles(&nodes.iter().filter_map(|n| text(n, "role")).collect::<Vec<_>>(), nodes.len(), parts, found);
}

fn check_board(root: &DeTable<'_>, node: &DeTable<'_>, board: &Text<'_>, parts: &Parts, found: &mut Found) {
    let Ok(data) = parts.board(board.value) else {
        unknown("board", board, parts.boards().map(|b| b.name.as_str()), found);
        return;
    };
    let control_plane = text(node, "role").filter(|role| is_control_plane(role.value, parts));
    if let Some(role) = control_plane
        && data.qemu.memory_mib < 2048
    {
        let message = format!("a {} has little memory for a {}", data.title, role.value);
        found.warning(board.span.clone(), message).help("a k3s server wants 2 GiB; such a board does well as a worker");
    }
    if data.wireless_only && root.get("wifi").is_none() {
        let warning =
            found.warning(board.span.clone(), format!("a {} has Wi-Fi only, and there is no `[wifi]`", data.title));
        warning.help("add `[wifi]` with ssid, passphrase and country, or use a USB network adapter");
    }
}

fn check_roles(roles: &[Text<'_>], nodes: usize, parts: &Parts, found: &mut Found) {
    let mut all_known = roles.len() == nodes;
    for role in roles.iter().filter(|r| parts.role(r.value).is_err()) {
        all_known = false;
        unknown("role", role, parts.roles().map(|r| r.name.as_str()), found);
    }
    let mut masters = roles.iter().filter(|r| r.value == FOUNDER);
    let master = masters.next();
    for other in masters {
        let problem = found.mistake(other.span.clone(), "there can be only one master");
        problem.also(master.map_or(0..0, |m| m.span.clone()), "the first");
        problem.help("further nodes of the control plane have the role `server`");
    }
    // A role with a typing mistake may be the master.
    let joiner = roles.iter().find(|r| r.value != FOUNDER);
    if let (None, Some(joiner), true) = (master, joiner, all_known) {
        let problem = found.mistake(joiner.span.clone(), format!("this {} has no master to join", joiner.value));
        problem.help("one node must have the role `master`");
    }
    let control_plane: Vec<_> = roles.iter().filter(|r| is_control_plane(r.value, parts)).collect();
    if let (true, Some(last)) = (control_plane.len() % 2 == 0, control_plane.last()) {
        let count = control_plane.len();
        let warning = found.warning(
            last.span.clone(),
            format!("{count} nodes of the control plane bear no more failures than {}", count - 1),
        );
        warning.help("etcd needs more than half of them: use 1, 3 or 5 (the master and its servers)");
    }
}

/// The roles that run `k3s server`.
fn is_control_plane(role: &str, parts: &Parts) -> bool {
    parts.role(role).is_ok_and(|role| role.k3s == Some(K3sKind::Server))
}

fn unknown<'n>(what: &str, name: &Text<'_>, known: impl IntoIterator<Item = &'n str>, found: &mut Found) {
    let known: Vec<&str> = known.into_iter().collect();
    let near = nearest(name.value, known.iter().copied());
    let problem = found.mistake(name.span.clone(), format!("unknown {what} `{}`", name.value));
    problem.help(match did_you_mean(&near) {
        Some(meant) => format!("{meant} `labimg {what}s` lists them all"),
        None => format!("there are {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    });
}
