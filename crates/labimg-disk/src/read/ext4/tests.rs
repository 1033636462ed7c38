use super::*;
use crate::format::ext4::superblock::{EXT4_FEATURE_RO_COMPAT_METADATA_CSUM, s_feature_ro_compat};
use labimg_testkit::command::succeed;
use proptest::prelude::*;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

#[test]
fn numbers_of_devices() {
    assert_eq!(device_numbers(0x0501, 0), (5, 1));
    // 70000 is 0x11170: its lowest byte comes first, the rest above the major number.
    assert_eq!(device_numbers(0, 0x1111_2c70), (300, 70000));
}

/// A file system that mke2fs made from a folder.
fn sample(dir: &Path, size: &str) -> std::path::PathBuf {
    let (files, image) = (dir.join("files"), dir.join("ext4.img"));
    std::fs::create_dir_all(files.join("usr/lib/many")).unwrap();
    std::fs::write(files.join("usr/lib/os-release"), "NAME=Sample\n").unwrap();
    std::fs::write(files.join("big"), vec![7; 300_000]).unwrap();
    for n in 0..300 {
        std::fs::write(files.join(format!("usr/lib/many/a file with a long name, number {n}")), "x").unwrap();
    }
    std::os::unix::fs::symlink("usr/lib", files.join("lib")).unwrap();
    std::os::unix::fs::symlink("/lib/os-release", files.join("os-release")).unwrap();
    std::os::unix::fs::symlink("loop", files.join("loop")).unwrap();
    succeed(
        Command::new("mke2fs")
            .args(["-q", "-N", "512", "-t", "ext4", "-L", "rootfs", "-U", "11112222-3333-4444-5555-666677778888", "-d"])
            .arg(&files)
            .arg(&image)
            .arg(size),
    );
    image
}

fn open(image: &Path) -> Result<Ext4Volume, InspectError> {
    Ext4Volume::in_region(Region::whole(image)?)
}

#[test]
fn reads_what_mke2fs_wrote() {
    if labimg_testkit::judges::missing(&["mke2fs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let volume = open(&sample(dir.path(), "16M")).unwrap();
    assert_eq!((volume.label().as_str(), volume.uuid().as_str()), ("rootfs", "11112222-3333-4444-5555-666677778888"));
    assert!(volume.features().iter().any(|f| f == "extent") && volume.features().iter().any(|f| f == "64bit"));
    assert_eq!(volume.read("/os-release").unwrap(), b"NAME=Sample\n");
    assert_eq!(volume.read("lib/../lib/os-release").unwrap(), b"NAME=Sample\n");
    assert_eq!(volume.read("big").unwrap(), vec![7; 300_000]);
    assert_eq!(volume.read_link("os-release").unwrap(), b"/lib/os-release");
    assert_eq!(volume.list("/lib/many").unwrap().len(), 300);
    assert!(volume.read_up_to("big", 300_000).is_ok());
    assert!(matches!(volume.read_up_to("big", 299_999), Err(InspectError::TooLarge { size: 300_000, .. })));
    assert!(volume.read("no/thing").unwrap_err().is_not_found());
    assert!(volume.read("big/thing").unwrap_err().is_not_found());
    assert!(matches!(volume.read("loop"), Err(InspectError::WrongKind { .. })));
    assert!(matches!(volume.read("usr"), Err(InspectError::WrongKind { .. })));
    assert_eq!(volume.stat("os-release", false).unwrap().kind, FileKind::Symlink);
    let mut paths = Vec::new();
    volume
        .walk(|e| {
            paths.push(e.path.clone());
            Ok::<_, InspectError>(())
        })
        .unwrap();
    assert!(paths.contains(&"/usr/lib/os-release".to_owned()) && paths.contains(&"/lost+found".to_owned()));
    assert_eq!(paths.len(), 309);
}

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    std::fs::read(sample(dir.path(), "2M")).unwrap()
});

fn switch_checksums_off(bytes: &mut [u8]) {
    let field = &mut bytes[OFFSET as usize + s_feature_ro_compat..][..4];
    for (byte, flag) in field.iter_mut().zip(EXT4_FEATURE_RO_COMPAT_METADATA_CSUM.to_le_bytes()) {
        *byte &= !flag;
    }
}

