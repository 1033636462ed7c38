//! Settings at the limits of what is allowed.

use labimg_testkit::checks::{check_node, minutes, wait_for_ready, wait_for_report};
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Lab, LabRequest, Network};

use crate::lab::{ready, tools};

/// Host names of 63 letters, the most that DNS allows; a fixed address; settings of k3s with characters that are
/// special in YAML.
#[test]
fn the_longest_names_and_odd_settings() {
    if !ready("hostile::the_longest_names_and_odd_settings") {
        return;
    }
    let master = format!("m{}", "1".repeat(62));
    let worker = format!("w-{}-9", "0".repeat(59));
    let nodes = [(master.as_str(), "master"), (worker.as_str(), "worker")];
    let odd = r##"password_hash = "$5$salt$0123456789012345678901234567890123456789012"
[k3s]
server_config = { "tls-san" = ["extra.example", "10.0.2.99"], "node-label" = ["odd=yes"], "kube-apiserver-arg" = ["quote=it's"], "write-kubeconfig-mode" = "0600" }
agent_config = { "kubelet-arg" = ["colon: space", "# hash", "\"quoted\"", "ünïcode", "no", "1e3"] }
"##;
    let own = "address = \"10.0.2.88/24\"\ngateway = \"10.0.2.2\"\nk3s = { node-label = [\"of=this\"] }\n";
    let fixed = [(worker.as_str(), own)];
    let request = LabRequest { nodes: &nodes, node_settings: &fixed, settings: odd, ..LabRequest::default() };
    let lab = Lab::build(&tools(), &request);
    let network = Network::start();
    let cards = nodes.map(|(name, _)| lab.flash(&network, name));
    let mut first = lab.boot(&network, &cards[0]);
    let mut second = lab.boot(&network, &cards[1]);
    for node in [&mut first, &mut second] {
        node.wait_for_ssh(minutes(6));
    }
    assert_eq!(second.address().as_deref(), Some("10.0.2.88"));
    let server = format!("{}:6443", first.address().unwrap());
    wait_for_ready(lab.command_in(&network), &nodes, &server, minutes(3));
    check_node(&first, &master, "k3s.service");
    check_node(&second, &worker, "k3s-agent.service");
    wait_for_report(&second, &worker);
    for (node, other) in [(&first, &worker), (&second, &master)] {
        node.wait_until("the long name is found", &format!("getent ahostsv4 {other}.local"), minutes(6));
    }
    let names = "openssl x509 -in /run/k3s-stand-in/serving.crt -noout -ext subjectAltName";
    let names = first.run(&format!("sudo {names}"));
    for name in ["DNS:extra.example", "IP Address:10.0.2.99", &format!("DNS:{master}.local")] {
        assert!(names.contains(name), "the certificate has no {name}: {names}");
    }
    let config = second.run("sudo cat /etc/rancher/k3s/config.yaml");
    println!("{config}");
    for argument in ["colon: space", "# hash", "ünïcode", "of=this"] {
        assert!(config.contains(argument), "no {argument} in {config}");
    }
    for node in [&mut second, &mut first] {
        let hash = node.run("sudo getent shadow lab");
        assert!(hash.starts_with("lab:$5$salt$0123456789012345678901234567890123456789012:"), "{hash}");
        assert_eq!(node.run("sudo ls /etc/labimg/password 2>/dev/null || echo gone"), "gone\n");
        node.power_off(minutes(6));
        node.card().check();
    }
}
