//! Names and addresses of a release's files.

use std::path::PathBuf;

use super::{FirstBoot, K3sError, K3sSource, Why, local};
use crate::lab::K3sRelease;
use crate::names;
use labimg_debian::lock::mirror;
use labimg_store::StoreError;
use labimg_store::http::shown;
use labimg_tree::Content;
use labimg_tree::hash::Sha256;

/// One release for one architecture.
#[derive(Debug, Clone)]
pub(super) struct Release {
    pub(super) version: String,
    pub(super) architecture: String,
    /// Without a `/` at its end.
    base: String,
    /// Where the checksums come from: a mirror that is asked without TLS cannot vouch for its own files.
    sums_base: String,
    /// The name of what is meant among the release's files: the program or [`Release::images`].
    pub(super) file: &'static str,
    /// What to call it.
    pub(super) what: &'static str,
    images: &'static str,
    sums: &'static str,
}

impl Release {
    /// Checks version, address and architecture.
    pub(super) fn new(source: &K3sSource, architecture: &str) -> Result<Self, K3sError> {
        let K3sSource { version, url } = source;
        if K3sRelease::parse(version).is_none() {
            return Err(K3sError::Version(version.clone()));
        }
        let base = url.trim_end_matches('/');
        if names::mirror_fault(base).is_some() {
            return Err(K3sError::Url(shown(url)));
        }
        let sums_base = if is_open(base) { super::DEFAULT_URL } else { base };
        // As the release page of the project names them.
        let (file, images, sums) = match architecture {
            "arm64" => ("k3s-arm64", "k3s-airgap-images-arm64.tar.zst", "sha256sum-arm64.txt"),
            "amd64" => ("k3s", "k3s-airgap-images-amd64.tar.zst", "sha256sum-amd64.txt"),
            "armhf" => ("k3s-armhf", "k3s-airgap-images-arm.tar.zst", "sha256sum-arm.txt"),
            other => return Err(K3sError::Architecture(other.to_owned())),
        };
        let (version, architecture) = (version.clone(), architecture.to_owned());
        let (base, sums_base) = (base.to_owned(), sums_base.to_owned());
        Ok(Self { version, architecture, base, sums_base, file, what: "k3s", images, sums })
    }

    /// The container images of the same release, as k3s imports them, in place of the program.
    pub(super) fn images(self) -> Self {
        Self { file: self.images, what: "k3s-images", ..self }
    }

    /// Where the program or the images lie; may hold a password.
    pub(super) fn file_url(&self) -> String {
        self.url(&self.base, self.file)
    }

    /// Where the checksums lie; may hold a password.
    pub(super) fn sums_url(&self) -> String {
        self.url(&self.sums_base, self.sums)
    }

    fn url(&self, base: &str, file: &str) -> String {
        // A plain `+` would be read as a space by some servers.
        format!("{base}/{}/{file}", self.version.replace('+', "%2B"))
    }

    /// Whether the mirror is asked without TLS, so that anybody on the way can answer in its place.
    pub(super) fn is_open(&self) -> bool {
        is_open(&self.base)
    }

    /// The address of the releases for messages.
    pub(super) fn shown(&self) -> String {
        shown(&self.base)
    }

    /// Checks that what was downloaded is what its name says: a checksum file may name anything, an empty file too.
    pub(super) fn check(&self, content: &Content) -> Result<(), K3sError> {
        let of_images = self.file == self.images;
        let other = if of_images { local::no_archive(content) } else { local::no_program(content, &self.architecture) };
        match other.map_err(|source| K3sError::Entry { version: self.version.clone(), source })? {
            None => Ok(()),
            Some(what) => Err(K3sError::Other { version: self.version.clone(), url: shown(&self.file_url()), what }),
        }
    }

    /// The error when the cache or a download fails. `remembered` is where its checksum came from, if from an earlier build.
    pub(super) fn failed(&self, source: StoreError, remembered: Option<PathBuf>) -> K3sError {
        K3sError::Store { version: self.version.clone(), source, remembered }
    }

