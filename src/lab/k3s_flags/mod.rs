//! The options of `k3s server` and `k3s agent`: everything that `k3s.server_config` and `k3s.agent_config` can contain.
//!
//! k3s ignores options in its configuration that it does not know, or that belong to the other command, and only logs
//! a line (`pkg/configfilearg` in its source). Without this table a typo would have no effect, and nobody would notice.

mod table;

use super::k3s_release::K3sRelease;
use crate::parts::role::K3sKind;

/// The minor versions (v1.34 to v1.37) that the table is valid for.
const LINES: std::ops::RangeInclusive<u16> = 34..=37;

/// The packaged components that `disable` takes (`pkg/cli/cmds/stage.go`).
pub(super) const PACKAGED: [&str; 6] =
    ["coredns", "local-storage", "metrics-server", "runtimes", "servicelb", "traefik"];

/// An option. Settings have the same name without the dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag {
    /// Its long name.
    pub(super) name: &'static str,
    /// Its name of one letter.
    short: Option<&'static str>,
    side: Side,
    pub(super) shape: Shape,
    /// `--help` does not list it.
    hidden: bool,
    /// The first release (minor, patch) with it for each minor version; empty if all have it.
    since: &'static [(u16, u16)],
}

/// Which command takes an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Server,
    Agent,
    Both,
}

/// What an option's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `true` or `false`.
    Switch,
    /// A whole number.
    Number,
    /// A text.
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A duration in Go's format, such as `5m0s`.
    Duration,
    /// An option that may be repeated.
    List,
}

impl Flag {
    /// True if the command that nodes of this kind run takes it.
    pub(super) fn is_for(&self, kind: K3sKind) -> bool {
        match self.side {
            Side::Both => true,
            Side::Server => kind == K3sKind::Server,
            Side::Agent => kind == K3sKind::Agent,
        }
    }

    /// True if this release has it.
    pub(super) fn is_in(&self, release: K3sRelease) -> bool {
        match self.since.iter().find(|(minor, _)| *minor == release.minor) {
            Some((_, patch)) => release.patch >= *patch,
            None => self.since.last().is_none_or(|(newest, _)| release.minor > *newest),
        }
    }

    /// The first releases that have it, as text.
    pub(super) fn since(&self) -> String {
        self.since.iter().map(|(minor, patch)| format!("v1.{minor}.{patch}")).collect::<Vec<_>>().join(", ")
    }
}

/// The option of this name, long or of one letter.
pub(super) fn find(name: &str) -> Option<&'static Flag> {
    table::FLAGS.iter().find(|flag| flag.name == name || flag.short == Some(name))
}

/// True if the table is valid for this release.
pub(super) fn covers(release: K3sRelease) -> bool {
    release.major == 1 && LINES.contains(&release.minor)
}

/// The releases that the table is valid for, as text.
pub(super) fn covered() -> String {
    format!("v1.{} to v1.{}", LINES.start(), LINES.end())
}

/// Long names of the options that nodes of this kind can have, without the hidden ones.
pub(super) fn names(kind: K3sKind, release: K3sRelease) -> impl Iterator<Item = &'static str> {
    let here = move |flag: &&Flag| flag.is_for(kind) && flag.is_in(release) && !flag.hidden;
    table::FLAGS.iter().filter(here).map(|flag| flag.name)
}

#[cfg(test)]
mod tests;
