//! A node that runs in a container.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::network::BRIDGE;
use super::{Card, Network, leftovers, processes};
use crate::command::quote;
use crate::machine::Machine;

const MACHINE: &str = include_str!("machine.sh");

/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (Linux, `include/uapi/linux/ext4.h`): from then on nothing
/// reaches the disk, as after a power failure. A kill alone would not lose what the kernel has yet to write.
const SHUT_DOWN: &str =
    r#"open(my $root, "<", "/") or die "$!\n"; my $how = pack("L", 2); ioctl($root, 0x8004587d, $how) or die "$!\n""#;

/// The conditions at power-on.
#[derive(Debug, Clone, Copy)]
pub struct Power {
    /// Whether a time server has already answered; else the node waits for one.
    pub clock: bool,
    /// Whether the node sees its own uptime, not the host's: then it waits for what may appear soon after power-on.
    pub uptime: bool,
    /// Whether its cable is plugged in.
    pub cable: bool,
}

impl Default for Power {
    fn default() -> Self {
        Self { clock: true, uptime: false, cable: true }
    }
}

/// A running machine; ended when dropped.
pub struct Node<'a> {
    network: &'a Network,
    card: &'a Card,
    key: PathBuf,
    power: Power,
    process: Child,
    group: String,
    log: PathBuf,
    address: Option<String>,
    /// Counts boots: each has its own connection.
    boot: usize,
}

impl<'a> Node<'a> {
    /// Powers the machine on. `key` may log in.
    pub fn boot(network: &'a Network, card: &'a Card, key: &Path, power: Power) -> Self {
        let group = format!("{}-{}", network.name(), card.name);
        let log = network.folder().join(format!("{}.log", card.name));
        // The log of an earlier boot says nothing about this one.
        let _ = std::fs::remove_file(&log);
        let process = switch_on(network, card, &group, &log, power);
        let mut node =
            Self { network, card, key: key.to_path_buf(), power, process, group, log, address: None, boot: 0 };
        node.wait_for_init();
        node
    }

    fn switch_on_again(&mut self) {
        leftovers::remove_groups(&self.group);
        self.boot += 1;
        self.process = switch_on(self.network, self.card, &self.group, &self.log, self.power);
        self.wait_for_init();
    }

    /// The card that it runs on.
    pub fn card(&self) -> &Card {
        self.card
    }

    /// The console's output so far.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn last_lines(&self) -> String {
        let text = self.console();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// The process id of its init on the host.
    fn init(&self) -> Option<i32> {
        processes::first_process(self.process.id(), "systemd")
    }

    fn wait_for_init(&mut self) {
        self.wait("no init", Duration::from_secs(60), |node| node.init());
    }

