//! What differs between two sets of versioned things: locks, images.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// A version of something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Version {
    /// The version number.
    pub version: String,
    /// Size in bytes: of the download in a lock, on disk in an image.
    pub size: u64,
}

/// Something that differs between both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Package name, or `k3s (arm64)`.
    pub name: String,
    /// Versions that only the older set has; empty for something new.
    pub from: Vec<Version>,
    /// Versions that only the newer set has; empty for something removed.
    pub to: Vec<Version>,
}

/// Things by name.
pub type Versions = BTreeMap<String, BTreeSet<Version>>;

/// The differences, by name.
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
