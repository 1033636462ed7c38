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
        let _ = volume.xattrs(inode);
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
