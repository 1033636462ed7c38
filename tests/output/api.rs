//! A stand-in for a cluster's API: HTTPS with the lab's certificates, a few kinds, objects in memory. What a real server makes
//! of objects is asked in tests/apiserver.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use labimg::lab;
use labimg::secrets::{FOLDER, Secrets};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

/// The kinds that it knows: version, kind, resource, whether in namespaces.
const KINDS: [(&str, &str, &str, bool); 6] = [
    ("v1", "Namespace", "namespaces", false),
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("helm.cattle.io/v1", "HelmChart", "helmcharts", true),
    ("k3s.cattle.io/v1", "Addon", "addons", true),
];

/// What it holds.
#[derive(Default)]
struct Held {
    /// Path → object.
    objects: BTreeMap<String, Value>,
    /// Path → answers to the next changes, before it takes them.
    refusals: BTreeMap<String, Vec<(u16, String)>>,
    changes: u64,
}

/// The server; its threads end with the test's process.
pub struct Api {
    port: u16,
    held: Arc<Mutex<Held>>,
}

impl Api {
    /// Makes the secrets and the kubeconfig of the lab in the folder, and serves as its master.
    pub fn of(dir: &Path) -> Self {
        let folder = lab::load(dir).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let secrets = Secrets::open(&dir.join(FOLDER), &folder.lab, i64::try_from(now).unwrap()).unwrap();
        secrets.write_kubeconfig(&folder).unwrap().unwrap();
        let config = Arc::new(config(&secrets));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let held = Arc::new(Mutex::new(Held::default()));
        let shared = Arc::clone(&held);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, held) = (Arc::clone(&config), Arc::clone(&shared));
                // A client that disconnects is not a failure.
                std::thread::spawn(move || serve(stream, config, &held));
            }
        });
        Self { port, held }
    }

    /// `HOST:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Holds an object.
    pub fn put(&self, path: &str, object: Value) {
        self.held.lock().unwrap().objects.insert(path.to_owned(), object);
    }

    /// Answers this to the next change at the path.
    pub fn refuse(&self, path: &str, status: u16, message: &str) {
        let mut held = self.held.lock().unwrap();
        held.refusals.entry(path.to_owned()).or_default().push((status, message.to_owned()));
    }
}

fn config(secrets: &Secrets) -> ServerConfig {
    let files: BTreeMap<String, Vec<u8>> = secrets.cluster_ca_files().into_iter().collect();
    // An issuer is identified by its name and key.
    let mut ca = CertificateParams::default();
    ca.distinguished_name = DistinguishedName::new();
    ca.distinguished_name.push(DnType::CommonName, format!("k3s-server-ca@{}", secrets.created()));
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = String::from_utf8(files["server-ca.key"].clone()).unwrap();
    let issuer = Issuer::new(ca, KeyPair::from_pem(&key).unwrap());
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["master.local".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&files["client-ca.crt"]).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap()
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, held: &Mutex<Held>) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut reader = BufReader::new(StreamOwned::new(connection, stream));
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let (mut length, mut header) = (0, String::from("-"));
        while !header.trim().is_empty() {
            header.clear();
            reader.read_line(&mut header)?;
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut words = request.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (status, answer) = held.lock().unwrap().answer(method, path, query, &body);
        let text = if method == "HEAD" { String::new() } else { answer.to_string() };
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", text.len());
        reader.get_mut().write_all(format!("{head}{text}").as_bytes())?;
        reader.get_mut().flush()?;
    }
}

impl Held {
    fn answer(&mut self, method: &str, path: &str, query: &str, body: &[u8]) -> (u16, Value) {
        let said =
            |status: u16, message: &str| (status, json!({ "kind": "Status", "message": message, "code": status }));
        let is_trial = query.contains("dryRun=All");
        match method {
            "GET" if path == "/version" => (200, json!({})),
            "GET" => match self.objects.get(path).cloned().or_else(|| list(path, &self.objects)) {
                Some(found) => (200, found),
                None => said(404, "not found"),
            },
            "PATCH" => {
                if let Some(refusals) = self.refusals.get_mut(path)
                    && !refusals.is_empty()
                {
                    let (status, message) = refusals.remove(0);
                    return said(status, &message);
                }
                let patch: Value = serde_json::from_slice(body).unwrap();
                let mut object = self.objects.get(path).cloned().unwrap_or_else(|| json!({}));
                merge(&mut object, patch);
                if !is_trial {
                    self.changes += 1;
                    object["metadata"]["resourceVersion"] = self.changes.to_string().into();
                    self.objects.insert(path.to_owned(), object.clone());
                }
                (200, object)
            }
            "DELETE" => match self.objects.remove(path) {
                Some(_) => (200, json!({})),
                None => said(404, "not found"),
            },
            _ => said(404, "not found"),
        }
    }
}

/// The kinds of a version, or the objects of one of them.
fn list(path: &str, objects: &BTreeMap<String, Value>) -> Option<Value> {
    let base =
        |version: &str| if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let of: Vec<Value> = KINDS
        .iter()
        .filter(|(version, ..)| base(version) == path)
        .map(|(_, kind, name, namespaced)| json!({ "kind": kind, "name": name, "namespaced": namespaced }))
        .collect();
    if !of.is_empty() {
        return Some(json!({ "resources": of }));
    }
    let name = path.rsplit('/').next()?;
    KINDS.iter().find(|(_, _, resource, _)| *resource == name)?;
    let whole = path.replace(&format!("/{name}"), "");
    let is_in = |at: &str| at.starts_with(&whole) && at.contains(&format!("/{name}/"));
    let items: Vec<&Value> = objects.iter().filter(|(at, _)| is_in(at)).map(|(_, object)| object).collect();
    Some(json!({ "items": items }))
}

/// As far as server-side apply matters here: maps are joined, everything else is replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
