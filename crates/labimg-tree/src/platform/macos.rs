//! System calls of macOS. Only compiled, by a CI workflow: no test runs on macOS.

use std::fs::File;
use std::net::Ipv4Addr;
use std::ops::Range;

use nix::ifaddrs::getifaddrs;

/// macOS has no `posix_fadvise`; its kernel starts to write on its own.
pub fn advise_unneeded(_file: &File, _bytes: &Range<u64>) {}

/// All addresses, including loopback.
pub fn addresses() -> Vec<Ipv4Addr> {
    let interfaces = getifaddrs().into_iter().flatten();
    interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip())).collect()
}
