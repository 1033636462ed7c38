use std::collections::BTreeMap;
use std::io::Read;
use std::process::Command;

use tar::EntryType;

use super::archive::CHUNK;
use super::*;
use labimg_testkit::command::succeed;

/// Metadata that ustar cannot hold, and special files, made by mke2fs and debugfs.
#[test]
fn everything_that_ext4_has_comes_through() {
    if labimg_testkit::judges::missing(&["mke2fs", "debugfs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (files, image) = (dir.path().join("files"), dir.path().join("ext4.img"));
    let (long, target) = (format!("{}/{}", "d".repeat(120), "f".repeat(120)), "t".repeat(150));
    std::fs::create_dir_all(files.join("etc")).unwrap();
    std::fs::write(files.join("etc/os-release"), "NAME=Sample\n").unwrap();
    std::fs::create_dir(files.join("d".repeat(120))).unwrap();
    std::fs::write(files.join(&long), vec![7; (CHUNK * 5) / 2]).unwrap();
    std::fs::hard_link(files.join(&long), files.join("second")).unwrap();
    std::os::unix::fs::symlink(&target, files.join("link")).unwrap();
    succeed(Command::new("mke2fs").args(["-q", "-t", "ext4", "-F", "-d"]).arg(&files).arg(&image).arg("32M"));
    let commands = "mknod small c 5 1\nmknod block b 200 70\nmknod pipe p\nea_set second security.capability value\n";
    let script = dir.path().join("commands");
    std::fs::write(&script, commands).unwrap();
    succeed(Command::new("debugfs").args(["-w", "-f"]).arg(&script).arg(&image));

    let mut bytes = Vec::new();
    let count = export(&image, &mut bytes, &labimg_tree::progress::Silent).unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut found = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let kind = entry.header().entry_type();
        let link = entry.link_name_bytes().map(|l| String::from_utf8_lossy(&l).into_owned());
        let extended = entry.pax_extensions().unwrap().map_or_else(Vec::new, |all| {
            all.map(|e| e.unwrap()).map(|e| (e.key().unwrap().to_owned(), e.value_bytes().to_vec())).collect()
        });
        // Empty except for devices.
        let number = |field: io::Result<Option<u32>>| field.ok().flatten();
        let header = entry.header();
        let device = (number(header.device_major()), number(header.device_minor()));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        found.insert(path, (kind, link, extended, device, content));
    }
    assert_eq!(found.len() as u64, count);
    assert_eq!((found["small"].0, found["small"].3), (EntryType::Char, (Some(5), Some(1))));
    assert_eq!((found["block"].0, found["block"].3), (EntryType::Block, (Some(200), Some(70))));
    assert_eq!(found["pipe"].0, EntryType::Fifo);
    assert_eq!(found["link"].1.as_deref(), Some(target.as_str()));
    // Of its two names, the first one has the content.
    let (first, other) =
        if found["second"].0 == EntryType::Link { (&long[..], "second") } else { ("second", &long[..]) };
    assert_eq!((found[other].0, found[other].1.as_deref()), (EntryType::Link, Some(first)));
    assert!(found[first].4 == vec![7; (CHUNK * 5) / 2]);
    let capability = ("SCHILY.xattr.security.capability".to_owned(), b"value".to_vec());
    assert!(found[first].2.contains(&capability), "{:?}", found[first].2);
}

/// Names of the members as stored, and their types.
fn members(bytes: &[u8]) -> Vec<(Vec<u8>, EntryType)> {
    let mut archive = tar::Archive::new(bytes);
    let member = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
        let entry = entry.unwrap();
        (entry.path_bytes().into_owned(), entry.header().entry_type())
    };
    archive.entries().unwrap().map(member).collect()
}

fn exported(image: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    export(image, &mut bytes, &labimg_tree::progress::Silent).unwrap();
    bytes
}

