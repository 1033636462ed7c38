//! A control plane with two servers.

use std::time::Duration;

use labimg_testkit::checks::{check_node, minutes, wait_for_ready, wait_for_report};
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Network, Node};

use crate::lab::{build, ready};

const NODES: [(&str, &str); 2] = [("master", "master"), ("second", "server")];

/// The second server waits for the master, joins it, and both find each other again after being switched off.
#[test]
fn a_further_server_joins_the_control_plane() {
    if !ready("servers::a_further_server_joins_the_control_plane") {
        return;
    }
    let lab = build(&NODES);
    let network = Network::start();
    let cards = NODES.map(|(name, _)| lab.flash(&network, name));
    let check = |master: &mut Node, second: &mut Node| {
        second.wait_for_ssh(minutes(6));
        master.wait_for_ssh(minutes(6));
        let server = format!("{}:6443", master.address().unwrap());
        let status = wait_for_ready(lab.command_in(&network), &NODES, &server, minutes(3));
        for node in status["nodes"].as_array().unwrap() {
            assert!(node["roles"].to_string().contains("control-plane"), "{status:#}");
        }
        check_node(master, "master", "k3s.service");
        check_node(second, "second", "k3s.service");
        assert!(master.run("sudo cat /etc/rancher/k3s/config.yaml").contains("\ncluster-init: true\n"));
    };

    println!("switching on: the further server, then the master");
    let mut second = lab.boot(&network, &cards[1]);
    std::thread::sleep(Duration::from_secs(10));
    let mut master = lab.boot(&network, &cards[0]);
    check(&mut master, &mut second);
    wait_for_report(&second, "second");
    // It has no disk and reports that. The report without a warning is tested in QEMU, on a machine with a disk.
    let report = master.wait_for_report(minutes(3));
    assert!(report.contains("Failed     no unit") && report.contains("no USB disk is plugged in"), "{report}");
    // The node that the others look for is switched off last.
    for mut node in [second, master] {
        node.power_off(minutes(6));
    }
    println!("switching on: the master, then the further server");
    let mut master = lab.boot(&network, &cards[0]);
    std::thread::sleep(Duration::from_secs(10));
    let mut second = lab.boot(&network, &cards[1]);
    check(&mut master, &mut second);
    for mut node in [second, master] {
        node.power_off(minutes(6));
        node.card().check();
    }
}