    /// Asks until there is an answer; fails the test when none comes in time, or when the machine ends.
    fn wait<T>(&mut self, what: &str, within: Duration, mut ask: impl FnMut(&mut Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("{what}: the machine ended with {status}\n{}", self.last_lines());
            }
            assert!(begun.elapsed() < within, "{what} within {} s\n{}", within.as_secs(), self.last_lines());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a command in the machine as root, independent of its network.
    pub fn inside(&self, command: &str) -> Output {
        let init = self.init().expect("the machine runs");
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--target", &init.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid", "--"]);
        nsenter.args(["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG=C.UTF-8"]);
        nsenter.args(["timeout", "120", "sh", "-c", command]).stdin(Stdio::null()).output().unwrap()
    }

    /// As [`Node::inside`], for a command that must succeed.
    pub fn run_inside(&self, command: &str) -> String {
        let output = self.inside(command);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`{command}` in the machine: {}\n{out}{err}", output.status);
        out.into_owned()
    }

    /// Waits until a command in the machine succeeds.
    pub fn wait_inside(&mut self, what: &str, command: &str, within: Duration) -> String {
        self.wait(what, within, |node| {
            let output = node.inside(command);
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
        })
    }

    /// Its address in the network, once it has one.
    pub fn address(&self) -> Option<String> {
        let init = self.init()?.to_string();
        let output = Command::new("nsenter")
            .args(["--target", &init, "--net", "--", "ip", "-4", "-oneline", "address", "show", "dev", "host0"])
            .args(["scope", "global"])
            .output()
            .unwrap();
        // `2: host0    inet 10.0.2.15/24 …`
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text.split_whitespace().skip_while(|w| *w != "inet").nth(1)?.split('/').next()?.to_owned())
    }

    fn known_address(&self) -> &str {
        self.address.as_deref().expect("wait_for_ssh has found the node's address")
    }

    /// SSH as a user would use it: from another computer in the network.
    fn login(&self, key: &Path) -> Command {
        let mut ssh = self.network.command("ssh");
        ssh.args(["-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"]);
        ssh.args(["-o", "ConnectTimeout=10", "-o", "IdentitiesOnly=yes", "-i"]).arg(key);
        ssh
    }

    /// A command run as the node's user.
    fn ssh(&self, command: &str) -> Command {
        let mut ssh = self.login(&self.key);
        // The connection is shared by all commands; it ends with the network's processes.
        ssh.args(["-o", "ControlMaster=auto", "-o", "ControlPersist=yes", "-S"]);
        ssh.arg(self.network.folder().join(format!("{}-{}.ssh", self.card.name, self.boot)));
        ssh.args([&format!("lab@{}", self.known_address()), "--", command]);
        ssh
    }

    /// Whether this key may log in.
    pub fn lets_in(&self, key: &Path) -> bool {
        let mut ssh = self.login(key);
        ssh.args(["-S", "none", "-o", "ControlMaster=no"]);
        ssh.args([&format!("lab@{}", self.known_address()), "--", "true"]).output().unwrap().status.success()
    }

    /// Waits until SSH answers.
    pub fn wait_for_ssh(&mut self, within: Duration) {
        self.wait("no SSH", within, |node| {
            node.address = Some(node.address()?);
            node.ssh("true").output().unwrap().status.success().then_some(())
        });
    }

    /// Waits until the boot report on the card says that the boot is over.
    pub fn wait_for_report(&mut self, within: Duration) -> String {
        self.wait("no report of a finished boot", within, |node| {
            Some(node.card.firmware_text("labimg-report.txt")).filter(|text| text.contains("\nBoot       finished\n"))
        })
    }

    /// Restarts the node and waits until SSH answers again.
    pub fn restart(&mut self, within: Duration) {
        let before = self.run_inside("cat /proc/sys/kernel/random/boot_id");
        self.ask_init("systemctl reboot");
        self.wait_for_end(within);
        self.switch_on_again();
        self.wait_for_ssh(within);
        assert_ne!(self.run_inside("cat /proc/sys/kernel/random/boot_id"), before, "the node did not restart");
    }

    /// Repeats until init accepts the command: just after the start it does not answer yet.
    fn ask_init(&mut self, command: &str) {
        let begun = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) && self.init().is_some() {
            let output = self.inside(command);
            if output.status.success() {
                return;
            }
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(begun.elapsed() < Duration::from_secs(60), "`{command}`: {}\n{said}", output.status);
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Powers the node off and waits until the machine has ended.
    pub fn power_off(&mut self, within: Duration) {
        self.ask_init("systemctl poweroff");
        let status = self.wait_for_end(within);
        assert!(status.success(), "the machine ended with {status}\n{}", self.last_lines());
    }

    fn wait_for_end(&mut self, within: Duration) -> std::process::ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < within, "not off within {} s\n{}", within.as_secs(), self.last_lines());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Cuts the power: first everything that the root file system has not yet written is lost, then all processes.
    pub fn cut_power(mut self) {
        let init = self.init().expect("the machine runs");
        let inside = ["--target", &init.to_string(), "--mount", "--root", "--"].map(str::to_owned);
        let output = Command::new("nsenter").args(inside).args(["perl", "-e", SHUT_DOWN]).output().unwrap();
        assert!(output.status.success(), "the root was not shut down: {}", String::from_utf8_lossy(&output.stderr));
        processes::kill(init);
        self.wait_for_end(Duration::from_secs(60));
    }
}

impl Machine for Node<'_> {
    fn run_within(&self, command: &str, within: Duration) -> String {
        let output = self.ssh(&guarded(command, within)).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`{command}` on {}: {}\n{out}{err}", self.card.name, output.status);
        out.into_owned()
    }

    fn wait_until(&self, what: &str, command: &str, within: Duration) -> String {
        let begun = Instant::now();
        loop {
            let output = self.ssh(&guarded(command, Duration::from_secs(60))).output().unwrap();
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            if output.status.success() {
                return out.into_owned();
            }
            assert!(begun.elapsed() < within, "not within {} s: {what}\n{out}{err}", within.as_secs());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The command for the node's shell, with a time limit.
fn guarded(command: &str, within: Duration) -> String {
    format!("timeout {} sh -c {}", within.as_secs(), quote(command))
}

impl Drop for Node<'_> {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            if let Some(init) = self.init() {
                processes::kill(init);
            } else {
                processes::descendants(self.process.id()).into_iter().for_each(processes::kill);
            }
        }
        let _ = self.process.wait();
        leftovers::remove_groups(&self.group);
        if std::thread::panicking() {
            eprintln!("the end of the console of {}:\n{}", self.card.name, self.last_lines());
            eprintln!("its boot report:\n{}", self.card.firmware_text("labimg-report.txt"));
        }
    }
}

fn switch_on(network: &Network, card: &Card, group: &str, log: &Path, power: Power) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let mut command = network.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", MACHINE, "machine"]);
    if power.cable {
        command.arg(format!("--network-bridge={BRIDGE}"));
    } else {
        command.arg("--private-network");
    }
    command.env("NAME", &card.name).env("GROUP", group).env("CARD", card.root()).env("TREE", card.tree());
    command.env("FIRMWARE", card.firmware()).env("NETWORKD", card.networkd());
    command.env("CLOCK", if power.clock { "set" } else { "unknown" });
    command.env("POWER_ON", if power.uptime { "now" } else { "before" });
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}
