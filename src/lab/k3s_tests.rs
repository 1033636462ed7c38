//! Checks of `k3s.server_config` and `k3s.agent_config`, and of the networks in the cluster.

use super::parse;
use super::tests::{GOOD, known, lab, mistakes, one, warned, warnings};

fn server(lines: &str) -> String {
    lab(&format!("[k3s.server_config]\n{lines}"), "")
}

fn agent(lines: &str) -> String {
    lab(&format!("[k3s.agent_config]\n{lines}"), "")
}

/// With a release of k3s.
fn of(version: &str, lines: &str) -> String {
    lab(&format!("[k3s]\nversion = \"{version}\"\n[k3s.server_config]\n{lines}"), "")
}

#[track_caller]
fn good(text: &str) {
    assert_eq!((mistakes(text), warnings(text)), (Vec::new(), Vec::new()), "{text}");
}

#[test]
fn what_the_cluster_needs_cannot_be_taken() {
    for key in [
        "token",
        "token-file",
        "agent-token",
        "agent-token-file",
        "server",
        "node-name",
        "cluster-init",
        "data-dir",
        "config",
        "token_file",
        // The same by their short names.
        "t",
        "s",
        "d",
        "c",
    ] {
        one(&server(&format!("{key} = \"x\"")), key, &["labimg sets `", "take the line out"]);
        one(&agent(&format!("{key} = \"x\"")), key, &["labimg sets `"]);
    }
    one(&server("\"token+\" = \"x\""), "\"token+\"", &["labimg sets `token`"]);
    for (line, why) in [
        ("https-listen-port = 7443", "port 6443"),
        ("supervisor-port = 7443", "port 6443"),
        ("with-node-id = true", "by their `name` alone"),
        ("cluster-reset = true", "at every start"),
        ("cluster-reset-restore-path = \"/x\"", "at every start"),
        ("rootless = true", "root's k3s"),
        ("disable-agent = true", "joins its cluster"),
        ("disable-apiserver = true", "none in the whole cluster"),
        ("disable-etcd = true", "none in the whole cluster"),
    ] {
        one(&server(line), line.split(' ').next().unwrap(), &["cannot have", why, "take the line out"]);
    }
    for flag in ["node-ip", "node-external-ip", "node-internal-dns", "node-external-dns", "advertise-address"] {
        let text = server(&format!("{flag} = \"192.168.1.9\""));
        good(&text);
        let two = text.replace("\"worker\"", "\"server\"");
        one(&two, flag, &["of one node, and 2 nodes", "set it in `k3s` of a node"]);
    }
    let of_node = |line: &str| lab("", &format!("k3s = {{ {line} }}"));
    good(&of_node("node-ip = \"192.168.1.9\", node-label = [\"a=b\"]"));
    one(&of_node("server = \"x\""), "server", &["labimg sets `server` itself"]);
    one(&of_node("disable = [\"traefik\"]"), "disable", &["option of `k3s server`"]);
    let of_server = of_node("cluster-cidr = \"10.52.0.0/16\"").replace("\"worker\"", "\"server\"");
    one(&of_server, "cluster-cidr", &["all servers must have the same", "`server_config`"]);
    warned(&server("secrets-encryption = false"), "secrets-encryption", &["as they are"]);
    good(&server("secrets-encryption = true"));
    warned(&server("disable-helm-controller = true"), "disable-helm-controller", &["no HelmChart"]);
}

#[test]
fn a_slip_of_the_finger_is_no_setting() {
    for (name, meant) in [
        ("disabled", "did you mean `disable`? The settings are the options of `k3s server`"),
        ("node_label", "did you mean `node-label`?"),
        ("tls-sans", "did you mean `tls-san`?"),
        ("Node-Label", "did you mean `node-label`?"),
        ("qqqq", "settings are the options of `k3s server` without `--`"),
        ("no-deploy", "k3s calls it `disable` now"),
    ] {
        one(&server(&format!("{name} = [\"x\"]")), name, &["k3s has no setting", meant]);
    }
    one(&agent("\"node label\" = [\"x\"]"), "\"node label\"", &["k3s has no setting", "`k3s agent`"]);
    one(&agent("\"\" = 1"), "\"\"", &["k3s has no setting"]);
    one(
        &agent("disable = [\"traefik\"]"),
        "disable",
        &["option of `k3s server`", "no effect", "belongs in `server_config`"],
    );
    one(&server("disable-apiserver-lb = true"), "disable-apiserver-lb", &["`k3s agent`", "belongs in `agent_config`"]);
    good(&server(
        "disable = [\"traefik\"]\n\"tls-san+\" = \"a\"\nv = 2\nnode-taint = [\"a=b:NoSchedule\"]\no = \"/root/k\"",
    ));
    let read = parse(&server("disable = [\"traefik\"]"), None, known()).unwrap().0;
    assert_eq!(read.k3s.server_config["disable"], serde_json::json!(["traefik"]));
}

