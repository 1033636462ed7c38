//! Memory of the nodes, and whether the stack fits into it.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::{Found, Text, key_span, sections, text};
use crate::lab::mebibytes;
use crate::manifests::Component;
use crate::manifests::component::Memory;
use crate::manifests::select::Selected;
use crate::parts::Parts;
use crate::parts::board::Board;
use crate::parts::role::K3sKind;

/// What k3s itself takes, in MiB (docs.k3s.io, "Resource Profiling", a Raspberry Pi 4 with a workload): a server, an agent.
const SERVER: u32 = 768;
const AGENT: u32 = 290;

/// What k3s runs in pods of its own in each cluster, in MiB: DNS, metrics, local storage. An estimate.
const SYSTEM: u32 = 150;

/// The component whose proxies stand beside many pods, and what these take together, in MiB. An estimate.
const MESH: (&str, u32) = ("linkerd", 200);

/// Checks `memory` of each node.
pub(super) fn check(root: &DeTable<'_>, parts: &Parts, found: &mut Found) {
    for node in sections(root, "nodes") {
        let Some(memory) = text(node, "memory") else { continue };
        let board = text(node, "board").and_then(|board| parts.board(board.value).ok());
        check_one(&memory, board, found);
    }
}

fn check_one(memory: &Text<'_>, board: Option<&Board>, found: &mut Found) {
    if mebibytes(memory.value).is_none() {
        let problem = found.mistake(memory.span.clone(), format!("`{}` is not an amount of memory", memory.value));
        problem.help("write it like \"4G\" or \"512M\"");
        return;
    }
    let Some(board) = board else { return };
    let there = &board.memory;
    if !there.is_empty() && !there.iter().any(|variant| mebibytes(variant) == mebibytes(memory.value)) {
        let message = format!("there is no {} with {}", board.title, memory.value);
        found.mistake(memory.span.clone(), message).help(format!("there are {}", there.join(", ")));
    }
}

/// The memory of all nodes in MiB: as it is at most, and whether that is what they have.
fn of_nodes(root: &DeTable<'_>, parts: &Parts) -> Option<(u32, bool)> {
    let (mut sum, mut is_known) = (0_u32, true);
    for node in sections(root, "nodes") {
        let own = text(node, "memory").and_then(|memory| mebibytes(memory.value));
        let board = parts.board(text(node, "board")?.value).ok()?;
        let variants = board.memory.iter().filter_map(|variant| mebibytes(variant));
        is_known &= own.is_some() || board.memory.len() == 1;
        sum = sum.saturating_add(own.or_else(|| variants.max())?);
    }
    Some((sum, is_known))
}

/// What k3s takes on all nodes, in MiB.
fn of_k3s(root: &DeTable<'_>, parts: &Parts) -> u32 {
    let of = |role: Text<'_>| match parts.role(role.value).ok().and_then(|role| role.k3s) {
        Some(K3sKind::Server) => SERVER,
        Some(K3sKind::Agent) => AGENT,
        None => 0,
    };
    sections(root, "nodes").into_iter().filter_map(|node| text(node, "role")).map(of).sum::<u32>() + SYSTEM
}

/// Checks that the stack fits into the nodes.
pub(super) fn fits(
    root: &DeTable<'_>,
    selected: &[Selected],
    all: &BTreeMap<String, Component>,
    parts: &Parts,
    found: &mut Found,
) {
    let Some((there, is_known)) = of_nodes(root, parts) else { return };
    let nodes = u32::try_from(sections(root, "nodes").len()).unwrap_or(u32::MAX);
    let of = |one: &Selected| all.get(&one.name).map(|component| component.front.memory_in(nodes)).unwrap_or_default();
    let mesh = if selected.iter().any(|one| one.name == MESH.0) { MESH.1 } else { 0 };
    let k3s = of_k3s(root, parts) + mesh;
    let sum = selected.iter().map(of).fold(Memory { requests: k3s, limits: k3s }, |sum, one| Memory {
        requests: sum.requests.saturating_add(one.requests),
        limits: sum.limits.saturating_add(one.limits.max(one.requests)),
    });
    // What every lab has is no choice of the user's.
    if selected.iter().all(|one| all.get(&one.name).is_none_or(|component| component.front.is_always())) {
        return;
    }
    let at = key_span(root, "stack").unwrap_or(0..0);
    let words = if is_known { "have" } else { "have at most" };
    if sum.requests > there {
        let message = format!("the stack reserves {} MiB with k3s, and the nodes {words} {there} MiB", sum.requests);
        let largest = largest(selected, all, nodes);
        let problem = found.mistake(at, message);
        problem.help(format!("add a node, choose a smaller profile, or leave out what takes most: {largest}"));
    } else if is_known && sum.limits > there {
        let message = format!("the stack may take up to {} MiB with k3s, and the nodes have {there} MiB", sum.limits);
        let problem = found.warning(at, message);
        problem.help("not all of it is busy at once; under pressure pods are ended and started anew");
    }
}

/// What may be left out, largest first: components that no other needs.
fn largest(selected: &[Selected], all: &BTreeMap<String, Component>, nodes: u32) -> String {
    let needed = |name: &str| {
        selected
            .iter()
            .filter_map(|one| all.get(&one.name))
            .any(|other| other.front.needs.iter().any(|need| need.split('|').any(|choice| choice == name)))
    };
    let mut free: Vec<(u32, &str)> = selected
        .iter()
        .filter(|one| !needed(&one.name))
        .filter_map(|one| Some((all.get(&one.name)?.front.memory_in(nodes).requests, one.name.as_str())))
        .filter(|(memory, _)| *memory > 0)
        .collect();
    free.sort_by(|a, b| b.cmp(a));
    free.iter().take(4).map(|(memory, name)| format!("{name} ({memory} MiB)")).collect::<Vec<_>>().join(", ")
}
