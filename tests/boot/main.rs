//! Boots real images in QEMU and looks at the running node over SSH.
//!
//! Slow, so not part of a plain `cargo test`: scripts/test runs each of these as a step of its own (`scripts/test --only
//! boot:virt_master`). Needs qemu-system-aarch64, ssh, e2fsck, and a Debian mirror. A failed test leaves the console's text in
//! `target/boot-logs/`, or where scripts/test says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::format_push_string,
    clippy::match_same_arms,
    clippy::similar_names,
    reason = "a panic is how a test fails, names are those of nodes, and speed is no matter here"
)]

mod cluster;
mod disks;
mod lab_folder;
mod node;
mod order;
mod ports;
mod power_cuts;
mod processes;
mod qmp;
mod router;
mod servers;
mod storage_table;
mod strained;
mod switch;

use std::time::Duration;

use labimg_testkit::checks::{Image, check_system};
use labimg_testkit::machine::Machine;

use node::{Lab, Node};

impl Machine for Node {
    fn run_within(&self, command: &str, within: Duration) -> String {
        self.run_within(command, within)
    }

    fn wait_until(&self, what: &str, command: &str, within: Duration) -> String {
        self.wait_until(what, command, within)
    }
}

/// Whether `tests/native` has run this in a container, in the same run of `scripts/test`. What stands there as well runs here only
/// where there are no namespaces, or when it is asked for alone.
fn shown_natively(test: &str) -> bool {
    let shown = std::env::var_os("LABIMG_TEST_NATIVE").is_some();
    if shown {
        println!("not in QEMU: native::{test} has shown it");
    }
    shown
}

/// Everything that must be true of any node that has come up.
fn check_base(node: &Node, lab: &Lab) {
    let image = Image { hostname: lab.hostname().to_owned(), date: lab.date(), ports: lab.told_ports() };
    check_system(node, &image);
    assert!(node.run("grep -c zram /proc/swaps").trim() == "1", "no swap in compressed memory");
    assert!(node.run("cat /sys/fs/cgroup/cgroup.controllers").contains("memory"), "no memory cgroup");
    assert!(node.run("findmnt -n -o FSTYPE /boot/firmware").contains("vfat"), "the firmware partition is not mounted");
    // It holds the seed at first, and passphrases that people write into labimg.conf.
    let refused = node.run("ls /boot/firmware 2>&1 || true");
    assert!(refused.contains("Permission denied"), "any process may read the firmware partition: {refused}");
}

/// What a node must be able to do on any board: get the time, install, upgrade. One board shows it for all.
fn check_packages(node: &Node) {
    let wait = Duration::from_secs;
    // Port 123 is root's: without root there is no stand-in, and scripts/test says that it skipped this.
    if std::env::var_os("LABIMG_TEST_NO_NTP").is_none() {
        let ntp = node.run_within(
            "sudo mkdir -p /etc/systemd/timesyncd.conf.d; \
             printf '[Time]\\nNTP=10.0.2.2\\n' | sudo tee /etc/systemd/timesyncd.conf.d/test.conf >/dev/null; \
             sudo systemctl restart systemd-timesyncd; \
             for i in $(seq 60); do timedatectl show -p NTPSynchronized --value | grep -q yes && break; sleep 1; done; \
             timedatectl show -p NTPSynchronized --value",
            wait(120),
        );
        assert_eq!(ntp.trim(), "yes", "the time was not set from the NTP stand-in at 127.0.0.1:123 of the host");
    }
    let apt = node.run_within("sudo apt-get -q update && sudo apt-get -q install -y hello && hello", wait(420));
    assert!(apt.contains("Hello, world!"), "{apt}");
    node.run_within("sudo sh -c '/usr/lib/labimg/security-upgrade now && ls /boot/firmware/vmlinuz-*'", wait(900));
}

