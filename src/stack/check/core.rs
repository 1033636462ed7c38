//! Kubernetes' own kinds, strictly: the API server drops fields that it does not know without an error that anybody sees.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::finding::Finding;
use super::shape::{Fields, Shape, Types, misfits};
use super::subject::{Deployed, Owner, Subject};
use labimg_tree::suggest::{did_you_mean, nearest_of_many};

/// The fields of all kinds, as `scripts/kinds` writes them.
const TABLE: &str = include_str!("kinds.txt");

/// The same for those of k3s, which are in every cluster of labimg.
const OF_K3S: &str = include_str!("k3s.txt");

/// Type of the metadata of every object.
pub(super) const METADATA: &str = "meta.v1.ObjectMeta";

/// Kubernetes' own kinds.
#[derive(Debug, Default)]
#[expect(clippy::struct_field_names, reason = "they are kinds")]
pub(super) struct Kinds {
    /// Minor version of the Kubernetes that has them.
    minor: u32,
    /// `apps/v1/Deployment` → its type.
    kinds: BTreeMap<String, String>,
    /// The types.
    pub(super) types: Types,
}

static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let mut kinds = parse(TABLE);
    let of_k3s = parse(OF_K3S);
    kinds.kinds.extend(of_k3s.kinds);
    kinds.types.extend(of_k3s.types);
    kinds
});

/// Kubernetes' own kinds.
pub(super) fn kinds() -> &'static Kinds {
    &KINDS
}

fn parse(table: &str) -> Kinds {
    let mut kinds = Kinds::default();
    let mut lines = table.lines().filter(|line| !line.starts_with('#')).peekable();
    if let Some(version) = lines.next_if(|line| line.starts_with("kubernetes ")) {
        kinds.minor = minor(version).unwrap_or_default();
    }
    for (kind, name) in lines.by_ref().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(' ')) {
        kinds.kinds.insert(kind.to_owned(), name.to_owned());
    }
    for line in lines {
        let mut words = line.split(' ');
        let Some(name) = words.next() else { continue };
        let mut fields = Fields::default();
        for (field, shape) in words.filter_map(|word| word.split_once(':')) {
            let field =
                field.strip_suffix('!').inspect(|field| fields.required.push((*field).to_owned())).unwrap_or(field);
            fields.fields.insert(field.to_owned(), self::shape(shape));
        }
        kinds.types.insert(name.to_owned(), fields);
    }
    kinds
}

fn shape(word: &str) -> Shape {
    let inner = |open: char, close: char| word.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
    if let Some(inner) = inner('[', ']') {
        return Shape::List(Box::new(shape(inner)));
    }
    if let Some(inner) = inner('{', '}') {
        return Shape::Map(Box::new(shape(inner)));
    }
    match word {
        "s" => Shape::Text,
        "i" => Shape::Whole,
        "n" => Shape::Number,
        "b" => Shape::Boolean,
        "q" | "x" => Shape::NumberOrText,
        "o" => Shape::Any,
        name => Shape::Named(name.to_owned()),
    }
}

/// The second number of a version: 36 of `v1.36.5+k3s1`.
fn minor(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').nth(1)?.parse().ok()
}

/// Whether a group is one of Kubernetes itself, or of k3s.
pub(super) fn is_core(group: &str) -> bool {
    !group.contains('.') || kinds().kinds.keys().any(|kind| kind.split('/').next() == Some(group))
}

/// What Kubernetes would not take, or not as it is meant.
pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    // What is new in a later Kubernetes than that of the table is not known: the user is told, and not stopped.
    let is_newer = minor(subject.cluster.k3s).is_some_and(|minor| minor > kinds().minor);
    let objects = subject.objects.iter().filter(|deployed| is_core(deployed.object.group()));
    let found = objects.flat_map(of_object);
    found.map(|finding| if is_newer { Finding { owner: Owner::Manifest, ..finding } } else { finding }).collect()
}

fn of_object(deployed: &Deployed) -> Vec<Finding> {
    let object = &deployed.object;
    let wanted = format!("{}/{}", object.api_version, object.kind);
    let Some(name) = kinds().kinds.get(&wanted) else {
        let of_kind = kinds().kinds.keys().filter(|known| known.ends_with(&format!("/{}", object.kind)));
        let versions: Vec<String> =
            of_kind.filter_map(|known| known.rsplit_once('/')).map(|(version, _)| version.to_owned()).collect();
        let group = format!("{}/", object.api_version);
        let others = kinds().kinds.keys().filter_map(|known| known.strip_prefix(&group));
        let near = if versions.is_empty() { nearest_of_many(&object.kind, others) } else { versions };
        let what = format!("Kubernetes has no kind {} in {}", object.kind, object.api_version);
        return vec![Finding::of(deployed, "kind", what).help(did_you_mean(&near))];
    };
    let found = misfits(&object.value, &Shape::Named(name.clone()), &kinds().types);
    found.into_iter().map(|misfit| Finding::of(deployed, misfit.path, misfit.what).help(misfit.help)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let Kinds { minor, kinds, types } = kinds();
        assert!(*minor >= 37 && kinds.len() > 90, "{minor} {}", kinds.len());
        assert!(TABLE.len() < 300_000);
        let mut named: Vec<&String> = kinds.values().collect();
        let mut shapes: Vec<&Shape> = types.values().flat_map(|fields| fields.fields.values()).collect();
        while let Some(shape) = shapes.pop() {
            match shape {
                Shape::List(inner) | Shape::Map(inner) => shapes.push(inner),
                Shape::Named(name) => named.push(name),
                _ => {}
            }
        }
        assert!(named.iter().all(|name| types.contains_key(*name)));
        assert!(types.contains_key(METADATA));
        for fields in types.values() {
            assert!(fields.required.iter().all(|name| fields.fields.contains_key(name)));
        }
    }

    #[test]
    fn groups_of_others_are_told_from_those_of_kubernetes() {
        for group in ["", "apps", "batch", "networking.k8s.io", "apiextensions.k8s.io", "helm.cattle.io"] {
            assert!(is_core(group), "{group}");
        }
        for group in ["cert-manager.io", "gateway.networking.k8s.io", "snapshot.storage.k8s.io"] {
            assert!(!is_core(group), "{group}");
        }
    }
}
