//! Output about the keys of a lab, the state of a cluster, and QEMU.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::api::Api;
use crate::lab::lab;
use crate::{Session, dead_url};

#[test]
fn secrets_of_a_lab() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.both(&["secrets", "show"]);
    session.both(&["secrets", "rotate", "--tokens", "--yes"]);
    session.prepare(&["build", "worker-1", "-o", "x.img"]);
    session.note("after a build");
    session.both(&["secrets", "show"]);
    session.both(&["secrets", "kubeconfig"]);
    session.note("nobody answers");
    session.both(&["secrets", "rotate", "--all"]);
    session.both(&["secrets", "rotate", "--tokens", "--yes"]);
    session.note("a token that is no longer there");
    std::fs::remove_file(session.path("secrets/tokens/server")).unwrap();
    session.both(&["secrets", "show"]);
    session.note("a folder that everybody may read");
    std::fs::set_permissions(session.path("secrets"), std::fs::Permissions::from_mode(0o755)).unwrap();
    session.both(&["secrets", "show"]);
    session.ends("secrets");
}

#[test]
fn a_cluster_that_is_not_there() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.note("never built");
    session.both(&["status"]);
    session.both(&["status", "--kubeconfig", "nowhere"]);
    session.write("broken", "a: [\n");
    session.both(&["status", "--kubeconfig", "broken"]);
    session.write("other", "apiVersion: v1\nkind: Config\n");
    session.both(&["status", "--kubeconfig", "other"]);
    session.both(&["status", "--server", "nowhere"]);
    session.prepare(&["build", "worker-1", "-o", "x.img"]);
    session.note("nobody listens");
    let dead = dead_url("").replace("http://", "");
    session.both(&["status", "--server", &dead]);
    session.both(&["status", "--server", &dead, "--wait", "--timeout", "1"]);
    session.ends("status");
}

/// Objects of a lab folder: one more kind than the API has.
const MANIFEST: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: settings, namespace: app }
data:
  app.conf: |
    one
    two
    three
    four
    five
    six
---
apiVersion: v1
kind: Secret
metadata: { name: door, namespace: app }
stringData: { code: first-code }
---
apiVersion: v1
kind: Namespace
metadata: { name: app }
";

#[test]
fn a_cluster_that_differs_from_its_lab() {
    const SETTINGS: &str = "/api/v1/namespaces/app/configmaps/settings";
    let mut session = Session::new();
    session.write("lab.toml", lab(&session, ""));
    session.note("without secrets");
    session.both(&["stack", "diff"]);
    let api = Api::of(session.dir.path());
    let server = ["--server", &api.address()];
    let with = |arguments: &[&'static str]| [arguments, &server].concat();
    session.write("manifests/app.yaml", MANIFEST);
    session.note("a cluster without anything of the lab");
    session.run(&with(&["stack", "diff"]));
    session.note("a webhook whose pods do not run yet, and an object that the API does not take");
    api.refuse(SETTINGS, 500, "failed calling webhook \"w.example\": no endpoints available");
    api.refuse("/api/v1/namespaces/lab", 422, "Namespace \"lab\" is invalid: metadata.name: Invalid value");
    api.refuse("/api/v1/namespaces/app/secrets/door", 422, "Secret is invalid: data[code]: first-code");
    session.run(&with(&["stack", "apply"]));
    session.both(&with(&["stack", "apply"]));
    session.both(&with(&["stack", "diff"]));
    session.note("a text, a Secret and a kind that nobody brings");
    let issuer = "---\napiVersion: cert-manager.io/v1\nkind: Issuer\nmetadata: { name: mine }\n\
        ---\napiVersion: example.org/v1\nkind: Thing\nmetadata: { name: mine }\n";
    session.write("manifests/app.yaml", MANIFEST.replace("two\n", "2\n").replace("first-code", "other-code") + issuer);
    session.both(&with(&["stack", "diff"]));
    session.run(&with(&["stack", "apply", "--timeout", "0"]));
    session.note("a component that was switched off, with a claim, and a file that somebody put there");
    for name in ["nfs-storage", "cert-manager", "nextcloud", "by-hand"] {
        let source = format!("/var/lib/rancher/k3s/server/manifests/{name}.yaml");
        api.put(
            &format!("/apis/k3s.cattle.io/v1/namespaces/kube-system/addons/{name}"),
            json!({ "metadata": { "name": name, "annotations": { "addon.k3s.cattle.io/gvks": "helm.cattle.io/v1, Kind=HelmChart" } },
                "spec": { "source": source } }),
        );
        let annotations = json!({ "objectset.rio.cattle.io/owner-gvk": "k3s.cattle.io/v1, Kind=Addon",
            "objectset.rio.cattle.io/owner-name": name });
        if name != "nfs-storage" {
            api.put(
                &format!("/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/{name}"),
                json!({ "metadata": { "name": name, "namespace": "kube-system", "annotations": annotations } }),
            );
        }
    }
    let release = json!({ "meta.helm.sh/release-name": "nextcloud" });
    api.put(
        "/api/v1/persistentvolumeclaims",
        json!({ "items": [{ "metadata": { "name": "files", "namespace": "nextcloud", "annotations": release } }] }),
    );
    session.write("manifests/app.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: { name: app }\n");
    session.both(&with(&["stack", "diff"]));
    session.run(&with(&["stack", "apply", "--prune"]));
    session.run(&with(&["stack", "apply", "--prune", "--yes", "--and-data", "HelmChart/kube-system/nextclout"]));
    session.both(&with(&["stack", "apply", "--prune", "--yes"]));
    session.run(&with(&["stack", "apply", "--prune", "--yes", "--and-data", "HelmChart/kube-system/nextcloud"]));
    session.run(&with(&["stack", "diff"]));
    for code in ["first-code", "other-code"] {
        let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, code);
        assert!(!session.said.contains(code) && !session.said.contains(&encoded), "a secret is shown");
    }
    session.ends("stack_of_a_cluster");
}

#[test]
fn qemu_that_is_not_there() {
    let mut session = Session::with_archive();
    session.prepare(&["build", "--board", "virt", "--role", "worker", "--generic", "-o", "x.img"]);
    std::fs::create_dir(session.path("bin")).unwrap();
    session.path = session.path("bin").display().to_string();
    session.both(&["boot", "x.img"]);
    session.both(&["boot", "nowhere.img"]);
    session.both(&["boot", "x.img", "--board", "rpi44"]);
    session.both(&["boot", "x.img", "--board", "rpi5"]);
    session.both(&["boot", "x.img", "--ssh-port", "2222", "--network", "none"]);
    session.both(&["boot", "x.img", "--disk-size", "1M"]);
    session.both(&["boot", "x.img", "--usb", "nowhere.img"]);
    session.both(&["boot", "x.img", "--log", "nowhere/log"]);
    session.ends("boot");
}
