//! `labimg.conf`, as users edit it on another computer.

use labimg_testkit::checks::{check_node, minutes};
use labimg_testkit::machine::Machine;
use labimg_testkit::native::{Network, Node, make_key};

use crate::lab::{ready, shared};

/// A name, another key, an address and one mistake; then another name; then Wi-Fi.
#[test]
fn settings_of_the_card_are_applied() {
    if !ready("conf::settings_of_the_card_are_applied") {
        return;
    }
    let lab = shared();
    let network = Network::start();
    let cards = ["master", "worker1"].map(|name| lab.flash(&network, name));
    let further = network.folder().join("further");
    let key = make_key(&further);
    let conf = format!(
        "# mine\nhostname = Kitchen # upstairs\nssh_key={key}address=10.0.2.77/24\ngateway=10.0.2.2\ndns=10.0.2.2,nowhere\n"
    );
    cards[1].write_firmware("labimg.conf", conf);
    let mut master = lab.boot(&network, &cards[0]);
    let mut node = lab.boot(&network, &cards[1]);
    for node in [&mut master, &mut node] {
        node.wait_for_ssh(minutes(6));
    }
    check_kitchen(&node);
    assert!(node.lets_in(&further) && node.lets_in(&lab.key()), "a key may not log in");
    let found = master.wait_until("the new name is found", "getent ahostsv4 kitchen.local", minutes(6));
    assert!(found.starts_with("10.0.2.77 "), "kitchen.local is {found}");

    // Applied lines are commented out; the address waits until the wrong line is fixed.
    let conf = cards[1].firmware_text("labimg.conf");
    println!("{conf}");
    for line in ["# mine", "#hostname = Kitchen # upstairs", "address=10.0.2.77/24"] {
        assert!(conf.lines().any(|l| l == line), "`{line}` is not in the file:\n{conf}");
    }
    assert!(conf.contains("#! `nowhere` is no IP address\ndns=10.0.2.2,nowhere\n"), "{conf}");
    let report = node.wait_for_report(minutes(3));
    assert!(report.contains("Node       kitchen, worker of cluster lab"), "{report}");
    assert!(report.contains("warning: labimg.conf, line 6: `nowhere` is no IP address"), "{report}");

    println!("another name, and the mistake is mended");
    let conf = conf.replace("#! `nowhere` is no IP address\ndns=10.0.2.2,nowhere", "hostname=study\ndns=10.0.2.2");
    cards[1].write_firmware("labimg.conf", conf);
    node.restart(minutes(6));
    assert_eq!(node.run("hostname -f").trim(), "study");
    assert_eq!(node.address().as_deref(), Some("10.0.2.77"));
    let found = master.wait_until("the next name is found", "getent ahostsv4 study.local", minutes(6));
    assert!(found.starts_with("10.0.2.77 "), "study.local is {found}");
    let conf = cards[1].firmware_text("labimg.conf");
    let active: Vec<&str> = conf.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    assert_eq!(active, [""; 0], "not all is applied");

    println!("Wi-Fi, which this machine has not");
    cards[1].write_firmware(
        "labimg.conf",
        format!("{conf}wifi_ssid=\"The # café\"\nwifi_passphrase=correct horse\nwifi_country=de\n"),
    );
    node.restart(minutes(6));
    let wifi = node.run("sudo cat /etc/wpa_supplicant/wpa_supplicant-wlan0.conf");
    // `The # café` in hexadecimal.
    for text in ["country=DE", "ssid=546865202320636166c3a9", "sae_password=636f727265637420686f727365"] {
        assert!(wifi.contains(text), "no {text} in {wifi}");
    }
    // It reads its file before it looks for the port, which is not there.
    let read = node
        .run("sudo wpa_supplicant -Dnone -inone -dd -K -c /etc/wpa_supplicant/wpa_supplicant-wlan0.conf 2>&1 || true");
    assert!(read.contains("id=0 ssid='The # caf") && read.contains("63 6f 72 72 65 63 74 20 68 6f 72 73 65"), "{read}");
    assert_eq!(node.run("stat -c %a /etc/wpa_supplicant/wpa_supplicant-wlan0.conf").trim(), "600");
    let conf = cards[1].firmware_text("labimg.conf");
    assert!(conf.contains("\n#wifi_passphrase=\n") && !conf.contains("correct horse"), "{conf}");
    assert_eq!(node.address().as_deref(), Some("10.0.2.77"));
    check_node(&master, "master", "k3s.service");
    check_node(&node, "study", "k3s-agent.service");
    for mut node in [node, master] {
        node.power_off(minutes(6));
        node.card().check();
    }
}

