//! Checks the ext4 writer's output with `e2fsck`, `debugfs`, `resize2fs`, two independent readers and, where loop
//! devices may be used, the kernel.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod judge;
mod kernel;
mod load;
mod random;
mod trees;

use std::path::Path;

use judge::{Image, compare, debugfs, fsck};
use labimg_disk::write::Sparse;
use labimg_disk::write::ext4::{Ext4Error, Ext4Options, minimum_size, write};
use labimg_tree::{Content, Kind, Tree};

#[test]
fn an_empty_tree() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let tree = Tree::new(1_700_000_000);
    for mib in [0, 9, 64, 129, 1500] {
        let image = Image::write(&tree, mib << 20);
        fsck(image.path());
        image.compare(&tree);
    }
}

#[test]
fn every_size_around_a_group_is_clean() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let tree = Tree::new(1_700_000_000);
    for blocks in
        [32_767, 32_768, 32_769, 32_900, 33_100, 65_500, 65_536, 65_800, 16 * 32_768, 16 * 32_768 + 700, 17 * 32_768]
    {
        let image = Image::write(&tree, blocks * 4096 + 100);
        fsck(image.path());
    }
}

#[test]
fn the_adversarial_tree() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let tree = trees::adversarial();
    let image = Image::write(&tree, 0);
    fsck(image.path());
    image.compare(&tree);
    kernel::compare(&image, &tree);
}

#[test]
fn large_folders() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let tree = trees::large_folders();
    let image = Image::write(&tree, 0);
    fsck(image.path());
    image.compare(&tree);
    kernel::compare(&image, &tree);
}

#[test]
fn a_real_folder_comes_back_whole() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    // Any real folder will do; a whole root file system is best.
    let folder = std::env::var("LABIMG_TEST_TREE").unwrap_or_else(|_| "/usr/bin".to_owned());
    let temp = tempfile::tempdir().unwrap();
    let tree = load::load(Path::new(&folder), &temp.path().join("pack")).unwrap();
    let image = Image::write(&tree, 0);
    fsck(image.path());
    image.compare(&tree);
    kernel::compare(&image, &tree);
    let out = temp.path().join("out");
    std::fs::create_dir(&out).unwrap();
    debugfs(image.path(), &format!("rdump / {}", out.display()));
    let dumped = load::load(&out, &temp.path().join("pack2")).unwrap();
    compare(&tree, &dumped, judge::Depth::Dumped);
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let tree = trees::small();
    let [a, b] = [0, 1].map(|_| std::fs::read(Image::write(&tree, 0).path()).unwrap());
    assert!(a == b, "two images of one tree differ");
}

#[test]
fn an_image_may_begin_anywhere_in_a_file() {
    let tree = trees::small();
    let alone = std::fs::read(Image::write(&tree, 64 << 20).path()).unwrap();
    let file = tempfile::tempfile().unwrap();
    file.set_len((64 << 20) + 3 * 512).unwrap();
    write(&tree, &Sparse::new(&file), 512, &judge::options(64 << 20), &labimg_tree::progress::Silent).unwrap();
    let mut inside = vec![0; 64 << 20];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut inside, 512).unwrap();
    assert!(alone == inside, "the bytes depend on where the region begins");
}

/// Programs that flash an image may leave out its holes: then the card still holds there what it held before.
#[test]
fn over_an_old_disk_only_what_counts_is_needed() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    for (tree, mib) in [(trees::small(), 9), (trees::small(), 300), (trees::adversarial(), 400), (trees::small(), 2100)]
    {
        let image = Image::write(&tree, mib << 20);
        let noisy = image.over_noise();
        fsck(noisy.path());
        noisy.compare(&tree);
        // Recovery reads the journal up to the first block that is no transaction; `e2fsck` looks at all inodes when the
        // checksums of groups are lost.
        let journal = |image: &Image| {
            let out = tempfile::NamedTempFile::new().unwrap();
            debugfs(image.path(), &format!("dump <8> {}", out.path().display()));
            std::fs::read(out.path()).unwrap()
        };
        assert!(journal(&image) == journal(&noisy), "the journal of {mib} MiB");
        let tables = judge::inode_tables(image.path());
        assert!(!tables.is_empty());
        for table in tables {
            let [a, b] = [&image, &noisy].map(|image| {
                let mut bytes = vec![0; (table.end - table.start) as usize];
                std::os::unix::fs::FileExt::read_exact_at(image.file(), &mut bytes, table.start).unwrap();
                bytes
            });
            assert!(a == b, "the inode table at {table:?} of {mib} MiB");
        }
        kernel::compare(&noisy, &tree);
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_written() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let mut tree = trees::small();
    tree.write("large", 0o644, vec![1; 3 << 20]).unwrap();
    let least = minimum_size(&tree, &judge::options(0)).unwrap();
    let file = tempfile::tempfile().unwrap();
    let size = least - (1 << 20);
    file.set_len(size).unwrap();
    let Err(Ext4Error::TooSmall { needed, given }) =
        write(&tree, &Sparse::new(&file), 0, &judge::options(size), &labimg_tree::progress::Silent)
    else {
        panic!("a tree that needs {least} bytes was written into {size}")
    };
    assert_eq!((needed, given), (least, size));
    assert_eq!(std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap()), 0, "something was written");
    let image = Image::write(&tree, needed);
    fsck(image.path());
}

