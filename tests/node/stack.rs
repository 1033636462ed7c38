//! `stack`: what it makes of the cluster's answers, and what it does then. The cluster is a stand-in for `k3s kubectl`, which
//! answers from files; `stack_api` asks the real kubectl.

use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use sha2::{Digest, Sha256};

use crate::root::{Root, text};

const MANIFESTS: &str = "var/lib/rancher/k3s/server/manifests";
const SECRETS: &str = "var/lib/rancher/k3s/server/manifests/labimg-secrets.yaml";
const SECRET: &str = "kind: Secret\nstringData: {x: a-secret}\n";
const LINE: &str = "run/labimg/stack/line";

/// Phase, name, namespace, files, host, kind.
const LIST: [(&str, &str, &str, &str, &str, &str); 4] = [
    ("1", "cert-manager", "cert-manager", "cert-manager.yaml,cert-manager-issuer.yaml", "-", "chart"),
    ("2", "keycloak", "auth", "keycloak.yaml,keycloak-objects.yaml", "auth.lab.home.arpa", "chart"),
    ("2", "home", "home", "home-objects.yaml", "lab.home.arpa", "objects"),
    ("3", "grafana", "logging", "grafana.yaml", "grafana.lab.home.arpa", "chart"),
];

/// STAND-IN for k3s: `get` gives the file `answer` and the exit status in `status`; `apply` keeps what it is given.
const K3S: &str = "case \"$*\" in *' get '*) cat \"$LABIMG_TEST/answer\"; exit $(cat \"$LABIMG_TEST/status\") ;;
    *' apply '*) for f; do :; done; [ ! -e \"$LABIMG_TEST/refuse\" ] || { echo 'namespaces \"home\" not found' >&2; exit 1; }
        printf x >> \"$LABIMG_TEST/applies\"; /bin/cp \"$f\" \"$LABIMG_TEST/applied\" ;; esac";

/// STAND-IN for k3s with a cluster in which all that lies in the folder, and is not held, is ready at once.
const QUICK: &str = "cd \"$LABIMG_ROOT/var/lib/rancher/k3s/server/manifests\"
    case \"$*\" in *' get '*) for f in *.yaml; do [ -e \"$f.skip\" ] && continue
        printf 'Addon\\tkube-system\\t%s\\t%s\\n' \"${f%.yaml}\" \"$(/usr/bin/sha256sum < \"$f\" | /usr/bin/cut -d ' ' -f 1)\"
        printf 'HelmChart\\tkube-system\\t%s\\thelm-install-%s\\t\\nJob\\tkube-system\\thelm-install-%s\\t1\\n' \"${f%.yaml}\" \"${f%.yaml}\" \"${f%.yaml}\"
        done; printf 'HelmChart\\tkube-system\\tkc\\thelm-install-kc\\t\\nJob\\tkube-system\\thelm-install-kc\\t1\\n'; echo end ;;
    *' apply '*) for f; do :; done; /bin/cp \"$f\" \"$LABIMG_TEST/applied\" ;; esac";

/// The chart's name in the cluster, which need not be the component's.
fn release(component: &str) -> &str {
    if component == "keycloak" { "kc" } else { component }
}

struct Stack {
    root: Root,
    rows: Vec<String>,
}

impl Stack {
    fn new(phased: bool) -> Self {
        let root = Root::new();
        let list: String = LIST
            .iter()
            .map(|(phase, name, namespace, files, host, kind)| {
                let release = release(name);
                format!("{phase}\t{name}\t{namespace}\t{files}\t{host}\t{kind}\tThe \"{name}\" \\ café\t{release}\n")
            })
            .collect();
        root.write("usr/share/labimg/stack", list);
        root.write(
            "etc/labimg/stack.conf",
            format!("PHASED={}\nDOMAIN=lab.home.arpa\n", if phased { "yes" } else { "no" }),
        );
        for (phase, _, _, files, _, _) in LIST {
            for file in files.split(',') {
                root.write(&format!("{MANIFESTS}/{file}"), format!("# {file}\n"));
                if phased && phase != "1" {
                    root.write(&format!("{MANIFESTS}/{file}.skip"), "");
                }
            }
        }
        root.write(SECRETS, SECRET);
        root.write("status", "0\n");
        root.stand_in("k3s", K3S);
        Self { root, rows: Vec::new() }
    }

    /// A row of the answer, with `|` for tabs.
    fn says(&mut self, row: &str) {
        self.rows.push(row.replace('|', "\t"));
    }

