//! `disk-prepare`: the partition table and file systems that it creates. After a power cut the next run finishes the
//! disk, and no other disk is ever touched.
//!
//! The disk and its partitions are plain files here; QEMU tests show that the kernel sees the partitions.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::root::{Root, text};

const SIZE: u64 = 1200 << 20;
const INTENT: &str = "var/lib/labimg/storage-intent";

fn node() -> Root {
    let root = Root::new();
    let image = |path: &str, size: u64| {
        root.write(path, "");
        std::fs::File::options().write(true).open(root.at(path)).unwrap().set_len(size).unwrap();
    };
    image("dev/disk", SIZE);
    image("dev/disk1", 942 << 20);
    image("dev/disk2", 256 << 20);
    for number in ["1", "2"] {
        root.write(&format!("sys/class/block/disk/disk{number}/partition"), number);
    }
    root.stand_in(
        "blockdev",
        "case $1 in --getsize64) exec /usr/bin/stat -c %s \"$2\" ;; --getss) echo 512 ;; --getro) echo 0 ;; esac",
    );
    root
}

fn prepare(root: &Root, cut: Option<usize>) -> Output {
    root.run_cut("disk-prepare", &[root.at("dev/disk").to_str().unwrap(), "SERIAL1"], cut)
}

/// When the disk and its partitions were written to.
fn written(root: &Root) -> Vec<std::time::SystemTime> {
    ["disk", "disk1", "disk2"].map(|n| root.at(&format!("dev/{n}")).metadata().unwrap().modified().unwrap()).to_vec()
}

fn tool(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(Path::new("/usr/sbin").join(program)).args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{program}: {}", text(&output));
    text(&output)
}

fn check(root: &Root) {
    let table = tool("sfdisk", &["--dump"], &root.at("dev/disk"));
    let mib = |n: u64| n * 2048;
    for (start, size, name) in [(mib(1), mib(942), "labimg-data"), (mib(943), mib(256), "labimg-k3s")] {
        let line = table.lines().find(|l| l.contains(name)).unwrap_or_else(|| panic!("{table}"));
        assert!(line.contains(&format!("{start}, size=")) && line.contains(&format!(" {size}, type=")), "{line}");
    }
    tool("sfdisk", &["--verify"], &root.at("dev/disk"));
    for (path, label) in [("dev/disk1", "labimg-data"), ("dev/disk2", "labimg-k3s")] {
        tool("e2fsck", &["-fn"], &root.at(path));
        assert!(tool("dumpe2fs", &["-h"], &root.at(path)).contains(label));
    }
    assert!(!root.exists(INTENT));
}

#[test]
fn a_blank_disk_gets_two_partitions() {
    if labimg_testkit::judges::missing(&["sfdisk", "wipefs", "blkid", "mkfs.ext4", "e2fsck", "dumpe2fs", "mkfs.vfat"]) {
        return;
    }
    let root = node();
    let output = prepare(&root, None);
    assert!(output.status.success(), "{}", text(&output));
    check(&root);
    // Now it holds something.
    let before = written(&root);
    let output = prepare(&root, None);
    assert!(!output.status.success() && text(&output).contains("it holds"), "{}", text(&output));
    assert_eq!(written(&root), before, "a disk with content was written to");
}

#[test]
fn power_may_fail_at_every_command() {
    if labimg_testkit::judges::missing(&["sfdisk", "wipefs", "blkid", "mkfs.ext4", "e2fsck", "dumpe2fs", "mkfs.vfat"]) {
        return;
    }
    let whole = node();
    assert!(prepare(&whole, None).status.success());
    let commands = whole.commands();
    assert!(commands > 20, "only {commands} commands");
    // Every second command: neighbouring ones differ little.
    for cut in (1..commands).step_by(2) {
        let root = node();
        let output = prepare(&root, Some(cut));
        assert_eq!(output.status.signal(), Some(9), "cut at {cut}: {}", text(&output));
        // If it is cut after everything was done, it is a normal disk with the label.
        let done = !root.exists(INTENT) && tool("sfdisk", &["--list"], &root.at("dev/disk")).contains("Disklabel");
        if !done {
            let output = prepare(&root, None);
            assert!(output.status.success(), "after a cut at {cut}: {}", text(&output));
        }
        check(&root);
    }
}

