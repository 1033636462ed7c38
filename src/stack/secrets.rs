//! The Secrets that components want, as objects for k3s. They go by the master's seed alone.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Chosen, Stack, yaml};
use crate::manifests::ManifestError;
use crate::manifests::component::{CaPart, SecretFront, SecretValue};
use crate::secrets::{Secret, StackNames, StackSecrets};

/// The file with all Secrets, which leaves the node when it was applied.
pub const SECRETS: &str = "labimg-secrets.yaml";

/// The key in the Secret for which a chart waits.
pub(super) const BARRIER_KEY: &str = "values.yaml";

/// In place of a secret that is not shown.
const MASK: &str = "********";

/// The Secret for which a component's chart waits.
pub(super) fn barrier(component: &str) -> String {
    format!("stack-{component}")
}

/// The Secrets that a component wants beside these others.
pub(super) fn wanted<'c>(chosen: &'c Chosen, stack: &'c Stack) -> impl Iterator<Item = &'c SecretFront> {
    let secrets = chosen.component.front.secrets.iter();
    secrets.filter(|secret| {
        secret.with.as_ref().is_none_or(|other| stack.has(other))
            && !secret.without.as_ref().is_some_and(|other| stack.has(other))
    })
}

/// Where a password or key is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsedIn {
    /// The component whose Secret it is in.
    pub component: String,
    /// The Secret, as `namespace/name`.
    pub secret: String,
    /// The key in it.
    pub key: String,
    /// What a new value does not reach by itself, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<String>,
}

impl Stack {
    /// Where the password or key of this name is used.
    #[must_use]
    pub fn uses_of(&self, name: &str) -> Vec<UsedIn> {
        let mut uses = Vec::new();
        for chosen in self.components() {
            for (front, (key, value)) in
                wanted(chosen, self).flat_map(|front| front.data.iter().map(move |d| (front, d)))
            {
                if matches!(value, SecretValue::Password(used) | SecretValue::Cookie(used) if used == name) {
                    uses.push(UsedIn {
                        component: chosen.name().to_owned(),
                        secret: format!("{}/{}", front.namespace, front.name),
                        key: key.clone(),
                        rotation: front.rotation.clone(),
                    });
                }
            }
        }
        uses
    }

    /// The secrets that all components want.
    #[must_use]
    pub fn secret_names(&self) -> StackNames {
        let mut names = StackNames::default();
        let secrets = self.components().iter().flat_map(|chosen| wanted(chosen, self));
        for value in secrets.flat_map(|secret| secret.data.values()) {
            match value {
                SecretValue::Password(name) => names.passwords.insert(name.clone()),
                SecretValue::Cookie(name) => names.cookies.insert(name.clone()),
                SecretValue::Ca(_) => std::mem::replace(&mut names.authority, true),
                SecretValue::Text(_) => false,
            };
        }
        names
    }
}

/// The file with the Secrets of all components; `None` when they want none. Without `secrets` the values are masked.
///
/// # Errors
/// A secret that was not made.
pub fn secret_objects(stack: &Stack, secrets: Option<&StackSecrets>) -> Result<Option<String>, ManifestError> {
    let objects = objects(stack, secrets, Missing::IsAnError)?;
    if objects.is_empty() {
        return Ok(None);
    }
    yaml::documents("secrets", &objects).map(Some)
}

/// The Secrets of all components as objects; a value that was not made yet is masked.
///
/// # Errors
/// None that input can cause.
pub fn secrets_so_far(stack: &Stack, secrets: &StackSecrets) -> Result<Vec<Value>, ManifestError> {
    objects(stack, Some(secrets), Missing::IsMasked)
}

/// What is done about a secret that was not made.
#[derive(Clone, Copy, PartialEq)]
enum Missing {
    IsAnError,
    IsMasked,
}

fn objects(stack: &Stack, secrets: Option<&StackSecrets>, missing: Missing) -> Result<Vec<Value>, ManifestError> {
    let mut objects = Vec::new();
    for chosen in stack.components() {
        let mut has_any = false;
        for front in wanted(chosen, stack) {
            has_any = true;
            let mut data = BTreeMap::new();
            for (key, value) in &front.data {
                data.insert(key.as_str(), of(value, secrets, missing, chosen)?);
            }
            let mut metadata = json!({ "name": front.name, "namespace": front.namespace });
            if !front.labels.is_empty() {
                metadata["labels"] = json!(front.labels);
            }
            objects.push(json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": front.kind, "stringData": data,
            }));
        }
        if has_any && chosen.chart().is_some() {
            objects.push(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": { "name": barrier(chosen.name()), "namespace": "kube-system" },
                "stringData": { BARRIER_KEY: "{}" },
            }));
        }
    }
    Ok(objects)
}

/// The text of a value.
fn of(
    value: &SecretValue,
    secrets: Option<&StackSecrets>,
    missing: Missing,
    chosen: &Chosen,
) -> Result<Value, ManifestError> {
    if let SecretValue::Text(text) = value {
        return Ok(text.as_str().into());
    }
    let Some(secrets) = secrets else { return Ok(MASK.into()) };
    let found = match value {
        SecretValue::Text(text) => Some(text.as_str()),
        SecretValue::Password(name) | SecretValue::Cookie(name) => secrets.value(name).map(Secret::expose),
        SecretValue::Ca(CaPart::Certificate) => secrets.authority().map(|(certificate, _)| certificate),
        SecretValue::Ca(CaPart::Key) => secrets.authority().map(|(_, key)| key.expose()),
    };
    let found = found.or((missing == Missing::IsMasked).then_some(MASK));
    found.map(Value::from).ok_or_else(|| ManifestError::Render {
        name: chosen.name().to_owned(),
        what: "one of its secrets was not made".to_owned(),
        source: None,
        is_own: false,
    })
}