fn check_kitchen(node: &Node) {
    assert_eq!(node.run("cat /proc/sys/kernel/hostname").trim(), "kitchen");
    assert_eq!(node.run("hostname -f").trim(), "kitchen");
    assert_eq!(node.address().as_deref(), Some("10.0.2.77"));
    assert!(node.run("ip route").contains("default via 10.0.2.2"), "the gateway is not used");
    assert!(node.run("resolvectl dns host0").contains("10.0.2.2"), "the name server is not used");
}

/// Lines that must never be applied: the node keeps its name and boots, and each line gets a note about what is wrong.
#[test]
fn mistakes_and_malice_change_nothing() {
    if !ready("conf::mistakes_and_malice_change_nothing") {
        return;
    }
    let lab = shared();
    let network = Network::start();
    let card = lab.flash(&network, "master");
    let long = "a".repeat(64);
    let huge = "x".repeat(200_000);
    let lines = [
        "hostname=$(touch /pwned)".to_owned(),
        "`touch /pwned`=1".to_owned(),
        "HOSTNAME = localhost".to_owned(),
        "no equals sign".to_owned(),
        "=".to_owned(),
        "ssh_key=ssh-ed25519 AAAA; touch /pwned".to_owned(),
        "ssh_key=-----BEGIN OPENSSH PRIVATE KEY-----".to_owned(),
        "address=10.0.2.300/24".to_owned(),
        "gateway=10.0.2.2".to_owned(),
        "wifi_passphrase=short".to_owned(),
        format!("hostname={long}"),
        "root_password=toor".to_owned(),
        format!("dns={huge}"),
        "../../etc/shadow=x".to_owned(),
        "ssh_key=".to_owned(),
    ];
    // As written by a Windows editor, and with a NUL byte.
    let conf = format!("\u{feff}{}\r\n\0\r\n", lines.join("\r\n"));
    card.write_firmware("labimg.conf", &conf);
    let mut node = lab.boot(&network, &card);
    node.wait_for_ssh(minutes(6));
    check_node(&node, "master", "k3s.service");
    assert_eq!(node.run("ls /").matches("pwned").count(), 0, "a line of labimg.conf was run");
    assert_eq!(node.run("wc -l <~/.ssh/authorized_keys").trim(), "1", "a bad key may log in");
    assert_eq!(node.run("sudo ls /etc/wpa_supplicant").matches("wlan0").count(), 0, "Wi-Fi is set up");
    let report = node.wait_for_report(minutes(6));
    println!("{}", report.chars().filter(|c| *c != 'x').collect::<String>());
    for (i, line) in lines.iter().enumerate() {
        // Without a valid address these lines are not checked.
        if line.starts_with("gateway=") || line.starts_with("dns=") {
            continue;
        }
        let told = format!("warning: labimg.conf, line {}: ", i + 1);
        assert!(report.contains(&told), "nothing is said of line {}: {}", i + 1, &line[..line.len().min(80)]);
    }
    // The lines are unchanged, each below a note about what is wrong.
    let after = card.firmware_text("labimg.conf");
    for line in &lines {
        assert!(after.lines().any(|l| l.trim_end() == line || l.trim_end() == format!("#{line}")), "{line} is gone");
    }
    node.restart(minutes(6));
    check_node(&node, "master", "k3s.service");
    node.power_off(minutes(1));
    card.check();
}
