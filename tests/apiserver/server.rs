//! A real API server of Kubernetes with its database, which trusts and is trusted as a lab's cluster, and a client of it that
//! is not labimg's.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::blocking::Client;
use reqwest::header::CONTENT_TYPE;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

/// The port of the API: the network is the test's own.
pub const PORT: u16 = 6443;
/// The port of the database.
const ETCD: u16 = 2379;

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A database and, one after the other, API servers on it, each with a part of its own.
pub struct Cluster {
    program: PathBuf,
    folder: PathBuf,
    lab: PathBuf,
    _etcd: Running,
    server: Option<Running>,
    begun: usize,
    client: Client,
}

impl Cluster {
    /// Starts the database. `lab` is the folder of a lab whose secrets are made; `name` the host name of its kubeconfig;
    /// `folder` is for what the servers write.
    pub fn new(program: &Path, lab: &Path, name: &str, folder: &Path) -> Self {
        let tls = lab.join("secrets/tls");
        certificate(&tls, name, folder);
        let log = File::create(folder.join("etcd.log")).unwrap();
        let mut etcd = Command::new("etcd");
        etcd.arg("--data-dir").arg(folder.join("etcd")).args([
            &format!("--listen-client-urls=http://127.0.0.1:{ETCD}"),
            &format!("--advertise-client-urls=http://127.0.0.1:{ETCD}"),
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--unsafe-no-fsync",
        ]);
        let etcd = etcd.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        let client = client(lab, &tls);
        let (program, folder, lab) = (program.to_owned(), folder.to_owned(), lab.to_owned());
        let cluster = Self { program, folder, lab, _etcd: Running(etcd), server: None, begun: 0, client };
        cluster.wait("the database", || TcpStream::connect(("127.0.0.1", ETCD)).is_ok());
        cluster
    }

    /// Starts an API server without any objects but its own.
    pub fn begin(&mut self) {
        self.server = None;
        self.begun += 1;
        let tls = self.lab.join("secrets/tls");
        let file = |name: &str| tls.join(name).display().to_string();
        let log = File::create(self.folder.join("apiserver.log")).unwrap();
        let mut server = Command::new(&self.program);
        server.args([
            format!("--etcd-servers=http://127.0.0.1:{ETCD}"),
            format!("--etcd-prefix=/{}", self.begun),
            format!("--secure-port={PORT}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--tls-cert-file={}", self.folder.join("serving.crt").display()),
            format!("--tls-private-key-file={}", self.folder.join("serving.key").display()),
            format!("--client-ca-file={}", file("client-ca.crt")),
            format!("--service-account-key-file={}", file("service.key")),
            format!("--service-account-signing-key-file={}", file("service.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.43.0.0/16".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
        ]);
        let server = server.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        self.server = Some(Running(server));
        self.wait("the API server", || {
            self.try_ask(Method::GET, "/readyz", None).is_some_and(|(status, _)| status == 200)
        });
        // Namespaces are made by the server itself, soon after.
        self.wait("the namespace kube-system", || {
            self.try_ask(Method::GET, "/api/v1/namespaces/kube-system", None).is_some_and(|(status, _)| status == 200)
        });
    }

    fn wait(&self, what: &str, is_there: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_there() {
            let log = || std::fs::read_to_string(self.folder.join("apiserver.log")).unwrap_or_default();
            assert!(begun.elapsed() < Duration::from_secs(120), "{what} did not come:\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks for something; `body` is its type and text.
    pub fn ask(&self, method: Method, path: &str, body: Option<(&str, String)>) -> (u16, Value) {
        self.try_ask(method, path, body).unwrap()
    }

    fn try_ask(&self, method: Method, path: &str, body: Option<(&str, String)>) -> Option<(u16, Value)> {
        let mut request = self.client.request(method, format!("https://127.0.0.1:{PORT}{path}"));
        if let Some((kind, text)) = body {
            request = request.header(CONTENT_TYPE, kind).body(text);
        }
        let answer = request.send().ok()?;
        let status = answer.status().as_u16();
        let text = answer.text().ok()?;
        Some((status, serde_json::from_str(&text).unwrap_or(Value::from(text))))
    }

    /// Its version: major and minor number.
    pub fn version(&self) -> (u32, u32) {
        let (_, version) = self.ask(Method::GET, "/version", None);
        // `v1.36.2+k3s1`; not every build fills the fields for the single numbers.
        let text = version["gitVersion"].as_str().unwrap().trim_start_matches('v').to_owned();
        let mut numbers = text.split('.').map(|number| number.parse().unwrap_or_else(|_| panic!("version {text}")));
        (numbers.next().unwrap(), numbers.next().unwrap())
    }
}

/// The server's certificate, by the lab's own authority, as k3s makes it.
fn certificate(tls: &Path, name: &str, folder: &Path) {
    let extensions =
        format!("subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1,IP:10.43.0.1\nextendedKeyUsage=serverAuth\n");
    std::fs::write(folder.join("extensions"), extensions).unwrap();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
    };
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "serving.key"]);
    openssl(&["req", "-new", "-key", "serving.key", "-subj", "/CN=k3s", "-out", "serving.csr"]);
    let file = |name: &str| tls.join(name).display().to_string();
    openssl(&[
        "x509",
        "-req",
        "-in",
        "serving.csr",
        "-CA",
        &file("server-ca.crt"),
        "-CAkey",
        &file("server-ca.key"),
        "-CAcreateserial",
        "-CAserial",
        "serial",
        "-days",
        "2",
        "-extfile",
        "extensions",
        "-out",
        "serving.crt",
    ]);
}

/// A client with the lab's administrator's certificate.
fn client(lab: &Path, tls: &Path) -> Client {
    let pem = |path: PathBuf| std::fs::read(path).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem(tls.join("server-ca.crt"))).unwrap()).unwrap();
    let chain = CertificateDer::from_pem_slice(&pem(lab.join("secrets/admin/client.crt"))).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&pem(lab.join("secrets/admin/client.key"))).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_client_auth_cert(vec![chain], key).unwrap();
    Client::builder().no_proxy().timeout(Duration::from_secs(60)).tls_backend_preconfigured(config).build().unwrap()
}
