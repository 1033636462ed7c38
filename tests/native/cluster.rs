//! A cluster of five nodes that forms, loses nodes and gets them back.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use labimg_testkit::checks::{check_node, check_report, check_stranger, minutes, wait_for_ready, wait_for_report};
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Lab, Network, Node};

use crate::lab::{NODES, build, ready, unit};

/// Only the owner may read an image with keys.
fn check_modes(lab: &Lab) {
    for (name, _) in NODES {
        let mode = std::fs::metadata(lab.image(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{name}: the image has mode {mode:o}");
    }
    let mode = std::fs::metadata(lab.path("secrets")).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o700, "secrets/ has mode {mode:o}");
}

/// Each node finds the others by name.
fn check_names(node: &Node) {
    for (name, _) in NODES {
        let found =
            node.wait_until(&format!("{name}.local is found"), &format!("getent ahostsv4 {name}.local"), minutes(1));
        assert!(found.starts_with("10.0.2."), "{name}.local is {found}");
    }
}

#[test]
fn five_nodes() {
    if !ready("cluster::five_nodes") {
        return;
    }
    // Not the shared lab: a node of it is built again.
    let lab = build(&NODES);
    check_modes(&lab);
    let network = Network::start();
    let cards = NODES.map(|(name, _)| lab.flash(&network, name));
    let seeds = cards.each_ref().map(|card| std::fs::read(card.firmware().join("labimg-seed.tgz")).unwrap());
    for (i, seed) in seeds.iter().enumerate() {
        assert!(seeds[..i].iter().all(|other| other != seed), "two nodes have the same seed");
    }

    println!("switching on: the others, then the master");
    let mut nodes: Vec<Node> = cards[1..].iter().map(|card| lab.boot(&network, card)).collect();
    std::thread::sleep(Duration::from_secs(10));
    nodes.insert(0, lab.boot(&network, &cards[0]));
    for node in &mut nodes {
        node.wait_for_ssh(minutes(3));
    }
    let server = format!("{}:6443", nodes[0].address().unwrap());
    let wait_for_ready = || wait_for_ready(lab.command_in(&network), &NODES, &server, minutes(5));
    wait_for_ready();
    println!("the cluster is ready");
    for (node, (name, role)) in nodes.iter().zip(NODES) {
        check_node(node, name, unit(role));
        check_names(node);
        let key = node.run("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");
        assert!(lab.host_key(name).contains(key.trim()), "{name} has the host key {key}, not that of secrets/");
        if name != "master" {
            wait_for_report(node, name);
        }
    }
    check_stranger(&nodes[2], "worker2");

    println!("the master restarts");
    nodes[0].restart(minutes(3));
    wait_for_ready();
    check_node(&nodes[0], "master", "k3s.service");

    println!("the master loses its power");
    nodes.remove(0).cut_power();
    cards[0].check_after_cut();
    nodes.insert(0, lab.boot(&network, &cards[0]));
    nodes[0].wait_for_ssh(minutes(3));
    wait_for_ready();
    check_node(&nodes[0], "master", "k3s.service");

    println!("a worker is flashed anew");
    let key = nodes[3].run("cat /etc/ssh/ssh_host_ed25519_key.pub");
    let mut worker2 = nodes.remove(3);
    worker2.power_off(minutes(6));
    drop(worker2);
    cards[3].check();
    lab.rebuild(&["worker2"]);
    cards[3].flash_again(&lab.image("worker2"));
    let mut worker2 = lab.boot(&network, &cards[3]);
    worker2.wait_for_ssh(minutes(3));
    worker2.wait_until("the reflashed worker is accepted", "systemctl is-active k3s-agent.service", minutes(3));
    check_node(&worker2, "worker2", "k3s-agent.service");
    assert_eq!(worker2.run("cat /etc/ssh/ssh_host_ed25519_key.pub"), key, "the reflashed worker has another host key");
    nodes.insert(3, worker2);
    wait_for_ready();

    // The node that the others look for is switched off last.
    while let Some(mut node) = nodes.pop() {
        node.power_off(minutes(6));
        node.card().check();
    }
    for ((name, _), card) in NODES.iter().zip(&cards) {
        assert!(!card.firmware_files().iter().any(|f| f.starts_with("labimg-seed")), "{name}: the seed is there");
        if *name != "master" {
            check_report(&card.firmware_text("labimg-report.txt"), name);
        }
    }
}
