//! `stack` with the real kubectl, which fills the template, sends what the page gets, and asks a small API that is made here.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::root::{Root, text};

/// Group, resource, kind.
const KINDS: [(&str, &str, &str); 8] = [
    ("k3s.cattle.io/v1", "addons", "Addon"),
    ("helm.cattle.io/v1", "helmcharts", "HelmChart"),
    ("batch/v1", "jobs", "Job"),
    ("apps/v1", "deployments", "Deployment"),
    ("apps/v1", "statefulsets", "StatefulSet"),
    ("apps/v1", "daemonsets", "DaemonSet"),
    ("v1", "pods", "Pod"),
    ("v1", "configmaps", "ConfigMap"),
];

/// Objects as an API server gives them: what is not known is left out, and what a list has is what it has.
fn objects(resource: &str) -> Value {
    let at = |namespace: &str, name: &str| json!({ "namespace": namespace, "name": name, "generation": 2 });
    match resource {
        "addons" => json!([
            { "metadata": at("kube-system", "home-objects"), "spec": { "source": "/x", "checksum": "abc" }, "status": {} },
            { "metadata": at("kube-system", "never-applied"), "spec": { "source": "/y" } },
        ]),
        "helmcharts" => json!([
            { "metadata": at("kube-system", "new"), "spec": {} },
            { "metadata": at("kube-system", "bad"), "spec": {}, "status": { "jobName": "helm-install-bad", "conditions": [
                { "type": "JobCreated", "status": "True", "message": "not this" },
                { "type": "Failed", "status": "True", "message": "no \"such\"\n\tchart" } ] } },
            { "metadata": at("kube-system", "good"), "spec": {}, "status": { "jobName": "helm-install-good", "conditions": [
                { "type": "Failed", "status": "False" } ] } },
        ]),
        "jobs" => json!([
            { "metadata": at("kube-system", "helm-install-good"), "status": { "succeeded": 1 } },
            { "metadata": at("kube-system", "helm-install-bad"), "status": { "active": 1, "failed": 7 } },
        ]),
        "deployments" => json!([
            { "metadata": { "namespace": "auth", "name": "web", "generation": 3, "annotations": { "meta.helm.sh/release-name": "good" } },
                "spec": { "replicas": 2 },
                "status": { "observedGeneration": 3, "updatedReplicas": 2, "readyReplicas": 1 } },
            { "metadata": at("auth", "refused"), "spec": { "replicas": 1 }, "status": { "conditions": [
                { "type": "ReplicaFailure", "status": "True", "message": "pods is forbidden" } ] } },
        ]),
        "statefulsets" => json!([
            { "metadata": { "namespace": "vault", "name": "vault", "generation": 1, "annotations": { "x": "y" },
                "ownerReferences": [ { "kind": "Vault", "name": "the-vault" } ] }, "spec": { "replicas": 1 }, "status": { "replicas": 1 } },
        ]),
        "daemonsets" => json!([
            { "metadata": { "namespace": "logging", "name": "bits", "generation": 1,
                "annotations": { "objectset.rio.cattle.io/owner-name": "bits-objects" } },
                "status": { "observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 2 } },
        ]),
        "pods" => json!([
            { "metadata": at("auth", "alone"), "status": { "phase": "Running", "containerStatuses": [ { "state": { "running": {} } } ] } },
            { "metadata": { "namespace": "vault", "name": "vault-0", "ownerReferences": [ { "name": "vault" } ] },
                "status": { "phase": "Pending", "conditions": [
                    { "type": "Ready", "status": "False", "message": "not this" },
                    { "type": "PodScheduled", "status": "False", "message": "0/3 nodes are available" } ] } },
            { "metadata": { "namespace": "auth", "name": "web-1-x", "ownerReferences": [ { "name": "web-1" } ] }, "status": { "phase": "Pending",
                "initContainerStatuses": [ { "state": { "waiting": { "reason": "PodInitializing" } } } ],
                "containerStatuses": [ { "state": { "terminated": {} } },
                    { "state": { "waiting": { "reason": "CreateContainerConfigError", "message": "secret \"x\" not found" } } } ] } },
        ]),
        _ => json!([]),
    }
}

fn answer(path: &str) -> Value {
    let group = |version: &str| json!({ "groupVersion": version, "version": "v1" });
    if path == "/api" {
        return json!({ "kind": "APIVersions", "versions": ["v1"] });
    }
    if path == "/apis" {
        let groups: BTreeSet<_> =
            KINDS.iter().filter_map(|(version, _, _)| Some((version, version.split_once('/')?.0))).collect();
        let groups: Vec<Value> = groups
            .into_iter()
            .map(|(version, name)| json!({ "name": name, "versions": [group(version)], "preferredVersion": group(version) }))
            .collect();
        return json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups });
    }
    let rest = path.trim_start_matches("/apis/").trim_start_matches("/api/");
    let of_group = KINDS.iter().filter(|(version, _, _)| *version == rest);
    let resources: Vec<Value> = of_group
        .map(|(_, name, kind)| json!({ "name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get", "list", "patch"] }))
        .collect();
    if !resources.is_empty() {
        return json!({ "kind": "APIResourceList", "groupVersion": rest, "resources": resources });
    }
    match KINDS.iter().find(|(_, resource, _)| path.ends_with(&format!("/{resource}"))) {
        Some((version, resource, kind)) => {
            let mut items = objects(resource);
            for item in items.as_array_mut().unwrap() {
                item["apiVersion"] = (*version).into();
                item["kind"] = (*kind).into();
            }
            json!({ "kind": format!("{kind}List"), "apiVersion": version, "metadata": {}, "items": items })
        }
        None => json!({ "kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404 }),
    }
}

/// Answers one connection; what is written is kept.
fn serve(stream: &TcpStream, written: &Mutex<Vec<(String, String)>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some(("content-length", value)) = header.to_ascii_lowercase().split_once(':') {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let reply = if method == "GET" {
            answer(path.split('?').next().unwrap()).to_string()
        } else {
            let body = String::from_utf8(body).unwrap();
            written.lock().unwrap().push((format!("{method} {path}"), body.clone()));
            body
        };
        let status = if reply.contains("\"NotFound\"") { "404 Not Found" } else { "200 OK" };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", reply.len());
        (&*stream).write_all((head + &reply).as_bytes())?;
    }
}

#[test]
fn kubectl_fills_the_template_and_sends_the_page() {
    if labimg_testkit::judges::absent("kubectl", "the stack's questions, asked by a real kubectl") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let written = Arc::new(Mutex::new(Vec::new()));
    let kept = written.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, kept) = (stream.unwrap(), kept.clone());
            // An error means that kubectl has gone.
            std::thread::spawn(move || serve(&stream, &kept).map_err(|_| ()));
        }
    });

    let root = Root::new();
    root.stand_in(
        "k3s",
        &format!(
            "shift; export KUBECONFIG=/dev/null HOME=\"$LABIMG_TEST\"; exec kubectl -s http://127.0.0.1:{port} \"$@\""
        ),
    );
    root.write("usr/share/labimg/stack", "1\thome\thome\thome-objects.yaml\tlab.home.arpa\tobjects\tThe page\n");
    root.write("var/lib/rancher/k3s/server/manifests/home-objects.yaml", "# new\n");
    let output = root.run("stack", &["once"]);
    assert_eq!(output.status.code(), Some(3), "{}{}", text(&output), root.read("run/labimg/stack/error"));
    insta::assert_snapshot!(root.read("run/labimg/stack/answer").replace('\t', "|"));

    let written = written.lock().unwrap();
    let [(request, body)] = written.as_slice() else { panic!("{written:?}: {}", root.read("run/labimg/stack/error")) };
    assert!(request.starts_with("PATCH /api/v1/namespaces/home/configmaps/home-state?"), "{request}");
    assert!(request.contains("fieldManager=labimg-stack") && request.contains("force=true"), "{request}");
    let body: Value = serde_json::from_str(body).unwrap();
    let state: Value = serde_json::from_str(body["data"]["state.json"].as_str().unwrap()).unwrap();
    assert_eq!(state["components"][0]["reason"], "k3s has not applied home-objects.yaml yet");
}
