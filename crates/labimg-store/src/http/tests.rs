//! The client against a server that misbehaves on request.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, HeaderMap};

use super::body::extent;
use super::error::retry_after;
use super::*;
use labimg_testkit::http_server::{Act, Server, dead_url};
use labimg_tree::fault::{Fault, causes};

/// Short timeouts, so that tests of timeouts and retries take less than a second.
pub(crate) fn quick() -> Http {
    Http::with(settings()).unwrap()
}

pub(super) fn settings() -> Settings {
    Settings {
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_millis(400),
        attempts: 3,
        first_delay: Duration::from_millis(20),
        longest_delay: Duration::from_secs(5),
        ..Settings::default()
    }
}

pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn small_files_come_over_one_connection() {
    let server = Server::start();
    let http = quick();
    for i in 0..20 {
        let path = format!("/f{i}");
        server.file(&path, bytes(1000 + i));
        if i % 3 == 0 {
            server.next(&path, [Act::Chunked]);
        }
        assert_eq!(http.get(&server.url(&path), 5000).unwrap(), bytes(1000 + i));
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0), "{:?}", server.seen());
}

#[test]
fn passing_errors_are_tried_again_and_final_ones_are_not() {
    let server = Server::start();
    server.file("/f", bytes(300_000));
    server.next("/f", [Act::Status(503, String::new()), Act::CutAfter(100_000)]);
    assert_eq!(quick().get(&server.url("/f"), 1 << 20).unwrap(), bytes(300_000));
    assert_eq!(server.seen().len(), 3);

    let error = quick().get(&server.url("/none"), 100).unwrap_err();
    assert!(matches!(error, HttpError::NotFound { .. }), "{error}");
    assert_eq!(server.seen().len(), 4);

    server.always("/f", Act::Status(500, String::new()));
    let error = quick().get(&server.url("/f"), 1 << 20).unwrap_err();
    assert!(error.to_string().contains("answered 500") && error.to_string().contains("/f:"), "{error}");
    assert!(error.help().unwrap().starts_with("try again later"), "{error:?}");
    assert_eq!(server.seen().len(), 7);
}

#[test]
fn retry_after_is_honoured_within_reason() {
    let server = Server::start();
    server.file("/f", "x");
    server.next("/f", [Act::Status(503, "Retry-After: 1\r\n".into())]);
    let begun = Instant::now();
    assert_eq!(quick().get(&server.url("/f"), 10).unwrap(), b"x");
    assert!(begun.elapsed() >= Duration::from_secs(1));

    server.next("/f", [Act::Status(429, "Retry-After: 3600\r\n".into())]);
    let error = quick().get(&server.url("/f"), 10).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));

    let date = jiff::Timestamp::now() + Duration::from_secs(100);
    let text = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let wait = retry_after(&text).unwrap();
    assert!((98..=100).contains(&wait.as_secs()), "{text}: {wait:?}");
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
    assert_eq!(retry_after("soon"), None);
}

#[test]
fn errors_tell_what_kind_of_trouble_it_is() {
    let server = Server::start();
    server.file("/f", bytes(50_000));

    server.always("/f", Act::StallAfter(10_000));
    let mut body = quick().open(&server.url("/f"), 0).unwrap();
    let error = loop {
        if let Err(e) = body.chunk() {
            break e;
        }
    };
    assert!(matches!(error, HttpError::Timeout { .. }), "{error}");

    server.always("/f", Act::CutAfter(10_000));
    let mut body = quick().open(&server.url("/f"), 0).unwrap();
    let error = loop {
        if let Err(e) = body.chunk() {
            break e;
        }
    };
    assert!(matches!(error, HttpError::Cut { received: 10_000, .. }), "{error}");

    let error = quick().get(&dead_url("/f"), 10).unwrap_err();
    assert!(matches!(error, HttpError::Unreachable { .. }), "{error}");
    assert!(causes(&error).concat().contains("refused") && !error.to_string().contains("refused"), "{error:?}");
    assert!(error.help().unwrap().contains("proxy"), "{error:?}");

    // `.invalid` is reserved and never resolves (RFC 6761, 6.4).
    let error = quick().get("http://mirror.invalid/f", 10).unwrap_err();
    assert!(matches!(error, HttpError::NoSuchHost { .. }), "{error}");

    let error = quick().get("ftp://mirror.example/f", 10).unwrap_err();
    assert!(matches!(error, HttpError::BadUrl { .. }), "{error}");

    // A server that does not speak TLS.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        stream.read_to_end(&mut Vec::new())
    });
    let error = quick().get(&format!("https://127.0.0.1:{port}/f"), 10).unwrap_err();
    assert!(matches!(error, HttpError::Tls { .. }), "{error}");

    server.always("/f", Act::Serve);
    let error = quick().get(&server.url("/f"), 49_999).unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { limit: 49_999, .. }), "{error}");
    server.always("/f", Act::Chunked);
    let error = quick().get(&server.url("/f"), 49_999).unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { .. }), "{error}");
}

