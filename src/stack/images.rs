//! Container images that components run when the user's values change them.

use serde_json::{Map, Value};

use super::{Chosen, Stack};
use crate::containers::ImageName;

/// The container images of a stack, and what is not known of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StackImages {
    /// All images.
    pub images: Vec<ImageName>,
    /// What labimg cannot know, as sentences.
    pub unknown: Vec<String>,
}

impl Stack {
    /// The container images that run for it: those of the components, and those in the user's values.
    #[must_use]
    pub fn images(&self) -> StackImages {
        let mut all = StackImages::default();
        for chosen in self.components() {
            all.images.extend(chosen.component.front.images.iter().cloned());
            of_values(chosen, &mut all);
            let ours = chosen.component.front.chart.as_ref().and_then(|chart| chart.version.as_deref());
            if let Some(version) = chosen.settings.version.as_deref().filter(|version| Some(*version) != ours) {
                all.unknown.push(format!(
                    "{}: labimg knows the images of its chart {}, not of {version}; name them in `k3s.images`",
                    chosen.name(),
                    ours.unwrap_or_default()
                ));
            }
        }
        all.images.sort();
        all.images.dedup();
        all
    }
}

/// Images in the values that the user sets for a component.
fn of_values(chosen: &Chosen, all: &mut StackImages) {
    let settings = &chosen.settings;
    for values in [&settings.from_file, &settings.values] {
        for (key, value) in values {
            walk(chosen, key, key, value, all);
        }
    }
}

fn walk(chosen: &Chosen, path: &str, key: &str, value: &Value, all: &mut StackImages) {
    let is_image = key == "image" || key.ends_with("Image");
    match value {
        Value::String(name) if is_image => add(chosen, path, name, all),
        Value::Object(map) if is_image && ["repository", "tag", "registry"].iter().any(|k| map.contains_key(*k)) => {
            match name(map) {
                Some(name) => add(chosen, path, &name, all),
                None => all.unknown.push(format!(
                    "{}: `{path}` names only a part of an image; name it in `k3s.images`, or write repository and tag",
                    chosen.name()
                )),
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                walk(chosen, &format!("{path}.{key}"), key, value, all);
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(chosen, path, key, item, all);
            }
        }
        _ => {}
    }
}

/// The name that the usual fields of a chart's image make.
fn name(map: &Map<String, Value>) -> Option<String> {
    let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let repository = text("repository")?;
    let registry = text("registry").map(|registry| format!("{registry}/")).unwrap_or_default();
    let tag = text("tag").map(|tag| format!(":{tag}"));
    let digest = text("digest").map(|digest| format!("@{digest}"));
    (tag.is_some() || digest.is_some())
        .then(|| format!("{registry}{repository}{}{}", tag.unwrap_or_default(), digest.unwrap_or_default()))
}

fn add(chosen: &Chosen, path: &str, name: &str, all: &mut StackImages) {
    match ImageName::in_a_pod(name) {
        Ok(name) => all.images.push(name),
        Err(bad) => all.unknown.push(format!("{}: `{path}`: {bad}", chosen.name())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::lab::{Lab, StackComponent};
    use crate::parts::Parts;
    use serde_json::json;

    fn images(values: &Value, version: Option<&str>) -> (Vec<String>, Vec<String>) {
        let values = values.as_object().unwrap().clone().into_iter().collect();
        let settings = StackComponent { values, version: version.map(str::to_owned), ..StackComponent::default() };
        let mut lab = Lab { name: "x".to_owned(), ..Lab::default() };
        lab.stack.components = BTreeMap::from([("nfs-storage".to_owned(), settings)]);
        let found = Stack::of(&lab, Parts::built_in().unwrap().components()).unwrap().images();
        (found.images.iter().map(ToString::to_string).collect(), found.unknown)
    }

    const OURS: &str = "registry.k8s.io/sig-storage/nfs-subdir-external-provisioner:v4.0.2";

    #[test]
    fn images_of_values_are_followed() {
        assert_eq!(images(&json!({}), None), (vec![OURS.to_owned()], vec![]));
        let values =
            json!({ "image": { "repository": "quay.io/me/it", "tag": "1" }, "side": [{ "image": "busybox" }] });
        assert_eq!(images(&values, None).0, ["docker.io/library/busybox:latest", "quay.io/me/it:1", OURS]);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let (_, unknown) = images(&json!({ "image": { "tag": "v5" } }), Some("5.0.0"));
        assert!(unknown[0].contains("`image` names only a part") && unknown[1].contains("not of 5.0.0"), "{unknown:?}");
        assert!(images(&json!({ "image": "A B" }), None).1[0].contains("`image`: "));
    }
}
