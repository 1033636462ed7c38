//! `labimg.lock`: made, used for builds, renewed, damaged.

use crate::lab::lab;
use crate::{Session, dead_url};

/// A lab with its lock.
fn locked() -> Session {
    let session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.prepare(&["lock"]);
    session
}

/// Runs a command without any mirror.
fn offline(session: &mut Session, args: &[&str]) {
    let dead = format!("{},{}", dead_url("/debian"), dead_url("/debian-security"));
    let end = ["--mirror", &dead, "--cache", "cache", "--k3s-bin", "k3s", "--quiet"];
    session.both(&[args, &end].concat());
}

#[test]
fn a_lock_and_a_build_from_it() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.build(&["lock"]);
    let lock = session.read("labimg.lock");
    session.said += &lock;
    session.said.push('\n');
    session.build(&["build", "worker-1", "--generic", "-o", "x.img"]);
    session.build(&["build", "worker-1", "--generic", "--locked", "-o", "x.img"]);
    offline(&mut session, &["build", "worker-1", "--generic", "--locked", "-o", "x.img"]);
    session.ends("lock");
}

#[test]
fn another_lab_than_the_locked_one() {
    let mut session = locked();
    session.note("a package more");
    offline(&mut session, &["build", "worker-1", "--generic", "--locked", "--package", "htop"]);
    session.note("another suite");
    offline(&mut session, &["build", "worker-1", "--generic", "--locked", "--suite", "forky"]);
    session.note("a board that is not in it");
    session.write(
        "lab.toml",
        lab(&session, "").replace("role = \"worker\"\nboard = \"virt\"", "role = \"worker\"\nboard = \"rpi4\""),
    );
    offline(&mut session, &["build", "worker-1", "--generic", "--locked"]);
    session.note("a k3s that is not in it");
    session.write("lab.toml", lab(&session, ""));
    let dead = format!("{},{}", dead_url("/debian"), dead_url("/debian-security"));
    session.both(&["build", "worker-1", "--generic", "--locked", "--mirror", &dead, "--cache", "cache"]);
    session.note("no lock");
    std::fs::remove_file(session.path("labimg.lock")).unwrap();
    offline(&mut session, &["build", "worker-1", "--generic", "--locked"]);
    offline(&mut session, &["build", "worker-1", "--generic", "--locked=other.lock"]);
    session.ends("lock_of_another");
}

#[test]
fn locks_that_are_damaged() {
    let mut session = locked();
    let lock = session.read("labimg.lock");
    for (what, text) in [
        ("a newer format", lock.replace("format = 1", "format = 2")),
        ("no format", lock.replace("format = 1\n", "")),
        ("half of it", lock[..lock.len() / 2].to_owned()),
        ("marks of a merge", lock.replacen("[[package]]", "<<<<<<< HEAD\n[[package]]", 1)),
        ("a field that nobody knows", lock.replacen("[[package]]\n", "[[package]]\nshape = \"round\"\n", 1)),
        ("a hash that is none", lock.replacen("sha256 = \"", "sha256 = \"x", 1)),
        ("a path that leads away", lock.replacen("path = \"pool/", "path = \"../pool/", 1)),
        ("a package that is named and not there", lock.replacen("name = \"apt\"", "name = \"apd\"", 1)),
        ("empty", String::new()),
    ] {
        session.note(what);
        session.write("labimg.lock", text);
        offline(&mut session, &["build", "worker-1", "--generic", "--locked"]);
        session.run(&["update", "--dry-run", "--mirror", &dead_url("/debian"), "--cache", "cache"]);
    }
    session.ends("lock_damaged");
}

