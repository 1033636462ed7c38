//! A cluster without the internet: its chart and its images come from Debian's packaged registry, by TLS and with a
//! password, onto the card, or the command fails and leaves nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use labimg_tree::hash::Sha256;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::charts::exported;
use crate::locked::{K3S, Locked, images_of_k3s};
use crate::registry_server::{ME, Pushed, Registry};
use crate::{fails, labimg, names, same, stderr, stdout, succeeds};
use labimg_testkit::chart;
use labimg_testkit::http_server::dead_url;

/// Where the images are, as everybody writes it.
const HOST: &str = "registry.example";
const COMPONENT: &str = r#"
title = "What the lab itself runs"
why = "Small, and from a registry of the lab's own."
profiles = ["always"]
namespace = "mine"
memory = { requests = 16, limits = 32 }
images = ["registry.example/lab/app:1.0", "registry.example/lab/tool:1.0"]

[namespaces.mine]

[chart]
name = "mine"
version = "1.0.0"
repository = "oci://registry.example/charts"
"#;
/// More than everything else that the registry is asked for.
const LAYER: usize = 4 << 20;
const IMAGES: &str = "var/lib/rancher/k3s/agent/images";

/// The way to the registry: a proxy that leads there whatever host is asked for.
struct Way {
    port: u16,
    /// How many bytes may still come from there; then all connections end.
    left: Arc<AtomicI64>,
    /// The hosts that were asked for.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Way {
    fn to(registry: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let way = Self {
            port: listener.local_addr().unwrap().port(),
            left: Arc::new(AtomicI64::new(i64::MAX)),
            asked: Arc::default(),
        };
        let (left, asked) = (Arc::clone(&way.left), Arc::clone(&way.asked));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (left, asked) = (Arc::clone(&left), Arc::clone(&asked));
                // An error means that one of both has gone.
                std::thread::spawn(move || lead(client, registry, &left, &asked));
            }
        });
        way
    }
}

fn lead(mut client: TcpStream, registry: u16, left: &AtomicI64, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    asked.lock().unwrap().push(head.split(' ').nth(1).unwrap_or_default().to_owned());
    let mut server = TcpStream::connect(("127.0.0.1", registry))?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut piece = [0; 16 << 10];
    loop {
        let count = server.read(&mut piece)?;
        let room = left.fetch_sub(count as i64, Ordering::SeqCst).clamp(0, count as i64);
        client.write_all(&piece[..usize::try_from(room).unwrap_or_default()])?;
        if count == 0 || room < count as i64 {
            client.shutdown(Shutdown::Both)?;
            return server.shutdown(Shutdown::Both);
        }
    }
}

/// A lab without the internet, and its registry.
struct World {
    locked: Locked,
    way: Way,
    /// For arm64.
    app: Pushed,
    tool: Pushed,
    archive: Vec<u8>,
    _registry: Registry,
}

impl World {
    fn new() -> Self {
        let locked = Locked::new();
        let dir = locked.bench.dir.path();
        let pushing = Registry::start(dir, None);
        let app = pushing.push_image("lab/app", &["amd64", "arm64"], 1000);
        let tool = pushing.push_image("lab/tool", &["amd64", "arm64"], LAYER);
        pushing.push_image("lab/other", &["amd64"], 1000);
        let archive = chart::archive("mine", "1.0.0");
        pushing.push_chart("charts/mine", "1.0.0", &archive);
        drop(pushing);

        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([HOST.to_owned()]).unwrap().signed_by(&own, &issuer).unwrap();
        std::fs::write(dir.join("authority.pem"), authority.pem()).unwrap();
        let files = [("registry.pem", certificate.pem()), ("registry.key", own.serialize_pem())];
        let [certificate, key] = files.map(|(name, text)| {
            std::fs::write(dir.join(name), text).unwrap();
            dir.join(name)
        });
        let registry = Registry::start(dir, Some((&certificate, &key)));

        let lab = locked.dir.join("lab.toml");
        let text = std::fs::read_to_string(&lab).unwrap();
        let stack =
            "[stack]\nprofile = \"none\"\nairgap = true\n[stack.components.nfs-storage]\nenabled = false\n[[nodes]]\n";
        std::fs::write(&lab, text.replacen("[[nodes]]\n", stack, 1)).unwrap();
        let component = locked.dir.join("manifests/mine");
        std::fs::create_dir_all(&component).unwrap();
        std::fs::write(component.join("component.toml"), COMPONENT).unwrap();
        std::fs::write(component.join("values.yaml"), "image: {{ images[0].repository }}\n").unwrap();
        std::fs::remove_file(&locked.lock).unwrap();
        let way = Way::to(registry.port);
        let world = Self { locked, way, app, tool, archive, _registry: registry };
        world.log_in(ME);
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.locked.bench.dir.path().join(name)
    }

