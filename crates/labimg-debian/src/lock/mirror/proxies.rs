//! Proxies of the host's apt (apt.conf(5), apt-transport-http(1)): of those for all hosts and for one, what counts for
//! a mirror.

use std::io;
use std::path::{Path, PathBuf};

use reqwest::Url;

use super::MirrorError;
use labimg_store::http::{Way, shown};

/// What apt's settings say of proxies.
#[derive(Debug, Default)]
pub(super) struct Proxies {
    /// Names in small letters, such as `acquire::http::proxy`, with value and file; a later one counts.
    settings: Vec<(String, String, PathBuf)>,
    /// Files that this user may not read.
    closed: Vec<PathBuf>,
    /// Directives with which a file changes others, which labimg does not follow, and the file.
    directives: Vec<(&'static str, PathBuf)>,
}

/// What apt takes for more than a comment (apt.conf(5)).
const DIRECTIVES: [&str; 2] = ["#clear", "#include"];

impl Proxies {
    /// Reads `apt.conf.d`, then `apt.conf`.
    pub(super) fn of_host(root: &Path) -> Result<Self, MirrorError> {
        let apt = root.join("etc/apt");
        let folder = apt.join("apt.conf.d");
        let mut files = match std::fs::read_dir(&folder) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Vec::new(),
            entries => entries
                .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>())
                .map_err(|source| MirrorError::Read { path: folder.clone(), source })?,
        };
        files.retain(|path| path.extension().is_none_or(|extension| extension == "conf"));
        files.sort();
        files.push(apt.join("apt.conf"));
        let mut proxies = Self::default();
        for path in files {
            let file = path.strip_prefix(root).map_or_else(|_| path.clone(), |p| Path::new("/").join(p));
            match std::fs::read(&path) {
                Ok(text) => {
                    let text = String::from_utf8_lossy(&text);
                    let has = |word: &&str| text.lines().any(|line| line.trim_start().starts_with(*word));
                    proxies.directives.extend(DIRECTIVES.into_iter().filter(has).map(|word| (word, file.clone())));
                    let found = settings(&text);
                    let of_proxies = found.into_iter().filter(|(name, _)| name.contains("::proxy"));
                    proxies.settings.extend(of_proxies.map(|(name, value)| (name, value, file.clone())));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => proxies.closed.push(file),
                Err(source) => return Err(MirrorError::Read { path, source }),
            }
        }
        Ok(proxies)
    }

    /// The way to an address; `None` when apt's settings leave it open. What labimg cannot use
    /// goes to `passed_over`.
    pub(super) fn of(&self, url: &str, passed_over: &mut Vec<String>) -> Option<Way> {
        let url = Url::parse(url).ok()?;
        let host = url.host_str().unwrap_or_default();
        // https goes by the settings of http where it has none of its own.
        let schemes: &[&str] = if url.scheme() == "https" { &["https", "http"] } else { &["http"] };
        let find = |rest: &str| {
            let name = |scheme: &&str| format!("acquire::{scheme}::{rest}");
            let last = |name: String| self.settings.iter().rev().find(|(known, ..)| *known == name);
            schemes.iter().map(name).find_map(|name| last(name).filter(|(_, value, _)| !value.is_empty()))
        };
        let mut pass_over = |what: String| {
            if !passed_over.contains(&what) {
                passed_over.push(what);
            }
        };
        for file in &self.closed {
            pass_over(format!("{} (it may not be read)", file.display()));
        }
        for (word, file) in &self.directives {
            pass_over(format!("{word} in {}", file.display()));
        }
        let own = find(&format!("proxy::{host}"));
        for rest in ["proxy-auto-detect", "proxyautodetect"] {
            if let Some((name, _, file)) = find(rest).filter(|_| own.is_none()) {
                pass_over(format!("the program of {name} ({})", file.display()));
            }
        }
        let (_, value, file) = own.or_else(|| find("proxy"))?;
        if value.eq_ignore_ascii_case("direct") {
            return Some(Way::Direct);
        }
        match Url::parse(value) {
            Ok(proxy) if matches!(proxy.scheme(), "http" | "https") && proxy.has_host() => {
                Some(Way::Proxy(value.clone()))
            }
            _ => {
                pass_over(format!("the proxy {} ({})", shown(value), file.display()));
                None
            }
        }
    }
}

