//! A control plane of two servers.

use std::time::Duration;

use labimg_testkit::checks::{check_node, minutes, wait_for_report};

use crate::cluster::wait_for_ready;
use crate::lab_folder::LabFolder;
use crate::node::{self, Node};
use crate::router::Router;
use crate::shown_natively;

const NODES: [(&str, &str); 2] = [("master", "master"), ("second", "server")];

/// The further server waits for the master, joins it, and both find each other again after they were off. With the stand-in
/// always: two of the real k3s form their etcd, but emulated on one computer they are too slow for each other's patience, and
/// begin again and again.
#[test]
fn a_further_server_joins_the_control_plane() {
    if shown_natively("servers::a_further_server_joins_the_control_plane") {
        return;
    }
    let lab = LabFolder::with_stand_in(&NODES, "");
    let router = Router::start(2);
    let usb = lab.blank("usb.img", 4 << 30);
    let with_disk = ["--memory", "1024", "--usb", usb.to_str().unwrap()];
    let start = |name: &str, first: bool| {
        let arguments = if name == "master" { &with_disk[..] } else { &with_disk[..2] };
        let port = NODES.iter().position(|(node, _)| *node == name).unwrap();
        let node = lab.start(name, &router, port, arguments);
        if first {
            std::thread::sleep(Duration::from_secs(20));
        }
        node
    };
    let check = |master: &mut Node, second: &mut Node| {
        for node in [&mut *second, &mut *master] {
            node.wait_for_ssh(minutes(15));
        }
        let status = wait_for_ready(&lab, &NODES, &router, minutes(10));
        for node in status["nodes"].as_array().unwrap() {
            assert!(node["roles"].to_string().contains("control-plane"), "{status:#}");
        }
        check_node(master, "master", "k3s.service");
        check_node(second, "second", "k3s.service");
        assert!(master.run("sudo cat /etc/rancher/k3s/config.yaml").contains("\ncluster-init: true\n"));
    };

    println!("switching on: the further server, then the master");
    let mut second = start("second", true);
    let mut master = start("master", false);
    check(&mut master, &mut second);
    wait_for_report(&second, "second");
    wait_for_report(&master, "master");
    // The one that others look for goes last.
    for mut node in [second, master] {
        node.power_off(minutes(6));
    }
    println!("switching on: the master, then the further server");
    let mut master = start("master", true);
    let mut second = start("second", false);
    check(&mut master, &mut second);
    for (name, mut node) in [("second", second), ("master", master)] {
        node.power_off(minutes(6));
        node::check(&lab.disk(name));
    }
}
