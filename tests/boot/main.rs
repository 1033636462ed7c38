//! Boots real images in QEMU and looks at the running node over SSH.
//!
//! Slow, so not part of a plain `cargo test`: scripts/test runs each of these as a step of its own (`scripts/test --only
//! boot:virt_master`). Needs qemu-system-aarch64, ssh, e2fsck, and a Debian mirror. A failed test leaves the console's text in
//! `target/boot-logs/`, or where scripts/test says.

mod cluster;
mod disks;
mod lab_folder;
mod node;
mod order;
mod ports;
mod power_cuts;
mod qmp;
mod router;
mod servers;
mod storage_table;
mod strained;
mod switch;

use std::time::Duration;

use node::{Lab, Node};

/// Everything that must be true of any node that has come up.
fn check_base(node: &Node, lab: &Lab) {
    let state = node.run_within("systemctl is-system-running --wait || true", Duration::from_secs(900));
    let failed = node.run("systemctl --failed --plain --no-legend");
    assert_eq!((state.trim(), failed.trim()), ("running", ""), "a unit failed");
    assert!(node.run("ip -4 -o addr show scope global").contains("10.0.2."), "no address by DHCP");
    let now: i64 = node.run("date +%s").trim().parse().unwrap();
    assert!(now >= lab.date(), "the clock stands at {now}, before the image's own time");
    assert_eq!(node.run("cat /proc/sys/kernel/hostname").trim(), lab.hostname());
    assert_eq!(node.run("hostname -f").trim(), lab.hostname());
    let again = node.run(
        "systemctl show --property ConditionResult --value ldconfig systemd-sysusers systemd-journal-catalog-update systemd-hwdb-update",
    );
    assert!(!again.contains("yes"), "what the image has was made once more at boot: {again}");
    let listening = node.run("sudo ss -Hltun");
    assert!(!listening.contains(":111 "), "rpcbind listens: {listening}");
    check_ports(&listening, &lab.told_ports());
    let sshd = node.run("sudo sshd -T");
    for line in ["passwordauthentication no", "permitrootlogin no", "kbdinteractiveauthentication no"] {
        assert!(sshd.contains(line), "sshd does not say `{line}`");
    }
    assert_eq!(node.run("sudo awk -F: '$2 !~ /^[!*]/ {print $1}' /etc/shadow").trim(), "", "a user has a password");
    // systemd-resolved may just be starting anew: see labimg-mdns-name.
    node.wait_until("mDNS is on", "resolvectl mdns | grep yes", Duration::from_secs(120));
    assert!(node.run("grep -c zram /proc/swaps").trim() == "1", "no swap in compressed memory");
    assert!(node.run("cat /sys/fs/cgroup/cgroup.controllers").contains("memory"), "no memory cgroup");
    assert!(node.run("findmnt -n -o FSTYPE /boot/firmware").contains("vfat"), "the firmware partition is not mounted");
    assert!(node.run("locale").contains("LANG=C.UTF-8"));
    assert_eq!(node.run("sudo dpkg --audit").trim(), "", "dpkg finds something to mend");
    assert_eq!(node.run("sudo apt-get check -qq").trim(), "", "apt finds something to mend");
}

/// Nothing answers on the network but what `labimg inspect` tells of the image.
fn check_ports(listening: &str, told: &[String]) {
    let mut open = 0;
    for line in listening.lines() {
        // ss(8): protocol, state, two queues, the own address, the other's.
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = words[4].rsplit_once(':').unwrap();
        if address.starts_with("127.") || address == "[::1]" || address.ends_with("%lo") {
            continue;
        }
        let found = format!("{port}/{}", words[0]);
        assert!(told.contains(&found), "{found} is open, and `labimg inspect` tells only {told:?}\n{listening}");
        open += 1;
    }
    assert!(open >= 2, "not even SSH and mDNS are open\n{listening}");
    assert!(["22/tcp", "5353/udp"].iter().all(|port| told.iter().any(|t| t == port)), "{told:?}");
}

/// What a node must be able to do: get the time, install, make a new initramfs, restart with it.
fn check_life(node: &mut Node, slow: u32) {
    let wait = |seconds: u64| Duration::from_secs(seconds) * slow;
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
    node.run_within("sudo update-initramfs -u", wait(900));
    node.run_within("sudo /usr/lib/labimg/security-upgrade now && ls /boot/firmware/vmlinuz-*", wait(900));
    let kernel = node.run("uname -r").trim().to_owned();
    let boot_id = node.run("cat /proc/sys/kernel/random/boot_id");
    node.restart(wait(900));
    assert_ne!(node.run("cat /proc/sys/kernel/random/boot_id"), boot_id, "the node did not restart");
    assert_eq!(node.run("uname -r").trim(), kernel);
    let failed = node
        .run_within("systemctl is-system-running --wait >/dev/null; systemctl --failed --plain --no-legend", wait(300));
    assert_eq!(failed.trim(), "", "a unit failed after the restart");
    assert_eq!(node.run("hello").trim(), "Hello, world!");
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
    let mut node = lab.boot(&["--disk-size", "64G"], Duration::from_secs(1200));
    check_base(&node, &lab);
    let size: u64 = node.run("df --output=size -B1 / | tail -1").trim().parse().unwrap();
    assert!(size > 60 << 30, "the root file system has {size} bytes and was not grown to the card");
    assert!(node.run("sudo cat /proc/fs/nfsd/versions").contains("-3 +4"), "NFS version 3 is on");
    check_life(&mut node, 1);
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
    check_life(&mut node, 2);
    node.power_off(Duration::from_secs(300));
    lab.check_disk();
}

#[test]
fn packages_with_unknown_scripts_are_finished_at_first_boot() {
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
