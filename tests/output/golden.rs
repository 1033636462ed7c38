//! Files written by older labimgs, as listed in `docs/formats.md`: the current program reads them, or refuses them and
//! says what to do.
//!
//! `tests/golden/VERSION` was written by the labimg of that version. When you change a format, add the folder of the
//! new version (`cargo test --test output write_golden -- --ignored`) and keep the old ones.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{KEY, NOWHERE, Session, archive, copy};

/// A version that no release has.
const K3S: &str = "v1.99.9+k3s1";
const IMAGE: &str = "quay.io/me/mine:1";

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

/// All folders of older versions.
fn versions() -> Vec<String> {
    let entries = std::fs::read_dir(golden("")).unwrap();
    let mut versions: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    versions.sort();
    assert!(versions.contains(&"0.1.0".to_owned()), "{versions:?}");
    versions
}

/// A session with all files of a version. The labs are `home`, made by `write_golden`, and `full`, made by hand.
pub fn session(version: &str) -> Session {
    let session = Session::new();
    let from = golden(version);
    copy(&from, session.dir.path());
    // Git does not keep modes, and would obey this file.
    session.write("home/secrets/.gitignore", "*\n");
    private(&session.path("home/secrets"));
    let image = zstd::decode_all(File::open(from.join("master-virt.img.zst")).unwrap()).unwrap();
    sparse(&session.path("home/master-virt.img"), &image);
    let cache = zstd::Decoder::new(File::open(from.join("cache.tar.zst")).unwrap()).unwrap();
    tar::Archive::new(cache).unpack(session.path("cache")).unwrap();
    session
}

pub fn private(folder: &Path) {
    std::fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            private(&path);
        } else {
            std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        }
    }
}

/// Writes everything except zeros.
fn sparse(path: &Path, bytes: &[u8]) {
    let file = File::create(path).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    for (number, piece) in bytes.chunks(1 << 16).enumerate().filter(|(_, piece)| piece.iter().any(|b| *b != 0)) {
        file.write_all_at(piece, (number as u64) << 16).unwrap();
    }
}

/// Builds from the lock, without any server.
pub fn build(node: &str) -> Vec<&str> {
    vec![
        "build", node, "--lab", "home", "--locked", "-o", "new.img", "--mirror", NOWHERE, "--cache", "cache", "--quiet",
    ]
}

/// The files of a tar, with modes.
fn members(tar: impl Read) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let member = |mut entry: tar::Entry<'_, _>| {
        let mut content = Vec::new();
        Read::read_to_end(&mut entry, &mut content).unwrap();
        (entry.path().unwrap().display().to_string(), (entry.header().mode().unwrap(), content))
    };
    archive.entries().unwrap().map(|entry| member(entry.unwrap())).collect()
}

/// A seed's files without the lines that were added since: a newer program may tell nodes more.
fn without_newer(mut files: BTreeMap<String, (u32, Vec<u8>)>) -> BTreeMap<String, (u32, Vec<u8>)> {
    const ADDED: [&str; 6] = ["# Format of this seed", "SEED=", "BOARD=", "IMAGE=", "UUID=", "# There, a `+`"];
    let settings = ["etc/labimg/node.conf", "etc/labimg/storage.conf", "etc/rancher/k3s/config.yaml"];
    let told = |name: &str| settings.iter().any(|file| name.ends_with(file));
    for (_, (_, conf)) in files.iter_mut().filter(|(name, _)| told(name)) {
        let text = String::from_utf8(std::mem::take(conf)).unwrap();
        let kept = |line: &&str| !ADDED.iter().any(|added| line.starts_with(added));
        *conf = text.split_inclusive('\n').filter(kept).collect::<String>().into_bytes();
    }
    files
}

