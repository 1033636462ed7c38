//! Runs the first-boot script with this computer's apt against a test server. It runs in a folder that stands for the
//! node's root; `systemctl` is a stand-in that records its calls.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::*;
use crate::k3s::{DEFAULT_VERSION, Why};
use labimg_testkit::http_server::{Act, Server, dead_url};
use labimg_tree::hash::Sha256;

const APT_HELPER: &str = "/usr/lib/apt/apt-helper";
const FOLDER: &str = "/k3s/v1.36.5%2Bk3s1";

struct Node {
    root: TempDir,
    server: Server,
    program: Vec<u8>,
    /// Names of program and checksum file for this computer's architecture.
    file: &'static str,
    sums: &'static str,
}

/// `None` where there is no apt.
fn node(sha256: Option<Sha256>, unit: &str) -> Option<Node> {
    if !Path::new(APT_HELPER).exists() {
        return None;
    }
    let architecture = Command::new("dpkg").arg("--print-architecture").output().unwrap().stdout;
    let (file, sums) = match String::from_utf8(architecture).unwrap().trim() {
        "arm64" => ("k3s-arm64", "sha256sum-arm64.txt"),
        "armhf" => ("k3s-armhf", "sha256sum-arm.txt"),
        "amd64" => ("k3s", "sha256sum-amd64.txt"),
        other => panic!("no k3s for {other}: this test cannot run here"),
    };
    let server = Server::start();
    let program: Vec<u8> = (0..400_000).map(|i: u32| (i * 7 + i / 251) as u8).collect();
    server.file(&format!("{FOLDER}/{file}"), program.clone());
    let text = format!("{}  k3s-airgap-images.tar.zst\n{}  {file}\n", Sha256::of("x"), Sha256::of(&program));
    server.file(&format!("{FOLDER}/{sums}"), text);
    let root = tempfile::tempdir().unwrap();
    let node = Node { root, server, program, file, sums };
    let first =
        FirstBoot { version: DEFAULT_VERSION.to_owned(), url: node.server.url("/k3s"), sha256, why: Why::Asked };
    node.put(INSTALL, &install_conf(&first));
    node.put(&format!("usr/lib/systemd/system/{unit}"), "");
    node.put("bin/systemctl", "#!/bin/sh\necho \"$@\" >> \"${0%/*}/called\"\n");
    Command::new("chmod").arg("+x").arg(node.path("bin/systemctl")).status().unwrap();
    // Independent of the proxy that this computer's apt uses.
    node.put("apt.conf", "Acquire::http::Proxy \"DIRECT\";\n");
    Some(node)
}

impl Node {
    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn put(&self, path: &str, text: &str) {
        std::fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        std::fs::write(self.path(path), text).unwrap();
    }

    fn run(&self) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("overlays/k3s-install/usr/lib/labimg/k3s-install");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("sh");
        command.arg(script).arg(self.root.path()).env("PATH", path).env("APT_CONFIG", self.path("apt.conf"));
        for proxy in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(proxy);
        }
        command.output().unwrap()
    }

    #[track_caller]
    fn installs(&self) -> String {
        let output = self.run();
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(std::fs::read(self.path(PROGRAM)).unwrap(), self.program);
        let mode = std::os::unix::fs::PermissionsExt::mode(&self.path(PROGRAM).metadata().unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o755);
        assert!(!self.path("var/lib/labimg/k3s-install").exists());
        text
    }

    #[track_caller]
    fn fails(&self, needle: &str) {
        let output = self.run();
        let text = text(&output);
        assert!(!output.status.success() && text.contains(needle), "{text}");
        assert!(!self.path(PROGRAM).exists());
        assert!(!self.path("bin/called").exists(), "k3s was started without being there");
    }

    fn called(&self) -> String {
        std::fs::read_to_string(self.path("bin/called")).unwrap_or_default()
    }
}

