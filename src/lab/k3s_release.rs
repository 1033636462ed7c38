//! Names of k3s releases: `v1.36.5+k3s1`, and `v1.37.0-rc1+k3s1` for a candidate (the tags of the project).

use std::fmt;

/// The release that is used when nothing else is asked for.
pub const DEFAULT_K3S: &str = "v1.36.5+k3s1";

/// The version of Kubernetes in a k3s release. The options of k3s depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct K3sRelease {
    /// 1 in `v1.36.5+k3s1`.
    pub major: u16,
    /// 36 in `v1.36.5+k3s1`.
    pub minor: u16,
    /// 5 in `v1.36.5+k3s1`.
    pub patch: u16,
}

impl K3sRelease {
    /// `None` if the text is not the name of a release.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        let (kubernetes, build) = tag.strip_prefix('v')?.split_once("+k3s")?;
        number(build)?;
        let (core, candidate) = kubernetes.split_once('-').map_or((kubernetes, None), |(core, rc)| (core, Some(rc)));
        if let Some(candidate) = candidate {
            number(candidate.strip_prefix("rc")?)?;
        }
        let mut numbers = core.split('.').map(number);
        let release = Self { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? };
        numbers.next().is_none().then_some(release)
    }
}

impl fmt::Display for K3sRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// At most four digits, so that no number overflows.
fn number(text: &str) -> Option<u16> {
    let good = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_releases_and_what_is_none() {
        let read = |tag: &str| K3sRelease::parse(tag).map(|r| (r.major, r.minor, r.patch));
        assert_eq!(read(DEFAULT_K3S), Some((1, 36, 5)));
        assert_eq!(read("v1.37.0-rc2+k3s10"), Some((1, 37, 0)));
        for bad in [
            "",
            "1.36.5+k3s1",
            "v1.36.5",
            "v1.36+k3s1",
            "v1.36.5.1+k3s1",
            "v1.36.5+k3s",
            "v1.36.5+k3s+1",
            "v1..5+k3s1",
            "v1.3.5-+k3s1",
            "v1.3.5-beta1+k3s1",
            "v1.36.50000+k3s1",
            "v1.36.5+k3s1/../x",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
