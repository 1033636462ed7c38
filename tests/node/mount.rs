//! The systemd generator that mounts the master's storage.

use std::process::Command;

use crate::root::Root;

fn generate(conf: &str) -> (Root, bool) {
    let root = Root::new();
    if !conf.is_empty() {
        root.write("etc/labimg/node.conf", conf);
    }
    std::fs::create_dir_all(root.at("out")).unwrap();
    let status = Command::new(root.at("usr/lib/systemd/system-generators/labimg-mount"))
        .arg(root.at("out"))
        .env("LABIMG_ROOT", root.path())
        .status()
        .unwrap();
    assert!(status.success());
    let made = root.exists("out/srv-labimg.mount");
    (root, made)
}

#[test]
fn workers_and_servers_mount_the_masters_storage() {
    for role in ["worker", "server"] {
        let (root, made) = generate(&format!("ROLE={role}\nMASTER=boss\n"));
        assert!(made);
        let mount = root.read("out/srv-labimg.mount");
        for line in [
            "What=boss.local:/srv/labimg",
            "Options=nfsvers=4.2,hard,noatime,nosuid,nodev,nofail,_netdev",
            "TimeoutSec=30",
        ] {
            assert!(mount.lines().any(|l| l == line), "{line} is missing: {mount}");
        }
        assert!(root.exists("out/multi-user.target.wants/srv-labimg.automount"));
    }
    for conf in ["", "ROLE=master\nMASTER=boss\n", "ROLE=worker\nMASTER=\n"] {
        assert!(!generate(conf).1, "{conf}");
    }
    for (master, what) in [("10.0.0.1", "10.0.0.1:/"), ("fd00::1", "[fd00::1]:/"), ("boss.lan", "boss.lan:/")] {
        let (root, _) = generate(&format!("ROLE=worker\nMASTER={master}\n"));
        assert!(root.read("out/srv-labimg.mount").contains(&format!("What={what}srv/labimg")));
    }
}
