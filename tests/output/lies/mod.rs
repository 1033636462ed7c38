//! What the servers can do wrong, a row each: the Debian mirror, the releases of k3s, the registry of container images and
//! the repository of charts. Whatever comes, the command ends in time with the file's address and what to do about it,
//! leaves nothing under a final name and nothing wrong in the cache, and the next run against an honest server gives what
//! it would have given at once.
//!
//! What any server can do is tried at each place that labimg asks (`http`); what only one kind of server can do, at that one
//! (`kinds`).

mod http;
mod kinds;
mod tls;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::archive::hex;
use crate::{Session, damage, golden};
use labimg_testkit::http_server::{Act, Server};
use labimg_testkit::random::{long, seed};

/// Runs that go on at the same time: most of them wait to try again.
const AT_ONCE: usize = 24;

/// Which command asks for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Lock,
    Build,
}

/// A file that labimg asks a server for.
struct Place {
    path: String,
    asks: Asks,
}

/// The files of all servers, and what comes of them.
struct World {
    session: Session,
    places: Vec<Place>,
    lock: String,
    image: damage::Bytes,
}

const SUDO: &str = "/debian/pool/sudo_1.0_arm64.deb";
const RELEASE: &str = "/debian/dists/trixie/InRelease";
const PACKAGES: &str = "/debian/dists/trixie/main/binary-arm64/Packages.xz";
const SUMS: &str = "/k3s/v1.99.9%2Bk3s1/sha256sum-arm64.txt";
const PROGRAM: &str = "/k3s/v1.99.9%2Bk3s1/k3s-arm64";
const INDEX: &str = "/charts/kubernetes-sigs.github.io/nfs-subdir-external-provisioner/index.yaml";
const CHART: &str = "/charts/releases.example/nfs-subdir-external-provisioner-4.0.18.tgz";
const TAG: &str = "/v2/quay.io/me/mine/manifests/1";

/// What stands in a place of everything in many networks.
const HTML: &[u8] = b"<html>Log in to the network</html>";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

impl World {
    fn new() -> Self {
        let session = Session::with_archive();
        golden::lab_with_everything(&session);
        // The manifest behind an index, as most registries have it.
        let manifest = session.server.content(TAG).unwrap();
        let parsed: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        session.server.file(TAG, index_of("arm64", &manifest));
        let blob = |part: &serde_json::Value| format!("/v2/quay.io/me/mine/blobs/{}", part["digest"].as_str().unwrap());
        let place = |path: &str, asks| Place { path: path.to_owned(), asks };
        let places = vec![
            place(RELEASE, Asks::Lock),
            place(PACKAGES, Asks::Lock),
            place(SUDO, Asks::Build),
            place(SUMS, Asks::Lock),
            place(PROGRAM, Asks::Build),
            place(INDEX, Asks::Lock),
            place(CHART, Asks::Lock),
            place(TAG, Asks::Lock),
            place(&format!("/v2/quay.io/me/mine/manifests/{}", digest(&manifest)), Asks::Lock),
            place(&blob(&parsed["config"]), Asks::Lock),
            place(&blob(&parsed["layers"][0]), Asks::Build),
        ];
        let world = Self { session, places, lock: String::new(), image: damage::Bytes::default() };
        let run = world.copy();
        for asks in [Asks::Lock, Asks::Build] {
            let output = run.run(asks);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let (lock, image) = (run.lock(), run.image());
        Self { lock, image, ..world }
    }

    /// The same lab and the same servers, with a cache of their own.
    fn copy(&self) -> Run {
        let server = Server::like(&self.session.server);
        let lab = self.session.read("home/lab.toml").replace(&self.session.server.url(""), &server.url(""));
        let session = Session { server, ..Session::new() };
        session.write("home/lab.toml", lab);
        session.write("keys.pgp", self.session.read("keys.pgp"));
        Run { session }
    }

    fn content(&self, path: &str) -> Vec<u8> {
        self.session.server.content(path).unwrap_or_else(|| panic!("{path}")).to_vec()
    }
}

/// An index that names this manifest for an architecture.
fn index_of(architecture: &str, manifest: &[u8]) -> String {
    let platform = json!({ "os": "linux", "architecture": architecture });
    let named = json!({ "digest": digest(manifest), "size": manifest.len(), "platform": platform });
    json!({ "schemaVersion": 2, "manifests": [named] }).to_string()
}

/// A lab, its servers and its cache.
struct Run {
    session: Session,
}

impl Run {
    fn run(&self, asks: Asks) -> std::process::Output {
        let server = &self.session.server;
        let mirror = format!("{},{}", server.url("/debian"), server.url("/debian-security"));
        let command: &[&str] = match asks {
            Asks::Lock => &["lock", "--k3s", "embed"],
            Asks::Build => &["build", "worker-1", "--generic", "--k3s", "embed", "-o", "out.img"],
        };
        let from = ["--lab", "home", "--mirror", &mirror, "--keyring", "keys.pgp", "--cache", "cache", "--quiet"];
        self.session.unheard(&[command, &from].concat())
    }