    /// k3s has applied a file as it is now.
    fn applied(&mut self, file: &str) {
        let sum = hex(&std::fs::read(self.root.at(&format!("{MANIFESTS}/{file}"))).unwrap());
        self.says(&format!("Addon|kube-system|{}|{sum}", file.trim_end_matches(".yaml")));
    }

    fn installed(&mut self, component: &str) {
        let chart = release(component);
        self.says(&format!("HelmChart|kube-system|{chart}|helm-install-{chart}|"));
        self.says(&format!("Job|kube-system|helm-install-{chart}|1"));
    }

    /// All of a component, without workloads.
    fn ready(&mut self, name: &str) {
        let (_, _, _, files, _, kind) = LIST.iter().find(|c| c.1 == name).unwrap();
        files.split(',').for_each(|file| self.applied(file));
        if *kind == "chart" {
            self.installed(name);
        }
    }

    fn answer(&self) {
        self.root.write("answer", self.rows.join("\n") + "\nend\n");
    }

    fn look(&self) -> (Option<i32>, String) {
        self.answer();
        let output = self.root.run("stack", &["once"]);
        let said = text(&output);
        assert!(!said.contains("a-secret") && !said.contains(": not found") && !said.contains("awk:"), "{said}");
        (output.status.code(), said)
    }

    /// State and reason of a component, as of the last look.
    fn state(&self, name: &str) -> (String, String) {
        let judged = self.root.read("run/labimg/stack/judged");
        let row =
            judged.lines().map(|l| l.split('\t').collect::<Vec<_>>()).find(|r| r[0] == "component" && r[2] == name);
        let row = row.unwrap_or_else(|| panic!("no {name} in {judged}"));
        (row[3].to_owned(), row[6].to_owned())
    }