/// The settings of a file, with their names in small letters. apt takes no others than these forms, and says so.
fn settings(text: &str) -> Vec<(String, String)> {
    let (mut found, mut scopes, mut words) = (Vec::new(), Vec::<String>::new(), Vec::<String>::new());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        let cut = |text: &'_ str, end: &str| text.find(end).map_or(text.len(), |at| at + end.len());
        rest = match first {
            '#' => &rest[cut(rest, "\n")..],
            '/' if after.starts_with('/') => &rest[cut(rest, "\n")..],
            '/' if after.starts_with('*') => &rest[cut(rest, "*/")..],
            '"' => {
                let end = cut(after, "\"");
                words.push(after[..end].trim_end_matches('"').to_owned());
                &after[end..]
            }
            '{' => {
                scopes.push(words.drain(..).next().unwrap_or_default().to_lowercase());
                after
            }
            ';' | '}' => {
                let mut words = words.drain(..);
                if let (Some(name), Some(value)) = (words.next(), words.next()) {
                    let name = scopes.iter().cloned().chain([name.to_lowercase()]).collect::<Vec<_>>();
                    found.push((name.join("::"), value));
                }
                if first == '}' {
                    scopes.pop();
                }
                after
            }
            c if c.is_whitespace() => after,
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "{};\"".contains(c)).unwrap_or(rest.len());
                words.push(rest[..end].to_owned());
                &rest[end..]
            }
        };
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(files: &[(&str, &str)], url: &str) -> (Option<Way>, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/apt/apt.conf.d")).unwrap();
        for (name, text) in files {
            std::fs::write(root.path().join("etc/apt").join(name), text).unwrap();
        }
        let mut over = Vec::new();
        (Proxies::of_host(root.path()).unwrap().of(url, &mut over), over)
    }

    #[test]
    fn the_most_certain_setting_counts() {
        let both = "Acquire::http::Proxy \"http://all.example:3142\"; // \"no\"\n";
        let nested = "/* of \"us\" */ acquire {\n  HTTP { Proxy \"http://all.example:3142/\"; Proxy::b.example \"DIRECT\"; };\n  https::proxy \"http://tls.example\";\n};\n# Acquire::http::Proxy \"http://no.example\";\n";
        let (http, https, other) =
            ("http://a.example/debian", "https://a.example/debian", "https://b.example:81/debian");
        let by = |proxy: &str| Some(Way::Proxy(proxy.to_owned()));
        for (text, url, proxy) in [
            ("", http, None),
            (both, http, by("http://all.example:3142")),
            (both, https, by("http://all.example:3142")),
            (nested, http, by("http://all.example:3142/")),
            (nested, https, by("http://tls.example")),
            (nested, other, Some(Way::Direct)),
            ("Acquire::http::Proxy \"http://old.example\"; Acquire::http::Proxy \"\";", http, None),
            ("Acquire::https::Proxy \"http://tls.example\";", http, None),
            (
                "Acquire::http::Proxy::a.example \"http://own.example\";Acquire::http::Proxy direct;",
                http,
                by("http://own.example"),
            ),
            (
                "Acquire::http::Proxy::a.example \"http://own.example\";Acquire::http::Proxy direct;",
                other,
                Some(Way::Direct),
            ),
        ] {
            let found = of(&[("apt.conf", text)], url);
            assert_eq!(found, (proxy, Vec::new()), "{url}: {text}");
        }
        let files = [
            ("apt.conf.d/90.conf", "Acquire::http::Proxy \"http://second.example\";"),
            ("apt.conf.d/10first", "Acquire::http::Proxy \"http://first.example\";"),
            ("apt.conf.d/99.bak", "Acquire::http::Proxy \"http://no.example\";"),
        ];
        assert_eq!(of(&files, http).0, by("http://second.example"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let url = "http://a.example/debian";
        let program = ("apt.conf.d/auto", "Acquire::http::Proxy-Auto-Detect \"/usr/bin/x\";");
        let own = ("apt.conf", "Acquire::http::Proxy::a.example \"http://own.example\";");
        let over = "the program of acquire::http::proxy-auto-detect (/etc/apt/apt.conf.d/auto)".to_owned();
        assert_eq!(of(&[program], url), (None, vec![over]));
        assert_eq!(of(&[program, own], url).1, [""; 0], "the host's own proxy goes before the program");
        let cleared =
            ("apt.conf", "Acquire::http::Proxy \"http://old.example\";\n#clear Acquire::http::Proxy;\n# clear\n");
        assert_eq!(of(&[cleared], url).1, ["#clear in /etc/apt/apt.conf"]);
        let socks = ("apt.conf", "Acquire::http::Proxy \"socks5h://me:secret@s.example:1080\";");
        let over = "the proxy socks5h://me:***@s.example:1080 (/etc/apt/apt.conf)".to_owned();
        assert_eq!(of(&[socks], url), (None, vec![over]));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(Acquire|http|::|Proxy|\\{|\\}|;|\"|//|/\\*|\\*/|#|\n| |é|.){0,30}") {
            let _ = settings(&text);
        }
    }
}
