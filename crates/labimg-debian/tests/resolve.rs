//! Compares with apt: each request is resolved by labimg and by `apt-get -s install` from the same mirror.
//!
//! Needs apt and the mirror of the host's apt; takes a few minutes. Root is not needed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use labimg_debian::lock::archive::Archive;
use labimg_debian::lock::mirror::Mirror;
use labimg_debian::lock::{Lock, LockRequest};
use labimg_store::http::Http;
use labimg_store::{Context, Store};
use labimg_tree::fault::Fault;
use labimg_tree::progress::Silent;
use rayon::prelude::*;

const REQUESTS: &[&str] = &[
    "openssh-server",
    "systemd-sysv dbus udev",
    "linux-image-arm64 raspi-firmware firmware-brcm80211 initramfs-tools",
    "nfs-kernel-server nfs-common open-iscsi",
    "network-manager",
    "task-xfce-desktop",
    "xfce4 xterm",
    "gnome-core",
    "gnome",
    "kde-standard",
    "task-lxde-desktop",
    "lxqt",
    "mate-desktop-environment",
    "libreoffice",
    "postgresql",
    "mariadb-server",
    "docker.io",
    "podman",
    "lxc",
    "libvirt-daemon-system virt-manager",
    "nginx",
    "apache2 php",
    "samba",
    "exim4",
    "postfix",
    "mailutils",
    "mailutils postfix",
    "postfix mailutils",
    "cron anacron logrotate",
    "default-jre",
    "build-essential",
    "python3-numpy",
    "qemu-system",
    "qemu-system-arm qemu-utils",
    "texlive-full",
    "ros-desktop-full",
    "r-base octave",
    "nodejs npm",
    "rustc cargo golang cmake clang",
    "firefox-esr chromium thunderbird",
    "gimp inkscape blender vlc",
    "cups avahi-daemon",
    "ceph slurmd openvswitch-switch",
    "cockpit prometheus ansible",
    "dracut",
    "sysvinit-core elogind",
    "snapd flatpak",
    "wordpress rails",
];

/// Runs an apt tool with its own root folder.
fn apt(config: &Path, arguments: &[&str]) -> String {
    let output = Command::new(arguments[0])
        .args(&arguments[1..])
        .env("APT_CONFIG", config)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|e| panic!("{} is needed by this test: {e}", arguments[0]));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// An empty arm64 system with the mirror's trixie.
fn apt_root(root: &Path, mirror: &Mirror) -> std::path::PathBuf {
    for folder in [
        "etc/apt/trusted.gpg.d",
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/lib/dpkg",
    ] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lock/keys");
    for entry in std::fs::read_dir(keys).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "pgp") {
            let name = Path::new(path.file_name().unwrap()).with_extension("gpg");
            std::fs::copy(&path, root.join("etc/apt/trusted.gpg.d").join(name)).unwrap();
        }
    }
    let Mirror { archive, security, .. } = mirror;
    let sources = format!(
        "deb {archive} trixie main non-free-firmware\ndeb {archive} trixie-updates main non-free-firmware\n\
         deb {security} trixie-security main non-free-firmware\n"
    );
    std::fs::write(root.join("etc/apt/sources.list"), sources).unwrap();
    let config = root.join("apt.conf");
    let path = root.display();
    let text = format!(
        "Dir \"{path}\";\nDir::State::status \"{path}/var/lib/dpkg/status\";\nAPT::Architecture \"arm64\";\n\
         APT::Architectures {{ \"arm64\"; }};\nAPT::Install-Recommends \"false\";\nAPT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\nAcquire::ForceHash \"SHA256\";\nDebug::NoLocking \"true\";\n"
    );
    std::fs::write(&config, text).unwrap();
    apt(&config, &["apt-get", "-qq", "update"]);
    config
}

fn simulated(config: &Path, packages: &[String]) -> BTreeMap<String, String> {
    let mut arguments = vec!["apt-get", "-s", "install"];
    arguments.extend(packages.iter().map(String::as_str));
    // A line such as: Inst libc6 (2.41-12 Debian:13.1/stable [arm64])
    apt(config, &arguments)
        .lines()
        .filter_map(|line| line.strip_prefix("Inst "))
        .map(|line| {
            let (name, rest) = line.split_once(" (").unwrap();
            (name.to_owned(), rest.split(' ').next().unwrap().to_owned())
        })
        .collect()
}

