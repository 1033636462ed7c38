//! Tests each kind of mistake, and that all are found at once.

use std::sync::LazyLock;

use super::properties::spans_are_inside;
use super::*;
use crate::wording::one_line;

pub(super) const GOOD: &str = r#"
name = "home"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home"]
[[nodes]]
name = "master"
role = "master"
board = "rpi4"
[[nodes]]
name = "worker-1"
role = "worker"
board = "rpi3"
"#;

/// The built-in parts.
pub(super) fn known() -> &'static Parts {
    static PARTS: LazyLock<Parts> = LazyLock::new(|| Parts::built_in().unwrap());
    &PARTS
}

/// The valid lab with text before and after the nodes.
pub(super) fn lab(before: &str, after: &str) -> String {
    let (top, nodes) = GOOD.split_once("[[nodes]]").unwrap();
    format!("{top}{before}\n[[nodes]]{nodes}{after}\n")
}

/// The mistakes in a text as `text at the span: message | help`.
pub(super) fn mistakes(text: &str) -> Vec<String> {
    parse(text, None, known()).err().unwrap_or_default().iter().map(|p| line(text, p)).collect()
}

pub(super) fn warnings(text: &str) -> Vec<String> {
    parse(text, None, known()).unwrap_or_else(|e| panic!("{e:?}")).1.iter().map(|p| line(text, p)).collect()
}

fn line(text: &str, p: &Problem) -> String {
    format!("{}: {} | {}", &text[p.span.clone()], p.message, p.help.as_deref().unwrap_or("-"))
}

/// Asserts that there is exactly this mistake: its place, and words in its message and help.
#[track_caller]
pub(super) fn one(text: &str, place: &str, words: &[&str]) {
    only(&mistakes(text), text, place, words);
}

/// The same of a warning.
#[track_caller]
pub(super) fn warned(text: &str, place: &str, words: &[&str]) {
    only(&warnings(text), text, place, words);
}

#[track_caller]
fn only(found: &[String], text: &str, place: &str, words: &[&str]) {
    assert_eq!(found.len(), 1, "{found:#?}\n{text}");
    assert!(found[0].starts_with(&format!("{place}: ")), "{}", found[0]);
    for word in words {
        assert!(found[0].contains(word), "`{word}` is not in {}", found[0]);
    }
}

#[test]
fn a_good_file_becomes_a_lab() {
    let (lab, warnings) = parse(GOOD, None, known()).unwrap();
    assert_eq!(warnings, []);
    assert_eq!((lab.name.as_str(), lab.nodes.len(), lab.master().unwrap().name.as_str()), ("home", 2, "master"));
    let (with_mark, windows) = (format!("\u{feff}{GOOD}"), GOOD.replace('\n', "\r\n"));
    for text in [with_mark, windows] {
        assert_eq!(parse(&text, None, known()).unwrap().0, lab);
    }
}

#[test]
fn every_disk_rule_is_read() {
    for (rule, read) in [
        ("\"only\"", DiskRule::Only),
        ("\"never\"", DiskRule::Never),
        ("{ serial = \"WD-12_3\" }", DiskRule::Serial("WD-12_3".to_owned())),
        ("{ size = 2000398934016 }", DiskRule::Size(2_000_398_934_016)),
    ] {
        let text = lab(&format!("[storage]\ndisk = {rule}"), "");
        assert_eq!(parse(&text, None, known()).unwrap().0.storage.disk, read);
        spans_are_inside(&text);
    }
    let text = lab("[storage.disk]\nserial = \"A\"", "");
    assert_eq!(parse(&text, None, known()).unwrap().0.storage.disk, DiskRule::Serial("A".to_owned()));
    let rule = |rule: &str| lab(&format!("[storage]\ndisk = {rule}"), "");
    one(&rule("\"onyl\""), "\"onyl\"", &["did you mean `only`", "\"never\"", "{ serial = \"…\" }", "{ size = … }"]);
    one(&rule("true"), "true", &["must be a rule", "write one of"]);
    one(&rule("{ seriel = \"x\" }"), "seriel", &["cannot be `seriel`", "did you mean `serial`"]);
    one(&rule("{ serial = 12 }"), "12", &["`serial` must be a text in quotes, not a number"]);
    one(&rule("{ serial = \"a\", size = 512 }"), "{ serial = \"a\", size = 512 }", &["exactly one rule"]);
    one(&rule("{}"), "{}", &["exactly one rule"]);
    one(&rule("{ size = \"2TB\" }"), "\"2TB\"", &["must be a whole number", "without quotes"]);
    one(&rule("{ size = -512 }"), "-512", &["from 0"]);
    one(&rule("{ size = 0xfffffffffffffe00 }"), "0xfffffffffffffe00", &["to 2^63 - 1"]);
    one(&rule("{ size = 1000 }"), "1000", &["512", "lsblk -b"]);
    one(&rule("{ serial = \"a b\" }"), "\"a b\"", &["`_` for a space"]);
}

