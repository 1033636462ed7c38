//! Single nodes: what every node must do.

use labimg_testkit::checks::{check_node, check_system, minutes};
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Lab, LabRequest, Network};

use crate::lab::{image, ready, shared, tools};

/// The base system of a master, at its first boot and at its second.
#[test]
fn a_node_comes_up_and_comes_up_again() {
    if !ready("base::a_node_comes_up_and_comes_up_again") {
        return;
    }
    let lab = shared();
    assert_eq!(lab.pending("master"), [""; 0], "the base set must be configured at build time");
    let network = Network::start();
    let card = lab.flash(&network, "master");
    let mut node = lab.boot(&network, &card);
    node.wait_for_ssh(minutes(6));
    check_system(&node, &image(&lab, "master"));
    check_node(&node, "master", "k3s.service");
    let report = node.wait_for_report(minutes(6));
    for text in [
        "Node       master, master of cluster lab",
        "k3s        k3s is running",
        "Failed     no unit",
        "  ok        seed",
    ] {
        assert!(report.contains(text), "the report does not say `{text}`:\n{report}");
    }
    let key = node.run("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");
    assert!(lab.host_key("master").contains(key.trim()), "the host key is {key}, not that of secrets/");
    let kept = "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub /etc/hostname /etc/hosts";
    let before = node.run(kept);
    let address = node.address();

    node.restart(minutes(6));
    check_node(&node, "master", "k3s.service");
    assert_eq!(node.run(kept), before, "the node is another one after a restart");
    assert_eq!(node.address(), address, "the node has another address after a restart");
    assert!(!node.run("ls /run/labimg/steps").contains("seed"), "the seed is unpacked once more");
    node.power_off(minutes(1));
    card.check();
}

/// The user's own files, with owners that the image has.
const FILES: [(&str, &str); 6] = [
    ("overlays/common/etc/hosts", "192.0.2.7 printer\n"),
    ("overlays/common/srv/app/conf", "x\n"),
    (
        "overlays/modes.toml",
        "[common]\n\"/srv/app\" = { mode = \"0750\", owner = \"lab\", group = \"systemd-network\" }\n",
    ),
    ("overlays/master/etc/rancher/k3s/config.yaml", "node-label: [disk=ssd]\n"),
    ("secrets/files/nodes/master/etc/app/key", "a secret\n"),
    ("secrets/files/modes.toml", "[\"nodes/master\"]\n\"/etc/app/key\" = { mode = \"0640\", group = \"lab\" }\n"),
];

/// Scripts that are not in the table run at the first boot; the user's own files are there.
#[test]
fn packages_with_unknown_scripts_are_finished_at_first_boot() {
    if !ready("base::packages_with_unknown_scripts_are_finished_at_first_boot") {
        return;
    }
    // cron has a postinst that is not in the table, GLib a preinst.
    let packages = ["cron", "libglib2.0-0t64"];
    let nodes = [("master", "master"), ("worker", "worker")];
    let request = LabRequest { nodes: &nodes, packages: &packages, files: &FILES, ..LabRequest::default() };
    let lab = Lab::build(&tools(), &request);
    let pending = lab.pending("worker");
    for name in packages {
        assert!(pending.contains(&name), "{name} is known by now: take another package for this test");
    }
    // The master, whose k3s does not wait for another node.
    let network = Network::start();
    let card = lab.flash(&network, "master");
    let mut node = lab.boot(&network, &card);
    node.wait_for_ssh(minutes(3));
    check_system(&node, &image(&lab, "master"));
    assert_eq!(node.run("dpkg-query -W -f '${db:Status-Abbrev} ' cron libglib2.0-0t64"), "ii  ii  ");
    assert_eq!(node.run("systemctl is-active cron").trim(), "active");
    let left = node.run("ls /var/lib/labimg/pending /var/lib/labimg/preinst 2>/dev/null || true");
    assert_eq!(left.trim(), "", "lists of pending work are left");
    assert!(node.wait_for_report(minutes(6)).contains("  ok        configure"), "the report does not tell of it");
    assert!(node.run("getent hosts printer").starts_with("192.0.2.7"));
    assert_eq!(node.run("sudo stat -c '%a %U %G' /srv/app /etc/app/key"), "750 lab systemd-network\n640 root lab\n");
    assert_eq!(node.run("cat /etc/app/key"), "a secret\n");
    assert!(node.run("sudo cat /etc/rancher/k3s/config.yaml").contains("node-label:\n  - \"disk=ssd\"\n"));
    node.power_off(minutes(1));
    card.check();
}
