use super::*;
use proptest::prelude::*;

/// An archive made with the `tar` crate, an independent writer.
fn archive(build: impl FnOnce(&mut ::tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    builder.mode(::tar::HeaderMode::Deterministic);
    build(&mut builder);
    builder.into_inner().unwrap()
}

fn file(builder: &mut ::tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = ::tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o4755);
    header.set_mtime(1_700_000_000);
    header.set_username("root").unwrap();
    header.set_groupname("shadow").unwrap();
    header.set_gid(42);
    builder.append_data(&mut header, path, content).unwrap();
}

fn link(builder: &mut ::tar::Builder<Vec<u8>>, kind: ::tar::EntryType, path: &str, target: &str) {
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(0);
    builder.append_link(&mut header, path, target).unwrap();
}

fn read(tar: &[u8]) -> Result<Vec<TarEntry>, TarError> {
    Entries::new(Whole(tar)).collect()
}

#[test]
fn files_links_and_long_names() {
    let long = format!("usr/{}/end", "long/".repeat(60));
    let tar = archive(|b| {
        file(b, "bin/a", b"content");
        link(b, ::tar::EntryType::Link, "bin/b", "bin/a");
        link(b, ::tar::EntryType::Symlink, "bin/c", &long);
        file(b, &long, b"");
    });
    let entries = read(&tar).unwrap();
    assert_eq!(entries.len(), 4);
    let EntryKind::File { offset, size } = entries[0].kind else { panic!("{:?}", entries[0]) };
    assert_eq!(&tar[offset as usize..][..size as usize], b"content");
    assert_eq!((entries[0].mode, entries[0].gid, entries[0].group.as_str()), (0o4755, 42, "shadow"));
    assert_eq!(entries[0].mtime, 1_700_000_000);
    assert_eq!(entries[1].kind, EntryKind::HardLink(b"bin/a".to_vec()));
    assert_eq!(entries[2].kind, EntryKind::Symlink(long.clone().into_bytes()));
    assert_eq!(entries[3].path, long.into_bytes());
}

#[test]
fn pax_records_stand_above_the_header() {
    let tar = archive(|b| {
        b.append_pax_extensions([
            ("path", "real/name".as_bytes()),
            ("SCHILY.xattr.security.capability", b"\x01\0\0\x02"),
            ("mtime", b"5.25"),
        ])
        .unwrap();
        file(b, "short", b"x");
        file(b, "next", b"y");
    });
    let entries = read(&tar).unwrap();
    assert_eq!(entries[0].path, b"real/name");
    assert_eq!(entries[0].mtime, 5);
    assert_eq!(entries[0].xattrs["security.capability"], b"\x01\0\0\x02");
    assert_eq!(entries[1].path, b"next");
    assert!(entries[1].xattrs.is_empty());
}

#[test]
fn headers_alone_give_the_same_entries() {
    let tar = archive(|b| {
        for n in 0..20 {
            file(b, &format!("file{n}/{}", "x".repeat(n * 20)), &vec![1; n * 333]);
        }
    });
    let whole = read(&tar).unwrap();
    let mut headers = tar.clone();
    for entry in whole.iter().rev() {
        if let EntryKind::File { offset, size } = entry.kind {
            headers.drain(offset as usize..(offset + size).next_multiple_of(512) as usize);
        }
    }
    let alone: Vec<_> = Entries::new(HeadersOnly(&headers)).map(Result::unwrap).collect();
    assert_eq!(alone, whole);
}

#[test]
fn an_archive_that_is_cut_off_or_changed_is_refused() {
    let tar = archive(|b| file(b, "a", &[7; 600]));
    assert!(read(&tar).is_ok());
    for len in [0, 1, 511, 512, 600, 1024, 1536] {
        assert!(matches!(read(&tar[..len]), Err(TarError::Bad { .. })), "{len}");
    }
    let mut changed = tar.clone();
    changed[0] ^= 1;
    assert!(read(&changed).unwrap_err().to_string().contains("checksum"));
}

#[test]
fn a_huge_size_ends_in_an_error() {
    let mut header = ::tar::Header::new_gnu();
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    let mut tar = header.as_bytes().to_vec();
    tar.extend([0; 1024]);
    assert!(read(&tar).is_err());
    assert!(Entries::new(HeadersOnly(&tar)).next().unwrap().is_err());
    header.set_entry_type(::tar::EntryType::GNULongName);
    header.set_cksum();
    assert!(read(header.as_bytes()).unwrap_err().to_string().contains("1 MiB"));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let _ = read(&bytes);
    }

    #[test]
    fn a_changed_archive_never_panics(at in 0usize..3000, to in any::<u8>(), at2 in 0usize..3000, to2 in any::<u8>()) {
        let mut tar = archive(|b| {
            b.append_pax_extensions([("path", &b"real/name"[..])]).unwrap();
            file(b, "a", &[7; 600]);
            link(b, ::tar::EntryType::Symlink, "l", &"t".repeat(120));
        });
        for (at, to) in [(at, to), (at2, to2)] {
            if let Some(byte) = tar.get_mut(at) {
                *byte = to;
            }
        }
        for start in (0..tar.len()).step_by(512) {
            // Corrects the checksum, so that it does not catch the change.
            if tar[start..].len() >= 512 && tar[start + 257..].starts_with(b"ustar") {
                tar[start + 148..start + 156].fill(b' ');
                let sum: u32 = tar[start..start + 512].iter().map(|&b| u32::from(b)).sum();
                tar[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let _ = read(&tar);
    }

    #[test]
    fn what_is_written_is_read(files in proptest::collection::vec(("[a-z]{1,120}(/[a-z]{1,60}){0,3}", 0usize..2000), 1..8)) {
        let tar = archive(|b| for (path, len) in &files {
            file(b, path, &vec![b'x'; *len]);
        });
        let entries = read(&tar).unwrap();
        prop_assert_eq!(entries.len(), files.len());
        for (entry, (path, len)) in entries.iter().zip(&files) {
            prop_assert_eq!(&entry.path, path.as_bytes());
            let EntryKind::File { offset, size } = entry.kind else { panic!() };
            prop_assert_eq!(size, *len as u64);
            prop_assert!(tar[offset as usize..][..*len].iter().all(|&b| b == b'x'));
        }
    }
}
