//! A master whose USB disks are files: what they hold is real, what the kernel says of them is written into a folder.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::root::{Root, text};

/// A disk that is large enough, and little more.
pub const SIZE: u64 = 1200 << 20;
pub const INTENT: &str = "var/lib/labimg/storage-intent";
pub const RECORD: &str = "var/lib/labimg/storage-disk";
/// The lab's own.
pub const UUID: &str = "6f2f8a4c-5d7e-4c59-9a0e-0f5a3f1b2c3d";

/// What the tests of the storage step need on this computer.
pub fn judges_are_missing() -> bool {
    labimg_testkit::judges::missing(&[
        "sfdisk",
        "wipefs",
        "blkid",
        "mkfs.ext4",
        "e2fsck",
        "dumpe2fs",
        "tune2fs",
        "debugfs",
        "mkfs.vfat",
    ])
}

pub struct Master {
    pub root: Root,
}

impl Master {
    /// One whose seed says so.
    pub fn new(conf: &str) -> Self {
        let root = Root::new();
        root.write("etc/labimg/storage.conf", conf);
        root.write("partx.pl", include_str!("partx.pl"));
        for folder in ["sys/block", "sys/class/block", "disks", "dev"] {
            std::fs::create_dir_all(root.at(folder)).unwrap();
        }
        root.write("proc/uptime", "100.00 50.00\n");
        for (name, script) in [
            (
                "blockdev",
                "case $1 in --getsize64) exec /usr/bin/stat -c %s \"$2\" ;; --getss) echo 512 ;; \
                 --getro) [ -w \"$2\" ] && [ ! -e \"$2.ro\" ] && echo 0 || echo 1 ;; esac",
            ),
            ("partx", "exec perl \"$LABIMG_ROOT/partx.pl\" \"$@\""),
            ("udevadm", "exit 0"),
            ("lsblk", "exit 0"),
            ("findmnt", "echo /dev/mmcblk0p2"),
            // A mount changes the superblock.
            (
                "mount",
                "for word; do from=$to to=$word; done\n/usr/sbin/tune2fs -C 1 \"$from\" > /dev/null || exit 1\n\
                 echo \"$from ${to#\"$LABIMG_ROOT\"} ext4 rw 0 0\" >> \"$LABIMG_ROOT/proc/mounts\"",
            ),
        ] {
            root.stand_in(name, script);
        }
        let master = Self { root };
        master.restart();
        master
    }

    /// One that a lab made.
    pub fn of_a_lab() -> Self {
        Self::new(&format!("DISK='only'\nLABEL='labimg-data'\nUUID='{UUID}'\nNETWORKS=''\nK3S_DB=no\n"))
    }

    /// What the memory held is gone.
    pub fn restart(&self) {
        self.root.write("proc/mounts", "");
        self.root.write("proc/self/mountinfo", "");
        let _ = std::fs::remove_dir_all(self.root.at("run/labimg"));
        std::fs::create_dir_all(self.root.at("run/labimg")).unwrap();
        let _ = std::fs::remove_file(self.root.at("calls"));
    }

    /// The card is flashed anew.
    pub fn flash(&self) {
        std::fs::remove_dir_all(self.root.at("var/lib/labimg")).unwrap();
        std::fs::create_dir_all(self.root.at("var/lib/labimg")).unwrap();
        self.restart();
    }

    /// A disk that lies beside the master.
    pub fn disk(&self, name: &str) -> PathBuf {
        self.root.at(&format!("disks/{name}"))
    }

    pub fn make_blank(&self, name: &str) {
        File::create(self.disk(name)).unwrap().set_len(SIZE).unwrap();
    }

    /// One with an ext4 file system and no table.
    pub fn make_ext4(&self, name: &str, label: &str) {
        self.make_blank(name);
        tool("mkfs.ext4", &["-q", "-F", "-L", label], &self.disk(name));
    }

    /// Plugs a disk in as `/dev/PORT`; its name is its serial number.
    pub fn plug(&self, port: &str, name: &str) {
        let sys = self.root.at(&format!("sys/devices/usb1/{port}/block/{port}"));
        std::fs::create_dir_all(sys.join("device")).unwrap();
        std::fs::write(sys.join("size"), format!("{}\n", SIZE / 512)).unwrap();
        std::fs::write(sys.join("device/model"), "Test disk\n").unwrap();
        let bridge = self.root.at(&format!("sys/devices/usb1/{port}"));
        std::fs::write(bridge.join("idVendor"), "1234\n").unwrap();
        std::fs::write(bridge.join("serial"), format!("{name}\n")).unwrap();
        for link in ["sys/block", "sys/class/block"] {
            std::os::unix::fs::symlink(&sys, self.root.at(link).join(port)).unwrap();
        }
        std::fs::rename(self.disk(name), self.dev(port)).unwrap();
        self.partx("--update", port);
    }

