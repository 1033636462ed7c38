//! Tests of the status made from objects.

#![allow(clippy::needless_pass_by_value, reason = "values are written where they are passed")]

use serde_json::{Value, json};

use crate::kube::{Objects, State, Status, changes, render};

fn node(name: &str, labels: &Value, ready: &str, reason: &str, message: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": "x", "labels": labels},
        "spec": {"podCIDR": "10.42.0.0/24"},
        "status": {
            "addresses": [
                {"type": "Hostname", "address": name},
                {"type": "InternalIP", "address": "192.168.1.10"}
            ],
            "conditions": [
                {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory", "message": "ok"},
                {"type": "Ready", "status": ready, "reason": reason, "message": message}
            ],
            "nodeInfo": {"kubeletVersion": "v1.36.5+k3s1", "architecture": "arm64"}
        }
    })
}

fn master() -> Value {
    let labels =
        json!({"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/master": "true", "a": "b"});
    node("master", &labels, "True", "KubeletReady", "kubelet is posting ready status")
}

fn addon(name: &str, checksum: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {"source": format!("/var/lib/rancher/k3s/server/manifests/{name}.yaml"), "checksum": checksum},
        "status": {}
    })
}

fn chart(name: &str, job: Option<&str>) -> Value {
    let status = job.map_or(json!({}), |job| json!({"jobName": job}));
    json!({"metadata": {"name": name, "namespace": "kube-system"}, "spec": {"chart": "x"}, "status": status})
}

fn job(name: &str, status: &Value) -> Value {
    let labels = json!({"helmcharts.helm.cattle.io/chart": "x"});
    json!({"metadata": {"name": name, "namespace": "kube-system", "labels": labels}, "status": status})
}

fn status(objects: &Value, expected: &[&str]) -> Status {
    let objects: Objects = serde_json::from_value(objects.clone()).unwrap();
    Status::of(&objects, &expected.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
}

fn starting() -> Value {
    let w1 = node("w1", &json!({}), "False", "KubeletNotReady", "container runtime network\nnot ready");
    json!({
        "nodes": {"kind": "NodeList", "items": [w1, master()]},
        "addons": {"items": [addon("nfs", ""), addon("coredns", "ab12")]},
        "charts": {"items": [
            chart("a-new", None), chart("b-runs", Some("helm-install-b-runs")), chart("c-again", None),
            chart("d-failed", Some("helm-install-d-failed")), chart("e-done", Some("helm-install-e-done")),
        ]},
        "jobs": {"items": [
            job("helm-install-b-runs", &json!({"active": 1})),
            job("helm-install-c-again", &json!({"active": 1, "failed": 3})),
            job("helm-install-d-failed", &json!({"failed": 9, "conditions":
                [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "Job has reached the limit"}]})),
            job("helm-install-e-done", &json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]})),
        ]}
    })
}

