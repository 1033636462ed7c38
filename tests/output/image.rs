//! Images: built, inspected, exported, damaged; invalid outputs and caches.

use std::fs::{File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{KEY, Session};
use labimg_testkit::skipped;

const BUILD: [&str; 5] = ["build", "--board", "virt", "--role", "worker"];

fn build(session: &mut Session, more: &[&str]) {
    session.build(&[&BUILD[..], more].concat());
}

/// A session with an image, without the output of building it.
fn with_image() -> Session {
    let session = Session::with_archive();
    session.prepare(&[&BUILD[..], &["--generic", "-o", "worker.img"]].concat());
    session
}

#[test]
fn images_that_are_built() {
    let mut session = Session::with_archive();
    build(&mut session, &["--generic"]);
    build(&mut session, &["--ssh-key", KEY, "--hostname", "shelf"]);
    session.note("nobody can log in, and nobody leads it");
    build(&mut session, &["--quiet"]);
    session.note("a package whose script is not known");
    build(&mut session, &["--package", "strange", "--generic", "--quiet"]);
    session.ends("built");
}

#[test]
fn what_is_in_an_image() {
    let mut session = with_image();
    session.prepare(&[&BUILD[..], &["--generic", "--package", "htop", "-o", "more.img"]].concat());
    session.both(&["inspect", "worker.img"]);
    for path in ["/usr/bin/busybox", "/etc/motd", "/etc/hosts", "/nowhere", "etc", "/usr/lib/libncurses"] {
        session.both(&["inspect", "worker.img", "--why", path]);
    }
    session.run(&["inspect", "worker.img", "--sbom", "cyclonedx"]);
    session.run(&["inspect", "worker.img", "--sbom", "spdx"]);
    session.both(&["diff", "worker.img", "more.img"]);
    session.both(&["diff", "worker.img", "worker.img"]);
    session.both(&["export", "worker.img", "--tar", "worker.tar"]);
    session.both(&["export", "worker.img", "--tar", "nowhere/worker.tar"]);
    session.ends("inspected");
}

#[test]
fn images_that_are_damaged() {
    let mut session = with_image();
    for (name, text) in [("empty.img", ""), ("text.img", "hello"), ("zeros.img", "")] {
        session.write(name, text);
    }
    File::options().write(true).open(session.path("zeros.img")).unwrap().set_len(8 << 20).unwrap();
    let damaged = |name: &str, at: u64, bytes: &[u8]| {
        let path = session.path(name);
        let copied =
            Command::new("cp").args(["--sparse=always"]).args([session.path("worker.img"), path.clone()]).status();
        assert!(copied.unwrap().success());
        File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
    };
    let root = (4 + 512) << 20;
    damaged("table.img", 512 + 16, b"xxxx");
    damaged("root.img", root + 1024 + 56, b"xx");
    damaged("root-tables.img", root + 4096, &[0xff; 4096]);
    damaged("fat.img", 4 << 20, &[0; 512]);
    damaged("short.img", 0, &[0]);
    File::options().write(true).open(session.path("short.img")).unwrap().set_len(100 << 20).unwrap();
    let names = [
        "nowhere.img",
        ".",
        "empty.img",
        "text.img",
        "zeros.img",
        "table.img",
        "root.img",
        "root-tables.img",
        "fat.img",
        "short.img",
    ];
    for name in names {
        session.note(name);
        session.both(&["inspect", name]);
    }
    for name in ["nowhere.img", "zeros.img", "root.img"] {
        session.note(name);
        session.both(&["inspect", name, "--why", "/etc/hosts"]);
        session.both(&["inspect", name, "--sbom", "spdx"]);
        session.both(&["export", name, "--tar", "x.tar"]);
        session.both(&["diff", "worker.img", name]);
        session.both(&["boot", name]);
    }
    session.ends("damaged");
}

#[test]
fn outputs_that_cannot_be() {
    let mut session = Session::with_archive();
    std::fs::create_dir(session.path("closed")).unwrap();
    std::fs::set_permissions(session.path("closed"), Permissions::from_mode(0o555)).unwrap();
    std::os::unix::fs::symlink("nowhere", session.path("link.img")).unwrap();
    std::fs::create_dir(session.path("record")).unwrap();
    std::fs::create_dir(session.path("record/x.img.json")).unwrap();
    for output in ["missing/x.img", "/dev/full", "link.img", "closed/x.img"] {
        build(&mut session, &["--generic", "-o", output]);
    }
    assert!(session.server.seen().is_empty() && !session.path("cache").exists(), "found before the work");
    build(&mut session, &["--generic", "-o", "record/x.img", "--quiet"]);
    assert_eq!(session.images(), ["link.img"]);
    session.ends("outputs");
}

#[test]
fn caches_that_cannot_be() {
    let mut session = with_image();
    let with = |cache: &str, session: &mut Session| {
        let from = session.from();
        let from: Vec<&str> = from.iter().map(|word| if word == "cache" { cache } else { word }).collect();
        session.both(&[&BUILD[..], &["--generic"], &from].concat());
    };
    std::fs::create_dir(session.path("closed")).unwrap();
    std::fs::set_permissions(session.path("closed"), Permissions::from_mode(0o555)).unwrap();
    session.note("cannot be made");
    with("closed/cache", &mut session);
    session.note("a file");
    with("keys.pgp", &mut session);
    session.note("may be read only, and lacks a package");
    let said = Command::new("sh")
        .args(["-c", "rm -r cache/blobs; mkdir -p cache/blobs/sha256; find cache -type d -exec chmod a-w {} +"])
        .current_dir(session.dir.path())
        .status();
    assert!(said.unwrap().success());
    with("cache", &mut session);
    session.both(&["cache", "list", "--cache", "nowhere/deep"]);
    session.both(&["cache", "prune", "--size", "0", "--cache", "cache"]);
    let said = Command::new("chmod").args(["-R", "u+w", "cache"]).current_dir(session.dir.path()).status();
    assert!(said.unwrap().success());
    session.ends("caches");
}

#[test]
fn a_cache_and_its_upkeep() {
    let mut session = with_image();
    session.both(&["cache", "list", "--cache", "cache"]);
    let folder = session.path("cache/blobs/sha256");
    let mut blobs: Vec<_> = walk(&folder).into_iter().filter(|path| path.metadata().unwrap().len() < 10_000).collect();
    blobs.sort_by_key(|path| path.metadata().unwrap().len());
    let blob = &blobs[0];
    std::fs::set_permissions(blob, Permissions::from_mode(0o644)).unwrap();
    File::options().write(true).open(blob).unwrap().write_all_at(b"xxxx", 0).unwrap();
    session.both(&["cache", "verify", "--cache", "cache"]);
    session.both(&["cache", "prune", "--cache", "cache", "--size", "1M", "--dry-run"]);
    session.both(&["cache", "prune", "--cache", "cache", "--days", "1"]);
    session.run(&["cache", "prune", "--cache", "cache", "--size", "0"]);
    session.both(&["cache", "list", "--cache", "cache"]);
    session.ends("cache");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_disk_that_is_full() {
    let mut session = with_image();
    let mut namespace = vec!["/usr/bin/unshare", "--mount"];
    if !rustix::process::geteuid().is_root() {
        namespace.push("--map-root-user");
    }
    let possible = Command::new(namespace[0])
        .args(&namespace[1..])
        .args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .output()
        .unwrap();
    if !possible.status.success() {
        skipped("what is said on a full disk", &String::from_utf8_lossy(&possible.stderr));
        return;
    }
    for (folder, args) in [
        ("full", [&BUILD[..], &["--generic", "-o", "full/x.img"]].concat()),
        ("cache", [&BUILD[..], &["--generic", "-o", "x.img"]].concat()),
        ("full", vec!["export", "worker.img", "--tar", "full/x.tar"]),
    ] {
        std::fs::create_dir_all(session.path(folder)).unwrap();
        for json in [&[][..], &["--json"]] {
            let from = session.from();
            let from: &[&str] =
                if args[0] == "build" { &from.iter().map(String::as_str).collect::<Vec<_>>() } else { &[] };
            let args = [&args[..], from, json].concat();
            let script = format!("mount -t tmpfs -o size=16k tmpfs {folder} && exec \"$@\"");
            let mut command = Command::new(namespace[0]);
            command.args(&namespace[1..]).args(["sh", "-c", &script, "sh", env!("CARGO_BIN_EXE_labimg")]).args(&args);
            command
                .current_dir(session.dir.path())
                .env_clear()
                .env("HOME", session.dir.path())
                .env("PATH", &session.path);
            let output = command.output().unwrap();
            session.note(&format!("16 KiB in {folder}/"));
            session.record(&args, &output);
        }
    }
    session.ends("full");
}

/// Starts a boot with a stand-in for QEMU; returns it and the stand-in's process.
fn boot_until_qemu_runs(session: &Session, temp: &std::path::Path) -> (std::process::Child, u32) {
    let note = session.path("qemu-process");
    let _ = std::fs::remove_file(&note);
    let mut command = session.command();
    command.args(["boot", "worker.img", "--expect", "login:", "--timeout", "600"]).env("TMPDIR", temp);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let boot = command.spawn().unwrap();
    let begun = Instant::now();
    let process = loop {
        if let Some(process) = std::fs::read_to_string(&note).ok().and_then(|text| text.trim().parse().ok()) {
            break process;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "QEMU was not started");
        std::thread::sleep(Duration::from_millis(20));
    };
    (boot, process)
}

#[test]
fn a_boot_that_is_killed_leaves_neither_qemu_nor_the_card() {
    let mut session = with_image();
    session.write("bin/qemu-system-aarch64", "#!/bin/sh\necho $$ > qemu-process\nexec sleep 600\n");
    std::fs::set_permissions(session.path("bin/qemu-system-aarch64"), Permissions::from_mode(0o755)).unwrap();
    session.path = format!("{}:{}", session.path("bin").display(), session.path);
    let temp = session.path("temp");
    std::fs::create_dir(&temp).unwrap();
    let left = || std::fs::read_dir(&temp).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();

    let mut first = Vec::new();
    for round in 0..2 {
        let (mut boot, qemu) = boot_until_qemu_runs(&session, &temp);
        boot.kill().unwrap();
        boot.wait().unwrap();
        let (process, begun) = (PathBuf::from(format!("/proc/{qemu}")), Instant::now());
        while process.exists() {
            assert!(begun.elapsed() < Duration::from_secs(20), "QEMU goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
        if round == 0 {
            first = left();
            assert!(first.len() == 1 && first[0].join("disk.img").exists(), "{first:?}");
            // Whoever begins within a minute may be another boot that just starts.
            File::open(&first[0]).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        }
    }
    assert!(!first[0].exists(), "the copy of the card is left");
}

#[test]
fn a_file_over_the_limit_of_the_shell_is_an_error() {
    let session = Session::with_archive();
    let from = session.from();
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    let build = [&BUILD[..], &["--generic", "-o", "x.img"], &from[..]].concat();
    let limited = |blocks: u32, args: &[&str]| {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("ulimit -f {blocks} && exec \"$@\""), "sh", env!("CARGO_BIN_EXE_labimg")])
            .args(args);
        command.current_dir(session.dir.path()).env_clear().env("HOME", session.dir.path()).env("PATH", &session.path);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Once for a download, once for the image.
    for blocks in [1, 20_000] {
        let (code, said) = limited(blocks, &build);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("File too large") && said.contains("help: `ulimit -f`"), "{said}");
    }
    assert_eq!(session.images(), Vec::<String>::new());
}
