//! Which mirror packages come from: the one given, the one the host's own apt uses, or a public one.
//!
//! The host's list is read in both formats of sources.list(5): one source per line, and deb822 stanzas.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;

pub use super::error::MirrorError;
use crate::deb822::{Deb822Error, Stanzas};
use labimg_store::http::shown;

/// Used when neither the caller nor the host names a mirror.
const DEFAULT_ARCHIVE: &str = "https://mirrors.kernel.org/debian";
const DEFAULT_SECURITY: &str = "https://mirrors.kernel.org/debian-security";

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

/// The addresses of the two archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Base URL of the archive, without a trailing slash: `dists/` and `pool/` are below it.
    pub archive: String,
    /// Base URL of the archive of security updates.
    pub security: String,
    /// Where they come from.
    pub origin: Origin,
}

/// Where a mirror comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The caller: `--mirror` or `LABIMG_MIRROR`.
    Given,
    /// From this file of the host's apt.
    Host(PathBuf),
    /// The public default.
    Default,
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {} ", shown(&self.archive), shown(&self.security))?;
        match &self.origin {
            Origin::Given => f.write_str("(as given)"),
            Origin::Host(file) => write!(f, "(from {})", file.display()),
            Origin::Default => f.write_str("(public default)"),
        }
    }
}

impl Mirror {
    /// Chooses: `given`, else what apt uses on the host whose root folder is `root`, else a public mirror.
    ///
    /// `given` is the archive's URL, or two separated by a comma: archive, security archive. Without the second, the
    /// security archive is the host's if that is on the same server, else `debian-security` beside the archive.
    ///
    /// # Errors
    /// An invalid URL; without `given` also lists of the host that cannot be read or parsed.
    pub fn choose(given: Option<&str>, root: &Path) -> Result<Self, MirrorError> {
        if let Some(given) = given {
            let (archive, security) = given.split_once(',').map_or((given, None), |(a, s)| (a, Some(s)));
            let archive = checked(archive)?;
            let security = match security {
                Some(url) => checked(url)?,
                // The host's list is only a hint here: a mirror was given, so an unreadable list is not an error.
                None => host_sources(root)
                    .unwrap_or_default()
                    .into_iter()
                    .find(|s| s.is_security() && server(&s.url) == server(&archive))
                    .map_or_else(|| sibling(&archive), |s| s.url),
            };
            return Ok(Self { archive, security, origin: Origin::Given });
        }
        let sources = host_sources(root)?;
        let Some(archive) = sources.iter().find(|s| s.is_archive()) else {
            return Ok(Self {
                archive: DEFAULT_ARCHIVE.to_owned(),
                security: DEFAULT_SECURITY.to_owned(),
                origin: Origin::Default,
            });
        };
        let same_server = |s: &&Source| s.is_security() && server(&s.url) == server(&archive.url);
        let security = sources
            .iter()
            .find(same_server)
            .or_else(|| sources.iter().find(|s| s.is_security()))
            // Many mirrors have no security archive, so guessing one beside the archive would often be wrong.
            .map_or_else(|| DEFAULT_SECURITY.to_owned(), |s| s.url.clone());
        Ok(Self { archive: archive.url.clone(), security, origin: Origin::Host(archive.file.clone()) })
    }

    /// The URLs of archive and security archive for a node's apt: without user name and password, which belong to this
    /// computer, and the public mirror instead of one that only this computer can reach.
    #[must_use]
    pub fn for_nodes(&self) -> (String, String) {
        (for_nodes(&self.archive, DEFAULT_ARCHIVE), for_nodes(&self.security, DEFAULT_SECURITY))
    }
}

/// A URL for use on a node: without user name and password; `default` instead of one on this computer.
pub fn for_nodes(url: &str, default: &str) -> String {
    match Url::parse(url) {
        Ok(parsed) if parsed.host_str().is_none_or(is_local) => default.to_owned(),
        Ok(parsed) if parsed.username().is_empty() && parsed.password().is_none() => url.to_owned(),
        Ok(mut parsed) => match parsed.set_username("").and_then(|()| parsed.set_password(None)) {
            Ok(()) => parsed.as_str().trim_end_matches('/').to_owned(),
            Err(()) => default.to_owned(),
        },
        Err(_) => default.to_owned(),
    }
}

/// Whether a URL's host is this computer.
#[must_use]
pub fn is_on_this_computer(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(is_local))
}