    fn held(&self) -> Vec<String> {
        let all = crate::files(&self.root.at(MANIFESTS));
        let names = all.iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned());
        names.filter_map(|n| n.strip_suffix(".yaml.skip").map(str::to_owned)).collect()
    }

    /// `state.json` as it was given to the cluster.
    fn page(&self) -> serde_json::Value {
        let object: serde_json::Value = serde_json::from_str(&self.root.read("applied")).unwrap();
        assert_eq!((&object["kind"], &object["metadata"]["name"]), (&"ConfigMap".into(), &"home-state".into()));
        assert_eq!(object["metadata"]["namespace"], "home");
        serde_json::from_str(object["data"]["state.json"].as_str().unwrap()).unwrap()
    }

    fn applies(&self) -> usize {
        std::fs::read(self.root.at("applies")).map_or(0, |bytes| bytes.len())
    }
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// What the answer says of keycloak, whose files are applied, and what is made of it.
#[test]
fn every_state_has_its_reason() {
    let chart = "HelmChart|kube-system|kc|helm-install-kc|";
    let done = "Job|kube-system|helm-install-kc|1";
    let web = "StatefulSet|auth|keycloak||kc||1|1|1|1|0|";
    let pod = "Pod|auth|keycloak-0|keycloak|Pending|";
    let table: &[(&[&str], &str, &str)] = &[
        (&[], "starting", "k3s has not begun to install its chart"),
        (&["HelmChart|kube-system|kc||"], "starting", "k3s has not begun to install its chart"),
        (&["HelmChart|kube-system|kc||\"no \\\"such\\\"\\nchart\""], "failing", "its chart: no \"such\" chart"),
        (&[chart], "starting", "its chart is being installed"),
        (&[chart, "Job|kube-system|helm-install-kc|0"], "starting", "its chart is being installed"),
        (
            &[chart, "Pod|kube-system|helm-install-kc-x7x|helm-install-kc|Running||CrashLoopBackOff|\"back-off\""],
            "failing",
            "pod helm-install-kc-x7x: CrashLoopBackOff",
        ),
        (&[chart, done], "ready", ""),
        (&[chart, done, web], "starting", "statefulset keycloak: 0 of 1 ready"),
        (
            &[chart, done, web, &format!("{pod}|PodInitializing||ContainerCreating|")],
            "starting",
            "statefulset keycloak: 0 of 1 ready",
        ),
        (
            &[
                chart,
                done,
                web,
                &format!("{pod}|PodInitializing||CreateContainerConfigError|\"secret \\\"x\\\" not found\""),
            ],
            "failing",
            "pod keycloak-0: CreateContainerConfigError, secret \"x\" not found",
        ),
        (
            &[chart, done, web, &format!("{pod}\"0/3 nodes are available: 3 Insufficient memory.\"")],
            "failing",
            "pod keycloak-0: 0/3 nodes are available: 3 Insufficient memory.",
        ),
        // Ready, but not yet as it was told to be; and all of it.
        (&[chart, done, "StatefulSet|auth|keycloak||kc||2|1|1|1|1|"], "starting", "statefulset keycloak: 1 of 1 ready"),
        (&[chart, done, "StatefulSet|auth|keycloak||kc||2|2|1|1|1|", &format!("{pod}|CrashLoopBackOff|")], "ready", ""),
        (&[chart, done, "Deployment|auth|web||kc||1|1|2|1|2|"], "starting", "deployment web: 2 of 2 ready"),
        (
            &[chart, done, "Deployment|auth|web||kc||1|1|1|0|0|\"pods are forbidden: no linkerd-proxy\""],
            "starting",
            "deployment web: pods are forbidden: no linkerd-proxy",
        ),
        // The pod's owner is the Deployment's ReplicaSet; `web-admin-…` is another's.
        (
            &[
                chart,
                done,
                "Deployment|auth|web||kc||1|1|1|1|0|",
                "Pod|auth|web-admin-1-x|web-admin-1|Running||ErrImagePull|",
                "Pod|auth|web-1-x|web-1|Running||ErrImagePull|\"no route\"",
            ],
            "failing",
            "pod web-1-x: ErrImagePull",
        ),
        // By an AddOn of its own, and by an operator; of nobody's, of another's, in another namespace.
        (&[chart, done, "DaemonSet|auth|d|||keycloak-objects|1|1|3|3|2|"], "starting", "daemonset d: 2 of 3 ready"),
        (&[chart, done, "StatefulSet|auth|db|some-vault|||1|1|1|1|0|"], "starting", "statefulset db: 0 of 1 ready"),
        (&[chart, done, "Deployment|auth|mine||||1|1|1|1|0|"], "ready", ""),
        (&[chart, done, "Deployment|auth|proxy||oauth2-proxy||1|1|1|1|0|"], "ready", ""),
        (&[chart, done, "DaemonSet|auth|d|||traefik|1|1|3|3|2|"], "ready", ""),
        (&[chart, done, "StatefulSet|vault|vault|a-vault|||1|1|1|1|0|"], "ready", ""),
        (&[chart, done, "Job|auth|helm-install-kc|0", "HelmChart|auth|kc|other|"], "ready", ""),
    ];
    for (rows, state, reason) in table {
        let mut stack = Stack::new(false);
        stack.applied("keycloak.yaml");
        stack.applied("keycloak-objects.yaml");
        rows.iter().for_each(|row| stack.says(row));
        assert_eq!(stack.look().0, Some(3));
        assert_eq!(stack.state("keycloak"), ((*state).to_owned(), (*reason).to_owned()), "{rows:?}");
    }
}

#[test]
fn a_file_counts_when_it_was_applied_as_it_is() {
    let mut stack = Stack::new(false);
    stack.look();
    let not_yet = |file: &str| ("starting".to_owned(), format!("k3s has not applied {file} yet"));
    assert_eq!(stack.state("home"), not_yet("home-objects.yaml"));
    stack.ready("home");
    stack.look();
    assert_eq!(stack.state("home"), ("ready".to_owned(), String::new()));
    // The card got a newer one; one that was taken away is no part any more; an AddOn of that name elsewhere is none.
    stack.root.write(&format!("{MANIFESTS}/home-objects.yaml"), "# newer\n");
    stack.look();
    assert_eq!(stack.state("home"), not_yet("home-objects.yaml"));
    stack.rows.last_mut().unwrap().replace_range(.., &format!("Addon\tdefault\thome-objects\t{}", hex(b"# newer\n")));
    stack.look();
    assert_eq!(stack.state("home"), not_yet("home-objects.yaml"));
    std::fs::remove_file(stack.root.at(&format!("{MANIFESTS}/home-objects.yaml"))).unwrap();
    stack.look();
    assert!(!stack.root.read("run/labimg/stack/judged").contains("\thome\t"));
    assert!(stack.root.read(LINE).starts_with("0 of 3 ready; not ready: "), "{}", stack.root.read(LINE));
    // What cannot be read is not taken for gone.
    let judged = stack.root.read("run/labimg/stack/judged");
    stack.root.stand_in(
        "sha256sum",
        "for f; do :; done; case $f in *grafana*) echo 'I/O error' >&2; exit 1 ;; esac; exec /usr/bin/sha256sum \"$@\"",
    );
    assert_eq!(stack.look().0, Some(1));
    assert_eq!(stack.root.read("run/labimg/stack/judged"), judged);
}

