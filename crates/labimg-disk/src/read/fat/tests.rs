use super::*;
use labimg_testkit::command::succeed;
use proptest::prelude::*;
use std::process::Command;
use std::sync::LazyLock;

/// A volume that mkfs.vfat and mcopy made.
fn sample(bits: &str, size: u64, dir: &Path) -> std::path::PathBuf {
    let image = dir.join(format!("fat{bits}.img"));
    std::fs::File::create(&image).unwrap().set_len(size).unwrap();
    succeed(Command::new("mkfs.vfat").args(["-F", bits, "-n", "BOOTFS", "-i", "1234ABCD"]).arg(&image));
    let big: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(dir.join("big"), &big).unwrap();
    std::fs::write(dir.join("small"), "arm_64bit=1\n").unwrap();
    let on = |program: &str| {
        let mut command = Command::new(program);
        command.env("MTOOLS_SKIP_CHECK", "1").env("TZ", "UTC").arg("-i").arg(&image);
        command
    };
    succeed(on("mmd").arg("::overlays"));
    succeed(on("mcopy").arg(dir.join("small")).arg("::config.txt"));
    succeed(on("mcopy").arg(dir.join("big")).arg("::overlays/A long name, with grüße.dtbo"));
    succeed(on("mcopy").arg(dir.join("small")).arg("::SHORT.TXT"));
    image
}