#[test]
fn updates() {
    let mut session = locked();
    session.build(&["update"]);
    let lock = session.read("labimg.lock");
    let older = lock.replace("name = \"nano\"\nversion = \"1.1\"", "name = \"nano\"\nversion = \"0.9\"");
    assert_ne!(lock, older);
    session.write("labimg.lock", &older);
    session.build(&["update", "--dry-run"]);
    session.build(&["update", "nano", "--dry-run"]);
    session.build(&["update", "nanoo"]);
    session.build(&["update", "less"]);
    session.build(&["update"]);
    session.note("without a lock");
    std::fs::remove_file(session.path("labimg.lock")).unwrap();
    session.build(&["update"]);
    session.build(&["update", "nano"]);
    session.ends("updates");
}

/// A lab whose k3s, charts and images come from the session's server too, and the options to get them.
fn whole_lab(session: &Session) -> Vec<String> {
    crate::golden::publish(session);
    assert!(session.unheard(&["new", "home", "--board", "virt", "--workers", "1", "--stack", "none"]).status.success());
    let template = session.read("home/lab.toml");
    session.write("home/lab.toml", template.replace("[k3s]\n", &crate::golden::k3s_section(session)));
    let mirror = format!("{},{}", session.server.url("/debian"), session.server.url("/debian-security"));
    ["--lab", "home", "--mirror", &mirror, "--keyring", "keys.pgp", "--cache", "cache"].map(str::to_owned).into()
}

fn succeed(session: &Session, args: &[&str], from: &[String]) -> String {
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    let output = session.unheard(&[args, &from].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    said
}

#[test]
fn a_locked_build_with_all_in_its_cache_opens_no_connection() {
    for mode in ["auto", "embed", "first-boot"] {
        let session = Session::with_archive();
        let from = whole_lab(&session);
        succeed(&session, &["lock", "--k3s", mode], &from);
        let lock = session.read("home/labimg.lock");
        assert!(lock.contains("[[k3s]]"), "{mode}: {lock}");
        let build = ["build", "--locked", "-o", "home", "--k3s", mode];
        succeed(&session, &build, &from);
        let before = session.server.connections();
        succeed(&session, &build, &from);
        assert_eq!(session.server.connections(), before, "{mode}");
        // What the lock says goes to the node, which trusts no other checksum.
        let report: serde_json::Value = serde_json::from_str(&session.read("home/worker-1-virt.img.json")).unwrap();
        let sha256 = report["k3s"]["sha256"].as_str().unwrap_or_else(|| panic!("{mode}: {report:#}"));
        assert!(lock.contains(sha256), "{mode}: {sha256}");
    }
}

#[test]
fn a_build_asks_each_question_once_for_all_images() {
    let session = Session::with_archive();
    let from = whole_lab(&session);
    let before = session.server.seen().len();
    succeed(&session, &["build", "-o", "home"], &from);
    let mut asked: Vec<String> = session.server.seen()[before..].iter().map(|seen| seen.path.clone()).collect();
    // The size of a file is asked for before it is fetched.
    let twice = |path: &str| path.ends_with("/k3s-arm64") || path.ends_with(".tar.zst");
    asked.retain(|path| !twice(path));
    asked.sort();
    let again: Vec<&String> = asked.windows(2).filter(|two| two[0] == two[1]).map(|two| &two[0]).collect();
    assert!(again.is_empty(), "asked again: {again:?}");
    assert!(asked.iter().any(|path| path.ends_with("sha256sum-arm64.txt")), "{asked:?}");
}

#[test]
fn a_lock_without_k3s_is_not_made_up_for_by_the_network() {
    let session = Session::with_archive();
    let from = whole_lab(&session);
    session.server.always(
        "/k3s/v1.99.9%2Bk3s1/sha256sum-arm64.txt",
        labimg_testkit::http_server::Act::Status(503, String::new()),
    );
    let said = succeed(&session, &["lock", "--k3s", "first-boot"], &from);
    assert!(said.contains("k3s v1.99.9+k3s1 is not in the lock"), "{said}");
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    let output = session.unheard(&[&["build", "--locked", "-o", "home", "--k3s", "first-boot"], &from[..]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("has no k3s"), "{said}");
}
