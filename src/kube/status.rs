//! Turns objects into rows, and tells what is still missing ([`Objects`] → [`Status`]).

use serde::Serialize;

use super::objects::{self, Condition, Objects};

/// The state of a node, add-on or chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Ready.
    Ready,
    /// In progress.
    Waiting,
    /// In the lab, but not in the cluster.
    Missing,
    /// Failed.
    Failed,
}

impl State {
    /// The state in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// Host name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// Its Kubernetes roles, such as `control-plane,master`; empty for a worker.
    pub roles: String,
    /// Version of its kubelet.
    pub version: String,
    /// Its address in the cluster.
    pub address: String,
    /// Why it is not ready, or a remark.
    pub detail: String,
}

/// A manifest that k3s applies automatically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddOn {
    /// Its name: the file name up to the first dot.
    pub name: String,
    /// Its state.
    pub state: State,
    /// The file on the master.
    pub source: String,
    /// Why it is not applied, if k3s tells.
    pub detail: String,
}

/// A Helm chart that the cluster installs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chart {
    /// Namespace of the `HelmChart` object.
    pub namespace: String,
    /// Name of the `HelmChart` object.
    pub name: String,
    /// Its state.
    pub state: State,
    /// The job that installs it.
    pub job: String,
    /// What the job does, or why it failed.
    pub detail: String,
}

/// A cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// True when nothing is missing.
    pub ready: bool,
    /// What is not ready yet, one sentence each.
    pub missing: Vec<String>,
    /// What to try, one sentence each; empty when ready.
    pub hints: Vec<String>,
    /// Nodes: the expected ones in their order, then others by name.
    pub nodes: Vec<NodeStatus>,
    /// Manifests by name.
    pub addons: Vec<AddOn>,
    /// Charts by namespace and name.
    pub charts: Vec<Chart>,
}

impl Status {
    /// The status of a cluster from its `objects`. It should have the nodes `expected`; if empty, any nodes are enough.
    #[must_use]
    pub fn of(objects: &Objects, expected: &[String]) -> Self {
        let mut status = Self {
            ready: false,
            missing: Vec::new(),
            hints: Vec::new(),
            nodes: nodes(objects, expected),
            addons: addons(objects),
            charts: charts(objects),
        };
        status.judge();
        status
    }

    fn judge(&mut self) {
        for node in self.nodes.iter().filter(|node| node.state != State::Ready) {
            let name = &node.name;
            if node.state == State::Missing {
                self.missing.push(format!("node {name} has not joined"));
                self.hints.push(format!(
                    "{name}: is it on, and in the same network? `labimg-report.txt` on its card tells how far it came"
                ));
            } else {
                self.missing.push(format!("node {name} is not ready: {}", node.detail));
            }
        }
        if self.nodes.is_empty() {
            self.missing.push("no node has joined".to_owned());
        }
        if self.addons.is_empty() {
            self.missing.push("k3s has not begun to apply its manifests".to_owned());
        }
        for addon in self.addons.iter().filter(|addon| addon.state != State::Ready) {
            let why = if addon.detail.is_empty() { String::new() } else { format!(": {}", addon.detail) };
            self.missing.push(format!("AddOn {} is not applied{why}", addon.name));
            self.hints.push(format!("{0}: `kubectl -n kube-system describe addon {0}` tells why", addon.name));
        }
        for chart in self.charts.iter().filter(|chart| chart.state != State::Ready) {
            self.missing.push(format!("chart {} is not installed: {}", chart.name, chart.detail));
            if !chart.job.is_empty() {
                self.hints.push(format!(
                    "{}: `kubectl -n {} logs job/{}` shows what it does",
                    chart.name, chart.namespace, chart.job
                ));
            }
        }
        self.ready = self.missing.is_empty();
    }
}

fn nodes(objects: &Objects, expected: &[String]) -> Vec<NodeStatus> {
    let mut rows: Vec<NodeStatus> = objects.nodes.items.iter().map(node).collect();
    for name in expected.iter().filter(|name| !objects.nodes.items.iter().any(|n| n.metadata.name == **name)) {
        rows.push(NodeStatus {
            name: name.clone(),
            state: State::Missing,
            roles: String::new(),
            version: String::new(),
            address: String::new(),
            detail: "has not joined".to_owned(),
        });
    }
    let place = |node: &NodeStatus| expected.iter().position(|name| *name == node.name).unwrap_or(usize::MAX);
    rows.sort_by(|a, b| (place(a), &a.name).cmp(&(place(b), &b.name)));
    rows
}