/// The path of a release file on the server.
fn at(name: &str) -> String {
    format!("{FOLDER}/{name}")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs `test` on a node, or reports that it cannot.
fn with(sha256: Option<Sha256>, unit: &str, test: impl FnOnce(Node)) {
    match node(sha256, unit) {
        Some(node) => test(node),
        // Printed with `--nocapture`; scripts/test runs on Debian, where apt is.
        #[allow(clippy::print_stderr)]
        None => eprintln!("not run: {APT_HELPER} is missing"),
    }
}

#[test]
fn installs_by_the_checksum_file_and_starts_the_unit() {
    with(None, "k3s.service", |node| {
        let text = node.installs();
        assert!(text.contains("labimg-k3s-install: k3s v1.36.5+k3s1 is installed"), "{text}");
        assert_eq!(node.called(), "--no-block start k3s.service\n");
        let seen: Vec<String> = node.server.seen().into_iter().map(|seen| seen.path).collect();
        assert_eq!(seen, [at(node.sums), at(node.file)]);
        // The second time nothing is fetched, and the unit is started once more.
        node.installs();
        assert_eq!(node.server.seen().len(), 2);
    });
}

#[test]
fn a_known_hash_needs_no_checksum_file() {
    let program: Vec<u8> = (0..400_000).map(|i: u32| (i * 7 + i / 251) as u8).collect();
    with(Some(Sha256::of(program)), "k3s-agent.service", |node| {
        node.server.always(&at(node.sums), Act::Status(404, String::new()));
        node.installs();
        assert_eq!(node.called(), "--no-block start k3s-agent.service\n");
    });
}

#[test]
fn a_wrong_program_is_never_installed() {
    with(None, "k3s.service", |node| {
        node.server.always(&at(node.file), Act::Instead(vec![7; 400_000]));
        node.fails("not installed");
        // Also not from what the failed attempt left.
        node.fails("not installed");
        node.server.always(&at(node.file), Act::Serve);
        node.installs();
    });
    with(Some(Sha256::of("another")), "k3s.service", |node| node.fails("not installed"));
}

#[test]
fn checksum_files_of_no_use_are_named() {
    with(None, "k3s.service", |node| {
        node.server.always(&at(node.sums), Act::Instead(b"<html>Please log in</html>".to_vec()));
        node.fails("has no line for");
        let two = format!("{}  {file}\n{}  {file}\n", Sha256::of("a"), Sha256::of("b"), file = node.file);
        node.server.always(&at(node.sums), Act::Instead(two.into_bytes()));
        node.fails("two checksums");
        node.server.always(&at(node.sums), Act::Serve);
        node.installs();
    });
}

#[test]
fn a_cut_download_is_finished_by_the_next_attempt() {
    with(None, "k3s.service", |node| {
        node.server.always(&at(node.file), Act::CutAfter(100_000));
        node.fails("cannot download");
        node.server.always(&at(node.file), Act::Serve);
        node.installs();
    });
}

#[test]
fn what_a_power_cut_left_is_used_or_replaced() {
    with(None, "k3s.service", |node| {
        let part = format!("var/lib/labimg/k3s-install/{}", node.file);
        // Complete, but not yet renamed.
        node.put(&part, "");
        std::fs::write(node.path(&part), &node.program).unwrap();
        node.installs();
        assert_eq!(node.server.seen().len(), 1, "only the checksum file");
        // Same size but other bytes, as after lost writes; then with too many bytes.
        for size in [400_000, 500_000] {
            std::fs::remove_file(node.path(PROGRAM)).unwrap();
            node.put(&part, "");
            std::fs::write(node.path(&part), vec![0; size]).unwrap();
            let first = node.run();
            if !first.status.success() {
                assert!(text(&first).contains("not installed") || text(&first).contains("cannot download"));
                assert!(!node.path(PROGRAM).exists());
            }
            node.installs();
        }
    });
}

#[test]
fn without_a_server_it_says_so() {
    with(None, "k3s.service", |node| {
        let first = FirstBoot { version: DEFAULT_VERSION.to_owned(), url: dead_url(""), sha256: None, why: Why::Asked };
        node.put(INSTALL, &install_conf(&first));
        node.fails("cannot download");
    });
}

#[test]
fn settings_survive_the_shell() {
    let odd =
        FirstBoot { version: "v1'; exit 7; '".into(), url: "$(exit 8) `x`".into(), sha256: None, why: Why::Asked };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), install_conf(&odd)).unwrap();
    let script = format!(". {}; printf '%s|%s|%s' \"$VERSION\" \"$URL\" \"$SHA256\"", file.path().display());
    let output = Command::new("sh").arg("-euc").arg(script).output().unwrap();
    assert_eq!(text(&output), format!("{}|{}|", odd.version, odd.url));
}
