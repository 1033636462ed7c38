//! What makes a generic image a particular node: a small tree of files, packed on the firmware partition, which the
//! node unpacks over its root at first boot (lab, node, secrets → [`Seed`] → firmware tree).

mod archive;
mod network;

use std::collections::BTreeSet;
use std::io;

use uuid::Uuid;

use crate::k3s::config;
use crate::lab::{DiskRule, Lab, Wifi};
use crate::layers::accounts::{Accounts, NoAccount};
use crate::layers::k3s::CONFIG;
use crate::layers::manifests;
use crate::layers::node::UID;
use crate::layers::overlay::{self, LayError};
use crate::manifests::ManifestError;
use crate::parts::role::{FOUNDER, K3sKind};
use crate::plan::target::Target;
use crate::secrets::Secrets;
use crate::stack;
use crate::user_name;
use crate::wifi;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::{Tree, TreeError, TreePath};

/// The packed seed's name on the firmware partition.
pub const ARCHIVE: &str = "labimg-seed.tgz";
/// The seed's format, which the node compares with the one that it reads (`SEED` in `/etc/labimg/node.conf`).
pub const FORMAT: u32 = 1;
/// The name there of the plain-text settings that a user may edit.
pub const SETTINGS: &str = "labimg.conf";
/// The shipped text: every setting is explained and none is active.
pub const SETTINGS_TEXT: &str = include_str!("labimg.conf");

/// Why a seed could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Two files conflict.
    #[error("the node's seed cannot be put together")]
    Tree(#[from] TreeError),
    /// A file's owner is not in the image.
    #[error("secrets/files/{folder}/{path} is to belong to the {} `{}`, which this image does not have", missing.what, missing.name)]
    Account {
        /// The folder below `secrets/files`.
        folder: String,
        /// The path below it.
        path: String,
        /// The user or group.
        missing: NoAccount,
    },
    /// The stack's Secrets cannot be written.
    #[error(transparent)]
    Stack(#[from] ManifestError),
    /// It cannot be packed.
    #[error("the node's seed cannot be packed")]
    Pack(#[from] io::Error),
}

impl Fault for SeedError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Account { .. } => FaultKind::Configuration,
            Self::Tree(source) => source.kind(),
            Self::Stack(source) => source.kind(),
            // It is packed in memory, so this is a bug.
            Self::Pack(_) => FaultKind::Ours,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Account { missing, .. } => Some(missing.help()),
            Self::Tree(source) => source.help(),
            Self::Stack(source) => source.help(),
            Self::Pack(_) => None,
        }
    }
}

/// Everything that goes into a seed.
#[derive(Debug)]
pub struct SeedRequest<'a> {
    /// The node and its image; without a `lab.toml` its lab has only this node.
    pub target: &'a Target,
    /// The cluster's keys; `None` without a `lab.toml`.
    pub secrets: Option<&'a Secrets>,
    /// The image's users and groups, to whom files of `secrets/files` can belong.
    pub accounts: &'a Accounts,
    /// The image's own time, seconds since 1970.
    pub date: i64,
    /// By which the image is known: the PARTUUID of its root partition.
    pub image: &'a str,
}

/// A node's seed, ready to be put on a firmware partition.
pub struct Seed(Vec<u8>);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes contain keys, so they are not shown.
        write!(f, "Seed({} bytes)", self.0.len())
    }
}

impl Seed {
    /// Makes and packs a seed. The same request gives the same bytes.
    ///
    /// # Errors
    /// See [`SeedError`].
    pub fn make(request: &SeedRequest<'_>) -> Result<Self, SeedError> {
        Ok(Self(archive::archive(&tree(request)?)?))
    }

    /// Puts the seed on the firmware partition.
    ///
    /// # Errors
    /// When something else is in its place.
    pub fn put(self, firmware: &mut Tree) -> Result<(), TreeError> {
        firmware.begin_layer("seed");
        firmware.write(ARCHIVE, 0o600, self.0)
    }
}

