//! `exports`: the networks that may mount the master's storage.

use crate::root::{Root, text};

const FILE: &str = "etc/exports.d/labimg.exports";
const OPTIONS: &str = "(rw,sync,no_subtree_check,no_root_squash,mountpoint)";

/// A master with one interface, a pod network, a mounted disk and a running server.
fn node() -> Root {
    let root = Root::new();
    root.write("sys/class/net/eth0/device", "");
    root.write("sys/class/net/cni0/type", "");
    root.write("proc/fs/nfsd/threads", "8\n");
    root.stand_in("mountpoint", "exit 0");
    root.stand_in("exportfs", "exit 0");
    root.stand_in(
        "ip",
        "case \"$*\" in\n\
         *'-4 route show dev eth0'*) echo '192.168.1.0/24 proto kernel src 192.168.1.5'; echo '192.168.1.1 proto dhcp' ;;\n\
         *'-6 route show dev eth0'*) echo 'fd00:1::/64 proto ra'; echo 'fe80::/64 proto kernel'; \
         echo 'fd00:2::/64 via fe80::1 proto ra'; echo 'default via fe80::1' ;;\n\
         *cni0*) echo '10.42.0.0/24 proto kernel' ;;\n\
         *monitor*) echo '10.42.0.0/24 dev cni0'; echo '192.168.1.0/24 dev eth0' ;;\n\
         esac",
    );
    root
}

fn line(networks: &[&str]) -> String {
    networks.iter().fold("/srv/labimg".to_owned(), |line, network| format!("{line} {network}{OPTIONS}"))
}

#[test]
fn the_networks_of_hardware_ports_may_mount_it() {
    let root = node();
    let output = root.run("exports", &["once"]);
    assert!(output.status.success(), "{}", text(&output));
    let expected = line(&["192.168.1.0/24", "fd00:1::/64", "fe80::/64"]);
    assert_eq!(root.read(FILE).lines().last(), Some(expected.as_str()));
    assert!(root.calls().contains("exportfs -r"));
    // Interfaces briefly without a network: nothing is written to the card, no client is locked out.
    root.stand_in("ip", "exit 0");
    assert!(root.run("exports", &["once"]).status.success());
    assert_eq!(root.read(FILE).lines().last(), Some(expected.as_str()));
    assert!(root.run("exports", &["none"]).status.success());
    assert!(!root.exists(FILE));
}

#[test]
fn networks_that_are_asked_for_replace_them() {
    let root = node();
    root.write(
        "etc/labimg/storage.conf",
        "DISK=only\nLABEL=labimg-data\nNETWORKS=\"10.0.0.0/8 fd00::/8\"\nK3S_DB=yes\n",
    );
    assert!(root.run("exports", &["follow"]).status.success());
    assert_eq!(root.read(FILE).lines().last(), Some(line(&["10.0.0.0/8", "fd00::/8"]).as_str()));
    assert!(root.calls().contains("exportfs -r"));
}

#[test]
fn addresses_that_come_later_are_seen() {
    let root = node();
    assert!(root.run("exports", &["follow"]).status.success());
    assert!(root.read(FILE).contains("192.168.1.0/24"));
    let calls = root.calls();
    let told = calls.matches("exportfs -r").count();
    assert_eq!(told, 1, "the server is told of changes only: {calls}");
    // Without the disk nothing is exported.
    let root = node();
    root.stand_in("mountpoint", "exit 1");
    assert!(root.run("exports", &["follow"]).status.success());
    assert!(!root.exists(FILE));
}
