//! The sources of the host's apt, in both formats of sources.list(5): one source per line, and deb822 stanzas.

use std::io;
use std::path::{Path, PathBuf};

use super::{MirrorError, checked};
use crate::deb822::{Deb822Error, Stanzas};
use labimg_store::http::shown;

/// Debian's suites and the code names of current and future releases.
const SUITES: &[&str] = &[
    "stable",
    "oldstable",
    "oldoldstable",
    "testing",
    "unstable",
    "sid",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
];

/// One URL of one enabled binary source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) url: String,
    suites: Vec<String>,
    /// The file as seen on the host.
    pub(super) file: PathBuf,
}

impl Source {
    pub(super) fn is_archive(&self) -> bool {
        self.url.ends_with("/debian") && self.suites.iter().any(|s| is_debian(s))
    }

    pub(super) fn is_security(&self) -> bool {
        self.url.ends_with("/debian-security") && self.suites.iter().any(|s| is_debian(s))
    }
}

fn is_debian(suite: &str) -> bool {
    // bullseye was the first release with `-security`; `buster/updates` is the older form.
    let base = suite.split(['-', '/']).next().unwrap_or(suite);
    SUITES.contains(&base)
}

/// The sources of the host's apt.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Those by http and https, in apt's order.
    pub(super) usable: Vec<Source>,
    /// Debian's by other ways, in words.
    pub(super) passed_over: Vec<String>,
}

impl Sources {
    /// Reads `sources.list` first, then the folder by name. Lists that this user may not read are skipped: they belong to
    /// private archives and contain a password.
    pub(super) fn of_host(root: &Path) -> Result<Self, MirrorError> {
        let apt = root.join("etc/apt");
        let folder = apt.join("sources.list.d");
        let error = |path: &Path| {
            let path = path.to_owned();
            move |source| MirrorError::Read { path, source }
        };
        let mut files = vec![apt.join("sources.list")];
        let mut names = match std::fs::read_dir(&folder) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Vec::new(),
            entries => entries
                .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>())
                .map_err(error(&folder))?,
        };
        names.sort();
        files.append(&mut names);
        let mut sources = Self::default();
        for path in files {
            let deb822 = match path.extension().and_then(|e| e.to_str()) {
                Some("list") => false,
                Some("sources") => true,
                _ => continue,
            };
            let text = match std::fs::read(&path) {
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => continue,
                text => text.map_err(error(&path))?,
            };
            let text = String::from_utf8_lossy(&text);
            // The path as seen on the host.
            let file = path.strip_prefix(root).map_or_else(|_| path.clone(), |p| Path::new("/").join(p));
            let found = if deb822 {
                stanzas(&text).map_err(|source| MirrorError::Syntax { path: file.clone(), source })?
            } else {
                lines(&text)
            };
            for (url, suites) in found {
                sources.add(&url, suites, &file, root)?;
            }
        }
        Ok(sources)
    }

    fn add(&mut self, url: &str, suites: Vec<String>, file: &Path, root: &Path) -> Result<(), MirrorError> {
        let of_list = match url.strip_prefix("mirror+file:") {
            Some(list) if suites.iter().any(|s| is_debian(s)) => first_of(list, root)?,
            _ => None,
        };
        if let Ok(url) = checked(of_list.as_deref().unwrap_or(url)) {
            self.usable.push(Source { url, suites, file: file.to_owned() });
        } else if suites.iter().any(|s| is_debian(s)) {
            self.passed_over.push(format!("{} ({})", shown(url), file.display()));
        }
        Ok(())
    }
}

/// The mirror to use of a list of them (apt-transport-mirror(1)): of those by http and https that are said to have
/// everything, the first of the lowest `priority`, which counts before none.
fn first_of(list: &str, root: &Path) -> Result<Option<String>, MirrorError> {
    let path = Path::new("/").join(list.trim_start_matches('/'));
    let text =
        std::fs::read(root.join(list.trim_start_matches('/'))).map_err(|source| MirrorError::Read { path, source })?;
    let text = String::from_utf8_lossy(&text);
    let mirrors = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split_whitespace();
        let url = checked(words.next()?).ok()?;
        let mut priority = u32::MAX;
        for option in words {
            priority = option.strip_prefix("priority:")?.parse().ok()?;
        }
        Some((priority, url))
    });
    Ok(mirrors.min_by_key(|(priority, _)| *priority).map(|(_, url)| url))
}

/// URL and suites of each `deb [options] URL suite component…` line.
fn lines(text: &str) -> Vec<(String, Vec<String>)> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or("").trim();
            let mut rest = line.strip_prefix("deb").filter(|r| r.starts_with([' ', '\t', '[']))?.trim_start();
            if let Some(options) = rest.strip_prefix('[') {
                rest = options.split_once(']')?.1;
            }
            let rest = rest.trim_start();
            // The name of a disc is in brackets and has blanks.
            let name = if rest.starts_with("cdrom:[") { rest.find(']')? } else { 0 };
            let (url, rest) = rest.split_at(name + rest.get(name..)?.find(char::is_whitespace)?);
            Some((url.to_owned(), vec![rest.split_whitespace().next()?.to_owned()]))
        })
        .collect()
}

/// URLs and suites of each enabled `Types: deb` stanza.
fn stanzas(text: &str) -> Result<Vec<(String, Vec<String>)>, Deb822Error> {
    let mut found = Vec::new();
    for stanza in Stanzas::new(text) {
        let stanza = stanza?;
        let words = |field| stanza.get(field).unwrap_or("").split_whitespace();
        // apt reads these words, in upper or lower case, as "no".
        let off = stanza.get("Enabled").is_some_and(|v| {
            ["no", "false", "without", "off", "disable", "0"].iter().any(|n| v.eq_ignore_ascii_case(n))
        });
        if off || !words("Types").any(|t| t == "deb") {
            continue;
        }
        let suites: Vec<String> = words("Suites").map(str::to_owned).collect();
        found.extend(words("URIs").map(|url| (url.to_owned(), suites.clone())));
    }
    Ok(found)
}
