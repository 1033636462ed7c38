//! `labimg stack diff` and `labimg stack apply` on a real API server, from nothing to a smaller profile.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::isolated;
use crate::lab::{Lab, NAME};
use crate::profiles::{data, define, definitions};
use crate::server::{Cluster, PORT};

const JSON: &str = "application/json";

/// The kind of k3s's add-ons, as far as it matters here.
fn addons() -> Value {
    let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "addons.k3s.cattle.io" },
        "spec": { "group": "k3s.cattle.io", "scope": "Namespaced", "names": { "kind": "Addon", "plural": "addons" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }] },
    })
}

/// A lab whose cluster is the test's.
struct Session<'a> {
    lab: Lab,
    cluster: &'a Cluster,
    server: String,
}

impl Session<'_> {
    /// Runs `labimg stack …` as text and as JSON; neither shows a secret.
    fn run(&self, arguments: &[&str]) -> (String, Value, bool) {
        let all = [arguments, &["--server", &self.server]].concat();
        let (text, said, is_good) = self.lab.try_stack(&all);
        self.no_secret(&format!("{text}{said}"));
        (text, said.into(), is_good)
    }

    fn json(&self, arguments: &[&str]) -> (Value, String, bool) {
        let all = [arguments, &["--server", &self.server, "--json", "--quiet"]].concat();
        let (out, said, is_good) = self.lab.try_stack(&all);
        self.no_secret(&format!("{out}{said}"));
        (serde_json::from_str(&out).unwrap_or(Value::Null), said, is_good)
    }

    /// What differs.
    fn diff(&self) -> Value {
        let (found, said, is_good) = self.json(&["diff"]);
        assert!(is_good, "{said}{found}");
        found
    }

    fn is_the_same(&self) {
        let found = self.diff();
        assert_eq!(found["objects"], json!([]), "after everything was applied");
    }

    fn apply(&self, arguments: &[&str]) -> Value {
        let (done, said, is_good) = self.json(&[&["apply", "--timeout", "60"], arguments].concat());
        assert!(is_good, "{said}{done}");
        done
    }

    /// Passwords, keys and what Secrets hold of them appear nowhere.
    fn no_secret(&self, said: &str) {
        let folder = self.lab.path().join("secrets/stack");
        let Ok(groups) = std::fs::read_dir(folder) else { return };
        let mut count = 0;
        for group in groups {
            let Ok(text) = std::fs::read_to_string(group.unwrap().path().join("value")) else { continue };
            let value = text.trim();
            let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value);
            assert!(!said.contains(value) && !said.contains(&encoded), "a secret is shown");
            count += 1;
        }
        assert!(count > 0);
        assert!(!said.contains("PRIVATE KEY") && !said.contains("LS0tLS1CRUdJTi"), "a key is shown");
    }

    fn post(&self, path: &str, object: &Value) {
        let (status, answer) = self.cluster.ask(Method::POST, path, Some((JSON, object.to_string())));
        assert!(status == 201, "{path}: {answer}");
    }

    fn exists(&self, path: &str) -> bool {
        let (status, answer) = self.cluster.ask(Method::GET, path, None);
        status == 200 && answer["metadata"].get("deletionTimestamp").is_none()
    }
}