#[test]
fn a_starting_cluster_says_what_is_missing() {
    let status = status(&starting(), &["master", "w1", "w2"]);
    assert!(!status.ready);
    let nodes: Vec<_> = status.nodes.iter().map(|n| (n.name.as_str(), n.state, n.roles.as_str())).collect();
    assert_eq!(
        nodes,
        [("master", State::Ready, "control-plane,master"), ("w1", State::Waiting, ""), ("w2", State::Missing, "")]
    );
    assert_eq!(
        status.missing,
        [
            "node w1 is not ready: KubeletNotReady: container runtime network not ready",
            "node w2 has not joined",
            "AddOn nfs is not applied",
            "chart a-new is not installed: its job is not made yet",
            "chart b-runs is not installed: its job runs",
            "chart c-again is not installed: tries again, 3 failed so far",
            "chart d-failed is not installed: BackoffLimitExceeded: Job has reached the limit",
        ]
    );
    assert!(
        status
            .hints
            .iter()
            .any(|h| h == "d-failed: `kubectl -n kube-system logs job/helm-install-d-failed` shows what it does")
    );
    insta::assert_snapshot!(render(&status), @r"
    NODE    STATE    ROLES                 VERSION       ADDRESS
    master  ready    control-plane,master  v1.36.5+k3s1  192.168.1.10
    w1      waiting  worker                v1.36.5+k3s1  192.168.1.10  KubeletNotReady: container runtime network not ready
    w2      missing                                                    has not joined

    ADDON    STATE    MANIFEST
    coredns  ready    /var/lib/rancher/k3s/server/manifests/coredns.yaml
    nfs      waiting  /var/lib/rancher/k3s/server/manifests/nfs.yaml

    CHART     STATE    NAMESPACE
    a-new     waiting  kube-system  its job is not made yet
    b-runs    waiting  kube-system  its job runs
    c-again   waiting  kube-system  tries again, 3 failed so far
    d-failed  failed   kube-system  BackoffLimitExceeded: Job has reached the limit
    e-done    ready    kube-system
    ");
}

#[test]
fn all_there_is_ready() {
    let objects = json!({
        "nodes": {"items": [master(), node("w1", &json!({}), "True", "KubeletReady", "")]},
        "addons": {"items": [addon("coredns", "ab12")]},
        "charts": {"items": null},
        "jobs": null
    });
    let ready = status(&objects, &["master", "w1"]);
    assert!(ready.ready && ready.missing.is_empty() && ready.hints.is_empty(), "{ready:?}");
    assert!(status(&objects, &[]).ready, "any nodes will do");
    assert!(!status(&objects, &["master", "w1", "w2"]).ready);
    let json = serde_json::to_value(&ready).unwrap();
    assert_eq!((&json["ready"], &json["nodes"][1]["state"]), (&true.into(), &"ready".into()));
}

#[test]
fn nothing_there_is_not_ready() {
    let empty = status(&json!({"nodes": {"items": null}}), &[]);
    assert_eq!(empty.missing, ["no node has joined", "k3s has not begun to apply its manifests"]);
    let strange =
        json!({"nodes": {"items": [{"metadata": {"name": "x"}}]}, "addons": {"items": [{"metadata": {"name": "y"}}]}});
    let strange = status(&strange, &["x"]);
    assert_eq!(strange.nodes[0].detail, "it has not reported yet");
    assert_eq!(strange.addons[0].state, State::Waiting);
}

#[test]
fn events_tell_what_became_of_a_manifest() {
    let event = |name: &str, reason: &str, time: &str| {
        json!({
            "involvedObject": {"kind": "Addon", "name": name, "namespace": "kube-system"},
            "reason": reason,
            "message": format!("{reason} of {name}:\n no such kind"),
            "lastTimestamp": time
        })
    };
    let mut other = event("silent", "AppliedManifest", "2026-11-24T23:58:53Z");
    other["involvedObject"]["kind"] = "Pod".into();
    let objects = json!({
        "nodes": {"items": [master()]},
        "addons": {"items": [addon("old", ""), addon("fails", ""), addon("mended", "ab"), addon("broken", "cd"), addon("silent", "")]},
        "events": {"items": [
            event("old", "AppliedManifest", "2026-11-24T23:58:52Z"),
            event("old", "ApplyingManifest", "2026-11-24T23:58:53Z"),
            event("fails", "ApplyingManifest", "2026-11-24T23:59:10Z"),
            event("fails", "ApplyManifestFailed", "2026-11-24T23:59:10Z"),
            event("mended", "AppliedManifest", "2026-11-24T23:59:30Z"),
            event("mended", "ParseManifestFailed", "2026-11-24T23:59:00Z"),
            event("broken", "AppliedManifest", "2026-11-24T23:58:52Z"),
            event("broken", "ParseManifestFailed", "2026-11-24T23:59:00Z"),
            {"involvedObject": {"kind": "Addon", "name": "silent"}, "reason": "Other", "lastTimestamp": null},
            other,
        ]}
    });
    let seen = status(&objects, &[]);
    let states: Vec<_> = seen.addons.iter().map(|a| (a.name.as_str(), a.state)).collect();
    let (ready, waiting) = (State::Ready, State::Waiting);
    let expected = [("broken", waiting), ("fails", waiting), ("mended", ready), ("old", ready), ("silent", waiting)];
    assert_eq!(states, expected);
    assert_eq!(seen.missing[1], "AddOn fails is not applied: ApplyManifestFailed of fails: no such kind");
}

#[test]
fn pressure_and_cordon_are_told_and_unknown_is_not_ready() {
    let mut full = master();
    full["status"]["conditions"][0]["status"] = "True".into();
    full["spec"]["unschedulable"] = true.into();
    let lost = node("w1", &json!({}), "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.");
    let status = status(&json!({"nodes": {"items": [full, lost]}}), &[]);
    assert_eq!(status.nodes[0].detail, "MemoryPressure, takes no new pods");
    assert_eq!((status.nodes[0].state, status.nodes[1].state), (State::Ready, State::Waiting));
}

#[test]
fn a_chart_that_gave_up_is_failed_even_without_its_job() {
    let mut gone = chart("x", Some("helm-install-x"));
    gone["status"]["conditions"] =
        json!([{"type": "Failed", "status": "True", "reason": "Unsupported", "message": "no such repo"}]);
    // A job with the same name in another namespace belongs to another chart.
    let mut other = job("helm-install-y", &json!({"conditions": [{"type": "Complete", "status": "True"}]}));
    other["metadata"]["namespace"] = "default".into();
    let objects =
        json!({"nodes": {"items": []}, "charts": {"items": [gone, chart("y", None)]}, "jobs": {"items": [other]}});
    let status = status(&objects, &[]);
    assert_eq!(
        (status.charts[0].state, status.charts[0].detail.as_str()),
        (State::Failed, "Unsupported: no such repo")
    );
    assert_eq!(status.charts[1].state, State::Waiting);
}

#[test]
fn only_changes_are_told() {
    let before = status(&starting(), &["master", "w1"]);
    let all = changes(None, &before);
    assert_eq!(all.len(), 2 + 2 + 5);
    assert_eq!(all[0], "node master: ready");
    assert!(changes(Some(&before), &before).is_empty());
    let mut later = starting();
    later["nodes"]["items"][0] = node("w1", &json!({}), "True", "KubeletReady", "");
    later["addons"]["items"][0] = addon("nfs", "cd34");
    let now = status(&later, &["master", "w1"]);
    assert_eq!(changes(Some(&before), &now), ["node w1: ready", "AddOn nfs: ready"]);
}

#[test]
fn a_cluster_cannot_steer_the_terminal() {
    let evil = node("w1", &json!({}), "False", "\u{1b}[2J", "\u{7}\u{9b}31m");
    let status = status(&json!({"nodes": {"items": [evil]}}), &[]);
    let shown = format!("{}{:?}", render(&status), changes(None, &status));
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{shown:?}");
}
