//! The hand-written parts of maintainer scripts that labimg knows, by hash, and what they do on a fresh install.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::super::ConfigureError;
use super::Action;
use super::script::{KERNEL_PACKAGES, kernel_abi};

/// One script's hand-written part.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// Package name; `linux-image-*` stands for the kernels.
    pub package: String,
    /// `preinst`, `postinst` or `config`.
    pub script: String,
    /// SHA-256 of the normalised part; several when versions or architectures differ only in ways that do not matter.
    pub sha256: Vec<String>,
    /// What it does, or why it does nothing.
    #[allow(dead_code, reason = "read by people")]
    pub reason: String,
    /// What is done instead, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// A step that replaces a hand-written part.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Step {
    /// Taken from the script itself.
    Script(FromScript),
    /// Given in the table.
    Action(Action),
}

/// What a step takes from the script.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum FromScript {
    /// The actions of debhelper's sections. Without this step they come after all others.
    Sections,
    /// All its `update-alternatives --install` commands.
    Alternatives,
    /// What `ca-certificates` creates, with the first lines of its list from the script.
    Certificates,
    /// A here-document, written to a file if missing.
    HereDocument {
        /// The file that the script redirects it to.
        path: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    known: Vec<Known>,
}

/// The scripts by package and script name.
type Index = BTreeMap<(String, String), Vec<Known>>;

/// The table's entry for a script's hand-written part.
///
/// # Errors
/// When the compiled-in table cannot be read.
pub(crate) fn find(package: &str, script: &str, sha256: &str) -> Result<Option<&'static Known>, ConfigureError> {
    static INDEX: OnceLock<Result<Index, toml::de::Error>> = OnceLock::new();
    let index = INDEX.get_or_init(load).as_ref().map_err(ConfigureError::Table)?;
    let family =
        || KERNEL_PACKAGES.iter().find(|prefix| package.starts_with(**prefix)).map(|prefix| format!("{prefix}*"));
    let package = kernel_abi(package).and_then(|_| family()).unwrap_or_else(|| package.to_owned());
    let entries = index.get(&(package, script.to_owned()));
    Ok(entries.and_then(|known| known.iter().find(|k| k.sha256.iter().any(|h| h == sha256))))
}

fn load() -> Result<Index, toml::de::Error> {
    let table: Table = toml::from_str(include_str!("known.toml"))?;
    let mut index = Index::new();
    for known in table.known {
        index.entry((known.package.clone(), known.script.clone())).or_default().push(known);
    }
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_well_formed() {
        let index = load().unwrap();
        for known in index.values().flatten() {
            let name = format!("{} {}", known.package, known.script);
            assert!(!known.reason.is_empty(), "{name} needs a reason");
            assert!(matches!(known.script.as_str(), "preinst" | "postinst" | "config"), "{name}");
            for hash in &known.sha256 {
                assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{name}: {hash}");
            }
        }
    }
}
