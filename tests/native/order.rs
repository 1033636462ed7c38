//! Nodes that boot under bad conditions: late DHCP, no network.

use std::time::Duration;

use labimg_testkit::checks::{check_node, check_without_disk, minutes};
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Network, Node, Power};

use crate::lab::{ready, shared};

/// No DHCP until everything that waits for it has timed out; no USB disk.
#[test]
fn late_network_and_no_disk() {
    if !ready("order::late_network_and_no_disk") {
        return;
    }
    let lab = shared();
    let network = Network::without_router();
    let card = lab.flash(&network, "master");
    let power = Power { uptime: true, ..Power::default() };
    let mut node = Node::boot(&network, &card, &lab.key(), power);
    let given_up = "journalctl -u systemd-networkd-wait-online | grep 'no default route within 20 seconds'";
    node.wait_inside("the boot goes on without a network", given_up, minutes(6));
    node.wait_inside("k3s does not start without a network", "journalctl -u k3s | grep 'no default route'", minutes(1));
    assert!(node.console().contains("master login:"), "nobody can log in");
    println!("up without DHCP; the router comes later");
    std::thread::sleep(Duration::from_secs(15));
    assert_eq!(node.address(), None);
    network.uplink(true);
    node.wait_for_ssh(minutes(6));
    node.wait_until("k3s starts once there is a network", "systemctl is-active k3s.service", minutes(3));
    check_node(&node, "master", "k3s.service");
    check_without_disk(&node);
    node.power_off(minutes(6));
    card.check();
}

/// No network at all, and so no time server: the node boots, and reports it on its card.
#[test]
fn no_network() {
    if !ready("order::no_network") {
        return;
    }
    let lab = shared();
    let network = Network::without_router();
    let card = lab.flash(&network, "worker1");
    let power = Power { clock: false, cable: false, uptime: true };
    let mut node = Node::boot(&network, &card, &lab.key(), power);
    let clock = "grep -q '^status=0' /run/labimg/steps/clock.status && cat /run/labimg/steps/clock.log";
    let said = node.wait_inside("the clock is waited for, but not for ever", clock, minutes(6));
    assert!(said.contains("warning: no time server answered within 30 s"), "{said}");
    node.wait_inside("k3s does not start", "systemctl show -P NRestarts k3s-agent | grep -v '^0$'", minutes(6));
    assert!(node.console().contains("worker1 login:"), "nobody can log in");
    node.power_off(minutes(6));
    card.check();
    let report = card.firmware_text("labimg-report.txt");
    println!("{report}");
    for text in ["worker1", "  ok        seed", "  warning   clock", "Let the node reach the internet on UDP port 123"]
    {
        assert!(report.contains(text), "the report does not say `{text}`:\n{report}");
    }
    assert!(!card.firmware_files().iter().any(|f| f.starts_with("labimg-seed")), "the seed was not applied");
}