    /// Takes it out again, with what was written to its partitions.
    pub fn pull(&self, port: &str, name: &str) {
        self.partx("--delete", port);
        std::fs::rename(self.dev(port), self.disk(name)).unwrap();
        for link in ["sys/block", "sys/class/block"] {
            std::fs::remove_file(self.root.at(link).join(port)).unwrap();
        }
        std::fs::remove_dir_all(self.root.at(&format!("sys/devices/usb1/{port}"))).unwrap();
    }

    fn partx(&self, what: &str, port: &str) {
        let mut perl = Command::new("perl");
        perl.arg(self.root.at("partx.pl")).arg(what).arg(self.dev(port)).env("LABIMG_ROOT", self.root.path());
        let output = perl.output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
    }

    pub fn dev(&self, name: &str) -> PathBuf {
        self.root.at(&format!("dev/{name}"))
    }

    /// Runs the storage step.
    pub fn run(&self) -> String {
        let output = self.run_cut(None);
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    }

    pub fn run_cut(&self, cut: Option<usize>) -> Output {
        self.root.run_cut("storage", &[], cut)
    }

    /// Does what a line of the report's advice says, each command to its end, and gives what was said meanwhile. `line` is
    /// how it begins. Devices of the master are files here, and its paths are in a folder.
    pub fn follow(&self, said: &str, line: &str) -> String {
        let advice = said.lines().find_map(|l| l.trim_start().strip_prefix(line));
        let advice = advice.unwrap_or_else(|| panic!("`{line}` is not in: {said}"));
        let mut output = String::new();
        let commands =
            advice.split("; ").map(|command| command.split_once("sudo ").unwrap_or_else(|| panic!("{command}")).1);
        for command in commands {
            let words: Vec<String> = command.split(' ').map(|word| self.here(word)).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let done = match words.as_slice() {
                ["systemctl", "start", "labimg-storage", ..] => self.run_cut(None),
                // It would ask a person.
                [script, disk] if script.ends_with("/disk-erase") => {
                    let disk = disk.strip_prefix(self.root.path().to_str().unwrap()).unwrap();
                    self.root.run_cut("disk-erase", &["--yes", disk], None)
                }
                ["e2fsck", rest @ ..] => Command::new("/usr/sbin/e2fsck").arg("-y").args(rest).output().unwrap(),
                [tool @ ("e2label" | "tune2fs"), rest @ ..] => {
                    Command::new(Path::new("/usr/sbin").join(tool)).args(rest).output().unwrap()
                }
                ["rm", path] => Command::new("rm").arg(path).output().unwrap(),
                other => panic!("no way to do {other:?}"),
            };
            // e2fsck's 1: errors were corrected.
            let is_done = done.status.success() || words[0] == "e2fsck" && done.status.code() == Some(1);
            assert!(is_done, "{command}: {}", text(&done));
            output += &text(&done);
        }
        output
    }

    /// A word of a command, with the paths of the master in its folder.
    fn here(&self, word: &str) -> String {
        match word {
            path if path.starts_with(self.root.path().to_str().unwrap()) => path.to_owned(),
            path if path.starts_with('/') => self.root.at(&path[1..]).display().to_string(),
            other => other.to_owned(),
        }
    }

    /// The device at `/srv/labimg`, without its folder.
    pub fn mounted(&self) -> Option<String> {
        let mounts = self.root.read("proc/mounts");
        let line = mounts.lines().find(|l| l.contains(" /srv/labimg "))?;
        Some(line.split(' ').next()?.rsplit('/').next()?.to_owned())
    }
}

/// UUID of a file system.
pub fn uuid(path: &Path) -> String {
    tool("blkid", &["--probe", "--output", "value", "--match-tag", "UUID"], path).trim().to_owned()
}

pub fn tool(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(Path::new("/usr/sbin").join(program)).args(arguments).arg(path).output().unwrap();
    assert!(output.status.success(), "{program}: {}", text(&output));
    text(&output)
}

pub fn write_at(path: &Path, offset: u64, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

/// All sectors that are not zero, with their places.
pub fn content(path: &Path) -> Vec<(u64, Vec<u8>)> {
    use rustix::fs::{SeekFrom, seek};
    let file = File::open(path).unwrap();
    let mut sectors = Vec::new();
    let mut at = 0;
    while let Ok(begin) = seek(&file, SeekFrom::Data(at)) {
        at = seek(&file, SeekFrom::Hole(begin)).unwrap();
        let mut bytes = vec![0; usize::try_from(at - begin).unwrap()];
        file.read_exact_at(&mut bytes, begin).unwrap();
        let places = (begin..).step_by(512);
        sectors.extend(places.zip(bytes.chunks(512).map(<[u8]>::to_vec)).filter(|(_, s)| s.iter().any(|b| *b != 0)));
    }
    sectors
}
