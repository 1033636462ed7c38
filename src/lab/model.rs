//! The data that `lab.toml` holds, as types. Checks beyond types are elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::containers::ImageName;
use crate::manifests::Profile;
use crate::parts::Parts;
use crate::parts::role::{FOUNDER, K3sKind};
use crate::user_name::USER;

/// A cluster: the whole of a `lab.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Lab {
    /// Name of the cluster: one DNS label (RFC 1123). Context name in the kubeconfig.
    pub name: String,
    /// DNS domain of the services, such as `lab.home.arpa` (RFC 8375 reserves `home.arpa` for homes).
    #[serde(default = "default_domain")]
    pub domain: String,
    /// Time zone of the nodes by its tz database name, such as `Europe/Berlin`.
    #[serde(default = "default_timezone")]
    pub timezone: String,
    /// Locale of the nodes, such as `C.UTF-8` or `de_DE.UTF-8`.
    #[serde(default = "default_locale")]
    pub locale: String,
    /// Public keys that may log in: files (relative to the lab folder, `~/` allowed) or the keys themselves.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// Name of the user who logs in and may use `sudo`.
    #[serde(default = "default_user")]
    pub user: String,
    /// Hash of a password (crypt(5)) with which the user can log in on a node's console and use `sudo`; SSH never takes
    /// a password. None when absent.
    #[serde(default)]
    pub password_hash: Option<String>,
    /// Debian packages to add to every node.
    #[serde(default)]
    pub packages: Vec<String>,
    /// The wireless network to join; none when absent.
    #[serde(default)]
    pub wifi: Option<Wifi>,
    /// k3s: version and configuration.
    #[serde(default)]
    pub k3s: K3s,
    /// The master's USB disk and its NFS export.
    #[serde(default)]
    pub storage: Storage,
    /// What the cluster runs by itself, as `labimg stack` lists it.
    #[serde(default)]
    pub stack: Stack,
    /// The nodes.
    #[serde(default)]
    pub nodes: Vec<LabNode>,
}

impl Default for Lab {
    fn default() -> Self {
        Self {
            name: String::new(),
            domain: default_domain(),
            timezone: default_timezone(),
            locale: default_locale(),
            ssh_keys: Vec::new(),
            user: default_user(),
            password_hash: None,
            packages: Vec::new(),
            wifi: None,
            k3s: K3s::default(),
            storage: Storage::default(),
            stack: Stack::default(),
            nodes: Vec::new(),
        }
    }
}

fn default_domain() -> String {
    "lab.home.arpa".to_owned()
}

fn default_user() -> String {
    USER.to_owned()
}

fn default_timezone() -> String {
    "Etc/UTC".to_owned()
}

fn default_locale() -> String {
    "C.UTF-8".to_owned()
}

/// A wireless network (WPA2 or WPA3 with a passphrase, or open).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Wifi {
    /// Its name, 1 to 32 bytes.
    pub ssid: String,
    /// 8 to 63 characters, or the key that is made of them, 64 hexadecimal digits; an open network when absent.
    #[serde(default)]
    pub passphrase: Option<String>,
    /// Two letters (ISO 3166-1) of the country whose radio rules hold, such as `DE`.
    pub country: String,
}

/// k3s of all nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct K3s {
    /// The release, such as `v1.36.5+k3s1`; the one this labimg was tested with when absent.
    #[serde(default)]
    pub version: Option<String>,
    /// Base URL of the releases, for a mirror: files are below `<url>/<version>/`; the project's own when absent.
    #[serde(default)]
    pub url: Option<String>,
    /// Base URL of a mirror of Helm charts' repositories: what is at `https://HOST/PATH` is looked for at `<charts>/HOST/PATH`.
    #[serde(default)]
    pub charts: Option<String>,
    /// Whether nodes have on their cards the container images of k3s itself, of labimg's manifests and of the lab folder's, so
    /// that those start without any registry.
    #[serde(default)]
    pub embed_images: bool,
    /// Further container images that nodes have on their cards, by their full names.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub images: Vec<ImageName>,
    /// Base URL of a mirror of container registries, for the build: `HOST/REPOSITORY` is asked for as
    /// `<registries>/v2/HOST/REPOSITORY`.
    #[serde(default)]
    pub registries: Option<String>,
    /// Added to `/etc/rancher/k3s/config.yaml` of servers, as k3s names its settings.
    #[serde(default)]
    pub server_config: BTreeMap<String, serde_json::Value>,
    /// Added to `/etc/rancher/k3s/config.yaml` of workers.
    #[serde(default)]
    pub agent_config: BTreeMap<String, serde_json::Value>,
}