#[test]
fn each_release_has_its_settings() {
    one(&server("write-kubeconfig-name = \"home\""), "write-kubeconfig-name", &["does not have", "yet", "v1.37.0"]);
    good(&of("v1.37.0+k3s1", "write-kubeconfig-name = \"home\""));
    good(&of("v1.35.7+k3s1", "helm-controller-arg = [\"a=b\"]"));
    one(
        &of("v1.35.6+k3s1", "helm-controller-arg = [\"a=b\"]"),
        "helm-controller-arg",
        &["k3s v1.35.6", "v1.34.10, v1.35.7"],
    );
    // What the table does not know is not forbidden.
    let newer = |line: &str| of("v1.99.0+k3s1", line);
    warned(&newer("disabled = [\"traefik\"]"), "disabled", &["k3s v1.99.0", "is not known", "v1.34 to v1.37"]);
    warned(&newer("disable = [\"dns\"]"), "\"dns\"", &["no packaged component"]);
    warned(&newer("disable-apiserver-lb = true"), "disable-apiserver-lb", &["belongs in `agent_config`"]);
    good(&newer("write-kubeconfig-name = \"home\"\ndisable = [\"traefik\"]"));
    one(&newer("disable = { traefik = true }"), "{ traefik = true }", &["must be a list"]);
    one(&newer("token = \"x\""), "token", &["labimg sets"]);
    one(&newer("\"node label\" = 1"), "\"node label\"", &["k3s has no setting"]);
}

#[test]
fn values_have_the_shape_of_their_setting() {
    for (line, place, words) in [
        (
            "disable = { traefik = true }",
            "{ traefik = true }",
            &["must be a list, not a section", "write disable = [\"traefik\"]"][..],
        ),
        ("node-label = { disk = \"ssd\" }", "{ disk = \"ssd\" }", &["node-label = [\"disk=ssd\"]"]),
        ("disable = true", "true", &["an entry of `disable` must be a text in quotes, not `true` or `false`"]),
        ("kubelet-arg = [[\"a\"]]", "[\"a\"]", &["must be a text in quotes, not a list", "one pair of brackets"]),
        ("kubelet-arg = [1.5]", "1.5", &["put it in quotes"]),
        ("flannel-backend = [\"vxlan\"]", "[\"vxlan\"]", &["must be a text in quotes, not a list", "has one value"]),
        (
            "flannel-backend = \"wireguard\"",
            "\"wireguard\"",
            &["cannot be `wireguard`", "did you mean `wireguard-native`?", "\"host-gw\""],
        ),
        ("debug = \"on\"", "\"on\"", &["must be `true` or `false`, not a text", "write debug = true"]),
        ("debug = 1", "1", &["must be `true` or `false`, not a number"]),
        ("etcd-snapshot-retention = \"five\"", "\"five\"", &["must be a whole number, not a text"]),
        ("etcd-snapshot-retention = true", "true", &["must be a whole number"]),
        ("cluster-domain = true", "true", &["must be a text in quotes", "put it in quotes"]),
        ("write-kubeconfig-mode = 0o640", "0o640", &["put it in quotes"]),
        ("etcd-s3-timeout = 5", "5", &["must be a length of time, not a number", "= \"10m\""]),
        ("etcd-s3-timeout = \"5 minutes\"", "\"5 minutes\"", &["must be a length of time, not this text"]),
        (
            "\"write-kubeconfig-mode+\" = \"0640\"",
            "\"write-kubeconfig-mode+\"",
            &["has one value", "write `write-kubeconfig-mode`"],
        ),
        ("cluster-domain = 2026-01-01", "2026-01-01", &["in quotes"]),
        ("kubelet-arg = [2026-01-01]", "2026-01-01", &["in quotes"]),
        ("kubelet-arg = [nan]", "nan", &["finite"]),
        ("cluster-domain = inf", "inf", &["finite"]),
    ] {
        one(&server(line), place, words);
    }
    good(&server(
        "debug = \"true\"\nv = \"3\"\nwrite-kubeconfig-mode = 640\netcd-s3-timeout = \"5m0s\"\nkubelet-arg = \"max-pods=50\"\n\
         kube-apiserver-arg = [\"v=1\", 5]\ndisable = []\nflannel-backend = \"host-gw\"",
    ));
}

