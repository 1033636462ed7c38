//! `conf`: what users write into `labimg.conf`, and the result.

use std::os::unix::process::ExitStatusExt;

use labimg_testkit::judges::missing;

use crate::root::{Root, text};

const CONF: &str = "boot/firmware/labimg.conf";
const NETWORK: &str = "etc/systemd/network/10-labimg.network";
const WIFI: &str = "etc/wpa_supplicant/wpa_supplicant-wlan0.conf";
const KEYS: &str = "home/lab/.ssh/authorized_keys";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC4rXp9Cy8zVaaW9vJ1GXyCJ1mFEW2yhFZvyl0z0bDMM me@home";

fn apply(content: impl AsRef<[u8]>) -> (Root, String) {
    let root = Root::new();
    root.write(CONF, content);
    let output = root.run("conf", &[]);
    assert!(output.status.success(), "a mistake must not fail the step: {}", text(&output));
    let says = text(&output);
    (root, says)
}

/// Content, path, and a text that must be in that file.
#[test]
fn good_settings_are_applied() {
    if missing(&["wpa_passphrase"]) {
        return;
    }
    let wifi = "wifi_ssid=My net\nwifi_passphrase=pass \"word\" #1\nwifi_country=de\n";
    let table: &[(&str, &str, &str)] = &[
        ("hostname=node7\n", "etc/hostname", "node7\n"),
        ("hostname=Node7\n", "etc/hostname", "node7\n"),
        ("hostname=node7", "etc/hostname", "node7\n"),
        ("hostname=node7\r\n", "etc/hostname", "node7\n"),
        ("\u{feff}hostname=node7\r\n", "etc/hostname", "node7\n"),
        ("  hostname  =  node7  \t\n", "etc/hostname", "node7\n"),
        ("HOSTNAME=\"node7\"\n", "etc/hostname", "node7\n"),
        ("hostname='node7'\n", "etc/hostname", "node7\n"),
        ("hostname=node7   # the seventh\n", "etc/hostname", "node7\n"),
        ("hostname=7a\n", "etc/hosts", "127.0.1.1\t7a\n"),
        (&format!("ssh_key={KEY}\n"), KEYS, KEY),
        (&format!("ssh_key=\"{KEY}\"\r\n"), KEYS, KEY),
        (wifi, WIFI, "ssid=4d79206e6574\n"),
        (wifi, WIFI, "sae_password=706173732022776f726422202331\n"),
        (wifi, WIFI, "country=DE\n"),
        ("wifi_ssid=café\nwifi_country=FR\n", WIFI, "ssid=636166c3a9\n"),
        ("wifi_ssid=open\nwifi_country=FR\n", WIFI, "key_mgmt=NONE"),
        ("address=192.168.1.10/24\ngateway=192.168.1.1\n", NETWORK, "Type=ether"),
        ("address=192.168.1.10/24\ngateway=192.168.1.1\n", NETWORK, "Gateway=192.168.1.1\nDNS=192.168.1.1\n"),
        ("address=10.0.0.2/8\ngateway=10.9.9.9\ndns=1.1.1.1, 9.9.9.9\n", NETWORK, "DNS=1.1.1.1\nDNS=9.9.9.9\n"),
        (
            "address=fd00::10/64\ngateway=fe80::1\ndns=fd00::1\ndns=2620:fe::fe\n",
            NETWORK,
            "DNS=fd00::1\nDNS=2620:fe::fe\n",
        ),
        ("wifi_ssid=w\nwifi_country=US\naddress=192.168.1.10/24\ngateway=192.168.1.1\n", NETWORK, "Type=wlan"),
    ];
    for (content, path, expected) in table {
        let (root, says) = apply(content);
        assert!(!says.contains("warning"), "{content:?}: {says}");
        assert!(root.exists(path), "{content:?}: no {path}: {says}");
        assert!(root.read(path).contains(expected), "{content:?}: {}", root.read(path));
        let left = root.read(CONF);
        let active: Vec<_> = left.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#')).collect();
        assert!(active.is_empty(), "{content:?}: still active: {active:?}");
        assert!(!left.contains("pass \"word\""), "the passphrase is left: {left}");
        assert_eq!(left.contains('\r'), content.contains('\r'), "{content:?}: line ends changed: {left:?}");
    }
}

#[test]
fn a_master_under_another_name_is_told_who_misses_it() {
    for (role, name, told) in [("master", "pi", true), ("master", "ada", false), ("worker", "pi", false)] {
        let root = Root::new();
        root.write("etc/labimg/node.conf", format!("CLUSTER=home\nROLE={role}\nMASTER=ada\n"));
        root.write(CONF, format!("hostname={name}\n"));
        let output = root.run("conf", &[]);
        assert!(output.status.success(), "{}", text(&output));
        let says = text(&output);
        assert_eq!(
            says.contains("warning: the cluster still looks for this master as ada.local"),
            told,
            "{role}: {says}"
        );
        assert_eq!(root.read("etc/hostname"), format!("{name}\n"));
    }
}