/// Whether a URL's host is this computer (RFC 6761 section 6.3 for the name).
fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let name = host.trim_end_matches('.');
    address.is_ok_and(|a| a.is_loopback() || a.is_unspecified()) || name == "localhost" || name.ends_with(".localhost")
}

fn checked(url: &str) -> Result<String, MirrorError> {
    let clean = url.trim().trim_end_matches('/');
    let rest = clean.strip_prefix("http://").or_else(|| clean.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(char::is_whitespace) => Ok(clean.to_owned()),
        _ => Err(MirrorError::Url(url.to_owned())),
    }
}

/// Scheme, host and port.
fn server(url: &str) -> &str {
    let start = url.find("://").map_or(0, |p| p + 3);
    let end = url[start..].find('/').map_or(url.len(), |p| start + p);
    &url[..end]
}

/// `debian-security` in the archive's parent folder.
fn sibling(archive: &str) -> String {
    let server = server(archive);
    let folder = archive[server.len()..].rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{server}{folder}/debian-security")
}

/// One URL of one enabled binary source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    url: String,
    suites: Vec<String>,
    file: PathBuf,
}

impl Source {
    fn is_archive(&self) -> bool {
        self.url.ends_with("/debian") && self.suites.iter().any(|s| is_debian(s))
    }

    fn is_security(&self) -> bool {
        self.url.ends_with("/debian-security") && self.suites.iter().any(|s| is_debian(s))
    }
}

fn is_debian(suite: &str) -> bool {
    // bullseye was the first release with `-security`; `buster/updates` is the older form.
    let base = suite.split(['-', '/']).next().unwrap_or(suite);
    SUITES.contains(&base)
}

/// The host's sources in apt's order: `sources.list` first, then the folder by name. Lists that this user may not read
/// are skipped: they belong to private archives and contain a password.
fn host_sources(root: &Path) -> Result<Vec<Source>, MirrorError> {
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
    let mut sources = Vec::new();
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
        let shown = path.strip_prefix(root).map_or_else(|_| path.clone(), |p| Path::new("/").join(p));
        let found = if deb822 {
            stanzas(&text).map_err(|source| MirrorError::Syntax { path: shown.clone(), source })?
        } else {
            lines(&text)
        };
        sources.extend(found.into_iter().filter_map(|(url, suites)| {
            let url = checked(&url).ok()?;
            Some(Source { url, suites, file: shown.clone() })
        }));
    }
    Ok(sources)
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
            let mut words = rest.split_whitespace();
            Some((words.next()?.to_owned(), vec![words.next()?.to_owned()]))
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

#[cfg(test)]
mod tests {
    use labimg_tree::fault::{Fault, causes};
    use proptest::prelude::*;

    use super::*;

    fn host(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/apt/sources.list.d")).unwrap();
        for (name, text) in files {
            std::fs::write(root.path().join("etc/apt").join(name), text).unwrap();
        }
        root
    }

    fn choose(given: Option<&str>, files: &[(&str, &str)]) -> (String, String, Origin) {
        let mirror = Mirror::choose(given, host(files).path()).unwrap();
        (mirror.archive, mirror.security, mirror.origin)
    }

    const DEB822: (&str, &str) = (
        "sources.list.d/debian.sources",
        "Types: deb deb-src\n# note\nURIs: http://mirror.example/debian/\nSuites: trixie trixie-updates\nComponents: main\n\n\
         Types: deb\nURIs: https://safe.example/debian-security\nSuites: trixie-security\nComponents: main\n",
    );

    #[test]
    fn both_forms_of_the_hosts_list() {
        let file = |f: &str| Origin::Host(PathBuf::from(f));
        assert_eq!(
            choose(None, &[DEB822]),
            (
                "http://mirror.example/debian".into(),
                "https://safe.example/debian-security".into(),
                file("/etc/apt/sources.list.d/debian.sources")
            )
        );
        let list = "# deb http://no.example/debian trixie main\ndeb cdrom:[Debian]/ trixie main\n\
            deb [arch=amd64 signed-by=/k.gpg] http://a.example:8080/pub/debian bookworm main # x\n\
            deb http://b.example/debian-security bookworm-security main\n\
            deb\thttp://a.example:8080/debian-security bookworm-security main\n";
        assert_eq!(
            choose(None, &[("sources.list", list), DEB822]),
            (
                "http://a.example:8080/pub/debian".into(),
                "http://a.example:8080/debian-security".into(),
                file("/etc/apt/sources.list")
            )
        );
    }

