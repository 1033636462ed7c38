//! Ctrl-C, SIGTERM and SIGKILL in each phase of a build.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::network::forget;
use crate::{Bench, build, names, same, shared, succeeds};
use labimg_testkit::http_server::Act;

const PHASES: [&str; 4] = ["Downloading", "Reading packages", "Configuring", "Writing ext4"];

/// A build that has reached a phase.
pub struct Running {
    pub child: Child,
    rest: JoinHandle<String>,
}

impl Running {
    /// Starts it and waits for the phase.
    pub fn until(command: &mut Command, phase: &str) -> Self {
        let mut child = command.arg("--json").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut before = String::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("`{phase}` never began: {before}"));
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
            if event["event"] == "start" && event["text"] == phase {
                break;
            }
            before = line;
        }
        Self { child, rest: std::thread::spawn(move || lines.last().unwrap_or_default()) }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; returns the exit status and the last line.
    pub fn end(mut self) -> (std::process::ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.rest.join().unwrap())
    }
}

/// A command whose build stays in `phase` for a while.
fn command(bench: &Bench, phase: &str) -> Command {
    let cache = bench.dir.path().join("cache");
    if phase == "Downloading" {
        let package = &shared().packages[0];
        forget(&cache, package);
        bench.server.next(&package.urls[0], [Act::StallAfter(1000)]);
        return bench.build(&cache);
    }
    if phase == "Reading packages" {
        // Removes the unpacked packages, so that this phase takes some time.
        for kind in names(&cache.join("derived")) {
            for package in &shared().packages {
                let path = cache.join("derived").join(&kind).join(package.sha256.to_string());
                if path.exists() {
                    std::fs::remove_file(path).unwrap();
                }
            }
        }
    }
    build(&shared().server, &cache, &bench.image())
}

#[test]
fn an_interrupted_build_leaves_what_was_there() {
    let bench = Bench::new();
    bench.warm();
    std::fs::write(bench.image(), "an older image").unwrap();
    for (phase, signal) in PHASES.map(|phase| (phase, Signal::INT)).into_iter().chain([("Writing ext4", Signal::TERM)])
    {
        let running = Running::until(&mut command(&bench, phase), phase);
        let begun = Instant::now();
        running.signal(signal);
        let (status, last) = running.end();
        assert_eq!(status.code(), Some(130), "{phase}: {last}");
        // A user should wait a second at most; a loaded machine gets more time.
        assert!(begun.elapsed() < Duration::from_secs(10), "{phase}: took {:?}", begun.elapsed());
        let last: serde_json::Value = serde_json::from_str(&last).unwrap();
        assert_eq!((&last["event"], &last["code"]), (&"error".into(), &130.into()), "{phase}");
        assert_eq!(bench.outputs(), ["node.img"], "{phase}");
        assert_eq!(std::fs::read(bench.image()).unwrap(), b"an older image", "{phase}");
    }
}

#[test]
fn after_a_killed_build_the_next_one_works() {
    let bench = Bench::new();
    bench.warm();
    for phase in PHASES {
        let mut running = Running::until(&mut command(&bench, phase), phase);
        if phase == "Writing ext4" {
            // The names show that image and record are unfinished.
            let names = bench.outputs();
            assert!(names.len() == 2 && names.iter().all(|name| name.ends_with(".partial")), "{names:?}");
        }
        running.child.kill().unwrap();
        let (status, _) = running.end();
        assert_eq!(status.signal(), Some(9), "{phase}: {status:?}");
        assert!(!bench.image().exists(), "{phase}");
    }
    assert_eq!(bench.outputs().len(), 2, "the unfinished image and its manifest");
    succeeds(&mut build(&shared().server, &bench.dir.path().join("cache"), &bench.image()));
    same(&bench.image(), &shared().image);
    let left = bench.outputs();
    assert!(left.iter().all(|name| !name.ends_with(".partial")) && left.contains(&"node.img".to_owned()), "{left:?}");
}
