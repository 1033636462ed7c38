//! `/etc/rancher/k3s/config.yaml` of each node: the flags of `k3s server` and `k3s agent` without their dashes
//! (docs.k3s.io, "Configuration Options", `cli/server`, `cli/agent`).
//!
//! Left as k3s has them, on purpose: the kubelet's collection of old images (from 85% of the card on), the size of container
//! logs (10 MiB, five a container) and its memory limits, which suit a card well; `SQLite` with one server; the packaged
//! components, Traefik among them. `lab.toml` can change each by `k3s.server_config` and `k3s.agent_config`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::yaml;
use crate::lab::{Lab, LabNode, PODS};
use crate::parts::role::K3sKind;

/// Where the server's or worker's token lies on the node.
pub const TOKEN: &str = "/etc/rancher/k3s/token";

/// Where a server has the password that workers join with.
pub const AGENT_TOKEN: &str = "/etc/rancher/k3s/agent-token";

/// The port on which servers are joined and asked (docs.k3s.io, "Inbound Rules for K3s Nodes").
const PORT: u16 = 6443;

/// The text for a node that runs `k3s server`: the master, which founds the cluster, or one that joins it.
#[must_use]
pub fn server_config(lab: &Lab, node: &LabNode) -> String {
    let mut config = Config::new();
    config.set("node-name", json!(node.name));
    match lab.master().filter(|master| master.name != node.name) {
        Some(master) => config.set("server", json!(address(master))),
        // Several servers share an etcd; alone, k3s keeps its state in `SQLite`, which is lighter by far.
        None if lab.nodes.iter().any(|other| other.name != node.name && other.kind == Some(K3sKind::Server)) => {
            config.set("cluster-init", json!(true));
        }
        None => {}
    }
    config.set("token-file", json!(TOKEN));
    config.set("agent-token-file", json!(AGENT_TOKEN));
    let address = node.address.as_deref().map(|address| address.split('/').next().unwrap_or(address));
    config.server(&node.name, address);
    config.merge(&lab.k3s.server_config);
    config.merge(&node.k3s);
    config.text("k3s server")
}

/// The text for a node that runs `k3s agent`.
#[must_use]
pub fn agent_config(lab: &Lab, node: &LabNode) -> String {
    let mut config = Config::new();
    config.set("node-name", json!(node.name));
    if let Some(master) = lab.master() {
        config.set("server", json!(address(master)));
    }
    config.set("token-file", json!(TOKEN));
    config.merge(&lab.k3s.agent_config);
    config.merge(&node.k3s);
    config.text("k3s agent")
}

/// The text for a master that is built without a `lab.toml`: k3s makes its own keys and tokens, and takes the node's name
/// as it is when it starts.
#[must_use]
pub fn standalone_config(hostname: &str) -> String {
    let mut config = Config::new();
    config.server(hostname, None);
    config.text("k3s server")
}

fn address(master: &LabNode) -> String {
    format!("https://{}.local:{PORT}", master.name)
}

/// The networks of pods, as CIDR.
#[must_use]
pub fn pod_networks(lab: &Lab) -> Vec<String> {
    let set = lab.k3s.server_config.get("cluster-cidr").map(|value| joined(&json!([]), value));
    let texts = set.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let mut all: Vec<String> = texts.flat_map(|text| text.split(',')).map(|one| one.trim().to_owned()).collect();
    if all.is_empty() {
        all.push(PODS.to_owned());
    }
    all
}

/// The lists that labimg fills itself: a file of `config.yaml.d` that has one of them takes its place, unless a `+` follows
/// the name.
#[must_use]
pub const fn lists(kind: K3sKind) -> &'static [&'static str] {
    match kind {
        K3sKind::Server => &["tls-san"],
        K3sKind::Agent => &[],
    }
}

/// Keys and values in the order of the text.
struct Config(Vec<(String, Value)>);

