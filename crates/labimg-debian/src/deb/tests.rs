use std::error::Error as _;
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::*;
use labimg_tree::fault::causes;
use labimg_tree::interrupt;

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1_600_000_000);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn ar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = ::ar::Builder::new(Vec::new());
    for (name, content) in members {
        builder.append(&::ar::Header::new(name.as_bytes().to_vec(), content.len() as u64), *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    liblzma::read::XzEncoder::new(bytes, 1).read_to_end(&mut out).unwrap();
    out
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut out).unwrap();
    out
}

fn control() -> Vec<u8> {
    tar_of(&[("control", b"Package: a\nVersion: 1\nArchitecture: all\n"), ("postinst", b"#!/bin/sh\n")])
}

fn data() -> Vec<u8> {
    // xorshift does not compress, so damage in the middle hits the compressed data.
    let mut state = 1u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    let noise: Vec<u8> = (0..50_000).map(|_| next()).collect();
    tar_of(&[("usr/bin/a", &noise), ("usr/share/b", b"b")])
}

fn sound() -> Vec<u8> {
    ar_of(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &xz(&control())), ("data.tar.xz", &xz(&data()))])
}

/// Writes the package file, decompresses it and reads the plain form.
fn read(deb: &[u8]) -> Result<Deb, DebError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.deb");
    std::fs::write(&path, deb).unwrap();
    let plain = folder.path().join("plain");
    decompress(&path, &mut std::fs::File::create(&plain).unwrap())?;
    Deb::from_plain(Blob::open(plain).unwrap())
}

#[test]
fn every_compression_gives_the_same() {
    let (control, data) = (control(), data());
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    for members in [
        [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar", &data)],
        [("debian-binary", b"2.0\n"), ("control.tar.gz", &gzip(&control)), ("data.tar.gz", &gzip(&data))],
        [("debian-binary", b"2.0\n"), ("control.tar.xz", &xz(&control)), ("data.tar.zst", &zst(&data))],
        [("debian-binary", b"2.1\n"), ("control.tar.zst", &zst(&control)), ("data.tar.xz", &xz(&data))],
    ] {
        let deb = read(&ar_of(&members)).unwrap();
        assert_eq!(deb.control["postinst"], b"#!/bin/sh\n");
        assert_eq!(deb.control_time, 1_600_000_000);
        assert_eq!(deb.entries.len(), 2);
        assert_eq!(deb.content(&deb.entries[1]).unwrap().to_vec().unwrap(), b"b");
        assert_eq!(deb.content(&deb.entries[0]).unwrap().to_vec().unwrap(), &data[512..512 + 50_000]);
    }
}

#[test]
fn faults_are_named() {
    let (control, data) = (xz(&control()), xz(&data()));
    let binary: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let mut flipped = data.clone();
    flipped[30_000] ^= 1;
    let mut long = data.clone();
    long.truncate(long.len() - 20);
    for (members, member, what) in [
        (vec![("debian-binary", &b"3.0\n"[..])], "debian-binary", "`3.0` is not 2.0"),
        (vec![("control.tar.xz", &control[..])], "control.tar.xz", "debian-binary was expected"),
        (vec![binary, ("control.tar.xz", &control)], "data.tar", "missing"),
        (vec![binary, ("control.tar.bz2", &control)], "control.tar.bz2", "not supported"),
        (vec![binary, ("control.tar.xz", &data)], "control.tar.xz", "not a plain file"),
        (vec![binary, ("control.tar.xz", &control), ("data.tar.xz", &flipped)], "data.tar.xz", ""),
        (vec![binary, ("control.tar.xz", &control), ("data.tar.xz", &long)], "data.tar.xz", ""),
        (vec![binary, ("control.tar.xz", &control), ("data.tar.xz", b"no xz")], "data.tar.xz", ""),
    ] {
        let error = read(&ar_of(&members)).unwrap_err();
        let text = error.to_string();
        assert!(matches!(&error, DebError::Bad { member: m, .. } if m == member), "{text}");
        assert!(text.contains("a.deb") && text.contains(what), "{text}");
        assert_eq!(error.source().is_some(), text.ends_with("cannot be unpacked"), "{error:?}");
        assert!(error.help().unwrap().contains("fetch the file again"), "{error:?}");
    }
    assert!(read(b"").unwrap_err().to_string().contains("ar archive"));
}

#[test]
fn a_package_cut_off_anywhere_is_refused() {
    let deb = sound();
    assert!(read(&deb).is_ok());
    for len in (0..deb.len()).step_by(997).chain(deb.len() - 40..deb.len() - 1) {
        assert!(matches!(read(&deb[..len]), Err(DebError::Bad { .. })), "{len} of {}", deb.len());
    }
}

#[test]
fn a_full_disk_is_not_a_damaged_package() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.deb");
    for deb in
        [sound(), ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control()), ("data.tar", &vec![0; 1024])])]
    {
        std::fs::write(&path, deb).unwrap();
        let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let error = decompress(&path, &mut full).unwrap_err();
        assert!(matches!(&error, DebError::Write(e) if e.kind() == io::ErrorKind::StorageFull), "{error}");
    }
    // Beyond the write buffer, in the middle of a file.
    let large = tar_of(&[("a", &vec![7; 3 << 20])]);
    std::fs::write(&path, ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control()), ("data.tar", &large)]))
        .unwrap();
    let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    assert!(matches!(decompress(&path, &mut full), Err(DebError::Write(_))));
}

