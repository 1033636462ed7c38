//! Output about the keys of a lab, the state of a cluster, and QEMU.

use std::os::unix::fs::PermissionsExt;

use crate::lab::lab;
use crate::{Session, dead_url};

#[test]
fn secrets_of_a_lab() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.both(&["secrets", "show"]);
    session.both(&["secrets", "rotate", "--tokens", "--yes"]);
    session.prepare(&["build", "worker-1", "-o", "x.img"]);
    session.note("after a build");
    session.both(&["secrets", "show"]);
    session.both(&["secrets", "kubeconfig"]);
    session.note("nobody answers");
    session.both(&["secrets", "rotate", "--all"]);
    session.both(&["secrets", "rotate", "--tokens", "--yes"]);
    session.note("a token that is no longer there");
    std::fs::remove_file(session.path("secrets/tokens/server")).unwrap();
    session.both(&["secrets", "show"]);
    session.note("a folder that everybody may read");
    std::fs::set_permissions(session.path("secrets"), std::fs::Permissions::from_mode(0o755)).unwrap();
    session.both(&["secrets", "show"]);
    session.ends("secrets");
}

#[test]
fn a_cluster_that_is_not_there() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.note("never built");
    session.both(&["status"]);
    session.both(&["status", "--kubeconfig", "nowhere"]);
    session.write("broken", "a: [\n");
    session.both(&["status", "--kubeconfig", "broken"]);
    session.write("other", "apiVersion: v1\nkind: Config\n");
    session.both(&["status", "--kubeconfig", "other"]);
    session.both(&["status", "--server", "nowhere"]);
    session.prepare(&["build", "worker-1", "-o", "x.img"]);
    session.note("nobody listens");
    let dead = dead_url("").replace("http://", "");
    session.both(&["status", "--server", &dead]);
    session.both(&["status", "--server", &dead, "--wait", "--timeout", "1"]);
    session.ends("status");
}

#[test]
fn qemu_that_is_not_there() {
    let mut session = Session::with_archive();
    session.prepare(&["build", "--board", "virt", "--role", "worker", "--generic", "-o", "x.img"]);
    std::fs::create_dir(session.path("bin")).unwrap();
    session.path = session.path("bin").display().to_string();
    session.both(&["boot", "x.img"]);
    session.both(&["boot", "nowhere.img"]);
    session.both(&["boot", "x.img", "--board", "rpi44"]);
    session.both(&["boot", "x.img", "--board", "rpi5"]);
    session.both(&["boot", "x.img", "--ssh-port", "2222", "--network", "none"]);
    session.both(&["boot", "x.img", "--disk-size", "1M"]);
    session.both(&["boot", "x.img", "--usb", "nowhere.img"]);
    session.both(&["boot", "x.img", "--log", "nowhere/log"]);
    session.ends("boot");
}
