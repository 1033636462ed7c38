//! The whole stack on a master: phases are released in order, Secrets are there before what waits for them, and leave the
//! card, after a power cut too.

use labimg_testkit::checks::minutes;
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Lab, LabRequest, Network};

use crate::lab::{ready, tools};

const NODES: [(&str, &str); 1] = [("master", "master")];

const MANIFESTS: &str = "/var/lib/rancher/k3s/server/manifests";

/// The names of files with this ending in the folder of manifests.
const HELD: &str = "cd /var/lib/rancher/k3s/server/manifests && ls | grep -c '[.]skip$'";

#[test]
fn the_whole_stack_comes_up_in_phases() {
    if !ready("stack::the_whole_stack_comes_up_in_phases") {
        return;
    }
    let lab = Lab::build(
        &tools(),
        &LabRequest { nodes: &NODES, settings: "[stack]\nprofile = \"seed\"\n", ..LabRequest::default() },
    );
    let network = Network::start();
    let card = lab.flash(&network, "master");
    let mut master = lab.boot(&network, &card);
    master.wait_for_ssh(minutes(3));
    master.wait_until("k3s runs", "systemctl is-active k3s.service", minutes(3));
    // The test looks itself, without the pauses between.
    master.run_inside("systemctl stop labimg-stack.service");
    let phases = "cut -f1 /usr/share/labimg/stack | sort -un | tail -n 1";
    let last: u32 = master.run_inside(phases).trim().parse().unwrap();
    assert!(last >= 4, "{last} phases");
    // What is left to do on small boards: a minute for each look.
    let held = |node: &labimg_testkit::native::Node<'_>| {
        node.run_inside(&format!("{HELD} || true")).trim().parse::<u32>().unwrap()
    };
    let first = held(&master);
    assert!(first > 10, "{first} files are held back");

    let look = "/usr/lib/labimg/stack once || test $? = 3";
    master.run_inside(look);
    master.run_inside(look);
    assert!(held(&master) < first, "the second phase is released");
    let secrets = format!("{MANIFESTS}/labimg-secrets.yaml");
    assert_eq!(master.run_inside(&format!("test -e {secrets} && echo there || echo gone")).trim(), "gone");
    // Every Secret that an object names was applied.
    let there = master.run_inside("k3s kubectl stand-in-secrets");
    for secret in ["Secret/auth/keycloak-admin", "Secret/cert-manager/lab-ca-key", "Secret/kube-system/stack-keycloak"]
    {
        assert!(there.lines().any(|line| line == secret), "{secret} is not among\n{there}");
    }

    println!("the master loses its power");
    master.cut_power();
    card.check_after_cut();
    let mut master = lab.boot(&network, &card);
    master.wait_for_ssh(minutes(3));
    master.wait_until("k3s runs again", "systemctl is-active k3s.service", minutes(3));
    master.run_inside("systemctl stop labimg-stack.service");
    for _ in 0..=2 * last {
        master.run_inside(look);
    }
    assert_eq!(held(&master), 0, "all phases are released");
    let line = master.run_inside("cat /run/labimg/stack/line");
    assert!(line.contains("ready") && line.contains("wiped from the card"), "{line}");
    let all = master.run_inside("grep -c . /usr/share/labimg/stack");
    assert!(line.contains(&format!("{0} of {0} ready", all.trim())), "{line}");
    assert_eq!(master.run_inside(&format!("grep -rl lab-root-ca {MANIFESTS} | wc -l")).trim(), "0");
    let failed = master.run_inside("cat /run/k3s-stand-in/failed 2> /dev/null || true");
    assert_eq!(failed, "", "what the stand-in refuses");
    master.power_off(minutes(6));
}
