//! The whole output of the commands, on both streams and with exit codes, as text and as JSON. Each test is a session
//! of commands in its own folder. Needs no mirror and no daemon: a small signed archive is served on 127.0.0.1.
//!
//! What differs between runs is replaced: the folder, ports, times, hashes, keys. `INSTA_UPDATE=always cargo test
//! --test output` rewrites the snapshots; check the differences before you commit them.

#![allow(
    clippy::format_push_string,
    clippy::unwrap_used,
    clippy::format_collect,
    reason = "a panic is how a test fails, and speed is no matter here"
)]

mod api;
mod archive;
mod checks;
mod cluster;
mod damage;
mod golden;
mod image;
mod in_place;
mod killed;
mod lab;
mod lies;
mod locked;
mod mirror;
mod mutations;
mod usage;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use archive::Archive;
use labimg_testkit::http_server::{Server, dead_url};
use tempfile::TempDir;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";

/// Longer outputs are cut here; they are not meant for reading.
const LONGEST: usize = 1500;

/// Nothing listens there.
const NOWHERE: &str = "http://127.0.0.1:1";

/// A folder where commands run, and their output so far.
struct Session {
    dir: TempDir,
    server: Server,
    archive: Option<Archive>,
    said: String,
    /// The value of `PATH`.
    path: String,
}

impl Session {
    fn new() -> Self {
        let path = "/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
        Self { dir: tempfile::tempdir().unwrap(), server: Server::start(), archive: None, said: String::new(), path }
    }

    /// With a mirror, a stand-in for k3s, and the files that [`Session::from`] names.
    fn with_archive() -> Self {
        let session = Self::new();
        let archive = Archive::on(&session.server);
        archive.keyring(&session.path("keys.pgp"));
        chart(&session.server);
        let mut k3s = archive::program();
        k3s.resize(100_000, 0);
        session.write("k3s", k3s);
        Self { archive: Some(archive), ..session }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// `labimg` run in the folder, by a user without privileges whose home it is.
    fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_labimg");
        let mut command = if rustix::process::geteuid().is_root() {
            // Without capabilities, file modes apply to root as to any owner.
            let mut command = Command::new("/usr/bin/setpriv");
            command.args(["--bounding-set=-all", "--inh-caps=-all", program]);
            command
        } else {
            Command::new(program)
        };
        command.current_dir(self.dir.path()).env_clear().env("HOME", self.dir.path()).env("PATH", &self.path);
        // No command of a test contacts another computer, even if it forgets an option.
        command.env("LABIMG_MIRROR", format!("{NOWHERE}/debian,{NOWHERE}/debian-security"));
        command.env("LABIMG_SNAPSHOTS", NOWHERE).env("https_proxy", NOWHERE).env("no_proxy", "127.0.0.1");
        command
    }

    /// Where packages and k3s come from.
    fn from(&self) -> Vec<String> {
        let mirror = format!("{},{}", self.server.url("/debian"), self.server.url("/debian-security"));
        ["--mirror", &mirror, "--keyring", "keys.pgp", "--cache", "cache", "--k3s-bin", "k3s"].map(str::to_owned).into()
    }

    /// Runs a command and records it.
    fn run(&mut self, args: &[&str]) -> Output {
        let output = self.command().args(args).output().unwrap();
        self.record(args, &output);
        output
    }

