//! What differs between two sets of versioned things: locks, images.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// A version of something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Version {
    /// Its version.
    pub version: String,
    /// Its size in bytes: of the download in a lock, on the disk in an image.
    pub size: u64,
}

/// Something that is not the same in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Package name, or `k3s (arm64)`.
    pub name: String,
    /// Versions that only the older set has; none for what is new.
    pub from: Vec<Version>,
    /// Versions that only the newer set has; none for what is gone.
    pub to: Vec<Version>,
}

/// Things by name.
pub type Versions = BTreeMap<String, BTreeSet<Version>>;

/// What changes, by name.
#[must_use]
pub fn between(old: &Versions, new: &Versions) -> Vec<Change> {
    let none = BTreeSet::new();
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    names
        .into_iter()
        .filter_map(|name| {
            let (old, new) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
            let change = Change {
                name: name.clone(),
                from: old.difference(new).cloned().collect(),
                to: new.difference(old).cloned().collect(),
            };
            (!change.from.is_empty() || !change.to.is_empty()).then_some(change)
        })
        .collect()
}
