//! `disk-prepare`: the partition table and file systems it makes, and that a power cut leaves a disk that the next run
//! finishes, while no byte of anybody else's is written over.
//!
//! The disk is a plain file here; that the kernel shows the partitions is seen in QEMU.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Output;

use crate::master::{INTENT, Master, RECORD, SIZE, content, judges_are_missing, tool, uuid, write_at};
use crate::root::text;

/// Whether a sector has reached the disk, by its number, the number of all, and its place.
type Kept = fn(usize, usize, u64) -> bool;

/// A copy of the intent.
const NOTED: &str = "noted";

fn master() -> Master {
    let master = Master::of_a_lab();
    master.make_blank("disk");
    master.plug("sda", "disk");
    master
}

fn prepare_as(master: &Master, serial: &str, cut: Option<usize>) -> Output {
    master.root.run_cut("disk-prepare", &[master.dev("sda").to_str().unwrap(), serial], cut)
}

fn prepare(master: &Master, cut: Option<usize>) -> Output {
    prepare_as(master, "SERIAL1", cut)
}

/// Whatever was there is still there, and nothing else.
fn unchanged(master: &Master, before: &[(u64, Vec<u8>)], what: &str) {
    assert!(content(&master.dev("sda")) == before, "{what}: it was written to");
}

/// One whose preparation was cut when all was decided and nothing was written; what is to be written is the second.
fn begun() -> (Master, PathBuf) {
    let master = master();
    let wanted = master.root.at("wanted");
    master.root.stand_in("partx", "exit 0");
    let script = master.root.at("usr/lib/labimg/disk-write");
    std::fs::rename(&script, script.with_extension("real")).unwrap();
    master.root.write(
        "usr/lib/labimg/disk-write",
        "#!/bin/sh\ncp --sparse=always \"$1\" \"$LABIMG_ROOT/wanted\"\nkill -9 0\n",
    );
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(prepare(&master, None).status.signal(), Some(9));
    std::fs::rename(script.with_extension("real"), &script).unwrap();
    assert!(master.root.exists(INTENT) && content(&master.dev("sda")).is_empty());
    std::fs::copy(master.root.at(INTENT), master.root.at(NOTED)).unwrap();
    master.restart();
    (master, wanted)
}

/// Table and file systems are in order, and named.
fn check(master: &Master) {
    assert!(!master.root.exists(INTENT) && master.root.exists(RECORD));
    let disk = master.dev("sda");
    let table = tool("sfdisk", &["--dump"], &disk);
    let mib = |n: u64| n * 2048;
    for (start, size, name) in [(mib(1), mib(942), "labimg-data"), (mib(943), mib(256), "labimg-k3s")] {
        let line = table.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("{table}"));
        assert!(line.contains(&format!("{start}, size=")) && line.contains(&format!(" {size}, type=")), "{line}");
    }
    tool("sfdisk", &["--verify"], &disk);
    master.pull("sda", "disk");
    master.root.stand_in("partx", "exec perl \"$LABIMG_ROOT/partx.pl\" \"$@\"");
    master.plug("sda", "disk");
    for (path, label) in [("sda1", "labimg-data"), ("sda2", "labimg-k3s")] {
        tool("e2fsck", &["-fn"], &master.dev(path));
        assert!(tool("dumpe2fs", &["-h"], &master.dev(path)).contains(label));
    }
    assert_eq!(master.root.read(RECORD).trim(), uuid(&master.dev("sda1")));
}

#[test]
fn a_blank_disk_gets_two_partitions() {
    if judges_are_missing() {
        return;
    }
    let master = master();
    let output = prepare(&master, None);
    assert!(output.status.success(), "{}", text(&output));
    check(&master);
    // Now it holds something.
    let before = content(&master.dev("sda"));
    let output = prepare(&master, None);
    assert!(!output.status.success() && text(&output).contains("it holds"), "{}", text(&output));
    unchanged(&master, &before, "a disk with content");
}

#[test]
fn power_may_fail_at_every_command() {
    if judges_are_missing() {
        return;
    }
    let counted = || {
        let master = master();
        for script in ["disk-write", "disk-scan", "disk-holds"] {
            master.root.count_script(script);
        }
        master
    };
    let whole = counted();
    assert!(prepare(&whole, None).status.success());
    let commands = whole.root.commands();
    assert!(commands > 40, "only {commands} commands");
    for cut in 1..commands {
        let master = counted();
        let output = prepare(&master, Some(cut));
        assert_eq!(output.status.signal(), Some(9), "cut at {cut}: {}", text(&output));
        let finished = content(&master.dev("sda")).first().is_some_and(|(at, _)| *at == 0);
        if master.root.exists(RECORD) {
            assert!(finished, "cut at {cut}: it is recorded before it is written");
        }
        // Cut after all was done, it is a disk like any other.
        if master.root.exists(INTENT) || !finished {
            master.restart();
            let output = prepare(&master, None);
            assert!(output.status.success(), "after a cut at {cut}: {}", text(&output));
        }
        check(&master);
    }
}

