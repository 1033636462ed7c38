//! A real API server of Kubernetes takes what the profiles bring, and `labimg stack diff` and `apply` are right about it.
//!
//! `LABIMG_TEST_APISERVER` names the `kube-apiserver`; without it the one that `scripts/kube-apiserver` has built, by
//! `scripts/test --long`. Everything runs in a network of its own with nothing but a loopback device, since an API server calls
//! webhooks at whatever address they have.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a panic is how a test fails")]

mod changes;
mod lab;
mod profiles;
mod server;

use std::path::PathBuf;
use std::process::Command;

use labimg_testkit::{judges, skipped};

/// Set inside the network of its own.
const INSIDE: &str = "LABIMG_TEST_ISOLATED";

/// The API server, when there is one; a test whose name is given runs again in a network of its own, where this gives it.
fn isolated(test: &str) -> Option<PathBuf> {
    let program = program()?;
    if judges::missing(&["etcd", "openssl", "unshare", "ip"]) {
        return None;
    }
    if std::env::var_os(INSIDE).is_some() {
        return Some(program);
    }
    let namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let mut unshare = Command::new("unshare");
    unshare.args(namespaces);
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let trial = Command::new(unshare.get_program()).args(unshare.get_args()).arg("true").output().unwrap();
    if !trial.status.success() {
        skipped(&format!("API server: {test}"), &String::from_utf8_lossy(&trial.stderr));
        return None;
    }
    let status = unshare
        .args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "yes")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its network");
    None
}

fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("LABIMG_TEST_APISERVER").filter(|program| !program.is_empty()) {
        let program = PathBuf::from(program);
        assert!(program.exists(), "LABIMG_TEST_APISERVER: there is no {}", program.display());
        return Some(std::path::absolute(program).unwrap());
    }
    skipped(
        "an API server with the stack's objects",
        "LABIMG_TEST_APISERVER names none; scripts/test --long builds one",
    );
    None
}
