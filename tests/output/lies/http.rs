//! What any server can answer, at each place that labimg asks. A usual run takes a part of the rows, another one for each
//! seed; `scripts/test --long` all of them, and servers that drip or fall silent, which labimg bears for a minute or two.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{HTML, INDEX, RELEASE, Row, World};
use labimg_testkit::http_server::Act;
use labimg_testkit::random::long;

/// An answer in raw bytes.
fn raw(head: &str, body: &[u8]) -> Act {
    let mut answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n").into_bytes();
    answer.extend(body);
    Act::Raw(answer)
}

fn status(code: u16, headers: &str) -> Act {
    Act::Status(code, headers.to_owned())
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The same with one bit turned over, in the middle.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut other = bytes.to_vec();
    other[bytes.len() / 2] ^= 0x10;
    other
}

type Lie = (&'static str, fn(&str, &[u8]) -> Act, &'static [&'static str]);

/// What any server can answer instead of a file: a name, the answer to a path with these bytes, and what is said of it where
/// it matters.
const LIES: &[Lie] = &[
    ("half", |_, all| raw(&length(all.len()), &all[..all.len() / 2]), &[]),
    ("a length too short", |_, all| raw(&length(all.len() / 2), all), &[]),
    ("no end", |_, _| Act::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()), &[]),
    ("no end, as announced", |_, _| Act::Endless(format!("HTTP/1.1 200 OK\r\n{}\r\n", length(1 << 45)).into()), &[]),
    ("round and round", |path, _| status(302, &format!("Location: {path}\r\n")), &["sends on more than 10 times"]),
    (
        "a file of this computer",
        |_, _| status(302, "Location: file:///etc/hostname\r\n"),
        &["sends on to file:///etc/hostname, which is not an HTTP address"],
    ),
    ("nowhere", |_, _| status(302, ""), &["sends on without saying where to"]),
    ("a bit turned over", |_, all| Act::Instead(flipped(all)), &[]),
    ("nothing", |_, _| Act::Instead(Vec::new()), &[]),
    ("a page to log in", |_, _| Act::Instead(HTML.to_vec()), &[]),
    ("not for everybody", |_, _| status(403, ""), &[]),
    ("no such file", |_, _| status(404, ""), &[]),
    ("gone", |_, _| status(410, ""), &["answered 410 Gone"]),
    ("too many requests", |_, _| status(429, "Retry-After: 1\r\n"), &["answered 429", "try again later"]),
    ("a server that is broken", |_, _| status(500, ""), &["answered 500", "try again later"]),
    ("a server that is busy", |_, _| status(503, ""), &["answered 503", "try again later"]),
    ("busy for long", |_, _| status(503, "Retry-After: 3600\r\n"), &["answered 503", "try again later"]),
    (
        "chunks that break off",
        |_, all| {
            let size = format!("{:x}\r\n", all.len());
            raw("Transfer-Encoding: chunked\r\n", &[size.as_bytes(), &all[..all.len() / 2]].concat())
        },
        &[],
    ),
    (
        "packed unasked",
        |_, all| {
            let body = packed(all);
            raw(&format!("Content-Encoding: gzip\r\n{}", length(body.len())), &body)
        },
        &[],
    ),
    ("a huge head", |_, all| raw(&format!("X: {}\r\n", "x".repeat(1 << 20)), all), &["cut after 0 bytes"]),
    ("another protocol", |_, _| Act::Raw(b"SSH-2.0-OpenSSH_10.0\r\n".to_vec()), &["cut after 0 bytes"]),
];

/// Those that labimg bears for a while.
const SLOW: &[Lie] = &[
    ("silence", |_, _| Act::StallAfter(0), &["nothing came for 30 s"]),
    ("drops", |_, _| Act::Slow(1, Duration::from_secs(1)), &["bytes came in 60 s"]),
];

fn length(bytes: usize) -> String {
    format!("Content-Length: {bytes}\r\n")
}

/// The rows of a run, and the seed that chose them.
pub(super) fn rows(world: &World, seed: u64) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for (at, place) in world.places.iter().enumerate() {
        let lies = LIES.iter().chain(SLOW.iter().filter(|_| long())).enumerate();
        for (number, (what, act, says)) in lies {
            let all = world.content(&place.path);
            // The index is not signed: with another bit it may say the same. And a small file comes however slowly.
            let is_harmless =
                place.path == INDEX && *what == "a bit turned over" || *what == "drops" && all.len() < 1000;
            if is_harmless || !long() && !(at + number + (seed / 2) as usize).is_multiple_of(PART) {
                continue;
            }
            // A suite that is not there may be a mistake in the command.
            let code = if place.path == RELEASE && *what == "no such file" { 2 } else { 1 };
            let acts = vec![(place.path.as_str(), act(&place.path, &all))];
            let says = says.iter().map(|words| (*words).to_owned()).collect();
            let what = (*what).to_owned();
            rows.push(Row { what, path: &place.path, asks: place.asks, acts, code, says, after: false });
        }
    }
    rows
}

/// A usual run tries one of so many rows.
const PART: usize = 12;