    fn log_in(&self, auth: &str) {
        std::fs::write(self.path("auth.json"), format!(r#"{{"auths":{{"{HOST}":{{"auth":"{auth}"}}}}}}"#)).unwrap();
    }

    /// Has a command go to the registry by its name.
    fn led(&self, mut command: Command) -> Command {
        command.env("https_proxy", format!("http://127.0.0.1:{}", self.way.port)).env("no_proxy", "127.0.0.1");
        command.env("SSL_CERT_FILE", self.path("authority.pem")).env("REGISTRY_AUTH_FILE", self.path("auth.json"));
        command
    }

    fn lock(&self) -> Command {
        self.led(self.locked.command("lock"))
    }

    fn build(&self, image: &Path, more: &[&str]) -> Command {
        let mut command = self.led(self.locked.command("build"));
        command.args(["master", "--generic", "-o"]).arg(image).args(more);
        command
    }

    /// Takes out of the cache what came from the registry.
    fn forget(&self) {
        for pushed in [&self.app, &self.tool] {
            for hash in [pushed.sha256, pushed.config, pushed.layer] {
                let _ = std::fs::remove_file(self.cached(hash));
            }
        }
        let _ = std::fs::remove_file(self.cached(Sha256::of(&self.archive)));
    }

    fn cached(&self, hash: Sha256) -> PathBuf {
        let hash = hash.to_string();
        self.locked.cache.join("blobs/sha256").join(&hash[..2]).join(&hash)
    }

    /// A part in the registry's storage, as packaged by Debian (distribution, "storage/paths.go").
    fn stored(&self, hash: Sha256) -> PathBuf {
        let hash = hash.to_string();
        self.path("registry/docker/registry/v2/blobs/sha256").join(&hash[..2]).join(hash).join("data")
    }

    /// Changes one byte in the registry's storage, or changes it back.
    fn spoil(&self, hash: Sha256) {
        let path = self.stored(hash);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs a command that must fail, leave no file and nothing wrong in the cache.
    fn refuses(&self, mut command: Command, code: i32, parts: &[&str]) {
        self.forget();
        let before = (names(self.locked.bench.dir.path()), names(&self.locked.dir), self.locked_text());
        let said = fails(&mut command, code, &[parts, &["help: "]].concat());
        let after = (names(self.locked.bench.dir.path()), names(&self.locked.dir), self.locked_text());
        assert_eq!(before, after, "{said}");
        for hash in [self.app.layer, self.tool.layer, Sha256::of(&self.archive)] {
            if let Ok(bytes) = std::fs::read(self.cached(hash)) {
                assert_eq!(Sha256::of(bytes), hash, "{said}");
            }
        }
    }

    fn locked_text(&self) -> Option<String> {
        std::fs::read_to_string(&self.locked.lock).ok()
    }
}

#[test]
fn without_the_internet_chart_and_images_come_from_a_registry_onto_the_card() {
    let world = World::new();
    let said = stdout(&succeeds(&mut world.lock()));
    assert!(said.contains(", chart mine 1.0.0"), "{said}");
    let text = world.locked_text().unwrap();
    for (name, pushed) in [("lab/app", &world.app), ("lab/tool", &world.tool)] {
        let entry = format!("name = \"{HOST}/{name}:1.0\"\narchitecture = \"arm64\"\nsize = ");
        assert!(text.contains(&entry) && text.contains(&format!("sha256 = \"{}\"", pushed.sha256)), "{text}");
    }
    assert!(text.contains(&format!("sha256 = \"{}\"", Sha256::of(&world.archive))), "{text}");
    assert!(!text.contains("amd64"), "{text}");

    let image = world.path("out/master.img");
    let said = stdout(&succeeds(&mut world.build(&image, &["--locked", "--json"])));
    let said: Value = serde_json::from_str(&said).unwrap();
    let cost = &said["images"][0]["containers"];
    let part = |hash: Sha256| std::fs::metadata(world.stored(hash)).unwrap().len();
    let of = |pushed: &Pushed| part(pushed.sha256) + part(pushed.config) + part(pushed.layer);
    let of_k3s = images_of_k3s(K3S).len() as u64;
    assert_eq!(*cost, serde_json::json!({ "count": 3, "bytes": of(&world.app) + of(&world.tool) + of_k3s }));

    let file = format!("oci/{HOST}/charts/mine-1.0.0.tgz");
    let folder = "var/lib/rancher/k3s/server";
    assert_eq!(exported(&image, &format!("{folder}/static/charts/{file}")), Some((0o600, world.archive.clone())));
    let (_, chart) = exported(&image, &format!("{folder}/manifests/mine.yaml")).unwrap();
    let chart = String::from_utf8(chart).unwrap();
    let line = format!("  chart: https://%{{KUBERNETES_API}}%/static/charts/{file}\n");
    assert!(chart.contains(&line) && !chart.contains("oci://"), "{chart}");
    let (_, archive) = exported(&image, &format!("{IMAGES}/labimg-images.tar")).unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    let there: Vec<_> = archive.entries().unwrap().map(|e| e.unwrap().path().unwrap().into_owned()).collect();
    for pushed in [&world.app, &world.tool] {
        for hash in [pushed.sha256, pushed.config, pushed.layer] {
            assert!(there.contains(&PathBuf::from(format!("blobs/sha256/{hash}"))), "{there:?}");
        }
    }
    // Two files of the layout; nothing for amd64.
    assert_eq!(there.iter().filter(|path| path.extension().is_none() && path.components().count() == 3).count(), 6);
    let asked = world.way.asked.lock().unwrap().clone();
    assert!(!asked.is_empty() && asked.iter().all(|host| *host == format!("{HOST}:443")), "{asked:?}");

    // Without the lock the same.
    world.forget();
    let unlocked = world.path("out/unlocked.img");
    let said = succeeds(&mut world.build(&unlocked, &[]));
    assert!(stdout(&said).contains(", 3 container images of "), "{}", stdout(&said));
    same(&image, &unlocked);
    // With everything in the cache the registry is not asked.
    let mut command = labimg();
    command.args(["build", "master", "--generic", "--locked", "--lab"]).arg(&world.locked.dir).arg("-o").arg(&unlocked);
    let dead = format!("{},{}", dead_url("/debian"), dead_url("/debian-security"));
    command.args(["--mirror", &dead, "--snapshots", &dead_url(""), "--cache"]).arg(&world.locked.cache);
    succeeds(command.env("https_proxy", dead_url("")));
    same(&image, &unlocked);
    fails(&mut world.build(&unlocked, &["--k3s", "first-boot"]), 2, &["--k3s first-boot", "`stack.airgap`", "help: "]);
    fails(world.lock().args(["--k3s", "first-boot"]), 2, &["--k3s first-boot", "`stack.airgap`", "help: "]);
}

#[test]
fn without_the_internet_whatever_is_missing_is_named_and_nothing_is_left() {
    let world = World::new();
    std::fs::create_dir_all(world.path("out")).unwrap();
    let image = world.path("out/none.img");
    let tool = format!("{HOST}/lab/tool:1.0");

    // Who it is, is asked before what it has.
    let mut command = world.lock();
    command.env_remove("SSL_CERT_FILE");
    world.refuses(command, 1, &[HOST, "certificate", "SSL_CERT_FILE"]);
    // `me:wrong`.
    world.log_in("bWU6d3Jvbmc=");
    let wrong = ["401 Unauthorized to the login from", "auth.json"];
    world.refuses(world.lock(), 1, &wrong);
    world.refuses(world.build(&image, &[]), 1, &wrong);
    world.log_in(ME);
    // A card with a hole would only show it when the internet is away.
    let component = world.locked.dir.join("manifests/mine/component.toml");
    std::fs::write(&component, COMPONENT.replace("lab/tool", "lab/other")).unwrap();
    let other = ["lab/other:1.0", "it is not for linux/arm64, but for linux/amd64"];
    world.refuses(world.lock(), 1, &other);
    world.refuses(world.build(&image, &[]), 1, &other);
    std::fs::write(&component, COMPONENT).unwrap();
    let sha256 = Sha256::of(&world.archive);
    world.spoil(sha256);
    let wrong = ["chart mine 1.0.0", "SHA-256", &sha256.to_string()];
    world.refuses(world.lock(), 1, &wrong);
    world.refuses(world.build(&image, &[]), 1, &wrong);
    world.spoil(sha256);

    // The layers come last, when the image is built.
    succeeds(&mut world.lock());
    for more in [&["--locked"][..], &[]] {
        world.spoil(world.tool.layer);
        world.refuses(world.build(&image, more), 1, &[&tool, "SHA-256 is", &world.tool.layer.to_string()]);
        world.spoil(world.tool.layer);
        world.way.left.store(1 << 20, Ordering::SeqCst);
        world.refuses(world.build(&image, more), 1, &[&tool, HOST]);
        assert!(world.way.left.load(Ordering::SeqCst) <= 0, "it was not cut");
        world.way.left.store(i64::MAX, Ordering::SeqCst);
    }
    world.log_in("bWU6d3Jvbmc=");
    world.refuses(world.build(&image, &["--locked"]), 1, &["`chart mine 1.0.0`", "401 Unauthorized to the login from"]);
    world.log_in(ME);
    // And then all is well again.
    let said = stderr(&succeeds(&mut world.build(&image, &["--locked"])));
    assert!(image.exists() && !said.contains("is not in the image"), "{said}");
}
