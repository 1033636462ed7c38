//! Tests of mDNS queries and answers.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::kube::mdns::{ask, parse_answer, question};

/// A name as labels.
fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').flat_map(|l| [&[l.len() as u8][..], l.as_bytes()].concat());
    labels.chain([0]).collect()
}

fn record(name: &[u8], kind: u16, class: u16, data: &[u8]) -> Vec<u8> {
    let size = (data.len() as u16).to_be_bytes();
    [name, &kind.to_be_bytes(), &class.to_be_bytes(), &[0, 0, 0, 120], &size, data].concat()
}

/// An answer as a responder sends it: it repeats the question for `master.local` and has these records.
fn answer(records: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![0, 0, 0x84, 0, 0, 1, 0, records.len() as u8, 0, 0, 0, 0];
    message.extend(name("master.local"));
    message.extend([0, 1, 0, 1]);
    message.extend(records.concat());
    message
}

/// A compression pointer to the question's name.
const SAME: [u8; 2] = [0xc0, 12];

#[test]
fn a_question_asks_for_both_kinds() {
    let message = question("master.local").unwrap();
    let expected = [
        &[0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0][..],
        b"\x06master\x05local\x00\x00\x01\x00\x01",
        b"\x06master\x05local\x00\x00\x1c\x00\x01",
    ];
    assert_eq!(message, expected.concat());
    assert_eq!(question("master.local."), Some(message));
    let long = format!("{}.local", "a".repeat(64));
    let many = vec!["a"; 130].join(".");
    for bad in ["", ".local", "a..local", long.as_str(), many.as_str()] {
        assert_eq!(question(bad), None, "{bad}");
    }
}

#[test]
fn addresses_of_the_name_are_taken_and_no_others() {
    let six: IpAddr = "fd00::7".parse().unwrap();
    let IpAddr::V6(bytes) = six else { unreachable!() };
    let message = answer(&[
        record(&SAME, 1, 0x8001, &[192, 168, 1, 7]),
        record(&name("MASTER.Local"), 28, 1, &bytes.octets()),
        record(&name("other.local"), 1, 1, &[10, 0, 0, 1]),
        record(&SAME, 1, 3, &[10, 0, 0, 2]),
        record(&SAME, 16, 1, b"\x03abc"),
    ]);
    let expected: Vec<IpAddr> = vec![[192, 168, 1, 7].into(), six];
    assert_eq!(parse_answer(&message, "master.local"), expected);
    assert_eq!(parse_answer(&message, "master.local."), expected);
    assert!(parse_answer(&message, "master").is_empty());
}

#[test]
fn damaged_answers_give_nothing() {
    let good = answer(&[record(&SAME, 1, 1, &[1, 2, 3, 4])]);
    assert_eq!(parse_answer(&good, "master.local").len(), 1);
    for end in 0..good.len() {
        assert!(parse_answer(&good[..end], "master.local").is_empty(), "cut at {end}");
    }
    // A query, an error, an answer truncated by its sender.
    for (at, value) in [(2, 0x04), (3, 0x03), (2, 0x86), (2, 0xa4)] {
        let mut message = good.clone();
        message[at] = value;
        assert!(parse_answer(&message, "master.local").is_empty(), "{at}: {value:#x}");
    }
    // Pointers to themselves, forwards, in a loop; wrong sizes.
    for owner in [[0xc0, 30], [0xc0, 31], [0xff, 0xff]] {
        assert!(parse_answer(&answer(&[record(&owner, 1, 1, &[1, 2, 3, 4])]), "master.local").is_empty());
    }
    assert!(parse_answer(&answer(&[record(&SAME, 1, 1, &[1, 2, 3])]), "master.local").is_empty());
    assert!(parse_answer(&answer(&[record(&SAME, 28, 1, &[1, 2, 3, 4])]), "master.local").is_empty());
}

#[test]
fn a_responder_is_heard() {
    let responder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    responder.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let port = responder.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut buffer = [0; 512];
        // The first question is lost, as on Wi-Fi.
        responder.recv_from(&mut buffer).unwrap();
        let (size, from) = responder.recv_from(&mut buffer).unwrap();
        responder.send_to(b"rubbish", from).unwrap();
        for last in [7, 7, 8] {
            responder.send_to(&answer(&[record(&SAME, 1, 1, &[10, 0, 0, last])]), from).unwrap();
        }
        buffer[..size].to_vec()
    });
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    let message = question("master.local").unwrap();
    let group = (Ipv4Addr::LOCALHOST, port);
    let found = ask(&[socket], group, "master.local", &message, Duration::from_secs(8));
    assert_eq!(found, [IpAddr::from([10, 0, 0, 7]), IpAddr::from([10, 0, 0, 8])]);
    assert_eq!(thread.join().unwrap(), message);
}

#[test]
fn silence_ends_in_time() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_nonblocking(true).unwrap();
    // Nothing reads from this port, but it stays in use.
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let begun = Instant::now();
    let group = (Ipv4Addr::LOCALHOST, silent.local_addr().unwrap().port());
    assert!(ask(&[socket], group, "a.local", &question("a.local").unwrap(), Duration::from_millis(300)).is_empty());
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&begun.elapsed()));
}

proptest! {
    #[test]
    fn no_message_upsets_the_parser(message: Vec<u8>, wanted in "[a-z.]{0,20}") {
        prop_assert!(parse_answer(&message, &wanted).len() < 10_000);
    }

    #[test]
    fn no_change_of_an_answer_upsets_the_parser(changes in prop::collection::vec((0usize..120, any::<u8>()), 0..8)) {
        let mut message = answer(&[record(&SAME, 1, 1, &[1, 2, 3, 4]), record(&name("a.b.local"), 28, 1, &[0; 16])]);
        let size = message.len();
        for (at, value) in changes {
            message[at % size] = value;
        }
        prop_assert!(parse_answer(&message, "master.local").len() <= 2);
    }
}
