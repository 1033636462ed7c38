//! What differs between Linux and macOS. Whatever can be parsed or decided without the system is in this file, compiled
//! and tested on every host; each system's file only holds its calls. The macOS file is only compiled, by a CI
//! workflow: no test runs there.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(target_os = "macos")]
use macos as system;

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
compile_error!("labimg runs on Linux and macOS; another system needs a file beside platform/linux.rs");

/// Bytes of a large file that stay in memory. Images of the usual size fit whole: they are read again for flashing.
/// Keeping more would push out other cached files, and allocating memory can then take longer than the writing.
const KEPT: u64 = 2 << 30;

/// Most addresses of this computer that are reported.
const ADDRESSES: usize = 32;

/// Has the system start writing these bytes of `file` to the disk, and drop from memory what lies 2 GiB before them.
/// This is only advice: where it is not supported or not followed, a later sync takes longer.
pub fn begin_writeback(file: &File, written: Range<u64>) {
    if written.is_empty() {
        return;
    }
    let done = let_go(&written);
    system::advise_unneeded(file, &written);
    if let Some(done) = done {
        system::advise_unneeded(file, &done);
    }
}

/// The bytes to drop from memory when `written` comes.
fn let_go(written: &Range<u64>) -> Option<Range<u64>> {
    let start = written.start.checked_sub(KEPT)?;
    Some(start..start + (written.end - written.start))
}

/// The name of the file system that `path` is on, if that one keeps no permission bits: every file has the same ones
/// there, and `chmod` changes nothing.
///
/// # Errors
/// When the system cannot tell, as for a missing file.
pub fn without_modes(path: &Path) -> io::Result<Option<&'static str>> {
    system::without_modes(path)
}

/// By Linux's number of the file system (`linux/magic.h`; those of NTFS, SMB and exFAT are in their drivers).
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn by_magic(number: u32) -> Option<&'static str> {
    match number {
        0x4d44 => Some("FAT"),
        0x2011_bab0 => Some("exFAT"),
        0x5346_544e | 0x7366_746e => Some("NTFS"),
        // FUSE on a block device: ntfs-3g and exfat-fuse.
        0x6573_5546 => Some("NTFS or exFAT"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("a Windows share"),
        _ => None,
    }
}

/// By the name that macOS gives the file system (`statfs(2)`).
#[cfg_attr(not(target_os = "macos"), allow(dead_code))]
fn by_name(name: &[u8]) -> Option<&'static str> {
    match name {
        b"msdos" => Some("FAT"),
        b"exfat" => Some("exFAT"),
        b"ntfs" => Some("NTFS"),
        b"smbfs" => Some("a Windows share"),
        _ => None,
    }
}

/// Has this process end when the thread of its parent that made it does, also after `exec`. On macOS it does nothing.
///
/// # Errors
/// When the system refuses.
pub fn end_with_parent() -> io::Result<()> {
    system::end_with_parent()
}

/// This computer's own IPv4 addresses, without loopback; empty when the system does not tell.
#[must_use]
pub fn own_addresses() -> Vec<Ipv4Addr> {
    usable(system::addresses())
}

fn usable(addresses: Vec<Ipv4Addr>) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    for address in addresses {
        if !address.is_loopback() && !found.contains(&address) && found.len() < ADDRESSES {
            found.push(address);
        }
    }
    found
}

/// Own addresses in Linux's `/proc/net/fib_trie`: a line `|-- ADDRESS` followed by `/32 host LOCAL`.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn fib_trie(table: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn own_addresses_are_found() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 10.0.2.0/24 2 0 2\n\
                     \x20       |-- 10.0.2.0\n           /24 link UNICAST\n        |-- 10.0.2.15\n           /32 host LOCAL\n\
                     \x20       |-- 10.0.2.255\n           /32 link BROADCAST\n     |-- 127.0.0.1\n           /32 host LOCAL\n\
                     Local:\n        |-- 10.0.2.15\n           /32 host LOCAL\n        |-- 192.168.1.2\n           /32 host LOCAL\n";
        assert_eq!(usable(fib_trie(table)), [Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(192, 168, 1, 2)]);
        assert!(usable(fib_trie("")).is_empty());
    }

    #[test]
    fn file_systems_without_modes_are_known() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(without_modes(dir.path()).unwrap(), None);
        assert!(without_modes(&dir.path().join("nothing")).is_err());
        for (number, name) in [(0x4d44, Some("FAT")), (0x2011_bab0, Some("exFAT")), (0xef53, None), (0x0102_1994, None)]
        {
            assert_eq!(by_magic(number), name, "{number:x}");
        }
        assert_eq!((by_name(b"exfat"), by_name(b"apfs")), (Some("exFAT"), None));
    }

    #[test]
    fn addresses_are_bounded() {
        assert_eq!(usable((0..=255).map(|n| Ipv4Addr::new(10, 0, 0, n)).collect()).len(), ADDRESSES);
    }

    #[test]
    fn loopback_is_no_address_of_this_computer() {
        assert!(own_addresses().iter().all(|address| !address.is_loopback()));
    }

    #[test]
    fn only_what_lies_far_back_is_let_go() {
        assert_eq!(let_go(&(0..4096)), None);
        assert_eq!(let_go(&(KEPT - 1..KEPT + 10)), None);
        assert_eq!(let_go(&(KEPT..KEPT + 10)), Some(0..10));
        assert_eq!(let_go(&(KEPT + 5..KEPT + 7)), Some(5..7));
    }

    #[test]
    fn an_advice_changes_no_byte() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 8192], 0).unwrap();
        begin_writeback(&file, 0..8192);
        begin_writeback(&file, 4096..4096);
        let mut read = [0; 8192];
        file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, [7; 8192]);
        assert_eq!(file.metadata().unwrap().len(), 8192);
    }
}