/// The seed of an image, and the names of the files beside it.
fn firmware(session: &Session, image: &str) -> (Vec<u8>, Vec<String>) {
    let output = session.unheard(&["export", image, "--tar", "files.tar", "--quiet"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut all = members(File::open(session.path("files.tar")).unwrap());
    std::fs::remove_file(session.path("files.tar")).unwrap();
    let of_firmware = |name: &String| name.trim_start_matches("./").strip_prefix("boot/firmware/").map(str::to_owned);
    let names = all.keys().filter_map(of_firmware).filter(|name| !name.is_empty()).collect();
    let seed = all.iter_mut().find(|(name, _)| name.ends_with("boot/firmware/labimg-seed.tgz"));
    (std::mem::take(&mut seed.unwrap().1.1), names)
}

/// Without the ids of partitions, which follow from all that is in the image: a newer program's overlays bring more.
fn record(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut record: Value = serde_json::from_str(&text).unwrap();
    for partition in record["partitions"].as_array_mut().unwrap() {
        assert!(partition.as_object_mut().unwrap().remove("partuuid").is_some(), "{text}");
    }
    record
}

#[test]
fn labs_secrets_and_caches_are_read() {
    for version in versions() {
        let mut session = session(&version);
        session.both(&["check", "home"]);
        session.both(&["check", "full"]);
        session.run(&["secrets", "show", "--lab", "home"]);
        session.run(&["cache", "verify", "--cache", "cache"]);
        session.run(&["cache", "list", "--cache", "cache"]);
        session.ends(&format!("golden_{version}"));
    }
}

/// The same packages, the same partition positions, the same seed except for lines that were added since.
#[test]
fn a_lock_gives_the_image_that_it_gave() {
    for version in versions() {
        let session = session(&version);
        let before = record(&session.path("home/master-virt.img.json"));
        let secrets = |session: &Session| archive_of(&session.path("home/secrets"));
        let (kept, kubeconfig) = (secrets(&session), session.read("home/kubeconfig"));
        let output = session.unheard(&build("master"));
        assert!(output.status.success(), "{version}: {}", String::from_utf8_lossy(&output.stderr));
        let now = record(&session.path("new.img.json"));
        for field in
            ["format", "board", "role", "suite", "architecture", "date", "packages", "partitions", "k3s", "containers"]
        {
            assert_eq!(now[field], before[field], "{version}: {field}");
        }
        let ((old, old_files), (new, new_files)) =
            (firmware(&session, "home/master-virt.img"), firmware(&session, "new.img"));
        let unpacked = |seed: &[u8]| without_newer(members(flate2::read::GzDecoder::new(seed)));
        assert_eq!(unpacked(&old), unpacked(&new), "{version}: the seed");
        assert_eq!(old, std::fs::read(session.path("master-seed.tgz")).unwrap());
        assert_eq!(old_files, new_files);
        assert_eq!(new_files.join("\n") + "\n", session.read("firmware.txt"));
        assert!(secrets(&session) == kept, "secrets were written again");
        assert_eq!(session.read("home/kubeconfig"), kubeconfig);
    }
}

#[test]
fn images_are_read() {
    for version in versions() {
        let mut session = session(&version);
        session.run(&["inspect", "home/master-virt.img"]);
        session.run(&["inspect", "home/master-virt.img", "--why", "/etc/hosts"]);
        session.run(&["inspect", "home/master-virt.img", "--why", "/usr/bin/busybox"]);
        session.run(&["diff", "home/master-virt.img", "home/master-virt.img"]);
        session.ends(&format!("golden_{version}_image"));
    }
}

/// Files as a future labimg might write them.
#[test]
fn newer_formats_are_refused_with_the_way_out() {
    let mut session = session("0.1.0");
    let lock = session.read("home/labimg.lock").replace("format = 1\n", "format = 7\n");
    session.write("home/labimg.lock", lock);
    session.note("a lock of format 7");
    session.both(&build("master"));
    session.note("a lab.toml with a setting that is to come");
    let lab = session.read("home/lab.toml");
    session.write("home/lab.toml", format!("flavour = \"mild\"\n{lab}"));
    session.both(&["check", "home"]);
    session.note("an image whose record has format 7");
    let path = session.path("home/master-virt.img");
    let image = std::fs::read(&path).unwrap();
    let mark = b"{\n  \"format\": 1,\n  \"labimg\"";
    // Files begin at block boundaries.
    let at = (0..image.len()).step_by(4096).find(|at| image[*at..].starts_with(mark)).unwrap();
    File::options().write(true).open(&path).unwrap().write_all_at(b"{\n  \"format\": 7", at as u64).unwrap();
    session.run(&["inspect", "home/master-virt.img"]);
    session.run(&["inspect", "home/master-virt.img", "--why", "/etc/hosts"]);
    session.both(&["boot", "home/master-virt.img"]);
    session.ends("golden_newer");
}

/// A folder as one value, without the lock.
fn archive_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(archive_of(&path));
        } else {
            all.push((path.clone(), std::fs::read(path).unwrap()));
        }
    }
    all.retain(|(path, _)| !path.ends_with(".lock"));
    all.sort();
    all
}

/// The settings of a lab whose k3s, charts and images come from the session's server ([`publish`]).
pub fn k3s_section(session: &Session) -> String {
    let url = |path: &str| session.server.url(path);
    format!(
        "[k3s]\nversion = \"{K3S}\"\nurl = \"{}\"\ncharts = \"{}\"\nregistries = \"{}\"\nembed_images = true\nimages = [\"{IMAGE}\"]\n",
        url("/k3s"),
        url("/charts"),
        url("")
    )
}

