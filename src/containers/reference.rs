//! Names of container images, in Kubernetes' full form: `registry.k8s.io/pause:3.10`
//! (github.com/distribution/reference, the grammar in its documentation).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::hash::Sha256;

/// Docker Hub, and the registry behind it.
const DOCKER_HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// Longest tag.
const LONGEST_TAG: usize = 128;

/// The name of a container image, in full: registry, repository, and a tag or a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Sha256>,
}

/// A text that is not an image name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not the full name of a container image: {what}")]
pub struct BadName {
    /// The text.
    pub name: String,
    /// What is wrong, and how to write it.
    pub what: String,
}

impl Fault for BadName {
    fn kind(&self) -> FaultKind {
        FaultKind::Configuration
    }
}

impl ImageName {
    /// The image for a name in a pod, where registry, owner and tag may be left out (github.com/distribution/reference,
    /// `ParseNormalizedNamed`, `TagNameOnly`).
    ///
    /// # Errors
    /// A text that is not an image name.
    pub fn in_a_pod(text: &str) -> Result<Self, BadName> {
        let is_registry = |host: &str| host.contains(['.', ':']) || host == "localhost";
        let mut whole = match text.split_once('/') {
            Some((host, path)) if is_registry(host) => {
                let host = if host == "index.docker.io" { DOCKER_HUB.0 } else { host };
                let owner = if host == DOCKER_HUB.0 && !path.contains('/') { "library/" } else { "" };
                format!("{host}/{owner}{path}")
            }
            Some(_) => format!("{}/{text}", DOCKER_HUB.0),
            None => format!("{}/library/{text}", DOCKER_HUB.0),
        };
        let last = whole.rsplit('/').next().unwrap_or_default();
        if !last.contains([':', '@']) {
            whole.push_str(":latest");
        }
        whole.parse()
    }

    /// Base address of its repository in its registry, or in the mirror if there is one: `https://HOST/v2/REPOSITORY`,
    /// `<mirror>/v2/HOST/REPOSITORY`. A registry on this computer is accessed without TLS, as by container runtimes.
    pub(crate) fn address(&self, mirror: Option<&str>) -> String {
        let Self { registry, repository, .. } = self;
        if let Some(mirror) = mirror {
            return format!("{}/v2/{registry}/{repository}", mirror.trim_end_matches('/'));
        }
        let host = if registry == DOCKER_HUB.0 { DOCKER_HUB.1 } else { registry };
        let name = registry.split(':').next().unwrap_or_default();
        let scheme = if name == "localhost" || name.starts_with("127.") { "http" } else { "https" };
        format!("{scheme}://{host}/v2/{repository}")
    }

    /// Its reference in the registry: the digest, else the tag.
    pub(crate) fn asked(&self) -> String {
        let digest = self.digest.map(|digest| format!("sha256:{digest}"));
        digest.or_else(|| self.tag.clone()).unwrap_or_default()
    }

    /// Its expected hash, if the name has a digest.
    pub(super) fn digest(&self) -> Option<Sha256> {
        self.digest
    }

    /// The name that the node's container runtime looks for: without the tag if there is a digest.
    pub(super) fn on_the_node(&self) -> String {
        Self { tag: self.tag.clone().filter(|_| self.digest.is_none()), ..self.clone() }.to_string()
    }

    /// The name without tag and digest, and the tag or, without one, the digest.
    #[must_use]
    pub fn name_and_version(&self) -> (String, String) {
        let version = self.tag.clone().unwrap_or_else(|| self.asked());
        (format!("{}/{}", self.registry, self.repository), version)
    }
}

