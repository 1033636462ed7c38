use super::*;
use crate::read::{Volume, open_partition};
use labimg_tree::fault::{Fault, FaultKind, causes};
use labimg_tree::{Inode, TreePath};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::Command;

const MIB: u64 = 1 << 20;

fn boot_tree() -> Tree {
    let mut tree = Tree::new(1_760_000_000);
    tree.write("config.txt", 0o644, "arm_64bit=1\nkernel=vmlinuz\n").unwrap();
    // Zeros inside, at the beginning and at the end.
    let mut kernel = vec![0; 5_000_000];
    kernel[100_000..2_000_000].fill(0x5a);
    kernel[3_000_000..4_000_000].fill(0x5a);
    tree.write("vmlinuz", 0o644, kernel).unwrap();
    tree.write("zeros", 0o644, vec![0; 100_000]).unwrap();
    tree
}

/// Files of each kind that a writer treats differently.
fn root_tree() -> Tree {
    let mut tree = Tree::new(1_760_000_000);
    tree.write("usr/lib/os-release", 0o644, "NAME=Debian\n").unwrap();
    tree.symlink("etc/os-release", "../usr/lib/os-release").unwrap();
    tree.write("usr/bin/su", 0o4755, "elf").unwrap();
    tree.write("usr/bin/ping", 0o755, "elf").unwrap();
    tree.get_mut("usr/bin/ping").unwrap().xattrs =
        BTreeMap::from([("security.capability".to_owned(), b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec())]);
    tree.write("usr/lib/large", 0o644, "x".repeat(2_000_000)).unwrap();
    let device = Inode { kind: Kind::Char(5, 1), mode: 0o600, ..tree.get("").unwrap().clone() };
    tree.mkdir("dev", 0o755).unwrap();
    tree.insert(&TreePath::new("dev/console").unwrap(), device).unwrap();
    tree
}

fn spec<'a>(table: PartitionTable, boot: &'a Tree, root: &'a Tree) -> ImageSpec<'a> {
    let partition = |name: &str, size, guid, files| PartitionSpec {
        name: name.to_owned(),
        size,
        guid: Uuid::from_u128(guid),
        files,
    };
    let options =
        Ext4Options { label: "root".to_owned(), ..Ext4Options::new(0, [0x11; 16], [0x22; 16], 1_760_000_000) };
    ImageSpec {
        table,
        first: 0,
        partitions: vec![
            partition(
                "boot",
                64 * MIB,
                1,
                FileSystem::Fat { tree: boot, label: "BOOT".to_owned(), volume_id: 0x00c0_ffee },
            ),
            partition("root", 128 * MIB, 2, FileSystem::Ext4 { tree: root, options }),
        ],
        private: false,
    }
}

const TABLES: [PartitionTable; 2] =
    [PartitionTable::Mbr { signature: 0x1ab1_ab1a }, PartitionTable::Gpt { disk_guid: Uuid::from_u128(7) }];

/// Runs a tool that must succeed on a file.
fn judge(program: &str, args: &[&str], file: &Path) {
    let output = Command::new(program).args(args).arg(file).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|e| panic!("{program} (install dosfstools, e2fsprogs and fdisk): {e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {said}");
}

#[test]
fn a_whole_image_is_accepted_and_reads_back() {
    if labimg_testkit::judges::missing(&["sfdisk", "fsck.vfat", "e2fsck"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (boot, root) = (boot_tree(), root_tree());
    for table in TABLES {
        let path = dir.path().join("node.img");
        let summary = write(&spec(table, &boot, &root), &path, &labimg_tree::progress::Silent).unwrap();
        assert!(summary.occupied < 48 * MIB, "{} bytes on the disk", summary.occupied);
        judge("sfdisk", &["--verify"], &path);
        let all = std::fs::read(&path).unwrap();
        assert_eq!(all.len() as u64, summary.layout.size);
        for (place, judge_of, args) in [(0, "fsck.vfat", &["-n"][..]), (1, "e2fsck", &["-fn"])] {
            let part = &summary.layout.partitions[place];
            let file = dir.path().join("partition");
            std::fs::write(&file, &all[part.start as usize..(part.start + part.len) as usize]).unwrap();
            judge(judge_of, args, &file);
        }
        let fat = open_partition(&path, 1).unwrap();
        assert_eq!(fat.read_file("config.txt").unwrap(), b"arm_64bit=1\nkernel=vmlinuz\n");
        assert_eq!(fat.names("").unwrap(), ["config.txt", "vmlinuz", "zeros"]);
        let ext4 = open_partition(&path, 2).unwrap();
        assert_eq!(ext4.read_file("/usr/lib/large").unwrap().len(), 2_000_000);
        let Volume::Ext4(volume) = &ext4 else { panic!("{ext4:?}") };
        assert_eq!(volume.stat("/usr/bin/su", true).unwrap().mode, 0o4755);
        assert!(open_partition(&path, 3).is_err());

        // On a card full of other bytes, without the image's holes.
        let card = dir.path().join("card");
        let on_card = File::options().read(true).write(true).create(true).truncate(true).open(&card).unwrap();
        let copied = labimg_testkit::used_card::over_noise(&File::open(&path).unwrap(), &on_card);
        assert_eq!(copied, summary.occupied);
        judge("sfdisk", &["--verify"], &card);
        for (place, tree) in [(0, &boot), (1, &root)] {
            let part = &summary.layout.partitions[place];
            let file = dir.path().join("partition");
            let mut bytes = vec![0; part.len as usize];
            on_card.read_exact_at(&mut bytes, part.start).unwrap();
            std::fs::write(&file, &bytes).unwrap();
            let (judge_of, args) = [("fsck.vfat", &["-n"][..]), ("e2fsck", &["-fn"])][place];
            judge(judge_of, args, &file);
            let volume = open_partition(&card, place + 1).unwrap();
            for (path, _, inode) in tree.iter() {
                if let Kind::File(content) = &inode.kind {
                    assert!(volume.read_file(&path.to_string()).unwrap() == content.to_vec().unwrap(), "{path}");
                }
            }
        }

        let again = dir.path().join("again.img");
        write(&spec(table, &boot, &root), &again, &labimg_tree::progress::Silent).unwrap();
        assert!(std::fs::read(&again).unwrap() == all, "the same spec gives the same bytes");
    }
}

#[test]
fn a_failed_image_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.img");
    let (mut boot, root) = (boot_tree(), root_tree());
    boot.symlink("link", "config.txt").unwrap();
    let error = write(&spec(TABLES[0], &boot, &root), &path, &labimg_tree::progress::Silent).unwrap_err().to_string();
    assert!(error.contains("/link"), "{error}");
    let boot = boot_tree();
    let mut small = spec(TABLES[0], &boot, &root);
    small.partitions[1].size = MIB;
    let error = write(&small, &path, &labimg_tree::progress::Silent).unwrap_err();
    assert!(error.to_string().contains("partition `root`"), "{error}");
    assert!(causes(&error)[0].contains("bytes are given"), "{error:?}");
    assert_eq!(error.help().as_deref(), Some("make the image larger"));
    assert_eq!(error.kind(), FaultKind::World);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}