#[test]
fn what_ext4_cannot_hold_is_refused_with_its_path() {
    let refused = |change: fn(&mut Tree)| {
        let mut tree = Tree::new(0);
        change(&mut tree);
        minimum_size(&tree, &judge::options(0)).unwrap_err().to_string()
    };
    let message = refused(|t| t.symlink("a/link", "x".repeat(4096)).unwrap());
    assert_eq!(message, "/a/link has a link target of 4096 bytes; 1 to 4095 without NUL are possible");
    let message = refused(|t| {
        t.write("a", 0o644, "").unwrap();
        t.get_mut("a").unwrap().xattrs.insert("user.large".to_owned(), vec![0; 5000]);
    });
    assert!(message.starts_with("/a has extended attributes of 50"), "{message}");
    let message = refused(|t| t.write("lost+found", 0o644, "").unwrap());
    assert_eq!(message, "/lost+found must be a folder on ext4");
    let message = refused(|t| {
        t.write("a", 0o644, "").unwrap();
        t.get_mut("a").unwrap().kind = Kind::Block(5000, 0);
    });
    assert!(message.contains("5000:0"), "{message}");
    let message = refused(|t| {
        t.write("a", 0o644, "").unwrap();
        t.get_mut("a").unwrap().mtime = 1 << 40;
    });
    assert!(message.contains("1901 to 2446"), "{message}");
}

#[test]
fn a_content_that_cannot_be_read_names_its_file() {
    let temp = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(temp.path(), "short").unwrap();
    let blob = labimg_tree::Blob::open(temp.path()).unwrap();
    let mut tree = Tree::new(0);
    tree.write("b/file", 0o644, Content::Range { blob, offset: 0, len: 100 }).unwrap();
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 20).unwrap();
    let error =
        write(&tree, &Sparse::new(&file), 0, &judge::options(64 << 20), &labimg_tree::progress::Silent).unwrap_err();
    assert_eq!(error.to_string(), "the content of /b/file cannot be read");
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
}

#[test]
fn it_grows_offline() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let tree = trees::small();
    let image = Image::write(&tree, 1500 << 20);
    for size in [64_u64 << 30, 1 << 40] {
        image.file().set_len(size).unwrap();
        judge::run("e2fsck", &["-fp".as_ref(), image.path().as_os_str()]);
        judge::run("resize2fs", &[image.path().as_os_str()]);
        fsck(image.path());
        assert!(judge::block_count(image.path()) * 4096 > size - (128 << 20));
        // The descriptors are still contiguous: the new ones went into reserved blocks.
        let features = judge::features(image.path());
        assert!(!features.contains("meta_bg"), "{features}");
    }
    image.compare(&tree);
}

#[test]
fn it_grows_while_mounted() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let tree = trees::small();
    for size in [64_u64 << 30, 1 << 40] {
        kernel::grow(&Image::write(&tree, 1500 << 20), size);
    }
}

#[test]
fn it_can_be_written_to() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let image = Image::write(&trees::adversarial(), 600 << 20);
    kernel::write_to(&image);
}

/// Where no loop device can be used, a booted node's kernel does the same: `tests/boot/strained.rs`.
#[test]
fn strained_file_systems_are_mounted_and_written_to() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let strain = |tree: &Tree, script: &str| {
        // Space to write into.
        let size = minimum_size(tree, &judge::options(0)).unwrap() + (64 << 20);
        kernel::strain(&Image::write(tree, size), tree, script);
    };
    strain(
        &trees::adversarial(),
        "rm -r extents xattrs names; rm hard/1*; mkdir -p new/folder; \
         for i in $(seq 500); do head -c $i /dev/zero > new/$i; done; echo short > sparse-8g",
    );
    strain(&trees::large_folders(), "cd many; find . -name 'file-number-2*' -delete; touch $(seq 500); mkdir new");
}

#[test]
fn options_show() {
    if labimg_testkit::judges::missing(&["e2fsck", "debugfs", "dumpe2fs", "resize2fs"]) {
        return;
    }
    let mut options = Ext4Options::new(100 << 20, std::array::from_fn(|i| i as u8), [9; 16], 1_700_000_000);
    options.label = "0123456789abcdef".to_owned();
    options.reserved_percent = 0;
    options.journal_blocks = Some(2048);
    let image = Image::with(&Tree::new(0), &options);
    fsck(image.path());
    let shown = judge::run("dumpe2fs", &["-h".as_ref(), image.path().as_os_str()]);
    for line in [
        "0123456789abcdef",
        "00010203-0405-0607-0809-0a0b0c0d0e0f",
        "Total journal blocks:     2048",
        "Tue Nov 14 22:13:20 2023",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    options.label.push('x');
    assert!(minimum_size(&Tree::new(0), &options).is_err());
}
