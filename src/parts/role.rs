//! Roles: what a node is for, as data (`roles/*.toml`, built in or in a lab folder): packages with reasons, an overlay
//! folder, units.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use crate::wording::{self, Mistake};
use labimg_tree::fault::{Fault, FaultKind};

static ROLES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/roles");

/// Errors about a role's file.
#[derive(Debug, thiserror::Error)]
pub enum RoleFileError {
    /// It is not valid TOML or has a field that does not exist.
    #[error("{file}:{}: {}", mistake.line, mistake.what)]
    Syntax {
        /// The file.
        file: String,
        /// The mistake with its position.
        mistake: Mistake,
    },
    /// It asks to found the cluster, which only one role can do.
    #[error("{file}: manifests: only the role `{FOUNDER}` brings what k3s deploys by itself")]
    Manifests {
        /// The file.
        file: String,
    },
    /// The role that every node includes is missing.
    #[error("roles/{COMMON}.toml is missing from this program")]
    NoCommon,
}

impl Fault for RoleFileError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Syntax { .. } | Self::Manifests { .. } => FaultKind::Configuration,
            Self::NoCommon => FaultKind::Ours,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Syntax { mistake, .. } => mistake.help.clone(),
            Self::Manifests { .. } | Self::NoCommon => None,
        }
    }
}

/// One file of `roles/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The file's name without `.toml`.
    #[serde(skip_deserializing)]
    pub name: String,
    /// One line for `labimg roles`.
    pub title: String,
    /// The folder under `overlays/` that is laid over the root; `None` when absent.
    pub overlay: Option<String>,
    /// Debian package → why it is there.
    pub packages: BTreeMap<String, String>,
    /// How the node runs k3s; `None` means not at all.
    #[serde(default)]
    pub k3s: Option<K3sKind>,
    /// Whether the node holds the manifests that k3s deploys automatically: only on the server that founds the cluster.
    #[serde(default)]
    pub manifests: bool,
    /// Units to enable, disable or mask.
    #[serde(default)]
    pub systemd: Units,
}

/// The two ways to run k3s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum K3sKind {
    /// `k3s server`: the control plane, and workloads too.
    Server,
    /// `k3s agent`: workloads.
    Agent,
}

/// Units that a role enables, disables or masks, by full name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Units {
    /// As `systemctl enable` does.
    pub enable: Vec<String>,
    /// As `systemctl disable` does.
    pub disable: Vec<String>,
    /// As `systemctl mask` does; a name that ends in `-generator` is one of systemd.generator(7).
    pub mask: Vec<String>,
}

/// The name of the file that every role builds on; not a role on its own.
pub const COMMON: &str = "common";

/// The role that founds a cluster and has its disk and manifests.
pub const FOUNDER: &str = "master";

impl Role {
    /// The built-in roles, and [`COMMON`].
    ///
    /// # Errors
    /// When a built-in file is bad, which the tests rule out.
    pub fn built_in() -> Result<Vec<Self>, RoleFileError> {
        let texts = ROLES.files().filter_map(|f| Some((f.path().file_stem()?.to_str()?, f.contents_utf8()?)));
        texts.map(|(name, text)| Self::parse(name, &format!("roles/{name}.toml"), text)).collect()
    }

    /// Parses a role's file. `name` is its file name without `.toml`, `file` its name in messages.
    ///
    /// # Errors
    /// Bad TOML, an unknown field, or a second role that founds a cluster.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, RoleFileError> {
        let mut role: Self = toml::from_str(text)
            .map_err(|e| RoleFileError::Syntax { file: file.to_owned(), mistake: wording::toml(text, &e) })?;
        name.clone_into(&mut role.name);
        if role.manifests && name != FOUNDER {
            return Err(RoleFileError::Manifests { file: file.to_owned() });
        }
        Ok(role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_built_in_roles_parse_and_give_reasons() {
        let mut all = Role::built_in().unwrap();
        let common = all.remove(all.iter().position(|role| role.name == COMMON).unwrap());
        all.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(all.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["master", "server", "worker"]);
        let kinds: Vec<_> = all.iter().map(|r| (r.k3s, r.manifests)).collect();
        let server = Some(K3sKind::Server);
        assert_eq!(kinds, [(server, true), (server, false), (Some(K3sKind::Agent), false)]);
        assert!(common.packages.values().all(|why| !why.is_empty()));
        assert_eq!((common.k3s, common.manifests), (None, false));
    }
}
