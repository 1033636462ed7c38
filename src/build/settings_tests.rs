//! Every setting of `lab.toml` is somewhere in what a build makes: a row for each property of the model's schema.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::assemble::node_files;
use super::ids::Partuuids;
use crate::k3s::K3sSource;
use crate::lab::{self, LabFolder};
use crate::layers::accounts::Accounts;
use crate::layers::{manifests, node};
use crate::lock_file::Archives;
use crate::parts::Parts;
use crate::plan::target::{self, Flags, Target};
use crate::secrets::Secrets;
use crate::seed::{ARCHIVE, Seed, SeedRequest};
use crate::stack::{Cluster, Stack};
use labimg_testkit::seed_files;
use labimg_tree::Tree;

const MASTER: &str = "m";
const WORKER: &str = "w";

/// Where a setting ends up.
enum Place {
    /// In this file of the node's seed.
    Seed(&'static str, &'static str),
    /// In this file of the node's image.
    Image(&'static str, &'static str),
    /// Among the packages of the node's image.
    Packages(&'static str),
    /// It is of the build alone; this shows the value that the build goes by.
    Build(fn(&LabFolder) -> String),
}
use Place::{Build, Image, Packages, Seed as InSeed};

/// A property; what replaces what in [`BASE`]; where the value ends up, and the text there.
type Row = (&'static str, (&'static str, &'static str), Place, &'static str);

/// A lab with all kinds of sections.
const BASE: &str = r#"name = "home"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home"]
# top
[wifi]
ssid = "a"
country = "DE"
# wifi
[k3s]
# k3s
[storage]
# storage
[stack]
# stack
[[nodes]]
name = "m"
role = "master"
board = "rpi4"
# master
[[nodes]]
name = "w"
role = "worker"
board = "rpi4"
# worker
"#;

const NETWORK: &str = "etc/systemd/network/10-labimg.network";
const WPA: &str = "etc/wpa_supplicant/wpa_supplicant-wlan0.conf";
const CONFIG: &str = "etc/rancher/k3s/config.yaml";
const STORAGE: &str = "etc/labimg/storage.conf";
const NODE: &str = "etc/labimg/node.conf";
const INFO: &str = "var/lib/rancher/k3s/server/manifests/lab.yaml";
const STORAGE_CLASS: &str = "var/lib/rancher/k3s/server/manifests/nfs-storage.yaml";
const LIST: &str = "usr/share/labimg/stack";
const FIXED: &str = "address = \"10.0.0.9/24\"\ngateway = \"10.0.0.1\"\n";

fn of_cluster() -> Vec<Row> {
    vec![
        ("name", ("name = \"home\"", "name = \"cabin\""), InSeed(MASTER, NODE), "CLUSTER=cabin\n"),
        ("domain", ("# top", "domain = \"d.example\""), Image(MASTER, INFO), "domain: \"d.example\"\n"),
        ("timezone", ("# top", "timezone = \"Asia/Tokyo\""), Image(WORKER, "etc/timezone"), "Asia/Tokyo\n"),
        ("locale", ("# top", "locale = \"de_DE.UTF-8\""), Image(WORKER, "etc/locale.conf"), "LANG=de_DE.UTF-8\n"),
        ("locale", ("# top", "locale = \"de_DE.UTF-8\""), Packages(WORKER), "locales"),
        (
            "ssh_keys",
            ("HR4f me@home", "HR4f you@home"),
            InSeed(WORKER, "home/lab/.ssh/authorized_keys"),
            "HR4f you@home\n",
        ),
        ("user", ("# top", "user = \"me\""), Image(WORKER, "etc/passwd"), "me:x:1000:1000:labimg,,,:/home/me:"),
        ("user", ("# top", "user = \"me\""), InSeed(WORKER, "home/me/.ssh/authorized_keys"), "HR4f me@home\n"),
        (
            "password_hash",
            ("# top", "password_hash = \"$5$salt$0123456789012345678901234567890123456789012\""),
            InSeed(WORKER, "etc/labimg/password"),
            "lab:$5$salt$0123456789012345678901234567890123456789012\n",
        ),
        ("packages", ("# top", "packages = [\"htop\"]"), Packages(WORKER), "htop"),
        ("wifi.ssid", ("ssid = \"a\"", "ssid = \"b\""), InSeed(WORKER, WPA), "ssid=62\n"),
        ("wifi.country", ("country = \"DE\"", "country = \"FR\""), InSeed(WORKER, WPA), "country=FR\n"),
        ("wifi.passphrase", ("# wifi", "passphrase = \"a passphrase\""), InSeed(WORKER, WPA), "WPA-PSK"),
        ("k3s.version", ("# k3s", "version = \"v1.35.1+k3s1\""), Image(MASTER, INFO), "k3s: \"v1.35.1+k3s1\"\n"),
        (
            "k3s.url",
            ("# k3s", "url = \"https://m.example/k3s\""),
            Build(|folder| K3sSource::of(Some(&folder.lab)).url),
            "https://m.example/k3s",
        ),
        (
            "k3s.charts",
            ("# k3s", "charts = \"https://m.example/charts\""),
            Build(|folder| folder.lab.k3s.charts.clone().unwrap_or_default()),
            "https://m.example/charts",
        ),
        (
            "k3s.embed_images",
            ("# k3s", "embed_images = true"),
            Build(|folder| folder.lab.k3s.embed_images.to_string()),
            "true",
        ),
        (
            "k3s.images",
            ("# k3s", "images = [\"docker.io/library/nginx:1.29\"]"),
            Build(|folder| format!("{:?}", folder.lab.k3s.images)),
            "nginx",
        ),
        (
            "k3s.registries",
            ("# k3s", "registries = \"https://m.example\""),
            Build(|folder| folder.lab.k3s.registries.clone().unwrap_or_default()),
            "https://m.example",
        ),
        (
            "k3s.server_config",
            ("# k3s", "server_config = { disable = [\"traefik\"] }"),
            InSeed(MASTER, CONFIG),
            "\"traefik\"",
        ),
        ("k3s.agent_config", ("# k3s", "agent_config = { node-label = [\"a=b\"] }"), InSeed(WORKER, CONFIG), "\"a=b\""),
        ("storage.enabled", ("# storage", "enabled = false"), InSeed(MASTER, STORAGE), ""),
        ("storage.disk", ("# storage", "disk = \"never\""), InSeed(MASTER, STORAGE), "DISK='never'\n"),
        ("storage.disk", ("# storage", "disk = { serial = \"S-1\" }"), InSeed(MASTER, STORAGE), "DISK='serial:S-1'\n"),
        ("storage.disk", ("# storage", "disk = { size = 4096 }"), InSeed(MASTER, STORAGE), "DISK='size:4096'\n"),
        ("storage.label", ("# storage", "label = \"films\""), InSeed(MASTER, STORAGE), "LABEL='films'\n"),
        (
            "storage.networks",
            ("# storage", "networks = [\"10.1.0.0/16\"]"),
            InSeed(MASTER, STORAGE),
            "NETWORKS='10.1.0.0/16'\n",
        ),
        ("storage.k3s", ("# storage", "k3s = false"), InSeed(MASTER, STORAGE), "K3S_DB=no\n"),
    ]
}

fn of_stack_and_nodes() -> Vec<Row> {
    vec![
        ("stack.profile", ("# stack", "profile = \"minimal\""), Image(MASTER, LIST), "cert-manager"),
        ("stack.dns", ("# stack", "dns = true"), Image(MASTER, LIST), "dns"),
        ("stack.airgap", ("# stack", "airgap = true"), Build(|folder| folder.lab.embeds_images().to_string()), "true"),
        (
            "stack.phased",
            ("# stack", "profile = \"minimal\"\nphased = false"),
            InSeed(MASTER, "etc/labimg/stack.conf"),
            "PHASED=no\n",
        ),
        (
            "stack.components.enabled",
            ("# stack", "components.cert-manager = { enabled = true }"),
            Image(MASTER, LIST),
            "cert-manager",
        ),
        (
            "stack.components.version",
            ("# stack", "components.nfs-storage = { version = \"4.0.17\" }"),
            Image(MASTER, STORAGE_CLASS),
            "version: \"4.0.17\"\n",
        ),
        (
            "stack.components.values",
            ("# stack", "components.nfs-storage.values = { storageClass = { accessModes = \"ReadWriteMany\" } }"),
            Image(MASTER, STORAGE_CLASS),
            "accessModes: ReadWriteMany\n",
        ),
        (
            "stack.components.values_file",
            ("# stack", "components.nfs-storage = { values_file = \"values.yaml\" }"),
            Image(MASTER, STORAGE_CLASS),
            "replicaCount: 2\n",
        ),
        ("nodes.name", ("name = \"m\"", "name = \"ada\""), InSeed("ada", "etc/hostname"), "ada\n"),
        ("nodes.role", ("role = \"worker\"", "role = \"server\""), InSeed(WORKER, NODE), "ROLE=server\n"),
        ("nodes.board", ("board = \"rpi4\"\n# worker", "board = \"rpi5\""), InSeed(WORKER, NODE), "BOARD=rpi5\n"),
        ("nodes.address", ("# worker", FIXED), InSeed(WORKER, NETWORK), "Address=10.0.0.9/24\n"),
        ("nodes.gateway", ("# worker", FIXED), InSeed(WORKER, NETWORK), "Gateway=10.0.0.1\n"),
        (
            "nodes.dns",
            ("# worker", "address = \"10.0.0.9/24\"\ngateway = \"10.0.0.1\"\ndns = [\"9.9.9.9\"]"),
            InSeed(WORKER, NETWORK),
            "DNS=9.9.9.9\n",
        ),
        (
            "nodes.memory",
            ("# worker", "memory = \"4G\""),
            Build(|folder| format!("{:?}", folder.lab.nodes.last().map(|node| &node.memory))),
            "4G",
        ),
        ("nodes.packages", ("# worker", "packages = [\"tcpdump\"]"), Packages(WORKER), "tcpdump"),
        ("nodes.k3s", ("# worker", "k3s = { node-label = [\"c=d\"] }"), InSeed(WORKER, CONFIG), "\"c=d\""),
    ]
}

/// All properties of the model, such as `wifi.ssid`; below those of other programs there are none.
fn properties(schema: &Value, at: &Value, prefix: &str, all: &mut BTreeSet<String>) {
    let follow = |value: &Value| {
        let named =
            value.get("$ref").or_else(|| value.pointer("/allOf/0/$ref")).or_else(|| value.pointer("/anyOf/0/$ref"));
        let name = named.and_then(Value::as_str).and_then(|path| path.strip_prefix("#"));
        name.map_or_else(|| value.clone(), |path| schema.pointer(path).unwrap().clone())
    };
    let own = at["properties"].as_object().unwrap();
    for (name, value) in own {
        let mut inner = follow(value);
        if inner["type"] == "array" {
            inner = follow(&inner["items"]);
        }
        if inner.get("properties").is_none() && inner["additionalProperties"].is_object() {
            inner = follow(&inner["additionalProperties"]);
        }
        let path = format!("{prefix}{name}");
        if inner.get("properties").is_some() {
            properties(schema, &inner, &format!("{path}."), all);
        } else {
            all.insert(path);
        }
    }
}

/// A lab with its secrets.
struct Lab {
    folder: LabFolder,
    secrets: Secrets,
    _dir: tempfile::TempDir,
}

fn lab(text: &str) -> Lab {
    let parts = Parts::built_in().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("values.yaml"), "replicaCount: 2\n").unwrap();
    let (lab, _) = lab::parse(text, Some(dir.path()), &parts).unwrap_or_else(|problems| panic!("{text}{problems:?}"));
    let path = dir.path().join("secrets");
    let mut secrets = Secrets::open(&path, &lab, 1_700_000_000).unwrap();
    let names = Stack::of(&lab, parts.components()).unwrap().secret_names();
    secrets.open_stack(&path, &names, 1_700_000_000).unwrap();
    Lab { folder: LabFolder { dir: dir.path().to_owned(), lab, parts }, secrets, _dir: dir }
}

