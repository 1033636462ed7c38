//! `labimg build` as a user runs it, with good and bad input and with failures.
//!
//! Needs a Debian mirror (`LABIMG_MIRROR`, else the one of the host's apt): the files for one image are recorded in
//! `target/tmp` once, with Debian's own signatures, and served from 127.0.0.1. Needs e2fsck, debugfs, fsck.vfat and
//! sfdisk as judges, dpkg-deb to make other versions of packages, docker-registry, containerd and faketime. As root,
//! builds run without any capability.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a panic is how a test fails, names are our own, and speed is no matter here"
)]

mod airgap;
mod charts;
mod containers;
mod disk;
mod elsewhere;
mod judges;
mod labs;
mod locked;
mod network;
mod recorded;
mod registry;
mod registry_server;
mod renewed;
mod signals;
mod together;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use labimg_debian::lock::LockedPackage;
use labimg_testkit::http_server::Server;
use tempfile::TempDir;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";

/// Shared by all tests: a recorded mirror, a complete cache, and an image.
struct Shared {
    /// Holds `debian` and `debian-security`.
    mirror: PathBuf,
    /// Serves it without faults. Images contain the mirror's address, so images to be compared are built from here.
    server: Server,
    packages: Vec<LockedPackage>,
    cache: PathBuf,
    image: PathBuf,
    dir: PathBuf,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build");
        let dir = base.join("run");
        if dir.exists() {
            std::fs::remove_dir_all(&dir).unwrap();
        }
        std::fs::create_dir_all(&dir).unwrap();
        let mirror = dir.join("mirror");
        let packages = recorded::record(&base.join("downloads"), &mirror);
        let server = Server::start();
        server.folder(&mirror);
        let (cache, image) = (dir.join("cache"), dir.join("shared.img"));
        let built = run(&mut build(&server, &cache, &image));
        assert_eq!(built.status.code(), Some(0), "{}", stderr(&built));
        Shared { mirror, server, packages, cache, image, dir }
    })
}

/// A folder for one test's files, on the same disk as the shared cache.
struct Bench {
    dir: TempDir,
    server: Server,
}

impl Bench {
    /// With its own server, for faults.
    fn new() -> Self {
        let server = Server::start();
        server.folder(&shared().mirror);
        Self { dir: tempfile::tempdir_in(&shared().dir).unwrap(), server }
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("out").join("node.img")
    }

    /// A complete cache. Files are hard links: replaced, never changed.
    fn warm(&self) -> PathBuf {
        let cache = self.cold();
        let copied = Command::new("cp").arg("-al").arg(&shared().cache).arg(&cache).status().unwrap();
        assert!(copied.success());
        cache
    }

    /// A cache that does not exist yet.
    fn cold(&self) -> PathBuf {
        std::fs::create_dir_all(self.dir.path().join("out")).unwrap();
        self.dir.path().join("cache")
    }

    fn build(&self, cache: &Path) -> Command {
        build(&self.server, cache, &self.image())
    }

    /// The files in the image's folder.
    fn outputs(&self) -> Vec<String> {
        names(&self.dir.path().join("out"))
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The two addresses, as written for `--mirror`.
fn mirror_of(server: &Server) -> String {
    format!("{},{}", server.url("/debian"), server.url("/debian-security"))
}

/// `labimg` as run by a user without privileges, without the caller's settings.
fn labimg() -> Command {
    let program = env!("CARGO_BIN_EXE_labimg");
    let mut command = if rustix::process::geteuid().is_root() {
        // Without capabilities, file modes apply to root as to any owner.
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", program]);
        command
    } else {
        Command::new(program)
    };
    for setting in
        ["LABIMG_MIRROR", "LABIMG_CACHE", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"]
    {
        command.env_remove(setting);
    }
    command.env("HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

fn build(server: &Server, cache: &Path, image: &Path) -> Command {
    let mut command = labimg();
    command.args(["build", "--board", "virt", "--role", "worker", "--ssh-key", KEY]);
    command.arg("--output").arg(image);
    inputs(&mut command, server, cache);
    command
}

/// Where packages and k3s come from. No release of k3s is on the recorded mirror.
fn inputs(command: &mut Command, server: &Server, cache: &Path) {
    command.args(["--mirror", &mirror_of(server)]).arg("--cache").arg(cache);
    command.args(["--k3s-bin", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boot/k3s-stand-in.sh")]);
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Asserts that a command failed with this code and that its message contains all of these; returns the message.
fn fails(command: &mut Command, code: i32, parts: &[&str]) -> String {
    let output = run(command);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{:?} {text}", output.status);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(stdout(&output), "", "a failure has no result");
    text
}

fn succeeds(command: &mut Command) -> Output {
    let output = run(command);
    assert_eq!(output.status.code(), Some(0), "{:?} {}", output.status, stderr(&output));
    output
}

/// Asserts that two files have the same bytes.
fn same(a: &Path, b: &Path) {
    let compared = run(Command::new("cmp").args([a, b]));
    if !compared.status.success() {
        // Shows the partition, file and field.
        let diff = run(labimg().args(["diff", "--files"]).args([a, b]));
        panic!("{}{}{}{}", stdout(&compared), stderr(&compared), stdout(&diff), stderr(&diff));
    }
}