/// The master's USB disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Whether the master looks for a disk and exports it at all.
    pub enabled: bool,
    /// Which disk may be prepared when the master has none yet and none carries the label.
    pub disk: DiskRule,
    /// Label of the file system, up to 16 bytes. A disk that carries it is used as it is when the master has none of its own yet, and never formatted.
    pub label: String,
    /// Networks that may mount the export, as CIDR; empty: those that the master itself is in.
    pub networks: Vec<String>,
    /// Whether the k3s database lies on the disk instead of the card.
    pub k3s: bool,
}

impl Default for Storage {
    fn default() -> Self {
        Self { enabled: true, disk: DiskRule::Only, label: "labimg-data".to_owned(), networks: Vec::new(), k3s: true }
    }
}

/// Which disk may be prepared. A disk that holds anything is never touched, whatever the rule says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DiskRule {
    /// The only USB disk that is plugged in.
    #[default]
    Only,
    /// The USB disk with this serial number (`lsblk -o NAME,SERIAL`).
    Serial(String),
    /// The only USB disk of exactly this size in bytes (`lsblk -b`).
    Size(u64),
    /// None: only a disk with the label is used.
    Never,
}

/// What the cluster runs by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Stack {
    /// How much of it: `none`, `minimal`, `identity`, `seed` or `full`.
    pub profile: Profile,
    /// Whether the master answers for the names below `domain` to the whole network.
    pub dns: bool,
    /// Whether components come up one after the other, so that small boards are not overrun; when absent, they do unless every
    /// node is known to have 8 GB.
    pub phased: Option<bool>,
    /// Whether the cards hold all charts and container images, so that the cluster comes up without the internet.
    pub airgap: bool,
    /// Settings of single components, by name.
    pub components: BTreeMap<String, StackComponent>,
}

/// Settings of a component.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StackComponent {
    /// Whether the cluster has it, whatever the profile says.
    pub enabled: Option<bool>,
    /// Another version of its chart.
    pub version: Option<String>,
    /// Values for its chart, merged over labimg's: maps are merged, anything else is replaced.
    pub values: BTreeMap<String, serde_json::Value>,
    /// A YAML file with values, relative to the lab folder, in place of `values`.
    pub values_file: Option<PathBuf>,
    /// The values in that file.
    #[serde(skip)]
    pub from_file: BTreeMap<String, serde_json::Value>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LabNode {
    /// Host name: one DNS label; the node is found as `NAME.local`.
    pub name: String,
    /// What it is for, as `labimg roles` lists them.
    pub role: String,
    /// What it runs on, as `labimg boards` lists them.
    pub board: String,
    /// A fixed address with prefix length, such as `192.168.1.10/24`; DHCP when absent.
    #[serde(default)]
    pub address: Option<String>,
    /// The router's address; needed with `address`.
    #[serde(default)]
    pub gateway: Option<String>,
    /// DNS servers; the router's address when absent and `address` is given.
    #[serde(default)]
    pub dns: Vec<String>,
    /// How much memory it has, such as `4G`: whether the stack fits is checked with it.
    #[serde(default)]
    pub memory: Option<String>,
    /// Debian packages to add to this node.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Added to `/etc/rancher/k3s/config.yaml` of this node, after the settings of all servers or workers.
    #[serde(default)]
    pub k3s: BTreeMap<String, serde_json::Value>,
    /// As what it runs k3s: what its role says.
    #[serde(skip)]
    pub kind: Option<K3sKind>,
}

/// A lab with the folder to which its paths are relative.
#[derive(Debug, Clone, PartialEq)]
pub struct LabFolder {
    /// The folder that holds `lab.toml`.
    pub dir: PathBuf,
    /// The content of the file.
    pub lab: Lab,
    /// The boards, roles and overlays for its images.
    pub parts: Parts,
}

/// The number of MiB in a text such as `4G` or `512M`.
#[must_use]
pub fn mebibytes(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse::<u32>().ok())?.filter(|n| *n > 0)?;
    match unit {
        "G" => number.checked_mul(1024),
        "M" => Some(number),
        _ => None,
    }
}

impl Lab {
    /// Whether the cards hold the container images of k3s and of all manifests.
    #[must_use]
    pub fn embeds_images(&self) -> bool {
        self.k3s.embed_images || self.stack.airgap
    }

    /// Whether components come up one after the other, so that small boards are not overrun.
    #[must_use]
    pub fn is_phased(&self) -> bool {
        let is_large = |node: &LabNode| node.memory.as_deref().and_then(mebibytes).is_some_and(|mib| mib >= 8 << 10);
        self.stack.phased.unwrap_or_else(|| !self.nodes.iter().all(is_large))
    }

    /// The first control plane node; the checks allow at most one.
    #[must_use]
    pub fn master(&self) -> Option<&LabNode> {
        self.nodes.iter().find(|n| n.role == FOUNDER)
    }

    /// The node with this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&LabNode> {
        self.nodes.iter().find(|n| n.name == name)
    }
}
