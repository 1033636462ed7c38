use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::*;
use crate::lab::k3s_release::DEFAULT_K3S;

fn release(tag: &str) -> K3sRelease {
    K3sRelease::parse(tag).unwrap()
}

#[test]
fn the_table_covers_what_labimg_uses_and_names_each_option_once() {
    assert!(covers(release(DEFAULT_K3S)) && covers(release("v1.34.0+k3s1")) && covers(release("v1.37.9+k3s1")));
    assert!(!covers(release("v1.33.9+k3s1")) && !covers(release("v1.38.0+k3s1")) && !covers(release("v2.36.0+k3s1")));
    let names = table::FLAGS.iter().flat_map(|flag| [Some(flag.name), flag.short]).flatten();
    let mut seen = BTreeSet::new();
    for name in names {
        assert!(seen.insert(name), "{name} is there twice");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
    }
    for line in table::FLAGS.iter().flat_map(|flag| flag.since.windows(2)) {
        assert!(line[0].0 < line[1].0, "{line:?} is not in order");
    }
}

#[test]
fn an_option_has_a_side_and_a_first_release() {
    let flag = |name: &str| find(name).unwrap();
    assert!(flag("disable").is_for(K3sKind::Server) && !flag("disable").is_for(K3sKind::Agent));
    assert!(flag("node-label").is_for(K3sKind::Server) && flag("node-label").is_for(K3sKind::Agent));
    assert!(!flag("disable-apiserver-lb").is_for(K3sKind::Server));
    assert_eq!((flag("d").name, flag("o").name), ("data-dir", "write-kubeconfig"));
    assert!(find("disabled").is_none());
    let backported = flag("helm-controller-arg");
    for (tag, is_in) in
        [("v1.34.9", false), ("v1.34.10", true), ("v1.35.6", false), ("v1.36.3", true), ("v1.37.0", true)]
    {
        assert_eq!(backported.is_in(release(&format!("{tag}+k3s1"))), is_in, "{tag}");
    }
    assert!(!flag("write-kubeconfig-name").is_in(release("v1.36.5+k3s1")));
    assert_eq!(backported.since(), "v1.34.10, v1.35.7, v1.36.3");
    assert!(
        names(K3sKind::Server, release(DEFAULT_K3S))
            .all(|name| !["disable-etcd", "write-kubeconfig-name"].contains(&name))
    );
}

/// How `--help` shows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Alone,
    WithValue,
    Repeated,
}

/// The options that a text of `--help` lists: lines `   --name value, -n value [ … ]   what it is`.
fn shown(help: &str) -> BTreeMap<String, Shown> {
    let lines = help.split_once("\nOPTIONS:").map_or("", |(_, options)| options).lines();
    let mut all = BTreeMap::new();
    for line in lines.map(str::trim_start).filter(|line| line.starts_with('-')) {
        let option = line.split("  ").next().unwrap_or_default();
        let (one, again) = option.split_once(" [ ").map_or((option, None), |(one, again)| (one, Some(again)));
        let first = one.split(", ").next().unwrap_or_default();
        let (name, value) = first.split_once(' ').map_or((first, None), |(name, value)| (name, Some(value)));
        let shown = match (value, again) {
            (_, Some(_)) => Shown::Repeated,
            (Some(_), None) => Shown::WithValue,
            (None, None) => Shown::Alone,
        };
        all.insert(name.trim_start_matches('-').to_owned(), shown);
    }
    all.remove("help");
    all
}

/// In what the table and a text of `--help` differ.
fn differences(kind: K3sKind, release: K3sRelease, help: &str) -> Vec<String> {
    let mut told = shown(help);
    let mut found = Vec::new();
    for name in names(kind, release) {
        let shape = find(name).unwrap().shape;
        let expected = match shape {
            Shape::Switch => Shown::Alone,
            Shape::List => Shown::Repeated,
            Shape::Number | Shape::Text | Shape::Choice(_) | Shape::Duration => Shown::WithValue,
        };
        match told.remove(name) {
            Some(shown) if shown == expected => {}
            Some(shown) => found.push(format!("{name} is {shape:?} in the table, {shown:?} in k3s")),
            None => found.push(format!("{name} is in the table only")),
        }
    }
    found.extend(told.into_keys().map(|name| format!("{name} is in k3s only")));
    found
}