    #[test]
    fn what_is_no_debian_mirror_is_passed_over() {
        let files = [
            (
                "sources.list",
                "deb http://a.example/ubuntu noble main\ndeb http://a.example/debian noble main\ndeb-src http://a.example/debian trixie main\ndebug http://a.example/debian trixie main\n",
            ),
            ("sources.list.d/off.sources", "Enabled: No\nTypes: deb\nURIs: http://b.example/debian\nSuites: trixie\n"),
            (
                "sources.list.d/tor.list",
                "deb tor+http://c.example/debian trixie main\ndeb ftp://c.example/debian trixie main\n",
            ),
            ("sources.list.d/ppa.list.save", "deb http://d.example/debian trixie main\n"),
        ];
        assert_eq!(choose(None, &files), (DEFAULT_ARCHIVE.into(), DEFAULT_SECURITY.into(), Origin::Default));
        let bare = tempfile::tempdir().unwrap();
        assert_eq!(Mirror::choose(None, bare.path()).unwrap().origin, Origin::Default);
        // Without its own security archive: the public one.
        let (archive, security, _) = choose(None, &[("sources.list", "deb http://a.example/debian trixie main\n")]);
        assert_eq!((archive.as_str(), security.as_str()), ("http://a.example/debian", DEFAULT_SECURITY));
    }

    #[test]
    fn a_given_mirror() {
        let security = |given, files: &[_]| choose(Some(given), files).1;
        assert_eq!(security("http://x.example/a/debian/", &[DEB822]), "http://x.example/a/debian-security");
        assert_eq!(security("https://safe.example/x/debian", &[DEB822]), "https://safe.example/debian-security");
        assert_eq!(security("http://x.example", &[]), "http://x.example/debian-security");
        assert_eq!(security("http://x.example/debian,http://y.example/s/", &[DEB822]), "http://y.example/s");
        for bad in ["mirror.example/debian", "ftp://x.example/debian", "http://", "http://a b/debian", ""] {
            assert!(matches!(Mirror::choose(Some(bad), Path::new("/nonexistent")), Err(MirrorError::Url(_))), "{bad}");
        }
    }

    #[test]
    fn what_a_node_gets() {
        let mirror = |given| Mirror::choose(Some(given), Path::new("/nonexistent")).unwrap();
        let pair = |a: &str, s: &str| (a.to_owned(), s.to_owned());
        let secret = mirror("http://user:secret@x.example:8080/debian,https://token@y.example/s");
        assert_eq!(secret.for_nodes(), pair("http://x.example:8080/debian", "https://y.example/s"));
        let text = secret.to_string();
        assert!(text.contains("x.example") && !text.contains("secret") && !text.contains("token"), "{text}");
        for local in ["http://localhost:3142/debian", "http://127.0.0.2/debian", "http://u:p@[::1]:80/debian"] {
            assert_eq!(mirror(local).for_nodes(), pair(DEFAULT_ARCHIVE, DEFAULT_SECURITY), "{local}");
        }
        let plain = "http://192.168.1.2/debian,http://mirror.example/debian-security";
        assert_eq!(
            mirror(plain).for_nodes(),
            pair("http://192.168.1.2/debian", "http://mirror.example/debian-security")
        );
    }

    #[test]
    fn a_broken_list_is_named() {
        let root = host(&[("sources.list.d/x.sources", "Types: deb\nnonsense\n")]);
        let error = Mirror::choose(None, root.path()).unwrap_err();
        assert!(error.to_string().starts_with("/etc/apt/sources.list.d/x.sources "), "{error}");
        assert!(causes(&error)[0].starts_with("line 2: "), "{error:?}");
        assert!(error.help().unwrap().contains("--mirror"), "{error:?}");
        // With a given mirror the list is not needed.
        let given = Mirror::choose(Some("http://x.example/debian"), root.path()).unwrap();
        assert_eq!(given.security, "http://x.example/debian-security");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(deb|Types: deb|URIs:|Suites:|[ \t\\[\\]:/a-c#\né])*", url in "[a-c:/é]{0,12}") {
            let _ = lines(&text);
            let _ = stanzas(&text);
            let _ = sibling(&url);
        }
    }
}
