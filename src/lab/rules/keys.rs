//! The SSH keys that may log in.

use std::path::Path;

use toml::de::DeTable;

use super::super::ssh_keys;
use super::{Found, Text, key_span, texts};
use crate::ssh_key;
use crate::ssh_key::SshKeyError;

pub(super) fn check(root: &DeTable<'_>, folder: Option<&Path>, found: &mut Found) {
    let keys = texts(root, "ssh_keys");
    for key in &keys {
        check_key(key, folder, found);
    }
    let none = root.get("ssh_keys").is_none_or(|v| v.get_ref().as_array().is_some_and(|a| a.is_empty()));
    if none {
        let place = key_span(root, "ssh_keys").or_else(|| key_span(root, "name")).unwrap_or(0..0);
        let warning = found.warning(place, "without `ssh_keys` nobody can log in to the nodes");
        warning.help("add ssh_keys = [\"~/.ssh/id_ed25519.pub\"]; `ssh-keygen -t ed25519` makes a key");
    }
}

fn check_key(key: &Text<'_>, folder: Option<&Path>, found: &mut Found) {
    let source = match folder {
        _ if ssh_key::is_key(key.value) => key.value.to_owned(),
        // Without a folder there are no files.
        None => return,
        Some(folder) => {
            let path = ssh_keys::path(key.value, folder);
            if let Some(why) = ssh_keys::fault(&path) {
                let problem = found.mistake(key.span.clone(), why);
                problem.help("name a public key, such as `~/.ssh/id_ed25519.pub`; `ssh-keygen -t ed25519` makes one");
                return;
            }
            path.to_string_lossy().into_owned()
        }
    };
    match ssh_key::read(&source) {
        Ok(_) => {}
        Err(SshKeyError::Read { source, .. }) => {
            found.mistake(key.span.clone(), format!("the key file cannot be read: {source}"));
        }
        Err(SshKeyError::Key { line, fault, .. }) => {
            let line = line.map_or_else(String::new, |line| format!("line {line} of it: "));
            found
                .mistake(key.span.clone(), format!("nobody can log in with this key: {line}{fault}"))
                .help(fault.help());
        }
    }
}
