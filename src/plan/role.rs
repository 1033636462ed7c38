//! Roles: what a node is for, as data (`roles/*.toml`): packages with their reasons, an overlay folder, units.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::{PlanError, nearest};

static ROLES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/roles");

/// One file of `roles/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The file's name without `.toml`.
    #[serde(skip_deserializing)]
    pub name: String,
    /// One line for `labimg roles`.
    pub title: String,
    /// The folder under `overlays/` that is laid over the root; none when absent.
    pub overlay: Option<String>,
    /// Debian package → why it is there.
    pub packages: BTreeMap<String, String>,
    /// As what the node runs k3s; not at all when absent.
    #[serde(default)]
    pub k3s: Option<K3sKind>,
    /// Whether the node brings what k3s deploys by itself: on one server of a cluster, the one that founds it.
    #[serde(default)]
    pub manifests: bool,
    /// Units to switch.
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

/// Units that a role switches, by full name.
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

/// The name of the file that every role builds on; not a role by itself.
const COMMON: &str = "common";

impl Role {
    /// What every node has.
    ///
    /// # Errors
    /// When the built-in file is bad.
    pub fn common() -> Result<Self, PlanError> {
        Self::load(COMMON)?.ok_or_else(|| PlanError::BadFile {
            file: format!("roles/{COMMON}.toml"),
            message: "missing from this program".to_owned(),
        })
    }

    /// The role of this name.
    ///
    /// # Errors
    /// Names the nearest roles when there is none of this name.
    pub fn named(name: &str) -> Result<Self, PlanError> {
        let found = if name == COMMON { None } else { Self::load(name)? };
        found.ok_or_else(|| PlanError::Unknown {
            what: "role",
            name: name.to_owned(),
            nearest: nearest(name, Self::names()),
            list: "labimg roles",
        })
    }

    /// All roles, sorted by name.
    ///
    /// # Errors
    /// When a built-in file is bad.
    pub fn all() -> Result<Vec<Self>, PlanError> {
        Self::names().into_iter().map(Self::named).collect()
    }

    /// The names of all roles, sorted.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<&str> =
            ROLES.files().filter_map(|f| f.path().file_stem()?.to_str()).filter(|n| *n != COMMON).collect();
        names.sort_unstable();
        names
    }

    fn load(name: &str) -> Result<Option<Self>, PlanError> {
        let file = format!("{name}.toml");
        let Some(text) = ROLES.get_file(&file).and_then(include_dir::File::contents_utf8) else {
            return Ok(None);
        };
        let bad = |e: toml::de::Error| PlanError::BadFile { file: format!("roles/{file}"), message: e.to_string() };
        let mut role: Self = toml::from_str(text).map_err(bad)?;
        name.clone_into(&mut role.name);
        Ok(Some(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_built_in_roles_parse_and_give_reasons() {
        let names: Vec<String> = Role::all().unwrap().into_iter().map(|r| r.name).collect();
        assert_eq!(names, ["master", "server", "worker"]);
        let common = Role::common().unwrap();
        assert!(common.packages.values().all(|why| !why.is_empty()));
        assert_eq!((common.k3s, common.manifests), (None, false));
    }

    #[test]
    fn one_role_founds_the_cluster() {
        let all = Role::all().unwrap();
        let founders: Vec<_> = all.iter().filter(|r| r.manifests).collect();
        assert_eq!(founders.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["master"]);
        assert!(founders.iter().all(|r| r.k3s == Some(K3sKind::Server)), "only a server deploys manifests");
        assert_eq!(Role::named("server").unwrap().k3s, Some(K3sKind::Server));
        assert_eq!(Role::named("worker").unwrap().k3s, Some(K3sKind::Agent));
    }

    #[test]
    fn an_unknown_role_names_the_nearest() {
        let error = Role::named("mastr").unwrap_err().to_string();
        assert!(error.contains("`mastr`") && error.contains("`master`"), "{error}");
        assert!(Role::named("common").is_err());
    }
}
