use super::*;
use crate::lock::table;
use labimg_tree::fault::Fault;

/// A table of `name version fields` lines, with fields separated by `; `.
fn table(packages: &str) -> String {
    let end = format!("Architecture: all\nFilename: x\nSize: 1\nSHA256: {}\n\n", "0".repeat(64));
    let stanza = |line: &str| {
        let mut words = line.trim().splitn(3, ' ');
        let (name, version) = (words.next().unwrap(), words.next().unwrap());
        let fields = words.next().map(|fields| fields.replace("; ", "\n") + "\n").unwrap_or_default();
        format!("Package: {name}\nVersion: {version}\n{fields}{end}")
    };
    table::make(&packages.lines().map(stanza).collect::<String>(), "arm64").unwrap()
}

fn records(table: &str) -> Vec<Record<'_>> {
    table::records(table).map(Result::unwrap).collect()
}

/// An image: its locked packages (a `*` marks manually installed ones), and the index's packages.
struct Case {
    locked: String,
    manual: Vec<String>,
    index: String,
}

impl Case {
    fn new(locked: &str, index: &str) -> Self {
        let lines = || locked.lines().map(str::trim);
        let name = |line: &str| line.split(' ').next().unwrap().to_owned();
        Self {
            manual: lines().filter_map(|line| line.strip_prefix('*')).map(name).collect(),
            locked: table(&lines().map(|line| line.trim_start_matches('*')).collect::<Vec<_>>().join("\n")),
            index: table(index),
        }
    }

    fn renew_as(&self, names: &[&str], requests: &[&str], suite: usize) -> Result<Vec<String>, ResolveError> {
        let (renewed, kept): (Vec<_>, Vec<_>) =
            records(&self.locked).into_iter().partition(|record| names.contains(&record.name));
        let locked = Locked {
            kept: kept.clone(),
            renewed: renewed.iter().map(|r| r.name).collect(),
            manual: self.manual.iter().map(String::as_str).collect(),
        };
        let requests: Vec<String> = requests.iter().map(|r| (*r).to_owned()).collect();
        let index = records(&self.index).into_iter().map(|record| (suite, record));
        let renewal = renew(index, &["trixie", "trixie-backports"], &[1], "arm64", &requests, &locked)?;
        let mut shown: Vec<String> = renewal
            .packages
            .iter()
            .map(|c| {
                format!("{} {}{}", c.candidate.record.name, c.candidate.record.version, if c.auto { "" } else { "*" })
            })
            .collect();
        // Packages that stayed have exactly their locked record.
        for record in kept {
            let now = renewal.packages.iter().map(|c| c.candidate.record).find(|r| r.name == record.name);
            if let Some(now) = now.filter(|now| now.version == record.version) {
                assert_eq!(now, record);
                assert!(!renewal.why.contains_key(record.name));
            }
        }
        shown.extend(renewal.why.iter().map(|(name, why)| format!("{name}: {why}")));
        Ok(shown)
    }

    /// `name version` of each package, with a `*` after manually installed ones, then the reasons.
    fn renew(&self, names: &[&str]) -> Vec<String> {
        self.renew_as(names, &self.manual(), 0).unwrap()
    }

    fn error(&self, names: &[&str]) -> String {
        self.renew_as(names, &self.manual(), 0).unwrap_err().to_string()
    }

    fn manual(&self) -> Vec<&str> {
        self.manual.iter().map(String::as_str).collect()
    }
}

#[test]
fn only_what_is_named_changes() {
    let case =
        Case::new("*a 1 Depends: lib\n*b 1 Depends: lib (>= 1)\nlib 1", "a 2 Depends: lib\nb 2 Depends: lib\nlib 2");
    assert_eq!(case.renew(&["a"]), ["a 2*", "b 1*", "lib 1"]);
    assert_eq!(case.renew(&["lib"]), ["a 1*", "b 1*", "lib 2"]);
    assert_eq!(case.renew(&["a", "b", "lib"]), ["a 2*", "b 2*", "lib 2"]);
    // The mirror may also have an older version.
    assert_eq!(Case::new("*a 2", "a 1").renew(&["a"]), ["a 1*"]);
}