impl FromStr for ImageName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |what: String| BadName { name: text.to_owned(), what };
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let sha256 =
                    digest.strip_prefix("sha256:").filter(|hex| !hex.contains(|c: char| c.is_ascii_uppercase()));
                let sha256 = sha256.and_then(|hex| hex.parse().ok());
                (rest, Some(sha256.ok_or_else(|| bad("a digest is `@sha256:` and 64 hexadecimal digits".to_owned()))?))
            }
            None => (text, None),
        };
        // A `:` in the first part is followed by a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            Some(_) => return Err(bad(format!("it begins with its registry, such as `docker.io/{text}`"))),
            None => return Err(bad(format!("it begins with its registry, such as `docker.io/library/{text}`"))),
        };
        if registry == DOCKER_HUB.0 && !repository.contains('/') {
            let whole = text.replacen('/', "/library/", 1);
            return Err(bad(format!("the images of Docker Hub without an owner are those of `library`: `{whole}`")));
        }
        let (host, port) = registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port)));
        let label = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !host.split('.').all(label) || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err(bad(format!("`{registry}` is not a host")));
        }
        if let Some(part) = repository.split('/').find(|part| !is_part(part)) {
            return Err(bad(format!(
                "`{part}` is not part of a name: those have small letters and digits, with `.`, `_`, `__` or `-` between"
            )));
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let is_tag = |tag: &str| {
            tag.len() <= LONGEST_TAG
                && tag.bytes().next().is_some_and(word)
                && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(bad(format!("`{tag}` is not a tag")));
        }
        if tag.is_none() && digest.is_none() {
            return Err(bad(format!("it ends with a tag or a digest, such as `{text}:1.2.3`")));
        }
        let (registry, repository, tag) = (registry.to_owned(), repository.to_owned(), tag.map(str::to_owned));
        Ok(Self { registry, repository, tag, digest })
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_part(part: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [part.bytes().next(), part.bytes().last()];
    ends.into_iter().all(|end| end.is_some_and(alphanumeric))
        && part
            .split(|c: char| c.is_ascii() && alphanumeric(c as u8))
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@sha256:{digest}"))
    }
}

impl TryFrom<String> for ImageName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn full_names_are_read_and_asked_for_where_they_are() {
        for (text, address, asked) in [
            ("registry.k8s.io/pause:3.10", "https://registry.k8s.io/v2/pause", "3.10"),
            ("docker.io/library/nginx:1.29", "https://registry-1.docker.io/v2/library/nginx", "1.29"),
            ("127.0.0.1:5000/a/b-c/d__e:v1_2", "http://127.0.0.1:5000/v2/a/b-c/d__e", "v1_2"),
            ("localhost/a:1", "http://localhost/v2/a", "1"),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.to_string(), text);
            assert_eq!((name.address(None).as_str(), name.asked().as_str()), (address, asked));
        }
        let name: ImageName = format!("quay.io/a/b:1@{DIGEST}").parse().unwrap();
        assert_eq!(name.asked(), DIGEST);
        assert_eq!(name.on_the_node(), format!("quay.io/a/b@{DIGEST}"));
        assert_eq!(name.name_and_version(), ("quay.io/a/b".to_owned(), "1".to_owned()));
        assert_eq!(name.address(Some("http://127.0.0.1:1/")), "http://127.0.0.1:1/v2/quay.io/a/b");
    }

    #[test]
    fn pods_may_leave_out_what_goes_without_saying() {
        for (text, whole) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.29", "docker.io/library/nginx:1.29"),
            ("grafana/loki:3", "docker.io/grafana/loki:3"),
            ("docker.io/nginx:1", "docker.io/library/nginx:1"),
            ("index.docker.io/a/b", "docker.io/a/b:latest"),
            ("localhost:5000/a", "localhost:5000/a:latest"),
            ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
        ] {
            assert_eq!(ImageName::in_a_pod(text).unwrap().to_string(), whole);
        }
        let pinned = ImageName::in_a_pod(&format!("nginx@{DIGEST}")).unwrap();
        assert_eq!(pinned.to_string(), format!("docker.io/library/nginx@{DIGEST}"));
        for text in ["", "{{ image }}", "UPPER", "a b"] {
            assert!(ImageName::in_a_pod(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_full_name_is_told_how_it_would_be_one() {
        for (text, hint) in [
            ("nginx:1", "docker.io/library/nginx:1"),
            ("grafana/loki:3", "docker.io/grafana/loki:3"),
            ("docker.io/nginx:1", "docker.io/library/nginx:1"),
            ("quay.io/a/b", "quay.io/a/b:1.2.3"),
            ("quay.io/A/b:1", "`A` is not part"),
            ("quay.io/a..b:1", "not part"),
            ("quay.io/a//b:1", "not part"),
            ("quay.io/../b:1", "not part"),
            ("quay.io/a:", "is not a tag"),
            ("quay.io/a:.x", "is not a tag"),
            ("quay .io/a:1", "is not a host"),
            ("quay.io:99999/a:1", "is not a host"),
            ("quay.io/a@sha256:00", "64 hexadecimal"),
            ("quay.io/a@md5:00", "64 hexadecimal"),
            ("", "begins with its registry"),
        ] {
            let error = text.parse::<ImageName>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn a_name_that_is_taken_is_written_as_it_was(text in "[a-z.:/@_0-9-]{0,30}|[ -~]{0,30}") {
            if let Ok(name) = text.parse::<ImageName>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }
}