/// The seed's files under their paths on the node.
fn tree(request: &SeedRequest<'_>) -> Result<Tree, SeedError> {
    let Target { plan, node, ssh_keys, .. } = request.target;
    let (lab, board, role, name) = (&plan.lab, &plan.board.name, &plan.role.name, &node.name);
    // Secrets may be newer than the package lists that date the image, or much older.
    let date = request.date.max(request.secrets.map_or(0, Secrets::created));
    let mut tree = Tree::new(date);
    tree.write("etc/hostname", 0o644, format!("{name}\n"))?;
    tree.write("etc/hosts", 0o644, crate::layers::node::hosts(name, &plan.added.hosts))?;
    login(&mut tree, &lab.user, ssh_keys)?;
    network(&mut tree, request.target)?;
    let master = lab.master().map_or("", |m| m.name.as_str());
    let conf = format!(
        "# Format of this seed, and the image that it was made beside.\nSEED={FORMAT}\nBOARD={board}\nIMAGE={}\n\
         # What this node is.\nCLUSTER={}\nROLE={role}\nMASTER={master}\n\
         # The clock is never behind this: seconds since 1970.\nSEED_TIME={date}\n",
        request.image, lab.name
    );
    tree.write("etc/labimg/node.conf", 0o644, conf)?;
    if let Some(hash) = &lab.password_hash {
        tree.write("etc/labimg/password", 0o600, format!("{}:{hash}\n", lab.user))?;
    }
    if role == FOUNDER && lab.storage.enabled {
        let uuid = request.secrets.and_then(|s| s.storage_uuid(name));
        tree.write("etc/labimg/storage.conf", 0o644, storage(lab, uuid))?;
    }
    k3s(&mut tree, request)?;
    stack(&mut tree, request)?;
    users_files(&mut tree, request)?;
    Ok(tree)
}

fn login(tree: &mut Tree, user: &str, keys: &[String]) -> Result<(), TreeError> {
    if keys.is_empty() {
        return Ok(());
    }
    let file = TreePath::new(user_name::authorized_keys(user))?;
    let Some(folder) = file.parent() else { return Ok(()) };
    tree.mkdir(&folder, 0o700)?;
    tree.write(&file, 0o600, keys.iter().map(|k| format!("{k}\n")).collect::<String>())?;
    for path in [folder, file] {
        if let Some(inode) = tree.get_mut(&path) {
            (inode.uid, inode.gid) = (UID, UID);
        }
    }
    Ok(())
}

fn network(tree: &mut Tree, Target { plan, node, .. }: &Target) -> Result<(), TreeError> {
    if let Some(address) = &node.address {
        let port = if plan.board.wireless_only { "wlan0" } else { "eth0" };
        let text = network::fixed_address(port, address, node.gateway.as_deref(), &node.dns);
        tree.write("etc/systemd/network/10-labimg.network", 0o644, text)?;
    }
    if let Some(Wifi { ssid, passphrase, country }) = &plan.lab.wifi {
        let text = wifi::wpa_supplicant(ssid, passphrase.as_deref(), country);
        tree.write("etc/wpa_supplicant/wpa_supplicant-wlan0.conf", 0o600, text)?;
        // Started when the interface appears: a board without Wi-Fi does not wait for it.
        tree.symlink(
            "etc/systemd/system/sys-subsystem-net-devices-wlan0.device.wants/wpa_supplicant@wlan0.service",
            "/usr/lib/systemd/system/wpa_supplicant@.service",
        )?;
    }
    Ok(())
}

/// Settings of the storage step, in shell syntax: no value contains anything that a shell would expand.
fn storage(lab: &Lab, uuid: Option<Uuid>) -> String {
    let storage = &lab.storage;
    let disk = match &storage.disk {
        DiskRule::Only => "only".to_owned(),
        DiskRule::Serial(serial) => format!("serial:{serial}"),
        DiskRule::Size(size) => format!("size:{size}"),
        DiskRule::Never => "never".to_owned(),
    };
    let networks: BTreeSet<&str> = storage.networks.iter().map(String::as_str).collect();
    let networks = networks.into_iter().collect::<Vec<_>>().join(" ");
    let db = if storage.k3s { "yes" } else { "no" };
    let uuid = uuid.map(|uuid| format!("UUID='{uuid}'\n"));
    format!(
        "# The USB disk and its export.\nDISK='{disk}'\nLABEL='{}'\n{}NETWORKS='{networks}'\nK3S_DB={db}\n",
        storage.label,
        uuid.unwrap_or_default()
    )
}

