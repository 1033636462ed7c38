//! Custom resources, strictly: against the definitions in charts, and in the manifests themselves.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Unchecked;
use super::core::{self, METADATA};
use super::finding::Finding;
use super::schema::Schema;
use super::shape::{Fields, Shape, misfits};
use super::subject::Subject;
use labimg_tree::suggest::did_you_mean;

/// Group, version and kind → what its objects may look like.
type Definitions = BTreeMap<(String, String), Shape>;

/// What does not fit the definition of its kind. Kinds without one go to `unchecked`.
pub(super) fn check(subject: &Subject<'_>, charts: &super::Contents, unchecked: &mut Unchecked) -> Vec<Finding> {
    let mut known = Definitions::new();
    for definition in charts.values().flat_map(|chart| chart.all_definitions()) {
        add(definition, &mut known);
    }
    for deployed in subject.objects.iter().filter(|deployed| deployed.object.kind == "CustomResourceDefinition") {
        add(&deployed.object.value, &mut known);
    }
    let mut found = Vec::new();
    for deployed in subject.objects.iter().filter(|deployed| !core::is_core(deployed.object.group())) {
        let object = &deployed.object;
        let Some(shape) = known.get(&(object.api_version.clone(), object.kind.clone())) else {
            let of_group = known
                .keys()
                .filter(|(version, _)| version.rsplit_once('/').map_or("", |(group, _)| group) == object.group());
            let others: Vec<String> =
                of_group.filter(|(_, kind)| *kind == object.kind).map(|(version, _)| version.clone()).collect();
            if others.is_empty() {
                unchecked.kinds.insert(object.kind.clone());
            } else {
                let what = format!("there is no {} in {}", object.kind, object.api_version);
                found.push(Finding::of(deployed, "apiVersion", what).help(did_you_mean(&others)));
            }
            continue;
        };
        for misfit in misfits(&object.value, shape, &core::kinds().types) {
            found.push(Finding::of(deployed, misfit.path, misfit.what).help(misfit.help));
        }
    }
    found
}

/// The kinds of a definition, in all versions that the API server gives out.
fn add(definition: &Value, known: &mut Definitions) {
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str);
    let (Some(group), Some(kind)) = (text("/spec/group"), text("/spec/names/kind")) else { return };
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    for version in versions.filter(|version| version["served"] != false) {
        let Some(name) = version["name"].as_str() else { continue };
        let shape =
            version.pointer("/schema/openAPIV3Schema").map_or(Shape::Any, |schema| Schema::of_resource(schema).shape());
        known.insert((format!("{group}/{name}"), kind.to_owned()), with_metadata(shape));
    }
}

/// Every object has these fields, whatever its definition says of them.
fn with_metadata(shape: Shape) -> Shape {
    let Shape::Fields(mut fields) = shape else { return shape };
    for (name, shape) in [
        ("apiVersion", Shape::Text),
        ("kind", Shape::Text),
        ("metadata", Shape::Named(METADATA.to_owned())),
        ("status", Shape::Any),
    ] {
        fields.fields.insert(name.to_owned(), shape);
    }
    let Fields { fields, mut required, others } = fields;
    // Only a controller writes it.
    required.retain(|name| name != "status");
    Shape::Fields(Fields { fields, required, others })
}
