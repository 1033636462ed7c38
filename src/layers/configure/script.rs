//! The shape of a maintainer script: sections that debhelper put in, and the hand-written rest.

use crate::hash::Sha256;
use crate::layers::packages::Package;

use super::{Action, snippet};

/// Stands in the rest for one or more known sections at this place.
const SECTIONS: &str = "#[sections]";

/// A maintainer script taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// What its known sections do, in their order.
    pub sections: Vec<Action>,
    /// The rest, normal: without the interpreter line, blank lines, trailing blanks, versions of debhelper, and with
    /// `@multiarch@` and `@abi@` for what differs between architectures and kernel versions.
    pub rest: String,
    /// The rest with its blank lines and names as they stand.
    pub text: String,
}

impl Script {
    /// Takes a script apart; none when it is not for a POSIX shell.
    pub fn parse(text: &str, package: &Package) -> Option<Self> {
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
                None => kept.push_str(&format!("# {helper}\n{section}")),
            }
            rest = after;
        }
        kept.push_str(rest);
        Some(Self { sections, rest: normal(&kept, package), text: kept })
    }

    /// True when the rest does nothing: comments, `set -e` and `exit 0`.
    pub fn is_plain(&self) -> bool {
        self.rest.lines().all(|line| line.starts_with('#') || matches!(line, "set -e" | "set -eu" | "exit 0"))
    }

    /// What names the rest in the table of known scripts.
    pub fn hash(&self) -> String {
        Sha256::of(self.rest.as_bytes()).to_string()
    }
}

/// What stands before the next section, its debhelper program, its body, and what follows it.
fn next_section(text: &str) -> Option<(&str, &str, &str, &str)> {
    const BEGIN: &str = "# Automatically added by ";
    const END: &str = "# End automatically added section\n";
    let begin = text.find(BEGIN).filter(|&at| at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n'))?;
    let (header, after) = text[begin + BEGIN.len()..].split_once('\n')?;
    let (body, after) = after.split_once(END)?;
    // The version of debhelper changes with every rebuild; the text of the section is what counts.
    Some((&text[..begin], header.split('/').next()?, body, after))
}

fn normal(text: &str, package: &Package) -> String {
    let abi = kernel_abi(&package.name);
    let mut lines = String::new();
    let mut last = "";
    for line in text.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
        if !(line == SECTIONS && last == SECTIONS) {
            lines.push_str(line);
            lines.push('\n');
        }
        last = line;
    }
    // A script of one architecture may name another, so all are replaced.
    for triple in ["aarch64-linux-gnu", "x86_64-linux-gnu"] {
        lines = lines.replace(triple, "@multiarch@");
    }
    if let Some(abi) = abi {
        lines = lines.replace(abi, "@abi@");
    }
    lines
}

/// The kernel that a package `linux-image-ABI` holds; none for a package that only depends on the newest one.
pub fn kernel_abi(package: &str) -> Option<&str> {
    package.strip_prefix("linux-image-").filter(|abi| abi.starts_with(|c: char| c.is_ascii_digit()))
}