#[test]
fn names_and_types_are_checked_by_the_model() {
    one(&lab("timezoen = \"Etc/UTC\"", ""), "timezoen", &["unknown setting", "did you mean `timezone`"]);
    one(&lab("role = \"worker\"", ""), "role", &["belongs in `[[nodes]]`"]);
    one(&lab("[storage]\ntimezone = \"Etc/UTC\"", ""), "timezone", &["at the top, above the first"]);
    one(&lab("", "hostname = \"x\""), "hostname", &["it is called `name` here"]);
    one(&lab("[storage]\nzzz = 1", ""), "zzz", &["known here: `disk`, `enabled`"]);
    one(
        &lab("[k3s]\nversion = 1.36", ""),
        "1.36",
        &["a text in quotes, not a number with a point", "put it in quotes"],
    );
    one(&lab("packages = \"htop\"", ""), "\"htop\"", &["must be a list", "packages = [\"…\"]"]);
    one(&lab("[storage]\nenabled = \"true\"", ""), "\"true\"", &["`true` or `false`", "enabled = true"]);
    one(&lab("[[k3s]]", ""), "[[k3s]]", &["must be a section, not a list", "`[k3s]`"]);
    one(&lab("packages = [\"htop\", 7]", ""), "7", &["an entry of `packages` must be a text in quotes"]);
    one("name = \"a\"\n[nodes]\nname = \"x\"", "[nodes]", &["must be a list, not a section", "`[[nodes]]`"]);
    one(&GOOD.replacen("board = \"rpi4\"\n", "", 1), "[[nodes]]", &["`board` is missing", "labimg boards"]);
    one(&GOOD.replacen("name = \"home\"\n", "", 1), "", &["`name` is missing", "Name of the cluster"]);
    one(&lab("[wifi]\nssid = \"x\"", ""), "[wifi]", &["`country` is missing", "ISO 3166-1"]);
}

#[test]
fn syntax_is_explained_alone() {
    one("name = home\nnodes = 1", "home", &["not valid TOML", "in quotes"]);
    one("name = “home”\n", "“home”", &["a typographic quote does not count", "plain quotes: \"…\""]);
    one(&lab("name = \"b\"", ""), "name", &["twice"]);
    for text in ["name", "[", "name = \"a", "= 1", "a = [1,", "[[nodes]", "\u{0}"] {
        assert!(mistakes(text).iter().all(|m| m.contains("not valid TOML")), "{:?}", mistakes(text));
        assert!(!mistakes(text).is_empty(), "{text}");
    }
}

#[test]
fn names_are_dns_labels() {
    one(&GOOD.replace("\"home\"", "\"My Lab\""), "\"My Lab\"", &["cannot be a name", "`my-lab` would do"]);
    one(&GOOD.replace("worker-1", "worker_1"), "\"worker_1\"", &["`worker-1` would do"]);
    one(&GOOD.replace("worker-1", "localhost"), "\"localhost\"", &["every computer"]);
    one(&GOOD.replace("worker-1", "2026"), "\"2026\"", &["for an address"]);
    assert_eq!(mistakes(&GOOD.replace("\"home\"", "\"2026\"")), Vec::<String>::new(), "a cluster may be called so");
    one(&GOOD.replace("worker-1", "w.lan"), "\"w.lan\"", &["without a domain", "`w` would do"]);
    one(&GOOD.replace("worker-1", "master"), "\"master\"", &["two nodes are called `master`"]);
    one(&lab("domain = \"my lab\"", ""), "\"my lab\"", &["not a DNS domain"]);
    one(&lab("domain = \"lab.local\"", ""), "\"lab.local\"", &["mDNS", "home.arpa"]);
    one(&lab("domain = \"1.2.3.4\"", ""), "\"1.2.3.4\"", &["IPv4 address", "home.arpa"]);
    one(&lab("domain = \"lab.localhost\"", ""), "\"lab.localhost\"", &["the computer itself", "home.arpa"]);
}