    /// Runs a command without recording its output.
    fn unheard(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    /// Runs it twice: with text and with JSON output.
    fn both(&mut self, args: &[&str]) -> Output {
        self.run(args);
        self.run(&[args, &["--json"]].concat())
    }

    /// Runs a command that needs packages, twice.
    fn build(&mut self, args: &[&str]) -> Output {
        let from = self.from();
        let from: Vec<&str> = from.iter().map(String::as_str).collect();
        self.both(&[args, &from].concat())
    }

    /// As [`Session::build`], but once and without recording.
    fn prepare(&self, args: &[&str]) {
        let from = self.from();
        let from: Vec<&str> = from.iter().map(String::as_str).collect();
        let output = self.unheard(&[args, &from].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The existing images.
    fn images(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.filter(|name| Path::new(name).extension().is_some_and(|e| e == "img")).collect()
    }

    fn record(&mut self, args: &[&str], output: &Output) {
        let quoted = args
            .iter()
            .map(|arg| if arg.contains(' ') || arg.is_empty() { format!("'{arg}'") } else { (*arg).to_owned() });
        let code = output.status.code().map_or_else(|| output.status.to_string(), |code| code.to_string());
        let _ = writeln!(self.said, "$ labimg {}\nexit code {code}", quoted.collect::<Vec<_>>().join(" "));
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            if lines.len() > LONGEST {
                let _ = writeln!(self.said, "--- {name}: {} and more", lines[0]);
            } else if !text.is_empty() {
                let end = if text.ends_with('\n') { "" } else { "(no newline)\n" };
                let _ = write!(self.said, "--- {name}\n{}\n{end}", text.trim_end_matches('\n'));
            }
        }
        self.said.push('\n');
    }

    /// A remark between commands.
    fn note(&mut self, text: &str) {
        let _ = writeln!(self.said, "# {text}");
    }

    /// Compares everything with the snapshot.
    fn ends(&self, name: &str) {
        let folder = self.dir.path().display().to_string();
        let said = self.said.replace(&folder, "[DIR]").replace(env!("CARGO_MANIFEST_DIR"), "[SOURCE]");
        let filters = vec![
            (r"127\.0\.0\.1:\d+", "127.0.0.1:[PORT]"),
            (r"\b[0-9a-f]{64}\b", "[SHA256]"),
            (r"\b[0-9A-F]{40}\b", "[FINGERPRINT]"),
            (r"SHA256:[A-Za-z0-9+/]{43}", "SHA256:[FINGERPRINT]"),
            (r"(?m) +\d+\.\d s\b", " [TIME]"),
            // Occasional lines on a slow computer.
            (r#"(?m)^\{[^\n]*"event":"progress"[^\n]*\n"#, ""),
            (r"(?m)^[A-Z][A-Za-z ]+: [^\n]* left\n", ""),
            // The space that it takes on this computer's file system.
            (r"\(\d[^)]* of data\)", "([SIZE] of data)"),
            (r"Syncing image to disk \[TIME\] \([^)]*\)", "Syncing image to disk [TIME] ([SIZE])"),
            (r#"\{"done":\d+,("event":"end","seconds":[^,]*,"text":"Syncing image to disk")"#, r#"{"done":[SIZE],$1"#),
            (r#""occupied": \d+"#, r#""occupied": [SIZE]"#),
            (r"\bnow it is \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "now it is [NOW]"),
            (r"\bold-\d{4}-\d\d-\d\d", "old-[DAY]"),
            (r"\buntil \d{4}-\d\d-\d\d", "until [DAY]"),
            (r#""expires": "\d{4}-\d\d-\d\d""#, r#""expires": "[DAY]""#),
            (r"(?m) (\d+(?:\.\d\d)? [KM]?i?B) \d{4}-\d\d-\d\d$", " $1 [DAY]"),
            (r#""last_used": \d+"#, r#""last_used": [TIME]"#),
            (r#""seconds":[0-9.e-]+"#, r#""seconds":[TIME]"#),
            (r"labimg \d+\.\d+\.\d+", "labimg [VERSION]"),
            (r"still so after \d+ s", "still so after [TIME]"),
        ];
        insta::with_settings!({ filters => filters, omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, said);
        });
    }
}

/// A mirror of the repository of the chart that labimg's manifests name.
fn chart(server: &Server) {
    chart_with(server, &[]);
}

/// The same, in which the chart has these files.
fn chart_with(server: &Server, files: &[(&str, &str)]) {
    let (name, version) = ("nfs-subdir-external-provisioner", "4.0.18");
    let archive = labimg_testkit::chart::archive_with(name, version, files);
    let file = format!("releases.example/{name}-{version}.tgz");
    let digest = archive::hex(&archive);
    let index = format!(
        "apiVersion: v1\nentries:\n  {name}:\n  - apiVersion: v1\n    digest: {digest}\n    name: {name}\n    urls:\n    \
         - https://{file}\n    version: {version}\ngenerated: \"2023-01-01T00:00:00Z\"\n"
    );
    server.file(&format!("/charts/kubernetes-sigs.github.io/{name}/index.yaml"), index);
    server.file(&format!("/charts/{file}"), archive);
}

/// Copies a folder with what is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