impl Config {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn set(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// What every server has.
    fn server(&mut self, name: &str, address: Option<&str>) {
        let names = [name.to_owned(), format!("{name}.local")].into_iter().chain(address.map(str::to_owned));
        self.set("tls-san", json!(names.collect::<Vec<_>>()));
        // All servers must agree on it; Secrets would lie readable in the database otherwise.
        self.set("secrets-encryption", json!(true));
        self.set("write-kubeconfig-mode", json!("0600"));
    }

    /// Adds the user's settings. Lists are merged with ours, which the cluster needs; any other value of the user replaces
    /// ours, as in k3s' own `config.yaml.d`. A `+` at the end of a name adds to a list, as it does there. Values that would
    /// break the cluster are refused when `lab.toml` is read.
    fn merge(&mut self, settings: &BTreeMap<String, Value>) {
        for (key, value) in settings {
            let (name, adds) = key.strip_suffix('+').map_or((key.as_str(), false), |name| (name, true));
            match self.0.iter_mut().find(|(k, _)| k == name) {
                Some((_, ours)) if adds || ours.is_array() => *ours = joined(ours, value),
                Some((_, ours)) => *ours = value.clone(),
                None => self.0.push((name.to_owned(), value.clone())),
            }
        }
    }

    fn text(&self, command: &str) -> String {
        let lines: String = self.0.iter().map(|(key, value)| yaml::entry(key, value)).collect();
        format!(
            "# Settings of `{command}`, made by labimg. Your own go into config.yaml.d/NAME.yaml beside this file.\n\
             # There, a `+` at the end of a name adds to a list that is here; without it, yours takes the list's place.\n{lines}"
        )
    }
}

/// Both lists without duplicates; a single value counts as a list with one entry.
#[must_use]
pub fn joined(first: &Value, second: &Value) -> Value {
    let entries = |value: &Value| if let Value::Array(items) = value { items.clone() } else { vec![value.clone()] };
    let mut all = entries(first);
    for entry in entries(second) {
        if !all.contains(&entry) {
            all.push(entry);
        }
    }
    Value::Array(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, role: &str) -> LabNode {
        LabNode {
            name: name.to_owned(),
            role: role.to_owned(),
            board: "rpi4".to_owned(),
            kind: Some(if role == "worker" { K3sKind::Agent } else { K3sKind::Server }),
            ..LabNode::default()
        }
    }

    fn lab(nodes: &[(&str, &str)]) -> Lab {
        Lab { name: "home".to_owned(), nodes: nodes.iter().map(|(n, r)| node(n, r)).collect(), ..Lab::default() }
    }

    fn of(lab: &Lab, name: &str) -> String {
        let node = lab.node(name).unwrap();
        let text = if node.kind == Some(K3sKind::Server) { server_config(lab, node) } else { agent_config(lab, node) };
        let _: BTreeMap<String, Value> = serde_saphyr::from_str(&text).unwrap();
        text
    }

    #[test]
    fn a_small_cluster() {
        let mut lab = lab(&[("m", "master"), ("w1", "worker")]);
        lab.nodes[0].address = Some("192.168.1.10/24".to_owned());
        insta::assert_snapshot!("master", of(&lab, "m"));
        insta::assert_snapshot!("worker", of(&lab, "w1"));
    }

    #[test]
    fn several_servers_share_an_etcd() {
        let lab = lab(&[("m", "master"), ("s1", "server"), ("s2", "server")]);
        insta::assert_snapshot!("first_of_three", of(&lab, "m"));
        insta::assert_snapshot!("second_of_three", of(&lab, "s1"));
    }

    #[test]
    fn without_a_lab_k3s_makes_its_own_keys() {
        insta::assert_snapshot!("standalone", standalone_config("pi"));
    }

    #[test]
    fn settings_of_the_lab_have_the_last_word() {
        let mut lab = lab(&[("m", "master"), ("w1", "worker")]);
        lab.k3s.server_config = BTreeMap::from([
            ("disable".to_owned(), json!(["traefik"])),
            ("kubelet-arg+".to_owned(), json!("max-pods=50")),
            ("write-kubeconfig-mode".to_owned(), json!("0640")),
        ]);
        lab.k3s.agent_config = BTreeMap::from([("node-label".to_owned(), json!(["disk=ssd"]))]);
        let parsed: BTreeMap<String, Value> = serde_saphyr::from_str(&of(&lab, "m")).unwrap();
        assert_eq!(parsed["disable"], json!(["traefik"]));
        assert_eq!(parsed["tls-san"], json!(["m", "m.local"]));
        assert_eq!(parsed["kubelet-arg"], json!("max-pods=50"));
        assert_eq!(parsed["write-kubeconfig-mode"], json!("0640"));
        assert!(!parsed.contains_key("kubelet-arg+") && !parsed.contains_key("node-label"));
        let parsed: BTreeMap<String, Value> = serde_saphyr::from_str(&of(&lab, "w1")).unwrap();
        assert_eq!(parsed["node-label"], json!(["disk=ssd"]));
        assert!(!parsed.contains_key("disable"));
    }

    #[test]
    fn settings_of_a_node_are_its_own() {
        let mut lab = lab(&[("m", "master"), ("w1", "worker"), ("w2", "worker")]);
        lab.k3s.agent_config =
            BTreeMap::from([("node-label".to_owned(), json!(["a=b"])), ("node-ip".to_owned(), json!("10.0.0.1"))]);
        lab.nodes[1].k3s =
            BTreeMap::from([("node-label".to_owned(), json!(["disk=ssd"])), ("node-ip".to_owned(), json!("10.0.0.2"))]);
        lab.nodes[0].k3s = BTreeMap::from([("tls-san".to_owned(), json!("k3s.example"))]);
        let parsed = |name: &str| -> BTreeMap<String, Value> { serde_saphyr::from_str(&of(&lab, name)).unwrap() };
        assert_eq!(parsed("w1")["node-label"], json!(["a=b", "disk=ssd"]));
        assert_eq!(parsed("w1")["node-ip"], json!("10.0.0.2"));
        assert_eq!(parsed("w2")["node-label"], json!(["a=b"]));
        assert_eq!(parsed("m")["tls-san"], json!(["m", "m.local", "k3s.example"]));
    }

    /// In whichever way the user writes a list, our entries stay complete and come first.
    #[test]
    fn no_setting_takes_from_a_list_of_ours() {
        let ours = {
            let lab = lab(&[("m", "master")]);
            let parsed: BTreeMap<String, Value> = serde_saphyr::from_str(&of(&lab, "m")).unwrap();
            parsed.into_iter().filter_map(|(key, value)| Some((key, value.as_array()?.clone()))).collect::<Vec<_>>()
        };
        assert_eq!(ours.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), lists(K3sKind::Server));
        for (key, first) in ours {
            let entry = "k3s.example.org";
            let again = first.last().unwrap();
            for (name, value) in [
                (key.clone(), json!(entry)),
                (key.clone(), json!([entry])),
                (key.clone(), json!([again, entry, entry])),
                (format!("{key}+"), json!(entry)),
                (format!("{key}+"), json!([again, entry])),
            ] {
                let mut lab = lab(&[("m", "master")]);
                lab.k3s.server_config = BTreeMap::from([(name.clone(), value.clone())]);
                let parsed: BTreeMap<String, Value> = serde_saphyr::from_str(&of(&lab, "m")).unwrap();
                let expected = first.iter().cloned().chain([json!(entry)]).collect::<Vec<_>>();
                assert_eq!(parsed[&key], Value::Array(expected), "{name} = {value}");
            }
            let mut lab = lab(&[("m", "master")]);
            lab.k3s.server_config =
                BTreeMap::from([(key.clone(), json!(["a.example"])), (format!("{key}+"), json!("b.example"))]);
            let parsed: BTreeMap<String, Value> = serde_saphyr::from_str(&of(&lab, "m")).unwrap();
            let all = parsed[&key].as_array().unwrap();
            assert_eq!(all[first.len()..], [json!("a.example"), json!("b.example")]);
        }
    }
}
