//! Wi-Fi with any name and passphrase: the two writers give the same file, and `wpa_supplicant` reads out of it what was asked for.

use std::process::Command;

use labimg::lab::Lab;
use labimg_testkit::judges;
use proptest::prelude::*;

use crate::values::{ask_conf, seed_file};

const FILE: &str = "etc/wpa_supplicant/wpa_supplicant-wlan0.conf";

fn seed(ssid: &str, passphrase: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let secret = passphrase.map(|p| format!("passphrase = {}\n", quoted(p))).unwrap_or_default();
    let text = format!(
        "name = \"home\"\n[wifi]\nssid = {}\n{secret}country = \"DE\"\n[[nodes]]\nname = \"node\"\nrole = \"master\"\nboard = \"rpi4\"\n",
        quoted(ssid)
    );
    let parts = labimg::parts::Parts::built_in().unwrap();
    let lab: Lab = labimg::lab::parse(&text, None, &parts).unwrap_or_else(|e| panic!("{text}: {e:?}")).0;
    seed_file(&lab, FILE)
}

/// What `wpa_supplicant` reads, as hexadecimal digits: the name, the key and the passphrase. It parses the file before it looks for the
/// interface, which is none.
fn read_back(conf: &str) -> [String; 3] {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), conf).unwrap();
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("wpa_supplicant")
        .args(["-Dnone", "-ilabimg-none", "-dd", "-K", "-c"])
        .arg(file.path())
        .env("PATH", path)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(log.contains("id=0 ssid=") && !log.contains("Failed to read or parse"), "{conf}\n{log}");
    ["ssid - hexdump_ascii", "PSK - hexdump", "sae_password - hexdump_ascii"].map(|name| {
        let mut lines = log.lines().skip_while(|line| !line.starts_with(name));
        let first = lines.next().unwrap_or_default();
        // `PSK - hexdump(len=32): f4 2c …`, or lines of 16 bytes with the characters beside them.
        match first.split_once("): ") {
            Some((_, bytes)) => bytes.replace(' ', ""),
            None => lines
                .take_while(|l| l.starts_with("     "))
                .map(|l| l.get(5..53).unwrap_or(l).replace(' ', ""))
                .collect(),
        }
    })
}

fn digits(text: &str) -> String {
    text.bytes().map(|b| format!("{b:02x}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_name_and_passphrase_arrive(ssid in "[ -~äß無]{1,10}", passphrase in "[ -~]{8,63}|[\"#\\\\{}= ]{8,12}|[0-9a-fA-F]{64}") {
        if judges::missing(&["wpa_supplicant", "wpa_passphrase"]) {
            return Ok(());
        }
        let conf = seed(&ssid, Some(&passphrase));
        let lines = format!("wifi_ssid=\"{ssid}\"\nwifi_passphrase=\"{passphrase}\"\nwifi_country=de\n");
        prop_assert_eq!(ask_conf(&lines, "wifi_ssid"), Ok(conf.clone()));
        let [name, key, sae] = read_back(&conf);
        prop_assert_eq!(name, digits(&ssid));
        if passphrase.len() == 64 {
            prop_assert_eq!((key, sae), (passphrase.to_lowercase(), String::new()));
        } else {
            prop_assert_eq!((key.len(), sae), (64, digits(&passphrase)));
        }
    }
}

/// The judge finds what is wrong: the file that a passphrase with quotes would give without care.
#[test]
fn the_judge_refuses_a_file_that_is_wrong() {
    if judges::missing(&["wpa_supplicant"]) {
        return;
    }
    assert_eq!(read_back(&seed("a", None)), [digits("a"), String::new(), String::new()]);
    let careless = seed("a", Some("12345678")).replace("psk=", "psk=\"my\"net#2024x\" ");
    assert!(std::panic::catch_unwind(|| read_back(&careless)).is_err());
}
