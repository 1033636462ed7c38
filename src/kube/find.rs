//! Finds the master: first with the system's resolver, then with our own mDNS query.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::access::bare;
use super::{KubeError, mdns};
use labimg_tree::interrupt;

/// How often a waiting thread checks whether it should stop.
const TICK: Duration = Duration::from_millis(100);

/// Longest wait for the system's resolver, which sets no limit of its own.
const RESOLVER: Duration = Duration::from_secs(10);

/// Longest wait for an answer by mDNS.
const MDNS: Duration = Duration::from_secs(3);

/// `HOST:PORT` as a user gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address; IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not HOST:PORT, such as 127.0.0.1:16443");
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        // Without brackets, the last part of an IPv6 address would pass for a port.
        if host.is_empty() || (host.contains(':') && !host.starts_with('[')) {
            return Err(bad());
        }
        Ok(Self { host: bare(host).to_owned(), port: port.parse().map_err(|_| bad())? })
    }
}

/// The addresses of a host, in the order in which to try them.
///
/// # Errors
/// [`KubeError::NameNotFound`] when neither the system nor the local network knows it, [`KubeError::Interrupted`].
pub fn find(host: &str) -> Result<Vec<IpAddr>, KubeError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let name = host.to_owned();
    // The resolver needs a port, but it is not used.
    let known = patiently(RESOLVER, move || {
        (name.as_str(), 0).to_socket_addrs().map(|found| found.map(|a| a.ip()).collect::<Vec<_>>()).unwrap_or_default()
    })?;
    let mut known = known.unwrap_or_default();
    if known.is_empty() && is_local(host) {
        let name = host.to_owned();
        known = patiently(MDNS + RESOLVER, move || mdns::query(&name, MDNS))?.unwrap_or_default();
    }
    // IPv4 first: a link-local IPv6 address is of no use without its interface.
    known.retain(|address| !is_link_local(address));
    known.sort_by_key(IpAddr::is_ipv6);
    known.dedup();
    if known.is_empty() { Err(KubeError::NameNotFound { host: host.to_owned() }) } else { Ok(known) }
}

/// Names that mDNS is for (RFC 6762, section 3).
fn is_local(host: &str) -> bool {
    host.trim_end_matches('.').to_ascii_lowercase().ends_with(".local")
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Runs something that cannot be interrupted in a thread, and meanwhile checks whether the user wants to stop. `None`
/// when it takes longer than `limit` or its thread fails.
pub(super) fn patiently<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>, KubeError> {
    let (sender, receiver) = sync_channel(1);
    let begun = Instant::now();
    let thread = std::thread::Builder::new().name("kube".into()).spawn(move || {
        // After an interrupt the receiver is gone.
        let _ = sender.send(work());
    });
    thread.map_err(|e| KubeError::Setup(format!("no thread: {e}")))?;
    loop {
        interrupt::check()?;
        match receiver.recv_timeout(TICK) {
            Ok(done) => return Ok(Some(done)),
            Err(RecvTimeoutError::Timeout) if begun.elapsed() < limit => {}
            Err(_) => return Ok(None),
        }
    }
}

/// The socket addresses of `addresses` at `port`.
pub(super) fn at_port(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|address| SocketAddr::new(*address, port)).collect()
}