/// What each board does in its own way: make a new initramfs, put it where it boots from, restart with it. `modules` is
/// which ones it gets (initramfs.conf(5), `MODULES`).
fn check_restart(node: &mut Node, modules: &str, slow: u32) {
    let wait = |seconds: u64| Duration::from_secs(seconds) * slow;
    // How well it is compressed takes minutes under emulation, and is not what is asked here.
    let conf = format!("COMPRESSLEVEL=1\\nMODULES={modules}\\n");
    node.run(&format!("printf '{conf}' | sudo tee /etc/initramfs-tools/conf.d/test >/dev/null"));
    node.run_within("sudo update-initramfs -u", wait(900));
    let kernel = node.run("uname -r").trim().to_owned();
    let made = node.run("sudo sha256sum /boot/initrd.img-$(uname -r) | cut -d' ' -f1");
    assert_eq!(
        node.run("sudo sha256sum /boot/firmware/initrd.img-$(uname -r) | cut -d' ' -f1"),
        made,
        "the new one is not booted from"
    );
    let boot_id = node.run("cat /proc/sys/kernel/random/boot_id");
    node.restart(wait(900));
    assert_ne!(node.run("cat /proc/sys/kernel/random/boot_id"), boot_id, "the node did not restart");
    assert_eq!(node.run("uname -r").trim(), kernel);
    let failed = node
        .run_within("systemctl is-system-running --wait >/dev/null; systemctl --failed --plain --no-legend", wait(300));
    assert_eq!(failed.trim(), "", "a unit failed after the restart");
}

/// QEMU has no such boards, or without network: that they can be built finds missing modules, device trees and firmware.
#[test]
fn boards_that_cannot_be_booted_here_are_built() {
    for board in ["rpi4", "rpi5", "zero2w"] {
        Lab::build(board, "worker").check_image();
    }
}

#[test]
fn virt_master() {
    let lab = Lab::build("virt", "master");
    lab.flash(64 << 30);
    let mut node = lab.boot(&[""; 0], Duration::from_secs(1200));
    check_base(&node, &lab);
    let size: u64 = node.run("df --output=size -B1 / | tail -1").trim().parse().unwrap();
    assert!(size > 60 << 30, "the root file system has {size} bytes and was not grown to the card");
    assert!(node.run("sudo cat /proc/fs/nfsd/versions").contains("-3 +4"), "NFS version 3 is on");
    check_packages(&node);
    check_restart(&mut node, "most", 1);
    assert_eq!(node.run("hello").trim(), "Hello, world!");
    node.power_off(Duration::from_secs(180));
    lab.check_disk();
}

#[test]
fn rpi3_worker() {
    let lab = Lab::build("rpi3", "worker");
    let mut node = lab.boot(&["--disk-size", "8G"], Duration::from_secs(1800));
    check_base(&node, &lab);
    let size: u64 = node.run("df --output=size -B1 / | tail -1").trim().parse().unwrap();
    assert!(size > 7 << 30, "the root file system has {size} bytes and was not grown to the card");
    assert!(node.run("cat /proc/device-tree/model").contains("Raspberry Pi 3"));
    // With all modules it takes minutes under emulation; another board shows that.
    check_restart(&mut node, "dep", 2);
    node.power_off(Duration::from_secs(300));
    lab.check_disk();
}

#[test]
fn packages_with_unknown_scripts_are_finished_at_first_boot() {
    if shown_natively("base::packages_with_unknown_scripts_are_finished_at_first_boot") {
        return;
    }
    // cron has a postinst that is not in the table, GLib a preinst.
    let lab = Lab::with_packages("virt", "worker", &["cron", "libglib2.0-0t64"]);
    for name in ["cron", "libglib2.0-0t64"] {
        assert!(lab.pending().contains(&name), "{name} is known by now: take another package for this test");
    }
    let mut node = lab.boot(&[""; 0], Duration::from_secs(1200));
    check_base(&node, &lab);
    assert_eq!(node.run("dpkg-query -W -f '${db:Status-Abbrev} ' cron libglib2.0-0t64"), "ii  ii  ");
    assert_eq!(node.run("systemctl is-active cron").trim(), "active");
    let left = node.run("ls /var/lib/labimg/pending /var/lib/labimg/preinst 2>/dev/null || true");
    assert_eq!(left.trim(), "", "lists of pending work are left");
    node.power_off(Duration::from_secs(180));
    lab.check_disk();
}
