//! Containers' registry of Debian (package docker-registry) with a password, on 127.0.0.1, and pushing to it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labimg_tree::hash::Sha256;
use serde_json::{Value, json};

/// Who may use the registry: `me`, whose password is `s3cret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "me:$2b$04$R/Y0iFFm5u2iwcaacHkMLOu.qIJbAuyvgqAKzU7XGH53gqMJhrjre\n";
/// `me:s3cret` in base64.
pub const ME: &str = "bWU6czNjcmV0";

/// Docker's older form of a manifest.
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's form of an index.
const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// The form of the standard, which charts have.
const OCI: &str = "application/vnd.oci.image.manifest.v1+json";

/// A server that is stopped when the test ends.
pub struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server; its output goes to a file.
pub fn start(command: &mut Command, log: &Path) -> Running {
    let log = std::fs::File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
}

pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < end, "{what} within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A registry that runs.
pub struct Registry {
    pub port: u16,
    _server: Running,
}

impl Registry {
    /// Serves what is in `registry` below this folder; with files of a certificate and its key, by TLS.
    pub fn start(dir: &Path, tls: Option<(&Path, &Path)>) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (config, htpasswd) = (dir.join(format!("registry-{port}.yml")), dir.join("htpasswd"));
        std::fs::write(&htpasswd, HTPASSWD).unwrap();
        let tls = tls.map(|(certificate, key)| {
            format!(", tls: {{ certificate: {}, key: {} }}", certificate.display(), key.display())
        });
        let text = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n\
             http: {{ addr: \"127.0.0.1:{port}\"{} }}\nauth: {{ htpasswd: {{ realm: lab, path: {} }} }}\n",
            dir.join("registry").display(),
            tls.unwrap_or_default(),
            htpasswd.display()
        );
        std::fs::write(&config, text).unwrap();
        let server = start(Command::new("docker-registry").arg("serve").arg(&config), &config.with_extension("log"));
        wait_until("the registry answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { port, _server: server }
    }

    /// A request that must succeed; returns the head of the answer.
    fn ask(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> String {
        let (port, length) = (self.port, body.len());
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nAuthorization: Basic {ME}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        answer
    }

    /// Pushes a part as `docker push` does (OCI Distribution Specification, "Push").
    fn push_part(&self, repository: &str, bytes: &[u8]) {
        let begun = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), "text/plain", b"");
        let place = begun.lines().find_map(|l| l.strip_prefix("Location: ")).unwrap().trim();
        let path = place.split_once(&format!(":{}", self.port)).map_or(place, |(_, path)| path);
        self.ask("PUT", &format!("{path}&digest={}", digest(bytes)), "application/octet-stream", bytes);
    }

    /// Pushes a manifest and what it names, below its hash or a tag; returns what others name it by.
    fn push_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        form: &str,
        config: (&str, &[u8]),
        layer: (&str, &[u8]),
    ) -> Value {
        for (_, bytes) in [config, layer] {
            self.push_part(repository, bytes);
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": form,
            "config": described(config.0, config.1),
            "layers": [described(layer.0, layer.1)],
        })
        .to_string();
        let reference = tag.map_or_else(|| digest(manifest.as_bytes()), str::to_owned);
        self.ask("PUT", &format!("/v2/{repository}/manifests/{reference}"), form, manifest.as_bytes());
        described(form, manifest.as_bytes())
    }

    /// Pushes an image with the tag 1.0 in Docker's older format for these architectures, each with one file of this many
    /// bytes; returns the last one's.
    pub fn push_image(&self, repository: &str, architectures: &[&str], size: usize) -> Pushed {
        let mut platforms = Vec::new();
        let mut last = None;
        for architecture in architectures {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(size as u64);
            header.set_mode(0o755);
            let content: Vec<u8> = architecture.bytes().cycle().take(size).collect();
            tar.append_data(&mut header, repository, content.as_slice()).unwrap();
            let layer = tar.into_inner().unwrap();
            let root = json!({ "type": "layers", "diff_ids": [digest(&layer)] });
            let config =
                json!({ "os": "linux", "architecture": architecture, "config": {}, "rootfs": root }).to_string();
            let mut entry = self.push_manifest(
                repository,
                None,
                DOCKER,
                ("application/vnd.docker.container.image.v1+json", config.as_bytes()),
                ("application/vnd.docker.image.rootfs.diff.tar", &layer),
            );
            let sha256 = entry["digest"].as_str().unwrap()["sha256:".len()..].parse().unwrap();
            last = Some(Pushed { sha256, config: Sha256::of(&config), layer: Sha256::of(&layer) });
            entry["platform"] = json!({ "os": "linux", "architecture": architecture });
            platforms.push(entry);
        }
        let list = json!({ "schemaVersion": 2, "mediaType": LIST, "manifests": platforms }).to_string();
        self.ask("PUT", &format!("/v2/{repository}/manifests/1.0"), LIST, list.as_bytes());
        last.unwrap()
    }

    /// Pushes a chart's archive as `helm push` does.
    pub fn push_chart(&self, repository: &str, version: &str, archive: &[u8]) {
        self.push_manifest(
            repository,
            Some(version),
            OCI,
            ("application/vnd.cncf.helm.config.v1+json", b"{}"),
            ("application/vnd.cncf.helm.chart.content.v1.tar+gzip", archive),
        );
    }
}

/// An image for one architecture: the hashes of its manifest and its parts.
pub struct Pushed {
    pub sha256: Sha256,
    pub config: Sha256,
    pub layer: Sha256,
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::of(bytes))
}

/// How documents name a part.
fn described(kind: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": kind, "size": bytes.len(), "digest": digest(bytes) })
}
