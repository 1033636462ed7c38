//! `index.yaml` of a chart repository (helm.sh/docs, "The Chart Repository Guide", "The index file").

use std::collections::BTreeMap;

use serde::Deserialize;

use super::archive::bare;
use super::{ChartRef, IndexError};
use crate::wording;
use labimg_tree::hash::Sha256;

/// Number of newest versions listed in a message.
const NAMED: usize = 3;

#[derive(Deserialize)]
struct Index {
    entries: BTreeMap<String, Vec<Entry>>,
}

#[derive(Deserialize)]
struct Entry {
    version: String,
    /// SHA-256 of the archive in hexadecimal.
    #[serde(default)]
    digest: Option<String>,
    #[serde(default)]
    urls: Vec<String>,
}

/// An archive's address and hash.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The archive's address.
    pub url: String,
    /// The archive's hash, if the index has it.
    pub sha256: Option<Sha256>,
}

/// Looks up a chart's archive.
///
/// # Errors
/// [`IndexError`].
pub fn find(text: &[u8], chart: &ChartRef) -> Result<Found, IndexError> {
    let text = std::str::from_utf8(text).map_err(|_| IndexError::Format("it is not UTF-8".to_owned()))?;
    let documents = wording::from_yaml::<Index>(text).map_err(|mistake| IndexError::Format(mistake.to_string()))?;
    let [mut index] = <[Index; 1]>::try_from(documents)
        .map_err(|all| IndexError::Format(format!("it has {} documents, and one is expected", all.len())))?;
    let versions = index.entries.remove(&chart.name).ok_or(IndexError::NoChart)?;
    let Some(entry) = versions.iter().find(|e| bare(&e.version) == bare(&chart.version)) else {
        // Helm writes them newest first.
        return Err(IndexError::NoVersion(versions.into_iter().take(NAMED).map(|e| e.version).collect()));
    };
    let digest = entry.digest.as_deref().map(|d| d.strip_prefix("sha256:").unwrap_or(d)).filter(|d| !d.is_empty());
    let sha256 = digest.map(str::parse).transpose().map_err(|_| IndexError::Lacks("no valid SHA-256"))?;
    let url = entry.urls.first().ok_or(IndexError::Lacks("no address"))?;
    // The address may be relative to the index.
    let index = reqwest::Url::parse(&format!("{}/", chart.repository));
    let url = index.and_then(|index| index.join(url)).map_err(|_| IndexError::Lacks("no valid address"))?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(IndexError::Lacks("no address by http or https, but one of another kind,"));
    }
    // Neither a hash nor TLS would say whose archive it is.
    if sha256.is_none() && url.scheme() == "http" && chart.repository.starts_with("https:") {
        return Err(IndexError::Lacks("no SHA-256, and an address without TLS,"));
    }
    Ok(Found { url: url.into(), sha256 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    fn chart(name: &str, version: &str) -> ChartRef {
        let (name, version) = (name.to_owned(), version.to_owned());
        ChartRef { name, version, repository: "https://charts.example/stable".to_owned() }
    }

    fn index() -> String {
        format!(
            "apiVersion: v1\nentries:\n  one:\n  - apiVersion: v2\n    created: \"2023-01-01T00:00:00Z\"\n    \
             digest: {HASH}\n    name: one\n    urls:\n    - https://elsewhere.example/one-1.2.0.tgz\n    version: 1.2.0\n  \
             - digest: {HASH}\n    urls: [charts/one-1.1.0.tgz]\n    version: v1.1.0\n  two:\n  - urls: [/two.tgz]\n    digest: ''\n    version: 1.0.0\n  \
             - digest: nonsense\n    urls: [two.tgz]\n    version: 0.9.1\n  - digest: {HASH}\n    version: 0.9.0\ngenerated: \"2023-01-01T00:00:00Z\"\n"
        )
    }

    #[test]
    fn an_archive_is_found_by_name_and_version() {
        let found = find(index().as_bytes(), &chart("one", "1.2.0")).unwrap();
        assert_eq!(found, Found { url: "https://elsewhere.example/one-1.2.0.tgz".into(), sha256: HASH.parse().ok() });
        let relative = find(index().as_bytes(), &chart("one", "1.1.0")).unwrap();
        assert_eq!(relative.url, "https://charts.example/stable/charts/one-1.1.0.tgz");
        let bare = find(index().as_bytes(), &chart("two", "1.0.0")).unwrap();
        assert_eq!(bare, Found { url: "https://charts.example/two.tgz".into(), sha256: None });
    }

    #[test]
    fn what_is_not_there_is_told() {
        let error = |text: &str, name, version| find(text.as_bytes(), &chart(name, version)).unwrap_err().to_string();
        assert_eq!(error(&index(), "three", "1.0.0"), "it has no chart of this name");
        assert!(error(&index(), "one", "1.3.0").ends_with("the newest ones: 1.2.0, v1.1.0"));
        assert!(error(&index(), "two", "0.9.1").contains("no valid SHA-256"));
        assert!(error(&index(), "two", "0.9.0").contains("no address"));
        let registry = index().replace("https://elsewhere", "oci://elsewhere");
        assert!(error(&registry, "one", "1.2.0").contains("no address by http or https"));
        assert!(error("<html>", "one", "1.0.0").contains("not an index of a chart repository: line 1: "));
        assert!(
            error("entries: 7\n", "one", "1.0.0")
                .contains("not an index of a chart repository: line 1: a set of fields")
        );
        let open = index().replace("[/two.tgz]", "['http://elsewhere.example/two.tgz']");
        assert!(error(&open, "two", "1.0.0").contains("no SHA-256, and an address without TLS"));
        assert!(find(&[0xff], &chart("one", "1")).is_err());
    }
}
