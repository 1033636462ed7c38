//! Mirrors that are down or lack something, in all words. `lies` has what servers can do wrong, a row each.

use crate::archive::sign;
use crate::{Session, dead_url};
use labimg_testkit::http_server::Act;

const BUILD: [&str; 6] = ["build", "--board", "virt", "--role", "worker", "--generic"];
const RELEASE: &str = "/debian/dists/trixie/InRelease";

#[test]
fn a_mirror_that_is_down() {
    let mut session = Session::with_archive();
    session.both(&[&BUILD[..], &["--cache", "cache", "--mirror", &dead_url("/debian")]].concat());
    session.both(&[
        "lock",
        "--board",
        "virt",
        "--role",
        "worker",
        "--cache",
        "cache",
        "--mirror",
        &dead_url("/debian"),
    ]);
    assert_eq!(session.images(), Vec::<String>::new());
    session.ends("mirror_down");
}

#[test]
fn signatures_that_do_not_count() {
    let mut session = Session::with_archive();
    let mirror = format!("{},{}", session.server.url("/debian"), session.server.url("/debian-security"));
    session.note("a key that labimg does not know");
    session.both(&[&BUILD[..], &["--cache", "cache", "--mirror", &mirror]].concat());
    let key = session.archive.as_ref().unwrap().key.clone();
    session.note("changed after it was signed");
    let text = String::from_utf8(sign("Suite: stable\nCodename: trixie\n", &key)).unwrap();
    session.server.always(RELEASE, Act::Instead(text.replace("stable", "stabler").into_bytes()));
    session.build(&BUILD);
    session.note("no such suite");
    session.build(&[&BUILD[..], &["--suite", "trixy", "--quiet"]].concat());
    session.ends("signatures");
}

#[test]
fn packages_that_are_not_there() {
    let mut session = Session::with_archive();
    for names in
        [&["htopp"][..], &["htop=2"], &["htop/forky"], &["torn"], &["light", "heavy"], &["no package"], &["UPPER"]]
    {
        let flags: Vec<&str> = names.iter().flat_map(|name| ["--package", name]).collect();
        session.build(&[&BUILD[..], &flags, &["--quiet"]].concat());
    }
    assert_eq!(session.images(), Vec::<String>::new());
    session.ends("packages");
}

#[test]
fn packages_that_are_not_what_they_should_be() {
    let mut session = Session::with_archive();
    let path = |name: &str| format!("/debian/pool/{name}_1.0_arm64.deb");
    session.server.always(&path("busybox"), Act::Status(404, String::new()));
    session.server.always(&path("sudo"), Act::Instead(b"short".to_vec()));
    let size = 64 + 4096;
    session.server.always(&path("less"), Act::Instead(vec![0; size]));
    session.build(&BUILD);
    assert_eq!(session.images(), Vec::<String>::new());
    session.ends("downloads");
}

/// A lab whose k3s comes from this address.
fn lab(session: &Session, url: &str) -> String {
    crate::lab::lab(session, &format!("version = \"v1.99.9+k3s1\"\nurl = \"{url}\"\n"))
}

#[test]
fn k3s_that_cannot_be_had() {
    let mut session = Session::with_archive();
    let from = session.from();
    let from: Vec<&str> = from.iter().map(String::as_str).take(6).collect();
    let build = [&["build", "worker-1", "--generic", "-o", "out.img"], &from[..]].concat();
    session.note("nobody listens");
    session.write("lab.toml", lab(&session, &dead_url("/k3s")));
    session.both(&[&build[..], &["--k3s", "embed"]].concat());
    session.both(&[&build[..], &["--k3s", "auto"]].concat());
    session.note("no such release");
    session.write("lab.toml", lab(&session, &session.server.url("/k3s")));
    session.both(&[&build[..], &["--k3s", "auto"]].concat());
    session.note("files of the user's");
    session.write("text", "hello");
    for file in ["nowhere", "text", "/dev/null"] {
        session.both(&[&build[..], &["--k3s-bin", file]].concat());
    }
    session.both(&[&build[..], &["--k3s-bin", "k3s", "--k3s", "first-boot"]].concat());
    session.ends("k3s");
}