/// The user's own files.
fn users_files(tree: &mut Tree, request: &SeedRequest<'_>) -> Result<(), SeedError> {
    for (folder, files) in &request.target.secret_files {
        for file in files {
            overlay::lay(tree, file, request.accounts, &request.target.plan.lab.user).map_err(|e| match e {
                LayError::Tree(source) => SeedError::Tree(source),
                LayError::Account(missing) => {
                    SeedError::Account { folder: folder.clone(), path: file.path.clone(), missing }
                }
            })?;
        }
    }
    Ok(())
}

/// Secrets of the stack, and how the node brings it up.
fn stack(tree: &mut Tree, request: &SeedRequest<'_>) -> Result<(), SeedError> {
    let plan = &request.target.plan;
    if !plan.role.manifests || !plan.stack.is_chosen() {
        return Ok(());
    }
    let phased = if plan.lab.is_phased() { "yes" } else { "no" };
    let conf = format!("# How the stack comes up.\nPHASED={phased}\nDOMAIN={}\n", plan.lab.domain);
    tree.write("etc/labimg/stack.conf", 0o644, conf)?;
    let Some(secrets) = request.secrets else { return Ok(()) };
    if let Some(text) = stack::secret_objects(&plan.stack, Some(secrets.stack()))? {
        manifests::folders(tree, manifests::FOLDER)?;
        tree.write(format!("{}/{}", manifests::FOLDER, stack::SECRETS), 0o600, text)?;
    }
    Ok(())
}