fn names(found: &Value) -> Vec<String> {
    let name = |one: &Value| format!("{}/{}", one["kind"].as_str().unwrap(), one["name"].as_str().unwrap());
    found.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_cluster_gets_what_differs_and_nothing_else() {
    let Some(program) = isolated("changes::a_cluster_gets_what_differs_and_nothing_else") else { return };
    let Some(data) = data() else { return };
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::new("identity");
    let mut cluster = Cluster::new(&program, lab.path(), NAME, folder.path());
    cluster.begin();
    let (k3s, charts): (Vec<Value>, Vec<Value>) =
        definitions(&data).into_iter().partition(|kind| kind["spec"]["group"] == "helm.cattle.io");
    define(&cluster, &k3s);
    define(&cluster, &[addons()]);
    let session = Session { lab, cluster: &cluster, server: format!("127.0.0.1:{PORT}") };
    let all = session.lab.objects().len();

    // At first nothing is there, not even some kinds; and a trial makes nothing, here or there.
    let found = session.diff();
    let objects = found["objects"].as_array().unwrap();
    assert_eq!(objects.len(), all);
    let of = |state: &str| objects.iter().filter(|one| one["state"] == state).count();
    assert_eq!(of("new") + of("waits"), all, "{found:#}");
    let issuer = objects.iter().find(|one| one["kind"] == "ClusterIssuer").unwrap();
    assert_eq!(issuer["why"], "its kind ClusterIssuer (cert-manager.io/v1) comes with the chart cert-manager");
    assert!(!session.lab.path().join("secrets/stack").exists(), "a trial makes no secrets");
    assert!(!session.exists("/api/v1/namespaces/auth"));

    // What has to wait is told, and the wait ends at once when it is asked to.
    interrupted(&session);
    let (_, given) = cluster.ask(Method::GET, "/api/v1/namespaces/kube-system/configmaps/labimg-applied", None);
    assert!(given["data"]["objects"].as_str().unwrap().contains("v1 Namespace - auth\n"), "{given}");
    let (text, _, is_good) = session.run(&["apply", "--timeout", "0"]);
    assert!(
        !is_good && text.contains("failed: its kind ClusterIssuer (cert-manager.io/v1) comes with the chart"),
        "{text}"
    );
    define(&cluster, &charts);
    let done = session.apply(&[]);
    assert!(session.lab.path().join("ca.crt").exists());
    assert_eq!(done["failed"], 0, "{done:#}");
    assert!(done["created"].as_u64().unwrap() > 0);
    session.is_the_same();
    let done = session.apply(&[]);
    assert_eq!((&done["created"], &done["changed"], &done["unchanged"]), (&json!(0), &json!(0), &json!(all)));

    one_value(&session);
    one_secret(&session);
    what_k3s_gave(&session);
    what_is_no_longer_there(&session);
}

fn interrupted(session: &Session<'_>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labimg"));
    command.args(["stack", "apply", "--server", &session.server]).current_dir(session.lab.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("waits: ")), "it does not tell what it waits for");
    let begun = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// A value of the lab is what differs, as lines, and nothing else.
fn one_value(session: &Session<'_>) {
    session.lab.write("identity", "[stack.components.keycloak.values]\nreplicas = 7\n");
    let found = session.diff();
    assert_eq!(names(&found["objects"]), ["HelmChart/keycloak"]);
    let changes = found["objects"][0]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["path"], "spec.valuesContent");
    let (text, _, _) = session.run(&["diff"]);
    let signs: Vec<&str> = text.lines().filter(|line| line.starts_with("    +") || line.starts_with("    -")).collect();
    assert!(text.starts_with("HelmChart kube-system/keycloak\n  spec.valuesContent:\n"), "{text}");
    assert!(signs.iter().all(|line| line.contains("replicas:")) && signs.contains(&"    +replicas: 7"), "{text}");
    let done = session.apply(&[]);
    assert_eq!((&done["created"], &done["changed"]), (&json!(0), &json!(1)));
    session.is_the_same();
    session.lab.write("identity", "");
    assert_eq!(session.apply(&[])["changed"], 1);
    session.is_the_same();
}

/// Of a Secret the key is told.
fn one_secret(session: &Session<'_>) {
    let file = session.lab.path().join("secrets/stack/keycloak-admin/value");
    let old = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, "another-password-of-the-administrator\n").unwrap();
    let found = session.diff();
    assert_eq!(names(&found["objects"]), ["Secret/keycloak-admin"]);
    let changes = &found["objects"][0]["changes"];
    assert!(changes.as_array().unwrap().iter().all(|change| change["hidden"] == true && change.get("to").is_none()));
    let (text, _, _) = session.run(&["diff"]);
    assert!(text.contains(": differs\n") && !text.contains(old.trim()), "{text}");
    assert_eq!(session.apply(&[])["changed"], 1);
    session.is_the_same();
}

/// What k3s applied from a file, and the lab no longer has, is taken away; what others added stays.
fn what_k3s_gave(session: &Session<'_>) {
    const LAB: &str = "/api/v1/namespaces/kube-system/configmaps";
    let object = session.lab.objects().into_iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or("kube-system").to_owned();
    let folder = LAB.replace("kube-system", &namespace);
    let path = format!("{folder}/{name}");
    let (status, _) = session.cluster.ask(Method::DELETE, &path, None);
    assert_eq!(status, 200);
    let mut applied = object.clone();
    applied["data"]["once"] = "given by k3s".into();
    let mut live = applied.clone();
    live["metadata"]["annotations"] = json!({ "objectset.rio.cattle.io/applied": applied.to_string() });
    live["data"]["others"] = "kept".into();
    session.post(&format!("{folder}?fieldManager=deploy@master"), &live);
    let found = session.diff();
    assert_eq!(names(&found["objects"]), [format!("ConfigMap/{name}")]);
    assert_eq!(found["objects"][0]["changes"], json!([{ "path": "data.once", "from": "given by k3s" }]));
    assert_eq!(session.apply(&[])["changed"], 1);
    session.is_the_same();
    let (_, live) = session.cluster.ask(Method::GET, &path, None);
    assert_eq!((&live["data"]["others"], live["data"].get("once")), (&json!("kept"), None));
}

