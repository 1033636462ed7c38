//! Checks of all that the cluster would get, before it gets it: a mistake here is a crash loop there, at night.
//!
//! | file | what it checks | what it needs |
//! |---|---|---|
//! | `core.rs` | Kubernetes' own kinds, field by field | nothing |
//! | `references.rs` | names of objects, namespaces and hosts | nothing |
//! | `values.rs` | values of charts, key by key | the chart |
//! | `custom.rs` | custom resources, field by field | the chart that brings the kind |

mod core;
mod custom;
mod finding;
mod helm;
mod names;
mod references;
mod schema;
mod shape;
mod subject;
mod uses;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::charts::{ChartContent, ChartRef};

pub use finding::{CheckError, Finding, judged};
pub use subject::{Owner, Subject};

/// What needs nothing but the manifests: Kubernetes' own kinds, names and addresses.
#[must_use]
pub fn offline(subject: &Subject<'_>) -> Vec<Finding> {
    let mut found = core::check(subject);
    found.extend(references::check(subject));
    found
}

/// Charts with what is in them.
pub type Contents = BTreeMap<ChartRef, ChartContent>;

/// What was not checked, since no chart at hand says what is right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Unchecked {
    /// Charts whose values were not checked.
    pub values_of: BTreeSet<String>,
    /// Kinds whose objects were not checked.
    pub kinds: BTreeSet<String>,
}

impl Unchecked {
    /// Whether everything was checked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values_of.is_empty() && self.kinds.is_empty()
    }
}

impl fmt::Display for Unchecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let values = (!self.values_of.is_empty()).then(|| format!("values of {}", names(&self.values_of)));
        let kinds = (!self.kinds.is_empty()).then(|| names(&self.kinds));
        f.write_str(&values.into_iter().chain(kinds).collect::<Vec<_>>().join("; "))
    }
}

/// What checks that need charts found.
#[derive(Debug, Default)]
pub struct WithCharts {
    /// Mistakes.
    pub found: Vec<Finding>,
    /// What was not checked.
    pub unchecked: Unchecked,
}

/// What needs charts: their values, and custom resources.
#[must_use]
pub fn with_charts(subject: &Subject<'_>, charts: &Contents) -> WithCharts {
    let mut unchecked = Unchecked::default();
    let mut found = values::check(subject, charts, &mut unchecked);
    found.extend(custom::check(subject, charts, &mut unchecked));
    WithCharts { found, unchecked }
}

#[cfg(test)]
mod tests;
