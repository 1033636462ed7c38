//! The harness itself: however a test ends, nothing of it stays on this computer.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use labimg_testkit::checks::minutes;
use labimg_testkit::command::text_of;
use labimg_testkit::native::{Network, sweep};

use crate::lab::{ready, shared};

/// Set for the process that will be killed in the middle of a test.
const VICTIM: &str = "LABIMG_TEST_VICTIM";

/// Whether a text names this network, and not one whose number has the same beginning.
fn names(text: &str, network: &str) -> bool {
    text.match_indices(network).any(|(at, _)| !text[at + network.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// The processes and mounts of a network with this name.
fn running(network: &str) -> Vec<String> {
    let mut found: Vec<String> = text_of(&mut Command::new("losetup").arg("--all"))
        .lines()
        .filter(|l| names(l, network))
        .map(str::to_owned)
        .collect();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if names(&line, network) {
            found.push(format!("{}: {line}", process.path().display()));
        }
    }
    found
}

/// The control groups and folders of a network with this name.
fn made(network: &str) -> Vec<String> {
    let groups = ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Into::into);
    let folders = groups.into_iter().chain([std::env::temp_dir()]);
    let entries = folders.filter_map(|f| f.read_dir().ok()).flatten().flatten();
    entries.map(|e| e.path().display().to_string()).filter(|path| names(path, network)).collect()
}

/// Boots a node, prints its network's name, and then hangs.
fn hang() {
    let lab = shared();
    let network = Network::start();
    let card = lab.flash(&network, "worker1");
    let _node = lab.boot(&network, &card);
    println!("network: {}", network.name());
    std::thread::sleep(minutes(5));
}

#[test]
fn a_killed_test_leaves_no_processes_and_the_next_one_sweeps() {
    if std::env::var_os(VICTIM).is_some() {
        return hang();
    }
    if !ready("harness::a_killed_test_leaves_no_processes_and_the_next_one_sweeps") {
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact", "harness::a_killed_test_leaves_no_processes_and_the_next_one_sweeps"])
        .env(VICTIM, "1")
        .env("TMPDIR", std::env::temp_dir())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let network = lines.into_iter().find_map(|l| Some(l.split_once("network: ")?.1.to_owned()));
    let network = network.expect("the other process boots a node");
    assert!(!running(&network).is_empty() && !made(&network).is_empty(), "nothing is seen of a node that runs");
    victim.kill().unwrap();
    victim.wait().unwrap();
    let begun = Instant::now();
    while !running(&network).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "still there: {:#?}", running(&network));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!made(&network).is_empty(), "there is nothing to sweep");
    sweep();
    let (process, _) = network.rsplit_once('-').unwrap();
    assert_eq!(made(process), [""; 0]);
}

#[test]
fn a_test_that_panics_leaves_nothing() {
    if !ready("harness::a_test_that_panics_leaves_nothing") {
        return;
    }
    let lab = shared();
    let (say, said) = std::sync::mpsc::channel();
    let test = std::thread::spawn(move || {
        let network = Network::start();
        let card = lab.flash(&network, "worker1");
        let mut node = lab.boot(&network, &card);
        say.send(network.name().to_owned()).unwrap();
        node.wait_for_ssh(minutes(6));
        panic!("as a failed test does");
    });
    let network = said.recv().unwrap();
    assert!(!running(&network).is_empty());
    assert!(test.join().is_err());
    // The kernel releases a loop device shortly after its last user.
    let begun = Instant::now();
    while !running(&network).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "still there: {:#?}", running(&network));
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(made(&network), [""; 0]);
}

/// A cut acts like a real power cut: synced data stay, data only in the page cache are lost.
#[test]
fn a_power_cut_loses_what_was_not_written_through() {
    if !ready("harness::a_power_cut_loses_what_was_not_written_through") {
        return;
    }
    let lab = shared();
    let network = Network::start();
    let card = lab.flash(&network, "worker1");
    let mut node = lab.boot(&network, &card);
    node.wait_inside("the seed is there", "test -e /var/lib/labimg/seeded", minutes(6));
    node.run_inside("echo through >/kept; sync; echo soon >/lost; cat /kept /lost");
    node.cut_power();
    card.check_after_cut();
    let mut node = lab.boot(&network, &card);
    assert_eq!(node.run_inside("cat /kept"), "through\n");
    node.run_inside("! grep -s soon /lost");
    node.wait_inside("the node is up", "systemctl is-active ssh", minutes(6));
    node.power_off(minutes(6));
    card.check();
}
