//! A cluster that assembles itself: a master with a USB disk and two workers, switched on in the wrong order.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use labimg_testkit::checks::{self, check_node, check_report, check_stranger, minutes, wait_for_report};
use labimg_testkit::command::succeed;

use crate::lab_folder::{LabFolder, real_k3s};
use crate::node::{self, Node, labimg};
use crate::qmp::{self, Qmp};
use crate::router::Router;
use crate::shown_natively;

const NODES: [(&str, &str); 3] = [("master", "master"), ("worker1", "worker"), ("worker2", "worker")];

/// What real k3s needs beside itself where it does not bring it along (k3s 1.21 built without its bundle).
const REAL_PACKAGES: [&str; 4] = ["runc", "containerd", "containernetworking-plugins", "ipset"];

/// Where Debian has the plugins of the cluster's network: k3s looks for them as programs.
const REAL_PATH: &str =
    "[Service]\nEnvironment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/cni\n";

/// What needs images from the internet, which the test's network has not.
const REAL_SETTINGS: &str = "[k3s]\nserver_config = { disable = [\"coredns\", \"local-storage\", \"metrics-server\", \"servicelb\", \"traefik\"] }\n";

const REAL_FILES: [(&str, &str); 3] = [
    ("overlays/common/etc/systemd/system/k3s.service.d/path.conf", REAL_PATH),
    ("overlays/common/etc/systemd/system/k3s-agent.service.d/path.conf", REAL_PATH),
    ("manifests/nfs-storage.yaml.skip", ""),
];

/// `labimg status --wait` through the router's port must say ready, with all these nodes. Gives what it says.
pub fn wait_for_ready(lab: &LabFolder, nodes: &[(&str, &str)], router: &Router, within: Duration) -> serde_json::Value {
    let mut program = Command::new(labimg());
    program.current_dir(lab.path(""));
    checks::wait_for_ready(program, nodes, &format!("127.0.0.1:{}", router.port(0, 6443)), within)
}

/// A file written on a worker is seen on the master, on the USB disk.
fn check_export(master: &Node, worker: &Node, text: &str) {
    let write = format!(
        "echo {text} | sudo tee /srv/labimg/from-worker >/dev/null && findmnt -n -o FSTYPE -t nfs4 /srv/labimg"
    );
    worker.wait_until("a worker writes into the export", &write, minutes(6));
    assert_eq!(master.run("cat /srv/labimg/from-worker").trim(), text);
    let disk = master.run("lsblk -n -o TRAN /dev/$(lsblk -n -o PKNAME $(findmnt -n -o SOURCE /srv/labimg))");
    assert_eq!(disk.lines().next().unwrap_or_default().trim(), "usb", "/srv/labimg is not the USB disk");
}

/// Nobody but the owner may read an image that holds keys.
fn check_modes(lab: &LabFolder) {
    for (name, _) in NODES {
        let mode = std::fs::metadata(lab.image(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600, "{name}: the image has mode {mode:o}");
    }
    let mode = std::fs::metadata(lab.path("secrets")).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o700, "secrets/ has mode {mode:o}");
}

/// No byte of the seed is left on the firmware partition: not as a file, not in free clusters.
fn check_wiped(lab: &LabFolder, name: &str, seed: &[u8]) {
    assert!(!lab.firmware_files(name).iter().any(|f| f.starts_with("labimg-seed")), "{name}: the seed is there");
    let starts = node::partition_starts(&lab.disk(name));
    let disk = std::fs::File::open(lab.disk(name)).unwrap();
    let mut fat = vec![0; (starts[1] - starts[0]) as usize];
    std::os::unix::fs::FileExt::read_exact_at(&disk, &mut fat, starts[0]).unwrap();
    // Compressed bytes from its middle, as no other file has them.
    let sample = &seed[seed.len() / 2..][..32];
    assert!(!fat.windows(32).any(|w| w == sample), "{name}: bytes of the seed are left in the FAT partition");
}

fn seed_of(lab: &LabFolder, name: &str) -> Vec<u8> {
    let image = crate::lab_folder::firmware(&lab.image(name));
    succeed(Command::new("mtype").args(["-i", &image, "::/labimg-seed.tgz"])).stdout
}

