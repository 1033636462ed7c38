//! The needed parts of Kubernetes objects, as the API sends them (Kubernetes API reference; k3s's `Addon`; Helm
//! controller's `HelmChart`). Fields may be absent; unknown ones are skipped.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Client, KubeError};

/// The objects for a status; `None` when the API has no such kind yet.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Objects {
    pub(super) nodes: List<Node>,
    pub(super) addons: Option<List<AddOn>>,
    pub(super) charts: Option<List<Chart>>,
    pub(super) jobs: Option<List<Job>>,
    /// Events about `AddOn`s.
    pub(super) events: Option<List<Event>>,
}

impl Objects {
    /// Reads them from the cluster.
    ///
    /// # Errors
    /// As [`Client::get`]; an API without the node kind is [`KubeError::Answer`].
    pub fn fetch(client: &Client) -> Result<Self, KubeError> {
        const NODES: &str = "/api/v1/nodes";
        let no_nodes = || client.answer(NODES, "404");
        Ok(Self {
            nodes: client.get(NODES)?.ok_or_else(no_nodes)?,
            addons: client.get("/apis/k3s.cattle.io/v1/addons")?,
            charts: client.get("/apis/helm.cattle.io/v1/helmcharts")?,
            jobs: client.get("/apis/batch/v1/jobs?labelSelector=helmcharts.helm.cattle.io%2Fchart")?,
            events: client.get("/api/v1/events?fieldSelector=involvedObject.kind%3DAddon")?,
        })
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct List<T> {
    #[serde(default = "Vec::new", deserialize_with = "or_empty", bound = "T: Deserialize<'de>")]
    pub(super) items: Vec<T>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

/// Go writes an empty list as `null`.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: NodeSpec,
    #[serde(default)]
    pub(super) status: NodeStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct NodeSpec {
    #[serde(default)]
    pub(super) unschedulable: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeStatus {
    #[serde(deserialize_with = "or_empty")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "or_empty")]
    pub(super) addresses: Vec<NodeAddress>,
    pub(super) node_info: NodeInfo,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeInfo {
    pub(super) kubelet_version: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// `True`, `False` or `Unknown`.
    pub(super) status: String,
    #[serde(default)]
    pub(super) reason: String,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct AddOn {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) spec: AddOnSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AddOnSpec {
    /// The manifest on the master.
    pub(super) source: String,
    /// Set once the whole manifest was applied; k3s 1.21 never sets it.
    pub(super) checksum: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Chart {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) status: ChartStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ChartStatus {
    pub(super) job_name: String,
    #[serde(deserialize_with = "or_empty")]
    pub(super) conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Job {
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) status: JobStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct JobStatus {
    pub(super) active: u32,
    pub(super) failed: u32,
    #[serde(deserialize_with = "or_empty")]
    pub(super) conditions: Vec<Condition>,
}

/// An event about an object; the API keeps it for an hour.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Event {
    pub(super) involved_object: Involved,
    pub(super) reason: String,
    pub(super) message: String,
    /// RFC 3339, always UTC, so text order is time order.
    pub(super) last_timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Involved {
    pub(super) kind: String,
    pub(super) name: String,
}