#[test]
fn a_server_that_sends_on_is_followed_for_a_while() {
    let server = Server::start();
    server.file("/f", "x");
    let to = |path: &str| Act::Status(302, format!("Location: {path}\r\n"));
    server.next("/a", [to("/f")]);
    assert_eq!(quick().get(&server.url("/a"), 10).unwrap(), b"x");
    server.always("/a", to("/a"));
    let before = server.seen().len();
    let error = quick().get(&server.url("/a"), 10).unwrap_err();
    assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
    assert_eq!(server.seen().len() - before, 11, "it was tried again");
    for (place, words) in
        [("file:///etc/hostname", "not an HTTP address"), ("ftp://x.example/f", "not an HTTP address")]
    {
        server.always("/a", to(place));
        let error = quick().get(&server.url("/a"), 10).unwrap_err();
        assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
        assert!(causes(&error).concat().contains(words) && causes(&error).concat().contains(place), "{error:?}");
    }
    server.always("/a", Act::Status(302, String::new()));
    assert!(causes(&quick().get(&server.url("/a"), 10).unwrap_err()).concat().contains("without saying where to"));
}

#[test]
fn a_server_that_drips_is_tried_once_more_and_given_up() {
    let server = Server::start();
    server.file("/f", bytes(40_000));
    let (least, window) = (2_000, Duration::from_millis(250));
    let http = Http::with(Settings { least, window, ..settings() }).unwrap();
    server.always("/f", Act::Slow(20, Duration::from_millis(20)));
    let error = http.get(&server.url("/f"), 1 << 20).unwrap_err();
    assert!(matches!(error, HttpError::Slow { came, .. } if (1..least).contains(&came)), "{error}");
    assert_eq!(server.seen().len(), 2);
    assert!(error.is_transient() && !error.is_host_down(), "{error}");

    server.always("/f", Act::Slow(4_000, Duration::from_millis(80)));
    assert_eq!(http.get(&server.url("/f"), 1 << 20).unwrap(), bytes(40_000));

    // A caller that takes its time is not the server's fault.
    let mut body = http.open(&server.url("/f"), 0).unwrap();
    let mut all = Vec::new();
    while let Some(piece) = body.chunk().unwrap() {
        all.extend(piece);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(all, bytes(40_000));
}

#[test]
fn a_host_that_could_not_be_reached_is_asked_once_until_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let http = || Http::with(settings()).unwrap().remembering(folder.path());
    let (first, url) = (http(), dead_url("/f"));
    let error = first.get(&url, 10).unwrap_err();
    assert!(first.delay(&url, 1, &error).is_none() && http().delay(&url, 1, &error).is_none());
    assert!(quick().delay(&url, 1, &error).is_some(), "it is remembered in the folder alone");

    let port = url.split([':', '/']).nth(4).unwrap().to_owned();
    let listener = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let answer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // An answer before the question is none.
        let _ = stream.read(&mut [0; 4096]);
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").unwrap();
        stream.read_to_end(&mut Vec::new())
    });
    let second = http();
    assert_eq!(second.get(&url, 10).unwrap(), b"x");
    assert!(second.delay(&url, 1, &error).is_some() && http().delay(&url, 1, &error).is_some());
    drop(second);
    let _ = answer.join();
}

#[test]
fn a_server_is_asked_by_its_own_proxy() {
    let (proxy, direct) = (Server::start(), Server::start());
    // What a proxy is asked for is the whole address.
    proxy.file("http://mirror.example/debian/f", "by proxy");
    direct.file("/f", "direct");
    let ways = BTreeMap::from([("http://mirror.example".to_owned(), Way::Proxy(proxy.url("")))]);
    let http = quick().with_ways(&ways).unwrap();
    assert_eq!(http.get("http://mirror.example:80/debian/f", 100).unwrap(), b"by proxy");
    assert_eq!(http.get(&direct.url("/f"), 100).unwrap(), b"direct");
    assert_eq!((proxy.seen().len(), direct.seen().len()), (1, 1));
}

#[test]
fn a_transfer_starts_where_it_is_asked_to() {
    let server = Server::start();
    server.file("/f", bytes(5000));
    let all = |mut body: Body| {
        let mut all = Vec::new();
        while let Some(piece) = body.chunk().unwrap() {
            all.extend(piece);
        }
        all
    };
    let body = quick().open(&server.url("/f"), 1000).unwrap();
    assert_eq!((body.start(), body.total()), (1000, Some(5000)));
    assert_eq!(all(body), bytes(5000)[1000..]);

    server.next("/f", [Act::IgnoreRange]);
    let body = quick().open(&server.url("/f"), 1000).unwrap();
    assert_eq!((body.start(), body.total()), (0, Some(5000)));
    assert_eq!(all(body), bytes(5000));

    let error = quick().open(&server.url("/f"), 5000).unwrap_err();
    assert!(matches!(error, HttpError::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }), "{error}");
}

#[test]
fn a_password_in_an_address_is_not_shown() {
    assert_eq!(shown("http://me:secret@mirror.example/f"), "http://me:***@mirror.example/f");
    assert_eq!(shown("http://mirror.example/f"), "http://mirror.example/f");
}

proptest::proptest! {
    #[test]
    fn no_header_confuses_the_client(range in "(bytes )?[0-9*-]{0,24}/?[0-9*]{0,22}", wait in "\\PC{0,40}") {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, range.parse().unwrap());
        let (start, total) = extent(StatusCode::PARTIAL_CONTENT, &headers);
        // Whatever is parsed must stand in the text.
        let begins = start == u64::MAX || range.starts_with("bytes ") && range.contains(&start.to_string());
        proptest::prop_assert!(begins, "{range}: {start}");
        proptest::prop_assert!(total.is_none_or(|total| range.contains(&total.to_string())), "{range}: {total:?}");
        let _ = retry_after(&wait);
    }
}