#[test]
fn cluster() {
    let real = real_k3s();
    let lab = match &real {
        Some(k3s) => LabFolder::build(&NODES, REAL_SETTINGS, k3s, &REAL_PACKAGES, &REAL_FILES),
        None => LabFolder::with_stand_in(&NODES, ""),
    };
    // Real k3s takes its time under emulation.
    let (ready, memory) = if real.is_some() { (minutes(30), "4096") } else { (minutes(10), "1024") };
    check_modes(&lab);
    let seeds: Vec<Vec<u8>> = NODES.iter().map(|(name, _)| seed_of(&lab, name)).collect();
    let router = Router::start(3);
    let usb = lab.blank("usb.img", 4 << 30);

    println!("switching on: the workers, then the master");
    let workers: Vec<Node> =
        [1, 2].map(|i| lab.start(NODES[i].0, &router, i, &["--memory", memory])).into_iter().collect();
    std::thread::sleep(Duration::from_secs(20));
    let with_disk = ["--memory", memory, "--usb", usb.to_str().unwrap()];
    let mut master = lab.start("master", &router, 0, &with_disk);
    let [mut worker1, mut worker2]: [Node; 2] = workers.try_into().ok().unwrap();
    for node in [&mut master, &mut worker1, &mut worker2] {
        node.wait_for_ssh(minutes(15));
    }
    wait_for_ready(&lab, &NODES, &router, ready);
    println!("the cluster is ready");
    check_node(&master, "master", "k3s.service");
    check_node(&worker1, "worker1", "k3s-agent.service");
    check_node(&worker2, "worker2", "k3s-agent.service");
    check_export(&master, &worker1, "one");
    if real.is_none() {
        check_stranger(&worker1, "worker2");
    }
    let key = worker2.run("cat /etc/ssh/ssh_host_ed25519_key.pub");
    for (node, name) in [(&master, "master"), (&worker1, "worker1"), (&worker2, "worker2")] {
        wait_for_report(node, name);
    }

    println!("the master restarts");
    master.restart(minutes(15));
    wait_for_ready(&lab, &NODES, &router, ready);
    check_node(&master, "master", "k3s.service");
    check_export(&master, &worker1, "two");

    println!("the USB disk is pulled out and plugged in again");
    let mut control = Qmp::connect(&lab.path("master.qmp"));
    control.unplug_first();
    master.wait_until("/srv/labimg is let go", "! findmnt -n /srv/labimg", minutes(3));
    control.plug("again", qmp::raw(&usb));
    master.wait_until(
        "/srv/labimg is mounted and exported again",
        "findmnt -n /srv/labimg && sudo exportfs -s | grep -q ^/srv/labimg",
        minutes(5),
    );
    check_export(&master, &worker1, "three");
    wait_for_ready(&lab, &NODES, &router, ready);
    drop(control);

    // With a real k3s it is its own answer that counts.
    if real.is_some() || !shown_natively("cluster::five_nodes") {
        println!("a worker is flashed anew");
        worker2.power_off(minutes(5));
        node::check(&lab.disk("worker2"));
        check_wiped(&lab, "worker2", &seeds[2]);
        std::fs::remove_file(lab.disk("worker2")).unwrap();
        lab.rebuild(&["worker2"]);
        worker2 = lab.start("worker2", &router, 2, &["--memory", memory]);
        worker2.wait_for_ssh(minutes(15));
        worker2.wait_until("the reflashed worker is accepted", "systemctl is-active k3s-agent.service", ready);
        check_node(&worker2, "worker2", "k3s-agent.service");
        let now = worker2.run("cat /etc/ssh/ssh_host_ed25519_key.pub");
        assert_eq!(now, key, "the reflashed worker has another host key");
        wait_for_ready(&lab, &NODES, &router, ready);
    }

    for (node, name) in [(&mut worker1, "worker1"), (&mut worker2, "worker2"), (&mut master, "master")] {
        node.power_off(minutes(6));
        node::check(&lab.disk(name));
    }
    for (i, (name, _)) in NODES.iter().enumerate() {
        check_wiped(&lab, name, &seeds[i]);
        check_report(&lab.firmware_text(name, "labimg-report.txt"), name);
    }
}

/// The USB disk of the master is in order.
pub fn check_usb(disk: &Path) {
    for start in node::partition_starts(disk) {
        succeed(Command::new("e2fsck").arg("-fn").arg(format!("{}?offset={start}", disk.display())));
    }
}