#[test]
fn holes_of_any_size_stay_holes() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    if labimg_testkit::judges::missing(&["mke2fs", "debugfs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir_all(files.join("etc")).unwrap();
    std::fs::write(files.join("etc/os-release"), "NAME=Sample\n").unwrap();
    let make = |name: &str, size: u64, pieces: &[u64]| {
        let file = std::fs::File::create(files.join(name)).unwrap();
        file.set_len(size).unwrap();
        for at in pieces {
            file.write_all_at(&[7; 3000], *at).unwrap();
        }
    };
    // More pieces than the header and one block after it have room for; no hole at the end; nothing but a hole.
    let many: Vec<u64> = (1..60).map(|n| n << 26).collect();
    make("many", 5 << 30, &many);
    make("tail", (3 << 20) + 3000, &[0, 3 << 20]);
    make("empty", 2 << 20, &[]);
    make("small-hole", 100_000, &[0, 90_000]);
    std::fs::write(files.join("huge"), "x").unwrap();
    for kind in ["ext4", "ext2"] {
        let image = dir.path().join(kind);
        succeed(Command::new("mke2fs").args(["-q", "-t", kind, "-F", "-d"]).arg(&files).arg(&image).arg("32M"));
        succeed(Command::new("debugfs").args(["-w", "-R", "set_inode_field huge size 500000000000"]).arg(&image));
        let bytes = exported(&image);
        assert!(bytes.len() < 2 << 20, "{} bytes", bytes.len());
        let kinds: BTreeMap<_, _> = members(&bytes).into_iter().collect();
        assert_eq!(kinds[&b"huge"[..]], EntryType::GNUSparse);
        assert_eq!(kinds[&b"small-hole"[..]], EntryType::Regular);

        // GNU tar and our own reader unpack the same.
        let archive = dir.path().join("files.tar");
        std::fs::write(&archive, &bytes).unwrap();
        let out = tempfile::tempdir_in(dir.path()).unwrap();
        succeed(Command::new("tar").arg("-C").arg(out.path()).arg("-xf").arg(&archive).arg("--exclude=huge"));
        for (name, size, pieces) in [("many", 5 << 30, &many[..]), ("tail", (3 << 20) + 3000, &[0, 3 << 20])] {
            let file = std::fs::File::open(out.path().join(name)).unwrap();
            let there = file.metadata().unwrap();
            assert_eq!(there.len(), size, "{name}");
            assert!(there.blocks() * 512 < 2 << 20, "{name}: its holes were filled");
            let mut piece = [0; 3001];
            for at in pieces.iter().filter(|at| **at + 3001 <= size) {
                file.read_exact_at(&mut piece, *at).unwrap();
                assert!(piece[..3000] == [7; 3000] && piece[3000] == 0, "{name} at {at}");
            }
        }
        let mut archive = tar::Archive::new(bytes.as_slice());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            if ["tail", "empty", "small-hole"].iter().any(|name| path == Path::new(name)) {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                assert!(content == std::fs::read(files.join(&path)).unwrap(), "{}", path.display());
            }
            if path == Path::new("huge") {
                assert_eq!(entry.size(), 500_000_000_000);
            }
        }
    }
}