#[test]
fn nothing_changes_where_the_index_has_nothing_else() {
    let locked = "*a 1 Depends: x | y\n*b 1 Depends: y\nx 1\ny 1\n*z 1 Depends: mta\nm 1 Provides: mta";
    let index = "a 1 Depends: x | y\nb 1 Depends: y\nx 2\ny 2\nz 1 Depends: mta\nm 1 Provides: mta\n\
                 l 1 Provides: mta; Priority: required\nnew 1 Priority: required; Essential: yes";
    let same = ["a 1*", "b 1*", "m 1", "x 1", "y 1", "z 1*"];
    assert_eq!(Case::new(locked, index).renew(&["a"]), same);
    assert_eq!(Case::new(locked, index).renew(&["a", "m", "z"]), same);
}

#[test]
fn a_package_that_stays_is_not_given_up_for_an_alternative() {
    // The index now names another alternative first; renewing a package is no reason to drop the old one.
    let case = Case::new(
        "*a 1 Depends: x | y\n*b 1 Depends: y\nx 1\ny 1",
        "a 2 Depends: w | y | x\nb 1 Depends: y\nw 2\nx 2\ny 1",
    );
    assert_eq!(case.renew(&["x"]), ["a 1*", "b 1*", "x 2", "y 1"]);
    assert_eq!(case.renew(&["a"]), ["a 2*", "b 1*", "y 1", "x: nothing needs it any more"]);
}

#[test]
fn what_it_needs_newer_comes_along() {
    let index = "a 2 Depends: lib (>= 2), new\nb 2 Depends: lib\nlib 2 Depends: data (= 2)\ndata 2\nnew 2\nc 2";
    let case =
        Case::new("*a 1 Depends: lib, old\n*b 1 Depends: lib\n*c 1\nlib 1 Depends: data (= 1)\ndata 1\nold 1", index);
    assert_eq!(
        case.renew(&["a"]),
        [
            "a 2*",
            "b 1*",
            "c 1*",
            "data 2",
            "lib 2",
            "new 2",
            "data: lib 2 depends on data (= 2)",
            "lib: a 2 depends on lib (>= 2)",
            "new: a 2 depends on new",
            "old: nothing needs it any more",
        ]
    );
    // The dependencies of packages outside the lock count as well.
    let case = Case::new(
        "*a 1\nlib 1\n*b 1 Depends: lib",
        "a 2 Depends: new\nnew 1 Depends: lib (>> 1)\nlib 2\nb 2 Depends: lib (>= 2)",
    );
    assert_eq!(
        case.renew(&["a"]),
        ["a 2*", "b 1*", "lib 2", "new 1", "lib: new 1 depends on lib (>> 1)", "new: a 2 depends on new"]
    );
}

#[test]
fn reasons_do_not_go_round_in_circles() {
    // The new version conflicts with the old library, but it is only there because of the library.
    let index = "a 2 Depends: lib (>= 2)\nlib 2 Depends: lib-extra\nlib-extra 2 Depends: lib; Breaks: lib (<< 2)";
    assert_eq!(
        Case::new("*a 1 Depends: lib\nlib 1", index).renew(&["a"]),
        ["a 2*", "lib 2", "lib-extra 2", "lib: a 2 depends on lib (>= 2)", "lib-extra: lib 2 depends on lib-extra"]
    );
}

#[test]
fn what_needs_it_exactly_as_it_was_comes_along() {
    // Three binary packages of one source, of which one only conflicts with the others' versions.
    let source = |v: u8| {
        format!(
            "libs 1.{v}\n*server 1.{v} Depends: client (= 1.{v}), libs\nclient 1.{v} Depends: libs\ntools 1.{v} Breaks: client (>> 1.{v})\n*other {v} Depends: libs, tools, client"
        )
    };
    let case = Case::new(&source(1), &source(2).replace('*', ""));
    assert_eq!(
        case.renew(&["client"]),
        [
            "client 1.2",
            "libs 1.1",
            "other 1*",
            "server 1.2*",
            "tools 1.2",
            "server: server 1.1 depends on client (= 1.1)",
            "tools: tools 1.1 breaks client (>> 1.1)",
        ]
    );
    assert_eq!(case.renew(&["libs"]), ["client 1.1", "libs 1.2", "other 1*", "server 1.1*", "tools 1.1"]);
}

