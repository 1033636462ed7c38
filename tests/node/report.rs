//! `step` and `report`: what the user reads on the card, and when it is written.

use std::os::unix::fs::MetadataExt;

use crate::root::{Root, text};

const REPORT: &str = "boot/firmware/labimg-report.txt";

fn node() -> Root {
    let root = Root::new();
    let manifest = include_str!("../../src/record/mod.rs");
    assert!(manifest.contains("to_string_pretty"), "the script reads one value a line");
    root.write(
        "usr/share/labimg/manifest.json",
        "{\n  \"format\": 1,\n  \"labimg\": \"0.1.0\",\n  \"board\": \"virt\",\n  \"role\": \"worker\",\n  \"suite\": \"trixie\",\n  \
         \"architecture\": \"arm64\",\n  \"date\": \"2026-11-20T10:11:12Z\",\n  \"partitions\": [\n    {\n      \"date\": \"other\"\n",
    );
    root.write("etc/labimg/node.conf", "CLUSTER=lab\nROLE=worker\nMASTER=boss\nSEED_TIME=1\n");
    root.write("sys/class/net/eth0/device", "");
    root.write("home/lab/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n");
    root.stand_in("ip", "echo 'eth0 UP 10.0.2.15/24 metric 100 fd00::15/64'; echo 'cni0 UP 10.42.0.1/24'");
    root.stand_in("df", "echo ' Used  Size'; echo ' 441M  722M'");
    root
}

fn step(root: &Root, name: &str, script: &str) -> Option<i32> {
    root.run("step", &[name, "sh", "-c", script]).status.code()
}

/// The report without times.
fn report(root: &Root) -> String {
    let seconds = |line: &str| {
        line.rsplit_once(' ').is_some_and(|(l, unit)| unit == "s" && l.ends_with(|c: char| c.is_ascii_digit()))
    };
    let text = root.read(REPORT);
    let lines = text.lines().map(|line| {
        if line.starts_with("Written") {
            "Written    …".to_owned()
        } else if line.starts_with("Clock") {
            format!("Clock      … {}", line.rsplit_once(", ").unwrap().1)
        } else if line.starts_with("  ") && seconds(line) {
            format!(
                "{} … s",
                line.trim_end_matches(" s").trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end()
            )
        } else {
            line.to_owned()
        }
    });
    lines.map(|l| l + "\n").collect()
}