#[test]
fn secrets_are_wiped_once_they_are_applied() {
    let mut stack = Stack::new(false);
    stack.look();
    assert_eq!(stack.root.read(SECRETS), SECRET);
    assert!(stack.root.read(LINE).contains("\nits secrets are still on the card"), "{}", stack.root.read(LINE));
    for other in [hex(b""), hex(b"# an older one\n"), String::new()] {
        stack.rows = vec![format!("Addon\tkube-system\tlabimg-secrets\t{other}")];
        stack.look();
        assert_eq!(stack.root.read(SECRETS), SECRET, "wiped though the cluster has {other}");
    }
    stack.rows.clear();
    stack.applied("labimg-secrets.yaml");
    let (code, said) = stack.look();
    assert_eq!(code, Some(3));
    assert!(!stack.root.exists(SECRETS) && said.contains("wiped from the card"), "{said}");
    assert!(stack.root.calls().contains("shred --iterations=0 --zero "), "{}", stack.root.calls());
    assert!(stack.root.read(LINE).ends_with("\nits secrets are in the cluster, and wiped from the card\n"));
    // A new seed brings others: these are waited for again.
    stack.root.write(SECRETS, "kind: Secret\nstringData: {x: a-secret-too}\n");
    stack.look();
    assert!(stack.root.exists(SECRETS));
}

#[test]
fn secrets_that_are_half_wiped_are_wiped_and_damaged_ones_told() {
    let half = [&[0; 20], SECRET.as_bytes().split_at(20).1].concat();
    let mut stack = Stack::new(false);
    stack.says(&format!("Addon|kube-system|labimg-secrets|{}", hex(SECRET.as_bytes())));
    // As the card had it when power failed: a part is zeros.
    stack.root.write("var/lib/labimg/stack-secrets", hex(SECRET.as_bytes()) + "\n");
    stack.root.write(SECRETS, &half);
    stack.look();
    assert!(!stack.root.exists(SECRETS));
    // No wiping was ever begun.
    let mut stack = Stack::new(false);
    stack.says("Addon|kube-system|labimg-secrets|");
    stack.root.write(SECRETS, &half);
    stack.look();
    assert_eq!(std::fs::read(stack.root.at(SECRETS)).unwrap(), half);
    assert!(stack.root.read(LINE).contains("their file is damaged"), "{}", stack.root.read(LINE));
}

#[test]
fn phases_are_released_in_order() {
    let mut stack = Stack::new(true);
    stack.look();
    assert_eq!(stack.held(), ["grafana", "home-objects", "keycloak-objects", "keycloak"]);
    assert_eq!(stack.state("keycloak"), ("waiting".to_owned(), "waits for cert-manager".to_owned()));
    assert!(
        stack.root.read(LINE).starts_with(
            "0 of 4 ready; phase 2 of 3 waits for cert-manager (k3s has not applied cert-manager.yaml yet)\n"
        ),
        "{}",
        stack.root.read(LINE)
    );
    stack.ready("cert-manager");
    let (_, said) = stack.look();
    assert!(said.contains("phase 2 begins"), "{said}");
    assert_eq!(stack.held(), ["grafana"]);
    stack.ready("home");
    stack.look();
    assert_eq!(stack.state("grafana"), ("waiting".to_owned(), "waits for keycloak".to_owned()));
    assert_eq!(stack.held(), ["grafana"]);
    stack.ready("keycloak");
    stack.says("StatefulSet|auth|keycloak||kc||1|1|1|1|0|");
    stack.says("Pod|auth|keycloak-0|keycloak|Running||CrashLoopBackOff|");
    stack.look();
    assert_eq!(stack.held(), ["grafana"]);
    let line = "2 of 4 ready; phase 3 of 3 waits for keycloak (pod keycloak-0: CrashLoopBackOff)\n";
    assert!(stack.root.read(LINE).starts_with(line), "{}", stack.root.read(LINE));
    stack.rows.truncate(stack.rows.len() - 2);
    stack.look();
    assert!(stack.held().is_empty());
    stack.ready("grafana");
    assert_eq!(stack.look().0, Some(3), "the secrets are still there");
    stack.applied("labimg-secrets.yaml");
    assert_eq!(stack.look().0, Some(0));
    assert!(stack.root.read(LINE).starts_with("4 of 4 ready\n"), "{}", stack.root.read(LINE));
}

