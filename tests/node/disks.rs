//! The master's storage step: what it says about a disk's content.

use std::process::Command;

use crate::root::{Root, text};
use labimg_testkit::disks::DISKS;

#[test]
fn only_a_blank_disk_is_blank() {
    if labimg_testkit::judges::missing(&["sfdisk", "wipefs", "blkid", "mkfs.ext4", "mkfs.ext2", "mkfs.vfat"]) {
        return;
    }
    let root = Root::new();
    assert!(DISKS.len() > 25);
    for disk in DISKS {
        let path = root.at("disk.img");
        disk.make(&path);
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        let output = root.run("disk-holds", &[path.to_str().unwrap()]);
        let says = text(&output);
        let status = output.status.code();
        assert_eq!(status, Some(i32::from(!disk.holds.is_empty())), "{}: {says}", disk.name);
        assert!(says.contains(disk.holds), "{} is said to be: {says}", disk.name);
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before, "{} was written to", disk.name);
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn small_disks_are_read_as_a_whole() {
    if labimg_testkit::judges::missing(&["sfdisk", "wipefs", "blkid", "mkfs.ext4", "mkfs.ext2", "mkfs.vfat"]) {
        return;
    }
    let root = Root::new();
    let path = root.at("disk.img");
    std::fs::File::create(&path).unwrap().set_len(255 << 20).unwrap();
    assert!(root.run("disk-holds", &[path.to_str().unwrap()]).status.success());
    let mut bytes = std::fs::File::options().write(true).open(&path).unwrap();
    std::io::Seek::seek(&mut bytes, std::io::SeekFrom::Start(123_456_789)).unwrap();
    std::io::Write::write_all(&mut bytes, b"\x01").unwrap();
    assert_eq!(root.run("disk-holds", &[path.to_str().unwrap()]).status.code(), Some(1));
}

#[test]
fn what_cannot_be_read_is_not_blank() {
    if labimg_testkit::judges::missing(&["sfdisk", "wipefs", "blkid", "mkfs.ext4", "mkfs.ext2", "mkfs.vfat"]) {
        return;
    }
    let root = Root::new();
    root.write("short", [0; 4096]);
    let scan = |size: &str| {
        let scan = root.at("usr/lib/labimg/disk-scan");
        let output = Command::new(scan).arg(root.at("short")).arg(size).output().unwrap();
        (output.status.code(), text(&output))
    };
    assert_eq!(scan("4096"), (Some(0), String::new()));
    assert_eq!(scan("8192"), (Some(2), "4096 bytes from byte 4096\n".to_owned()));
    // No tool's word alone makes it blank.
    root.stand_in("wipefs", "exit 0");
    root.stand_in("blkid", "exit 2");
    root.stand_in("stat", "echo 8192");
    let holds = || {
        let output = root.run("disk-holds", &[root.at("short").to_str().unwrap()]);
        (output.status.code(), text(&output))
    };
    assert_eq!(holds(), (Some(2), "gives errors when it is read (4096 bytes from byte 4096)\n".to_owned()));
    root.stand_in("wipefs", "exit 1");
    assert_eq!(holds().0, Some(2));
    root.stand_in("wipefs", "exit 0");
    root.stand_in("blkid", "exit 4");
    assert_eq!(holds().0, Some(2));
}

/// The two passes before a disk is prepared look at different places: together at one in each 58 MiB of 1 TB. A tenth of it
/// here, in the same proportions.
#[test]
fn a_run_of_data_is_found_wherever_it_lies() {
    let root = Root::new();
    let size: u64 = 100_000_000_000;
    let path = root.at("disk.img");
    let seed = labimg_testkit::random::seed();
    let mut random = labimg_testkit::random::Random::new(seed);
    let found = |phase: u64| {
        let mut scan = Command::new(root.at("usr/lib/labimg/disk-scan"));
        let output = scan.args(["--phase", &phase.to_string()]).arg(&path).arg(size.to_string()).output().unwrap();
        output.status.code() == Some(1)
    };
    let mut seen = [0, 0];
    for round in 0..12 {
        for (index, length) in [(5_u64 << 20), 6 << 20].into_iter().enumerate() {
            let file = std::fs::File::create(&path).unwrap();
            file.set_len(size).unwrap();
            let at = random.below((size - length) / 4096) * 4096;
            // Wherever it is looked at.
            for step in (0..length).step_by(16 << 10) {
                std::os::unix::fs::FileExt::write_all_at(&file, &[1], at + step).unwrap();
            }
            let phase = random.below(65536);
            let both = found(phase) || found((phase + 32768) % 65536);
            let what = format!("LABIMG_TEST_SEED={seed}, round {round}: phase {phase}, {length} bytes from byte {at}");
            assert!(index == 0 || both, "{what} are not seen");
            seen[index] += usize::from(both);
        }
    }
    // 86 of 100: fewer than 5 of 12 have a probability below one in ten thousand.
    assert!(seen[0] >= 5, "LABIMG_TEST_SEED={seed}: only {} of 12", seen[0]);
}
