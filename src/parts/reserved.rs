//! Paths on a node that overlays cannot have, since something later writes them or since they would take away what the
//! node needs, and where the same is set instead.

use super::OwnFile;

/// The `hosts(5)` file: lines of overlays are added to the node's own.
pub const HOSTS: &str = "etc/hosts";
/// k3s' configuration: settings of overlays are merged with the node's own.
pub const K3S_CONFIG: &str = "etc/rancher/k3s/config.yaml";
/// The folder of further settings of k3s, which counts after [`K3S_CONFIG`].
pub const K3S_CONFIG_FOLDER: &str = "etc/rancher/k3s/config.yaml.d/";

/// A path that overlays cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// The path; one that ends in `/` stands for everything below it.
    pub path: &'static str,
    /// Why it is not for overlays.
    pub why: &'static str,
    /// How to get what is meant.
    pub instead: &'static str,
}

const fn row(path: &'static str, why: &'static str, instead: &'static str) -> Reserved {
    Reserved { path, why, instead }
}

const SEED: &str = "each node's seed brings its own";
const ACCOUNTS: &str = "it holds the accounts of all packages";
const SYSUSERS: &str = "declare users and groups in etc/sysusers.d/NAME.conf (sysusers.d(5))";
const MANIFESTS: &str = "put the file into the lab folder's manifests/";
const KEYS: &str = "the cluster's keys are in secrets/";

/// All of them.
pub const RESERVED: &[Reserved] = &[
    row("etc/hostname", SEED, "a node's host name is its `name` in lab.toml"),
    row("etc/labimg/", SEED, "what is in there follows from lab.toml"),
    row(
        "etc/systemd/network/10-labimg.network",
        SEED,
        "put your lines into etc/systemd/network/10-labimg.network.d/NAME.conf (systemd.network(5))",
    ),
    row("etc/rancher/k3s/token", SEED, KEYS),
    row("etc/rancher/k3s/agent-token", SEED, KEYS),
    row("etc/rancher/node/", SEED, KEYS),
    row("etc/ssh/ssh_host_ed25519_key", SEED, "it is in secrets/nodes/NAME"),
    row("etc/ssh/ssh_host_ed25519_key.pub", SEED, "it is in secrets/nodes/NAME"),
    row("var/lib/rancher/k3s/server/tls/", SEED, KEYS),
    row("var/lib/rancher/k3s/server/manifests/", "labimg writes the manifests", MANIFESTS),
    row("var/lib/rancher/k3s/server/static/charts/", "labimg writes the charts", MANIFESTS),
    row("etc/machine-id", "each node makes its own: with the same one, nodes get the same address", "take it out"),
    row(
        "etc/fstab",
        "the node's partitions are in it, whose names follow from the image",
        "write a unit for each further mount: etc/systemd/system/NAME.mount (systemd.mount(5))",
    ),
    row("etc/passwd", ACCOUNTS, SYSUSERS),
    row("etc/shadow", ACCOUNTS, SYSUSERS),
    row("etc/group", ACCOUNTS, SYSUSERS),
    row("etc/gshadow", ACCOUNTS, SYSUSERS),
    row("var/lib/dpkg/", "it is dpkg's database", "name packages in `packages` of lab.toml"),
    row("var/lib/labimg/", "labimg's own state is in it", "choose another folder"),
    row("usr/share/labimg/", "the image's record is in it", "choose another folder"),
];

/// The Wi-Fi settings of a lab with a `[wifi]` section.
pub const WIFI: Reserved = row(
    "etc/wpa_supplicant/wpa_supplicant-wlan0.conf",
    "each node's seed brings the network of `[wifi]` in lab.toml",
    "take `[wifi]` out of lab.toml if this file is to count",
);

/// The row that forbids this file of an overlay. A folder may be there, as long as it is empty.
#[must_use]
pub fn forbids(file: &OwnFile, has_wifi: bool) -> Option<Reserved> {
    forbids_path(&file.path, has_wifi).filter(|_| !file.is_folder())
}

/// The row that forbids this path.
#[must_use]
pub fn forbids_path(path: &str, has_wifi: bool) -> Option<Reserved> {
    let is_in = |reserved: &Reserved| match reserved.path.strip_suffix('/') {
        Some(folder) => path == folder || path.starts_with(reserved.path),
        None => path == reserved.path,
    };
    RESERVED.iter().copied().chain(has_wifi.then_some(WIFI)).find(is_in)
}