fn visit(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let Ok(volume) = open(file.path()) else { return };
    let mut inodes = Vec::new();
    let _ = volume.walk(|e| {
        inodes.push(e.inode);
        Ok::<_, InspectError>(())
    });
    for inode in inodes.into_iter().take(20) {
        let _ = (volume.xattrs(inode), volume.runs(inode));
    }
    for path in ["big", "os-release", "loop"] {
        let _ = (volume.read(path), volume.read_link(path), volume.stat(path, true));
    }
    let _ = (volume.usage(), volume.inodes(), volume.features(), volume.label());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damage_is_an_error_not_a_panic(
        changes in prop::collection::vec((0.0..1.0, any::<u8>()), 1..200),
        blind in any::<bool>(),
        cut in prop::option::of(0.0..1.0),
    ) {
        if labimg_testkit::judges::missing(&["mke2fs"]) {
            return Ok(());
        }
        let mut bytes = SMALL.clone();
        if blind {
            // Without metadata_csum the checksums do not catch the damage, so it reaches the parsers.
            switch_checksums_off(&mut bytes);
        }
        // The first half holds nearly all metadata.
        let span = bytes.len() as f64 / 2.0;
        for (at, value) in changes {
            let at = (at * span) as usize;
            if !(1024..2048).contains(&at) {
                bytes[at] = value;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate((cut * bytes.len() as f64) as usize);
        }
        visit(&bytes);
    }

    #[test]
    fn a_damaged_superblock_is_an_error_not_a_panic(
        changes in prop::collection::vec((1024_usize..1400, any::<u8>()), 1..6),
    ) {
        if labimg_testkit::judges::missing(&["mke2fs"]) {
            return Ok(());
        }
        let mut bytes = SMALL.clone();
        switch_checksums_off(&mut bytes);
        for (at, value) in changes {
            bytes[at] = value;
        }
        visit(&bytes);
    }
}

/// An image that `mke2fs` made of `files` with these options, and its bytes.
fn made(dir: &Path, files: &Path, options: &[&str], size: &str) -> std::path::PathBuf {
    let image = dir.join(format!("{}.img", options.concat().replace(['/', ','], "-")));
    succeed(Command::new("mke2fs").args(["-q", "-F"]).args(options).arg("-d").arg(files).arg(&image).arg(size));
    image
}

#[test]
fn ext2_and_ext3_without_extents_are_read() {
    use std::os::unix::fs::FileExt;
    if labimg_testkit::judges::missing(&["mke2fs", "debugfs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir_all(files.join("many")).unwrap();
    for n in 0..600 {
        std::fs::write(files.join(format!("many/a file with a long name, number {n}")), [n as u8; 7]).unwrap();
    }
    let sparse = std::fs::File::create(files.join("sparse")).unwrap();
    // In the direct, the indirect and the doubly indirect part.
    for at in [0, 5 << 10, 100 << 10, 5 << 20, (5 << 20) + 1024, 60 << 20] {
        sparse.write_all_at(&[9; 1024], at).unwrap();
    }
    for kind in ["ext2", "ext3"] {
        let volume = open(&made(dir.path(), &files, &["-t", kind, "-b", "1024"], "24M")).unwrap();
        let many = volume.list("many").unwrap();
        assert_eq!(many.len(), 600, "{kind}");
        assert_eq!(volume.read("many/a file with a long name, number 599").unwrap(), [87; 7]);
        let mut seen = 0;
        volume
            .walk(|_| {
                seen += 1;
                Ok::<_, InspectError>(())
            })
            .unwrap();
        assert_eq!(seen, 600 + 3, "{kind}: with lost+found");
        let inode = volume.stat("sparse", false).unwrap().inode;
        let found: Vec<_> = volume.runs(inode).unwrap().iter().map(|run| (run.start >> 10, run.end >> 10)).collect();
        assert_eq!(found, [(0, 1), (5, 6), (100, 101), (5 << 10, (5 << 10) + 2), (60 << 10, (60 << 10) + 1)], "{kind}");
    }
}

#[test]
fn block_numbers_that_lead_in_a_circle_have_an_end() {
    use std::os::unix::fs::FileExt;
    if labimg_testkit::judges::missing(&["mke2fs", "debugfs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("numbers"), [1; 1024]).unwrap();
    std::fs::write(files.join("f"), [2; 10]).unwrap();
    let image = made(dir.path(), &files, &["-t", "ext2", "-b", "1024"], "4M");
    let debugfs = |request: &str| succeed(Command::new("debugfs").args(["-w", "-R", request]).arg(&image));
    let block: u32 = String::from_utf8(debugfs("bmap numbers 0").stdout).unwrap().trim().parse().unwrap();
    // A block full of its own number, as all three levels of a file's numbers.
    let file = std::fs::File::options().write(true).open(&image).unwrap();
    file.write_all_at(&block.to_le_bytes().repeat(256), u64::from(block) * 1024).unwrap();
    debugfs(&format!("set_inode_field f block[TIND] {block}"));
    debugfs("set_inode_field f size 500000000000");
    let volume = open(&image).unwrap();
    let error = volume.runs(volume.stat("f", false).unwrap().inode).unwrap_err();
    assert!(error.to_string().contains("more blocks than the file system"), "{error}");
}

#[test]
fn names_that_no_file_has_are_damage() {
    if labimg_testkit::judges::missing(&["mke2fs"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    for name in [".._.._etc", "name-1", "name-2"] {
        std::fs::write(files.join(name), "x").unwrap();
    }
    let sound = made(dir.path(), &files, &["-t", "ext4", "-O", "^metadata_csum", "-b", "1024"], "4M");
    for (from, to, words) in [
        (".._.._etc", "../../etc", "is none that a file may have"),
        ("name-1", "na\0e-1", "is none that a file may have"),
        ("name-1", "name-2", "is there twice"),
    ] {
        let mut bytes = std::fs::read(&sound).unwrap();
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        let image = dir.path().join("changed.img");
        std::fs::write(&image, bytes).unwrap();
        let error = open(&image).unwrap().walk(|_| Ok::<_, InspectError>(())).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn other_file_systems_are_called_by_their_names() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, at, signature) in [
        ("Btrfs", 0x1_0040, &b"_BHRfS_M"[..]),
        ("XFS", 0, b"XFSB"),
        ("F2FS", 1024, b"\x10\x20\xf5\xf2"),
        ("LUKS", 0, b"LUKS\xba\xbe\x00\x02"),
        ("exFAT", 0, b"\xeb\x76\x90EXFAT   "),
        ("nothing that is known", 0, b"?"),
    ] {
        let mut bytes = vec![0; 1 << 20];
        bytes[at..at + signature.len()].copy_from_slice(signature);
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        let path = dir.path().join("image");
        std::fs::write(&path, &bytes).unwrap();
        let error = crate::read::Volume::in_region(Region::whole(&path).unwrap()).unwrap_err();
        assert!(error.to_string().contains(kind), "{error}");
        assert!(matches!(error, InspectError::Unknown { .. }), "{error:?}");
    }
}