#[test]
fn labels_and_taints_are_what_kubernetes_takes() {
    for text in [server, agent] {
        let label = |label: &str| text(&format!("node-label = [\"{label}\"]"));
        for good_one in ["disk=ssd", "example.org/disk=", "node.kubernetes.io/speed=fast", "a=b,c=d"] {
            good(&label(good_one));
        }
        for (bad, words) in [
            (
                "node-role.kubernetes.io/worker=true",
                &["its kubelet would not start", "\"lab.example/worker=true\"", "kubectl label node"][..],
            ),
            ("kubernetes.io/role=x", &["may not give itself"]),
            ("example.k8s.io/x=", &["may not give itself"]),
            ("disk", &["has no value", "\"disk=true\""]),
            ("disk=it's", &["cannot be a label: its value"]),
            ("-disk=ssd", &["cannot be a label: its name"]),
            ("Example.org/a=b", &["not a DNS domain"]),
            ("a=b,disk", &["`disk` has no value"]),
        ] {
            one(&label(bad), &format!("\"{bad}\""), words);
        }
        let taint = |taint: &str| text(&format!("node-taint = \"{taint}\""));
        for good_one in ["a=b:NoSchedule", "a:NoExecute", "node-role.kubernetes.io/control-plane=true:PreferNoSchedule"]
        {
            good(&taint(good_one));
        }
        for (bad, words) in [
            ("a=b", &["does not say what it does", "`NoSchedule`"][..]),
            ("a=b:NoSchedul", &["`NoSchedul` is nothing", "did you mean `NoSchedule`"]),
            ("a b:NoSchedule", &["cannot be a taint: its name"]),
            ("a=b=c:NoSchedule", &["cannot be a taint: its value"]),
        ] {
            one(&taint(bad), &format!("\"{bad}\""), words);
        }
    }
    let bad = "node-labels=node-role.kubernetes.io/worker=true";
    one(&agent(&format!("kubelet-arg = [\"{bad}\"]")), &format!("\"{bad}\""), &["may not give itself"]);
}

#[test]
fn what_is_disabled_exists() {
    one(
        &server("disable = [\"treafik\"]"),
        "\"treafik\"",
        &["no packaged component `treafik`", "did you mean `traefik`?", "`servicelb`"],
    );
    one(&server("disable = \"traefik, dns\""), "\"traefik, dns\"", &["`dns`"]);
    good(&server("disable = [\"traefik,servicelb\", \"coredns\", \"nfs-storage\"]"));
}