/// What a smaller lab no longer has is named, and goes when it is asked for; what may hold data only by its name.
fn what_is_no_longer_there(session: &Session<'_>) {
    // One object came with the card.
    session.post(
        "/apis/k3s.cattle.io/v1/namespaces/kube-system/addons",
        &json!({ "apiVersion": "k3s.cattle.io/v1", "kind": "Addon", "metadata": { "name": "kured", "namespace": "kube-system",
            "annotations": { "addon.k3s.cattle.io/gvks": "/v1, Kind=ConfigMap;gone.example/v1, Kind=Gone" } },
            "spec": { "source": "/var/lib/rancher/k3s/server/manifests/kured.yaml", "checksum": "1" } }),
    );
    for (name, source) in [("traefik", "traefik.yaml"), ("by-hand", "by-hand.yaml")] {
        session.post(
            "/apis/k3s.cattle.io/v1/namespaces/kube-system/addons",
            &json!({ "apiVersion": "k3s.cattle.io/v1", "kind": "Addon", "metadata": { "name": name, "namespace": "kube-system" },
                "spec": { "source": format!("/var/lib/rancher/k3s/server/manifests/{source}") } }),
        );
    }
    let of = |owner: &str| {
        json!({ "objectset.rio.cattle.io/owner-gvk": "k3s.cattle.io/v1, Kind=Addon",
        "objectset.rio.cattle.io/owner-name": owner })
    };
    for owner in ["kured", "traefik"] {
        session.post(
            "/api/v1/namespaces/kube-system/configmaps",
            &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": format!("of-{owner}"), "namespace": "kube-system",
                "annotations": of(owner), "labels": { "objectset.rio.cattle.io/hash": "x" } } }),
        );
    }
    session.lab.write("minimal", "");
    let found = session.diff();
    let gone = names(&found["gone"]["objects"]);
    assert_eq!(found["gone"]["foreign"], json!(["/var/lib/rancher/k3s/server/manifests/by-hand.yaml"]));
    for name in ["HelmChart/keycloak", "Secret/keycloak-admin", "Namespace/auth", "ConfigMap/of-kured"] {
        assert!(gone.contains(&name.to_owned()), "{name}: {gone:?}");
    }
    assert!(
        !gone.iter().any(|name| name.contains("of-traefik")
            || name.contains("cert-manager")
            || name.contains("labimg-applied")),
        "{gone:?}"
    );

    let chart = "/apis/helm.cattle.io/v1/namespaces/kube-system/helmcharts/keycloak";
    session.apply(&[]);
    assert!(session.exists(chart), "nothing goes unasked");
    let (_, said, is_good) = session.run(&["apply", "--prune"]);
    assert!(!is_good && said.as_str().unwrap().contains("nobody can be asked"), "{said}");
    let (_, said, is_good) = session.run(&["apply", "--prune", "--yes", "--and-data", "Namespace/aut"]);
    assert!(!is_good && said.as_str().unwrap().contains("Namespace/auth"), "{said}");
    assert!(session.exists(chart) && session.exists("/api/v1/namespaces/auth"));

    let done = session.apply(&["--prune", "--yes"]);
    let kept = names(&done["kept"]);
    assert!(names(&done["deleted"]).contains(&"HelmChart/keycloak".to_owned()), "{done:#}");
    assert!(
        kept.contains(&"Namespace/auth".to_owned()) && kept.contains(&"Cluster/keycloak-db".to_owned()),
        "{kept:?}"
    );
    assert!(!session.exists(chart) && session.exists("/api/v1/namespaces/auth"));
    assert_eq!(names(&session.diff()["gone"]["objects"]).len(), kept.len());

    session.apply(&["--prune", "--yes", "--and-data", "Namespace/auth"]);
    assert!(!session.exists("/api/v1/namespaces/auth"));
    session.is_the_same();
}

#[test]
fn without_the_lab_s_certificate_nothing_is_taken() {
    let Some(program) = isolated("changes::without_the_lab_s_certificate_nothing_is_taken") else { return };
    let folder = tempfile::tempdir().unwrap();
    let (lab, other) = (Lab::new("minimal"), Lab::new("minimal"));
    let mut cluster = Cluster::new(&program, lab.path(), NAME, folder.path());
    cluster.begin();
    let server = format!("127.0.0.1:{PORT}");
    for command in ["diff", "apply"] {
        let (_, said, is_good) = other.try_stack(&[command, "--server", &server]);
        assert!(!is_good && said.contains("is not trusted"), "{said}");
    }
    assert!(!Path::new(&other.path().join("secrets/stack")).exists(), "secrets are made before anybody answers");
}