#[test]
fn a_step_keeps_its_output_times_and_status() {
    let root = node();
    let output = root.run("step", &["grow", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\nerr\n");
    assert_eq!(root.read("run/labimg/steps/grow.log"), "out\nerr\n");
    let status = root.read("run/labimg/steps/grow.status");
    assert!(status.starts_with("begin=") && status.contains("\nend=") && status.ends_with("\nstatus=3\n"), "{status}");
}

#[test]
fn steps_of_the_first_second_are_told() {
    let root = node();
    for (name, begin, end) in [("grow", "0.06", "0.85"), ("seed", "0.85", "0.99"), ("clock", "0.94", "1.20")] {
        root.write(&format!("run/labimg/steps/{name}.status"), format!("begin={begin}\nend={end}\nstatus=0\n"));
        root.write(&format!("run/labimg/steps/{name}.log"), "");
    }
    assert!(root.run("report", &["during"]).status.success());
    let text = root.read(REPORT);
    for line in ["grow            0.8 s", "seed            0.1 s", "clock           0.3 s"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn the_report_says_what_ran_and_what_to_do() {
    let root = node();
    step(&root, "grow", "true");
    step(&root, "seed", "echo 'labimg-seed: 5 files'");
    assert!(report(&root).contains("Boot       not finished"));
    step(
        &root,
        "conf",
        "echo 'labimg-conf: fine'; echo 'warning: labimg.conf, line 3: bad'; echo '  do this'; echo other; echo 'warning: naïve'",
    );
    step(&root, "clock", "for i in $(seq 20); do echo line $i; done; exit 1");
    assert!(root.run("report", &["finish"]).status.success());
    insta::assert_snapshot!(report(&root));
}

#[test]
fn a_node_without_a_key_says_so() {
    let told = |keys: Option<&str>| {
        let root = node();
        match keys {
            Some(keys) => root.write("home/lab/.ssh/authorized_keys", keys),
            None => std::fs::remove_file(root.at("home/lab/.ssh/authorized_keys")).unwrap(),
        }
        assert!(root.run("report", &["finish"]).status.success());
        report(&root).contains("Login      nobody can: write the line of a public key as ssh_key into labimg.conf")
    };
    assert!(told(None) && told(Some("")) && told(Some("# none yet\n\n")));
    assert!(!told(Some("# mine\nssh-ed25519 AAAA me\n")));
}

#[test]
fn the_card_is_written_only_when_something_changed() {
    let root = node();
    step(&root, "grow", "true");
    assert!(root.run("report", &["finish"]).status.success());
    assert!(report(&root).contains("Boot       finished"), "{}", report(&root));
    let inode = |root: &Root| root.at(REPORT).metadata().unwrap().ino();
    let reboot = |root: &Root| std::fs::remove_dir_all(root.at("run/labimg")).unwrap();
    let first = inode(&root);

    // The same boot again, at other times.
    reboot(&root);
    step(&root, "grow", "sleep 1");
    root.stand_in("df", "echo ' Used  Size'; echo ' 450M  722M'");
    root.run("report", &["finish"]);
    assert_eq!(inode(&root), first, "written though nothing changed");

    // Another address.
    reboot(&root);
    root.stand_in("ip", "echo 'eth0 UP 10.0.2.16/24'");
    step(&root, "grow", "true");
    root.run("report", &["finish"]);
    assert_ne!(inode(&root), first);
    let second = inode(&root);

    // A failure is written at once.
    reboot(&root);
    step(&root, "grow", "exit 1");
    assert_ne!(inode(&root), second);
    assert!(report(&root).contains("FAILED    grow") && report(&root).contains("not finished"));
    root.run("report", &["finish"]);

    // A step that runs again after the boot and now succeeds.
    step(&root, "grow", "true");
    assert!(root.calls().contains("systemctl --no-block restart labimg-report.service"), "{}", root.calls());
    root.run("report", &["finish"]);
    assert!(report(&root).contains("ok        grow") && report(&root).contains("Boot       finished"));
}

#[test]
fn no_report_is_no_failure() {
    let root = node();
    root.stand_in("mountpoint", "exit 1");
    assert_eq!(step(&root, "grow", "true"), Some(0));
    assert!(!root.exists(REPORT));
    // On a full partition nothing half-written is left.
    let root = node();
    root.stand_in("cp", "echo half > \"$2\"; exit 1");
    assert_eq!(step(&root, "grow", "true"), Some(0));
    let output = root.run("report", &["finish"]);
    assert!(output.status.success() && text(&output).contains("could not be written"), "{}", text(&output));
    assert!(!root.exists(REPORT) && !root.exists("boot/firmware/labimg-report.txt.new"));
}

#[test]
fn k3s_that_does_not_come_up_is_in_the_report() {
    let root = node();
    root.write("usr/lib/systemd/system/k3s-agent.service", "");
    root.run("report", &["finish"]);
    assert!(report(&root).contains("k3s        not installed yet"), "{}", report(&root));
    root.write("usr/local/bin/k3s", "");
    root.run("report", &["finish"]);
    assert!(report(&root).contains("this node belongs to no cluster"), "{}", report(&root));
    root.write("etc/rancher/k3s/config.yaml", "");
    root.stand_in("systemctl", "case \"$*\" in *ActiveState*) echo active ;; *NRestarts*) echo 2 ;; esac");
    root.stand_in("journalctl", "echo 'level=fatal msg=no'");
    root.run("report", &["finish"]);
    let says = report(&root);
    assert!(says.contains("k3s        k3s-agent is running"), "{says}");
    assert!(says.contains("k3s-agent was restarted; its last lines:\n    level=fatal msg=no"), "{says}");
}

/// A node of a cluster whose systemctl reports these states of k3s in order, the last one repeatedly, and a job.
fn with_k3s(states: &[&str], job: &str) -> Root {
    let root = node();
    for file in ["usr/lib/systemd/system/k3s-agent.service", "usr/local/bin/k3s", "etc/rancher/k3s/config.yaml"] {
        root.write(file, "");
    }
    root.write("states", states.join("\n") + "\n");
    let file = root.at("states");
    let file = file.display();
    let next = format!("read -r s < {file}; echo $s; if [ $(wc -l < {file}) -gt 1 ]; then sed -i 1d {file}; fi");
    root.stand_in(
        "systemctl",
        &format!("case \"$*\" in *ActiveState*) {next} ;; *Job*) echo {job} ;; *NRestarts*) echo 0 ;; esac"),
    );
    root
}

#[test]
fn k3s_that_waits_for_its_turn_has_not_failed() {
    // It was stopped without its disk, and is started now that the disk is back.
    let root = with_k3s(&["failed", "failed", "activating", "active"], "117");
    root.run("report", &["finish"]);
    assert!(report(&root).contains("k3s        k3s-agent is running"), "{}", report(&root));
    let root = with_k3s(&["failed"], "0");
    root.run("report", &["finish"]);
    assert!(report(&root).contains("k3s        k3s-agent FAILED"), "{}", report(&root));
    root.write("run/labimg/k3s-held", "");
    root.run("report", &["finish"]);
    assert!(report(&root).contains("k3s        waits for the USB disk"), "{}", report(&root));
    root.write("states", "active\n");
    root.run("report", &["finish"]);
    assert!(report(&root).contains("k3s        k3s-agent is running"), "{}", report(&root));
}

#[test]
fn k3s_that_comes_up_late_is_told_then() {
    let mut states = vec!["activating"; 182];
    states.push("active");
    let root = with_k3s(&states, "117");
    root.run("report", &["finish"]);
    assert!(report(&root).contains("k3s        k3s-agent is running"), "{}", report(&root));
    // Written twice: while it was still trying, then when it was running.
    let written = root.calls().lines().filter(|call| call.starts_with("mv ")).count();
    assert_eq!(written, 2, "{}", root.calls());
}
