//! A lab folder with one image, and a machine that runs it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test: a copy where the user of the test can read it, else cargo's.
fn labimg() -> PathBuf {
    std::env::var_os("LABIMG_TEST_BIN").map_or_else(|| env!("CARGO_BIN_EXE_labimg").into(), PathBuf::from)
}

/// Where consoles are kept.
fn logs() -> PathBuf {
    std::env::var_os("LABIMG_TEST_LOGS")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("../boot-logs"), PathBuf::from)
}

/// One built image, its keys and its disk.
pub struct Lab {
    folder: tempfile::TempDir,
    name: String,
    role: String,
    built: serde_json::Value,
}

impl Lab {
    /// Builds an image with the real command and a fresh SSH key.
    pub fn build(board: &str, role: &str) -> Self {
        let lab = Self::with_packages(board, role, &[]);
        assert_eq!(lab.pending(), [""; 0], "the base set must be configured at build time");
        lab
    }

    /// The same, with packages added.
    pub fn with_packages(board: &str, role: &str, packages: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        succeed(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        // Each test runs in a thread of its own name: images and logs of several never meet.
        let name = std::thread::current().name().unwrap_or(board).to_owned();
        let lab = Self { name, folder, role: role.to_owned(), built: serde_json::Value::Null };
        let output = succeed(
            Command::new(labimg())
                .args(["--json", "build", "--board", board, "--role", role, "--ssh-key"])
                .arg(key.with_extension("pub"))
                .arg("-o")
                .arg(lab.image())
                .args(packages.iter().flat_map(|p| ["--package", p])),
        );
        let built: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        Self { built, ..lab }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join(format!("{}.img", self.name))
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk.img")
    }

    /// The packages that the node itself is to finish.
    pub fn pending(&self) -> Vec<&str> {
        let pending = self.built["pending"].as_array().expect("`build --json` lists what is pending");
        pending.iter().filter_map(|p| p["package"].as_str()).collect()
    }

    /// The image's own time, seconds since 1970.
    pub fn date(&self) -> i64 {
        self.built["date"].as_i64().expect("`build --json` gives the date")
    }

    pub fn hostname(&self) -> &str {
        &self.role
    }

    /// Boots the image on a disk that is kept, and waits until SSH answers.
    pub fn boot(&self, disk_size: Option<&str>, within: Duration) -> Node {
        let logs = logs();
        std::fs::create_dir_all(&logs).unwrap();
        // Free now, and the kernel does not give the same one out again soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = logs.join(format!("{}.log", self.name));
        let mut command = Command::new(labimg());
        command.arg("boot").arg(self.image()).arg("--keep").arg(self.disk()).arg("--log").arg(&log);
        command.args(["--ssh-port", &port.to_string()]);
        if let Some(size) = disk_size {
            command.args(["--disk-size", size]);
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let mut node = Node { process, port, key: self.folder.path().join("key"), log };
        node.wait_for_ssh(within);
        node
    }

    /// The judges must find nothing wrong with the disk that the node has used.
    pub fn check_disk(&self) {
        check(&self.disk());
    }

    /// The same of an image that was not booted.
    pub fn check_image(&self) {
        check(&self.image());
    }
}

fn check(disk: &Path) {
    let table = succeed(Command::new("sfdisk").arg("--json").arg(disk));
    let table: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    let root = partitions.last().unwrap()["start"].as_u64().unwrap() * 512;
    let fsck = Command::new("e2fsck").arg("-fn").arg(format!("{}?offset={root}", disk.display())).output().unwrap();
    assert!(fsck.status.success(), "e2fsck: {}", String::from_utf8_lossy(&fsck.stdout));
    succeed(Command::new("sfdisk").arg("--verify").arg(disk));
}

/// A running machine; ended when dropped.
pub struct Node {
    process: Child,
    port: u16,
    key: PathBuf,
    log: PathBuf,
}

impl Node {
    fn ssh(&self, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]);
        ssh.args(["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15", "-o", "IdentitiesOnly=yes", "-i"])
            .arg(&self.key);
        ssh.args(["-p", &self.port.to_string(), "lab@127.0.0.1", "--", command]).stdin(Stdio::null());
        ssh
    }

    /// Runs a command on the node; fails the test when it fails.
    pub fn run(&self, command: &str) -> String {
        self.run_within(command, Duration::from_secs(120))
    }

    pub fn run_within(&self, command: &str, within: Duration) -> String {
        let guarded = format!("timeout {} sh -c {}", within.as_secs(), quote(command));
        let output = self.ssh(&guarded).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`{command}` on the node: {}\n{out}{err}", output.status);
        out.into_owned()
    }

    fn wait_for_ssh(&mut self, within: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < within {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("the machine ended with {status}; console: {}", self.log.display());
            }
            if self.ssh("true").output().unwrap().status.success() {
                return;
            }
            std::thread::sleep(Duration::from_secs(2));
        }
        panic!("no SSH within {} s; console: {}\n{}", within.as_secs(), self.log.display(), self.last_lines());
    }

    fn last_lines(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Restarts the node and waits until SSH answers again.
    pub fn restart(&mut self, within: Duration) {
        let before = self.run("cat /proc/sys/kernel/random/boot_id");
        // The connection ends with the node, so its status says nothing.
        let _ = self.ssh("sudo systemctl reboot").output();
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < within, "no restart within {} s\n{}", within.as_secs(), self.last_lines());
            std::thread::sleep(Duration::from_secs(3));
            self.wait_for_ssh(within);
            let now = self.ssh("cat /proc/sys/kernel/random/boot_id").output().unwrap();
            if now.status.success() && String::from_utf8_lossy(&now.stdout) != before {
                return;
            }
        }
    }

    /// Switches the node off and waits for the machine's end.
    pub fn power_off(&mut self, within: Duration) {
        let _ = self.ssh("sudo systemctl poweroff").output();
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "`labimg boot` ended with {status}");
                return;
            }
            assert!(begun.elapsed() < within, "not off within {} s\n{}", within.as_secs(), self.last_lines());
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SIGTERM lets `labimg boot` end its QEMU and clean up.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.process),
            rustix::process::Signal::TERM,
        );
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("console of the node: {}", self.log.display());
        }
    }
}

fn quote(command: &str) -> String {
    format!("'{}'", command.replace('\'', r"'\''"))
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{err}",
        output.status,
        String::from_utf8_lossy(&output.stdout)
    );
    output
}