#[test]
fn what_the_stack_cannot_do_is_told() {
    let off = "[stack]\ndns = true\n[stack.components.dns]\nenabled = false\n";
    one(&lab(off, ""), "dns", &["switches the component dns on", "keep one of them"]);
    let traefik = "[k3s]\nserver_config = { disable = [\"servicelb\", \"traefik\"] }\n[stack]\nprofile = \"minimal\"\n";
    one(&lab(traefik, ""), "\"traefik\"", &["belongs to the component ingress", "stack.components.ingress.enabled"]);
    let itself = "[k3s]\nserver_config = { disable = [\"cert-manager\"] }\n[stack]\nprofile = \"minimal\"\n";
    one(&lab(itself, ""), "\"cert-manager\"", &["belongs to the component cert-manager"]);
    let text = "[k3s]\nserver_config = { disable = \"servicelb,traefik\" }\n[stack]\nprofile = \"minimal\"\n";
    one(&lab(text, ""), "\"servicelb,traefik\"", &["`traefik` belongs to the component ingress"]);
    assert_eq!(mistakes(&lab(&traefik.replace("minimal", "none"), "")), Vec::<String>::new());
    let no_class =
        "[stack]\nprofile = \"none\"\n[stack.components]\nvault.enabled = true\nnfs-storage.enabled = false\n";
    one(&lab(no_class, ""), "vault", &["vault needs nfs-storage, which is switched off"]);
}

#[test]
fn roles_and_boards_exist_and_make_a_cluster() {
    one(
        &GOOD.replace("\"worker\"", "\"wroker\""),
        "\"wroker\"",
        &["unknown role", "did you mean `worker`?", "labimg roles"],
    );
    one(&GOOD.replace("rpi3", "rpi33"), "\"rpi33\"", &["unknown board", "`rpi3`", "labimg boards"]);
    one(&GOOD.replace("rpi3", "quartz"), "\"quartz\"", &["unknown board", "`virt`"]);
    one(&GOOD.replace("\"worker\"", "\"master\""), "\"master\"", &["only one master", "`server`"]);
    one(&GOOD.replace("role = \"master\"", "role = \"server\""), "\"server\"", &["this server has no master to join"]);
    one(&GOOD.replace("role = \"master\"", "role = \"mastr\""), "\"mastr\"", &["unknown role"]);
    one("name = \"a\"", "name", &["there are no nodes"]);
    one("name = \"a\"\nnodes = []", "nodes", &["there are no nodes"]);
    let two = parse(&GOOD.replace("worker-1", "master"), None, known()).unwrap_err();
    assert_eq!(two[0].also.len(), 1, "both places are shown");
}