fn k3s(tree: &mut Tree, request: &SeedRequest<'_>) -> Result<(), SeedError> {
    let Target { plan, node, .. } = request.target;
    let (lab, role) = (&plan.lab, &plan.role);
    let Some(kind) = role.k3s else { return Ok(()) };
    let Some(secrets) = request.secrets else {
        // A single node can only be the first server; then k3s creates its own keys.
        if role.name == FOUNDER {
            tree.write(CONFIG, 0o600, config::standalone_config(&node.name))?;
        }
        return Ok(());
    };
    let (text, token) = match kind {
        K3sKind::Server => (config::server_config(lab, node), secrets.server_token()),
        K3sKind::Agent => (config::agent_config(lab, node), secrets.join_token()),
    };
    tree.write(CONFIG, 0o600, text)?;
    tree.write("etc/rancher/k3s/token", 0o600, format!("{token}\n"))?;
    if kind == K3sKind::Server {
        tree.write("etc/rancher/k3s/agent-token", 0o600, format!("{}\n", secrets.agent_password()))?;
    }
    if role.name == FOUNDER {
        tree.mkdir("var/lib/rancher/k3s/server/tls", 0o700)?;
        for (path, bytes) in secrets.cluster_ca_files() {
            tree.write(format!("var/lib/rancher/k3s/server/tls/{path}"), 0o600, bytes)?;
        }
    }
    if let Some(own) = secrets.node(&node.name) {
        tree.mkdir("etc/rancher/node", 0o755)?;
        // k3s writes this file without a newline and compares it unchanged.
        tree.write("etc/rancher/node/password", 0o600, own.password.expose())?;
        tree.write("etc/ssh/ssh_host_ed25519_key", 0o600, own.ssh_private.expose())?;
        tree.write("etc/ssh/ssh_host_ed25519_key.pub", 0o644, own.ssh_public.as_str())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{LabFolder, LabNode};
    use crate::parts::reserved::{self, HOSTS, K3S_CONFIG};
    use crate::parts::{OwnFile, OwnKind, Owners, Parts};
    use crate::plan::target::{self, Flags};

    fn flags() -> Flags {
        Flags { suite: "trixie".to_owned(), ..Flags::default() }
    }

    fn alone(role: &str, name: &str) -> Target {
        target::alone("rpi4", role, Some(name), &flags(), &Parts::built_in().unwrap()).unwrap()
    }

    fn request<'a>(target: &'a Target, secrets: Option<&'a Secrets>, accounts: &'a Accounts) -> SeedRequest<'a> {
        SeedRequest { target, secrets, accounts, date: 7, image: "0-02" }
    }

    #[test]
    fn the_master_is_told_its_disk() {
        let lab = Lab::default();
        assert_eq!(
            storage(&lab, None),
            "# The USB disk and its export.\nDISK='only'\nLABEL='labimg-data'\nNETWORKS=''\nK3S_DB=yes\n"
        );
        let uuid = Uuid::try_parse("6f2f8a4c-5d7e-4c59-9a0e-0f5a3f1b2c3d").unwrap();
        assert!(storage(&lab, Some(uuid)).contains("\nUUID='6f2f8a4c-5d7e-4c59-9a0e-0f5a3f1b2c3d'\n"));
    }

    #[test]
    fn a_master_without_a_lab_is_configured() {
        let tree = tree(&request(&alone(FOUNDER, "pi"), None, &Accounts::default())).unwrap();
        assert_eq!(tree.get(CONFIG).unwrap().mode, 0o600);
        assert!(tree.read_text(CONFIG).unwrap().contains("pi.local"));
    }

    #[test]
    fn the_users_files_keep_mode_and_owner() {
        let mut image = Tree::new(7);
        image.write("etc/passwd", 0o644, "www-data:x:33:33::/:/bin/sh\n").unwrap();
        let file = |path: &str, user: Option<&str>| OwnFile {
            path: path.to_owned(),
            sha256: labimg_tree::hash::Sha256::of("x"),
            kind: OwnKind::File("secret".into()),
            mode: Some(0o640),
            owners: Owners { user: user.map(str::to_owned), group: None },
        };
        let made = |user: &str| {
            let secret_files = vec![(
                "common".to_owned(),
                vec![file("etc/app/key", Some(user)), file("home/lab/.config/app/key", None)],
            )];
            let target = Target { secret_files, ..alone("worker", "w") };
            tree(&request(&target, None, &Accounts::of(&image).unwrap()))
        };
        let tree = made("www-data").unwrap();
        let key = tree.get("etc/app/key").unwrap();
        assert_eq!((key.mode, key.uid, key.gid), (0o640, 33, 0));
        assert_eq!(tree.get("etc/app").unwrap().mode, 0o755);
        let owner = |path: &str| tree.get(path).unwrap().uid;
        assert_eq!(["home", "home/lab/.config", "home/lab/.config/app/key"].map(owner), [0, UID, UID]);
        let error = made("www").unwrap_err();
        assert!(
            error.to_string().contains("secrets/files/common/etc/app/key is to belong to the user `www`"),
            "{error}"
        );
    }

    /// Whatever a seed brings, an overlay cannot have: it would be lost.
    #[test]
    fn no_overlay_can_have_a_file_of_a_seed() {
        let parts = Parts::built_in().unwrap();
        let node = |name: &str, role: &str| LabNode {
            name: name.to_owned(),
            role: role.to_owned(),
            board: "rpi4".to_owned(),
            address: Some("192.168.1.10/24".to_owned()),
            kind: parts.role(role).unwrap().k3s,
            ..LabNode::default()
        };
        let nodes = vec![node("m", FOUNDER), node("s", "server"), node("w", "worker")];
        let wifi = Some(Wifi { ssid: "home".to_owned(), passphrase: None, country: "DE".to_owned() });
        let password_hash = Some("$6$".to_owned());
        let lab = Lab { name: "home".to_owned(), nodes, wifi, password_hash, ..Lab::default() };
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(&dir.path().join("secrets"), &lab, 1_700_000_000).unwrap();
        let folder = LabFolder { dir: dir.path().to_owned(), lab, parts };
        let mut files = 0;
        for target in target::of_lab(&folder, &[], &flags()).unwrap() {
            let target = Target { ssh_keys: vec!["ssh-ed25519 AAAA".to_owned()], ..target };
            let accounts = Accounts::default();
            let request = request(&target, Some(&secrets), &accounts);
            for (path, _, inode) in tree(&request).unwrap().iter() {
                let path = path.to_string()[1..].to_owned();
                // Links that switch units on are the same in an overlay.
                if matches!(inode.kind, labimg_tree::Kind::Dir) || path.contains(".wants/") {
                    continue;
                }
                files += 1;
                let is_joined = [HOSTS, K3S_CONFIG, "home/lab/.ssh/authorized_keys"].contains(&path.as_str());
                assert!(is_joined || reserved::forbids_path(&path, true).is_some(), "{path}");
            }
        }
        assert!(files > 20, "{files}");
    }
}