impl Lab {
    fn target(&self, name: &str) -> Target {
        let flags = Flags { suite: "trixie".to_owned(), ..Flags::default() };
        target::of_lab(&self.folder, &[name.to_owned()], &flags).unwrap().remove(0)
    }

    /// The files of a node's seed.
    fn seed(&self, name: &str) -> BTreeMap<String, String> {
        let request = SeedRequest {
            target: &self.target(name),
            secrets: Some(&self.secrets),
            accounts: &Accounts::default(),
            date: 7,
            image: "0-02",
        };
        let mut firmware = Tree::new(7);
        Seed::make(&request).unwrap().put(&mut firmware).unwrap();
        seed_files(&firmware.read(ARCHIVE).unwrap())
    }

    /// The files of a node's image that follow from settings.
    fn image(&self, name: &str) -> Tree {
        let plan = &self.target(name).plan;
        let archives = Archives { debian: "http://a.example".to_owned(), security: "http://s.example".to_owned() };
        let partuuids = Partuuids { root: "r".to_owned(), firmware: "f".to_owned() };
        let mut tree = Tree::new(7);
        for file in ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/skel/x"] {
            tree.write(file, 0o644, "").unwrap();
        }
        node::apply(&mut tree, &node_files(plan, &archives, &partuuids, &[])).unwrap();
        if plan.role.manifests {
            let k3s = &K3sSource::of(Some(&plan.lab)).version;
            let cluster = Cluster { lab: &plan.lab, stack: &plan.stack, k3s, charts: &[] };
            manifests::apply(&mut tree, &cluster, &plan.own_manifests).unwrap();
        }
        tree
    }

    /// The text at the place; `None` when there is no such file or node.
    fn text(&self, place: &Place) -> Option<String> {
        let there = |name: &str| self.folder.lab.node(name).is_some();
        match place {
            InSeed(node, file) => there(node).then(|| self.seed(node).remove(*file))?,
            Image(node, file) => self.image(node).read_text(file).ok(),
            Packages(node) => Some(self.target(node).plan.packages.into_keys().collect::<Vec<_>>().join(" ")),
            Build(value) => Some(value(&self.folder)),
        }
    }
}

#[test]
fn every_setting_has_its_effect() {
    let schema = lab::schema::published().unwrap();
    let mut all = BTreeSet::new();
    properties(&schema, &schema, "", &mut all);
    let rows: Vec<Row> = of_cluster().into_iter().chain(of_stack_and_nodes()).collect();
    let with_row: BTreeSet<String> = rows.iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(with_row, all, "a setting without a row, or a row without a setting");
    let base = lab(BASE);
    for (name, (old, new), place, expected) in rows {
        assert!(BASE.contains(old), "{name}: {old}");
        let changed = lab(&BASE.replacen(old, new, 1));
        let (before, after) = (base.text(&place), changed.text(&place));
        assert_ne!(before, after, "{name}: nothing changed");
        match after {
            Some(text) => assert!(text.contains(expected), "{name}: {text}"),
            // Switched off.
            None => assert_eq!(expected, "", "{name}: there is no such file"),
        }
        assert!(expected.is_empty() || !before.unwrap_or_default().contains(expected), "{name}: so it was before");
    }
}