/// A release of k3s and a container image, made up.
pub fn publish(session: &Session) {
    let mut program = archive::program();
    program.resize(20_000, 0);
    let images = zstd::encode_all(format!("container images of {K3S}").as_bytes(), 1).unwrap();
    let folder = format!("/k3s/{}", K3S.replace('+', "%2B"));
    let sums =
        format!("{}  k3s-airgap-images-arm64.tar.zst\n{}  k3s-arm64\n", archive::hex(&images), archive::hex(&program));
    session.server.file(&format!("{folder}/sha256sum-arm64.txt"), sums);
    session.server.file(&format!("{folder}/k3s-arm64"), program);
    session.server.file(&format!("{folder}/k3s-airgap-images-arm64.tar.zst"), images);
    let provisioner = "registry.k8s.io/sig-storage/nfs-subdir-external-provisioner:v4.0.2";
    for name in [provisioner, IMAGE] {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let base = format!("/v2/{repository}");
        let digest = |text: &str| format!("sha256:{}", archive::hex(text.as_bytes()));
        let config = json!({ "os": "linux", "architecture": "arm64", "rootfs": { "type": "layers" } }).to_string();
        let part = |text: &str| json!({ "mediaType": "x", "digest": digest(text), "size": text.len() });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": part(&config),
            "layers": [part(name)],
        })
        .to_string();
        session.server.file(&format!("{base}/manifests/{tag}"), manifest.as_str());
        session.server.file(&format!("{base}/manifests/{}", digest(&manifest)), manifest.as_str());
        for text in [name, &config] {
            session.server.file(&format!("{base}/blobs/{}", digest(text)), text);
        }
    }
}

/// A lab in `home` whose image has everything that the cache can hold, on servers of the session; returns the options
/// that lead there.
pub fn lab_with_everything(session: &Session) -> Vec<String> {
    publish(session);
    let output = session.unheard(&["new", "home", "--board", "virt", "--workers", "1", "--stack", "none"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let url = |path: &str| session.server.url(path);
    let k3s = k3s_section(session);
    let template = session.read("home/lab.toml");
    let lab = template.replace("[k3s]\n", &k3s).replace("ssh_keys = []  ", &format!("ssh_keys = [\"{KEY}\"]"));
    assert!(lab.contains(KEY) && lab.contains(K3S));
    session.write("home/lab.toml", lab);
    let mirror = format!("{},{}", url("/debian"), url("/debian-security"));
    ["--lab", "home", "--mirror", &mirror, "--keyring", "keys.pgp", "--cache", "cache"].map(str::to_owned).into()
}

/// Writes the folder of this version.
#[test]
#[ignore = "writes files of the repository"]
fn write_golden() {
    let session = Session::with_archive();
    let from = lab_with_everything(&session);
    let run = |args: &[&str]| {
        let from: Vec<&str> = from.iter().map(String::as_str).collect();
        let output = session.unheard(&[args, &from].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["lock"]);
    run(&["build", "--locked", "-o", "home"]);

    let to = golden(env!("CARGO_PKG_VERSION"));
    assert!(!to.exists(), "{} is there: what a version wrote is not written again", to.display());
    std::fs::create_dir_all(&to).unwrap();
    let pack = |name: &str, bytes: &[u8]| std::fs::write(to.join(name), zstd::encode_all(bytes, 19).unwrap()).unwrap();
    let (seed, names) = firmware(&session, "home/master-virt.img");
    std::fs::write(to.join("master-seed.tgz"), seed).unwrap();
    std::fs::write(to.join("worker-seed.tgz"), firmware(&session, "home/worker-1-virt.img").0).unwrap();
    std::fs::write(to.join("firmware.txt"), names.join("\n") + "\n").unwrap();
    pack("master-virt.img.zst", &std::fs::read(session.path("home/master-virt.img")).unwrap());
    for image in ["home/master-virt.img", "home/worker-1-virt.img"] {
        std::fs::remove_file(session.path(image)).unwrap();
    }
    for file in ["home/.gitignore", "home/secrets/.gitignore", "home/secrets/.lock"] {
        std::fs::remove_file(session.path(file)).unwrap();
    }
    copy(&session.path("home"), &to.join("home"));
    let mut cache = tar::Builder::new(Vec::new());
    cache.append_dir_all(".", session.path("cache")).unwrap();
    pack("cache.tar.zst", &cache.into_inner().unwrap());
}
