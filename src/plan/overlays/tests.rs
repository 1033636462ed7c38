use super::super::target;
use super::super::{Plan, PlanError};
use super::*;
use crate::lab::{self, Wifi};
use crate::wording::one_line;
use labimg_testkit::folder;
use serde_json::json;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";

fn plan(role: &str, files: &[(&str, &str)], change: impl FnOnce(&mut Lab)) -> Result<Plan, PlanError> {
    let dir = folder(&files.iter().map(|(path, text)| (format!("overlays/{path}"), *text)).collect::<Vec<_>>());
    let mut lab = target::lone_lab("n", role, "rpi4");
    let kind = if role == "worker" { K3sKind::Agent } else { K3sKind::Server };
    lab.nodes = vec![LabNode { kind: Some(kind), ..lab.nodes[0].clone() }];
    change(&mut lab);
    let (board, suite) = ("rpi4".to_owned(), "trixie".to_owned());
    let request = Request { board, role: role.to_owned(), suite, lab, ..Request::default() };
    Plan::new(&request, &Parts::of(dir.path()).unwrap())
}

fn error(role: &str, path: &str, text: &str) -> String {
    one_line(&plan(role, &[(path, text)], |_| {}).unwrap_err())
}

#[test]
fn what_labimg_writes_as_well_is_joined() {
    let hosts = "# mine\n192.168.1.5 printer  printer.lan # the old one\n\nfd00::5\tnas\n";
    let files = [
        ("common/etc/hosts", hosts),
        ("master/etc/hosts", "10.0.0.9 x"),
        ("common/home/lab/.ssh/authorized_keys", &format!("# me\n\n{KEY}\n")),
        ("common/etc/rancher/k3s/config.yaml", "tls-san: [a.example]\nnode-label:\n- disk=ssd\n"),
        ("master/etc/rancher/k3s/config.yaml", "node-label: rack=1\n"),
        ("master/etc/rancher/k3s/config.yaml.d/x.yaml", "tls-san+: [b.example]\n"),
    ];
    let plan = plan("master", &files, |lab| {
        lab.k3s.server_config = BTreeMap::from([("node-label".to_owned(), json!(["a=b"]))]);
    })
    .unwrap();
    assert_eq!(plan.added.hosts, "192.168.1.5\tprinter\tprinter.lan\nfd00::5\tnas\n10.0.0.9\tx\n");
    assert_eq!(plan.added.ssh_keys, [KEY]);
    let text = config::server_config(&plan.lab, &plan.lab.nodes[0]);
    for line in
        ["  - \"n.local\"\n", "  - \"a.example\"\n", "node-label:\n  - \"a=b\"\n  - \"disk=ssd\"\n  - \"rack=1\"\n"]
    {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn the_user_s_files_lie_in_the_user_s_home() {
    let path = "common/home/me/.ssh/authorized_keys";
    let me = |path: &str, text: &str| plan("worker", &[(path, text)], |lab| lab.user = "me".to_owned());
    assert_eq!(me(path, KEY).unwrap().added.ssh_keys, [KEY]);
    assert!(plan("worker", &[(path, KEY)], |_| {}).unwrap().added.ssh_keys.is_empty());
    let error = one_line(&me("common/home/lab/.bashrc", "x").unwrap_err());
    assert!(
        error.starts_with("overlays/common/home/lab/.bashrc lies in the home folder of `lab`, and the user"),
        "{error}"
    );
    assert!(error.contains("called `me`") && error.contains("below home/me"), "{error}");
    // A seed is not for images with another user.
    let ids = |plan: &Plan| serde_json::to_string(plan).unwrap();
    let usual = plan("worker", &[], |_| {}).unwrap();
    assert!(!ids(&usual).contains("\"user\"") && ids(&me("common/srv/x", "").unwrap()).contains("\"user\":\"me\""));
}

#[test]
fn settings_for_all_roles_go_where_they_count() {
    let text = "flannel-backend: host-gw\nnode-label: [x=y]\n";
    let of = |role: &str| {
        let plan = plan(role, &[("common/etc/rancher/k3s/config.yaml", text)], |_| {}).unwrap();
        plan.added.k3s.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(of("master"), ["flannel-backend", "node-label"]);
    assert_eq!(of("worker"), ["node-label"]);
    assert!(
        error("worker", "worker/etc/rancher/k3s/config.yaml", text)
            .contains("config.yaml:1: `flannel-backend` is an option")
    );
}

#[test]
fn what_cannot_be_joined_names_file_and_line() {
    for (path, text, said) in [
        ("common/etc/hosts", "\n127.0.1.1 me\n", "hosts:2: 127.0.1.1 is the node's own name (take the line out"),
        ("common/etc/hosts", "printer 10.0.0.1", "hosts:1: `printer` is no IP address (each line is"),
        ("common/etc/hosts", "10.0.0.1 # x", "hosts:1: an address without a name"),
        ("common/home/lab/.ssh/authorized_keys", "# me\nssh-rsa AAAA\n", "authorized_keys:2: "),
        ("common/etc/rancher/k3s/config.yaml", "a: [\n", "config.yaml:"),
        ("common/etc/rancher/k3s/config.yaml", "# x\n\"server\": x\n", "config.yaml:2: labimg sets `server` itself"),
        (
            "common/etc/rancher/k3s/config.yaml",
            "tls-sans: [x]\n",
            "config.yaml:1: k3s has no setting `tls-sans` (did you mean `tls-san`?",
        ),
        ("common/etc/rancher/k3s/config.yaml", "disable:\n", "config.yaml:1: `disable` has no value"),
        (
            "common/etc/rancher/k3s/config.yaml.d/a.yaml",
            "tls-san: [x]\n",
            "a.yaml:1: `tls-san` takes the place of the entries that labimg needs (write `tls-san+`",
        ),
    ] {
        let error = error("master", path, text);
        assert!(error.starts_with(&format!("overlays/{path}:")) && error.contains(said), "{error}");
    }
    let files = [("common/etc/rancher/k3s/config.yaml", "cluster-cidr: 10.52.0.0/16\n")];
    let error = plan("master", &files, |lab| {
        lab.k3s.server_config = BTreeMap::from([("cluster-cidr".to_owned(), json!("10.62.0.0/16"))]);
    });
    assert!(one_line(&error.unwrap_err()).contains("`cluster-cidr` has two values: of the overlays'"));
    let files = [
        ("common/etc/rancher/k3s/config.yaml", "cluster-domain: a.example\n"),
        ("master/etc/rancher/k3s/config.yaml", "cluster-domain: b.example\n"),
    ];
    assert!(one_line(&plan("master", &files, |_| {}).unwrap_err()).contains("`cluster-domain` has two values"));
}

#[test]
fn places_of_others_are_refused_with_the_way_to_set_the_same() {
    for (path, said) in [
        ("etc/hostname", "each node's seed brings its own (a node's host name"),
        ("etc/labimg/node.conf", "each node's seed"),
        ("var/lib/rancher/k3s/server/manifests/a.yaml", "manifests/"),
        ("etc/shadow", "sysusers.d"),
    ] {
        let text = error("master", &format!("common/{path}"), "x");
        assert!(
            text.starts_with(&format!("overlays/common/{path} cannot go onto the nodes: ")) && text.contains(said),
            "{text}"
        );
    }
    let wifi = [("common/etc/wpa_supplicant/wpa_supplicant-wlan0.conf", "x")];
    plan("master", &wifi, |_| {}).unwrap();
    let error = plan("master", &wifi, |lab| {
        lab.wifi = Some(Wifi { ssid: "a".to_owned(), passphrase: None, country: "DE".to_owned() });
    });
    assert!(one_line(&error.unwrap_err()).contains("take `[wifi]` out of lab.toml"));
}

/// The error for files of `secrets/files` on a lone master `n`, whose overlay has `/etc/motd`.
fn secret_error(files: &[(&str, &str)]) -> Option<String> {
    let files = files.iter().map(|(path, text)| (format!("secrets/files/{path}"), *text));
    let dir = folder(&files.chain([("overlays/common/etc/motd".to_owned(), "x")]).collect::<Vec<_>>());
    let parts = Parts::of(dir.path()).unwrap();
    let folder = lab::LabFolder { dir: dir.path().to_owned(), lab: target::lone_lab("n", "master", "rpi4"), parts };
    let flags = target::Flags { suite: "trixie".to_owned(), ..target::Flags::default() };
    target::of_lab(&folder, &[], &flags).err().map(|e| one_line(&e))
}

#[test]
fn secret_files_have_places_of_their_own() {
    let registries = "etc/rancher/k3s/registries.yaml";
    for folder in ["common", "master", "worker", "nodes/n"] {
        assert_eq!(secret_error(&[(&format!("{folder}/{registries}"), "x")]), None);
    }
    let large = "x".repeat(LARGEST as usize + 1);
    for (path, text, said) in [
        ("nodes/m/x", "", "secrets/files/nodes/m: there is no node of this name"),
        ("common/etc/motd", "", "secrets/files/common/etc/motd and overlays/common/etc/motd are for the same place"),
        ("common/etc/hosts", "", "would take the place of what labimg writes there (it holds nothing secret"),
        ("common/etc/rancher/k3s/config.yaml", "", "(call it etc/rancher/k3s/config.yaml.d/NAME.yaml)"),
        (
            "common/etc/rancher/k3s/config.yaml.d/a.yaml",
            "\nserver: x",
            "secrets/files/common/etc/rancher/k3s/config.yaml.d/a.yaml:2: ",
        ),
        ("nodes/n/etc/rancher/k3s/token", "", "secrets/files/nodes/n/etc/rancher/k3s/token cannot go onto the nodes"),
        ("common/boot/firmware/x", "", "below the firmware partition"),
        ("common/x", &large, "have 8388609 bytes, more than the 8388608"),
    ] {
        let error = secret_error(&[(path, text)]).unwrap();
        assert!(error.contains(said), "{path}: {error}");
    }
}