/// Whatever part of it has reached the disk, in whatever order, the rest is brought there.
#[test]
fn a_disk_that_is_written_in_part_is_finished() {
    if judges_are_missing() {
        return;
    }
    let kept: [(&str, Kept); 7] = [
        ("nothing", |_, _, _| false),
        ("the end", |i, all, _| i > all / 2),
        ("one sector", |i, all, _| i + 1 == all),
        ("all but the first sector", |i, _, _| i > 0),
        ("the beginning but for its first sector", |i, all, _| i > 0 && i < all / 3),
        ("each third sector", |i, _, _| i > 0 && i % 3 == 0),
        ("superblocks", |i, _, at| i > 0 && at < (2 << 20)),
    ];
    for (name, keep) in kept {
        let (master, wanted) = begun();
        let sectors = content(&wanted);
        for (number, (at, bytes)) in sectors.iter().enumerate() {
            if keep(number, sectors.len(), *at) {
                write_at(&master.dev("sda"), *at, bytes);
            }
        }
        let output = prepare(&master, None);
        assert!(output.status.success(), "{name}: {}", text(&output));
        unchanged(&master, &sectors, name);
        check(&master);
    }
}

/// Between the cut and the next boot something else came onto the disk: it is left alone now and ever after.
#[test]
fn a_disk_that_somebody_used_meanwhile_is_left_alone() {
    if judges_are_missing() {
        return;
    }
    for change in ["sector", "identifier", "data", "file system", "another disk"] {
        let (master, wanted) = begun();
        let disk = master.dev("sda");
        for (at, bytes) in content(&wanted).into_iter().skip(1) {
            write_at(&disk, at, &bytes);
        }
        match change {
            // One byte of what we wrote is another.
            "sector" => write_at(&disk, (1 << 20) + 1024 + 4, b"\x77"),
            "identifier" => write_at(&disk, 440, b"abcd"),
            "data" => write_at(&disk, 5 << 20, b"data"),
            "file system" => {
                tool("mkfs.vfat", &["-I"], &disk);
            }
            _ => {}
        }
        let before = content(&disk);
        let serial = if change == "another disk" { "SERIAL2" } else { "SERIAL1" };
        let output = prepare_as(&master, serial, None);
        assert_eq!(output.status.code(), Some(1), "{change}: {}", text(&output));
        assert!(text(&output).contains("it holds"), "{change}: {}", text(&output));
        unchanged(&master, &before, change);
        assert_eq!(master.root.exists(INTENT), change == "another disk", "{change}: the intent");
        assert!(!master.root.exists(RECORD));
        let output = prepare(&master, None);
        if change != "another disk" {
            assert_eq!(output.status.code(), Some(1), "{change}, again: {}", text(&output));
            unchanged(&master, &before, change);
        }
    }
}

/// It was finished and used, by whomever; only the intent stayed. Later its file system is damaged.
#[test]
fn a_finished_disk_is_never_written_to_again() {
    if judges_are_missing() {
        return;
    }
    for damage in ["none", "superblock", "first 16 MiB but the table", "unreadable rest"] {
        let (master, wanted) = begun();
        let disk = master.dev("sda");
        let sectors = content(&wanted);
        for (at, bytes) in &sectors {
            write_at(&disk, *at, bytes);
        }
        write_at(&disk, 300 << 20, b"the only copy of a thesis");
        match damage {
            "superblock" => write_at(&disk, 1 << 20, &[0; 4096]),
            "first 16 MiB but the table" => write_at(&disk, 1 << 20, &vec![0; 15 << 20]),
            "unreadable rest" => master.root.stand_in("wipefs", "exit 1"),
            _ => {}
        }
        let before = content(&disk);
        let output = prepare(&master, None);
        assert!(output.status.success(), "{damage}: {}", text(&output));
        unchanged(&master, &before, damage);
        assert!(!master.root.exists(INTENT));
        assert!(master.root.read(NOTED).contains(master.root.read(RECORD).trim()));
        if damage == "superblock" {
            // As the boot report advises.
            master.pull("sda", "disk");
            master.root.stand_in("partx", "exec perl \"$LABIMG_ROOT/partx.pl\" \"$@\"");
            master.plug("sda", "disk");
            let part = master.dev("sda1");
            let mut e2fsck = std::process::Command::new("/usr/sbin/e2fsck");
            let mended = e2fsck.args(["-y", "-b", "32768", "-B", "4096"]).arg(&part).output().unwrap();
            assert!(mended.status.code().is_some_and(|c| c <= 1), "{}", text(&mended));
            assert_eq!(uuid(&part), master.root.read(RECORD).trim());
        }
    }
}

