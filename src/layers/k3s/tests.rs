//! Tests of the files that the layer adds to the tree.

use super::*;
use crate::k3s::{DEFAULT_URL, DEFAULT_VERSION, LockedK3s, Why};
use labimg_tree::Content;
use labimg_tree::hash::Sha256;

fn embedded() -> K3sBinary {
    let locked = LockedK3s {
        version: DEFAULT_VERSION.to_owned(),
        architecture: "arm64".to_owned(),
        url: DEFAULT_URL.to_owned(),
        size: 7,
        sha256: Sha256::of("program"),
    };
    K3sBinary::Embedded { content: Content::from("program"), locked }
}

fn first_boot(sha256: Option<Sha256>) -> K3sBinary {
    let (version, url) = (DEFAULT_VERSION.to_owned(), DEFAULT_URL.to_owned());
    K3sBinary::FirstBoot(FirstBoot { version, url, sha256, why: Why::Asked })
}

fn enabled(tree: &Tree, unit: &str) -> bool {
    tree.contains(format!("etc/systemd/system/multi-user.target.wants/{unit}"))
}

#[test]
fn a_server_gets_program_links_unit_and_settings() {
    let mut tree = Tree::new(7);
    apply(&mut tree, K3sKind::Server, &embedded()).unwrap();
    let program = tree.get(PROGRAM).unwrap();
    assert_eq!((program.mode, tree.layer_name(program.layer)), (0o755, "k3s v1.36.5+k3s1"));
    for name in ["kubectl", "crictl", "ctr"] {
        assert_eq!(tree.read_text(format!("usr/local/bin/{name}")).unwrap(), "program");
    }
    assert!(enabled(&tree, "k3s.service") && !enabled(&tree, "k3s-agent.service"));
    assert!(!tree.contains("usr/lib/labimg/k3s-install") && !tree.contains(INSTALL));
    let modules = tree.read_text("etc/modules-load.d/k3s.conf").unwrap();
    assert!(modules.contains("\nbr_netfilter\n"));
    assert!(tree.read_text("etc/sysctl.d/90-k3s.conf").unwrap().contains("\nnet.ipv4.ip_forward = 1\n"));
}

#[test]
fn a_worker_waits_for_its_token() {
    let mut tree = Tree::new(7);
    apply(&mut tree, K3sKind::Agent, &embedded()).unwrap();
    assert!(enabled(&tree, "k3s-agent.service") && !tree.contains("usr/lib/systemd/system/k3s.service"));
    let unit = tree.read_text("usr/lib/systemd/system/k3s-agent.service").unwrap();
    for line in ["ExecStart=/usr/local/bin/k3s agent", "ConditionPathExists=/etc/rancher/k3s/token", "Type=notify"] {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn units_name_the_files_that_are_really_written() {
    let mut tree = Tree::new(7);
    apply(&mut tree, K3sKind::Server, &first_boot(None)).unwrap();
    let unit = tree.read_text("usr/lib/systemd/system/k3s.service").unwrap();
    assert!(unit.contains(&format!("ConditionPathExists=/{PROGRAM}\n")));
    assert!(unit.contains(&format!("ConditionPathExists=/{CONFIG}\n")));
    let script = tree.read_text("usr/lib/labimg/k3s-install").unwrap();
    assert!(script.contains(&format!("target=$root/{PROGRAM}\n")) && script.contains(&format!("$root/{INSTALL}\"")));
}

#[test]
fn without_the_program_the_node_installs_it() {
    let mut tree = Tree::new(7);
    let hash = Sha256::of("program");
    apply(&mut tree, K3sKind::Server, &first_boot(Some(hash))).unwrap();
    assert!(!tree.contains(PROGRAM) && tree.contains("usr/local/bin/kubectl"));
    assert!(enabled(&tree, "k3s.service") && enabled(&tree, "labimg-k3s-install.service"));
    assert_eq!(tree.get("usr/lib/labimg/k3s-install").unwrap().mode, 0o755);
    let conf = tree.read_text(INSTALL).unwrap();
    let settings: Vec<&str> = conf.lines().filter(|line| !line.starts_with('#')).collect();
    let expected = [format!("VERSION='{DEFAULT_VERSION}'"), format!("URL='{DEFAULT_URL}'"), format!("SHA256='{hash}'")];
    assert_eq!(settings, expected);
}