#[test]
fn the_comparison_sees_what_differs() {
    let newest = release("v1.37.0+k3s1");
    let line = |name: &str| {
        let dashes = if name.len() == 1 { "-" } else { "--" };
        let short = find(name).unwrap().short.map_or(String::new(), |short| format!(", -{short} value"));
        match find(name).unwrap().shape {
            Shape::Switch => format!("   {dashes}{name}        (group) What it is (default: false)\n"),
            Shape::List => {
                let once = format!("{dashes}{name} value{short}");
                format!("   {once} [ {once} ]        (group) What it is\n")
            }
            _ => format!("   {dashes}{name} value{short}        (group) What --it is (default: \"a\") [$K3S_X]\n"),
        }
    };
    let whole = |kind| {
        let lines: String = names(kind, newest).map(line).collect();
        format!("NAME:\n   k3s server\n\nOPTIONS:\n{lines}   --help, -h         show help\n")
    };
    for kind in [K3sKind::Server, K3sKind::Agent] {
        assert_eq!(differences(kind, newest, &whole(kind)), Vec::<String>::new());
    }
    let server = whole(K3sKind::Server);
    let without = server.replace(&line("tls-san"), "").replace("   --debug  ", "   --debug value  ");
    assert_eq!(
        differences(K3sKind::Server, newest, &format!("{without}   --new-one value      (x) New\n")),
        ["debug is Switch in the table, WithValue in k3s", "tls-san is in the table only", "new-one is in k3s only"]
    );
    assert!(!differences(K3sKind::Agent, newest, &server).is_empty());
}

/// Runs `k3s`, by emulation when it is not for this computer; nothing when that is not possible.
fn run(k3s: &Path, args: &[&str]) -> Option<String> {
    const NO_EXEC: i32 = 8;
    let state = tempfile::tempdir().unwrap();
    let command = |emulator: Option<&str>| {
        let mut command = emulator.map_or_else(
            || Command::new(k3s),
            |e| {
                let mut command = Command::new(e);
                command.arg(k3s);
                command
            },
        );
        command.args(args).env("K3S_DATA_DIR", state.path()).env("K3S_CONFIG_FILE", state.path().join("none")).output()
    };
    let output = match command(None) {
        Err(e) if e.raw_os_error() == Some(NO_EXEC) => {
            ["qemu-aarch64-static", "qemu-aarch64"].iter().find_map(|emulator| command(Some(emulator)).ok())?
        }
        other => other.unwrap_or_else(|e| panic!("{}: {e}", k3s.display())),
    };
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn the_table_says_what_a_real_k3s_says() {
    let test = "lab::k3s_flags::the_table_says_what_a_real_k3s_says";
    let Some(k3s) = std::env::var_os("LABIMG_TEST_K3S").filter(|k3s| !k3s.is_empty()) else {
        labimg_testkit::skipped(test, "LABIMG_TEST_K3S names no k3s");
        return;
    };
    let k3s = Path::new(&k3s);
    let Some(version) = run(k3s, &["--version"]) else {
        labimg_testkit::skipped(test, "the k3s is not for this computer, and there is no qemu-aarch64-static");
        return;
    };
    let release = version.split_whitespace().find_map(K3sRelease::parse).unwrap_or_else(|| panic!("{version}"));
    assert!(covers(release), "the table covers {}, not {release}", covered());
    for (kind, command) in [(K3sKind::Server, "server"), (K3sKind::Agent, "agent")] {
        let help = run(k3s, &[command, "--help"]).unwrap();
        assert_eq!(differences(kind, release, &help), Vec::<String>::new(), "k3s {command} of {release}");
        if kind == K3sKind::Server {
            let items = help.lines().find(|line| line.trim_start().starts_with("--disable value")).unwrap();
            for name in PACKAGED {
                assert!(items.contains(name), "`disable` knows no {name}: {items}");
            }
        }
    }
}