    /// What the node is to do.
    pub(super) fn first_boot(&self, sha256: Option<Sha256>, why: Why) -> FirstBoot {
        let url = mirror::for_nodes(&self.base, super::DEFAULT_URL);
        FirstBoot { version: self.version.clone(), url, sha256, why }
    }
}

/// Whether an address is asked without TLS, and not on this computer.
fn is_open(base: &str) -> bool {
    base.starts_with("http://") && !mirror::is_on_this_computer(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;

    fn release(version: &str, url: &str, architecture: &str) -> Result<Release, K3sError> {
        Release::new(&K3sSource { version: version.to_owned(), url: url.to_owned() }, architecture)
    }

    #[test]
    fn addresses_are_those_of_the_release_page() {
        let release = Release::new(&K3sSource::default(), "arm64").unwrap();
        let base = "https://github.com/k3s-io/k3s/releases/download/v1.36.5%2Bk3s1";
        assert_eq!(release.file_url(), format!("{base}/k3s-arm64"));
        assert_eq!(release.sums_url(), format!("{base}/sha256sum-arm64.txt"));
        assert_eq!(release.images().file_url(), format!("{base}/k3s-airgap-images-arm64.tar.zst"));
    }

    #[test]
    fn each_architecture_has_its_own_names() {
        for (architecture, file, sums) in [
            ("amd64", "/k3s", "/sha256sum-amd64.txt"),
            ("armhf", "/k3s-armhf", "/sha256sum-arm.txt"),
            ("arm64", "/k3s-arm64", "/sha256sum-arm64.txt"),
        ] {
            let release = release("v1.36.5+k3s1", "http://m.example/k3s/", architecture).unwrap();
            assert_eq!(release.file_url(), format!("http://m.example/k3s/v1.36.5%2Bk3s1{file}"));
            // What comes without TLS is proven by what comes with it.
            assert_eq!(release.sums_url(), format!("{}/v1.36.5%2Bk3s1{sums}", super::super::DEFAULT_URL));
            let release = super::tests::release("v1.36.5+k3s1", "https://m.example/k3s/", architecture).unwrap();
            assert_eq!(release.sums_url(), format!("https://m.example/k3s/v1.36.5%2Bk3s1{sums}"));
            let release = super::tests::release("v1.36.5+k3s1", "http://127.0.0.1:1/k3s", architecture).unwrap();
            assert_eq!(release.sums_url(), format!("http://127.0.0.1:1/k3s/v1.36.5%2Bk3s1{sums}"));
        }
        let error = release("v1.36.5+k3s1", "http://m.example", "riscv64").unwrap_err();
        assert!(error.to_string().contains("riscv64"), "{error}");
    }

    #[test]
    fn versions_and_addresses_are_checked() {
        for good in ["v1.36.5+k3s1", "v1.37.0-rc1+k3s2", "v1.0.0+k3s10"] {
            assert!(release(good, super::super::DEFAULT_URL, "arm64").is_ok(), "{good}");
        }
        for bad in [
            "",
            "1.36.5+k3s1",
            "v1.36.5",
            "v1.36+k3s1",
            "v1.36.5+k3s",
            "v1..5+k3s1",
            "v1.3.5-+k3s1",
            "v1.3.5+k3s1/../x",
        ] {
            let error = release(bad, super::super::DEFAULT_URL, "arm64").unwrap_err();
            assert!(one_line(&error).contains("v1.36.5+k3s1"), "{bad}: {error}");
        }
        for bad in ["", "ftp://x.example", "https://", "https://x.example/a b", "https://x.example/?a", "https://x/'"] {
            assert!(matches!(release("v1.36.5+k3s1", bad, "arm64"), Err(K3sError::Url(_))), "{bad}");
        }
    }

    #[test]
    fn a_node_gets_no_password_and_no_address_of_this_computer() {
        let first = |url: &str| release("v1.36.5+k3s1", url, "arm64").unwrap().first_boot(None, Why::Asked).url;
        assert_eq!(first("https://u:secret@m.example/k3s"), "https://m.example/k3s");
        assert_eq!(first("http://127.0.0.1:8000/k3s"), super::super::DEFAULT_URL);
        assert_eq!(first("http://10.0.2.2:8000/k3s/"), "http://10.0.2.2:8000/k3s");
    }
}
