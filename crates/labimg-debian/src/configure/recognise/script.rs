//! The structure of a maintainer script: sections added by debhelper, and the hand-written rest.

use crate::packages::Package;
use labimg_tree::hash::Sha256;

use super::{Action, snippet};

/// Stands in the rest for one or more known sections at this position.
const SECTIONS: &str = "#[sections]";

/// A parsed maintainer script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// What its known sections do, in order.
    pub sections: Vec<Action>,
    /// The rest, normalised: without interpreter line, blank lines, trailing blanks and debhelper versions, and with
    /// `@multiarch@` and `@abi@` for what differs between architectures and kernel versions.
    pub rest: String,
    /// The rest with its original blank lines and names.
    pub text: String,
}

impl Script {
    /// Parses a script; `None` when it is not for a POSIX shell.
    pub(crate) fn parse(text: &str, package: &Package) -> Option<Self> {
        let (first, body) = text.split_once('\n').unwrap_or((text, ""));
        let interpreter = first.strip_prefix("#!")?.split_whitespace().next()?;
        if !matches!(interpreter, "/bin/sh" | "/bin/bash" | "/bin/dash" | "/usr/bin/sh" | "/usr/bin/bash") {
            return None;
        }
        let mut sections = Vec::new();
        let mut kept = String::new();
        let mut rest = body;
        while let Some((before, helper, section, after)) = next_section(rest) {
            kept.push_str(before);
            match snippet::actions(helper, section) {
                Some(actions) => {
                    sections.extend(actions);
                    kept.push_str(SECTIONS);
                    kept.push('\n');
                }
                None => kept.extend(["# ", helper, "\n", section]),
            }
            rest = after;
        }
        kept.push_str(rest);
        Some(Self { sections, rest: normal(&kept, package), text: kept })
    }

    /// True when the rest does nothing: comments, `set -e`, and `exit 0` at the end.
    pub(crate) fn is_plain(&self) -> bool {
        let mut ended = false;
        self.rest.lines().all(|line| {
            let section = line == SECTIONS;
            let plain = line.starts_with('#') || matches!(line, "set -e" | "set -eu" | "exit 0");
            // Code after `exit 0` never runs.
            let reached = !(ended && section);
            ended |= line == "exit 0";
            plain && reached
        })
    }

    /// The rest's hash in the table of known scripts.
    pub(crate) fn hash(&self) -> String {
        Sha256::of(self.rest.as_bytes()).to_string()
    }
}

/// The text before the next section, the section's debhelper program and body, and the text after it.
fn next_section(text: &str) -> Option<(&str, &str, &str, &str)> {
    const BEGIN: &str = "# Automatically added by ";
    const END: &str = "# End automatically added section\n";
    let begin = text.find(BEGIN).filter(|&at| at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))?;
    let (header, after) = text[begin + BEGIN.len()..].split_once('\n')?;
    let (body, after) = after.split_once(END)?;
    // The version of debhelper changes with every rebuild; only the section's text counts.
    Some((&text[..begin], header.split('/').next()?, body, after))
}

fn normal(text: &str, package: &Package) -> String {
    let abi = kernel_abi(&package.name);
    let mut lines = String::new();
    let mut last = "";
    for line in text.lines().map(str::trim_end).filter(|l| !l.is_empty() && !is_list(l, &package.name)) {
        if !(line == SECTIONS && last == SECTIONS) {
            lines.push_str(line);
            lines.push('\n');
        }
        last = line;
    }
    // A script for one architecture may name another, so all are replaced.
    for triple in ["aarch64-linux-gnu", "x86_64-linux-gnu"] {
        lines = lines.replace(triple, "@multiarch@");
    }
    if let Some(abi) = abi {
        lines = lines.replace(abi, "@abi@");
    }
    lines
}

/// A line that only lists data, which changes in most versions of the package: certificates, renamed time zones.
fn is_list(line: &str, package: &str) -> bool {
    let plain =
        |text: &str| text.bytes().all(|b| b >= 0x80 || b.is_ascii_alphanumeric() || b"/_+-=.,:|() \\\"".contains(&b));
    let line = line.trim_start();
    match package {
        "ca-certificates" => line.strip_prefix("CERTS_LIST=\"").is_some_and(plain),
        // `"Old/Name" | "Other/Name")`, `echo "New/Name"`, `;;`.
        "tzdata" => line == ";;" || (line.strip_prefix("echo ").unwrap_or(line).starts_with('"') && plain(line)),
        _ => false,
    }
}

