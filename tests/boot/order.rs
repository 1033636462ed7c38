//! Nodes that come up in bad conditions: late DHCP, no network, no USB disk, wrong clocks, no room.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use labimg_testkit::checks::{check_node, check_without_disk, minutes};

use crate::lab_folder::{LabFolder, firmware};
use crate::node;
use crate::qmp::Qmp;
use crate::router::Router;
use crate::shown_natively;

/// No DHCP for a minute after the boot, a clock in 1970, no USB disk; then a full card and a full firmware partition.
#[test]
fn late_network_old_clock_no_disk_then_no_room() {
    let lab = LabFolder::with_stand_in(&[("master", "master")], "");
    let router = Router::start(1);
    // Late DHCP takes a minute of waiting.
    let late = !shown_natively("order::late_network_and_no_disk");
    router.uplink(!late);
    let mut node = lab.start("master", &router, 0, &["--memory", "1024", "--rtc", "1970-01-01T00:00:00"]);
    node.wait_for_console("master login:", minutes(10));
    if late {
        println!("up without DHCP; the router comes a minute later");
        std::thread::sleep(minutes(1));
        router.uplink(true);
    }
    node.wait_for_ssh(minutes(5));
    node.wait_until("k3s starts once there is a network", "systemctl is-active k3s.service", minutes(10));
    check_node(&node, "master", "k3s.service");
    check_without_disk(&node);

    println!("a kernel that has no room on the firmware partition: 16 MiB are free");
    let state = "sudo sh -c 'cd /boot/firmware && sha256sum config.txt vmlinuz-* initrd.img-* && ls'";
    let before = node.run(state);
    // Neither file fits, or the first of them does; an old kernel goes all the same.
    for (kernel, initrd) in [(20, 1), (4, 20)] {
        let refused = node.run_within(
            &format!(
                "sudo sh -c 'cd /boot/firmware && touch vmlinuz-1 && \
                     dd if=/dev/zero of=fill bs=1M count=$(($(df --output=avail -m . | tail -n 1) - 16)) status=none && \
                     head -c {kernel}M /dev/urandom >/boot/vmlinuz-999 && head -c {initrd}M /dev/urandom >/boot/initrd.img-999 && \
                     if /etc/kernel/postinst.d/z50-labimg 2>&1; then echo copied all the same; fi; \
                     rm fill /boot/vmlinuz-999 /boot/initrd.img-999'"
            ),
            minutes(10),
        );
        assert!(refused.contains("keeps the kernel that it has") && !refused.contains("all the same"), "{refused}");
        assert_eq!(node.run(state), before, "the firmware partition was changed: {refused}");
    }

    println!("filling the card and the firmware partition");
    node.run_within(
        "sudo sh -c 'for d in / /boot/firmware; do \
             fallocate --keep-size --length $(df --output=avail -B1 $d | tail -n 1) $d/fill-most || true; \
             dd if=/dev/zero of=$d/fill-large bs=1M status=none || true; \
             dd if=/dev/zero of=$d/fill-small bs=512 status=none || true; done; sync'",
        minutes(10),
    );
    assert!(node.run("df --output=avail -k / | tail -n 1").trim().parse::<u64>().unwrap() < 64, "the card is not full");
    assert!(
        node.run("df --output=avail -k /boot/firmware | tail -n 1").trim() == "0",
        "the firmware partition is not full"
    );
    node.restart(minutes(15));
    node.run_within("systemctl is-system-running --wait || true", minutes(15));
    let files = node.run("sudo ls /boot/firmware");
    assert!(
        files.contains("config.txt") && files.contains("vmlinuz"),
        "files of the firmware partition are gone: {files}"
    );
    println!("failed with a full card: {:?}", node.run("systemctl --failed --plain --no-legend").trim());
    assert_eq!(node.run("cat /proc/sys/kernel/hostname").trim(), "master");
    node.run("sudo sh -c 'rm /fill-* /boot/firmware/fill-*; sync'");
    node.restart(minutes(15));
    check_node(&node, "master", "k3s.service");
    node.power_off(minutes(5));
    node::check(&lab.disk("master"));
}

/// No network at all and a clock in 2038, beyond what 32 bits hold: the node comes up, and says so on its card.
#[test]
fn no_network_and_a_clock_in_2038() {
    let lab = LabFolder::with_stand_in(&[("master", "master"), ("worker1", "worker")], "");
    let mut node =
        lab.start_alone("worker1", &["--memory", "1024", "--network", "none", "--rtc", "2038-01-19T03:14:00"]);
    node.wait_for_console("worker1 login:", minutes(10));
    // The steps that wait for a network give up by themselves; this one is the last.
    let begun = Instant::now();
    while !report_so_far(&lab, "worker1").contains("  warning   clock") {
        assert!(begun.elapsed() < minutes(5), "no end of the clock's step is told\n{}", node.console());
        std::thread::sleep(Duration::from_secs(3));
    }
    Qmp::connect(&lab.path("worker1.qmp")).run("system_powerdown", &json!({}));
    node.wait_for_end(minutes(5));
    node::check(&lab.disk("worker1"));
    let report = lab.firmware_text("worker1", "labimg-report.txt");
    println!("{report}");
    assert!(report.contains("worker1"), "{report}");
    assert!(!lab.firmware_files("worker1").iter().any(|f| f.starts_with("labimg-seed")), "the seed was not applied");
}

/// The boot report on the card of a node that runs; empty when there is none yet, or when it is just being written.
fn report_so_far(lab: &LabFolder, node: &str) -> String {
    let card = firmware(&lab.disk(node));
    let output = Command::new("mtype").args(["-i", &card, "::/labimg-report.txt"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
