//! A trial: the API tells what each object would become, and keeps nothing of it.

use serde::Serialize;

use super::compare::{self, Change};
use super::discovery::{self, Kinds};
use super::{Charts, Key, Object, complaint, left_over, patched, unknown_kind};
use crate::kube::{Client, KubeError};
use labimg_tree::progress::{Progress, Unit};

/// What would happen to an object.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Found {
    /// Nothing.
    Same,
    /// It would be made.
    New,
    /// It would change.
    Changed {
        /// At these places.
        changes: Vec<Change>,
    },
    /// The cluster does not have its kind yet.
    Waits {
        /// Where the kind comes from.
        why: String,
    },
    /// The cluster would not take it.
    Refused {
        /// What the API says.
        why: String,
    },
}

/// An object, and what would happen to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The object.
    #[serde(flatten)]
    pub key: Key,
    /// What would happen.
    #[serde(flatten)]
    pub found: Found,
    /// What the API warns of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What would happen to each object.
///
/// # Errors
/// How far the connection got.
pub fn diff(
    client: &Client,
    objects: &[Object],
    charts: &Charts,
    progress: &dyn Progress,
) -> Result<Vec<Difference>, KubeError> {
    let phase = progress.phase("Comparing", objects.len() as u64, Unit::Items);
    let mut kinds = Kinds::new(client);
    let namespaces: Vec<&str> =
        objects.iter().filter(|o| o.key.kind == "Namespace").map(|o| o.key.name.as_str()).collect();
    let mut found = Vec::with_capacity(objects.len());
    for object in objects {
        found.push(one(client, object, &mut kinds, charts, &namespaces)?);
        phase.inc(1);
    }
    Ok(found)
}

fn one(
    client: &Client,
    object: &Object,
    kinds: &mut Kinds<'_>,
    charts: &Charts,
    namespaces: &[&str],
) -> Result<Difference, KubeError> {
    let mut object = object.clone();
    let mut warnings = Vec::new();
    let Some(resource) = kinds.find(&object.key.api_version, &object.key.kind)? else {
        let found = Found::Waits { why: unknown_kind(&object.key, charts) };
        return Ok(Difference { key: object.key, found, warnings });
    };
    object.settle(&resource);
    let path = discovery::path(&object.key, &resource);
    let found = match discovery::live(client, &path)? {
        Err(why) => Found::Refused { why },
        Ok(live) => {
            let answer = patched(client, &path, &object, true)?;
            warnings.clone_from(&answer.warnings);
            let comes_too = object.key.namespace.as_deref().is_some_and(|name| namespaces.contains(&name));
            match live {
                // Its namespace would be made before it.
                None if answer.status == 404 && comes_too => Found::New,
                _ if !answer.is_good() => Found::Refused { why: complaint(&object.key, &answer) },
                None => Found::New,
                Some(live) => {
                    let mut after = answer.body;
                    let gone = left_over::left_over(&after, object.value());
                    left_over::remove(&mut after, &gone);
                    let changes = compare::changes(&object.key, &live, &after);
                    if changes.is_empty() { Found::Same } else { Found::Changed { changes } }
                }
            }
        }
    };
    Ok(Difference { key: object.key, found, warnings })
}