#[test]
fn networks_of_the_cluster_meet_nothing() {
    let node = |before: &str, address: &str, gateway: &str| {
        lab(before, &format!("address = \"{address}\"\ngateway = \"{gateway}\""))
    };
    one(
        &node("", "10.42.0.5/24", "10.42.0.1"),
        "\"10.42.0.5/24\"",
        &["10.42.0.5 is in the pod network 10.42.0.0/16 (k3s' default)", "cluster-cidr = \"10.52.0.0/16\""],
    );
    one(
        &node("", "10.43.9.5/16", "10.43.0.1"),
        "\"10.43.9.5/16\"",
        &["the service network 10.43.0.0/16", "service-cidr = \"10.53.0.0/16\""],
    );
    let own = "[k3s.server_config]\ncluster-cidr = \"192.168.0.0/16\"";
    let found = parse(&node(own, "192.168.1.5/24", "192.168.1.1"), None, known()).unwrap_err();
    assert_eq!((found.len(), found[0].also.len()), (1, 1), "both places are shown: {found:?}");
    // What is advised can be followed.
    good(&node("[k3s.server_config]\ncluster-cidr = \"10.52.0.0/16\"", "10.42.0.5/24", "10.42.0.1"));
    good(&node(
        "[k3s.server_config]\nservice-cidr = [\"10.53.0.0/16\"]\ncluster-dns = \"10.53.0.9\"",
        "10.43.9.5/16",
        "10.43.0.1",
    ));

    let wide = warnings(&node("", "10.0.0.5/8", "10.0.0.1"));
    assert_eq!(wide.len(), 2, "{wide:#?}");
    assert!(
        wide[0].contains("overlaps the pod network 10.42.0.0/16") && wide[0].contains("172.22.0.0/16"),
        "{}",
        wide[0]
    );
    assert!(wide[1].contains("overlaps the service network") && wide[1].contains("172.23.0.0/16"), "{}", wide[1]);
    one(&node("", "10.0.0.5/8", "10.42.0.1"), "\"10.42.0.1\"", &["the router 10.42.0.1 is in the pod network"]);
    one(
        &lab("", "address = \"10.0.0.5/24\"\ngateway = \"10.0.0.1\"\ndns = [\"10.43.0.10\"]"),
        "\"10.43.0.10\"",
        &["the name server 10.43.0.10 is in the service network", "before k3s runs"],
    );

    for (lines, place, words) in [
        (
            "cluster-cidr = \"10.43.0.0/16\"",
            "\"10.43.0.0/16\"",
            &[
                "the pod network 10.43.0.0/16 and the service network 10.43.0.0/16 (k3s' default)",
                "cluster-cidr = \"10.42.0.0/16\"",
            ][..],
        ),
        ("service-cidr = [\"10.0.0.0/8\"]", "\"10.0.0.0/8\"", &["overlap"]),
        (
            "cluster-cidr = \"10.50.0.0/15\"\nservice-cidr = \"10.51.0.0/16\"",
            "\"10.51.0.0/16\"",
            &["the pod network 10.50.0.0/15 and the service network 10.51.0.0/16 overlap"],
        ),
        ("cluster-cidr = \"10.50.0.0/16,10.50.2.0/23\"", "\"10.50.0.0/16,10.50.2.0/23\"", &["overlap"]),
        ("\"cluster-cidr+\" = \"pods\"", "\"pods\"", &["write it like `10.42.0.0/16`"]),
        ("cluster-cidr = \"10.52.0.0/25\"", "\"10.52.0.0/25\"", &["too small for 2 nodes: each takes a /24 of it"]),
        ("cluster-cidr = \"10.52.0.0/24\"", "\"10.52.0.0/24\"", &["too small for 2 nodes"]),
        ("cluster-dns = \"10.42.0.10\"", "\"10.42.0.10\"", &["not in the service network 10.43.0.0/16"]),
        ("cluster-dns = \"dns\"", "\"dns\"", &["not an IP address"]),
    ] {
        one(&server(lines), place, words);
    }
    good(&server("cluster-cidr = \"10.52.0.0/23\""));
    let masks = "kube-controller-manager-arg = [\"node-cidr-mask-size=26\"]";
    good(&server(&format!("cluster-cidr = \"10.52.0.0/24\"\n{masks}")));
    good(&server("cluster-cidr = \"10.42.0.0/16,fd00:42::/56\"\nservice-cidr = \"10.43.0.0/16,fd00:43::/112\""));
    one(&agent("cluster-cidr = \"10.50.0.0/16\""), "cluster-cidr", &["belongs in `server_config`"]);

    let storage = |network: &str| lab(&format!("[storage]\nnetworks = [\"{network}\"]"), "");
    one(&storage("10.42.0.0/24"), "\"10.42.0.0/24\"", &["of `storage.networks` is in the pod network 10.42.0.0/16"]);
    one(&storage("10.43.0.0/16"), "\"10.43.0.0/16\"", &["is in the service network"]);
    warned(&storage("10.0.0.0/8"), "\"10.0.0.0/8\"", &["pods may write"]);
    good(&storage("192.168.0.0/16"));
    good(GOOD);
}
