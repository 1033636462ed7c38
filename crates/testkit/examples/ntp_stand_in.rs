//! A stand-in for an NTP server (RFC 5905, server mode): answers with the host's clock, which it treats as exact.
//!
//! For tests. A machine in QEMU reaches the host's 127.0.0.1 as 10.0.2.2: `ntp_stand_in 127.0.0.1:123`, as root.
#![allow(clippy::print_stdout)]

use std::net::UdpSocket;
use std::time::SystemTime;

/// Seconds from 1900 (NTP) to 1970 (Unix).
const ERA: u64 = 2_208_988_800;

fn now() -> [u8; 8] {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    (((since.as_secs() + ERA) << 32) | fraction).to_be_bytes()
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:123".to_owned());
    let socket = UdpSocket::bind(&address)?;
    println!("NTP stand-in on {address}: the host's own clock");
    let mut request = [0; 512];
    loop {
        let (len, from) = socket.recv_from(&mut request)?;
        if len < 48 || request[0] & 7 != 3 {
            continue;
        }
        let received = now();
        let mut answer = [0; 48];
        // No leap second, the request's version, server mode.
        answer[0] = (request[0] & 0x38) | 4;
        answer[1] = 1;
        answer[2] = request[2];
        answer[3] = 0xec;
        answer[12..16].copy_from_slice(b"LOCL");
        answer[16..24].copy_from_slice(&received);
        answer[24..32].copy_from_slice(&request[40..48]);
        answer[32..40].copy_from_slice(&received);
        answer[40..48].copy_from_slice(&now());
        socket.send_to(&answer, from)?;
    }
}