#[test]
fn addresses_are_possible() {
    let node = |lines: &str| lab("", lines);
    let with = |address: &str| node(&format!("address = \"{address}\"\ngateway = \"192.168.1.1\""));
    one(&with("192.168.1.300/24"), "\"192.168.1.300/24\"", &["not an IP address", "write it like `192.168.1.10/24`"]);
    one(&with("192.168.1.10"), "\"192.168.1.10\"", &["lacks its prefix length", "192.168.1.10/24"]);
    one(&with("192.168.1.10/255.255.255.0"), "\"192.168.1.10/255.255.255.0\"", &["as `/24`"]);
    one(&with("192.168.1.10/40"), "\"192.168.1.10/40\"", &["from 0 to 32"]);
    one(&with("192.168.1.0/24"), "\"192.168.1.0/24\"", &["the network's own", "another address of 192.168.1.0/24"]);
    one(&with("192.168.1.255/24"), "\"192.168.1.255/24\"", &["broadcast"]);
    one(&with("127.0.0.1/8"), "\"127.0.0.1/8\"", &["no node can have"]);
    one(&with("dhcp"), "\"dhcp\"", &["leave the line out"]);
    one(&with("192.168.2.10/24"), "\"192.168.1.1\"", &["not in the node's network 192.168.2.0/24"]);
    one(&with("192.168.1.1/24"), "\"192.168.1.1\"", &["its own gateway"]);
    one(&node("address = \"192.168.1.10/24\""), "\"192.168.1.10/24\"", &["needs a `gateway`"]);
    one(&node("address = \"192.168.1.10/24\"\ngateway = \"router\""), "\"router\"", &["not an IP address"]);
    one(&node("address = \"192.168.1.10/24\"\ngateway = \"192.168.1.255\""), "\"192.168.1.255\"", &["broadcast"]);
    one(&node("gateway = \"192.168.1.1\""), "gateway", &["without `address`"]);
    let fixed = "address = \"192.168.1.10/24\"\ngateway = \"192.168.1.1\"\n";
    one(&node(&format!("{fixed}dns = [\"one.one\"]")), "\"one.one\"", &["not an IP address"]);
    one(&node("dns = [\"192.168.1.1\"]"), "dns", &["without `address`"]);
    let twice = GOOD.replace("board", "address = \"10.0.0.5/8\"\ngateway = \"10.0.0.1\"\nboard");
    one(&twice, "\"10.0.0.5/8\"", &["two nodes have the address 10.0.0.5"]);
    for good in [
        "address = \"192.168.1.10/24\"\ngateway = \"192.168.1.1\"\ndns = [\"9.9.9.9\", \"::1\"]",
        "address = \"fd00::5/64\"\ngateway = \"fe80::1\"",
        "address = \"10.0.0.0/31\"\ngateway = \"10.0.0.1\"",
    ] {
        assert_eq!(mistakes(&node(good)), Vec::<String>::new());
    }
}

#[test]
fn settings_have_their_forms() {
    for (value, words) in [
        ("Europe/Belrin", "did you mean `Europe/Berlin`"),
        ("europe/berlin", "did you mean `Europe/Berlin`"),
        ("new york", "did you mean `America/New_York`"),
        ("US/Eastern", "an old name: write `America/New_York`"),
        ("us/pacific", "an old name: write `America/Los_Angeles`"),
        ("Europe/Kiev", "an old name: write `Europe/Kyiv`"),
        ("PRC", "an old name: write `Asia/Shanghai`"),
        ("# Time zones", "unknown time zone"),
        ("CEST", "unknown time zone"),
    ] {
        one(&lab(&format!("timezone = \"{value}\""), ""), &format!("\"{value}\""), &[words]);
    }
    for (value, words) in [
        ("de_DE", "write `de_DE.UTF-8`"),
        ("de_DE.utf8", "write `de_DE.UTF-8`"),
        ("C", "write `C.UTF-8`"),
        ("german", "such as `de_DE.UTF-8`"),
        ("de_DE.UTF-8; reboot", "write `de_DE.UTF-8`"),
    ] {
        one(&lab(&format!("locale = \"{value}\""), ""), &format!("\"{value}\""), &[words]);
    }
    for good in ["timezone = \"America/Argentina/Ushuaia\"", "timezone = \"UTC\"", "locale = \"ca_ES.UTF-8@valencia\""]
    {
        assert_eq!(mistakes(&lab(good, "")), Vec::<String>::new());
    }
    one(&lab("packages = [\"htop nano\"]", ""), "\"htop nano\"", &["one name an entry"]);
    one(&lab("", "packages = [\"Htop\"]"), "\"Htop\"", &["not the name of a Debian package"]);
    assert_eq!(
        mistakes(&lab("packages = [\"g++\", \"htop=3.4.1-5\", \"linux-base/trixie\"]", "")),
        Vec::<String>::new()
    );
}