#[test]
fn members_with_an_underscore_are_passed_over() {
    let deb = ar_of(&[
        ("debian-binary", b"2.0\n"),
        ("_gpgorigin", b"odd"),
        ("control.tar", &control()),
        ("_x", b""),
        ("data.tar", &data()),
        ("_after", b"x"),
    ]);
    assert_eq!(read(&deb).unwrap().entries.len(), 2);
}

#[test]
fn a_bomb_in_the_control_archive_goes_no_further_than_its_limit() {
    let bomb = xz(&vec![0; 70 << 20]);
    let deb = ar_of(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &bomb), ("data.tar", &data())]);
    assert!(read(&deb).unwrap_err().to_string().contains("64 MiB"));
}

#[test]
fn a_changed_plain_form_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (deb, plain) = (folder.path().join("a.deb"), folder.path().join("plain"));
    std::fs::write(&deb, sound()).unwrap();
    let mut file = std::fs::File::options().read(true).write(true).create_new(true).open(&plain).unwrap();
    decompress(&deb, &mut file).unwrap();
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    let read = |bytes: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        Deb::from_plain(Blob::open(file.path()).unwrap())
    };
    assert!(read(&bytes).is_ok());
    assert!(matches!(read(&bytes[..bytes.len() - 1]), Err(DebError::Plain { .. })));
    assert!(matches!(read(&bytes[1..]), Err(DebError::Plain { .. })));
    assert!(matches!(read(&[]), Err(DebError::Plain { .. })));
}

#[test]
fn the_store_keeps_the_plain_form() {
    interrupt::check().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = labimg_store::Store::open(folder.path()).unwrap();
    let reporter = labimg_tree::progress::Silent;
    let bytes = sound();
    let sha256 = store.put(&bytes, &reporter).unwrap();
    let locked = crate::lock::LockedPackage {
        name: "a".into(),
        version: "1".into(),
        architecture: "all".into(),
        size: bytes.len() as u64,
        sha256,
        archive: crate::lock::ArchiveName::Debian,
        path: String::new(),
        urls: Vec::new(),
        auto: false,
    };
    let all = open_all(&store, std::slice::from_ref(&locked), &reporter).unwrap();
    assert_eq!(all[0].1.entries.len(), 2);
    // The second time the package file itself is no longer needed.
    std::fs::remove_file(store.blob(&sha256, "it", &reporter).unwrap().unwrap().path()).unwrap();
    assert_eq!(open::open(&store, &sha256, &reporter).unwrap().entries, all[0].1.entries);
    let missing = crate::lock::LockedPackage { sha256: Sha256::of("other"), name: "b".into(), ..locked };
    let error = open_all(&store, &[missing], &reporter).unwrap_err();
    assert!(error.to_string().contains("package b 1"), "{error}");
    assert!(causes(&error)[0].contains("not in the cache"), "{error:?}");
    assert_eq!(error.help().as_deref(), Some("fetch the file first"));
    assert!(Path::new(folder.path()).exists());
}
