//! One-shot mDNS queries (RFC 6762, section 5.1; messages as in RFC 1035, section 4).
//!
//! The query is sent from an ordinary port, so answers only come back to that port (section 6.7). It is sent on every
//! network of this computer: a socket bound to an address sends multicasts through that address's interface on Linux.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::{Duration, Instant};

use labimg_tree::platform;

/// Where mDNS responders listen.
const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);

/// When the query is repeated after the first time.
const AGAIN: Duration = Duration::from_secs(1);

/// Longest single wait for an answer.
const TICK: Duration = Duration::from_millis(50);

/// How long to wait for more addresses after the first answer.
const MORE: Duration = Duration::from_millis(150);

/// Largest mDNS message in bytes (RFC 6762, section 17).
const MESSAGE: usize = 9000;

/// Most records that are read from an answer.
const RECORDS: usize = 256;

/// Longest name in bytes (RFC 1035, section 2.3.4).
const NAME: usize = 255;

const A: u16 = 1;
const AAAA: u16 = 28;
const INTERNET: u16 = 1;

/// Queries all networks for `name` and returns the addresses that arrive within `limit`; empty when there are none.
pub(super) fn query(name: &str, limit: Duration) -> Vec<IpAddr> {
    let Some(message) = question(name) else { return Vec::new() };
    let mut addresses = platform::own_addresses();
    // Without a list, use the network of the default route.
    addresses.push(Ipv4Addr::UNSPECIFIED);
    let sockets: Vec<UdpSocket> = addresses.iter().filter_map(|address| socket(*address).ok()).collect();
    ask(&sockets, GROUP, name, &message, limit)
}

fn socket(address: Ipv4Addr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((address, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Sends the query from every socket to `group` and collects the answers.
pub(super) fn ask(
    sockets: &[UdpSocket],
    group: (Ipv4Addr, u16),
    name: &str,
    message: &[u8],
    limit: Duration,
) -> Vec<IpAddr> {
    let begun = Instant::now();
    let (mut end, mut asked) = (begun + limit, None::<Instant>);
    let (mut found, mut buffer) = (Vec::new(), vec![0; MESSAGE]);
    while Instant::now() < end {
        if asked.is_none_or(|at| at.elapsed() >= AGAIN) {
            for socket in sockets {
                // If one network is down, the others are still queried.
                let _ = socket.send_to(message, group);
            }
            asked = Some(Instant::now());
        }
        let mut idle = true;
        for socket in sockets {
            let Ok((size, _)) = socket.recv_from(&mut buffer) else { continue };
            idle = false;
            for address in parse_answer(buffer.get(..size).unwrap_or_default(), name) {
                if !found.contains(&address) {
                    found.push(address);
                    end = end.min(Instant::now() + MORE);
                }
            }
        }
        if idle {
            std::thread::sleep(TICK.min(end.saturating_duration_since(Instant::now())));
        }
    }
    found
}

/// A query for both kinds of address; `None` when the name is not a valid DNS name.
pub(super) fn question(name: &str) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    for label in name.trim_end_matches('.').split('.') {
        if label.is_empty() || label.len() > 63 {
            return None;
        }
        labels.push(label.len() as u8);
        labels.extend_from_slice(label.as_bytes());
    }
    labels.push(0);
    if labels.len() > NAME {
        return None;
    }
    // Identifier 0, as in mDNS; a standard query; two questions.
    let mut message = vec![0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0];
    for kind in [A, AAAA] {
        message.extend_from_slice(&labels);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&INTERNET.to_be_bytes());
    }
    Some(message)
}

/// The addresses for `name` in an mDNS answer; none when it is not an answer, truncated, or about other names.
#[must_use]
pub fn parse_answer(message: &[u8], name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    // Records before the damage are not used either.
    if read_answer(message, name.trim_end_matches('.'), &mut found).is_none() {
        found.clear();
    }
    found
}

fn read_answer(message: &[u8], wanted: &str, found: &mut Vec<IpAddr>) -> Option<()> {
    let number = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let flags = number(2)?;
    // A response (QR) to a standard query (opcode 0), complete (TC clear), without error (rcode 0).
    if flags & 0xfa0f != 0x8000 {
        return None;
    }
    let questions = usize::from(number(4)?);
    let records = usize::from(number(6)?) + usize::from(number(8)?) + usize::from(number(10)?);
    if questions + records > RECORDS {
        return None;
    }
    let mut at = 12;
    for _ in 0..questions {
        at = read_name(message, at)?.1 + 4;
    }
    for _ in 0..records {
        let (name, after) = read_name(message, at)?;
        let (kind, class, size) = (number(after)?, number(after + 2)?, usize::from(number(after + 8)?));
        let data = message.get(after + 10..after + 10 + size)?;
        at = after + 10 + size;
        // The first bit of the class tells caches to drop older records (RFC 6762, section 10.2).
        if class & 0x7fff != INTERNET || !name.eq_ignore_ascii_case(wanted.as_bytes()) {
            continue;
        }
        match kind {
            A => found.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?).into()),
            AAAA => found.push(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into()),
            _ => {}
        }
    }
    Some(())
}

/// The name at an offset, its labels joined by dots, and the offset after it. Compression pointers point backwards (RFC
/// 1035, section 4.1.4). Here each must point further back than the one before, so there is no loop.
fn read_name(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let (mut at, mut bound, mut after) = (start, start, None);
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some((name, after.unwrap_or(at + 1))),
            1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push(b'.');
                }
                name.extend_from_slice(label);
                if name.len() > NAME {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            0xc0.. => {
                let target = usize::from(length & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                after = after.or(Some(at + 2));
                if target >= bound {
                    return None;
                }
                (at, bound) = (target, target);
            }
            _ => return None,
        }
    }
}