/// A disk that wakes up answers zeros for a while.
#[test]
fn zeros_are_believed_only_the_second_time() {
    if judges_are_missing() {
        return;
    }
    for used in ["somebody's", "ours, begun", "ours, finished"] {
        let (master, wanted) = begun();
        let disk = master.dev("sda");
        let awake = master.root.at("awake");
        if used == "somebody's" {
            std::fs::remove_file(master.root.at(INTENT)).unwrap();
            master.make_ext4("awake", "photos");
            std::fs::rename(master.disk("awake"), &awake).unwrap();
        } else {
            std::fs::rename(&wanted, &awake).unwrap();
            write_at(&awake, 300 << 20, b"the only copy of a thesis");
        }
        if used == "ours, begun" {
            write_at(&awake, 0, &[0; 512]);
            write_at(&awake, 5 << 20, b"data");
        }
        let before = content(&awake);
        master.root.stand_in("sleep", &format!("[ ! -e {0} ] || exec mv {0} {1}", awake.display(), disk.display()));
        let output = prepare(&master, None);
        let status = i32::from(used != "ours, finished");
        assert_eq!(output.status.code(), Some(status), "{used}: {}", text(&output));
        assert!(!awake.exists(), "{used}: there was no pause");
        unchanged(&master, &before, used);
    }
}

/// An empty answer of the tools is not enough: all of it must have been read.
#[test]
fn what_cannot_be_read_is_not_prepared() {
    if judges_are_missing() {
        return;
    }
    for begun_before in [false, true] {
        let master = if begun_before { begun().0 } else { master() };
        // What ends before its size gives errors there.
        let size = SIZE / 2;
        std::fs::File::options().write(true).open(master.dev("sda")).unwrap().set_len(size).unwrap();
        master.root.stand_in(
            "blockdev",
            &format!("case $1 in --getsize64) echo {SIZE} ;; --getss) echo 512 ;; --getro) echo 0 ;; esac"),
        );
        // disk-holds asks for a file's size in this way.
        master.root.stand_in("stat", &format!("echo {SIZE}"));
        master.root.stand_in("wipefs", "exit 0");
        master.root.stand_in("blkid", "exit 2");
        let output = prepare(&master, None);
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains("it gives errors when it is read"), "{}", text(&output));
        assert!(content(&master.dev("sda")).is_empty());
        assert_eq!(master.root.exists(INTENT), begun_before, "it may go on when the disk can be read");
    }
}

#[test]
fn too_small_and_write_protected_disks_are_refused() {
    if judges_are_missing() {
        return;
    }
    let master = master();
    std::fs::File::options().write(true).open(master.dev("sda")).unwrap().set_len(1023 << 20).unwrap();
    let output = prepare(&master, None);
    assert!(!output.status.success() && text(&output).contains("too small: 1023 MiB"), "{}", text(&output));
    let master = self::master();
    master.root.write("dev/sda.ro", "");
    let output = prepare(&master, None);
    assert!(!output.status.success() && text(&output).contains("write-protected"), "{}", text(&output));
}

/// The writer itself looks before it writes.
#[test]
fn only_zeros_are_written_over() {
    let master = master();
    let image = master.root.at("image");
    std::fs::File::create(&image).unwrap().set_len(SIZE).unwrap();
    for at in [0, 4096, 64 << 20] {
        write_at(&image, at, &[7; 1024]);
    }
    let disk = master.dev("sda");
    let run = || master.root.run("disk-write", &[image.to_str().unwrap(), disk.to_str().unwrap(), "512"]);
    write_at(&disk, (64 << 20) + 512, b"mine");
    let before = content(&disk);
    let output = run();
    assert_eq!((output.status.code(), text(&output).contains("byte 67109376")), (Some(1), true), "{}", text(&output));
    unchanged(&master, &before, "something else");
    write_at(&disk, (64 << 20) + 512, &[0; 4]);
    write_at(&disk, 0, &[7; 100]);
    assert_eq!(run().status.code(), Some(1), "half of the first sector is not ours");
    assert_eq!(content(&disk).first().map(|(at, bytes)| (*at, bytes[100])), Some((0, 0)));
    write_at(&disk, 0, &[0; 100]);
    assert!(run().status.success());
    assert!(content(&disk) == content(&image));
    assert!(run().status.success());
}
