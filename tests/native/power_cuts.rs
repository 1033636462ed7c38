//! Power cuts at random points of a first boot: what the root file system has not written is lost, then the node must
//! boot correctly. Here only the root is cut; `tests/boot/power_cuts.rs` cuts the whole card, in QEMU.

use std::time::{Duration, Instant};

use labimg_testkit::checks::{check_node, minutes};
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Lab, Network, Node};
use labimg_testkit::random::{Random, long, seed};

use crate::lab::{ready, shared};

/// Number of cuts on a card before its node may finish booting.
const CUTS: usize = 5;

/// Number of cards, in sequence, on each of two machines: 40 cuts in all.
const CARDS: usize = 4;

/// How long a first boot takes here, from the first process to k3s.
fn whole_boot(lab: &Lab) -> Duration {
    let network = Network::start();
    let card = lab.flash(&network, "master");
    let begun = Instant::now();
    let mut node = lab.boot(&network, &card);
    node.wait_inside("k3s runs", "systemctl is-active k3s", minutes(3));
    begun.elapsed()
}

/// Checks the node and its file system.
fn verdict(lab: &Lab, node: &mut Node) {
    node.wait_for_ssh(minutes(3));
    check_node(node, "master", "k3s.service");
    let key = node.run("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");
    assert!(lab.host_key("master").contains(key.trim()), "the host key is {key}, not that of secrets/");
    assert_eq!(node.run("sudo dpkg --audit").trim(), "", "dpkg finds something to mend");
    // Files written by the stand-in for k3s are left out.
    let empty = "sudo find /etc/rancher /etc/labimg /etc/ssh /home/lab/.ssh /var/lib/labimg /var/lib/rancher/k3s/server \
        -name stand-in-nodes -prune -o -type f -size 0 ! -path /var/lib/labimg/booted -print";
    assert_eq!(node.run(empty).trim(), "", "files are empty");
    let report = node.wait_for_report(minutes(6));
    assert!(report.contains("Failed     no unit") && !report.contains("FAILED"), "{report}");
    node.power_off(minutes(6));
    node.card().check();
}

fn cut_and_boot(lab: &Lab, machine: u64, cards: usize, whole: Duration, random: &mut Random) {
    let network = Network::start();
    let card = lab.flash(&network, "master");
    for number in 0..cards {
        card.flash_again(&lab.image("master"));
        for cut in 0..CUTS {
            // More cuts come early, when most is written; the first one before the seed is applied, or soon after.
            let share = random.below(1000) as f64 / 1000.0;
            let delay = whole.mul_f64(share * share / if cut == 0 { 3.0 } else { 1.0 });
            let node = lab.boot(&network, &card);
            std::thread::sleep(delay);
            let steps = card.firmware_text("labimg-report.txt").lines().filter(|l| l.starts_with("  ok ")).count();
            println!("machine {machine}, card {number}, cut {cut}: after {} ms, {steps} steps told", delay.as_millis());
            node.cut_power();
            card.check_after_cut();
        }
        verdict(lab, &mut lab.boot(&network, &card));
        println!("machine {machine}, card {number}: right after {CUTS} cuts");
    }
}

#[test]
fn the_root_outlives_power_cuts() {
    if !ready("power_cuts::the_root_outlives_power_cuts") {
        return;
    }
    let seed = seed();
    println!("LABIMG_TEST_SEED={seed} repeats this choice of points");
    let cards = if long() { CARDS * 10 } else { CARDS };
    let lab = shared();
    let whole = whole_boot(&lab);
    println!("points lie within {} ms, {} cuts", whole.as_millis(), 2 * cards * CUTS);
    std::thread::scope(|scope| {
        for machine in 0..2 {
            let lab = &lab;
            let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(machine as u32 * 8) | 1);
            scope.spawn(move || cut_and_boot(lab, machine, cards, whole, &mut random));
        }
    });
}
