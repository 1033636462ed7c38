use super::*;
use crate::record::{FORMAT, ImageRecord, NODE_PATH, RecordPackage, layers};
use labimg_disk::write::ext4::Ext4Options;
use labimg_disk::write::table::PartitionTable;
use labimg_disk::write::{FileSystem, ImageSpec, PartitionSpec, write};
use labimg_tree::{Inode, Kind, Tree, TreePath};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use uuid::Uuid;

const MIB: u64 = 1 << 20;

fn boot_tree() -> Tree {
    let mut tree = Tree::new(1_760_000_000);
    tree.write("config.txt", 0o644, "arm_64bit=1\nkernel=vmlinuz\n").unwrap();
    tree.write("vmlinuz", 0o644, vec![0x5a; 5_000_000]).unwrap();
    tree
}

/// A small Debian-like system with everything that a report shows.
fn root_tree() -> Tree {
    let mut tree = Tree::new(1_760_000_000);
    let put = |tree: &mut Tree, path: &str, mode, text: &str| tree.write(path, mode, text).unwrap();
    put(&mut tree, "usr/lib/os-release", 0o644, "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=Debian\n");
    tree.symlink("etc/os-release", "../usr/lib/os-release").unwrap();
    put(&mut tree, "etc/hostname", 0o644, "lab-1\n");
    let passwd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\npi:x:1000:1000::/home/pi:/bin/sh\n";
    put(&mut tree, "etc/passwd", 0o644, passwd);
    put(&mut tree, "etc/shadow", 0o640, "root:*:1::::::\npi:$y$j9T$salt$hash:1::::::\n");
    let status = "Package: bash\nStatus: install ok installed\nArchitecture: arm64\nVersion: 5.2.37-2+b5\nInstalled-Size: 7000\n\n\
                  Package: odd\nStatus: install ok unpacked\nArchitecture: all\nVersion: 1.0\nInstalled-Size: 10\n";
    put(&mut tree, "var/lib/dpkg/status", 0o644, status);
    put(&mut tree, "usr/bin/su", 0o4755, "elf");
    put(&mut tree, "usr/bin/ping", 0o755, "elf");
    tree.get_mut("usr/bin/ping").unwrap().xattrs =
        BTreeMap::from([("security.capability".to_owned(), b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec())]);
    put(&mut tree, "usr/lib/large", 0o644, &"x".repeat(2_000_000));
    tree.symlink("etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service")
        .unwrap();
    let device = Inode { kind: Kind::Char(5, 1), mode: 0o600, ..tree.get("").unwrap().clone() };
    tree.mkdir("dev", 0o755).unwrap();
    tree.insert(&TreePath::new("dev/console").unwrap(), device).unwrap();
    let mut manifest = ImageRecord {
        format: FORMAT,
        labimg: "0.1.0".to_owned(),
        board: "rpi4".to_owned(),
        role: "worker".to_owned(),
        suite: "trixie".to_owned(),
        architecture: "arm64".to_owned(),
        date: "2025-10-09T08:53:20Z".to_owned(),
        partitions: Vec::new(),
        packages: vec![RecordPackage {
            name: "bash".to_owned(),
            version: "5.2.37-2+b5".to_owned(),
            architecture: "arm64".to_owned(),
            state: "installed".to_owned(),
            sha256: None,
        }],
        why: std::collections::BTreeMap::new(),
        layers: Vec::new(),
        k3s: None,
        containers: Vec::new(),
    };
    manifest.layers = layers(&tree);
    put(&mut tree, NODE_PATH, 0o644, &manifest.to_json());
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

#[test]
fn reports() {
    let dir = tempfile::tempdir().unwrap();
    let (boot, root) = (boot_tree(), root_tree());
    for (table, name) in TABLES.into_iter().zip(["mbr", "gpt"]) {
        let path = dir.path().join("node.img");
        write(&spec(table, &boot, &root), &path, &labimg_tree::progress::Silent).unwrap();
        let report = open(&path).unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        // The space that the file systems take themselves is not compared.
        let filters =
            [(r"[0-9.]+ MiB used, [0-9.]+ MiB free", "N used, N free"), (r"\d+ used, \d+ free", "N used, N free")];
        insta::with_settings!({filters => filters}, {
            insta::assert_snapshot!(format!("report_{name}"), render(&report));
        });
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["partitions"][1]["file_system"]["label"], "root");
        assert_eq!(json["partitions"][0]["start"], 4 * MIB);
        assert_eq!(json["system"]["packages"][1]["state"], "unpacked");
    }
}

#[test]
fn damage_is_reported_and_the_rest_still_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.img");
    let (boot, root) = (boot_tree(), root_tree());
    let summary = write(&spec(TABLES[1], &boot, &root), &path, &labimg_tree::progress::Silent).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    // The header of the GPT: the backup is used.
    file.write_all_at(&[0xff; 40], 512 + 40).unwrap();
    let report = open(&path).unwrap();
    assert!(report.problems.iter().any(|p| p.contains("copy was read")), "{:?}", report.problems);
    assert!(report.system.is_some());
    // The root file system's superblock.
    file.write_all_at(&[0xff; 40], summary.layout.partitions[1].start + 1024).unwrap();
    let report = open(&path).unwrap();
    assert!(report.system.is_none() && report.partitions[0].file_system.is_some());
    assert!(report.problems.iter().any(|p| p.contains("partition 2")), "{:?}", report.problems);
    // Truncated within the first partition, so the backup table is gone as well.
    file.set_len(20 * MIB).unwrap();
    assert!(open(&path).is_err());
    for len in [0, 100, 512, 1024, 2048] {
        file.set_len(len).unwrap();
        assert!(open(&path).is_err(), "{len}");
    }
}