#[test]
fn no_other_node_takes_the_masters_name() {
    let root = Root::new();
    root.write("etc/labimg/node.conf", "CLUSTER=home\nROLE=worker\nMASTER=ada\n");
    root.write(CONF, "hostname=Ada\n");
    let output = root.run("conf", &[]);
    assert!(text(&output).contains("line 1: the cluster's master is called so"), "{}", text(&output));
    assert_eq!(root.read("etc/hostname"), "worker\n");
}

/// Content, the wrong line, and a part of the reason.
#[test]
fn mistakes_are_reported_with_their_line() {
    let long = format!("hostname={}\n", "a".repeat(64));
    let table: &[(&str, usize, &str)] = &[
        ("hostname\n", 1, "no `=` in it"),
        ("\n# remark\nhostname=\n", 3, "hostname has no value"),
        ("hostname=a b\n", 1, "letters, digits"),
        ("hostname=-a\n", 1, "letters, digits"),
        ("hostname=a-\n", 1, "letters, digits"),
        ("hostname=node.local\n", 1, "without `.local`"),
        ("hostname=nöde\n", 1, "letters, digits"),
        ("hostname=$(reboot)\n", 1, "letters, digits"),
        ("hostname=localhost\n", 1, "every computer calls itself so"),
        (&long, 1, "at most 63"),
        ("hostnam=a\n", 1, "no setting `hostnam`"),
        ("user=me\n", 1, "set `user` in lab.toml"),
        ("ssh_key=AAAAC3Nza\n", 1, "begins with its kind"),
        ("ssh_key=ssh-ed25519 AAAAC3Nza\n", 1, "no whole public key"),
        ("ssh_key=-----BEGIN OPENSSH PRIVATE KEY-----\n", 1, "private key"),
        ("wifi_ssid=w\nwifi_passphrase=1234567\nwifi_country=DE\n", 2, "8 to 63"),
        ("wifi_ssid=w\nwifi_passphrase=pässword\nwifi_country=DE\n", 2, "plain letters"),
        ("wifi_ssid=w\nwifi_country=Germany\n", 2, "two letters"),
        ("wifi_ssid=w\n", 1, "needs wifi_country"),
        ("wifi_ssid=0123456789012345678901234567890123\nwifi_country=DE\n", 1, "at most 32 bytes"),
        ("wifi_passphrase=12345678\n", 1, "needs wifi_ssid"),
        ("address=192.168.1.10\n", 1, "length of its network's prefix"),
        ("address=192.168.1.300/24\n", 1, "length of its network's prefix"),
        ("address=192.168.1.10/33\n", 1, "length of its network's prefix"),
        ("address=192.168.01.10/24\n", 1, "length of its network's prefix"),
        ("address=fd00:::1/64\n", 1, "length of its network's prefix"),
        ("address=192.168.1.10/24\ngateway=192.168.2.1\n", 2, "not in the network"),
        ("address=192.168.1.10/24\ngateway=router\n", 2, "no IP address"),
        ("address=192.168.1.10/24\ngateway=192.168.1.1\ndns=1.1.1.1 8.8.8\n", 3, "`8.8.8` is no IP address"),
        ("address=192.168.1.10/24\n", 1, "needs gateway too"),
        ("gateway=192.168.1.1\n", 1, "only together with address"),
        ("dns=192.168.1.1\n", 1, "only together with address"),
        ("<html>\n", 1, "no `=` in it"),
    ];
    for (content, line, why) in table {
        let (root, says) = apply(content);
        let expected = format!("warning: labimg.conf, line {line}: ");
        let said = says.lines().find(|l| l.starts_with(&expected)).unwrap_or_else(|| panic!("{content:?}: {says}"));
        assert!(said.contains(why), "{content:?}: {said}");
        // In the file the reason is above the line, which is unchanged.
        let after = root.read(CONF);
        let wrong = content.lines().nth(line - 1).unwrap();
        let lines: Vec<_> = after.lines().collect();
        let at = lines.iter().position(|l| *l == wrong).unwrap_or_else(|| panic!("{content:?}: {after}"));
        assert!(lines[at - 1].starts_with("#! ") && lines[at - 1].contains(why), "{content:?}: {after}");
        // A second run gives the same, without repeating reasons, and without writing.
        let again = root.run("conf", &[]);
        assert!(text(&again).contains("warning"), "{content:?}");
        assert_eq!(root.read(CONF), after, "{content:?}");
    }
}

