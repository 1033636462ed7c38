//! Tests in a network of their own.

use std::process::Command;

use crate::{judges, skipped};

/// Set inside the network of its own.
const INSIDE: &str = "LABIMG_TEST_ISOLATED";

/// Whether this process is in a network of its own, with nothing but a loopback device, as root of it and with mounts of its
/// own. Otherwise the named test of this program runs again in such a place, and here there is nothing more to do. Where none can be
/// made, `what` is reported as skipped.
///
/// # Panics
/// When the test fails there.
pub fn is_isolated(test: &str, what: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    if judges::missing(&["unshare", "ip"]) {
        return false;
    }
    let namespaces =
        ["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let unshare = || {
        let mut command = Command::new("unshare");
        // Root needs no users of its own, which some machines forbid.
        let is_root = rustix::process::geteuid().is_root();
        command.args(&namespaces[if is_root { 2 } else { 0 }..]);
        command
    };
    let trial = unshare().arg("true").output().unwrap();
    if !trial.status.success() {
        skipped(what, &String::from_utf8_lossy(&trial.stderr));
        return false;
    }
    let mut inside = unshare();
    inside.args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    inside.args(["--exact", test, "--nocapture"]).env(INSIDE, "yes");
    assert!(inside.status().unwrap().success(), "{test} failed in its network");
    false
}
