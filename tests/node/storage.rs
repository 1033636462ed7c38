//! `storage`: which disk the master takes, and that it keeps to it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use crate::master::{INTENT, Master, RECORD, UUID, content, judges_are_missing, tool, uuid, write_at};
use crate::root::text;

const OTHER: &str = "11111111-2222-4333-8444-555555555555";

/// Puts a file into a file system that is not mounted, as a user would.
fn put_thesis(part: &Path) {
    let text = part.with_extension("text");
    std::fs::write(&text, "the only copy of a thesis").unwrap();
    let request = format!("write {} thesis", text.display());
    let output = Command::new("/usr/sbin/debugfs").args(["-w", "-R", &request]).arg(part).output().unwrap();
    assert!(output.status.success(), "{}", self::text(&output));
    assert_eq!(thesis(part), "the only copy of a thesis");
}

fn thesis(part: &Path) -> String {
    let output = Command::new("/usr/sbin/debugfs").args(["-R", "cat thesis"]).arg(part).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A master that has prepared its disk `ours`, which lies beside it with a file on it.
fn with_ours(conf: Option<&str>) -> Master {
    let master = conf.map_or_else(Master::of_a_lab, Master::new);
    master.make_blank("ours");
    master.plug("sda", "ours");
    let said = master.run();
    assert_eq!(master.mounted().as_deref(), Some("sda1"), "{said}");
    put_thesis(&master.dev("sda1"));
    master.restart();
    master.pull("sda", "ours");
    master
}

/// Power fails at every command of the first run, or of the second; the third is as any other.
#[test]
fn a_preparation_that_was_cut_is_finished_before_anything_is_mounted() {
    if judges_are_missing() {
        return;
    }
    let new = || {
        let master = Master::of_a_lab();
        for script in ["disk-write", "disk-scan", "disk-prepare"] {
            master.root.count_script(script);
        }
        master.make_blank("disk");
        master.plug("sda", "disk");
        master
    };
    let whole = new();
    whole.run();
    let commands = whole.root.commands();
    assert!(commands > 60, "only {commands} commands");
    let check = |master: &Master, cut: usize| {
        master.restart();
        let said = master.run();
        assert_eq!(master.mounted().as_deref(), Some("sda1"), "after a cut at {cut}: {said}");
        assert!(!said.contains("warning"), "after a cut at {cut}: {said}");
        assert!(!master.root.exists(INTENT));
        assert_eq!(master.root.read(RECORD).trim(), UUID);
        assert_eq!(uuid(&master.dev("sda1")), UUID);
        for part in ["sda1", "sda2"] {
            tool("e2fsck", &["-fn"], &master.dev(part));
        }
    };
    // Each second: neighbours differ little, and disk-prepare alone is cut at every one.
    for cut in (1..commands).step_by(2) {
        let master = new();
        let output = master.run_cut(Some(cut));
        assert_eq!(output.status.signal(), Some(9), "cut at {cut}: {}", text(&output));
        if master.root.exists(INTENT) {
            assert_eq!(master.mounted(), None, "cut at {cut}: mounted before it was finished");
        }
        // Half of them are cut again, later.
        if cut % 4 == 1 {
            master.restart();
            master.run_cut(Some(cut + 7));
        }
        check(&master, cut);
        // As the third run: nothing is made again.
        put_thesis(&master.dev("sda1"));
        master.restart();
        master.run();
        assert_eq!(thesis(&master.dev("sda1")), "the only copy of a thesis", "cut at {cut}");
        assert!(!master.root.calls().contains("disk-write"), "cut at {cut}");
    }
}

#[test]
fn a_blank_disk_beside_ours_or_in_its_place_stays_blank() {
    if judges_are_missing() {
        return;
    }
    // With the lab's UUID, and without: a master alone, or one whose seed is older.
    for conf in [None, Some("DISK=only\nLABEL=labimg-data\nNETWORKS=''\nK3S_DB=no\n")] {
        let master = with_ours(conf);
        let own = master.root.read(RECORD);
        assert_eq!(own.trim() == UUID, conf.is_none());
        master.make_blank("blank");
        master.plug("sda", "blank");
        let said = master.run();
        assert_eq!(master.mounted(), None, "{said}");
        assert!(content(&master.dev("sda")).is_empty(), "the blank disk was prepared: {said}");
        for part in ["keeps to its own disk", own.trim(), "serial blank", "sudo rm /var/lib/labimg/storage-disk; "] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
        master.plug("sdb", "ours");
        let said = master.run();
        assert_eq!(master.mounted().as_deref(), Some("sdb1"), "{said}");
        assert!(content(&master.dev("sda")).is_empty());
        assert_eq!(thesis(&master.dev("sdb1")), "the only copy of a thesis");
        // Again without ours, and as the report says.
        master.restart();
        master.pull("sdb", "ours");
        let said = master.run();
        let said = master.follow(&said, "To take this one in its place, or the next that is plugged in: ");
        assert_eq!(master.mounted().as_deref(), Some("sda1"), "{said}");
        let new = master.root.read(RECORD);
        assert_eq!(new == own, conf.is_none(), "a lab's disk has the lab's UUID, another a new one");
    }
}

#[test]
fn another_disk_with_the_label_is_not_mounted() {
    if judges_are_missing() {
        return;
    }
    let master = with_ours(None);
    master.make_ext4("other", "labimg-data");
    master.plug("sda", "other");
    let before = content(&master.dev("sda"));
    let said = master.run();
    assert_eq!(master.mounted(), None, "{said}");
    assert!(said.contains("keeps to its own disk") && said.contains(UUID), "{said}");
    // Flashed anew: the lab's UUID says which is ours, whatever its label has become.
    master.flash();
    for label in ["labimg-data", "renamed"] {
        master.plug("sdb", "ours");
        tool("e2label", &[], &master.dev("sdb1"));
        let renamed = Command::new("/usr/sbin/e2label").arg(master.dev("sdb1")).arg(label).status().unwrap();
        assert!(renamed.success());
        let said = master.run();
        assert_eq!(master.mounted().as_deref(), Some("sdb1"), "{label}: {said}");
        assert!(!said.contains("warning"), "{label}: {said}");
        assert_eq!(master.root.read(RECORD).trim(), UUID);
        master.flash();
        master.pull("sdb", "ours");
    }
    assert!(content(&master.dev("sda")) == before, "the other disk was written to");
}

#[test]
fn a_disk_from_before_is_taken_over_once() {
    if judges_are_missing() {
        return;
    }
    let master = Master::of_a_lab();
    for name in ["before", "another"] {
        master.make_ext4(name, "labimg-data");
    }
    master.plug("sda", "before");
    let its = uuid(&master.dev("sda"));
    let said = master.run();
    assert_eq!(master.mounted().as_deref(), Some("sda"), "{said}");
    assert_eq!(master.root.read(RECORD).trim(), its);
    // It says so at every boot, and what to do about it.
    master.restart();
    let said = master.run();
    let advice = format!("(umask 077; mkdir -p secrets/storage; echo {its} > secrets/storage/uuid)");
    assert!(said.contains("that its lab does not know") && said.contains(&advice), "{said}");
    let shell = Command::new("sh").args(["-c", &advice]).current_dir(master.root.path()).status().unwrap();
    assert!(shell.success() && master.root.read("secrets/storage/uuid").trim() == its);
    assert_eq!((master.root.mode("secrets/storage"), master.root.mode("secrets/storage/uuid")), (0o700, 0o600));
    // From now on only this one.
    master.restart();
    master.pull("sda", "before");
    master.plug("sda", "another");
    let said = master.run();
    assert_eq!(master.mounted(), None, "{said}");
    assert!(said.contains("keeps to its own disk"), "{said}");
    master.plug("sdb", "before");
    let said = master.run();
    assert_eq!(master.mounted().as_deref(), Some("sdb"), "{said}");
    // After the advice, and flashed anew, it is the lab's.
    let conf = master.root.read("etc/labimg/storage.conf").replace(UUID, &its);
    master.root.write("etc/labimg/storage.conf", conf);
    master.flash();
    let said = master.run();
    assert_eq!(master.mounted().as_deref(), Some("sdb"), "{said}");
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn which_of_several_is_never_guessed() {
    if judges_are_missing() {
        return;
    }
    // Two with the label and nothing known; two with our UUID; two blank ones.
    let master = Master::of_a_lab();
    for (port, name) in [("sda", "one"), ("sdb", "two")] {
        master.make_ext4(name, "labimg-data");
        master.plug(port, name);
    }
    let said = master.run();
    assert!(master.mounted().is_none() && said.contains("more than one disk could be"), "{said}");
    for port in ["sda", "sdb"] {
        let output = Command::new("/usr/sbin/tune2fs").args(["-U", OTHER]).arg(master.dev(port)).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }
    master.root.write(RECORD, format!("{OTHER}\n"));
    let said = master.run();
    assert!(master.mounted().is_none() && said.contains("more than one disk could be"), "{said}");
    // As the report says of the second.
    let of_second = &said[said.find("/dev/sdb (").unwrap()..];
    master.follow(of_second, "Unplug all but the right one, or take the mark from another: ");
    let said = master.run();
    assert_eq!(master.mounted().as_deref(), Some("sda"), "{said}");

    let master = Master::of_a_lab();
    for (port, name) in [("sda", "one"), ("sdb", "two")] {
        master.make_blank(name);
        master.plug(port, name);
    }
    let said = master.run();
    assert!(master.mounted().is_none() && said.contains("more than one USB disk is plugged in"), "{said}");
    assert!(content(&master.dev("sda")).is_empty() && content(&master.dev("sdb")).is_empty());
}

/// The worst case: the file system of a disk full of data is damaged, and an intent lies on the card.
#[test]
fn a_damaged_disk_of_ours_is_left_for_e2fsck() {
    if judges_are_missing() {
        return;
    }
    for (intent, record) in [(false, true), (true, true), (true, false), (false, false)] {
        let master = Master::of_a_lab();
        master.make_blank("ours");
        master.plug("sda", "ours");
        // The intent as it was before the end.
        let kept = master.root.at("kept-intent");
        master.root.stand_in(
            "partx",
            &format!("cp \"$LABIMG_ROOT/{INTENT}\" {}; exec perl \"$LABIMG_ROOT/partx.pl\" \"$@\"", kept.display()),
        );
        master.run();
        put_thesis(&master.dev("sda1"));
        write_at(&master.dev("sda1"), 0, &[0; 4096]);
        master.pull("sda", "ours");
        if intent {
            std::fs::copy(&kept, master.root.at(INTENT)).unwrap();
        }
        if !record {
            std::fs::remove_file(master.root.at(RECORD)).unwrap();
        }
        master.restart();
        master.plug("sda", "ours");
        let before = (content(&master.dev("sda")), content(&master.dev("sda1")));
        let said = master.run();
        assert_eq!(master.mounted(), None, "{said}");
        assert!(before == (content(&master.dev("sda")), content(&master.dev("sda1"))), "it was written to: {said}");
        assert!(!master.root.exists(INTENT), "it was finished: {said}");
        if intent || record {
            assert!(said.contains("e2fsck -b 32768 -B 4096 /dev/sda1"), "{said}");
        } else {
            assert!(said.contains("it holds partitions"), "{said}");
        }
        let advice = "It can often be brought back: ";
        let said = if said.contains(advice) { said } else { format!("{advice}sudo e2fsck -b 32768 -B 4096 /dev/sda1") };
        master.follow(&said, advice);
        let said = master.run();
        assert_eq!(master.mounted().as_deref(), Some("sda1"), "{said}");
        assert_eq!(thesis(&master.dev("sda1")), "the only copy of a thesis");
    }
}

/// What the report says about a disk that holds something ends with that disk in use: as sold, with exFAT or FAT, or with an
/// ext4 file system of the user's.
#[test]
fn what_is_said_about_a_disk_that_holds_something_works() {
    if judges_are_missing() {
        return;
    }
    let conf = format!("DISK='only'\nLABEL='labimg-data'\nUUID='{UUID}'\nNETWORKS=''\nK3S_DB=yes\n");
    let master = Master::new(&conf);
    master.make_blank("sold");
    tool("mkfs.vfat", &["-F", "32"], &master.disk("sold"));
    master.plug("sda", "sold");
    // A name that stays.
    std::fs::create_dir_all(master.root.at("dev/disk/by-id")).unwrap();
    std::os::unix::fs::symlink(master.dev("sda"), master.root.at("dev/disk/by-id/usb-Test_disk-0:0")).unwrap();
    let before = content(&master.dev("sda"));
    let said = master.run();
    assert!(master.mounted().is_none() && content(&master.dev("sda")) == before, "{said}");
    assert!(said.contains("disk-erase /dev/disk/by-id/usb-Test_disk-0:0; "), "{said}");
    let said = master.follow(&said, "To use it and lose all that is on it: ");
    assert!(!said.contains("warning"), "{said}");
    let mounts = master.root.read("proc/mounts");
    assert!(
        mounts.contains("sda1 /srv/labimg ext4") && mounts.contains("sda2 /var/lib/rancher/k3s/server/db ext4"),
        "{mounts}"
    );
    assert_eq!(master.root.read(RECORD).trim(), UUID, "it is the lab's");

    // The file system of the user's is kept.
    let master = Master::new(&conf);
    master.make_ext4("mine", "films");
    put_thesis(&master.disk("mine"));
    master.plug("sda", "mine");
    let said = master.run();
    assert!(master.mounted().is_none(), "{said}");
    let said = master.follow(&said, "To use its file system with what is on it: ");
    assert_eq!(master.mounted().as_deref(), Some("sda"), "{said}");
    assert_eq!(thesis(&master.dev("sda")), "the only copy of a thesis");
    assert!(said.contains("k3s' database is on the card"), "{said}");
}

#[test]
fn no_disk_is_erased_by_mistake() {
    if judges_are_missing() {
        return;
    }
    let master = Master::of_a_lab();
    master.make_ext4("mine", "labimg-data");
    master.plug("sda", "mine");
    master.run();
    let before = content(&master.dev("sda"));
    let refused = |arguments: &[&str], why: &str| {
        let output = master.root.run_cut("disk-erase", arguments, None);
        assert!(!output.status.success() && text(&output).contains(why), "{arguments:?}: {}", text(&output));
        assert!(content(&master.dev("sda")) == before, "{arguments:?}");
    };
    refused(&["--yes", "/dev/sda"], "something on /dev/sda is mounted, at /srv/labimg");
    refused(&["--yes", "/dev/sdz"], "is not a USB disk; there are: sda");
    refused(&["--yes"], "usage: disk-erase");
    master.root.write("proc/mounts", "");
    refused(&["/dev/sda"], "nothing was changed");
    master.root.stand_in("findmnt", "echo /dev/sda1");
    let part = master.root.at("sys/devices/usb1/sda/block/sda/sda1");
    std::fs::create_dir_all(&part).unwrap();
    std::fs::write(part.join("partition"), "1\n").unwrap();
    std::os::unix::fs::symlink(&part, master.root.at("sys/class/block/sda1")).unwrap();
    refused(&["--yes", "/dev/sda"], "the system runs from /dev/sda");
}

/// A begun disk that cannot be read: nothing is mounted in the meantime, and it goes on when it can be.
#[test]
fn an_intent_that_cannot_be_settled_waits() {
    if judges_are_missing() {
        return;
    }
    let master = Master::of_a_lab();
    master.make_blank("ours");
    master.plug("sda", "ours");
    master.make_ext4("other", "labimg-data");
    master.plug("sdb", "other");
    // Cut when the intent is there.
    master.root.count_script("disk-write");
    master.pull("sdb", "other");
    master.root.stand_in("disk-write", "kill -9 0");
    assert_eq!(master.run_cut(None).status.signal(), Some(9));
    assert!(master.root.exists(INTENT));
    master.restart();
    master.plug("sdb", "other");
    master.root.stand_in("disk-write", "echo 'gives errors when it is read (disk, byte 0)'; exit 2");
    let said = master.run();
    assert!(master.mounted().is_none() && said.contains("cannot be finished: it gives errors"), "{said}");
    assert!(master.root.exists(INTENT));
    // Without that disk there is nothing to settle; with it, and readable, it is this master's.
    master.root.stand_in("disk-write", "exec \"$LABIMG_ROOT/usr/lib/labimg/disk-write.real\" \"$@\"");
    let said = master.run();
    assert_eq!(master.mounted().as_deref(), Some("sda1"), "{said}");
    assert!(!master.root.exists(INTENT));
}