#[test]
fn as_little_as_possible_comes_along() {
    // All of `x*` depend on each other like binary packages of one source; none of them is in the way.
    let source = |v: u8| (0..20).map(|i| format!("x{i} {v} Depends: x{} (= {v})\n", (i + 1) % 20)).collect::<String>();
    let locked = source(1) + "*a 1\n*r 1 Depends: x0\np 1\n*q 1 Depends: p";
    let index = source(2) + "a 2 Breaks: p (<< 2)\nr 2 Depends: x0\np 2\nq 2 Depends: p";
    let renewed = Case::new(&locked, &index).renew(&["a"]);
    assert_eq!(renewed.iter().filter(|line| line.contains(" 2")).count(), 3, "{renewed:?}");
    assert_eq!(renewed.last().unwrap(), "p: a 2 breaks p (<< 2)");
    // When one of them must change, all do, and the reasons lead back to the named package.
    let index = index.replace("Breaks: p (<< 2)", "Depends: x7 (= 2)");
    let renewed = Case::new(&locked, &index).renew(&["a"]);
    let packages: Vec<_> = renewed.iter().filter(|line| !line.contains(": ")).collect();
    assert_eq!(packages.iter().filter(|line| line.ends_with(" 1") || line.ends_with(" 1*")).count(), 3, "{renewed:?}");
    assert_eq!(packages.len(), 24);
    let why = |name: &str| renewed.iter().find_map(|line| line.strip_prefix(name)).unwrap();
    assert_eq!((why("x7: "), why("x8: ")), ("a 2 depends on x7 (= 2)", "x7 2 depends on x8 (= 2)"));
    assert_eq!(why("x6: "), "x6 1 depends on x7 (= 1)");
}

#[test]
fn a_locked_version_that_left_the_index_still_counts() {
    let case = Case::new("*a 1\n*gone 1 Depends: a (<< 2)\n*far 1", "a 1\na 2\nb 1");
    // There is no other version of it, so it is in the way as if the mirror still had it.
    let error = case.error(&["a"]);
    assert!(error.contains("gone depends on a (<< 2), but only a 2 is available"), "{error}");
    let case = Case::new("*a 1\n*gone 1 Depends: a (<< 2)\n*far 1", "a 2\ngone 3\nfar 3");
    assert_eq!(case.renew(&["a"]), ["a 2*", "far 1*", "gone 3*", "gone: gone 1 depends on a (<< 2)"]);
    assert_eq!(case.renew(&["far"]), ["a 1*", "far 3*", "gone 1*"]);
}

#[test]
fn what_the_mirror_has_no_more_cannot_be_renewed() {
    let case = Case::new("*linux 1 Depends: linux-1\nlinux-1 1", "linux 2 Depends: linux-2\nlinux-2 2");
    let gone = case.renew_as(&["linux-1"], &case.manual(), 0).unwrap_err();
    assert_eq!(gone.to_string(), "the mirror no longer has `linux-1`");
    assert_eq!(gone.help().as_deref(), Some("renew what needs it instead (linux)"));
    assert_eq!(
        case.renew(&["linux"]),
        ["linux 2*", "linux-2 2", "linux-1: nothing needs it any more", "linux-2: linux 2 depends on linux-2"]
    );
    let error = case.renew_as(&["linux"], &["linux/trixie-backports"], 0).unwrap_err();
    assert_eq!(error.to_string(), "the mirror no longer has `linux/trixie-backports`");
    assert_eq!(error.help(), None);
}

#[test]
fn requests_are_met_as_they_were() {
    let case = Case::new("*a 1\nm 1 Provides: mta", "a 2\nm 2 Provides: mta\nl 1 Provides: mta");
    // A virtual package keeps its provider.
    assert_eq!(case.renew_as(&["a"], &["a", "mta"], 0).unwrap(), ["a 2*", "m 1*"]);
    // Only requested packages come from a suite that has to be asked for.
    let case = Case::new("*a 1", "a 2");
    assert_eq!(case.renew_as(&["a"], &["a/trixie-backports"], 1).unwrap(), ["a 2*"]);
    let error = case.renew_as(&["a"], &["a/sid"], 0).unwrap_err();
    assert!(matches!(error, ResolveError::Request(_)));
}

#[test]
fn what_cannot_be_at_all_is_explained() {
    let case = Case::new("*a 1\n*b 1", "a 2 Depends: lib (>= 2)\nlib 1\nb 2");
    assert!(
        case.error(&["a"]).contains("a depends on lib (>= 2), but only lib 1 is available"),
        "{}",
        case.error(&["a"])
    );
}
