//! What the master does with each kind of USB disk: a blank one is prepared and kept to, any other is left as it is, to the
//! byte.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::disks;
use crate::lab_folder::LabFolder;
use crate::node::Node;
use crate::qmp::{self, Qmp};
use crate::router::Router;
use labimg_testkit::command::succeed;
use labimg_testkit::disks::named;

/// What must become of a disk.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    /// Not one byte changes, and the report has this text.
    Untouched(&'static str),
    /// It is mounted as it is.
    Used,
    /// It is partitioned, formatted and mounted.
    Prepared,
}

use Fate::{Prepared, Untouched, Used};

/// One row of the table.
struct Case {
    name: &'static str,
    make: fn(&Path),
    fate: Fate,
}

const fn case(name: &'static str, make: fn(&Path), fate: Fate) -> Case {
    Case { name, make, fate }
}

/// Disks that are plugged in alone.
const CASES: &[Case] = &[
    case("ext4", |p| disks::ext4(p, "mine"), Untouched("ext4")),
    case("fat", disks::fat, Untouched("vfat")),
    case("ntfs", disks::ntfs, Untouched("ntfs")),
    case("gpt", |p| disks::table(p, "gpt"), Untouched("gpt")),
    case("mbr", |p| disks::table(p, "dos"), Untouched("dos")),
    case("partition", disks::partition, Untouched("partitions")),
    case("luks", disks::luks, Untouched("LUKS")),
    case("lvm", disks::lvm, Untouched("LVM")),
    case("raid", disks::md_raid, Untouched("raid")),
    case("swap", disks::swap, Untouched("swap")),
    case("btrfs", disks::btrfs, Untouched("btrfs")),
    case("middle", disks::middle, Untouched("data")),
    case("end", |p| disks::bytes_at(p, disks::SIZE), Untouched("data")),
    case("ext4-lost", |p| named("ext4-16-mib-lost").make(p), Untouched("left of ext")),
    case("small", disks::small, Untouched("small")),
];

/// A node with a control socket, at which disks are plugged in.
struct Bench<'a> {
    node: &'a Node,
    qmp: Qmp,
    /// Whether the export was there after the last run.
    mounted: bool,
}

impl Bench<'_> {
    /// Plugs disks in and runs the storage step: once by itself, as udev starts it, and once by hand, which must change
    /// nothing; gives its log. All in one command, as each costs seconds under emulation.
    fn run(&mut self, disks: &[(&str, Value)]) -> String {
        let together = disks.len() > 1;
        if together {
            // Seen together, as at power-on.
            self.node.run("sudo systemctl stop labimg-storage.path");
        }
        for (id, disk) in disks {
            self.qmp.plug(id, disk.clone());
        }
        let mut script = "settled() { ! [ -e /run/labimg-storage-event ] && ! systemctl is-active labimg-storage | grep -q activating; }; \
             rest() { until settled; do sleep 0.5; done; }; "
            .to_owned();
        for (id, _) in disks {
            script += &format!("until ls /dev/disk/by-id | grep -q -- '{id}'; do sleep 0.5; done; ");
        }
        script += "sudo udevadm settle; ";
        if together {
            script += "sudo systemctl start labimg-storage.path; ";
        }
        script += "sleep 1; rest; sudo systemctl start labimg-storage.service; rest; \
             sudo cat /run/labimg/steps/storage.log; findmnt -n -o TARGET /srv/labimg || echo not mounted";
        let said = self.node.run_within(&script, Duration::from_secs(600));
        let (log, mounted) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
        self.mounted = mounted == "/srv/labimg";
        assert!(self.mounted || mounted == "not mounted", "{said}");
        log.to_owned()
    }

    fn pull(&mut self, ids: &[&str]) {
        for id in ids {
            self.qmp.unplug(id);
        }
        if self.mounted {
            self.node.run_within("while findmnt -n /srv/labimg; do sleep 0.5; done", Duration::from_secs(120));
        }
    }
}

/// Runs one case; the file of the disk stays.
fn check(bench: &mut Bench<'_>, lab: &LabFolder, case: &Case) {
    let path = lab.path(&format!("{}.usb", case.name));
    (case.make)(&path);
    check_disk(bench, case.name, &path, qmp::raw(&path), case.fate);
}

fn check_disk(bench: &mut Bench<'_>, name: &str, path: &Path, disk: Value, fate: Fate) {
    let before = disks::fingerprint(path);
    let log = bench.run(&[(name, disk)]);
    println!("{name}: {}", log.trim());
    let mounted = bench.mounted;
    match fate {
        Untouched(word) => {
            assert!(!mounted, "{name}: mounted\n{log}");
            assert!(log.to_lowercase().contains(&word.to_lowercase()), "{name}: the log does not say {word}\n{log}");
        }
        Used | Prepared => assert!(mounted, "{name}: not mounted\n{log}"),
    }
    bench.pull(&[name]);
    let same = disks::fingerprint(path) == before;
    match fate {
        Untouched(_) => assert!(same, "{name}: the disk was changed"),
        Prepared => assert!(!same, "{name}: the disk was not prepared"),
        // Mounting writes to a journal.
        Used => {}
    }
}

