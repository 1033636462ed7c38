//! The kernel as a judge, where loop devices may be used (as root). Elsewhere the tests report that they were skipped.

use std::path::Path;
use std::process::Command;

use labimg_tree::Tree;

use super::judge::{Depth, Image, compare as compare_trees, fsck, run};
use super::load::load;
use labimg_testkit::skipped;

/// A mounted image; unmounted when dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(image: &Image, options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let output = Command::new("mount")
            .args(["-t", "ext4", "-o", options])
            .args([image.path(), folder.path()])
            .output()
            .expect("mount is needed for this test");
        if output.status.success() {
            return Some(Self(folder));
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // A damaged file system is a failure, a missing privilege is not.
        assert!(
            ["superuser", "permitted", "denied", "loop device"].iter().any(|why| said.contains(why)),
            "the kernel does not mount the image: {said}"
        );
        // scripts/test has found out whether loop devices work here.
        assert!(std::env::var_os("LABIMG_TEST_LOOP").is_none(), "loop devices can be mounted here, but: {said}");
        skipped("mounts of images by the kernel", &said);
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The loop device.
    fn device(&self) -> String {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let at = self.path().to_string_lossy().into_owned();
        mounts.lines().find(|l| l.contains(&at)).and_then(|l| l.split(' ').next()).unwrap().to_owned()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[self.path().as_os_str()]);
    }
}

/// Mounts the image and compares its content.
pub fn compare(image: &Image, tree: &Tree) {
    let Some(mounted) = Mounted::new(image, "loop,ro") else { return };
    let temp = tempfile::tempdir().unwrap();
    // The holes of large files are not read.
    let back = load(mounted.path(), &temp.path().join("pack")).unwrap();
    compare_trees(tree, &back, Depth::Mounted);
}

/// The kernel's messages about this mount that are more than notices.
fn complaints(device: &str) -> Option<Vec<String>> {
    let output = Command::new("dmesg").args(["--level", "err,warn"]).output().expect("dmesg is needed for this test");
    if !output.status.success() {
        skipped("messages of the kernel", &String::from_utf8_lossy(&output.stderr));
        return None;
    }
    let of_device = format!("({}", device.trim_start_matches("/dev/"));
    let lines = String::from_utf8_lossy(&output.stdout);
    Some(lines.lines().filter(|l| l.contains("EXT4-fs") && l.contains(&of_device)).map(str::to_owned).collect())
}

/// Mounts the image, compares its content, changes it with a shell script, and checks it again.
pub fn strain(image: &Image, tree: &Tree, script: &str) {
    let Some(mounted) = Mounted::new(image, "loop") else { return };
    let device = mounted.device();
    let before = complaints(&device);
    let temp = tempfile::tempdir().unwrap();
    let back = load(mounted.path(), &temp.path().join("pack")).unwrap();
    compare_trees(tree, &back, Depth::Mounted);
    let status = Command::new("sh").args(["-euc", script]).current_dir(mounted.path()).status().unwrap();
    assert!(status.success(), "{script}: {status}");
    run("sync", &["-f".as_ref(), mounted.path().as_os_str()]);
    assert_eq!(complaints(&device), before, "the kernel complains");
    drop(mounted);
    fsck(image.path());
}

/// Mounts the image, adds and removes files, and checks it again.
pub fn write_to(image: &Image) {
    let Some(mounted) = Mounted::new(image, "loop") else { return };
    let at = mounted.path();
    for i in 0..3000 {
        std::fs::write(at.join(format!("names/new-{i}")), vec![1; i]).unwrap();
        std::fs::remove_file(at.join(format!("hard/{}", i + 1))).unwrap();
    }
    std::fs::create_dir_all(at.join("new/folder")).unwrap();
    std::fs::remove_dir_all(at.join("extents")).unwrap();
    std::fs::remove_dir_all(at.join("xattrs")).unwrap();
    std::fs::write(at.join("sparse-8g"), "short now").unwrap();
    drop(mounted);
    fsck(image.path());
}

/// Grows the mounted image to `size` bytes, writes to it, and checks it.
pub fn grow(image: &Image, size: u64) {
    image.file().set_len(size).unwrap();
    let Some(mounted) = Mounted::new(image, "loop") else { return };
    let output = Command::new("resize2fs").arg(mounted.device()).output().expect("resize2fs is needed for this test");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("Permission denied") {
        // Growing needs CAP_SYS_RESOURCE, which containers often lack.
        skipped("growing of mounted images", &said);
        return;
    }
    assert!(output.status.success(), "resize2fs: {said}");
    std::fs::write(mounted.path().join("after"), vec![1; 100 << 20]).unwrap();
    drop(mounted);
    fsck(image.path());
    assert!(super::judge::block_count(image.path()) * 4096 > size - (128 << 20));
}