    /// The lock, wherever its servers were.
    fn lock(&self) -> String {
        self.session.read("home/labimg.lock").replace(&self.session.server.url(""), "")
    }

    /// What is in the image, wherever its servers were: the record in it names them.
    fn image(&self) -> damage::Bytes {
        let mut image = damage::content(&self.session.path("out.img"));
        let port = self.session.server.url("").into_bytes();
        for (_, bytes) in &mut image.1 {
            let places: Vec<usize> =
                (0..bytes.len()).filter(|at| bytes[*at] == b'h' && bytes[*at..].starts_with(&port)).collect();
            for at in places {
                bytes[at..at + port.len()].fill(b'-');
            }
        }
        image
    }

    /// Files that a failed command must not leave: anything but what was there before, and of the cache what is not what
    /// its name says.
    fn left(&self) -> Vec<PathBuf> {
        let all = files(self.session.dir.path());
        let known = |path: &Path| ["home/lab.toml", "keys.pgp"].iter().any(|name| self.session.path(name) == path);
        let blobs = self.session.path("cache/blobs");
        let is_wrong = |path: &PathBuf| {
            if !path.starts_with(self.session.path("cache")) {
                return !known(path);
            }
            path.starts_with(&blobs) && *path.file_name().unwrap() != *hex(&std::fs::read(path).unwrap())
        };
        all.into_iter().filter(is_wrong).collect()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// One row: what is told at a place, how the command ends, and what it says beside the address.
struct Row<'a> {
    what: String,
    path: &'a str,
    asks: Asks,
    /// What is answered at this path, and at others that go with it.
    acts: Vec<(&'a str, Act)>,
    code: i32,
    says: Vec<String>,
    /// Whether an honest run came before, whose lock stays.
    after: bool,
}

/// What is wrong with how a row went.
fn try_row(world: &World, row: &Row<'_>) -> Result<(), String> {
    let run = world.copy();
    if row.after {
        run.run(row.asks);
    }
    for (path, act) in &row.acts {
        run.session.server.always(path, act.clone());
    }
    let begun = Instant::now();
    let output = run.run(row.asks);
    let took = begun.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    let mut wrong = Vec::new();
    if output.status.code() != Some(row.code) {
        wrong.push(format!("ended with {}, not {}", output.status, row.code));
    }
    // What an index names wrongly has no address of its own.
    let address = if row.path.is_empty() { String::new() } else { run.session.server.url(row.path) };
    let says = row.says.iter().map(String::as_str);
    for words in [address.as_str(), "help: "].into_iter().chain(says).filter(|words| !said.contains(words)) {
        wrong.push(format!("does not say `{words}`"));
    }
    // A minute of window, twice; four times the wait for an answer.
    if took > Duration::from_secs(if long() { 150 } else { 30 }) {
        wrong.push(format!("took {took:?}"));
    }
    let mut left = run.left();
    if row.after && run.lock() == world.lock {
        left.retain(|path| !path.ends_with("home/labimg.lock"));
    }
    if !left.is_empty() {
        wrong.push(format!("left {left:?}"));
    }
    for (path, _) in &row.acts {
        run.session.server.always(path, Act::Serve);
    }
    let again = run.run(row.asks);
    if !again.status.success() {
        wrong.push(format!("the next run fails: {}", String::from_utf8_lossy(&again.stderr)));
    } else if match row.asks {
        Asks::Lock => run.lock() != world.lock,
        Asks::Build => run.image() != world.image,
    } {
        wrong.push("the next run gives something else".to_owned());
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("{} at {}: {wrong:#?}\n{said}", row.what, row.path)) }
}

#[test]
fn whatever_a_server_answers_the_command_ends_and_the_next_one_works() {
    let (world, seed) = (World::new(), seed());
    let mut rows = http::rows(&world, seed);
    rows.extend(kinds::debian_mirrors(&world));
    rows.extend(kinds::debian_indexes(&world));
    rows.extend(kinds::releases_of_k3s(&world));
    rows.extend(kinds::registries(&world));
    rows.extend(kinds::repositories_of_charts(&world));
    try_all(&world, rows, &format!("LABIMG_TEST_SEED={seed}"));
}

/// Tries all rows, some at the same time, and tells every one that went wrong.
fn try_all(world: &World, rows: Vec<Row<'_>>, note: &str) {
    let (rows, wrong) = (Mutex::new(VecDeque::from(rows)), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = { rows.lock().unwrap().pop_front() } {
                    if let Err(what) = try_row(world, &row) {
                        wrong.lock().unwrap().push(what);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{note}, {} rows:\n{}", wrong.len(), wrong.join("\n"));
}
