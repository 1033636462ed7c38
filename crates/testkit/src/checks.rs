//! Checks for any node that has booted, emulated or native.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::command::succeed;
use crate::machine::Machine;

/// A duration in minutes.
pub fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// Facts about a built image.
#[derive(Debug)]
pub struct Image {
    /// The node's name.
    pub hostname: String,
    /// The image's own time, seconds since 1970.
    pub date: i64,
    /// The ports that it opens, such as `22/tcp`.
    pub ports: Vec<String>,
}

/// Checks the system of a booted node.
pub fn check_system(node: &impl Machine, image: &Image) {
    let state = node.run_within("systemctl is-system-running --wait || true", minutes(15));
    let failed = node.run("systemctl --failed --plain --no-legend");
    assert_eq!((state.trim(), failed.trim()), ("running", ""), "a unit failed");
    assert!(node.run("ip -4 -o addr show scope global").contains("10.0.2."), "no address by DHCP");
    let now: i64 = node.run("date +%s").trim().parse().unwrap();
    assert!(now >= image.date, "the clock stands at {now}, before the image's own time");
    assert_eq!(node.run("cat /proc/sys/kernel/hostname").trim(), image.hostname);
    assert_eq!(node.run("hostname -f").trim(), image.hostname);
    let again = node.run(
        "systemctl show --property ConditionResult --value ldconfig systemd-sysusers systemd-journal-catalog-update systemd-hwdb-update",
    );
    assert!(!again.contains("yes"), "what the image has was made once more at boot: {again}");
    let listening = node.run("sudo ss -Hltun");
    assert!(!listening.contains(":111 "), "rpcbind listens: {listening}");
    check_ports(&listening, &image.ports);
    let sshd = node.run("sudo sshd -T");
    for line in ["passwordauthentication no", "permitrootlogin no", "kbdinteractiveauthentication no"] {
        assert!(sshd.contains(line), "sshd does not say `{line}`");
    }
    assert_eq!(node.run("sudo awk -F: '$2 !~ /^[!*]/ {print $1}' /etc/shadow").trim(), "", "a user has a password");
    // systemd-resolved may just be restarting: see labimg-mdns-name.
    node.wait_until("mDNS is on", "resolvectl mdns | grep yes", minutes(2));
    assert!(node.run("locale").contains("LANG=C.UTF-8"));
    assert_eq!(node.run("sudo dpkg --audit").trim(), "", "dpkg finds something to mend");
    assert_eq!(node.run("sudo apt-get check -qq").trim(), "", "apt finds something to mend");
}

/// Checks that only the ports reported by `labimg inspect` are open.
fn check_ports(listening: &str, told: &[String]) {
    let mut open = 0;
    for line in listening.lines() {
        // ss(8): protocol, state, two queues, local address, peer address.
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = words[4].rsplit_once(':').unwrap();
        if address.starts_with("127.") || address == "[::1]" || address.ends_with("%lo") {
            continue;
        }
        let found = format!("{port}/{}", words[0]);
        assert!(told.contains(&found), "{found} is open, and `labimg inspect` tells only {told:?}\n{listening}");
        open += 1;
    }
    assert!(open >= 2, "not even SSH and mDNS are open\n{listening}");
    assert!(["22/tcp", "5353/udp"].iter().all(|port| told.iter().any(|t| t == port)), "{told:?}");
}

/// Checks a booted node with its part of the cluster.
pub fn check_node(node: &impl Machine, name: &str, unit: &str) {
    let state = node.run_within("systemctl is-system-running --wait || true", minutes(15));
    let failed = node.run("systemctl --failed --plain --no-legend");
    assert_eq!((state.trim(), failed.trim()), ("running", ""), "{name}: a unit failed");
    assert_eq!(node.run("cat /proc/sys/kernel/hostname").trim(), name);
    assert_eq!(node.run(&format!("systemctl is-active {unit}")).trim(), "active", "{name}: {unit}");
    let broken = node.run("sudo cat /run/k3s-stand-in/failed 2>/dev/null || true");
    assert_eq!(broken.trim(), "", "{name}: a promise to k3s is broken");
    let files = node.run("sudo ls /boot/firmware");
    assert!(!files.contains("labimg-seed"), "{name}: the seed is still on the card: {files}");
}

/// Checks that the boot report says that everything went well.
pub fn check_report(report: &str, name: &str) {
    for text in [&format!("Node       {name}"), "Boot       finished", "Failed     no unit", "Steps\n"] {
        assert!(report.contains(text), "the report of {name} does not say `{text}`:\n{report}");
    }
    for text in ["FAILED", "What went wrong"] {
        assert!(!report.contains(text), "the report of {name} says `{text}`:\n{report}");
    }
}

/// Waits until the boot report of a running node says that everything went well.
pub fn wait_for_report(node: &impl Machine, name: &str) {
    let report = "sudo sh -c \"grep -q '^Boot  *finished' /boot/firmware/labimg-report.txt && cat /boot/firmware/labimg-report.txt\"";
    check_report(&node.wait_until("the report is written", report, minutes(3)), name);
}

/// `labimg status --wait` with this API server must report ready, with all these nodes. `labimg` runs it in the lab's
/// folder. Returns its output.
pub fn wait_for_ready(mut labimg: Command, nodes: &[(&str, &str)], server: &str, within: Duration) -> Value {
    let seconds = within.as_secs().to_string();
    let output = succeed(labimg.args(["--json", "status", "--wait", "--timeout", &seconds, "--server", server]));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["ready"], true, "{status:#}");
    for (name, _) in nodes {
        assert!(status["nodes"].as_array().unwrap().iter().any(|n| n["name"] == *name), "no {name} in {status:#}");
    }
    status
}

/// Checks that a node with a taken name is refused. The stand-in behaves like k3s here; otherwise tests with a
/// reflashed node would prove nothing. `worker` asks under the name `taken`.
pub fn check_stranger(worker: &impl Machine, taken: &str) {
    let ask = format!(
        "t=$(sudo cat /etc/rancher/k3s/token); a=$(printf 'node:%s' \"${{t##*:}}\" | openssl base64 -A); \
        printf 'GET /v1-k3s/serving-kubelet.crt HTTP/1.1\\r\\nAuthorization: Basic %s\\r\\nk3s-Node-Name: {taken}\\r\\nk3s-Node-Password: wrong\\r\\nConnection: close\\r\\n\\r\\n' \
        \"$a\" | openssl s_client -4 -quiet -connect master.local:6443 2>/dev/null | head -n 1"
    );
    let answer = worker.run(&ask);
    assert!(answer.contains(" 403 "), "a stranger called {taken} is not refused: {answer}");
}

/// Checks a master that booted with a late network and without a USB disk.
pub fn check_without_disk(node: &impl Machine) {
    let seeded = node.run(". /etc/labimg/node.conf; echo $SEED_TIME");
    let now = node.run("date +%s");
    let (seeded, now): (i64, i64) = (seeded.trim().parse().unwrap(), now.trim().parse().unwrap());
    assert!(now >= seeded, "the clock stands at {now}, before the seed's time {seeded}");
    assert_eq!(node.run("findmnt -n /srv/labimg || echo none").trim(), "none", "/srv/labimg is mounted without a disk");
    assert!(!node.run("sudo exportfs -s").contains("/srv/labimg"), "/srv/labimg is exported without a disk");
    let report = node.run("sudo cat /boot/firmware/labimg-report.txt");
    assert!(report.to_lowercase().contains("usb"), "the report does not say that there is no USB disk:\n{report}");
}
