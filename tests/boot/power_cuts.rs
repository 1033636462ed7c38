//! Power cuts of the whole card during the first boot, the FAT partition too: QEMU is killed at random points, then the node
//! must come up right. Cuts of the root alone are made in hundreds where nodes boot without an emulator.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use labimg_testkit::checks::check_node;
use labimg_testkit::command::succeed;
use labimg_testkit::random::{Random, long, seed};

use crate::cluster::check_usb;
use crate::lab_folder::LabFolder;
use crate::node::{self, Node};
use crate::router::Router;

/// How often the power is cut on each disk before its node may come up.
fn cuts() -> &'static [usize] {
    if long() { &[5, 5, 5, 5] } else { &[3, 3] }
}

/// Lines of the console, but for those that only show that systemd still waits, which a slow computer has more of.
fn lines(text: &str) -> usize {
    text.split_inclusive('\n').filter(|l| l.ends_with('\n') && !l.contains(" running (")).count()
}

/// A point of the first boot: so many lines on the console, then so many milliseconds.
#[derive(Debug, Clone)]
struct Point {
    line: usize,
    delay: u64,
}

/// Where the points lie: from the first line after the initramfs has begun to the last of a whole boot.
struct Range {
    first: usize,
    last: usize,
}

impl Range {
    fn point(&self, random: &mut Random) -> Point {
        let line = self.first + random.below((self.last - self.first) as u64) as usize;
        Point { line, delay: random.below(2000) }
    }
}

/// Waits for the point; a boot that is done sooner, as it has less to do than a first one, counts as there.
fn wait_for(node: &mut Node, point: &Point) {
    let begun = Instant::now();
    loop {
        let console = node.console();
        if lines(&console) >= point.line || console.contains(" login:") {
            break;
        }
        assert!(node.is_running(), "the machine ended by itself before its power was cut\n{console}");
        assert!(begun.elapsed() < Duration::from_secs(600), "the console stands still\n{console}");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(point.delay));
}

/// Where the disk and the USB disk of round `round` lie.
fn name(round: usize) -> String {
    format!("round{round}")
}

fn start(lab: &LabFolder, router: &Router, round: usize, usb: &Path) -> Node {
    lab.start_as("master", &name(round), router, 0, &["--memory", "1024", "--usb", usb.to_str().unwrap()])
}

/// The node is right, and so are its file systems.
fn verdict(lab: &LabFolder, node: &mut Node, round: usize, usb: &Path) {
    node.wait_for_ssh(Duration::from_secs(900));
    check_node(node, "master", "k3s.service");
    let source = node.run("findmnt -n -o SOURCE /srv/labimg && findmnt -n -o SOURCE /var/lib/rancher/k3s/server/db");
    assert_eq!(source.lines().count(), 2, "round {round}: the USB disk is not mounted: {source}");
    let key = node.run("cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");
    let expected = lab.host_key("master");
    assert!(expected.contains(key.trim()), "round {round}: the host key is {key}, not that of secrets/: {expected}");
    node.power_off(Duration::from_secs(300));
    let disk = lab.disk(&name(round));
    node::check(&disk);
    check_firmware(lab, &disk);
    check_usb(usb);
}

/// fsck.vfat finds nothing.
fn check_firmware(lab: &LabFolder, disk: &Path) {
    let starts = node::partition_starts(disk);
    let copy = lab.path(&format!("{}.fat", disk.file_name().unwrap().to_string_lossy()));
    let from = std::fs::File::open(disk).unwrap();
    let mut fat = vec![0; (starts[1] - starts[0]) as usize];
    std::os::unix::fs::FileExt::read_exact_at(&from, &mut fat, starts[0]).unwrap();
    std::fs::write(&copy, fat).unwrap();
    succeed(Command::new("fsck.vfat").arg("-n").arg(&copy));
    std::fs::remove_file(copy).unwrap();
}

/// The disks of a machine as they are at this moment.
fn copy_disks(lab: &LabFolder, from: &str, to: &str) {
    for (from, to) in [(lab.disk(from), lab.disk(to)), (usb_of(lab, from), usb_of(lab, to))] {
        succeed(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).args([from, to]));
    }
}

fn usb_of(lab: &LabFolder, name: &str) -> PathBuf {
    lab.path(&format!("{name}.usb"))
}

/// One boot without a cut, which shows how many lines there are, and makes the first cut of all disks: what it has written at
/// a random point is what a cut at this point leaves. How many lines are still to come is not known, so each takes the place
/// of an earlier choice with a chance that makes all equally likely in the end (Vitter, "Random Sampling with a Reservoir").
fn whole_boot(lab: &LabFolder, random: &mut Random) -> Range {
    let router = Router::start(1);
    let usb = lab.blank("whole.usb", 2 << 30);
    let mut node = lab.start_as("master", "whole", &router, 0, &["--memory", "1024", "--usb", usb.to_str().unwrap()]);
    node.wait_for_console("initramfs: ", Duration::from_secs(300));
    let first = lines(node.console().split("initramfs: ").next().unwrap());
    let rounds = cuts().len();
    let (mut seen, mut chosen) = (0, vec![None; rounds]);
    let begun = Instant::now();
    let last = loop {
        let console = node.console();
        let (line, done) = (lines(&console), console.contains(" login:"));
        for candidate in first + seen..line {
            seen += 1;
            let place = if seen <= rounds { seen - 1 } else { random.below(seen as u64) as usize };
            if place < rounds {
                chosen[place] = Some(Point { line: candidate, delay: random.below(2000) });
            }
        }
        // Several lines may have come at once; those chosen are all here by now.
        for (place, point) in chosen.iter_mut().enumerate() {
            if let Some(point) = point.take() {
                std::thread::sleep(Duration::from_millis(point.delay));
                node.frozen(|| copy_disks(lab, "whole", &name(place)));
                let console = node.console();
                println!(
                    "round {place}, first cut: {point:?} at `{}`",
                    console.lines().last().unwrap_or_default().trim()
                );
            }
        }
        if done {
            break line;
        }
        assert!(node.is_running(), "the machine ended by itself\n{console}");
        assert!(begun.elapsed() < Duration::from_secs(900), "the console stands still\n{console}");
        std::thread::sleep(Duration::from_millis(50));
    };
    node.cut_power();
    assert!(first + 20 < last, "the console shows too little to choose from");
    println!("points lie from line {first} to line {last} of the console");
    Range { first, last }
}

/// Cuts the power further times, then lets the node come up.
fn round(lab: &LabFolder, round: usize, range: &Range, random: &mut Random) {
    let router = Router::start(1);
    let usb = usb_of(lab, &name(round));
    for cut in 1..cuts()[round] {
        let point = range.point(random);
        let mut node = start(lab, &router, round, &usb);
        wait_for(&mut node, &point);
        let console = node.console();
        let seen = console.lines().last().unwrap_or_default().trim();
        println!("round {round}, cut {cut}: {point:?} at `{seen}`");
        node.cut_power();
    }
    let mut node = start(lab, &router, round, &usb);
    verdict(lab, &mut node, round, &usb);
    println!("round {round}: right after {} cuts", cuts()[round]);
}

#[test]
fn power_cuts() {
    let seed = seed();
    println!("LABIMG_TEST_SEED={seed} repeats this choice of points");
    let lab = LabFolder::shared(&[("master", "master")]);
    let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let range = whole_boot(&lab, &mut random);
    for number in 0..cuts().len() {
        round(&lab, number, &range, &mut random);
    }
}
