//! Seeds that are damaged, forged, or belong to another node.

use std::path::Path;

use labimg_testkit::checks::{check_node, minutes};
use labimg_testkit::command::succeed;
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Card, Network};

use crate::lab::{ready, shared};

const SEED: &str = "labimg-seed.tgz";

/// A truncated seed: the node boots without it, reports it, and applies a good one later.
#[test]
fn a_damaged_seed_is_kept_and_a_good_one_taken_later() {
    if !ready("seeds::a_damaged_seed_is_kept_and_a_good_one_taken_later") {
        return;
    }
    let lab = shared();
    let network = Network::start();
    let card = lab.flash(&network, "master");
    let good = std::fs::read(card.firmware().join(SEED)).unwrap();
    card.write_firmware(SEED, &good[..good.len() / 2]);
    let mut node = lab.boot(&network, &card);
    let report = node.wait_for_report(minutes(6));
    println!("{report}");
    for text in ["  FAILED    seed", "labimg-seed.tgz is damaged", "Flash the card again", "labimg-seed.service"] {
        assert!(report.contains(text), "the report does not say `{text}`:\n{report}");
    }
    let files = card.firmware_files();
    assert!(files.iter().any(|f| f == "labimg-seed.bad") && !files.iter().any(|f| f == SEED), "{files:?}");
    let nothing = "test ! -e /etc/rancher/k3s/token && test ! -e /var/lib/labimg/seeded && ! systemctl is-active k3s";
    node.run_inside(nothing);
    node.power_off(minutes(1));

    // As a user does after reading the report.
    std::fs::remove_file(card.firmware().join("labimg-seed.bad")).unwrap();
    card.write_firmware(SEED, &good);
    drop(node);
    let mut node = lab.boot(&network, &card);
    node.wait_for_ssh(minutes(6));
    check_node(&node, "master", "k3s.service");
    let key = node.run("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");
    assert!(lab.host_key("master").contains(key.trim()), "the host key is not the seed's");
    node.power_off(minutes(1));
    card.check();
}

/// A seed with paths that lead out of the root is refused as a whole.
#[test]
fn a_seed_that_climbs_out_is_refused() {
    if !ready("seeds::a_seed_that_climbs_out_is_refused") {
        return;
    }
    let lab = shared();
    let network = Network::start();
    let card = lab.flash(&network, "worker1");
    let folder = network.folder().join("forged");
    std::fs::create_dir_all(folder.join("below")).unwrap();
    std::fs::write(folder.join("forged"), "forged").unwrap();
    succeed(
        std::process::Command::new("tar")
            .args(["-P", "-czf"])
            .arg(card.firmware().join(SEED))
            .arg("-C")
            .arg(folder.join("below"))
            .arg("../forged"),
    );
    let mut node = lab.boot(&network, &card);
    let report = node.wait_for_report(minutes(6));
    println!("{report}");
    assert!(report.contains("holds paths that labimg never writes"), "{report}");
    node.run_inside("test ! -e /forged && test ! -e /var/lib/labimg/seeded && test -e /boot/firmware/labimg-seed.bad");
    node.power_off(minutes(1));
    card.check();
}

/// A card that gets another node's seed becomes that node.
#[test]
fn a_new_seed_makes_another_node() {
    if !ready("seeds::a_new_seed_makes_another_node") {
        return;
    }
    let lab = shared();
    let network = Network::start();
    let cards = ["master", "worker1"].map(|name| lab.flash(&network, name));
    let other = seed_of(&lab.flash(&network, "worker2"));
    let mut master = lab.boot(&network, &cards[0]);
    let mut node = lab.boot(&network, &cards[1]);
    for node in [&mut master, &mut node] {
        node.wait_for_ssh(minutes(6));
    }
    node.wait_until("worker1 joins", "systemctl is-active k3s-agent", minutes(6));
    check_node(&node, "worker1", "k3s-agent.service");
    cards[1].write_firmware(SEED, other);
    node.restart(minutes(6));
    node.wait_until("worker2 joins", "systemctl is-active k3s-agent", minutes(6));
    check_node(&node, "worker2", "k3s-agent.service");
    let key = node.run("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");
    assert!(lab.host_key("worker2").contains(key.trim()), "the host key is not worker2's");
    let nodes = master.run("sudo ls /var/lib/rancher/k3s/server/stand-in-nodes");
    assert!(nodes.contains("worker1") && nodes.contains("worker2"), "{nodes}");
    for mut node in [node, master] {
        node.power_off(minutes(6));
        node.card().check();
    }
}

