//! A cache in which bits have flipped: a build never makes another image from it. What is damaged is thrown away with a
//! warning, and fetched or made again; where that is impossible, the build fails and says what to do.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use rustix::fs::{SeekFrom, seek};

use crate::{Session, golden};

/// Flips a bit in the middle of a file; size, time and mode stay.
fn flip(path: &Path) {
    let before = path.metadata().unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let (place, mut byte) = (before.len() / 2, [0]);
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 0x40], place).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    std::fs::set_permissions(path, before.permissions()).unwrap();
}

/// The size of an image, and its data without holes, each with its place.
pub type Bytes = (u64, Vec<(u64, Vec<u8>)>);

/// What is in an image.
pub fn content(image: &Path) -> Bytes {
    let file = File::open(image).unwrap();
    let (mut found, mut at) = (Vec::new(), 0);
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        at = seek(&file, SeekFrom::Hole(start)).unwrap();
        let mut bytes = vec![0; usize::try_from(at - start).unwrap()];
        file.read_exact_at(&mut bytes, start).unwrap();
        found.push((start, bytes));
    }
    (file.metadata().unwrap().len(), found)
}

/// The files of the cache by kind: `blobs`, the kinds of what was made, their sums, `releases`.
fn entries(cache: &Path) -> BTreeMap<String, Vec<PathBuf>> {
    let mut found: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    let mut folders = vec![cache.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let below = path.strip_prefix(cache).unwrap().to_owned();
            let parts: Vec<_> = below.iter().map(|part| part.to_str().unwrap()).collect();
            let kind = match parts.as_slice() {
                _ if path.is_dir() => {
                    folders.push(path);
                    continue;
                }
                ["CACHEDIR.TAG" | "lock"] => continue,
                ["derived", kind, _] if path.extension().is_some_and(|e| e == "sum") => format!("{kind}.sum"),
                ["derived", kind, _] | [kind, ..] => (*kind).to_owned(),
                [] => unreachable!("a file has a name"),
            };
            if path.metadata().unwrap().len() > 0 {
                found.entry(kind).or_default().push(path);
            }
        }
    }
    for paths in found.values_mut() {
        paths.sort();
    }
    found
}

