//! System calls that only Linux has.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;

use rustix::fs::{Advice, fadvise, statfs};
use rustix::process::{Signal, set_parent_process_death_signal};

/// Tells Linux that these bytes are not needed in memory. It starts to write them, or drops them when they are already
/// on the disk (`posix_fadvise(2)`).
pub fn advise_unneeded(file: &File, bytes: &Range<u64>) {
    // A length of 0 would mean the whole file.
    if let Some(len) = NonZeroU64::new(bytes.end.saturating_sub(bytes.start)) {
        let _ = fadvise(file, bytes.start, Some(len), Advice::DontNeed);
    }
}

/// The file system that `path` is on, if it keeps no permission bits.
pub fn without_modes(path: &Path) -> io::Result<Option<&'static str>> {
    // The kernel's magic numbers have 32 bits; the field's width and sign differ from machine to machine.
    Ok(super::by_magic(statfs(path)?.f_type as u32))
}

/// Kills this process, and what it becomes by `exec`, when the thread that made it ends (prctl(2), `PR_SET_PDEATHSIG`).
pub fn end_with_parent() -> io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// All addresses, including loopback; none without `/proc`.
pub fn addresses() -> Vec<Ipv4Addr> {
    std::fs::read_to_string("/proc/net/fib_trie").map(|table| super::fib_trie(&table)).unwrap_or_default()
}