fn ours(lock: &Lock) -> BTreeMap<String, String> {
    lock.packages.iter().map(|p| (p.name.clone(), p.version.clone())).collect()
}

fn difference(ours: &BTreeMap<String, String>, apts: &BTreeMap<String, String>) -> String {
    let only = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> Vec<String> {
        a.iter().filter(|(k, v)| b.get(*k) != Some(v)).map(|(k, v)| format!("{k} {v}")).collect()
    };
    format!("only labimg: {:?}; only apt: {:?}", only(ours, apts), only(apts, ours))
}

#[test]
fn every_request_gives_what_apt_gives() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = Mirror::choose(None, Path::new("/")).unwrap();
    let config = apt_root(&folder.path().join("apt"), &mirror);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    let request = LockRequest {
        suite: "trixie".into(),
        extra_suites: Vec::new(),
        architecture: "arm64".into(),
        packages: Vec::new(),
        mirror,
        keyrings: Vec::new(),
        now,
    };
    let store = Store::open(&folder.path().join("cache")).unwrap();
    let http = Http::new().unwrap();
    let archive = Archive::fetch(&request, &Context { store: &store, http: &http, progress: &Silent }).unwrap();

    // apt uses one processor.
    let check = |request: &&str| {
        let packages: Vec<String> = request.split_whitespace().map(str::to_owned).collect();
        let apts = simulated(&config, &packages);
        let lock = archive
            .lock(&packages, false)
            .unwrap_or_else(|e| panic!("{request}: {e}; apt finds {} packages", apts.len()));
        let ours = ours(&lock);
        let asked: BTreeSet<_> = lock.packages.iter().filter(|p| !p.auto).map(|p| p.name.clone()).collect();
        assert_eq!(asked, packages.iter().cloned().collect(), "{request}");
        (ours != apts).then(|| format!("{request}: {}", difference(&ours, &apts)))
    };
    let wrong: Vec<String> = REQUESTS.par_iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // The base: packages that apt calls essential or required, and apt.
    let available = apt(&config, &["apt-cache", "dumpavail"]);
    let base: BTreeSet<String> = available
        .split("\n\n")
        .filter(|s| s.contains("\nEssential: yes") || s.contains("\nPriority: required"))
        .filter_map(|s| s.lines().find_map(|l| l.strip_prefix("Package: ")).map(str::to_owned))
        .chain(["apt".to_owned()])
        .collect();
    assert!(base.len() > 20, "{base:?}");
    let extra = ["openssh-server".to_owned()];
    let apts = simulated(&config, &extra.iter().cloned().chain(base.iter().cloned()).collect::<Vec<_>>());
    let lock = archive.lock(&extra, true).unwrap();
    assert_eq!(ours(&lock), apts, "{}", difference(&ours(&lock), &apts));
    assert!(lock.packages.iter().all(|p| p.auto != (base.contains(&p.name) || p.name == "openssh-server")));

    // The files' addresses: 'URL' name size SHA256:digest
    let lock = archive.lock(&extra, false).unwrap();
    let uris = apt(&config, &["apt-get", "-qq", "--print-uris", "install", "openssh-server"]);
    let apts: BTreeSet<String> =
        uris.lines().map(|l| l.split_whitespace().skip(2).collect::<Vec<_>>().join(" ")).collect();
    let places: BTreeSet<&str> = uris.lines().filter_map(|l| l.strip_prefix('\'')?.split('\'').next()).collect();
    assert_eq!(apts, lock.packages.iter().map(|p| format!("{} SHA256:{}", p.size, p.sha256)).collect());
    assert_eq!(places, lock.packages.iter().map(|p| p.urls[0].as_str()).collect());

    // Impossible and misspelt requests.
    let error = |packages: &[&str]| {
        let packages: Vec<String> = packages.iter().map(|p| (*p).to_owned()).collect();
        archive.lock(&packages, true).unwrap_err()
    };
    assert_eq!(
        error(&["nginx", "exim4-daemon-light", "git", "postfix"]).to_string(),
        "exim4-daemon-light, postfix cannot be installed together: \
         exim4-daemon-light conflicts with mail-transport-agent, provided by postfix"
    );
    assert!(error(&["opnessh-server"]).help().unwrap().contains("did you mean `openssh-server`"));
    assert!(error(&["mail-transport-agent"]).to_string().contains("exim4-daemon-light, "));
    assert!(error(&["bash=1"]).to_string().contains("only "));
}