#[test]
fn a_phase_that_was_begun_is_finished_whatever_else_holds() {
    let stack = Stack::new(true);
    std::fs::remove_file(stack.root.at(&format!("{MANIFESTS}/keycloak.yaml.skip"))).unwrap();
    stack.look();
    assert_eq!(stack.held(), ["grafana"]);
}

#[test]
fn without_phases_nothing_is_released() {
    let stack = Stack::new(false);
    stack.root.write(&format!("{MANIFESTS}/grafana.yaml.skip"), "");
    for _ in 0..40 {
        stack.look();
    }
    assert_eq!(stack.held(), ["grafana"]);
    assert_eq!(stack.state("grafana").0, "waiting");
    // A card whose seed says nothing of a stack.
    std::fs::remove_file(stack.root.at("etc/labimg/stack.conf")).unwrap();
    stack.look();
    assert_eq!(stack.held(), ["grafana"]);
}

#[test]
fn what_is_not_ready_for_long_is_waited_for_no_longer() {
    let mut stack = Stack::new(true);
    stack.ready("cert-manager");
    stack.look();
    stack.ready("home");
    for minute in 0..30 {
        let (_, said) = stack.look();
        assert!(!said.contains("warning"), "minute {minute}: {said}");
        // A silent cluster takes nothing of its time.
        if minute == 15 {
            stack.root.write("status", "1\n");
            (0..40).for_each(|_| assert_eq!(stack.look().0, Some(3)));
            stack.root.write("status", "0\n");
        }
        assert_eq!(stack.held(), ["grafana"], "minute {minute}");
    }
    let (_, said) = stack.look();
    assert!(said.contains("warning: keycloak is not ready after 30 minutes: phase 3 goes on without it"), "{said}");
    assert!(stack.held().is_empty());
    stack.ready("grafana");
    stack.look();
    let line = stack.root.read(LINE);
    assert!(line.starts_with("3 of 4 ready; not ready: keycloak (k3s has not applied keycloak.yaml yet)\n"), "{line}");
    assert!(line.contains("\nwent on after 30 minutes without keycloak\n"), "{line}");
    stack.ready("keycloak");
    stack.look();
    assert!(!stack.root.read(LINE).contains("went on"), "{}", stack.root.read(LINE));
}

/// Whatever comes instead of a whole answer, nothing is done by it.
#[test]
fn a_wrong_answer_changes_nothing() {
    let mut good = Stack::new(true);
    for (_, name, ..) in LIST {
        good.ready(name);
    }
    good.applied("labimg-secrets.yaml");
    let whole = good.rows.join("\n");
    for (answer, status) in [
        ("", "0"),
        ("end\n", "1"),
        (&*whole, "0"),
        (&*format!("{whole}\nen"), "0"),
        (&*format!("{whole}\nend\n"), "1"),
        (&*format!("{whole}\nend\nerror: more\n"), "0"),
        ("Error from server (ServiceUnavailable)\n", "1"),
        ("{\"kind\": \"List\"}\n", "0"),
        ("\0\0\0", "0"),
    ] {
        let stack = Stack::new(true);
        stack.root.write("answer", answer);
        stack.root.write("status", status);
        let before = crate::files(&stack.root.at(MANIFESTS));
        for _ in 0..12 {
            let output = stack.root.run("stack", &["once"]);
            assert_eq!(output.status.code(), Some(3), "{answer:?}: {}", text(&output));
        }
        assert_eq!(crate::files(&stack.root.at(MANIFESTS)), before, "{answer:?}");
        assert_eq!(stack.applies(), 0);
        let line = stack.root.read(LINE);
        assert!(line.starts_with("nothing is known of it: the cluster does not answer ("), "{answer:?}: {line}");
    }
    // Rows that nobody knows beside good ones, rows that are cut, and names that look like others.
    good.says("Addon");
    good.says("Deployment|auth");
    good.says("Pod");
    good.says("$(touch /trap)|`x`|\\|%s");
    good.says("Lease|kube-system|labimg-secrets|0");
    good.look();
    assert_eq!(good.held(), ["grafana"]);
}

