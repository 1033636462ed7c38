//! Damaged and hostile images: whatever is in them, the commands that read images end in time, with bounded memory, and
//! with a message. Small images of all kinds are made by the tools of Linux, then some of their bytes are changed.
//! `scripts/test --long` tries many more.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use labimg_testkit::command::succeed;
use labimg_testkit::judges;
use labimg_testkit::random::{Random, long, seed};

const MIB: u64 = 1 << 20;
/// Where the second partition of each image begins.
const ROOT: u64 = 9 * MIB;
const SIZE: u64 = 26 * MIB;

/// A name, the partition table, the arguments for `mkfs.vfat`, and those for `mke2fs`.
const IMAGES: [(&str, &str, &[&str], &[&str]); 10] = [
    ("ext4", GPT, &["-F", "16", "-s", "1"], &["-t", "ext4"]),
    ("ext4-fat32", MBR, &["-F", "32", "-s", "1"], &["-t", "ext4", "-O", "^has_journal"]),
    ("ext3", LOGICAL, &["-F", "12", "-s", "8"], &["-t", "ext3"]),
    ("ext2", MBR, &["-F", "16", "-s", "1"], &["-t", "ext2"]),
    ("ext2-1k", MBR, &["-F", "16", "-s", "1"], &["-t", "ext2", "-b", "1024", "-O", "none"]),
    ("inline", GPT, &["-F", "16", "-s", "1"], &["-t", "ext4", "-O", "inline_data", "-I", "256"]),
    ("bigalloc", GPT, &["-F", "16", "-s", "1"], &["-t", "ext4", "-O", "bigalloc", "-C", "16384"]),
    ("meta-bg", GPT, &["-F", "16", "-s", "1"], &["-t", "ext4", "-O", "meta_bg,^resize_inode,64bit"]),
    ("casefold", GPT, &["-F", "16", "-s", "1"], &["-t", "ext4", "-O", "casefold,encrypt"]),
    ("ea-inode", GPT, &["-F", "16", "-s", "1"], &["-t", "ext4", "-O", "ea_inode,^metadata_csum"]),
];
const GPT: &str = "label: gpt\nstart=1MiB, size=7MiB\nstart=9MiB, size=16MiB\n";
const MBR: &str = "label: dos\nstart=1MiB, size=7MiB, type=c\nstart=9MiB, size=16MiB, type=83\n";
const LOGICAL: &str =
    "label: dos\nstart=1MiB, size=7MiB, type=c\nstart=8MiB, type=5\nstart=9MiB, size=16MiB, type=83\n";

/// Most memory of a run in KiB, seconds of processor time, and KiB that it may write.
const LIMITS: (u64, u64, u64) = (4 << 20, 20, 1 << 20);

fn make(dir: &Path, (name, table, fat, ext): (&str, &str, &[&str], &[&str])) -> PathBuf {
    let image = dir.join(name);
    File::create(&image).unwrap().set_len(SIZE).unwrap();
    let script = dir.join("table");
    std::fs::write(&script, table).unwrap();
    succeed(Command::new("/usr/sbin/sfdisk").arg("--quiet").arg(&image).stdin(File::open(&script).unwrap()));
    let offset = (MIB / 512).to_string();
    let vfat = ["--offset", &offset];
    succeed(Command::new("/usr/sbin/mkfs.vfat").args(fat).args(vfat).arg(&image).arg("7168"));
    let offset = format!("offset={ROOT}");
    let mke2fs = ["-q", "-F", "-E", &offset, "-d"];
    succeed(Command::new("/usr/sbin/mke2fs").args(mke2fs).arg(dir.join("tree")).args(ext).arg(&image).arg("16M"));
    image
}