#[test]
fn wifi_is_possible() {
    let wifi = |ssid: &str, pass: &str, country: &str| {
        lab(&format!("[wifi]\nssid = \"{ssid}\"\npassphrase = \"{pass}\"\ncountry = \"{country}\""), "")
    };
    assert_eq!(mistakes(&wifi("Café", "12345678", "DE")), Vec::<String>::new());
    one(&wifi("", "12345678", "DE"), "\"\"", &["1 to 32 bytes, not 0"]);
    one(&wifi(&"é".repeat(17), "12345678", "DE"), &format!("\"{}\"", "é".repeat(17)), &["not 34"]);
    one(
        &wifi("x", "1234567", "DE"),
        "\"1234567\"",
        &["8 to 63 characters, or 64 hexadecimal digits, not 7", "leave the line out"],
    );
    one(&wifi("x", "1234567ü", "DE"), "\"1234567ü\"", &["(ASCII)"]);
    for (pass, country) in [("a1".repeat(32), "DE"), ("12345678".to_owned(), "de")] {
        assert_eq!(mistakes(&wifi("x", &pass, country)), Vec::<String>::new());
    }
    one(&wifi("x", &"g1".repeat(32), "DE"), &format!("\"{}\"", "g1".repeat(32)), &["not 64"]);
    one(&wifi("x", "12345678", "ZZ"), "\"ZZ\"", &["radio rules", "two letters"]);
    one(&wifi("x", "12345678", "UK"), "\"UK\"", &["`GB`"]);
    one(&wifi("x", "12345678", "Germany"), "\"Germany\"", &["two letters"]);
    let secret = "swordfish";
    let text = wifi("x", &format!("{secret}ü"), "de");
    let said = format!("{:?}", parse(&text, None, known()).unwrap_err());
    assert!(!said.contains(secret) && !mask(&text).contains(secret), "{said}");
}

#[test]
fn k3s_is_possible() {
    let k3s = |lines: &str| lab(&format!("[k3s]\n{lines}"), "");
    for (version, words) in [
        ("1.36.5+k3s1", "`v1.36.5+k3s1`"),
        ("v1.36.5", "`v1.36.5+k3s1`"),
        ("v1.36.5%2Bk3s1", "`v1.36.5+k3s1`"),
        ("v1.36.5-k3s1", "`v1.36.5+k3s1`"),
        ("latest", "such as `v1.36.5+k3s1`"),
        ("v1.36+k3s1", "such as"),
        ("v1.36.5+k3s1/..", "such as"),
    ] {
        one(&k3s(&format!("version = \"{version}\"")), &format!("\"{version}\""), &["not a k3s release", words]);
    }
    for good in ["version = \"v1.36.5+k3s1\"", "version = \"v1.37.0-rc2+k3s1\"", "url = \"http://10.0.0.1/k3s\""] {
        assert_eq!(mistakes(&k3s(good)), Vec::<String>::new());
    }
    for (url, words) in [
        ("ftp://a/b", "http or https"),
        ("mirror/k3s", "not a URL"),
        ("https://me:pw@a/b", "readable on every node"),
        ("https://a/b?c", "`?`"),
    ] {
        one(&k3s(&format!("url = \"{url}\"")), &format!("\"{url}\""), &[words]);
    }
}

#[test]
fn storage_is_possible() {
    let storage = |lines: &str| lab(&format!("[storage]\n{lines}"), "");
    one(&storage("label = \"\""), "\"\"", &["1 to 16 bytes"]);
    one(&storage("label = \"a-label-too-long!\""), "\"a-label-too-long!\"", &["1 to 16 bytes, not 17"]);
    one(&storage("label = \"a b\""), "\"a b\"", &["letters, digits"]);
    one(&storage("label = \"ROOT\""), "\"ROOT\"", &["another file system"]);
    one(
        &storage("networks = [\"192.168.1.5/24\"]"),
        "\"192.168.1.5/24\"",
        &["not a network", "`192.168.1.0/24`", "`/32`"],
    );
    one(&storage("networks = [\"192.168.1.0\"]"), "\"192.168.1.0\"", &["prefix length"]);
    one(&storage("networks = [\"lan\"]"), "\"lan\"", &["write it like `192.168.1.0/24`"]);
    assert_eq!(warnings(&storage("networks = [\"192.168.1.0/24\", \"fd00::/64\"]")), Vec::<String>::new());
}