#[test]
fn reads_what_mtools_wrote() {
    if labimg_testkit::judges::missing(&["mkfs.vfat", "mcopy"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (bits, size, kind) in [("12", 4, FatKind::Fat12), ("16", 20, FatKind::Fat16), ("32", 64, FatKind::Fat32)]
        .map(|(b, s, k)| (b, s << 20, k))
    {
        let volume = FatVolume::open(&sample(bits, size, dir.path()), 0, size).unwrap();
        assert_eq!(volume.kind(), kind);
        assert_eq!(volume.label().unwrap(), "BOOTFS");
        assert_eq!(volume.volume_id(), 0x1234_abcd);
        let names: Vec<String> = volume.list("/").unwrap().into_iter().map(|e| e.name).collect();
        assert_eq!(names, ["overlays", "config.txt", "SHORT.TXT"]);
        assert_eq!(volume.read("/CONFIG.txt").unwrap(), b"arm_64bit=1\n");
        let big = volume.read("overlays/a LONG name, with GRÜßE.dtbo").unwrap();
        assert_eq!(big, std::fs::read(dir.path().join("big")).unwrap());
        assert!(volume.read("nothing").unwrap_err().is_not_found());
        assert!(volume.read("config.txt/x").unwrap_err().is_not_found());
        assert!(matches!(volume.read("overlays"), Err(InspectError::WrongKind { .. })));
        let (used, free) = volume.usage();
        assert!((400_000..700_000).contains(&used) && free > size / 2, "{used} {free}");
        assert!(volume.list("").unwrap()[1].mtime > 1_700_000_000);
    }
}

#[test]
fn names_that_no_file_has_are_damage() {
    if labimg_testkit::judges::missing(&["mkfs.vfat", "mcopy"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = sample("16", 20 << 20, dir.path());
    let sound = std::fs::read(&image).unwrap();
    let units = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    // The first five units of the long name.
    let at = sound.windows(10).position(|bytes| bytes == units("A lon")).unwrap();
    for name in ["A/lon", "A\\lon", "..\0\0\0"] {
        let mut bytes = sound.clone();
        bytes[at..at + 10].copy_from_slice(&units(name));
        std::fs::write(&image, bytes).unwrap();
        let volume = FatVolume::open(&image, 0, 20 << 20).unwrap();
        let error = volume.walk(|_, _| Ok::<_, InspectError>(())).unwrap_err();
        assert!(error.to_string().contains("a file is named"), "{error}");
    }
}

#[test]
fn a_folder_within_itself_is_walked_once() {
    if labimg_testkit::judges::missing(&["mkfs.vfat", "mmd"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = sample("16", 20 << 20, dir.path());
    succeed(Command::new("mmd").env("MTOOLS_SKIP_CHECK", "1").arg("-i").arg(&image).arg("::overlays/inner"));
    let walk = |volume: &FatVolume| {
        let mut paths = Vec::new();
        let walked = volume.walk(|path, _| {
            paths.push(path.to_owned());
            Ok::<_, InspectError>(())
        });
        walked.unwrap();
        paths
    };
    let open = || FatVolume::open(&image, 0, 20 << 20).unwrap();
    assert_eq!(walk(&open()).len(), 5);
    let outer = open().find("overlays").unwrap().unwrap().first;
    let mut bytes = std::fs::read(&image).unwrap();
    let at = bytes.windows(11).position(|name| name == b"INNER      ").unwrap();
    bytes[at + dir::DIR_FstClusLO..][..2].copy_from_slice(&outer.to_le_bytes()[..2]);
    std::fs::write(&image, bytes).unwrap();
    let paths = walk(&open());
    assert!(paths.contains(&"/overlays/inner".to_owned()) && paths.len() == 5, "{paths:?}");
}

#[test]
fn a_small_fat32_volume_is_fat32() {
    if labimg_testkit::judges::missing(&["mkfs.vfat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("small.img");
    std::fs::File::create(&image).unwrap().set_len(20 << 20).unwrap();
    succeed(Command::new("mkfs.vfat").args(["-F", "32", "-s", "8"]).arg(&image));
    let volume = FatVolume::open(&image, 0, 20 << 20).unwrap();
    assert_eq!((volume.kind(), volume.list("").unwrap().len()), (FatKind::Fat32, 0));
}

#[test]
fn a_truncated_volume_is_an_error() {
    if labimg_testkit::judges::missing(&["mkfs.vfat", "mcopy"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = sample("16", 20 << 20, dir.path());
    let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(1 << 20).unwrap();
    assert!(FatVolume::open(&image, 0, 20 << 20).is_err());
    assert!(FatVolume::open(&image, 0, 1 << 20).is_err());
    assert!(FatVolume::open(&image, 0, 100).is_err());
}

#[test]
fn a_folder_or_file_beyond_all_measure_is_refused_before_it_is_read() {
    if labimg_testkit::judges::missing(&["mkfs.vfat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("long.img");
    // 66 MiB in clusters of 512 bytes, sparse.
    std::fs::File::create(&image).unwrap().set_len(66 << 20).unwrap();
    succeed(Command::new("mkfs.vfat").args(["-F", "32", "-s", "1"]).arg(&image));
    let mut volume = FatVolume::open(&image, 0, 66 << 20).unwrap();
    assert!(volume.list("").is_ok());
    // The root folder gets clusters 2, 3, 4 … up to exactly the limit, then one more.
    let allowed = (dir::MOST_BYTES / 512) as u32;
    let lead = |volume: &mut FatVolume, count: u32| {
        for cluster in 2..2 + count {
            let next = if cluster + 1 == 2 + count { 0x0fff_ffff } else { cluster + 1 };
            volume.table[cluster as usize * 4..][..4].copy_from_slice(&next.to_le_bytes());
        }
    };
    lead(&mut volume, allowed);
    assert!(volume.list("").is_ok());
    lead(&mut volume, allowed + 1);
    let error = volume.list("").unwrap_err();
    assert!(matches!(error, InspectError::Damaged { .. }), "{error}");
}

fn visit(volume: &FatVolume, path: &str, depth: u32) {
    let Ok(entries) = volume.list(path) else { return };
    for entry in entries.iter().take(20) {
        let path = format!("{path}/{}", entry.name);
        if entry.is_dir && depth < 3 {
            visit(volume, &path, depth + 1);
        } else {
            let _ = volume.read(&path);
        }
    }
}

static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let image = sample("12", 1 << 20, dir.path());
    std::fs::read(image).unwrap()
});

proptest! {
    #[test]
    fn damage_is_an_error_not_a_panic(
        changes in prop::collection::vec((0_usize..24_000, any::<u8>()), 1..40),
        boot in prop::collection::vec((11_usize..64, any::<u8>()), 0..3),
    ) {
        if labimg_testkit::judges::missing(&["mkfs.vfat", "mcopy"]) {
            return Ok(());
        }
        let mut bytes = SMALL.clone();
        for (at, value) in changes.into_iter().chain(boot) {
            bytes[at] = value;
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        if let Ok(volume) = FatVolume::open(file.path(), 0, bytes.len() as u64) {
            let _ = (volume.label(), volume.usage());
            visit(&volume, "", 0);
        }
    }
}
