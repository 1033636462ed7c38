//! The objects of a lab that its door needs: ours as they are rendered, charts' with helm, and what the cluster would make of
//! them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use labimg_testkit::skipped;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::{Value, json};

use crate::server::{answer, serve};

pub const DOMAIN: &str = "lab.home.arpa";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";
/// At which Traefik's Service can be reached.
pub const ADDRESS: &str = "192.168.0.2";

pub struct Lab {
    pub folder: tempfile::TempDir,
    /// For the stand-in of the API server.
    pub objects: Vec<Value>,
    /// The arguments that our values come to.
    pub arguments: Vec<String>,
    /// The lab's authority, as PEM.
    pub authority: String,
}

impl Lab {
    /// Everything that there is; a service behind each Ingress tells what reaches it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let node = "[[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"rpi5\"\n";
        let stack =
            format!("name = \"home\"\nssh_keys = [\"{KEY}\"]\ndomain = \"{DOMAIN}\"\n[stack]\nprofile = \"full\"\n");
        std::fs::write(folder.path().join("lab.toml"), stack + node).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_labimg"));
        command.current_dir(folder.path()).env("HOME", folder.path()).args(["stack", "render"]);
        let rendered = command.output().unwrap();
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        let rendered = documents(&String::from_utf8(rendered.stdout).unwrap());

        let config = rendered.iter().find(|object| object["kind"] == "HelmChartConfig").unwrap();
        let values = config["spec"]["valuesContent"].as_str().unwrap();
        let mut arguments = arguments(values);
        let mut objects: Vec<Value> = Vec::new();
        if let Some(charts) = charts() {
            let made = documents(&helm(&charts, folder.path(), "traefik", "traefik", "kube-system", values));
            let of_chart = made.iter().find(|object| object["kind"] == "Deployment").unwrap();
            let of_chart = of_chart["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
            for argument in &arguments {
                assert!(of_chart.iter().any(|known| known == argument), "{argument}: {of_chart:#?}");
            }
            // The other two ways to routes ask for kinds of Traefik's own, and know none of the lab's Ingresses.
            let is_other = |text: &str| {
                text.starts_with("--providers.kubernetescrd") || text.starts_with("--providers.kubernetesingress.")
            };
            let all = of_chart.iter().map(|argument| argument.as_str().unwrap());
            arguments =
                all.filter(|a| !is_other(a) && *a != "--providers.kubernetesingress").map(str::to_owned).collect();
            objects.extend(of_charts(&charts, folder.path(), &rendered));
        }
        let ours =
            rendered.into_iter().filter(|object| object["kind"] == "Ingress" || object["kind"] == "IngressClass");
        objects.extend(ours);
        let authority = complete(&mut objects);
        Self { folder, objects, arguments, authority }
    }
}

fn documents(text: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    all.into_iter().filter(Value::is_object).collect()
}

/// What k3s's chart of Traefik makes of our values. Each has its place here, so that none can come without a test.
fn arguments(values: &str) -> Vec<String> {
    let mut all: Vec<String> = [
        "--entryPoints.web.address=:8000/tcp",
        "--entryPoints.websecure.address=:8443/tcp",
        "--entryPoints.websecure.http.tls=true",
        "--log.level=INFO",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut leaves = BTreeMap::new();
    flatten(&serde_saphyr::from_str(values).unwrap(), "", &mut leaves);
    let redirection = "--entryPoints.web.http.redirections.entryPoint";
    for (path, value) in leaves {
        let made = match (path.as_str(), value.as_str()) {
            (".providers.kubernetesIngressNGINX.enabled", "true") => vec![
                "--providers.kubernetesingressnginx".to_owned(),
                "--providers.kubernetesingressnginx.controllerClass=k8s.io/ingress-nginx".to_owned(),
                "--providers.kubernetesingressnginx.ingressClass=nginx".to_owned(),
                "--providers.kubernetesingressnginx.httpEntryPoint=web".to_owned(),
                "--providers.kubernetesingressnginx.httpsEntryPoint=websecure".to_owned(),
            ],
            (".providers.kubernetesIngressNGINX.publishService.enabled", "true") => {
                vec!["--providers.kubernetesingressnginx.publishservice=kube-system/traefik".to_owned()]
            }
            (".ports.web.http.redirections.entryPoint.to", "websecure") => vec![format!("{redirection}.to=:443")],
            (".ports.web.http.redirections.entryPoint.scheme", scheme) => {
                vec![format!("{redirection}.scheme={scheme}")]
            }
            (".ports.web.http.redirections.entryPoint.permanent", yes) => {
                vec![format!("{redirection}.permanent={yes}")]
            }
            (".ports.websecure.transport.respondingTimeouts.readTimeout", time) => {
                vec![format!("--entryPoints.websecure.transport.respondingTimeouts.readTimeout={time}")]
            }
            (path, _) if path.starts_with(".resources.") => Vec::new(),
            (path, value) => panic!("what does Traefik's chart make of {path}: {value}?"),
        };
        all.extend(made);
    }
    all
}

fn flatten(value: &Value, path: &str, all: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| flatten(value, &format!("{path}.{key}"), all)),
        Value::String(text) => drop(all.insert(path.to_owned(), text.clone())),
        value => drop(all.insert(path.to_owned(), value.to_string())),
    }
}