#[test]
fn what_is_hardly_meant_is_remarked_on() {
    let only = |text: &str, place: &str, word: &str| {
        let found = warnings(text);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("{place}: ")) && found[0].contains(word), "{}", found[0]);
    };
    let keyless: String = GOOD.lines().filter(|l| !l.starts_with("ssh_keys")).map(|l| format!("{l}\n")).collect();
    only(&keyless, "name", "nobody can log in");
    only(
        &GOOD.replace("\"worker\"\nboard = \"rpi3\"", "\"server\"\nboard = \"rpi4\""),
        "\"server\"",
        "no more failures than 1",
    );
    only(&GOOD.replace("rpi4", "rpi3"), "\"rpi3\"", "little memory for a master");
    only(&GOOD.replace("rpi3", "zero2w"), "\"zero2w\"", "Wi-Fi only");
    only(&lab("[storage]\nnetworks = [\"0.0.0.0/0\"]", ""), "\"0.0.0.0/0\"", "no password");
    let fixed = "address = \"10.0.0.5/24\"\ngateway = \"10.0.0.1\"";
    only(&lab("[storage]\nnetworks = [\"10.1.0.0/16\"]", fixed), "\"10.0.0.5/24\"", "cannot mount");
    let both = |network: &str| {
        let master = "address = \"10.0.0.4/24\"\ngateway = \"10.0.0.1\"\nboard";
        lab(&format!("[storage]\nnetworks = [\"{network}\"]"), fixed).replacen("board", master, 1)
    };
    only(&both("10.0.0.0/16"), "\"10.0.0.0/16\"", "NFS asks for no password: write `10.0.0.0/24`");
    assert_eq!(warnings(&both("10.0.0.0/24")), Vec::<String>::new());
    let apart = lab("", fixed).replacen("board", "address = \"10.0.1.5/24\"\ngateway = \"10.0.1.1\"\nboard", 1);
    only(&apart, "\"10.0.0.5/24\"", "another network than the master");
}

#[test]
fn keys_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let key = GOOD.split('"').nth(3).unwrap();
    std::fs::write(dir.path().join("a.pub"), format!("{key}\n")).unwrap();
    std::fs::write(dir.path().join("secret"), "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
    let with = |value: &str| GOOD.replace(key, value);
    let said = |value: &str| format!("{:?}", parse(&with(value), Some(dir.path()), known()).err());
    assert_eq!(said("a.pub"), "None");
    assert!(said("b.pub").contains("there is no key file") && said("b.pub").contains("ssh-keygen"));
    assert!(said(".").contains("is a folder"));
    assert!(said("/dev/null").contains("is not a file"));
    assert!(said("secret").contains("private key"));
    assert!(said("ssh-ed25519 AAAA me").contains("cut"));
    assert!(said("-----BEGIN OPENSSH PRIVATE KEY-----\\nx").contains("`.pub` file"));
    std::fs::write(dir.path().join(FILE), with("a.pub")).unwrap();
    let folder = load(dir.path()).unwrap();
    assert_eq!(folder.ssh_keys(), [dir.path().join("a.pub").to_str().unwrap()]);
    assert_eq!(LabFolder { lab: parse(GOOD, None, known()).unwrap().0, ..folder }.ssh_keys(), [key]);
}

#[test]
fn all_mistakes_come_at_once_and_in_order() {
    let text = lab("timezone = \"x\"\nfoo = 1\n[wifi]\nssid = 5", "address = \"x\"\nrole = \"y\"")
        .replace("role = \"worker\"\n", "");
    let found = parse(&text, None, known()).unwrap_err();
    assert!(found.windows(2).all(|w| w[0].span.start <= w[1].span.start));
    assert_eq!(found.len(), 7, "{:#?}", mistakes(&text));
    let error = LabError::Invalid { file: "lab.toml".into(), text, problems: found };
    assert!(error.to_string().starts_with("lab.toml:4:12: unknown time zone `x`\nlab.toml:5:1: "), "{error}");
}

#[test]
fn files_that_are_none_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let said = |path: &Path| one_line(&check(path).unwrap_err());
    assert!(said(dir.path()).contains("`labimg new "), "{}", said(dir.path()));
    assert!(said(&dir.path().join("x.toml")).contains("neither a file nor a folder"));
    assert!(find(dir.path()).is_none());
    let file = dir.path().join(FILE);
    std::fs::write(&file, b"name = \"a\"\n# \xff").unwrap();
    assert!(said(dir.path()).ends_with("lab.toml:2: a character is not UTF-8 (save the file as UTF-8 text)"));
    std::fs::write(&file, " ".repeat((256 << 10) + 1)).unwrap();
    assert!(said(&file).contains("larger than 256 KiB"));
    assert!(said(Path::new("/dev/null")).contains("not a file"));
    assert_eq!(find(dir.path()), Some(file));
}

#[test]
fn places_are_counted_as_people_do() {
    let place = |offset| Place::of("aé\r\nb", offset);
    let at = |line, column| Place { line, column };
    assert_eq!([place(0), place(1), place(3), place(5), place(99)], [at(1, 1), at(1, 2), at(1, 3), at(2, 1), at(2, 2)]);
}