#[test]
fn storage_table() {
    let lab = LabFolder::shared(&[("master", "master")]);
    let router = Router::start(1);
    let mut node = lab.start("master", &router, 0, &["--memory", "1024"]);
    node.wait_for_ssh(Duration::from_secs(600));
    node.run_within("systemctl is-system-running --wait || true", Duration::from_secs(600));
    let qmp = Qmp::connect(&lab.path("master.qmp"));
    let mut bench = Bench { node: &node, qmp, mounted: false };
    for case in CASES {
        check(&mut bench, &lab, case);
    }

    // Two that could be meant: none is taken.
    let [blank, second] = ["blank.usb", "second.usb"].map(|name| lab.path(name));
    for disk in [&blank, &second] {
        disks::blank(disk);
    }
    let log = bench.run(&[("first", qmp::raw(&blank)), ("second", qmp::raw(&second))]);
    println!("two blank disks: {}", log.trim());
    assert!(!bench.mounted, "one of two blank disks was taken\n{log}");
    bench.pull(&["first", "second"]);
    for disk in [&blank, &second] {
        assert_eq!(disks::fingerprint(disk), blank_print(&lab), "one of two blank disks was changed");
    }

    // Read-only, as a card reader's switch makes it; sectors that cannot be read, and writes that fail: it is not prepared.
    let mut locked = qmp::raw(&blank);
    locked["read-only"] = json!(true);
    check_disk(&mut bench, "read-only", &blank, locked, Untouched("write-protected"));
    check_disk(&mut bench, "bad-reads", &blank, failing(&blank, "read", Some(20_000)), Untouched("errors"));
    check_disk(&mut bench, "bad-writes", &blank, failing(&blank, "write", None), Untouched(""));

    // It goes on when it can be written.
    let ours = blank;
    check_disk(&mut bench, "bad-writes", &ours, qmp::raw(&ours), Prepared);

    // The disk that was prepared is found again, with what a user has put there.
    bench.run(&[("ours", qmp::raw(&ours))]);
    assert!(bench.mounted, "the prepared disk is not mounted when it is plugged in again");
    bench.node.run("echo kept | sudo tee /srv/labimg/file >/dev/null; sync");
    bench.pull(&["ours"]);
    check_disk(&mut bench, "ours", &ours, qmp::raw(&ours), Used);

    // From now on the master keeps to it: a blank one beside it or in its place is left alone, and so is one with the label.
    let log = bench.run(&[("ours", qmp::raw(&ours)), ("second", qmp::raw(&second))]);
    assert!(bench.mounted, "{log}");
    assert_eq!(bench.node.run("cat /srv/labimg/file").trim(), "kept");
    bench.pull(&["ours", "second"]);
    assert_eq!(disks::fingerprint(&second), blank_print(&lab), "the blank disk beside ours was changed");
    check_disk(&mut bench, "second", &second, qmp::raw(&second), Untouched("keeps to its own disk"));
    disks::ext4(&second, "labimg-data");
    check_disk(&mut bench, "labelled", &second, qmp::raw(&second), Untouched("keeps to its own disk"));

    // Two that are ours by their UUID: none is taken. One whose file system is damaged: it is left for e2fsck.
    let copy = lab.path("copy.usb");
    std::fs::copy(&ours, &copy).unwrap();
    let before = (disks::fingerprint(&ours), disks::fingerprint(&copy));
    let log = bench.run(&[("ours", qmp::raw(&ours)), ("copy", qmp::raw(&copy))]);
    println!("two of the same UUID: {}", log.trim());
    assert!(!bench.mounted, "one of two disks of the same UUID was taken\n{log}");
    bench.pull(&["ours", "copy"]);
    assert_eq!((disks::fingerprint(&ours), disks::fingerprint(&copy)), before, "a disk of the same UUID was changed");
    disks::damage(&copy);
    check_disk(&mut bench, "damaged", &copy, qmp::raw(&copy), Untouched("e2fsck -b 32768"));
    check_disk(&mut bench, "ours-bad-reads", &ours, failing(&ours, "read", None), Untouched("errors"));
    check_disk(&mut bench, "ours", &ours, qmp::raw(&ours), Used);

    node.power_off(Duration::from_secs(300));
    crate::node::check(&lab.disk("master"));
    check_after_replay(&ours);
}

/// As the next mount would: the disk was pulled out while it was mounted. After that, e2fsck must find nothing.
fn check_after_replay(disk: &Path) {
    for (number, start) in crate::node::partition_starts(disk).into_iter().enumerate() {
        // In a file of its own: after a replay e2fsck opens its file once more, and forgets the offset then.
        let part = disk.with_extension(format!("part{number}"));
        let mut dd = Command::new("dd");
        dd.args(["bs=1M", "conv=sparse", "iflag=skip_bytes", "status=none"]).arg(format!("skip={start}"));
        succeed(dd.arg(format!("if={}", disk.display())).arg(format!("of={}", part.display())));
        let status = Command::new("e2fsck").arg("-p").arg(&part).status().unwrap();
        // 1: a journal to replay is something that was mended (e2fsck(8)); 4 would be damage that is left.
        assert!(status.code().is_some_and(|code| code <= 1), "e2fsck -p {}: {status}", part.display());
        succeed(Command::new("e2fsck").arg("-fn").arg(&part));
        std::fs::remove_file(part).unwrap();
    }
}

fn blank_print(lab: &LabFolder) -> String {
    let path = lab.path("reference.usb");
    disks::blank(&path);
    disks::fingerprint(&path)
}

/// A disk whose reads or writes fail with an input/output error: all, or those of one sector.
fn failing(path: &Path, kind: &str, sector: Option<u64>) -> Value {
    let mut rule = json!({ "event": "none", "iotype": kind, "errno": 5, "once": false, "immediately": false });
    if let Some(sector) = sector {
        rule["sector"] = json!(sector);
    }
    json!({ "driver": "blkdebug", "image": qmp::raw(path), "inject-error": [rule] })
}
