//! `Release` files: a suite's index files at some time (Debian wiki, DebianRepository/Format).

use std::collections::BTreeMap;

use jiff::fmt::rfc2822::DateTimeParser;

use crate::deb822::{Deb822Error, Stanza};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::hash::Sha256;

/// How far the archive's clock may be ahead of ours, in seconds.
pub(super) const CLOCK_SLACK: i64 = 3600;

/// What helps when an archive is wrong in itself.
pub(super) const ANOTHER_MIRROR: &str = "try again later, or choose another mirror with --mirror";

/// The fields of a `Release` file that are used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Such as `stable-updates`; may be missing.
    pub suite: Option<String>,
    /// Such as `trixie-updates`; may be missing.
    pub codename: Option<String>,
    /// When it was made, seconds since 1970.
    pub date: i64,
    /// When it expires, seconds since 1970.
    pub valid_until: Option<i64>,
    /// Whether index files are also available by hash.
    pub by_hash: bool,
    /// `NotAutomatic`: its packages are used only on request, like backports (`apt_preferences(5)`).
    pub not_automatic: bool,
    /// The index files by their path below the suite's folder.
    pub files: BTreeMap<String, IndexFile>,
}

/// One index file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFile {
    /// Size in bytes.
    pub size: u64,
    /// Digest of its content.
    pub sha256: Sha256,
}

/// A `Release` file that cannot be parsed or must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Not a control file.
    #[error("it is not a control file")]
    Syntax(#[from] Deb822Error),
    /// A field is missing.
    #[error("it has no `{0}` field")]
    Missing(&'static str),
    /// A field has a value that cannot be read.
    #[error("its field `{field}` has `{value}`, which is not {want}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// The value or its line, truncated.
        value: String,
        /// What it should be.
        want: &'static str,
    },
    /// It belongs to another suite.
    #[error("it is of suite `{suite}` (code name `{codename}`), not of `{wanted}`")]
    OtherSuite {
        /// Its suite.
        suite: String,
        /// Its code name.
        codename: String,
        /// The requested suite.
        wanted: String,
    },
    /// It has expired.
    #[error("it expired on {until}, and now it is {now}")]
    Expired {
        /// Its `Valid-Until`.
        until: String,
        /// The current time.
        now: String,
    },
    /// It is from the future.
    #[error("it was made on {date}, but now it is only {now}")]
    Future {
        /// Its `Date`.
        date: String,
        /// The current time.
        now: String,
    },
    /// It is older than one seen before.
    #[error(
        "it is of {date}, older than the one of {seen} seen before from the same mirror: the mirror went back, or somebody replays an old state"
    )]
    Older {
        /// Its `Date`.
        date: String,
        /// The `Date` seen before.
        seen: String,
        /// File that remembers it.
        memory: String,
    },
}

impl Fault for ReleaseError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Syntax(source) => source.kind(),
            Self::Missing(_)
            | Self::Field { .. }
            | Self::OtherSuite { .. }
            | Self::Expired { .. }
            | Self::Future { .. }
            | Self::Older { .. } => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Syntax(_) | Self::Missing(_) | Self::Field { .. } => Some(ANOTHER_MIRROR.to_owned()),
            Self::OtherSuite { .. } => Some("check the suite's name and the mirror's address".to_owned()),
            Self::Expired { .. } => Some(
                "choose another mirror with --mirror, if this one is no longer updated; or set this computer's clock"
                    .to_owned(),
            ),
            Self::Future { .. } => Some("set this computer's clock: it is behind".to_owned()),
            Self::Older { memory, .. } => Some(format!(
                "try again later, choose another mirror with --mirror, or delete {memory} if the mirror was set back on purpose"
            )),
        }
    }
}

impl Release {
    /// Parses the text of a `Release` file. A pure function; the signature is checked elsewhere.
    ///
    /// # Errors
    /// A syntax error, a missing or a bad field.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let stanza = Stanza::parse(text)?;
        let owned = |name| stanza.get(name).map(str::to_owned);
        let time = |field| stanza.get(field).map(|value| date(field, value)).transpose();
        let mut files = BTreeMap::new();
        for line in stanza.get("SHA256").ok_or(ReleaseError::Missing("SHA256"))?.lines() {
            if line.trim().is_empty() {
                continue;
            }
            let (path, file) = index_file(line).ok_or_else(|| ReleaseError::Field {
                field: "SHA256",
                value: short(line),
                want: "a digest, a size and a path",
            })?;
            files.insert(path.to_owned(), file);
        }
        Ok(Self {
            suite: owned("Suite"),
            codename: owned("Codename"),
            date: time("Date")?.ok_or(ReleaseError::Missing("Date"))?,
            valid_until: time("Valid-Until")?,
            by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
            not_automatic: stanza.get("NotAutomatic") == Some("yes"),
            files,
        })
    }

    /// Checks that it belongs to the suite `wanted` and is valid at `now`, seconds since 1970.
    ///
    /// # Errors
    /// [`ReleaseError::OtherSuite`], [`ReleaseError::Expired`] or [`ReleaseError::Future`].
    pub fn check(&self, wanted: &str, now: i64) -> Result<(), ReleaseError> {
        if self.suite.as_deref() != Some(wanted) && self.codename.as_deref() != Some(wanted) {
            let name = |n: &Option<String>| n.as_deref().map_or_else(|| "none".to_owned(), short);
            return Err(ReleaseError::OtherSuite {
                suite: name(&self.suite),
                codename: name(&self.codename),
                wanted: wanted.to_owned(),
            });
        }
        if let Some(until) = self.valid_until.filter(|until| *until < now) {
            return Err(ReleaseError::Expired { until: shown(until), now: shown(now) });
        }
        if self.date > now.saturating_add(CLOCK_SLACK) {
            return Err(ReleaseError::Future { date: shown(self.date), now: shown(now) });
        }
        Ok(())
    }
}

