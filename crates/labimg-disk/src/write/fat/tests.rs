use super::*;
use crate::read::fat::{FatKind, FatVolume};
use labimg_tree::fault::Fault;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

fn options(size: u64) -> FatOptions {
    FatOptions { size, label: "firmware".to_owned(), volume_id: 0xcafe_0001 }
}

/// The output of a tool that must be installed and succeed.
fn tool(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?} (install dosfstools and mtools): {e}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

/// Writes a tree and checks it with fsck.vfat: it must succeed and print only its summary.
fn written(tree: &Tree, size: u64, path: &Path) -> FatSummary {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(size).unwrap();
    let summary = write(tree, &Sparse::new(&file), 0, &options(size)).unwrap();
    let said = String::from_utf8(tool(Command::new("fsck.vfat").args(["-n", "-v"]).arg(path))).unwrap();
    for word in ["differ", "Dirty", "Free cluster summary", "corrupt", "wrong", "should be", "Bad", "Removing", "enam"]
    {
        assert!(!said.contains(word), "{said}");
    }
    summary
}

fn mcopy(image: &Path, name: &str) -> Vec<u8> {
    tool(Command::new("mcopy").arg("-i").arg(image).arg(format!("::{name}")).arg("-"))
}

/// Like a boot partition: a few big files and many small ones with long, similar names.
fn boot_tree() -> Tree {
    let mut tree = Tree::new(1_700_000_000);
    tree.write("config.txt", 0o644, "arm_64bit=1\n").unwrap();
    tree.write("cmdline.txt", 0o644, "root=PARTUUID=0-2\n").unwrap();
    tree.write("empty", 0o644, "").unwrap();
    let kernel: Vec<u8> = (0..3_000_017_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    tree.write("vmlinuz-6.12.48+deb13-arm64", 0o644, kernel).unwrap();
    for n in 0..400 {
        let name = format!("overlays/vc4-kms-dpi-panel-{n}.dtbo");
        tree.write(name, 0o644, format!("overlay {n}").repeat(n)).unwrap();
    }
    tree.write("a/b/c/grüße aus 🍓 FAT.txt", 0o644, "tief").unwrap();
    tree.write("a long name.txt", 0o644, "1").unwrap();
    tree.write("ALONGN~1.TXT", 0o644, "2").unwrap();
    tree
}

#[test]
fn judges_accept_it_at_every_size() {
    if labimg_testkit::judges::missing(&["fsck.vfat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fat.img");
    let tree = boot_tree();
    for (size, cluster) in
        [(34, 512), (64, 512), (70, 1024), (128, 1024), (256, 2048), (257, 4096), (512, 4096), (2048, 4096)]
    {
        let summary = written(&tree, size * MIB, &path);
        assert_eq!(summary.cluster_size, cluster, "{size} MiB");
        let volume = FatVolume::open(&path, 0, size * MIB).unwrap();
        assert_eq!(volume.kind(), FatKind::Fat32, "{size} MiB");
        assert_eq!(volume.usage(), (summary.used, summary.free));
    }
}

#[test]
fn reads_back_equal_by_mtools_and_by_us() {
    if labimg_testkit::judges::missing(&["fsck.vfat", "mcopy"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fat.img");
    let tree = boot_tree();
    written(&tree, 256 * MIB, &path);
    let volume = FatVolume::open(&path, 0, 256 * MIB).unwrap();
    assert_eq!(volume.label().unwrap(), "FIRMWARE");
    assert_eq!(volume.volume_id(), 0xcafe_0001);
    let mut files = 0;
    for (path, _, inode) in tree.iter() {
        let name = String::from_utf8(path.as_bytes().to_vec()).unwrap();
        if let Kind::File(content) = &inode.kind {
            assert_eq!(volume.read(&name).unwrap(), content.to_vec().unwrap(), "{name}");
            files += 1;
        }
    }
    assert_eq!(files, 407);
    assert_eq!(volume.list("overlays").unwrap().len(), 400);
    assert!(volume.list("").unwrap().iter().all(|e| e.mtime == 1_700_000_000));
    assert_eq!(mcopy(&path, "/overlays/vc4-kms-dpi-panel-399.dtbo"), "overlay 399".repeat(399).as_bytes());
    assert_eq!(mcopy(&path, "/vmlinuz-6.12.48+deb13-arm64"), tree.read("vmlinuz-6.12.48+deb13-arm64").unwrap());
    let boot = std::fs::read(&path).unwrap();
    assert_eq!(boot[..512], boot[6 * 512..7 * 512], "backup boot sector");
    assert_eq!(boot[512..1024], boot[7 * 512..8 * 512], "backup FSInfo");
}

#[test]
fn fatfs_reads_it_too() {
    use std::io::Read as _;
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 * MIB).unwrap();
    let summary = write(&boot_tree(), &Sparse::new(&file), 0, &options(64 * MIB)).unwrap();
    let volume = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).unwrap();
    assert_eq!(volume.fat_type(), fatfs::FatType::Fat32);
    assert_eq!(u64::from(volume.stats().unwrap().free_clusters()) * summary.cluster_size, summary.free);
    let mut text = String::new();
    volume.root_dir().open_file("a/b/c/grüße aus 🍓 FAT.txt").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "tief");
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    if labimg_testkit::judges::missing(&["fsck.vfat"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut tree = boot_tree();
    let piece = |at: u64| (at, Content::from("data"));
    let sparse = Content::Sparse { len: 100 * MIB, pieces: Arc::from([piece(5), piece(60 * MIB + 7)]) };
    tree.write("sparse", 0o644, sparse.clone()).unwrap();
    let paths = [dir.path().join("1.img"), dir.path().join("2.img")];
    for path in &paths {
        written(&tree, 256 * MIB, path);
    }
    assert!(std::fs::read(&paths[0]).unwrap() == std::fs::read(&paths[1]).unwrap());
    // FAT has no holes: what a hole of the file holds is read from the card.
    let occupied = std::fs::metadata(&paths[0]).unwrap().blocks() * 512;
    assert!((100 * MIB..112 * MIB).contains(&occupied), "{occupied} bytes on the disk");
    assert!(mcopy(&paths[0], "/sparse") == sparse.to_vec().unwrap());
}

#[test]
fn it_lies_where_it_was_told_to() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(80 * MIB).unwrap();
    write(&boot_tree(), &Sparse::new(file.as_file()), 4 * MIB, &options(64 * MIB)).unwrap();
    let all = std::fs::read(file.path()).unwrap();
    assert!(all[..4 << 20].iter().chain(&all[68 << 20..]).all(|&b| b == 0));
    let volume = FatVolume::open(file.path(), 4 * MIB, 64 * MIB).unwrap();
    assert_eq!(volume.read("config.txt").unwrap(), b"arm_64bit=1\n");
}

#[test]
fn what_fat_cannot_hold_is_refused_by_path() {
    let refused = |change: &dyn Fn(&mut Tree)| {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 * MIB).unwrap();
        let mut tree = Tree::new(0);
        change(&mut tree);
        write(&tree, &Sparse::new(&file), 0, &options(64 * MIB)).unwrap_err()
    };
    let link = refused(&|t| t.symlink("d/link", "file").unwrap());
    assert!(link.help().unwrap().contains("put a copy"), "{link:?}");
    let link = link.to_string();
    assert!(link.contains("/d/link: FAT holds files and folders only"), "{link}");
    let case = refused(&|t| {
        t.write("Config.txt", 0o644, "1").unwrap();
        t.write("config.TXT", 0o644, "2").unwrap();
    });
    assert!(case.help().unwrap().contains("rename one"), "{case:?}");
    let case = case.to_string();
    assert!(case.contains("/config.TXT") && case.contains("/Config.txt"), "{case}");
    assert!(refused(&|t| t.write("a:b", 0o644, "").unwrap()).to_string().contains("`:`"));
    assert!(refused(&|t| t.write("dot.", 0o644, "").unwrap()).to_string().contains("dot"));
    assert!(refused(&|t| t.write(b"\xff", 0o644, "").unwrap()).to_string().contains("UTF-8"));
    let large = refused(&|t| t.write("big", 0o644, vec![1_u8; 70 << 20]).unwrap());
    assert!(large.to_string().contains("67108864"), "{large}");
    assert_eq!(large.help().as_deref(), Some("make the partition larger"));
    let huge = Content::Sparse { len: 1 << 32, pieces: Arc::from([]) };
    assert!(refused(&|t| t.write("huge", 0o644, huge.clone()).unwrap()).to_string().contains("4 GiB"));
}

#[test]
fn a_volume_too_small_for_fat32_is_refused() {
    let file = tempfile::tempfile().unwrap();
    for size in [0, MIB, 30 * MIB] {
        assert!(matches!(
            write(&Tree::new(0), &Sparse::new(&file), 0, &options(size)),
            Err(ImageError::TooSmall { .. })
        ));
    }
    assert!(matches!(write(&Tree::new(0), &Sparse::new(&file), 0, &options(64 * MIB + 1)), Err(ImageError::Layout(_))));
}