#[test]
fn the_page_gets_the_state_when_it_changes() {
    let mut stack = Stack::new(true);
    stack.look();
    assert_eq!(stack.applies(), 0, "the page is held");
    stack.ready("cert-manager");
    stack.look();
    stack.root.write("refuse", "");
    stack.look();
    assert_eq!(stack.applies(), 0);
    std::fs::remove_file(stack.root.at("refuse")).unwrap();
    stack.look();
    assert_eq!(stack.applies(), 1, "tried again after it was refused");
    let page = stack.page();
    let made = page["made"].as_str().unwrap();
    assert!(made.len() == 20 && made.ends_with('Z'), "{made}");
    let names: Vec<_> = page["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["cert-manager", "keycloak", "home", "grafana"]);
    assert_eq!(
        page["components"][1],
        serde_json::json!({ "name": "keycloak", "title": "The \"keycloak\" \\ café", "host": "auth.lab.home.arpa",
            "state": "starting", "reason": "k3s has not applied keycloak.yaml yet" })
    );
    assert!(page["components"][0].get("host").is_none());
    // The same again is told every fourth minute, so that the page knows that somebody still looks.
    (0..3).for_each(|_| _ = stack.look());
    assert_eq!(stack.applies(), 1);
    stack.look();
    assert_eq!(stack.applies(), 2);
    stack.ready("home");
    stack.look();
    assert_eq!(stack.applies(), 3);
    assert_eq!(stack.page()["components"][2]["state"], "ready");
    // Two calls a look at most.
    let calls = stack.root.calls().lines().filter(|call| call.starts_with("k3s ")).count();
    assert!(calls <= 9 + 4, "{calls} calls of k3s");
}

#[test]
fn the_report_has_a_line_and_is_written_when_something_counts() {
    let report = "boot/firmware/labimg-report.txt";
    let mut stack = Stack::new(true);
    stack.root.stand_in("ip", "exit 0");
    stack.look();
    let restarts = |stack: &Stack| stack.root.calls().matches("restart labimg-report.service").count();
    assert_eq!(restarts(&stack), 0, "the boot's own report comes later");
    assert!(stack.root.run("report", &["finish"]).status.success());
    let line =
        "Stack      0 of 4 ready; phase 2 of 3 waits for cert-manager (k3s has not applied cert-manager.yaml yet)\n";
    assert!(stack.root.read(report).contains(line), "{}", stack.root.read(report));
    assert!(stack.root.read(report).contains("Stack      its secrets are still on the card"));
    // What moves on its way is told when it has stood still, a phase at once.
    stack.applied("cert-manager.yaml");
    (0..10).for_each(|_| _ = stack.look());
    assert_eq!(restarts(&stack), 0);
    stack.look();
    assert_eq!(restarts(&stack), 1);
    (0..12).for_each(|_| _ = stack.look());
    assert_eq!(restarts(&stack), 1, "told again though nothing changed");
    stack.ready("cert-manager");
    stack.look();
    stack.look();
    assert_eq!(restarts(&stack), 2, "{}", stack.root.calls());
    stack.root.run("report", &["finish"]);
    let written = stack.root.read(report);
    // At the next boot nothing is known of it at first: no reason to write.
    std::fs::remove_dir_all(stack.root.at("run/labimg")).unwrap();
    stack.root.run("report", &["finish"]);
    assert_eq!(stack.root.read(report), written);
}

#[test]
fn follow_ends_when_nothing_is_left_and_stays_for_the_page() {
    let mut stack = Stack::new(false);
    LIST.iter().filter(|c| c.1 != "home").for_each(|c| stack.ready(c.1));
    stack.applied("labimg-secrets.yaml");
    std::fs::remove_file(stack.root.at(&format!("{MANIFESTS}/home-objects.yaml"))).unwrap();
    stack.answer();
    let output = stack.root.run("stack", &["follow"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!stack.root.exists(SECRETS));

    // Ended from outside at its third pause; a look that fails is no end.
    let pauses = |stack: &Stack| {
        let calls = stack.root.calls();
        calls.lines().filter_map(|c| c.strip_prefix("sleep ")).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut stack = Stack::new(false);
    for (_, name, ..) in LIST {
        stack.ready(name);
    }
    stack.applied("labimg-secrets.yaml");
    stack.answer();
    stack.root.stand_in("sleep", "[ $(grep -c '^sleep ' \"$LABIMG_TEST/calls\") -lt 3 ] || kill -9 0");
    assert_eq!(stack.root.run("stack", &["follow"]).status.signal(), Some(9));
    assert_eq!(pauses(&stack), ["180", "180", "180"]);
    let stack = Stack::new(false);
    stack.answer();
    stack.root.stand_in("sleep", "[ $(grep -c '^sleep ' \"$LABIMG_TEST/calls\") -lt 3 ] || kill -9 0");
    stack.root.stand_in("sha256sum", "exit 1");
    let output = stack.root.run("stack", &["follow"]);
    assert_eq!(output.status.signal(), Some(9));
    assert!(text(&output).contains("warning: a look at the stack failed (exit status 1)"), "{}", text(&output));
}

fn quick() -> Stack {
    let stack = Stack::new(true);
    stack.root.stand_in("k3s", QUICK);
    stack
}

/// What holds at any moment, whenever power fails.
fn check_order(stack: &Stack, when: &str) {
    let held = stack.held();
    assert!(
        held.is_empty() || held.contains(&"grafana".to_owned()),
        "{when}: phase 3 began while phase 2 is held: {held:?}"
    );
    if let Ok(bytes) = std::fs::read(stack.root.at(SECRETS)) {
        // k3s would take every Secret away by a file without objects.
        assert!(bytes == SECRET.as_bytes() || bytes.contains(&0), "{when}: {bytes:?}");
    }
}

fn check_done(stack: &Stack, when: &str) {
    assert!(stack.held().is_empty() && !stack.root.exists(SECRETS), "{when}: {:?}", stack.held());
    assert_eq!(
        stack.root.read(LINE),
        "4 of 4 ready\nits secrets are in the cluster, and wiped from the card\n",
        "{when}"
    );
    let page = stack.page();
    assert!(page["components"].as_array().unwrap().iter().all(|c| c["state"] == "ready"), "{when}: {page}");
    let left: Vec<_> = crate::files(&stack.root.at("var"))
        .into_iter()
        .filter(|p| p.to_string_lossy().contains("labimg-new"))
        .collect();
    assert!(left.is_empty(), "{when}: {left:?}");
}

/// Looks until nothing is left.
fn finish(stack: &Stack, when: &str) -> usize {
    for looks in 1..12 {
        let output: Output = stack.root.run("stack", &["once"]);
        check_order(stack, when);
        match output.status.code() {
            Some(0) => return looks,
            Some(3) => {}
            other => panic!("{when}: {other:?}: {}", text(&output)),
        }
    }
    panic!("{when}: it does not come to an end: {}", stack.root.read(LINE));
}

#[test]
fn power_may_fail_at_every_command() {
    let whole = quick();
    let looks = finish(&whole, "whole");
    check_done(&whole, "whole");
    assert_eq!(looks, 3, "a phase a look");
    let mut cuts = 0;
    for before in 0..looks {
        for cut in 1.. {
            let stack = quick();
            (0..before).for_each(|_| _ = stack.root.run("stack", &["once"]));
            let output = stack.root.run_cut("stack", &["once"], Some(cut));
            let when = format!("cut at command {cut} of look {before}");
            if output.status.signal() != Some(9) {
                break;
            }
            cuts += 1;
            check_order(&stack, &when);
            // A power cut empties /run; a service that was killed finds it as it was.
            if cut % 2 == 0 {
                std::fs::remove_dir_all(stack.root.at("run/labimg")).unwrap();
            }
            finish(&stack, &when);
            check_done(&stack, &when);
        }
    }
    assert!(cuts > 60, "only {cuts} cuts");
}

#[test]
fn power_may_fail_in_the_middle_of_wiping() {
    for at in ["", "seek=1"] {
        let stack = quick();
        let shred = std::fs::read(stack.root.at("test-bin/shred")).unwrap();
        stack.root.stand_in(
            "shred",
            &format!(
                "for f; do :; done; dd if=/dev/zero of=\"$f\" bs=10 count=1 {at} conv=notrunc 2>/dev/null; kill -9 0"
            ),
        );
        assert_eq!(stack.root.run("stack", &["once"]).status.signal(), Some(9));
        assert!(std::fs::read(stack.root.at(SECRETS)).unwrap().contains(&0));
        stack.root.write("test-bin/shred", shred);
        finish(&stack, at);
        check_done(&stack, at);
    }
}