fn succeeded(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

/// All kinds that are known; a new one must come here, too.
const KINDS: [&str; 10] = [
    "blobs",
    "deb-plain-1",
    "deb-plain-1.sum",
    "depmod-1",
    "depmod-1.sum",
    "initramfs-1",
    "initramfs-1.sum",
    "packages-table-1",
    "packages-table-1.sum",
    "releases",
];

#[test]
fn a_damaged_cache_mends_itself_and_gives_the_same_image() {
    let session = Session::with_archive();
    let from = golden::lab_with_everything(&session);
    let run = |args: &[&str]| {
        let from: Vec<&str> = from.iter().map(String::as_str).collect();
        session.unheard(&[args, &from, &["--quiet"]].concat())
    };
    let image = || content(&session.path("home/master-virt.img"));
    succeeded(&run(&["lock"]));
    let lock = session.read("home/labimg.lock");
    let locked: &[&str] = &["build", "master", "--locked", "-o", "home"];
    let unlocked: &[&str] = &["build", "master", "-o", "home"];
    for args in [locked, unlocked] {
        succeeded(&run(args));
        let sound = image();
        let cache = entries(&session.path("cache"));
        assert_eq!(cache.keys().collect::<Vec<_>>(), KINDS);
        // What an unlocked build needs besides: package lists and records of releases.
        let asked = |kind: &str| kind.starts_with("packages-table") || kind == "releases";
        for (kind, paths) in cache.iter().filter(|(kind, _)| asked(kind) == (args == unlocked)) {
            // The last one is of a package that is in every image.
            flip(paths.last().unwrap());
            succeeded(&run(args));
            assert!(image() == sound, "{kind}: another image");
        }
        // All at once: nothing that a build reads is believed.
        let all: Vec<PathBuf> = entries(&session.path("cache")).into_values().flatten().collect();
        for path in &all {
            flip(path);
        }
        let said = succeeded(&run(args));
        assert!(image() == sound, "another image");
        for kind in ["of deb-plain-1 is damaged", "of depmod-1 ", "of initramfs-1 ", "of k3s "] {
            assert!(said.contains(kind), "{kind}: {said}");
        }
        let more: &[&str] = if args == unlocked {
            &["of packages-table-1 ", "/InRelease is damaged, and forgotten", "sha256sum-arm64.txt is damaged"]
        } else {
            // Only a lock brings charts into an image.
            &["of chart nfs-"]
        };
        for kind in more {
            assert!(said.contains(kind), "{kind}: {said}");
        }
        assert_eq!(succeeded(&run(args)), "", "it is mended");
        assert!(image() == sound, "another image");
    }
    succeeded(&run(&["lock"]));
    assert_eq!(session.read("home/labimg.lock"), lock);
    // Only what no build needed is left.
    succeeded(&session.unheard(&["cache", "verify", "--cache", "cache"]));
    assert_eq!(succeeded(&run(locked)), "");
}

/// A cache of labimg 0.1.0, and no network.
#[test]
fn without_a_network_a_damaged_cache_is_an_error_or_the_same_image() {
    let session = golden::session("0.1.0");
    let run = || session.unheard(&golden::build("master"));
    succeeded(&run());
    let sound = content(&session.path("new.img"));
    let backup = session.path("backup");
    std::fs::rename(session.path("cache"), &backup).unwrap();
    let restore = || {
        let _ = std::fs::remove_dir_all(session.path("cache"));
        crate::copy(&backup, &session.path("cache"));
    };
    restore();
    let cache = entries(&session.path("cache"));
    let (mut refused, mut made_again) = (0, 0);
    let package = |path: &Path| session.path("backup/derived/deb-plain-1").join(path.file_name().unwrap()).exists();
    let (packages, others): (Vec<&PathBuf>, Vec<&PathBuf>) = cache["blobs"].iter().partition(|path| package(path));
    let one_of_each = cache.iter().filter(|(kind, _)| *kind != "blobs").map(|(_, paths)| &paths[0]);
    for path in packages.into_iter().take(1).chain(others).chain(one_of_each) {
        restore();
        let name = path.strip_prefix(session.path("cache")).unwrap().display().to_string();
        let plain = session.path("cache/derived/deb-plain-1").join(path.file_name().unwrap());
        flip(path);
        if name.starts_with("blobs/") && plain.exists() {
            // A package file is only read when its plain form is of no use.
            flip(&plain);
        }
        let _ = std::fs::remove_file(session.path("new.img"));
        let output = run();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            made_again += usize::from(said.contains("is damaged: "));
        } else {
            refused += 1;
            let hash = name.rsplit('/').next().unwrap();
            for part in ["is damaged: blob ", hash, "error: ", "help: "] {
                assert!(said.contains(part), "{name}: no `{part}` in {said}");
            }
            // All but the manifests of container images, whose size no lock has, are fetched like packages.
            if !said.contains("the manifest of") {
                assert!(said.contains("whose copy in the cache was damaged") && said.contains("--cache"), "{said}");
            }
            assert!(name.starts_with("blobs/"), "{name}: {said}");
            assert!(!session.path("new.img").exists());
            continue;
        }
        assert!(content(&session.path("new.img")) == sound, "{name}: another image: {said}");
    }
    assert!(refused > 5 && made_again > 2, "{refused} and {made_again} of {cache:?}");

    // A cache that may not be written: nothing can be thrown away, so nothing is built.
    restore();
    let path = cache["initramfs-1"].first().unwrap();
    flip(path);
    let folders = ["cache/blobs/sha256", "cache/derived", "cache/tmp"].map(|folder| session.path(folder));
    let mode = |mode| {
        for folder in &folders {
            std::fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
        }
    };
    mode(0o500);
    let output = run();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("left, as the cache may not be written"), "{said}");
    assert!(said.contains("may not be written and lacks `initramfs-1 "), "{said}");
    mode(0o700);
}