#[test]
fn names_that_are_not_utf8_come_through_whole() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    if labimg_testkit::judges::missing(&["mke2fs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir_all(files.join("etc")).unwrap();
    std::fs::write(files.join("etc/os-release"), "NAME=Sample\n").unwrap();
    let name = |bytes: &'static [u8]| files.join(OsStr::from_bytes(bytes));
    std::fs::write(name(b"caf\xe9"), "one").unwrap();
    std::fs::write(name(b"caf\xe8"), "two").unwrap();
    std::os::unix::fs::symlink(OsStr::from_bytes(b"to \xff"), name(b"link \xfe")).unwrap();
    let image = dir.path().join("image");
    let make = |image: &Path| {
        succeed(Command::new("mke2fs").args(["-q", "-t", "ext4", "-F", "-d"]).arg(&files).arg(image).arg("8M"));
    };
    make(&image);
    let bytes = exported(&image);
    let names: Vec<_> = members(&bytes).into_iter().map(|(name, _)| name).collect();
    for name in [&b"caf\xe9"[..], b"caf\xe8", b"link \xfe"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    let mut archive = tar::Archive::new(bytes.as_slice());
    let link = archive.entries().unwrap().map(Result::unwrap).find(|e| &*e.path_bytes() == b"link \xfe").unwrap();
    assert_eq!(&*link.link_name_bytes().unwrap(), b"to \xff");

    let other = dir.path().join("other");
    std::fs::write(name(b"caf\xe9"), "ONE").unwrap();
    std::fs::remove_file(name(b"caf\xe8")).unwrap();
    std::fs::remove_file(name(b"link \xfe")).unwrap();
    std::os::unix::fs::symlink(OsStr::from_bytes(b"to \xfd"), name(b"link \xfe")).unwrap();
    make(&other);
    let diff = serde_json::to_value(crate::inspect::diff::diff(&image, &other).unwrap()).unwrap();
    let files = &diff["files"][0];
    assert_eq!(files["removed"], serde_json::json!(["/caf\\xe8"]));
    let changed = serde_json::json!([
        { "path": "/caf\\xe9", "what": ["content"] },
        { "path": "/link \\xfe", "what": ["target to \\xff -> to \\xfd"] },
    ]);
    assert_eq!(files["changed"], changed);
}

#[test]
fn mount_points_stay_in_the_image() {
    for (line, expected) in [
        ("PARTUUID=1 /boot/firmware vfat umask=0077 0 2", Some("/boot/firmware")),
        ("LABEL=x /../../tmp/../boot//./fw/ vfat defaults", Some("/boot/fw")),
        ("LABEL=x /my\\040mount vfat defaults", Some("/my mount")),
        ("LABEL=x / vfat defaults", None),
        ("LABEL=x /.. vfat defaults", None),
        ("LABEL=x none vfat defaults", None),
        ("LABEL=x ../up vfat defaults", None),
        ("#LABEL=x /boot vfat", None),
        ("LABEL=x /boot ext4", None),
        ("", None),
    ] {
        assert_eq!(mount_point(line).as_deref(), expected, "{line}");
    }
}

/// The archive of an image whose fstab mounts the firmware partition at `mount`, after `change` of its tree.
fn with_firmware(mount: &str, change: impl FnOnce(&mut labimg_tree::Tree)) -> Vec<(Vec<u8>, EntryType)> {
    use labimg_disk::write::ext4::Ext4Options;
    use labimg_disk::write::table::PartitionTable;
    use labimg_disk::write::{FileSystem, ImageSpec, PartitionSpec, write};
    let (mut boot, mut root) = (labimg_tree::Tree::new(0), labimg_tree::Tree::new(0));
    boot.write("overlays/passwd", 0o644, "firmware's").unwrap();
    root.write("etc/os-release", 0o644, "NAME=Sample\n").unwrap();
    root.write("etc/fstab", 0o644, format!("LABEL=FW {mount} vfat defaults\n")).unwrap();
    change(&mut root);
    let options = Ext4Options::new(0, [1; 16], [2; 16], 0);
    let partition = |name: &str, files| PartitionSpec {
        name: name.to_owned(),
        size: 40 << 20,
        guid: uuid::Uuid::from_u128(1),
        files,
    };
    let spec = ImageSpec {
        table: PartitionTable::Mbr { signature: 1 },
        first: 0,
        partitions: vec![
            partition("fw", FileSystem::Fat { tree: &boot, label: "FW".to_owned(), volume_id: 1 }),
            partition("root", FileSystem::Ext4 { tree: &root, options }),
        ],
        private: false,
    };
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("a.img");
    write(&spec, &image, &labimg_tree::progress::Silent).unwrap();
    members(&exported(&image))
}

#[test]
fn no_member_leads_through_a_link() {
    let has = |members: &[(Vec<u8>, EntryType)], name: &str| members.iter().any(|(found, _)| found == name.as_bytes());
    // What lies under the mount point is hidden by it, also a link of the same name.
    let found = with_firmware("/boot/../boot/firmware", |root| {
        root.mkdir("boot/firmware", 0o755).unwrap();
        root.symlink("boot/firmware/overlays", "/etc").unwrap();
    });
    let overlays: Vec<_> = found.iter().filter(|(name, _)| name.starts_with(b"boot/firmware/overlays")).collect();
    assert_eq!(overlays.len(), 2, "{overlays:?}");
    assert_eq!(overlays[0], &(b"boot/firmware/overlays/".to_vec(), EntryType::Directory));
    assert!(has(&found, "boot/firmware/overlays/passwd"));

    // Through a link, to nowhere, or to a file: the partition's files are left out.
    let left_out = [
        with_firmware("/boot/firmware", |root| root.symlink("boot", "../../outside").map(drop).unwrap()),
        with_firmware("/boot/firmware", |_| ()),
        with_firmware("/etc/fstab", |_| ()),
    ];
    for found in left_out {
        assert!(has(&found, "etc/fstab") && !found.iter().any(|(name, _)| name.ends_with(b"passwd")), "{found:?}");
    }
}