/// The folder of charts, when there is one, and helm.
fn charts() -> Option<(PathBuf, PathBuf)> {
    const WHAT: &str = "Ingresses that charts make, in Traefik";
    let Some(folder) = std::env::var_os("LABIMG_TEST_CHARTS").filter(|folder| !folder.is_empty()) else {
        skipped(WHAT, "LABIMG_TEST_CHARTS names no folder with charts");
        return None;
    };
    let helm = PathBuf::from(std::env::var_os("LABIMG_TEST_HELM").unwrap_or_else(|| "helm".into()));
    if !Command::new(&helm).arg("version").output().is_ok_and(|output| output.status.success()) {
        skipped(WHAT, "there is no helm: LABIMG_TEST_HELM names none");
        return None;
    }
    Some((folder.into(), helm))
}

fn helm((charts, helm): &(PathBuf, PathBuf), folder: &Path, name: &str, chart: &str, at: &str, values: &str) -> String {
    let file = folder.join(format!("{name}-values.yaml"));
    std::fs::write(&file, values).unwrap();
    let mut command = Command::new(helm);
    command
        .args(["template", name])
        .arg(charts.join(chart))
        .args(["-n", at, "--kube-version", "1.36.5", "-f"])
        .arg(&file);
    let made = command.env("HOME", folder).output().unwrap();
    assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

/// The Ingresses that our values ask charts for.
fn of_charts(charts: &(PathBuf, PathBuf), folder: &Path, rendered: &[Value]) -> Vec<Value> {
    let mut found = Vec::new();
    for object in rendered.iter().filter(|object| object["kind"] == "HelmChart") {
        let (spec, name) = (&object["spec"], object["metadata"]["name"].as_str().unwrap());
        let values = spec["valuesContent"].as_str().unwrap_or_default();
        let parsed: Value = serde_saphyr::from_str(values).unwrap_or_default();
        let chart = spec["chart"].as_str().unwrap().rsplit('/').next().unwrap();
        if parsed["ingress"]["enabled"] != true || !charts.0.join(chart).is_dir() {
            continue;
        }
        let at = spec["targetNamespace"].as_str().unwrap();
        for mut made in documents(&helm(charts, folder, name, chart, at, values)) {
            if made["kind"] == "Ingress" {
                made["metadata"]["namespace"] = at.into();
                found.push(made);
            }
        }
    }
    assert!(found.len() >= 3, "{found:#?}");
    found
}

/// Adds what the cluster makes of Ingresses, with services that tell what reaches them; returns the authority.
fn complete(objects: &mut Vec<Value>) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let made = |names: &[String]| {
        let key = KeyPair::generate().unwrap();
        (CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap(), key)
    };
    let ingresses: Vec<Value> = objects.iter().filter(|object| object["kind"] == "Ingress").cloned().collect();
    let mut services = BTreeMap::new();
    for ingress in &ingresses {
        let (at, spec) = (&ingress["metadata"]["namespace"], &ingress["spec"]);
        let annotation =
            |name: &str| ingress["metadata"]["annotations"][format!("nginx.ingress.kubernetes.io/{name}")].as_str();
        for tls in spec["tls"].as_array().unwrap() {
            let names: Vec<String> = serde_json::from_value(tls["hosts"].clone()).unwrap();
            let (certificate, key) = made(&names);
            objects.push(secret(at, tls["secretName"].as_str().unwrap(), &certificate.pem(), &key, &authority));
        }
        let mut config = None;
        if annotation("backend-protocol") == Some("HTTPS") {
            let (certificate, key) = made(&[annotation("proxy-ssl-name").unwrap().to_owned()]);
            let (_, name) = annotation("proxy-ssl-secret").unwrap().split_once('/').unwrap();
            objects.push(secret(at, name, &certificate.pem(), &key, &authority));
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            config = Some(Arc::new(
                builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap(),
            ));
        }
        for rule in spec["rules"].as_array().unwrap() {
            for path in rule["http"]["paths"].as_array().unwrap() {
                let service = &path["backend"]["service"];
                let place = (at.to_string(), service["name"].to_string());
                services.entry(place).or_insert_with(|| of_service(at, service, config.clone()));
            }
        }
    }
    objects.extend(services.into_values().flatten());
    objects.push(json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": "traefik", "namespace": "kube-system" },
        "spec": { "type": "LoadBalancer", "clusterIP": "10.43.0.9", "ports": [{ "port": 443 }] },
        "status": { "loadBalancer": { "ingress": [{ "ip": ADDRESS }] } },
    }));
    authority
}

fn secret(at: &Value, name: &str, certificate: &str, key: &KeyPair, authority: &str) -> Value {
    let data = json!({
        "tls.crt": STANDARD.encode(certificate),
        "tls.key": STANDARD.encode(key.serialize_pem()),
        "ca.crt": STANDARD.encode(authority),
    });
    let metadata = json!({ "name": name, "namespace": at });
    json!({ "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": metadata, "data": data })
}

/// A Service and where it is, and a server there.
fn of_service(at: &Value, service: &Value, config: Option<Arc<ServerConfig>>) -> [Value; 2] {
    let port = serve(0, config, |asked, to| {
        answer(to, "200 OK", "Content-Type: application/json\r\n", &serde_json::to_string(asked).unwrap())
    });
    let name = service["name"].as_str().unwrap();
    let named = service["port"]["name"].as_str().unwrap_or("web");
    let number = service["port"]["number"].as_u64().unwrap_or(80);
    [
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "namespace": at },
            "spec": { "type": "ClusterIP", "clusterIP": "10.43.0.1", "ports": [{ "name": named, "port": number, "targetPort": port }] },
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": { "name": format!("{name}-1"), "namespace": at, "labels": { "kubernetes.io/service-name": name } },
            "addressType": "IPv4",
            "endpoints": [{ "addresses": ["127.0.0.1"], "conditions": { "ready": true } }],
            "ports": [{ "name": named, "port": port, "protocol": "TCP" }],
        }),
    ]
}