/// Files and folders of many forms.
fn tree(dir: &Path) {
    let at = |name: &str| dir.join("tree").join(name);
    std::fs::create_dir_all(at("etc/deep/er")).unwrap();
    std::fs::create_dir_all(at("usr/lib")).unwrap();
    for number in 0..200 {
        std::fs::write(at(&format!("usr/lib/file-with-a-long-name-{number}")), vec![b'x'; number * 40]).unwrap();
    }
    std::fs::write(at("large"), "0123456789abcdef".repeat(20_000)).unwrap();
    File::create(at("sparse")).unwrap().write_all_at(b"end", 5 << 20).unwrap();
    std::fs::write(at("etc/os-release"), "ID=debian\n").unwrap();
    std::fs::write(at("etc/fstab"), "LABEL=x /boot/firmware vfat defaults 0 2\n").unwrap();
    std::os::unix::fs::symlink("etc/os-release", at("link")).unwrap();
    std::os::unix::fs::symlink("x".repeat(120), at("long-link")).unwrap();
    std::fs::hard_link(at("large"), at("same")).unwrap();
}

/// Changes some places, most of them where the structures of the file systems are: where, how many bytes, and the first of
/// them.
fn damage(image: &Path, random: &mut Random) -> Vec<(u64, usize, Vec<u8>)> {
    let file = File::options().read(true).write(true).open(image).unwrap();
    let mut changed = Vec::new();
    for _ in 0..=random.below(6) {
        let at = match random.below(8) {
            // The tables, and the copy at the end.
            0 => random.below(34 * 512),
            1 => SIZE - 1 - random.below(34 * 512),
            // FAT's parameters, tables and root folder.
            2 => MIB + random.below(512),
            3 => MIB + random.below(256 << 10),
            // Superblock, groups, inodes, folders.
            4 => ROOT + 1024 + random.below(1024),
            5 | 6 => ROOT + random.below(MIB),
            _ => random.below(SIZE),
        };
        let bytes = match random.below(5) {
            0 => vec![random.below(256) as u8],
            1 => vec![0; 4],
            2 => vec![0xff; 4],
            3 => (random.below(1 << 32) as u32).to_le_bytes().to_vec(),
            // A block in another's place.
            _ => {
                let mut block = vec![0; 1024];
                file.read_exact_at(&mut block, ROOT + random.below(MIB)).unwrap();
                block
            }
        };
        let at = at.min(SIZE - bytes.len() as u64);
        file.write_all_at(&bytes, at).unwrap();
        changed.push((at, bytes.len(), bytes[..bytes.len().min(8)].to_vec()));
    }
    changed
}

/// Runs a command with the limits; what is wrong with how it ended.
fn run(dir: &Path, args: &[&str]) -> Result<(), String> {
    let (memory, seconds, written) = LIMITS;
    let limits = format!("ulimit -v {memory}; ulimit -t {seconds}; ulimit -f {}; exec \"$@\"", written * 2);
    let mut command = Command::new("timeout");
    let program = std::env::var_os("LABIMG_TEST_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_labimg").into());
    command.args(["60", "sh", "-c", &limits, "sh"]).arg(program).args(args);
    let output = command.current_dir(dir).env("LABIMG_CACHE", dir.join("cache")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0..=2) if !said.contains("panicked") => Ok(()),
        _ => Err(format!("{args:?}: {}\n{said}", output.status)),
    }
}

#[test]
fn no_image_makes_a_command_fail_without_a_word() {
    if judges::missing(&["sfdisk", "mkfs.vfat", "mke2fs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    tree(dir);
    let seed = seed();
    let mut random = Random::new(seed);
    let rounds = if long() { 300 } else { 8 };
    for kind in IMAGES {
        let good = make(dir, kind);
        let name = kind.0;
        run(dir, &["inspect", "--json", name]).unwrap();
        for round in 0..rounds {
            std::fs::copy(&good, dir.join("damaged")).unwrap();
            let changed = damage(&dir.join("damaged"), &mut random);
            for args in [
                &["inspect", "--json", "damaged"][..],
                &["export", "damaged", "--tar", "out.tar", "--quiet"],
                &["diff", name, "damaged", "--json"],
            ] {
                let ended = run(dir, args);
                assert!(ended.is_ok(), "{name}, LABIMG_TEST_SEED={seed}, round {round}, {changed:?}: {ended:?}");
                let _ = std::fs::remove_file(dir.join("out.tar"));
            }
        }
    }
}