/// Writes to the disk that stop in the middle are completed.
#[test]
fn a_half_written_table_is_finished() {
    if labimg_testkit::judges::missing(&["sfdisk", "wipefs", "blkid", "mkfs.ext4", "e2fsck", "dumpe2fs", "mkfs.vfat"]) {
        return;
    }
    for (bytes, which) in [(100, 1), (8704, 1), (512, 2), (1024, 2), (9000, 2)] {
        let root = node();
        root.stand_in(
            "dd",
            &format!(
                "printf x >> \"$LABIMG_ROOT/writes\"\n[ \"$(/usr/bin/stat -c %s \"$LABIMG_ROOT/writes\")\" = {which} ] || exec /bin/dd \"$@\"\n\
                 for word; do case $word in if=*) from=${{word#if=}} ;; of=*) to=${{word#of=}} ;; skip=*) at=$((${{word#skip=}} * 512)) ;; esac; done\n\
                 /bin/dd if=\"$from\" of=\"$to\" bs=4096 iflag=skip_bytes,count_bytes oflag=seek_bytes skip=${{at:-0}} seek=${{at:-0}} \
                 count={bytes} conv=notrunc 2>/dev/null\nkill -9 0"
            ),
        );
        assert_eq!(prepare(&root, None).status.signal(), Some(9));
        root.stand_in("dd", "exec /bin/dd \"$@\"");
        // A sector is written completely or not at all: if the cut was inside one, it has the old content.
        let whole = bytes / 512 * 512;
        let at = if which == 1 { SIZE - 512 - 16384 } else { 0 };
        let disk = std::fs::File::options().write(true).open(root.at("dev/disk")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&disk, &vec![0; (bytes - whole) as usize], at + whole).unwrap();
        let output = prepare(&root, None);
        assert!(output.status.success(), "{bytes} bytes of write {which}: {}", text(&output));
        check(&root);
    }
}

/// The disk was used elsewhere between the cut and the next boot.
#[test]
fn a_disk_that_somebody_used_meanwhile_is_left_alone() {
    if labimg_testkit::judges::missing(&["sfdisk", "wipefs", "blkid", "mkfs.ext4", "e2fsck", "dumpe2fs", "mkfs.vfat"]) {
        return;
    }
    for change in ["table", "data", "file system", "another disk"] {
        let root = node();
        // After the table, before the file systems.
        let partx = "kill -9 0";
        root.stand_in("partx", partx);
        assert_eq!(prepare(&root, None).status.signal(), Some(9));
        root.stand_in("partx", "exit 0");
        assert!(root.exists(INTENT));
        let disk = root.at("dev/disk");
        let write = |offset: u64, bytes: &[u8]| {
            let file = std::fs::File::options().write(true).open(&disk).unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, bytes, offset).unwrap();
        };
        match change {
            // Another disk identifier in the first sector.
            "table" => write(440, b"abcd"),
            // The table is partly gone, and there is data.
            "data" => {
                write(512, &[0; 512]);
                write(5 << 20, b"data");
            }
            "file system" => {
                tool("mkfs.vfat", &[], &root.at("dev/disk1"));
            }
            _ => write(8 << 20, b"data"),
        }
        let before = written(&root);
        let serial = if change == "another disk" { "SERIAL2" } else { "SERIAL1" };
        let output = root.run("disk-prepare", &[disk.to_str().unwrap(), serial]);
        assert!(!output.status.success(), "{change}: {}", text(&output));
        assert_eq!(written(&root), before, "{change}: it was written to");
    }
}

#[test]
fn too_small_and_write_protected_disks_are_refused() {
    if labimg_testkit::judges::missing(&["sfdisk", "wipefs", "blkid", "mkfs.ext4", "e2fsck", "dumpe2fs", "mkfs.vfat"]) {
        return;
    }
    let root = node();
    std::fs::File::options().write(true).open(root.at("dev/disk")).unwrap().set_len(1023 << 20).unwrap();
    let output = prepare(&root, None);
    assert!(!output.status.success() && text(&output).contains("too small: 1023 MiB"), "{}", text(&output));
    let root = node();
    root.stand_in(
        "blockdev",
        "case $1 in --getsize64) exec /usr/bin/stat -c %s \"$2\" ;; --getss) echo 512 ;; --getro) echo 1 ;; esac",
    );
    let output = prepare(&root, None);
    assert!(!output.status.success() && text(&output).contains("write-protected"), "{}", text(&output));
}