impl ReleaseError {
    /// The release of `date` is older than the one of `seen`, which the file `memory` remembers.
    pub(super) fn older(date: i64, seen: i64, memory: &std::path::Path) -> Self {
        Self::Older { date: shown(date), seen: shown(seen), memory: memory.display().to_string() }
    }
}

/// A time in human-readable form, `2026-09-12 07:55:41 UTC`.
fn shown(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| format!("{seconds} s since 1970"), |t| t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// `Sat, 12 Sep 2026 07:55:41 UTC`: RFC 2822, but with `UTC`, which RFC 2822 does not have.
fn date(field: &'static str, value: &str) -> Result<i64, ReleaseError> {
    let numeric = value.strip_suffix("UTC").or_else(|| value.strip_suffix('Z')).map(|v| format!("{v}+0000"));
    DateTimeParser::new().parse_timestamp(numeric.as_deref().unwrap_or(value)).map(jiff::Timestamp::as_second).map_err(
        |_| ReleaseError::Field { field, value: short(value), want: "a date such as `Sat, 12 Sep 2026 07:55:41 UTC`" },
    )
}

fn index_file(line: &str) -> Option<(&str, IndexFile)> {
    let mut words = line.split_whitespace();
    let sha256 = words.next()?.parse().ok()?;
    let size = words.next()?.parse().ok()?;
    let path = words.next()?;
    // The path becomes part of a URL: it must stay below the suite's folder.
    let inside = !path.starts_with('/') && path.split('/').all(|p| !matches!(p, "" | "." | ".."));
    (inside && words.next().is_none()).then_some((path, IndexFile { size, sha256 }))
}

/// A text truncated for a message.
fn short(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|c| !c.is_control()).take(160).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: stable-updates\nCodename: trixie-updates\nDate: Sat, 21 Nov 2026 02:10:46 UTC\n\
        Valid-Until: Sat, 28 Nov 2026 02:10:46 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n aaaa 3 main/x\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-arm64/Packages\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855       32 main/binary-arm64/Packages.xz\n";
    const DATE: i64 = 1_795_227_046;

    #[test]
    fn a_release() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!((release.date, release.valid_until, release.by_hash), (DATE, Some(DATE + 7 * 86400), true));
        assert_eq!(release.files.len(), 2);
        assert_eq!(release.files["main/binary-arm64/Packages.xz"].size, 32);
        for name in ["stable-updates", "trixie-updates"] {
            release.check(name, DATE).unwrap();
        }
        assert_eq!(shown(DATE), "2026-11-21 02:10:46 UTC");
    }

    #[test]
    fn times_and_suites_that_do_not_fit() {
        let release = Release::parse(TEXT).unwrap();
        let refused = |suite, now| release.check(suite, now).unwrap_err();
        let check = |suite, now| refused(suite, now).to_string();
        assert!(check("trixie", DATE).contains("`stable-updates`"));
        assert!(check("trixie-updates", DATE + 7 * 86400 + 1).contains("expired on 2026-11-28 02:10:46 UTC"));
        assert!(check("trixie-updates", DATE - 3601).contains("made on 2026-11-21 02:10:46 UTC"));
        assert!(refused("trixie-updates", DATE - 3601).help().unwrap().contains("clock"));
        assert!(refused("trixie-updates", DATE + 7 * 86400 + 1).help().unwrap().contains("--mirror"));
        release.check("trixie-updates", DATE - 3600).unwrap();
        release.check("trixie-updates", DATE + 7 * 86400).unwrap();
    }

    #[test]
    fn bad_fields() {
        let bad = |from: &str, to: &str| Release::parse(&TEXT.replace(from, to)).unwrap_err().to_string();
        assert!(bad("Date: Sat, 21 Nov 2026 02:10:46 UTC\nV", "V").contains("`Date`"));
        assert!(bad("SHA256:", "Sha512:").contains("`SHA256`"));
        assert!(bad("Valid-Until: Sat", "Valid-Until: Xyz").contains("Xyz, 28 Nov"));
        assert!(bad(" 32 main", " main").contains("a digest, a size"));
        assert!(bad("32 main/binary", "32 ../main/binary").contains("../main"));
        assert!(bad("32 main/binary", "32 /main/binary").contains("a digest"));
        assert!(bad("32 main", "-32 main").contains("a digest"));
        assert!(bad("e3b0", "e3bx").contains("a digest"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "((SHA256|Date|Suite|Valid-Until|Acquire-By-Hash):|[ \ta-f0-9:/.,é\n])*") {
            let _ = Release::parse(&text);
        }

        #[test]
        fn a_changed_byte_is_an_error_or_another_release(at in 0..TEXT.len(), byte in 32u8..127) {
            let mut bytes = TEXT.as_bytes().to_vec();
            bytes[at] = byte;
            if let Ok(release) = Release::parse(std::str::from_utf8(&bytes).unwrap()) {
                prop_assert!(release.files.len() <= 2);
            }
        }
    }
}
