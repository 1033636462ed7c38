//! `labimg lock`, `labimg build --locked` and `labimg update`.

use std::path::{Path, PathBuf};
use std::process::Command;

use labimg_tree::hash::Sha256;

use crate::charts;
use crate::network::{forget, middle};
use crate::{Bench, KEY, fails, labimg, mirror_of, same, shared, stderr, stdout, succeeds};
use labimg_testkit::http_server::{Act, dead_url};

/// A version that no release has.
pub const K3S: &str = "v1.99.9+k3s1";

pub struct Locked {
    pub bench: Bench,
    pub dir: PathBuf,
    pub cache: PathBuf,
    pub lock: PathBuf,
}

impl Locked {
    /// A lab, its lock, and a server with its packages, its k3s and its chart.
    pub fn new() -> Self {
        let bench = Bench::new();
        let (cache, dir) = (bench.warm(), bench.dir.path().join("lab"));
        release(&bench, K3S, 100_000);
        charts::repository(&bench, &charts::archive(), &Sha256::of(charts::archive()));
        std::fs::create_dir(&dir).unwrap();
        let lab = format!(
            "name = \"home\"\nssh_keys = [\"{KEY}\"]\n[k3s]\nversion = \"{K3S}\"\nurl = \"{}\"\ncharts = \"{}\"\n\
             [[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"virt\"\n\
             [[nodes]]\nname = \"worker\"\nrole = \"worker\"\nboard = \"virt\"\n",
            bench.server.url("/k3s"),
            bench.server.url("/charts")
        );
        std::fs::write(dir.join("lab.toml"), lab).unwrap();
        let lock = dir.join("labimg.lock");
        let locked = Self { bench, dir, cache, lock };
        succeeds(&mut locked.command("lock"));
        locked
    }

    /// A command about the lab, from the bench's server.
    pub fn command(&self, name: &str) -> Command {
        let mut command = labimg();
        command.arg(name).arg("--lab").arg(&self.dir);
        command.args(["--mirror", &mirror_of(&self.bench.server)]).arg("--cache").arg(&self.cache);
        command
    }

    /// A build of the worker from the lock, without any server.
    pub fn build(&self, image: &str) -> (Command, PathBuf) {
        self.build_with_snapshots(image, &dead_url(""))
    }

    /// The same, with a server of packages that the mirror has dropped.
    pub fn build_with_snapshots(&self, image: &str, snapshots: &str) -> (Command, PathBuf) {
        self.build_of("worker", image, snapshots)
    }

    /// The same for any node.
    pub fn build_of(&self, node: &str, image: &str, snapshots: &str) -> (Command, PathBuf) {
        let path = self.bench.dir.path().join(image);
        let mut command = labimg();
        command.args(["build", node, "--generic", "--locked", "--lab"]).arg(&self.dir).arg("-o").arg(&path);
        let dead = format!("{},{}", dead_url("/debian"), dead_url("/debian-security"));
        command.args(["--mirror", &dead, "--snapshots", snapshots]).arg("--cache").arg(&self.cache);
        (command, path)
    }

    /// Makes the lock's packages come from here, so that no host outside this machine is asked.
    pub fn found_at(&self, base: &str) {
        let text = std::fs::read_to_string(&self.lock).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (key, folder) in [("debian = ", "debian"), ("security = ", "debian-security")] {
            let line = lines.iter_mut().find(|l| l.starts_with(key)).unwrap();
            *line = format!("{key}\"{base}/{folder}\"");
        }
        std::fs::write(&self.lock, lines.join("\n")).unwrap();
    }
}

/// Fake container images of a release.
pub fn images_of_k3s(version: &str) -> Vec<u8> {
    zstd::encode_all(format!("container images of {version}").as_bytes(), 1).unwrap()
}

/// Adds a release of k3s, with a program of this size in bytes and fake container images.
pub fn release(bench: &Bench, version: &str, size: usize) {
    let mut program = vec![0; size];
    // An ELF header, as at the start of a program for arm64.
    program[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0");
    let images = images_of_k3s(version);
    let sums =
        format!("{}  k3s-airgap-images-arm64.tar.zst\n{}  k3s-arm64\n", Sha256::of(&images), Sha256::of(&program));
    let folder = format!("/k3s/{}", version.replace('+', "%2B"));
    bench.server.file(&format!("{folder}/sha256sum-arm64.txt"), sums);
    bench.server.file(&format!("{folder}/k3s-arm64"), program);
    bench.server.file(&format!("{folder}/k3s-airgap-images-arm64.tar.zst"), images);
}

#[test]
fn a_lock_needs_no_network_and_gives_the_same_bytes() {
    let locked = Locked::new();
    let text = std::fs::read_to_string(&locked.lock).unwrap();
    assert!(text.contains("[[image]]") && text.contains(&format!("version = \"{K3S}\"")), "{text}");
    let (mut command, first) = locked.build("first.img");
    succeeds(&mut command);
    // In another folder, time zone and language, with another number of downloads and threads.
    let (mut command, second) = locked.build("second.img");
    command.current_dir("/").args(["--jobs", "1"]).envs([
        ("TZ", "Pacific/Kiritimati"),
        ("LANG", "de_DE.UTF-8"),
        ("RAYON_NUM_THREADS", "1"),
    ]);
    succeeds(&mut command);
    same(&first, &second);
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(format!("{}.json", first.display())).unwrap()).unwrap();
    assert_eq!((&manifest["k3s"]["how"], &manifest["k3s"]["version"]), (&"embedded".into(), &K3S.into()));
    // The lock is what the mirror has, so an unlocked build gives the same, and mentions the lock.
    let third = locked.bench.dir.path().join("third.img");
    let built = succeeds(locked.command("build").args(["worker", "--generic", "-o"]).arg(&third));
    assert!(stderr(&built).contains("labimg.lock is not used"), "{}", stderr(&built));
    same(&first, &third);
}

