//! Hosts that could not be reached lately, so that no build waits for each of them again and again.
//!
//! Such a host is asked once and briefly, not several times. So when it is back, the first question finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::HttpError;
use labimg_tree::files;

/// How long a host is remembered.
const KEPT: Duration = Duration::from_secs(300);

/// What is known of hosts; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reach(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Where other runs find it: a line for each host, with the time in seconds since 1970.
    file: Option<PathBuf>,
    /// Host and port → when it could not be reached.
    down: BTreeMap<String, u64>,
    /// Those that answered in this run.
    up: BTreeSet<String>,
}

impl Reach {
    /// Goes by what earlier runs left in `file`, and leaves what this one learns there. Whatever cannot be read or
    /// written is not remembered.
    pub(super) fn remember(&self, file: &Path) {
        let mut known = self.known();
        for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
            if let Some((time, host)) = line.split_once(' ')
                && let Ok(time) = time.parse()
            {
                known.down.insert(host.to_owned(), time);
            }
        }
        known.file = Some(file.to_owned());
    }

    /// Whether the host could not be reached lately.
    pub(super) fn is_down(&self, url: &str) -> bool {
        self.known().down.get(&host(url)).is_some_and(|&time| is_fresh(time, now()))
    }

    /// The host was given up because of `error`.
    pub(super) fn failed(&self, url: &str, error: &HttpError) {
        let no_answer =
            matches!(error, HttpError::NoSuchHost { .. } | HttpError::Unreachable { .. } | HttpError::Timeout { .. });
        let (mut known, host) = (self.known(), host(url));
        if no_answer && !known.up.contains(&host) {
            known.down.insert(host, now());
            known.write();
        }
    }

    /// The host answered.
    pub(super) fn answered(&self, url: &str) {
        let (mut known, host) = (self.known(), host(url));
        if known.down.remove(&host).is_some() {
            known.write();
        }
        known.up.insert(host);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn write(&mut self) {
        let now = now();
        self.down.retain(|_, time| is_fresh(*time, now));
        let Some(file) = &self.file else { return };
        let lines = self.down.iter().fold(String::new(), |mut lines, (host, time)| {
            // Writing to a String does not fail.
            let _ = writeln!(lines, "{time} {host}");
            lines
        });
        // In a cache that may not be written, every run learns it anew.
        let _ = files::write_whole(file, lines.as_bytes(), 0o600, false);
    }
}

/// A time in the future, by a clock that was set back, does not count.
fn is_fresh(time: u64, now: u64) -> bool {
    now.checked_sub(time).is_some_and(|age| age < KEPT.as_secs())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Host and port of an address; empty when it is none.
fn host(url: &str) -> String {
    let Ok(url) = reqwest::Url::parse(url) else { return String::new() };
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable(url: &str) -> HttpError {
        HttpError::Unreachable { url: url.to_owned(), cause: "refused".into() }
    }

    #[test]
    fn a_host_is_remembered_for_some_minutes_and_until_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("unreachable");
        let open = || {
            let reach = Reach::default();
            reach.remember(&file);
            reach
        };
        let (url, other) = ("http://a.example/x", "http://a.example:81/x");
        open().failed(url, &unreachable(url));
        assert!(open().is_down("http://a.example:80/y") && !open().is_down(other));
        open().answered(url);
        assert!(!open().is_down(url));
        // An answer, be it an error, is one; and a host that answered in this run is there.
        open().failed(url, &HttpError::NotFound { url: url.to_owned() });
        assert!(!open().is_down(url));
        let reach = open();
        reach.answered(url);
        reach.failed(url, &unreachable(url));
        assert!(!reach.is_down(url));
        for (age, is_down) in [(1, true), (299, true), (301, false), (-60, false)] {
            let time = i64::try_from(now()).unwrap() - age;
            std::fs::write(&file, format!("{time} a.example:80\n")).unwrap();
            assert_eq!(open().is_down(url), is_down, "{age}");
        }
        for damaged in ["", "x", "\0\0\0", "1 \n", "99999999999999999999999 a.example:80"] {
            std::fs::write(&file, damaged).unwrap();
            assert!(!open().is_down(url), "{damaged:?}");
        }
    }
}
