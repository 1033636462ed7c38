//! The SSH keys of a lab: files relative to its folder, or the keys themselves.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::LabFolder;
use crate::ssh_key;

impl LabFolder {
    /// The keys as [`crate::plan::Request`] expects them: keys unchanged, files by a path that is valid wherever the
    /// lab folder's path is.
    #[must_use]
    pub fn ssh_keys(&self) -> Vec<String> {
        self.lab.ssh_keys.iter().map(|key| source(key, &self.dir)).collect()
    }
}

/// A key unchanged; a file with `~/` expanded and a relative path based on `dir`.
pub(super) fn source(text: &str, dir: &Path) -> String {
    if ssh_key::is_key(text) { text.to_owned() } else { path(text, dir).to_string_lossy().into_owned() }
}

/// Where the file `text` is.
pub(super) fn path(text: &str, dir: &Path) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ if dir == Path::new(".") => PathBuf::from(text),
        _ => dir.join(text),
    }
}

/// Largest key file that is read, in bytes. A wrong path, such as a card image, is not read whole.
const LARGEST: u64 = 1 << 20;

/// Why this is not a readable file, if so: reading a device or pipe might never end.
pub(super) fn fault(path: &Path) -> Option<String> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Some(format!("there is no key file {shown}")),
        Err(e) => Some(format!("cannot look at {shown}: {e}")),
        Ok(meta) if meta.is_dir() => Some(format!("{shown} is a folder, not a key file")),
        Ok(meta) if !meta.is_file() => Some(format!("{shown} is not a file")),
        Ok(meta) if meta.len() > LARGEST => Some(format!("{shown} is too large for a key file")),
        Ok(_) => None,
    }
}

/// The public key of the user with this home folder, as written in `ssh_keys`: the one that `ssh` would try first
/// (`ssh_config(5)`, `IdentityFile`), else any other.
#[must_use]
pub fn users_key(home: &Path) -> Option<String> {
    let first = ["id_ed25519.pub", "id_ed25519_sk.pub", "id_ecdsa.pub", "id_ecdsa_sk.pub", "id_rsa.pub"];
    let entries = std::fs::read_dir(home.join(".ssh")).ok()?;
    let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
    // Certificates do not belong into `authorized_keys`.
    names.retain(|name| name.strip_suffix(".pub").is_some_and(|stem| !stem.ends_with("-cert")));
    names.sort_by_key(|name| (first.iter().position(|f| f == name).unwrap_or(first.len()), name.clone()));
    let good = |name: &String| {
        let path = home.join(".ssh").join(name);
        fault(&path).is_none() && path.to_str().is_some_and(|path| ssh_key::read(path).is_ok())
    };
    names.into_iter().find(good).map(|name| format!("~/.ssh/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";

    #[test]
    fn the_users_key_is_the_one_that_ssh_tries_first() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(users_key(home.path()), None);
        let ssh = home.path().join(".ssh");
        std::fs::create_dir(&ssh).unwrap();
        for (name, text, best) in [
            ("id_rsa", KEY, None),
            ("id_ed25519.pub", "-----BEGIN OPENSSH PRIVATE KEY-----", None),
            ("a-cert.pub", KEY, None),
            ("work.pub", KEY, Some("~/.ssh/work.pub")),
            ("id_ecdsa.pub", KEY, Some("~/.ssh/id_ecdsa.pub")),
            ("id_ed25519.pub", KEY, Some("~/.ssh/id_ed25519.pub")),
        ] {
            std::fs::write(ssh.join(name), text).unwrap();
            assert_eq!(users_key(home.path()).as_deref(), best, "{name}");
        }
    }

    #[test]
    fn paths_start_at_the_folder_or_at_home() {
        assert_eq!(source(KEY, Path::new("lab")), KEY);
        assert_eq!(source("keys/a.pub", Path::new("lab")), "lab/keys/a.pub");
        assert_eq!(source("/a.pub", Path::new("lab")), "/a.pub");
        if let Some(home) = std::env::home_dir() {
            assert_eq!(path("~/.ssh/a.pub", Path::new("lab")), home.join(".ssh/a.pub"));
        }
    }
}
