//! The store shared by several processes: this test program starts itself again as a second build.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and the child tells by its output"
)]
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use labimg_store::http::Http;
use labimg_store::{Keep, Request, Store, StoreError};
use labimg_tree::fault::{Fault, whole};
use labimg_tree::hash::Sha256;

use labimg_testkit::http_server::{Act, Server};

const SIZE: usize = 4_000_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// What the second process does: `LABIMG_TEST_CHILD` holds the action, the cache and an address.
#[test]
#[ignore = "run by the other tests, in a process of its own"]
fn child() {
    // With `--include-ignored` this test also runs without an order; then it has nothing to do.
    let Ok(order) = std::env::var("LABIMG_TEST_CHILD") else { return };
    let [action, cache, url] = order.split(' ').collect::<Vec<_>>()[..] else { panic!("{order}") };
    let request = Request {
        name: "thing".to_owned(),
        sha256: Sha256::of(content()),
        size: SIZE as u64,
        urls: vec![url.to_owned()],
    };
    if action == "interrupted" {
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_millis(500));
            labimg_tree::interrupt::request();
        });
    }
    let begun = Instant::now();
    let store = Store::open(Path::new(cache)).unwrap();
    if action == "hold" {
        std::fs::write(Path::new(cache).join("held"), "").unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }
    if action == "derive" {
        let made = store.derived::<StoreError>("tar", &Sha256::of("key"), &labimg_tree::progress::Silent, |_| Ok(()));
        println!("RESULT {}", made.unwrap_err());
        return;
    }
    match store.fetch(&[request], 2, &Http::new().unwrap(), &labimg_tree::progress::Silent) {
        Ok(()) => println!("RESULT fetched"),
        Err(e) => println!("RESULT {}\nHELP {}", whole(&e), e.help().unwrap_or_default()),
    }
    println!("TOOK {}", begun.elapsed().as_millis());
}

/// The command that runs [`child`], after the shell line `prelude` if there is one.
fn command(prelude: &str, action: &str, cache: &Path, url: &str) -> Command {
    command_of(&std::env::current_exe().unwrap(), prelude, action, cache, url)
}

fn command_of(program: &Path, prelude: &str, action: &str, cache: &Path, url: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("{prelude} exec \"$0\" --exact child --ignored --nocapture"))
        .arg(program)
        .env("LABIMG_TEST_CHILD", format!("{action} {} {url}", cache.display()))
        .stdout(Stdio::piped());
    command
}

fn result(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("RESULT "), "the child failed: {text}");
    text
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn part(cache: &Path) -> PathBuf {
    cache.join("tmp").join(format!("{}.part", Sha256::of(content())))
}

fn server() -> Server {
    let server = Server::start();
    server.file("/thing", content());
    server
}

#[test]
fn two_processes_download_a_file_once() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    server.always("/thing", Act::Slow(400_000, Duration::from_millis(50)));
    let start = || command("", "fetch", cache.path(), &server.url("/thing")).spawn().unwrap();
    let children = [start(), start(), start()];
    for child in children {
        assert!(result(child).contains("RESULT fetched"));
    }
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_killed_download_is_resumed_by_the_next_process() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    server.next("/thing", [Act::StallAfter(3_000_000)]);
    let url = server.url("/thing");
    let mut first = command("", "fetch", cache.path(), &url).spawn().unwrap();
    let len = || part(cache.path()).metadata().map_or(0, |m| m.len());
    wait_until("3 MB", || len() == 3_000_000);
    // The second waits for the first, and continues when the first is killed.
    let second = command("", "fetch", cache.path(), &url).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(server.seen().len(), 1);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(result(second).contains("RESULT fetched"));
    assert_eq!(server.seen()[1].range.as_deref(), Some("bytes=3000000-"));
    let store = Store::open(cache.path()).unwrap();
    assert!(store.verify(&labimg_tree::progress::Silent).unwrap().damaged.is_empty());
    assert!(!part(cache.path()).exists());
}

#[test]
fn an_interrupt_stops_a_stalled_download_within_a_second() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    server.always("/thing", Act::StallAfter(1_000_000));
    let child = command("", "interrupted", cache.path(), &server.url("/thing")).spawn().unwrap();
    let text = result(child);
    assert!(text.contains("RESULT interrupted"), "{text}");
    let took = text.split("TOOK ").nth(1).and_then(|rest| rest.lines().next()?.parse::<u64>().ok());
    assert!(took.is_some_and(|took| (500..1500).contains(&took)), "{text}");
    assert_eq!(part(cache.path()).metadata().unwrap().len(), 1_000_000, "what came is kept for the next time");
}

#[test]
fn a_limit_of_file_sizes_is_told_as_such() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    // The program itself handles the signal; here it is ignored. 2 MB.
    let prelude = "trap '' XFSZ; ulimit -f 4096;";
    let text = result(command(prelude, "fetch", cache.path(), &server.url("/thing")).spawn().unwrap());
    assert!(text.contains("RESULT cannot write") && text.contains("File too large"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("HELP ") && line.contains("ulimit -f")), "{text}");
    assert_eq!(server.seen().len(), 1, "trying again would not help");
    let text = result(command("", "fetch", cache.path(), &server.url("/thing")).spawn().unwrap());
    assert!(text.contains("RESULT fetched"), "{text}");
    assert!(server.seen()[1].range.is_some());
}

#[test]
fn prune_waits_for_no_running_build() {
    let (cache, server) = (tempfile::tempdir().unwrap(), server());
    let mut build = command("", "hold", cache.path(), &server.url("/thing")).spawn().unwrap();
    wait_until("the cache is open", || cache.path().join("held").exists());
    let store = Store::open(cache.path()).unwrap();
    let error = store.prune(&Keep::default(), false).unwrap_err();
    assert!(matches!(error, StoreError::Busy(_)), "{error}");
    build.kill().unwrap();
    build.wait().unwrap();
    store.prune(&Keep::default(), false).unwrap();
}

/// Root may write regardless of the mode, so as root the child runs as `nobody`.
#[test]
fn a_read_only_cache_is_good_for_reading() {
    let (dir, server) = (tempfile::tempdir().unwrap(), server());
    let (cache, program) = (dir.path().join("cache"), dir.path().join("program"));
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let url = server.url("/thing");
    let command = |action| {
        let mut command = command_of(&program, "", action, &cache, &url);
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        command.current_dir("/").stderr(Stdio::piped());
        command
    };
    let run = |action| result(command(action).spawn().unwrap());
    let chmod = |mode: &str, path: &Path| {
        assert!(Command::new("chmod").args(["-R", mode]).arg(path).status().unwrap().success());
    };
    chmod("a+rX", dir.path());

    // There is no cache and none can be made.
    chmod("a-w", dir.path());
    let output = command("fetch").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && text.contains("Permission denied"), "{text}");
    chmod("u+w", dir.path());

    drop(Store::open(&cache).unwrap());
    chmod("a-w", &cache);
    let text = run("fetch");
    assert!(text.contains("may not be written and lacks `thing`"), "{text}");
    let text = run("derive");
    assert!(text.contains(&format!("lacks `tar {}`", Sha256::of("key"))), "{text}");

    chmod("u+w", &cache);
    Store::open(&cache).unwrap().put(&content(), &labimg_tree::progress::Silent).unwrap();
    chmod("a-w", &cache);
    let text = run("fetch");
    assert!(text.contains("RESULT fetched"), "{text}");
    assert!(server.seen().is_empty());
    chmod("u+w", dir.path());
}
