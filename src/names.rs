//! Host names, and addresses of mirrors.

use labimg_tree::fault::{Fault, FaultKind};

/// Names that mean something else, a line each with what they mean; `#` begins a comment. The node reads the same file.
const TAKEN: &str = include_str!("../overlays/common/usr/lib/labimg/taken-names");

/// An invalid host name.
#[derive(Debug, thiserror::Error)]
#[error("--hostname {name}: {why}")]
pub struct HostnameError {
    /// The name given.
    pub name: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Fault for HostnameError {
    fn kind(&self) -> FaultKind {
        FaultKind::Usage
    }

    fn help(&self) -> Option<String> {
        better(&self.name)
    }
}

/// What keeps a flag's value from being the name of a node.
pub(crate) fn check_hostname(name: &str) -> Result<(), HostnameError> {
    host_fault(name).map_or(Ok(()), |why| Err(HostnameError { name: name.to_owned(), why }))
}

/// Why `name` cannot be the name of a node, if so: a label under which it alone is found. `usr/lib/labimg/conf` asks the same on the
/// node.
#[must_use]
pub fn host_fault(name: &str) -> Option<&'static str> {
    let digits = |text: &str, hexadecimal: bool| {
        text.bytes().all(|b| if hexadecimal { b.is_ascii_hexdigit() } else { b.is_ascii_digit() })
    };
    label_fault(name)
        .or_else(|| taken().find(|(taken, _)| *taken == name).map(|(_, why)| why))
        // inet_aton(3), which is asked before any list of names.
        .or_else(|| {
            match name.strip_prefix("0x") {
                Some(rest) => digits(rest, true),
                None => digits(name, false),
            }
            .then_some("programs take a name of digits alone for an address")
        })
}

/// The names that are taken, and what they mean.
fn taken() -> impl Iterator<Item = (&'static str, &'static str)> {
    TAKEN.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t'))
}

/// Why `name` cannot be the name of a cluster, if so: RFC 1123, section 2.1, one label, in the small letters that Kubernetes takes.
#[must_use]
pub fn label_fault(name: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > 63 {
        Some("a name has 1 to 63 characters")
    } else if name.contains('.') {
        Some("give the name without a domain: the node is found as NAME.local")
    } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        Some("only the letters a to z, digits and `-` are allowed (Kubernetes takes no capitals)")
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("a name begins and ends with a letter or digit")
    } else {
        None
    }
}

/// A name that would do, for one that does not.
pub(crate) fn better(name: &str) -> Option<String> {
    let better = label(name);
    (better != name && host_fault(&better).is_none()).then(|| format!("`{better}` would do"))
}

/// `text` turned into a DNS label as well as that goes; empty when nothing is left.
#[must_use]
pub fn label(text: &str) -> String {
    let first = text.split('.').next().unwrap_or_default();
    let letters = first.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let label: String = letters.take(63).collect();
    label.trim_matches('-').to_owned()
}

/// True for a DNS domain in lower case (RFC 1123, section 2.1): such labels with dots between.
pub(crate) fn is_dns_domain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|label| label_fault(label).is_none())
}

/// What the address of a mirror looks like.
pub(crate) const MIRROR_HELP: &str =
    "an http:// or https:// address is needed, of letters, digits and - . _ ~ : / [ ] @ % + alone";

/// What is wrong with the base URL of a mirror, on which names of files follow, if anything. It goes into settings of
/// the node and into manifests, so that it must not need quotes anywhere.
pub(crate) fn mirror_fault(url: &str) -> Option<&'static str> {
    if !url.contains("://") {
        return Some("this is not a URL");
    }
    let rest = ["https://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let Some(rest) = rest else { return Some("a mirror has an http or https URL") };
    if rest.contains(['?', '#']) {
        return Some("file names cannot follow on `?` or `#` in a URL");
    }
    if !rest.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:/[]@%+".contains(c)) {
        return Some("a URL has no such characters: write them as `%` and two hexadecimal digits");
    }
    reqwest::Url::parse(url).is_err().then_some("this is not a URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_no_mirror_has() {
        for bad in [
            "",
            "mirror.example",
            "ftp://x.example",
            "https://",
            "https://x.example/a b",
            "https://x.example/?a",
            "https://x.example/#a",
            "https://x/'",
            "https://x/\"",
            "https://x/\\",
            "https://x/$(id)",
            "https://x/é",
            "https://x\n",
            " https://x",
            "https://x/`",
            "https://[::1/",
        ] {
            assert!(mirror_fault(bad).is_some(), "{bad:?}");
        }
        for good in
            ["https://x.example/k3s/", "http://10.0.2.2:8000/a_b~c/%20+x", "https://u:p@x.example", "http://[::1]:80"]
        {
            assert_eq!(mirror_fault(good), None, "{good}");
        }
    }

    #[test]
    fn names_that_no_host_can_have() {
        for name in ["", "-a", "a-", "A", "a_b", "master.local", "7", "0x1f", "localhost", &"x".repeat(64)] {
            assert!(host_fault(name).is_some(), "{name}");
        }
        for name in ["a", "7a", "0y1", "1-1", &"x".repeat(63)] {
            assert_eq!(host_fault(name), None, "{name}");
        }
        assert_eq!(label_fault("2026"), None, "a cluster is not looked up by its name");
        assert_eq!(better("Master.local").as_deref(), Some("`master` would do"));
        assert_eq!(better("localhost.local"), None);
    }

    #[test]
    fn names_of_the_hosts_file_are_taken() {
        let hosts = crate::layers::node::hosts("node", "");
        let names = hosts.lines().flat_map(|line| line.split_whitespace().skip(1));
        for name in names.filter(|name| *name != "node") {
            assert!(taken().any(|(taken, _)| taken == name), "{name}");
        }
        for (name, why) in taken() {
            assert!(label_fault(name).is_none() && !why.is_empty(), "{name}");
        }
    }

    #[test]
    fn domains_are_made_of_such_names() {
        for good in ["home", "lab.home.arpa", "1.x-y"] {
            assert!(is_dns_domain(good), "{good}");
        }
        for bad in ["", "a..b", "a.", ".a", "A.b", "a.-b", &["x"; 128].join(".")] {
            assert!(!is_dns_domain(bad), "{bad}");
        }
    }
}