fn seed_of(card: &Card) -> Vec<u8> {
    std::fs::read(card.firmware().join(SEED)).unwrap()
}

/// Changes a text file of an unpacked seed.
fn change(seed: &Path, file: &str, how: impl Fn(&str) -> String) {
    let path = seed.join(file);
    let before = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{file}: {e}"));
    let after = how(&before);
    assert_ne!(before, after, "{file} is not changed");
    // Keeps owner and mode.
    std::fs::write(path, after).unwrap();
}

/// Workers with a wrong agent token, and with the hash of another CA: neither joins the cluster, and the second never
/// sends its token to the untrusted server.
#[test]
fn wrong_tokens_and_a_wrong_ca() {
    if !ready("seeds::wrong_tokens_and_a_wrong_ca") {
        return;
    }
    let lab = shared();
    let network = Network::start();
    let cards = ["master", "worker1", "worker2", "worker3"].map(|name| lab.flash(&network, name));
    cards[1].change_seed(|seed| {
        change(seed, "etc/rancher/k3s/token", |token| {
            let (ca, _) = token.rsplit_once(':').unwrap();
            format!("{ca}:{}\n", "0".repeat(32))
        });
    });
    cards[2].change_seed(|seed| {
        change(seed, "etc/rancher/k3s/token", |token| format!("K10{}{}", "0".repeat(64), &token[67..]));
    });
    let mut nodes = cards.each_ref().map(|card| lab.boot(&network, card));
    for node in &mut nodes {
        node.wait_for_ssh(minutes(6));
    }
    let [mut master, mut stranger, mut misled, mut right] = nodes;
    right.wait_until("the right one joins", "systemctl is-active k3s-agent", minutes(6));
    check_node(&right, "worker3", "k3s-agent.service");
    check_node(&master, "master", "k3s.service");
    let refused =
        stranger.wait_until("it is refused", "journalctl -u k3s-agent | grep 'refuses this node'", minutes(6));
    assert!(refused.contains("not authorized"), "{refused}");
    let ca = "journalctl -u k3s-agent | grep 'the token says 00000000'";
    misled.wait_until("the other CA is not trusted", ca, minutes(6));
    assert!(
        !misled.run("journalctl -u k3s-agent").contains("registered at"),
        "it joined a cluster that it does not trust"
    );
    for node in [&stranger, &misled] {
        assert_ne!(node.run("systemctl is-active k3s-agent || true").trim(), "active");
    }
    let listed = master.run("sudo ls /var/lib/rancher/k3s/server/stand-in-nodes");
    assert!(listed.contains("worker3") && !listed.contains("worker1") && !listed.contains("worker2"), "{listed}");

    println!("status says who is missing");
    let server = format!("{}:6443", master.address().unwrap());
    let output = lab.command_in(&network).args(["--json", "status", "--server", &server]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["ready"], false, "{status:#}");
    let state = |name: &str| {
        let nodes = status["nodes"].as_array().unwrap();
        nodes.iter().find(|n| n["name"] == name).unwrap_or_else(|| panic!("no {name} in {status:#}"))["state"].clone()
    };
    assert_eq!([state("worker1"), state("worker2"), state("worker3")], ["missing", "missing", "ready"]);
    for node in [&mut stranger, &mut misled, &mut right, &mut master] {
        node.power_off(minutes(6));
        node.card().check();
    }
}
