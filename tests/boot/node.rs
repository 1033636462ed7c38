//! A lab folder with one image, and a machine that runs it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labimg_testkit::command::{quote, succeed};

use crate::lab_folder::stand_in;
use crate::ports::Ports;
use crate::processes::{Held, children, threads_stand_still};

/// The program under test: a copy where the user of the test can read it, else cargo's.
pub fn labimg() -> PathBuf {
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
        let name = std::thread::current().name().unwrap_or(board).replace("::", "-");
        let lab = Self { name, folder, role: role.to_owned(), built: serde_json::Value::Null };
        let output = succeed(
            Command::new(labimg())
                .args(["--json", "build", "--board", board, "--role", role, "--ssh-key"])
                .arg(key.with_extension("pub"))
                .arg("--k3s-bin")
                .arg(stand_in())
                .arg("-o")
                .arg(lab.image())
                .args(packages.iter().flat_map(|p| ["--package", p])),
        );
        let mut built: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        Self { built: built["images"][0].take(), ..lab }
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

    /// The ports that `labimg inspect` says the image opens, as `22/tcp`.
    pub fn told_ports(&self) -> Vec<String> {
        let output = succeed(Command::new(labimg()).args(["--json", "inspect"]).arg(self.image()));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let ports = report["system"]["ports"].as_array().expect("`inspect --json` lists ports");
        ports.iter().map(|p| format!("{}/{}", p["number"], p["protocol"].as_str().unwrap())).collect()
    }

    /// The image's own time, seconds since 1970.
    pub fn date(&self) -> i64 {
        self.built["date"].as_i64().expect("`build --json` gives the date")
    }

    pub fn hostname(&self) -> &str {
        &self.role
    }

    /// Makes the disk of its boots a card of this size that was in use, onto which a flashing tool has copied only what the
    /// image's bmap names: whatever else is read there is noise.
    pub fn flash(&self, size: u64) {
        labimg_testkit::used_card::flashed_by_bmap(&self.image(), &self.disk()).set_len(size).unwrap();
    }

    /// Boots the image on a disk that is kept, with more arguments for `labimg boot`, and waits until SSH answers.
    pub fn boot(&self, arguments: &[impl AsRef<OsStr>], within: Duration) -> Node {
        // Free now, and not given out again soon.
        let port = Ports::take(1).release()[0];
        let number = port.to_string();
        let ssh = ["--ssh-port", &number].map(OsStr::new);
        let arguments: Vec<&OsStr> = ssh.into_iter().chain(arguments.iter().map(AsRef::as_ref)).collect();
        let key = self.folder.path().join("key");
        let mut node = Node::start(&self.name, &self.image(), &self.disk(), &key, port, &arguments);
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

/// The judges must find nothing wrong with this disk.
pub fn check(disk: &Path) {
    let root = partition_starts(disk).last().copied().unwrap();
    let fsck = Command::new("e2fsck").arg("-fn").arg(format!("{}?offset={root}", disk.display())).output().unwrap();
    assert!(fsck.status.success(), "e2fsck: {}", String::from_utf8_lossy(&fsck.stdout));
    succeed(Command::new("sfdisk").arg("--verify").arg(disk));
}

/// Where the partitions of a disk start, in bytes.
pub fn partition_starts(disk: &Path) -> Vec<u64> {
    let table = succeed(Command::new("sfdisk").arg("--json").arg(disk));
    let table: serde_json::Value = serde_json::from_slice(&table.stdout).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    partitions.iter().map(|p| p["start"].as_u64().unwrap() * 512).collect()
}

/// A running machine; ended when dropped.
pub struct Node {
    process: Child,
    port: u16,
    key: PathBuf,
    log: PathBuf,
    /// One connection that all commands share: under emulation a new one costs seconds.
    shared: Option<Child>,
}

impl Node {
    /// Starts `image` on the disk `disk`, made from it when missing. `name` names the console's log, `port` leads to its SSH.
    pub fn start(
        name: &str,
        image: &Path,
        disk: &Path,
        key: &Path,
        port: u16,
        arguments: &[impl AsRef<OsStr>],
    ) -> Self {
        let logs = logs();
        std::fs::create_dir_all(&logs).unwrap();
        let log = logs.join(format!("{name}.log"));
        // What an earlier boot showed is not what this one has come to.
        let _ = std::fs::remove_file(&log);
        let mut command = Command::new(labimg());
        command.arg("boot").arg(image).arg("--keep").arg(disk).arg("--log").arg(&log).args(arguments);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        Self { process, port, key: key.to_path_buf(), log, shared: None }
    }

    /// What the console has shown since power-on.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Whether the machine runs; a `labimg boot` that ended says no.
    pub fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits until the console shows a text.
    pub fn wait_for_console(&mut self, text: &str, within: Duration) {
        let begun = Instant::now();
        while !self.console().contains(text) {
            assert!(self.is_running(), "the machine ended before `{text}`\n{}", self.last_lines());
            assert!(begun.elapsed() < within, "no `{text}` within {} s\n{}", within.as_secs(), self.last_lines());
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Cuts the power: QEMU is killed as it stands.
    pub fn cut_power(&mut self) {
        self.disconnect();
        let children = children(self.process.id());
        assert!(!children.is_empty(), "`labimg boot` has no QEMU to kill");
        for pid in children {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let status = self.process.wait().unwrap();
        assert!(!status.success(), "`labimg boot` does not say that its QEMU was killed");
    }

    /// Does something while QEMU stands still: what it has written by then is what a power cut at this moment would leave.
    pub fn frozen<T>(&self, what: impl FnOnce() -> T) -> T {
        let held = Held(children(self.process.id()));
        assert!(!held.0.is_empty(), "`labimg boot` has no QEMU to hold");
        held.signal(rustix::process::Signal::STOP);
        let begun = Instant::now();
        // A thread within a write stops behind it.
        while !held.0.iter().all(|pid| threads_stand_still(*pid)) {
            assert!(begun.elapsed() < Duration::from_secs(60), "QEMU does not stand still");
            std::thread::sleep(Duration::from_millis(5));
        }
        what()
    }

    /// Runs a command on the node until it succeeds.
    pub fn wait_until(&self, what: &str, command: &str, within: Duration) -> String {
        let begun = Instant::now();
        loop {
            let output = self.ssh(&format!("timeout 60 sh -c {}", quote(command))).output().unwrap();
            if output.status.success() {
                return String::from_utf8_lossy(&output.stdout).into_owned();
            }
            assert!(
                begun.elapsed() < within,
                "not within {} s: {what}\n{}{}",
                within.as_secs(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            std::thread::sleep(Duration::from_secs(3));
        }
    }

    fn ssh(&self, command: &str) -> Command {
        let mut ssh = self.connection();
        // Without the shared connection's socket it makes one of its own.
        ssh.args(["-o", "ControlMaster=no", "lab@127.0.0.1", "--", command]);
        ssh
    }

    fn connection(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]);
        // A node whose card is being filled may be silent for a minute.
        ssh.args([
            "-o",
            "ConnectTimeout=20",
            "-o",
            "ServerAliveInterval=15",
            "-o",
            "ServerAliveCountMax=12",
            "-o",
            "IdentitiesOnly=yes",
            "-i",
        ])
        .arg(&self.key);
        ssh.arg("-S").arg(self.socket()).args(["-p", &self.port.to_string()]).stdin(Stdio::null());
        ssh
    }

    /// Beside the key, which each lab has of its own.
    fn socket(&self) -> PathBuf {
        self.key.with_file_name(format!("ssh-{}", self.port))
    }

    fn connect(&mut self) {
        self.disconnect();
        let mut ssh = self.connection();
        ssh.args(["-o", "ControlMaster=yes", "-N", "lab@127.0.0.1"]).stdout(Stdio::null()).stderr(Stdio::null());
        self.shared = Some(ssh.spawn().unwrap());
    }

    /// Before the node goes: a command over a dead connection would wait for its end.
    fn disconnect(&mut self) {
        if let Some(mut shared) = self.shared.take() {
            let _ = shared.kill();
            let _ = shared.wait();
            let _ = std::fs::remove_file(self.socket());
        }
    }

    /// Runs a command on the node; fails the test when it fails.
    pub fn run(&self, command: &str) -> String {
        self.run_within(command, Duration::from_secs(120))
    }

    pub fn run_within(&self, command: &str, within: Duration) -> String {
        String::from_utf8_lossy(&self.bytes_within(command, within)).into_owned()
    }

    /// The same, for what is not text.
    pub fn bytes_within(&self, command: &str, within: Duration) -> Vec<u8> {
        let guarded = format!("timeout {} sh -c {}", within.as_secs(), quote(command));
        let output = self.ssh(&guarded).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`{command}` on the node: {}\n{out}{err}", output.status);
        output.stdout
    }

    /// Waits until SSH answers.
    pub fn wait_for_ssh(&mut self, within: Duration) {
        self.wait_for_answer(within);
        self.connect();
    }

    fn wait_for_answer(&mut self, within: Duration) {
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
        let text = self.console();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Restarts the node and waits until SSH answers again.
    pub fn restart(&mut self, within: Duration) {
        let before = self.run("cat /proc/sys/kernel/random/boot_id");
        // The connection ends with the node, so its status says nothing.
        let _ = self.ssh("sudo systemctl reboot").output();
        self.disconnect();
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < within, "no restart within {} s\n{}", within.as_secs(), self.last_lines());
            std::thread::sleep(Duration::from_secs(3));
            self.wait_for_answer(within);
            let now = self.ssh("cat /proc/sys/kernel/random/boot_id").output().unwrap();
            if now.status.success() && String::from_utf8_lossy(&now.stdout) != before {
                self.connect();
                return;
            }
        }
    }

    /// Switches the node off and waits for the machine's end.
    pub fn power_off(&mut self, within: Duration) {
        let _ = self.ssh("sudo systemctl poweroff").output();
        self.disconnect();
        self.wait_for_end(within);
    }

    /// Waits until the machine has switched itself off.
    pub fn wait_for_end(&mut self, within: Duration) {
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
        self.disconnect();
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
