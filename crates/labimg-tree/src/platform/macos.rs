//! System calls of macOS. Only compiled, by a CI workflow: no test runs on macOS.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use rustix::fs::statfs;

/// macOS has no `posix_fadvise`; its kernel starts to write on its own.
pub fn advise_unneeded(_file: &File, _bytes: &Range<u64>) {}

/// The file system that `path` is on, if it keeps no permission bits.
pub fn without_modes(path: &Path) -> io::Result<Option<&'static str>> {
    let name: Vec<u8> = statfs(path)?.f_fstypename.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
    Ok(super::by_name(&name))
}

/// macOS cannot do that: what a killed program started goes on.
pub fn end_with_parent() -> io::Result<()> {
    Ok(())
}

/// All addresses, including loopback.
pub fn addresses() -> Vec<Ipv4Addr> {
    let interfaces = getifaddrs().into_iter().flatten();
    interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip())).collect()
}