#[test]
fn good_lines_count_beside_bad_ones() {
    let (root, says) = apply(format!("hostname=node7\nnonsense\nssh_key={KEY}\naddress=1.2.3\nwifi_ssid=w\n"));
    assert_eq!(says.matches("warning").count(), 3, "{says}");
    assert_eq!(root.read("etc/hostname"), "node7\n");
    assert_eq!(root.read("etc/hosts"), "127.0.0.1\tlocalhost\n127.0.1.1\tnode7\n");
    assert!(root.read(KEYS).contains(KEY));
    assert!(!root.exists(NETWORK) && !root.exists(WIFI));
    assert!(root.calls().contains("hostname node7"));
    let left = root.read(CONF);
    assert!(left.contains("#hostname=node7\n") && left.contains("\nnonsense\n") && left.contains("\naddress=1.2.3\n"));
}

#[test]
fn the_first_of_two_counts_for_good() {
    let (root, says) = apply("hostname=a\nhostname=b\n");
    assert!(says.contains("line 2: hostname is set in line 1 already"), "{says}");
    assert_eq!(root.read(CONF), "#hostname=a\n#! hostname is set in line 1 already, which counts\n#hostname=b\n");
    assert!(root.run("conf", &[]).status.success());
    assert_eq!(root.read("etc/hostname"), "a\n");
}

#[test]
fn keys_are_added_once_and_secrets_are_private() {
    if missing(&["wpa_passphrase"]) {
        return;
    }
    let root = Root::new();
    root.write(KEYS, "ssh-rsa AAAA other\n");
    for _ in 0..2 {
        root.write(CONF, format!("ssh_key={KEY}\nwifi_ssid=w\nwifi_passphrase=12345678\nwifi_country=DE\n"));
        assert!(root.run("conf", &[]).status.success());
    }
    assert_eq!(root.read(KEYS), format!("ssh-rsa AAAA other\n{KEY}\n"));
    assert_eq!((root.mode(KEYS), root.mode(WIFI)), (0o600, 0o600));
    let wants = "etc/systemd/system/sys-subsystem-net-devices-wlan0.device.wants/wpa_supplicant@wlan0.service";
    assert!(root.exists(wants));
}

#[test]
fn nothing_in_the_file_is_run() {
    let root = Root::new();
    let trap = root.at("trap");
    let attack = format!(
        "hostname=$(touch {0})\nssh_key=`touch {0}`\nwifi_ssid=$(touch {0})\nwifi_passphrase=\"; touch {0}; \"\nwifi_country=DE\n\
         address=1.2.3.4/24; touch {0}\n`touch {0}`=x\n$(touch {0})\n",
        trap.display()
    );
    root.write(CONF, attack);
    assert!(root.run("conf", &[]).status.success());
    assert!(!trap.exists());
}

#[test]
fn the_file_that_is_shipped_changes_nothing() {
    if missing(&["wpa_passphrase"]) {
        return;
    }
    let shipped = include_str!("../../src/seed/labimg.conf");
    let (root, says) = apply(shipped);
    assert_eq!(says, "");
    assert_eq!(root.read(CONF), shipped);
    // Every setting is explained in it, and its example is valid.
    let examples: String = shipped
        .lines()
        .filter(|l| l.starts_with('#') && !l.starts_with("# "))
        .map(|l| format!("{}\n", l.trim_start_matches('#')))
        .collect();
    let examples = examples.replace("ssh-ed25519 AAAA... you@your-computer", KEY);
    for key in ["hostname", "ssh_key", "wifi_ssid", "wifi_passphrase", "wifi_country", "address", "gateway", "dns"] {
        assert!(examples.contains(&format!("{key}=")), "{key} is missing: {examples}");
    }
    let (_, says) = apply(&examples);
    assert!(!says.contains("warning"), "{says}");
}

#[test]
fn power_may_fail_at_every_command() {
    if missing(&["wpa_passphrase"]) {
        return;
    }
    let content = format!(
        "hostname=node7\nssh_key={KEY}\nwifi_ssid=w\nwifi_passphrase=12345678\nwifi_country=DE\n\
         address=192.168.1.10/24\ngateway=192.168.1.1\nnonsense\n"
    );
    let (whole, _) = apply(&content);
    let commands = whole.commands();
    assert!(commands > 40, "only {commands} commands");
    let results = [CONF, "etc/hostname", "etc/hosts", KEYS, WIFI, NETWORK];
    // Every third command: all of them take minutes on a small machine, and neighbouring ones differ little.
    for cut in (1..commands).step_by(3).chain(commands - 12..commands) {
        let root = Root::new();
        root.write(CONF, &content);
        let output = root.run_cut("conf", &[], Some(cut));
        assert_eq!(output.status.signal(), Some(9), "cut at {cut}: {}", text(&output));
        let output = root.run("conf", &[]);
        assert!(output.status.success(), "after a cut at {cut}: {}", text(&output));
        for path in results {
            assert_eq!(root.read(path), whole.read(path), "{path} after a cut at {cut}");
        }
        let left = crate::files(&root.at("boot"));
        assert_eq!(left, [root.at(CONF)], "after a cut at {cut}");
    }
}