#[test]
fn what_the_lock_names_is_taken_or_nothing() {
    let locked = Locked::new();
    let [changed, gone] = middle(2)[..] else { unreachable!() };
    locked.found_at(&locked.bench.server.url(""));
    forget(&locked.cache, gone);
    locked.bench.server.always(&gone.urls[0], Act::Status(404, String::new()));
    let (mut command, path) = locked.build("none.img");
    fails(&mut command, 1, &[&gone.name, "404", "/archive/debian/", "refused"]);
    assert!(!path.exists());

    locked.bench.server.always(&gone.urls[0], Act::Serve);
    let text = std::fs::read_to_string(&locked.lock).unwrap();
    let other = Sha256::of("other").to_string();
    std::fs::write(&locked.lock, text.replace(&changed.sha256.to_string(), &other)).unwrap();
    let (mut command, path) = locked.build("none.img");
    fails(&mut command, 1, &[&changed.name, &format!("SHA-256 is {}, expected {other}", changed.sha256)]);
    assert!(!path.exists());
}

#[test]
fn a_package_that_left_the_mirror_comes_from_the_snapshots() {
    let locked = Locked::new();
    let [package] = middle(1)[..] else { unreachable!() };
    forget(&locked.cache, package);
    let path = &package.urls[0];
    let bytes = std::fs::read(shared().mirror.join(&path[1..])).unwrap();
    locked.bench.server.always(path, Act::Status(404, String::new()));
    let date = std::fs::read_to_string(&locked.lock).unwrap();
    let date = date.lines().find_map(|l| l.strip_prefix("date = \"")).unwrap().trim_end_matches('"');
    let time: jiff::Timestamp = date.parse().unwrap();
    let time = (time + jiff::SignedDuration::from_hours(24)).strftime("%Y%m%dT%H%M%SZ").to_string();
    let place = path.strip_prefix("/debian").unwrap();
    // A package that is missing from the first snapshot, six hours later, is taken from the second, 24 hours later.
    locked.bench.server.file(&format!("/snapshots/archive/debian/{time}{place}"), bytes);
    locked.found_at(&locked.bench.server.url(""));
    let (mut command, image) = locked.build_with_snapshots("node.img", &locked.bench.server.url("/snapshots"));
    succeeds(&mut command);
    assert!(image.exists());
}

#[test]
fn another_lab_than_the_locked_one_is_refused() {
    let locked = Locked::new();
    let (mut command, _) = locked.build("node.img");
    fails(command.args(["--package", "htop"]), 2, &["labimg.lock", "asks for htop too", "`labimg lock`"]);
    let lab = std::fs::read_to_string(locked.dir.join("lab.toml")).unwrap();
    std::fs::write(locked.dir.join("lab.toml"), lab.replace(K3S, "v1.99.8+k3s1")).unwrap();
    let (mut command, _) = locked.build("node.img");
    fails(&mut command, 2, &["no k3s v1.99.8+k3s1 for arm64 but v1.99.9+k3s1"]);
    std::fs::remove_file(&locked.lock).unwrap();
    let (mut command, _) = locked.build("node.img");
    fails(&mut command, 2, &["labimg.lock", "`labimg lock` writes it"]);
}

#[test]
fn an_update_shows_what_changes_before_it_writes() {
    let locked = Locked::new();
    let nothing = succeeds(locked.command("update").arg("--json"));
    let nothing: serde_json::Value = serde_json::from_slice(&nothing.stdout).unwrap();
    assert_eq!((&nothing["written"], &nothing["changes"]), (&false.into(), &serde_json::json!([])));
    let package = middle(1)[0];
    let old = std::fs::read_to_string(&locked.lock).unwrap();
    let version = format!("name = \"{}\"\nversion = \"{}\"", package.name, package.version);
    assert!(old.contains(&version));
    let older = old.replace(&version, &format!("name = \"{}\"\nversion = \"0.1\"", package.name));
    std::fs::write(&locked.lock, &older).unwrap();
    let shown = stdout(&succeeds(locked.command("update").arg("--dry-run")));
    assert!(shown.contains(&format!("0.1 -> {}", package.version)) && shown.contains("1 change, "), "{shown}");
    assert_eq!(std::fs::read_to_string(&locked.lock).unwrap(), older);
    let json = succeeds(locked.command("update").arg("--json"));
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["written"], &json["changes"][0]["name"]), (&true.into(), &package.name.as_str().into()));
    assert_eq!(std::fs::read_to_string(Path::new(&locked.lock)).unwrap(), old);
}
