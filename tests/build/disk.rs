//! Full disks.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use crate::network::forget;
use crate::signals::Running;
use crate::{Bench, fails, names, run, shared};

/// The command, run in a shell after other commands.
fn after(shell: &[&str], prelude: &str, command: &Command) -> Command {
    let mut wrapped = Command::new(shell[0]);
    wrapped.args(&shell[1..]).arg(prelude).arg("sh").arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

#[test]
fn files_that_may_not_grow() {
    let bench = Bench::new();
    let cache = bench.warm();
    // 16 MiB: enough for the small files in the cache, too little for an image. Without the trap the kernel would kill
    // the process.
    let limited = |prelude: &str| after(&["sh", "-c"], prelude, &bench.build(&cache));
    let limit = "trap '' XFSZ; ulimit -f 32768; exec \"$@\"";
    fails(&mut limited(limit), 1, &["node.img", "cannot be made that large", "File too large"]);
    assert_eq!(bench.outputs(), Vec::<String>::new());

    let package = shared().packages.iter().max_by_key(|p| p.size).unwrap();
    forget(&cache, package);
    fails(&mut limited(limit), 1, &["cache/tmp/", "File too large", "ulimit -f"]);
}

#[test]
fn a_disk_that_fills_while_the_image_is_written() {
    let mut namespace = vec!["unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        namespace.push("--map-root-user");
    }
    let possible =
        run(Command::new(namespace[0]).args(&namespace[1..]).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]));
    if !possible.status.success() {
        // The other tests in this file need no privileges and test the same code.
        labimg_testkit::skipped("a build on a full disk", &crate::stderr(&possible));
        return;
    }
    let bench = Bench::new();
    let cache = bench.warm();
    let (disk, listing) = (bench.dir.path().join("out"), bench.dir.path().join("listing"));
    let (disk_text, listing_text) = (disk.display(), listing.display());
    // Space for the image and little more, which the file beside it uses up at once.
    let size = shared().image.metadata().unwrap().blocks() * 512 + (16 << 20);
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs '{disk_text}' || exit 99; \
         \"$@\"; code=$?; rm '{disk_text}/filler'; ls -A '{disk_text}' >'{listing_text}'; exit $code"
    );
    let shell: Vec<&str> = namespace.into_iter().chain(["sh", "-c"]).collect();
    let mut command = after(&shell, &script, &bench.build(&cache));
    let running = Running::until(command.stdin(Stdio::null()), "Writing ext4");
    let inside = format!("/proc/{}/root{disk_text}/filler", running.child.id());
    let mut filler = File::create(inside).unwrap();
    let zeros = vec![0; 1 << 20];
    while filler.write_all(&zeros).is_ok() {}
    let (status, last) = running.end();
    assert_eq!(status.code(), Some(1), "{last}");
    assert!(last.contains("the disk is full") && last.contains("node.img"), "{last}");
    assert_eq!(std::fs::read_to_string(listing).unwrap(), "", "nothing stays behind");
    assert_eq!(names(&disk), Vec::<String>::new());
}
