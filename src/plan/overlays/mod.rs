//! What a lab folder's overlays may not hold, and what they add to files that labimg writes itself (`OwnFile`s → [`Added`]).

mod error;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::{Plan, Request};
use crate::k3s::config;
use crate::lab::{K3sFile, Lab, LabNode, k3s_settings};
use crate::parts::reserved::{HOSTS, K3S_CONFIG, K3S_CONFIG_FOLDER, forbids};
use crate::parts::role::{COMMON, K3sKind, Role};
use crate::parts::{OwnFile, OwnKind, Parts};
use crate::ssh_key;
use crate::user_name::{self, USER};
use crate::wording::Mistake;
use labimg_tree::suggest::nearest;

pub use error::OverlayFileError;

/// What overlays add to files that each node's seed brings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Added {
    /// Lines for `/etc/hosts`, each with its newline.
    pub hosts: String,
    /// Public keys that may log in.
    pub ssh_keys: Vec<String>,
    /// Settings of k3s.
    pub k3s: BTreeMap<String, Value>,
}

impl Added {
    /// Checks the overlays' files of a role and reads what they add.
    ///
    /// # Errors
    /// See [`OverlayFileError`].
    pub(super) fn read(
        own_files: &[(String, Vec<OwnFile>)],
        role: &Role,
        firmware: &str,
        request: &Request,
        parts: &Parts,
    ) -> Result<Self, OverlayFileError> {
        let mut added = Self::default();
        let keys = user_name::authorized_keys(&request.lab.user);
        for (overlay, files) in own_files {
            for file in files {
                let at = At { folder: format!("overlays/{overlay}"), is_common: overlay == COMMON, file };
                at.check_place(firmware, &request.lab)?;
                match file.path.as_str() {
                    HOSTS => added.hosts.push_str(&hosts(&at)?),
                    // Lines of overlays are added to the node's own.
                    path if path == keys => added.ssh_keys.extend(ssh_keys(&at)?),
                    path if path == K3S_CONFIG || path.starts_with(K3S_CONFIG_FOLDER) => {
                        let Some(kind) = role.k3s else { continue };
                        let settings = k3s(&at, kind, role, &request.lab, parts)?;
                        if path == K3S_CONFIG {
                            join(&mut added.k3s, &settings)?;
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(added)
    }

    /// Adds the settings of k3s to those of the lab.
    ///
    /// # Errors
    /// A setting that both have, with different values, unless it is a list.
    pub(super) fn settle_k3s(&self, kind: Option<K3sKind>, lab: &mut Lab) -> Result<(), OverlayFileError> {
        match kind {
            Some(K3sKind::Server) => join(&mut lab.k3s.server_config, &self.k3s),
            Some(K3sKind::Agent) => join(&mut lab.k3s.agent_config, &self.k3s),
            None => Ok(()),
        }
    }
}

/// The most bytes of files that one seed brings: the node unpacks it at every start until that is done.
const LARGEST: u64 = 8 << 20;

/// The files of `secrets/files` for a node, checked.
///
/// # Errors
/// See [`OverlayFileError`].
pub(super) fn secret_files(
    plan: &Plan,
    node: &LabNode,
    parts: &Parts,
) -> Result<Vec<(String, Vec<OwnFile>)>, OverlayFileError> {
    let all = parts.secret_files(&plan.role, &node.name);
    let mut size = 0;
    for (name, files) in &all {
        for file in files {
            let at = At { folder: format!("secrets/files/{name}"), is_common: name == COMMON, file };
            let (folder, path) = (at.folder.clone(), file.path.clone());
            at.check_place(&plan.board.firmware.mount, &plan.lab)?;
            if [HOSTS, K3S_CONFIG].contains(&path.as_str()) || path == user_name::authorized_keys(&plan.lab.user) {
                return Err(OverlayFileError::NotJoined { folder, path });
            }
            let is_there = |other: &OwnFile| other.path == path && !(other.is_folder() && file.is_folder());
            if let Some((overlay, _)) = plan.own_files.iter().find(|(_, others)| others.iter().any(is_there)) {
                return Err(OverlayFileError::Both { folder, overlay: overlay.clone(), path });
            }
            if path.starts_with(K3S_CONFIG_FOLDER)
                && let Some(kind) = plan.role.k3s
            {
                k3s(&at, kind, &plan.role, &plan.lab, parts)?;
            }
            if let OwnKind::File(content) = &file.kind {
                size += content.len();
            }
        }
    }
    if size > LARGEST {
        return Err(OverlayFileError::TooLarge { node: node.name.clone(), size });
    }
    Ok(all)
}

/// Checks that every node with files of its own is in the lab.
///
/// # Errors
/// [`OverlayFileError::NoNode`].
pub(super) fn check_nodes(lab: &Lab, parts: &Parts) -> Result<(), OverlayFileError> {
    let names = || lab.nodes.iter().map(|node| node.name.as_str());
    match parts.nodes_with_secret_files().find(|name| lab.node(name).is_none()) {
        Some(name) => Err(OverlayFileError::NoNode { name: name.to_owned(), nearest: nearest(name, names()) }),
        None => Ok(()),
    }
}

/// Settings of overlays count like those of `lab.toml`: lists are joined.
fn join(settings: &mut BTreeMap<String, Value>, added: &BTreeMap<String, Value>) -> Result<(), OverlayFileError> {
    for (name, value) in added {
        match settings.get_mut(name) {
            None => {
                settings.insert(name.clone(), value.clone());
            }
            Some(old) if old.is_array() || value.is_array() => *old = config::joined(old, value),
            Some(old) if old == value => {}
            Some(_) => return Err(OverlayFileError::Twice { name: name.clone() }),
        }
    }
    Ok(())
}

/// A file and its overlay.
struct At<'a> {
    /// The folder, such as `overlays/common`.
    folder: String,
    /// Whether nodes of all roles have it.
    is_common: bool,
    file: &'a OwnFile,
}

impl At<'_> {
    /// Checks that the node sees the file and nothing else has its place.
    fn check_place(&self, firmware: &str, lab: &Lab) -> Result<(), OverlayFileError> {
        let (folder, path) = (self.folder.clone(), self.file.path.clone());
        if path.starts_with(&format!("{}/", firmware.trim_matches('/'))) {
            return Err(OverlayFileError::Firmware { folder, path });
        }
        let usual_home = format!("{}/", user_name::home(USER));
        if lab.user != USER && path.starts_with(&usual_home) {
            return Err(OverlayFileError::Home { folder, path, user: lab.user.clone() });
        }
        match forbids(self.file, lab.wifi.is_some()) {
            Some(reserved) => Err(OverlayFileError::Reserved { folder, path, reserved }),
            None => Ok(()),
        }
    }

    fn text(&self) -> Result<String, OverlayFileError> {
        let no_text =
            |what| OverlayFileError::NoText { folder: self.folder.clone(), path: self.file.path.clone(), what };
        let bytes = match &self.file.kind {
            OwnKind::File(content) => content.to_vec().map_err(|source| OverlayFileError::Read {
                folder: self.folder.clone(),
                path: self.file.path.clone(),
                source,
            })?,
            OwnKind::Link(_) => return Err(no_text("a symbolic link")),
            OwnKind::Folder => return Err(no_text("a folder")),
        };
        String::from_utf8(bytes).map_err(|_| no_text("something else"))
    }

    fn mistake(&self, mistake: Mistake) -> OverlayFileError {
        OverlayFileError::Line { folder: self.folder.clone(), path: self.file.path.clone(), mistake }
    }
}

/// The lines of a `hosts(5)` file without remarks.
fn hosts(at: &At<'_>) -> Result<String, OverlayFileError> {
    let mut lines = String::new();
    for (number, line) in at.text()?.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let mistake =
            |what: String, help: &str| at.mistake(Mistake { line: number + 1, what, help: Some(help.to_owned()) });
        let Some(address) = words.first() else { continue };
        let advice = "each line is an address and its names, such as `192.168.1.5 printer`";
        let Ok(ip) = address.parse::<IpAddr>() else {
            return Err(mistake(format!("`{address}` is no IP address"), advice));
        };
        if words.len() < 2 {
            return Err(mistake("an address without a name".to_owned(), advice));
        }
        if ip == IpAddr::from([127, 0, 1, 1]) {
            let advice = "take the line out: the node's name is its `name` in lab.toml";
            return Err(mistake("127.0.1.1 is the node's own name".to_owned(), advice));
        }
        lines.push_str(&words.join("\t"));
        lines.push('\n');
    }
    Ok(lines)
}

/// The keys of an `authorized_keys` file (sshd(8)).
fn ssh_keys(at: &At<'_>) -> Result<Vec<String>, OverlayFileError> {
    ssh_key::lines(&at.text()?).map_err(|(line, fault)| {
        at.mistake(Mistake { line: line.unwrap_or(1), what: fault.to_string(), help: Some(fault.help()) })
    })
}

/// The settings of k3s in a file. One for all roles may have settings of the other command, which are left out.
fn k3s(
    at: &At<'_>,
    kind: K3sKind,
    role: &Role,
    lab: &Lab,
    parts: &Parts,
) -> Result<BTreeMap<String, Value>, OverlayFileError> {
    let has_it = |node: &&LabNode| if at.is_common { node.kind == Some(kind) } else { node.role == role.name };
    let file = K3sFile {
        kind,
        is_for_both: at.is_common,
        nodes: lab.nodes.iter().filter(has_it).count(),
        version: lab.k3s.version.as_deref(),
        // What counts after the node's own settings must not take the place of labimg's entries.
        lists: if at.file.path == K3S_CONFIG { &[] } else { config::lists(kind) },
        parts,
    };
    k3s_settings(&at.text()?, &file).map_err(|mistake| at.mistake(mistake))
}

#[cfg(test)]
mod tests;
