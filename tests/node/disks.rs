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
    let zeros = |range: &str| {
        let output = Command::new(root.at("usr/lib/labimg/zeros")).arg(root.at("short")).arg(range).output().unwrap();
        (output.status.code(), text(&output))
    };
    assert_eq!(zeros("0:4096"), (Some(0), String::new()));
    assert_eq!(zeros("0:8192"), (Some(2), "4096 bytes from byte 4096\n".to_owned()));
    root.stand_in("wipefs", "exit 1");
    let output = root.run("disk-holds", &[root.at("short").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
}