fn node(object: &objects::Node) -> NodeStatus {
    const ROLE: &str = "node-role.kubernetes.io/";
    let conditions = &object.status.conditions;
    let ready = conditions.iter().find(|c| c.kind == "Ready");
    let (state, mut detail) = match ready {
        Some(c) if c.status == "True" => (State::Ready, String::new()),
        Some(c) => (State::Waiting, told(c)),
        None => (State::Waiting, "it has not reported yet".to_owned()),
    };
    if state == State::Ready {
        let pressures = conditions.iter().filter(|c| c.kind != "Ready" && c.status == "True");
        let mut remarks: Vec<&str> = pressures.map(|c| c.kind.as_str()).collect();
        if object.spec.unschedulable {
            remarks.push("takes no new pods");
        }
        detail = remarks.join(", ");
    }
    let labels = object.metadata.labels.keys().filter_map(|label| label.strip_prefix(ROLE));
    let address = object.status.addresses.iter().find(|a| a.kind == "InternalIP");
    NodeStatus {
        name: object.metadata.name.clone(),
        state,
        roles: labels.collect::<Vec<_>>().join(","),
        version: object.status.node_info.kubelet_version.clone(),
        address: address.map(|a| a.address.clone()).unwrap_or_default(),
        detail,
    }
}

fn addons(objects: &Objects) -> Vec<AddOn> {
    let all = objects.addons.iter().flat_map(|list| &list.items);
    let events: Vec<&objects::Event> = objects.events.iter().flat_map(|list| &list.items).collect();
    let mut rows: Vec<AddOn> = all.map(|object| addon(object, &events)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn addon(object: &objects::AddOn, events: &[&objects::Event]) -> AddOn {
    const APPLIED: &str = "AppliedManifest";
    let name = &object.metadata.name;
    // The last event counts: a changed file may fail after it was applied once.
    let about = events.iter().filter(|e| e.involved_object.kind == "Addon" && e.involved_object.name == *name);
    let outcomes = about.filter(|e| e.reason == APPLIED || e.reason.ends_with("Failed"));
    let last = outcomes.max_by_key(|e| &e.last_timestamp);
    let (state, detail) = match last {
        Some(event) if event.reason != APPLIED => (State::Waiting, one_line(&event.message)),
        None if object.spec.checksum.is_empty() => (State::Waiting, String::new()),
        _ => (State::Ready, String::new()),
    };
    AddOn { name: name.clone(), state, source: object.spec.source.clone(), detail }
}

fn charts(objects: &Objects) -> Vec<Chart> {
    let jobs: Vec<&objects::Job> = objects.jobs.iter().flat_map(|list| &list.items).collect();
    let all = objects.charts.iter().flat_map(|list| &list.items);
    let mut rows: Vec<Chart> = all.map(|object| chart(object, &jobs)).collect();
    rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    rows
}

fn chart(object: &objects::Chart, jobs: &[&objects::Job]) -> Chart {
    let metadata = &object.metadata;
    // The controller names the chart's job; until then its usual name is used.
    let mut job = object.status.job_name.clone();
    if job.is_empty() {
        job = format!("helm-install-{}", metadata.name);
    }
    let found = jobs.iter().find(|j| j.metadata.namespace == metadata.namespace && j.metadata.name == job);
    let holds = |conditions: &'_ [Condition], kind: &str| {
        conditions.iter().find(|c| c.kind == kind && c.status == "True").cloned()
    };
    let failed = holds(&object.status.conditions, "Failed");
    let (state, detail) = match (found, failed) {
        (_, Some(condition)) => (State::Failed, told(&condition)),
        (None, None) => (State::Waiting, "its job is not made yet".to_owned()),
        (Some(job), None) => match (holds(&job.status.conditions, "Complete"), holds(&job.status.conditions, "Failed"))
        {
            (Some(_), _) => (State::Ready, String::new()),
            (None, Some(condition)) => (State::Failed, told(&condition)),
            (None, None) if job.status.failed > 0 => {
                (State::Waiting, format!("tries again, {} failed so far", job.status.failed))
            }
            (None, None) if job.status.active > 0 => (State::Waiting, "its job runs".to_owned()),
            (None, None) => (State::Waiting, "its job is about to start".to_owned()),
        },
    };
    let job = if found.is_some() { job } else { String::new() };
    Chart { namespace: metadata.namespace.clone(), name: metadata.name.clone(), state, job, detail }
}

/// Reason and message in one line.
fn told(condition: &Condition) -> String {
    let message = one_line(&condition.message);
    match (condition.reason.as_str(), message.as_str()) {
        ("", "") => format!("{} is {}", condition.kind, condition.status),
        (reason, "") => reason.to_owned(),
        ("", message) => message.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
