//! What a running cluster would get that differs from what it has, and giving it: server-side apply (Kubernetes:
//! "Server-Side Apply") of the lab's objects, for a trial ([`diff`]) or for good ([`apply`]), and what the lab no longer has
//! ([`gone`]).

mod compare;
mod differ;
mod discovery;
mod gone;
mod left_over;
mod object;
mod run;

use std::collections::BTreeMap;

use super::{Answer, Client, KubeError, Verb};

pub use compare::Change;
pub use differ::{Difference, Found, diff};
pub use discovery::{Kinds, Resource};
pub use gone::{AddOns, Gone, GoneObjects, Origin, announce, delete, gone, remember};
pub use object::{Key, Object};
pub use run::{Applied, Done, Report, apply};

/// The manager of what labimg applies.
const MANAGER: &str = "labimg";

/// API group → the chart that brings its kinds.
pub type Charts = BTreeMap<String, String>;

/// Why an object of this kind cannot be there yet.
fn unknown_kind(key: &Key, charts: &Charts) -> String {
    let Key { api_version, kind, .. } = key;
    match charts.get(key.group()) {
        Some(chart) => format!("its kind {kind} ({api_version}) comes with the chart {chart}"),
        None => format!("the cluster has no kind {kind} ({api_version})"),
    }
}

/// Applies an object, with all fields that it names. Fields that the API does not know are told as warnings, as far as it
/// takes them at all.
fn patched(client: &Client, path: &str, object: &Object, trial: bool) -> Result<Answer, KubeError> {
    let trial = if trial { "&dryRun=All" } else { "" };
    let path = format!("{path}?fieldManager={MANAGER}&force=true&fieldValidation=Warn{trial}");
    client.send(Verb::Apply, &path, Some(object.value()))
}

/// What the API says is wrong with an object; nothing of a Secret, which it may quote.
fn complaint(key: &Key, answer: &Answer) -> String {
    if key.is_secret() { format!("status {}", answer.status) } else { answer.message() }
}
