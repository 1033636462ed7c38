//! Logins of container registries, from the files in which container tools keep them: `auth.json` of Podman and its
//! kin (containers-auth.json(5)), `config.json` of Docker (docs.docker.com, "docker login").
//!
//! They are read when a registry asks for a login, never before.

mod error;
mod file;
mod helper;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use labimg_tree::interrupt::Interrupted;

pub use error::LoginError;
use file::{File, Found};

/// Longest time that a credential helper may take: it may ask a person for the password of a key ring.
const HELPER_LIMIT: Duration = Duration::from_secs(60);

/// The names of Docker Hub, all for the same logins; the first is that of image names.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// What is shown to a registry. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Secret {
    Password {
        user: String,
        password: String,
    },
    /// A token that the registry's token server takes in place of a password.
    Identity(String),
}

/// A login, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) secret: Secret,
    /// In words.
    pub(super) place: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where logins are looked for, and those that were found.
#[derive(Debug, Default)]
pub struct Logins {
    /// The files, first to last.
    files: Vec<PathBuf>,
    /// Whether the first file must exist: somebody named it.
    named: bool,
    /// Where credential helpers are, as in `PATH`; `None` for that of this process.
    path: Option<OsString>,
    /// Host and repository → what is known.
    known: Mutex<BTreeMap<(String, String), Option<Login>>>,
}

impl Logins {
    /// The usual files of this computer: `$REGISTRY_AUTH_FILE` alone, else `$XDG_RUNTIME_DIR/containers/auth.json`,
    /// `~/.config/containers/auth.json` and `~/.docker/config.json`, with the variables that move them.
    #[must_use]
    pub fn usual() -> Self {
        Self::of(|name| std::env::var_os(name).filter(|value| !value.is_empty()))
    }

    /// Those with these environment variables.
    pub(super) fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let path = variable("PATH");
        if let Some(file) = variable("REGISTRY_AUTH_FILE") {
            return Self { files: vec![file.into()], named: true, path, ..Self::default() };
        }
        let folder = |name: &str| variable(name).map(PathBuf::from);
        let home = folder("HOME");
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        let containers = Path::new("containers/auth.json");
        let files = [
            folder("XDG_RUNTIME_DIR").map(|dir| dir.join(containers)),
            folder("XDG_CONFIG_HOME").or_else(|| below_home(".config")).map(|dir| dir.join(containers)),
            folder("DOCKER_CONFIG").or_else(|| below_home(".docker")).map(|dir| dir.join("config.json")),
        ];
        Self { files: files.into_iter().flatten().collect(), path, ..Self::default() }
    }

    /// The files, for messages.
    pub(super) fn places(&self) -> Vec<String> {
        self.files.iter().map(|file| file.display().to_string()).collect()
    }

    /// The login for a repository of a host, which has its port if that is not the usual one.
    ///
    /// `check` is asked whether to stop while a credential helper runs.
    ///
    /// # Errors
    /// A file or credential helper that cannot be used.
    pub(super) fn find(
        &self,
        host: &str,
        repository: &str,
        check: &dyn Fn() -> Result<(), Interrupted>,
    ) -> Result<Option<Login>, LoginError> {
        // Held while a helper runs: the other downloads wait for it, instead of asking the same.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let host = canonical(host);
        let key = (host.to_owned(), repository.to_owned());
        if let Some(login) = known.get(&key) {
            return Ok(login.clone());
        }
        let login = self.look(host, repository, check)?;
        known.insert(key, login.clone());
        Ok(login)
    }

    fn look(
        &self,
        host: &str,
        repository: &str,
        check: &dyn Fn() -> Result<(), Interrupted>,
    ) -> Result<Option<Login>, LoginError> {
        for (number, path) in self.files.iter().enumerate() {
            let Some(file) = File::read(path, self.named && number == 0)? else { continue };
            for found in file.find(host, repository) {
                let (secret, place) = match found {
                    Found::Secret(secret) => (Some(secret.clone()), path.display().to_string()),
                    Found::Helper(name) => {
                        let helper =
                            helper::Helper { name, file: path, path: self.path.as_deref(), limit: HELPER_LIMIT };
                        (helper.get(host, check)?, format!("{} ({})", helper.program(), path.display()))
                    }
                };
                if let Some(secret) = secret {
                    return Ok(Some(Login { secret, place }));
                }
            }
        }
        Ok(None)
    }
}

/// The name of a host in image names.
fn canonical(host: &str) -> &str {
    if DOCKER_HUB.contains(&host) { DOCKER_HUB[0] } else { host }
}

#[cfg(test)]
mod tests;
