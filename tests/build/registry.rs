//! Container images from Debian's packaged registry to containerd, which k3s contains.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labimg_tree::hash::Sha256;
use serde_json::json;

use crate::charts::exported;
use crate::locked::Locked;
use crate::{fails, run, stderr, stdout, succeeds};

/// Who may use the registry: `me`, whose password is `s3cret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "me:$2b$04$R/Y0iFFm5u2iwcaacHkMLOu.qIJbAuyvgqAKzU7XGH53gqMJhrjre\n";
/// `me:s3cret` in base64.
const ME: &str = "bWU6czNjcmV0";

/// A server that is stopped when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server; its output goes to a file.
fn start(command: &mut Command, log: &Path) -> Running {
    let log = std::fs::File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    Running(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
}

fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < end, "{what} within a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A request that must succeed; returns the head of the answer.
fn ask(port: u16, method: &str, path: &str, kind: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
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

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::of(bytes))
}

/// Pushes a part as `docker push` does (OCI Distribution Specification, "Push").
fn push_part(port: u16, repository: &str, bytes: &[u8]) {
    let begun = ask(port, "POST", &format!("/v2/{repository}/blobs/uploads/"), "text/plain", b"");
    let place = begun.lines().find_map(|l| l.strip_prefix("Location: ")).unwrap().trim();
    let path = place.split_once(&format!(":{port}")).map_or(place, |(_, path)| path);
    ask(port, "PUT", &format!("{path}&digest={}", digest(bytes)), "application/octet-stream", bytes);
}

/// Pushes an image in Docker's older format, for two platforms; returns the hash of the manifest for arm64.
fn push_image(port: u16, repository: &str) -> Sha256 {
    const FORM: &str = "application/vnd.docker.distribution.manifest.v2+json";
    const LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    let mut platforms = Vec::new();
    let mut wanted = None;
    for architecture in ["amd64", "arm64"] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(architecture.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, "hello", architecture.as_bytes()).unwrap();
        let layer = tar.into_inner().unwrap();
        let root = json!({ "type": "layers", "diff_ids": [digest(&layer)] });
        let config = json!({ "os": "linux", "architecture": architecture, "config": {}, "rootfs": root }).to_string();
        let described =
            |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "size": bytes.len(), "digest": digest(bytes) });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": FORM,
            "config": described("application/vnd.docker.container.image.v1+json", config.as_bytes()),
            "layers": [described("application/vnd.docker.image.rootfs.diff.tar", &layer)],
        })
        .to_string();
        push_part(port, repository, &layer);
        push_part(port, repository, config.as_bytes());
        let path = format!("/v2/{repository}/manifests/{}", digest(manifest.as_bytes()));
        ask(port, "PUT", &path, FORM, manifest.as_bytes());
        let mut entry = described(FORM, manifest.as_bytes());
        entry["platform"] = json!({ "os": "linux", "architecture": architecture });
        platforms.push(entry);
        wanted = Some(Sha256::of(&manifest));
    }
    let list = json!({ "schemaVersion": 2, "mediaType": LIST, "manifests": platforms }).to_string();
    ask(port, "PUT", &format!("/v2/{repository}/manifests/1.0"), LIST, list.as_bytes());
    wanted.unwrap()
}

#[test]
fn an_image_of_a_registry_comes_to_the_container_runtime() {
    let locked = Locked::new();
    let dir = locked.bench.dir.path();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = dir.join("registry.yml");
    let htpasswd = dir.join("htpasswd");
    std::fs::write(&htpasswd, HTPASSWD).unwrap();
    let text = format!(
        "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: \"127.0.0.1:{port}\" }}\n\
         auth: {{ htpasswd: {{ realm: lab, path: {} }} }}\n",
        dir.join("registry").display(),
        htpasswd.display()
    );
    std::fs::write(&config, text).unwrap();
    let _registry = start(Command::new("docker-registry").arg("serve").arg(&config), &dir.join("registry.log"));
    wait_until("the registry answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let sha256 = push_image(port, "lab/app");

    let name = format!("127.0.0.1:{port}/lab/app:1.0");
    let lab = locked.dir.join("lab.toml");
    let text = std::fs::read_to_string(&lab).unwrap();
    let with = |image: &str| text.replace("[k3s]\n", &format!("[k3s]\nimages = [\"{image}\"]\n"));
    let logins = dir.join("auth.json");
    let lock = || {
        let mut command = locked.command("lock");
        command.env("REGISTRY_AUTH_FILE", &logins);
        command
    };
    let login = |auth: &str| {
        std::fs::write(&logins, format!(r#"{{"auths":{{"127.0.0.1:{port}":{{"auth":"{auth}"}}}}}}"#)).unwrap();
    };
    std::fs::write(&lab, with(&name)).unwrap();
    std::fs::write(&logins, "{}").unwrap();
    fails(&mut lock(), 1, &["lab/app:1.0", "401 Unauthorized to a request without a login", "auth.json"]);
    // `me:wrong`.
    login("bWU6d3Jvbmc=");
    fails(&mut lock(), 1, &["lab/app:1.0", "401 Unauthorized to the login from", "auth.json"]);
    login(ME);
    std::fs::write(&lab, with(&name.replace("app:", "none:"))).unwrap();
    fails(&mut lock(), 1, &["lab/none:1.0", "gives no such image to anyone who asks"]);
    std::fs::write(&lab, with(&name)).unwrap();
    succeeds(&mut lock());
    let lock = std::fs::read_to_string(&locked.lock).unwrap();
    assert!(lock.contains(&format!("name = \"{name}\"")) && lock.contains(&sha256.to_string()), "{lock}");
    let (mut command, image) = locked.build("node.img");
    succeeds(command.env("REGISTRY_AUTH_FILE", &logins));
    let archive = dir.join("images.tar");
    let (_, tar) = exported(&image, "var/lib/rancher/k3s/agent/images/labimg-images.tar").unwrap();
    std::fs::write(&archive, tar).unwrap();

    // k3s imports with the same library.
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    // A socket's path has at most 107 bytes.
    let short = tempfile::tempdir().unwrap();
    let socket = short.path().join("socket");
    let config = dir.join("containerd.toml");
    let text = format!(
        "version = 2\nroot = \"{0}/root\"\nstate = \"{0}/state\"\nuid = {uid}\ngid = {gid}\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{1}\"\nuid = {uid}\ngid = {gid}\n",
        dir.join("containerd").display(),
        socket.display()
    );
    std::fs::write(&config, text).unwrap();
    let _containerd = start(Command::new("containerd").arg("-c").arg(&config), &dir.join("containerd.log"));
    let ctr = |arguments: &[&str]| {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&socket).args(arguments);
        command
    };
    wait_until("containerd answers", || run(&mut ctr(&["version"])).status.success());
    let imported = run(ctr(&["images", "import", "--no-unpack", "--all-platforms"]).arg(&archive));
    assert!(imported.status.success(), "{}", stderr(&imported));
    let listed = stdout(&succeeds(&mut ctr(&["images", "list"])));
    let line = listed.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{listed}"));
    assert!(line.contains(&format!("sha256:{sha256}")) && line.contains("linux/arm64"), "{listed}");
    // Nothing named by the manifest is missing.
    let checked = stdout(&succeeds(&mut ctr(&["images", "check"])));
    let line = checked.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("{checked}"));
    assert!(line.contains("complete (2/2)"), "{checked}");
}
