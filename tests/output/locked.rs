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
