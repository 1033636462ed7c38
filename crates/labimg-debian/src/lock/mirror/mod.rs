//! Which mirror packages come from: the one given, the one the host's own apt uses, or a public one.

mod proxies;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;

pub use super::error::MirrorError;
use labimg_store::http::{Way, shown};
use proxies::Proxies;
use sources::{Source, Sources};

/// Used when neither the caller nor the host names a mirror.
const DEFAULT_ARCHIVE: &str = "https://mirrors.kernel.org/debian";
const DEFAULT_SECURITY: &str = "https://mirrors.kernel.org/debian-security";

/// The addresses of the two archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Base URL of the archive, without a trailing slash: `dists/` and `pool/` are below it.
    pub archive: String,
    /// Base URL of the archive of security updates.
    pub security: String,
    /// Where they come from.
    pub origin: Origin,
    /// Debian sources and proxies of the host's apt that labimg cannot use, each with its file.
    pub passed_over: Vec<String>,
    /// Scheme, host and port → the way that the host's apt takes there. Others go by the environment.
    pub ways: BTreeMap<String, Way>,
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
            Origin::Given => f.write_str("(as given"),
            Origin::Host(file) => write!(f, "(from {}", file.display()),
            Origin::Default => f.write_str("(public default"),
        }?;
        match self.passed_over.as_slice() {
            [] => f.write_str(")"),
            over => write!(f, "; passed over: {})", over.join(", ")),
        }?;
        let proxy = |way: &Way| if let Way::Proxy(proxy) = way { Some(shown(proxy)) } else { None };
        let proxies: BTreeSet<String> = self.ways.values().filter_map(proxy).collect();
        proxies.iter().try_for_each(|proxy| write!(f, " by the proxy {proxy} of apt"))
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
                None => Sources::of_host(root)
                    .unwrap_or_default()
                    .usable
                    .into_iter()
                    .find(|s| s.is_security() && server(&s.url) == server(&archive))
                    .map_or_else(|| sibling(&archive), |s| s.url),
            };
            let (origin, passed_over, ways) = (Origin::Given, Vec::new(), BTreeMap::new());
            return Ok(Self { archive, security, origin, passed_over, ways });
        }
        let Sources { usable: sources, passed_over } = Sources::of_host(root)?;
        let Some(archive) = sources.iter().find(|s| s.is_archive()) else {
            let mirror = Self {
                archive: DEFAULT_ARCHIVE.to_owned(),
                security: DEFAULT_SECURITY.to_owned(),
                origin: Origin::Default,
                passed_over,
                ways: BTreeMap::new(),
            };
            return mirror.by_proxies(root);
        };
        let same_server = |s: &&Source| s.is_security() && server(&s.url) == server(&archive.url);
        let security = sources
            .iter()
            .find(same_server)
            .or_else(|| sources.iter().find(|s| s.is_security()))
            // Many mirrors have no security archive, so guessing one beside the archive would often be wrong.
            .map_or_else(|| DEFAULT_SECURITY.to_owned(), |s| s.url.clone());
        let (origin, ways) = (Origin::Host(archive.file.clone()), BTreeMap::new());
        Self { archive: archive.url.clone(), security, origin, passed_over, ways }.by_proxies(root)
    }

    /// With the proxies of the host's apt.
    fn by_proxies(mut self, root: &Path) -> Result<Self, MirrorError> {
        let known = Proxies::of_host(root)?;
        for url in [&self.archive, &self.security] {
            if let Some(way) = known.of(url, &mut self.passed_over) {
                self.ways.insert(server(url).to_owned(), way);
            }
        }
        Ok(self)
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
    fn what_labimg_cannot_read_is_named() {
        let list = "deb cdrom:[Debian 13]/ trixie main\ndeb http://a.example/debian trixie main\n\
            deb file:/srv/mine ./\ndeb mirror+https://m.example/list trixie main\n";
        let tor = ("sources.list.d/tor.list", "deb tor+http://me:secret@c.example/debian trixie-updates main\n");
        let mirror = Mirror::choose(None, host(&[("sources.list", list), tor]).path()).unwrap();
        assert_eq!(mirror.archive, "http://a.example/debian");
        let shown = mirror.to_string();
        let over = "(from /etc/apt/sources.list; passed over: cdrom:[Debian 13]/ (/etc/apt/sources.list), \
            mirror+https://m.example/list (/etc/apt/sources.list), tor+http://me:***@c.example/debian (/etc/apt/sources.list.d/tor.list))";
        assert!(shown.ends_with(over), "{shown}");
        let off = ("sources.list.d/x.sources", "Enabled: no\nTypes: deb\nURIs: file:/srv/debian\nSuites: trixie\n");
        assert_eq!(Mirror::choose(None, host(&[off]).path()).unwrap().passed_over, [""; 0]);
        let given = Mirror::choose(Some("http://x.example/debian"), host(&[tor]).path()).unwrap();
        assert!(given.to_string().ends_with("(as given)"), "{given}");
    }

    #[test]
    fn apt_s_proxies_are_for_its_mirror() {
        let conf = "Acquire::http::Proxy \"http://me:secret@p.example:3142\"; Acquire::https::Proxy DIRECT;";
        let root = host(&[DEB822, ("apt.conf", conf)]);
        let mirror = Mirror::choose(None, root.path()).unwrap();
        let way = |server: &str| mirror.ways.get(server).cloned();
        assert_eq!(way("http://mirror.example"), Some(Way::Proxy("http://me:secret@p.example:3142".to_owned())));
        assert_eq!(way("https://safe.example"), Some(Way::Direct));
        let shown = mirror.to_string();
        assert!(shown.ends_with(") by the proxy http://me:***@p.example:3142/ of apt"), "{shown}");
        assert!(Mirror::choose(Some("http://mirror.example/debian"), root.path()).unwrap().ways.is_empty());
    }

    #[test]
    fn of_a_list_of_mirrors_the_first_whole_one_counts() {
        let source = ("sources.list.d/d.sources", "Types: deb\nURIs: mirror+file:/etc/apt/mirrors\nSuites: trixie\n");
        let of = |list: &str| {
            let mirror = Mirror::choose(None, host(&[source, ("mirrors", list)]).path()).unwrap();
            (mirror.archive, mirror.passed_over.len())
        };
        for (list, archive) in [
            ("# ours\n\nhttp://a.example/debian/\nhttp://b.example/debian\n", "http://a.example/debian"),
            ("http://a.example/debian\nhttp://b.example/debian\tpriority:1\n", "http://b.example/debian"),
            ("http://a.example/debian\tpriority:2\nhttp://b.example/debian priority:10\n", "http://a.example/debian"),
            ("file:/srv/debian\thttp\nhttp://b.example/debian\n", "http://b.example/debian"),
            ("http://a.example/debian\ttype:index\nhttps://b.example/debian\n", "https://b.example/debian"),
        ] {
            assert_eq!(of(list), (archive.to_owned(), 0), "{list}");
        }
        for none in ["", "file:/srv/debian\n", "http://a.example/debian\tarch:amd64\n"] {
            assert_eq!(of(none), (DEFAULT_ARCHIVE.to_owned(), 1), "{none}");
        }
        let error = Mirror::choose(None, host(&[source]).path()).unwrap_err();
        assert!(error.to_string().contains("/etc/apt/mirrors"), "{error}");
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
            let root = host(&[("sources.list", &text), ("sources.list.d/x.sources", &text), ("mirrors", &text)]);
            let _ = Mirror::choose(None, root.path());
            let _ = sibling(&url);
        }
    }
}