/// The kernel version of a package `linux-image-ABI` or `linux-modules-ABI`; `None` for one that only depends on the
/// newest kernel.
pub(crate) fn kernel_abi(package: &str) -> Option<&str> {
    KERNEL_PACKAGES
        .iter()
        .find_map(|prefix| package.strip_prefix(prefix))
        .filter(|abi| abi.starts_with(|c: char| c.is_ascii_digit()))
}

/// How the names of a kernel's packages begin.
pub(crate) const KERNEL_PACKAGES: [&str; 2] = ["linux-image-", "linux-modules-"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::{State, Triggers};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn package(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: String::new(),
            architecture: "arm64".to_owned(),
            control: String::new(),
            scripts: BTreeMap::new(),
            info: BTreeMap::new(),
            triggers: Triggers::default(),
            conffiles: Vec::new(),
            auto: false,
            files: Vec::new(),
            state: State::Unpacked,
        }
    }

    const SECTION: &str = "# Automatically added by dh_installdeb/13.1\n\
        dpkg-maintscript-helper rm_conffile /etc/a -- \"$@\"\n\
        # End automatically added section\n";

    #[test]
    fn versions_blanks_architectures_and_kernels_do_not_count() {
        let one =
            format!("#!/bin/sh\nset -e\ncp /usr/lib/aarch64-linux-gnu/x /boot/6.1-arm64/y  \n\n{SECTION}{SECTION}");
        let two = one
            .replace("aarch64", "x86_64")
            .replace("6.1-arm64", "6.2-amd64")
            .replace("13.1", "13.2")
            .replacen(SECTION, "", 1);
        let one = Script::parse(&one, &package("linux-image-6.1-arm64")).unwrap();
        let two = Script::parse(&two, &package("linux-image-6.2-amd64")).unwrap();
        assert_eq!(one.rest, "set -e\ncp /usr/lib/@multiarch@/x /boot/@abi@/y\n#[sections]\n");
        assert_eq!(one.hash(), two.hash());
        assert!(!one.is_plain());
    }

    #[test]
    fn a_section_that_is_not_known_stays_in_the_rest() {
        let text = format!("#!/bin/sh\nset -e\n{}exit 0\n", SECTION.replace("rm_conffile", "purge"));
        let script = Script::parse(&text, &package("a")).unwrap();
        assert!(script.rest.contains("purge") && !script.is_plain());
        let text = format!("#!/bin/sh\nset -e\n{SECTION}exit 0\n");
        assert!(Script::parse(&text, &package("a")).unwrap().is_plain());
        let text = format!("#!/bin/sh\nexit 0\n{SECTION}");
        assert!(!Script::parse(&text, &package("a")).unwrap().is_plain());
    }

    #[test]
    fn lists_of_certificates_and_zones_do_not_count() {
        let zones = "#!/bin/sh\ncase $1 in\n\t\"US/East\" | \"A/B\")\n\t\techo \"C/D\"\n\t\t;;\nesac\n";
        assert_eq!(Script::parse(zones, &package("tzdata")).unwrap().rest, "case $1 in\nesac\n");
        let run = zones.replace("C/D", "$(x)");
        assert!(Script::parse(&run, &package("tzdata")).unwrap().rest.contains("$(x)"));
        assert!(Script::parse(zones, &package("other")).unwrap().rest.contains("C/D"));
        let certificates = "#!/bin/sh\nCERTS_LIST=\"mozilla/ő=1.crt, mozilla/b.crt\"\nCERTS_NEW=\"\"\n";
        assert_eq!(Script::parse(certificates, &package("ca-certificates")).unwrap().rest, "CERTS_NEW=\"\"\n");
    }

    proptest! {
        #[test]
        fn any_text_is_taken_apart(text in "(#!/bin/sh\n)?(# Automatically added by dh_x/1\n|# End automatically added section\n|a\n){0,6}") {
            let _ = Script::parse(&text, &package("a"));
        }
    }
}
