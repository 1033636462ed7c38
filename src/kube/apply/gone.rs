//! What a cluster has from labimg and the lab no longer has: objects of add-ons that came with the master's card, and objects
//! that `labimg stack apply` gave. What it gave is in a `ConfigMap` in the cluster.
//!
//! k3s names the add-on in an annotation of each object that it made from a file, and keeps the kinds of a file in one of the
//! add-on (`addon.k3s.cattle.io/gvks`: `apps/v1, Kind=Deployment;/v1, Kind=Secret`).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::discovery::{self, Kinds};
use super::{Key, Object, patched};
use crate::kube::{Client, KubeError, Verb};

/// Where k3s has its add-ons.
const ADDONS: &str = "/apis/k3s.cattle.io/v1/namespaces/kube-system/addons";

/// The folder of their files.
const FOLDER: &str = "/var/lib/rancher/k3s/server/manifests/";

/// What `labimg stack apply` gave.
const INVENTORY: &str = "labimg-applied";

/// Add-ons by where they come from.
#[derive(Debug, Clone, Default)]
pub struct AddOns {
    /// Those that labimg makes or made: of this lab, and of all components.
    pub ours: BTreeSet<String>,
    /// Those that k3s brings.
    pub k3s: BTreeSet<String>,
}

/// Where an object came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "lowercase")]
pub enum Origin {
    /// From a file of the master's card, which k3s applies again whenever it starts.
    Card {
        /// The file.
        file: String,
    },
    /// From `labimg stack apply`.
    Apply,
}

/// An object that the lab no longer has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// The object.
    #[serde(flatten)]
    pub key: Key,
    /// Where it came from.
    #[serde(flatten)]
    pub origin: Origin,
    /// What would go with it, if it may hold data: then it is only deleted when it is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// What the lab does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct GoneObjects {
    /// Objects that came from labimg.
    pub objects: Vec<Gone>,
    /// Files on the master that neither labimg nor k3s has put there.
    pub foreign: Vec<String>,
}

/// What the cluster has and `wanted` does not.
///
/// # Errors
/// How far the connection got.
pub fn gone(client: &Client, wanted: &[Object], addons: &AddOns) -> Result<GoneObjects, KubeError> {
    let mut kinds = Kinds::new(client);
    let keys = settled(&mut kinds, wanted)?;
    let is_wanted = |key: &Key| keys.iter().any(|wanted| wanted.is_same(key));
    let mut found = GoneObjects::default();
    let mut lists: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    let list: Option<Value> = client.get(ADDONS)?;
    for addon in items(list.as_ref()) {
        let text = |pointer: &str| addon.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (name, source) = (text("/metadata/name"), text("/spec/source"));
        if addons.k3s.contains(name) || !source.starts_with(FOLDER) {
            continue;
        }
        if !addons.ours.contains(name) {
            found.foreign.push(source.to_owned());
            continue;
        }
        for (api_version, kind) in kinds_of(text("/metadata/annotations/addon.k3s.cattle.io~1gvks")) {
            let list = match lists.entry((api_version, kind)) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    let list = owned(client, &mut kinds, entry.key())?;
                    entry.insert(list)
                }
            };
            for object in list.iter().filter(|object| owner(object) == Some(name)) {
                let key = Key::of(object);
                if !is_wanted(&key) {
                    let origin = Origin::Card { file: source.to_owned() };
                    found.objects.push(Gone { key, origin, data: None });
                }
            }
        }
    }
    for key in inventory(client)? {
        if is_wanted(&key) || found.objects.iter().any(|gone| gone.key.is_same(&key)) {
            continue;
        }
        let Some(resource) = kinds.find(&key.api_version, &key.kind)? else { continue };
        if let Ok(Some(_)) = discovery::live(client, &discovery::path(&key, &resource))? {
            found.objects.push(Gone { key, origin: Origin::Apply, data: None });
        }
    }
    let claims = if found.objects.iter().any(|gone| is_chart(&gone.key)) { claims(client)? } else { Vec::new() };
    for gone in &mut found.objects {
        gone.data = data(&gone.key, &claims);
    }
    found.objects.sort_by(|a, b| a.key.cmp(&b.key));
    found.objects.dedup_by(|a, b| a.key.is_same(&b.key));
    Ok(found)
}

/// The names of objects in the cluster, as far as it knows their kinds.
fn settled(kinds: &mut Kinds<'_>, objects: &[Object]) -> Result<Vec<Key>, KubeError> {
    let one = |object: &Object| {
        let mut object = object.clone();
        if let Some(resource) = kinds.find(&object.key.api_version, &object.key.kind)? {
            object.settle(&resource);
        }
        Ok(object.key)
    };
    objects.iter().map(one).collect()
}

fn items(list: Option<&Value>) -> &[Value] {
    list.and_then(|list| list.get("items")).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The kinds in k3s's words.
fn kinds_of(text: &str) -> Vec<(String, String)> {
    let one = |part: &str| {
        let (version, kind) = part.trim().split_once(", Kind=")?;
        Some((version.trim_start_matches('/').to_owned(), kind.to_owned()))
    };
    text.split(';').filter_map(one).collect()
}

/// All objects of a kind that k3s made from files.
fn owned(
    client: &Client,
    kinds: &mut Kinds<'_>,
    (api_version, kind): &(String, String),
) -> Result<Vec<Value>, KubeError> {
    let Some(resource) = kinds.find(api_version, kind)? else { return Ok(Vec::new()) };
    let path = format!("{}?labelSelector=objectset.rio.cattle.io%2Fhash", discovery::all(api_version, &resource));
    let list: Option<Value> = client.get(&path)?;
    let with_kind = |object: &Value| {
        // Items of a list do not tell what they are.
        let mut object = object.clone();
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), api_version.as_str().into());
            fields.insert("kind".to_owned(), kind.as_str().into());
        }
        object
    };
    Ok(items(list.as_ref()).iter().map(with_kind).collect())
}

/// The add-on that k3s made an object for.
fn owner(object: &Value) -> Option<&str> {
    let annotations = object.pointer("/metadata/annotations")?;
    let text = |name: &str| annotations.get(format!("objectset.rio.cattle.io/{name}")).and_then(Value::as_str);
    text("owner-gvk").filter(|gvk| gvk.ends_with("Kind=Addon"))?;
    text("owner-name")
}

fn is_chart(key: &Key) -> bool {
    key.kind == "HelmChart" && key.group() == "helm.cattle.io"
}

/// Namespace, name, and release of the claims that charts made: they go when the chart goes.
fn claims(client: &Client) -> Result<Vec<(String, String)>, KubeError> {
    let list: Option<Value> =
        client.get("/api/v1/persistentvolumeclaims?labelSelector=app.kubernetes.io%2Fmanaged-by%3DHelm")?;
    let one = |claim: &Value| {
        let release = claim.pointer("/metadata/annotations/meta.helm.sh~1release-name")?.as_str()?.to_owned();
        Some((release, Key::of(claim)))
    };
    let named =
        |(release, key): (String, Key)| (release, format!("{}/{}", key.namespace.unwrap_or_default(), key.name));
    Ok(items(list.as_ref()).iter().filter_map(one).map(named).collect())
}

/// What would go with an object.
fn data(key: &Key, claims: &[(String, String)]) -> Option<String> {
    let what = match key.kind.as_str() {
        "Namespace" => "everything in it",
        "PersistentVolumeClaim" | "PersistentVolume" => "the files in it",
        "CustomResourceDefinition" => "all objects of the kind",
        _ if is_chart(key) => {
            let own: Vec<&str> =
                claims.iter().filter(|(release, _)| *release == key.name).map(|(_, claim)| claim.as_str()).collect();
            return (!own.is_empty()).then(|| format!("the claims {}", own.join(", ")));
        }
        _ if is_of_kubernetes(key.group()) => return None,
        _ => "what its operator keeps for it",
    };
    Some(what.to_owned())
}

/// Whether the group's kinds are Kubernetes' own or k3s's: what is of others may be a database.
fn is_of_kubernetes(group: &str) -> bool {
    ["", "apps", "batch", "autoscaling", "policy", "helm.cattle.io", "k3s.cattle.io"].contains(&group)
        || group.ends_with(".k8s.io")
}

/// What `labimg stack apply` gave.
fn inventory(client: &Client) -> Result<Vec<Key>, KubeError> {
    let map: Option<Value> = client.get(&format!("/api/v1/namespaces/kube-system/configmaps/{INVENTORY}"))?;
    let text = map.as_ref().and_then(|map| map.pointer("/data/objects")).and_then(Value::as_str).unwrap_or_default();
    Ok(text.lines().filter_map(key).collect())
}

/// One line of it.
fn key(line: &str) -> Option<Key> {
    let mut parts = line.split(' ').map(str::to_owned);
    let (api_version, kind, namespace, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let namespace = Some(namespace).filter(|namespace| namespace != "-");
    Some(Key { api_version, kind, namespace, name })
}

/// Keeps in the cluster what it is about to be given: a run may be cut at any time.
///
/// # Errors
/// As [`remember`].
pub fn announce(client: &Client, objects: &[Object]) -> Result<(), KubeError> {
    let keys = settled(&mut Kinds::new(client), objects)?;
    remember(client, keys.iter(), &[])
}

/// Keeps in the cluster what it was given, beside what it was given before and still has.
///
/// # Errors
/// How far the connection got; the API does not take it.
pub fn remember<'k>(client: &Client, given: impl Iterator<Item = &'k Key>, deleted: &[Key]) -> Result<(), KubeError> {
    let mut all: BTreeSet<Key> = inventory(client)?.into_iter().collect();
    all.extend(given.cloned());
    all.retain(|key| !deleted.iter().any(|gone| gone.is_same(key)));
    let lines: Vec<String> = all
        .iter()
        .map(|key| {
            let Key { api_version, kind, namespace, name } = key;
            format!("{api_version} {kind} {} {name}", namespace.as_deref().unwrap_or("-"))
        })
        .collect();
    let map = Object::new(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": INVENTORY, "namespace": "kube-system" },
        "data": { "objects": lines.join("\n") + "\n" },
    }));
    let path = format!("/api/v1/namespaces/kube-system/configmaps/{INVENTORY}");
    let answer = patched(client, &path, &map, false)?;
    if answer.is_good() { Ok(()) } else { Err(client.answer(&path, &answer.message())) }
}

/// Deletes an object, and what belongs to it.
///
/// # Errors
/// How far the connection got; within it, why the API does not delete it.
pub fn delete(client: &Client, kinds: &mut Kinds<'_>, key: &Key) -> Result<Result<(), String>, KubeError> {
    let Some(resource) = kinds.find(&key.api_version, &key.kind)? else { return Ok(Ok(())) };
    let path = format!("{}?propagationPolicy=Background", discovery::path(key, &resource));
    let answer = client.send(Verb::Delete, &path, None)?;
    Ok(if answer.is_good() || answer.status == 404 { Ok(()) } else { Err(answer.message()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_of_an_add_on_are_read() {
        let found = kinds_of("/v1, Kind=Service;traefik.io/v1alpha1, Kind=Middleware;;nonsense");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(found, [pair("v1", "Service"), pair("traefik.io/v1alpha1", "Middleware")]);
    }

    #[test]
    fn what_may_hold_data_is_told() {
        let of = |line: &str| data(&key(line).unwrap(), &[("files".to_owned(), "files/data".to_owned())]);
        for line in ["v1 Namespace - a", "v1 PersistentVolumeClaim a b", "postgresql.cnpg.io/v1 Cluster a b"] {
            assert!(of(line).is_some(), "{line}");
        }
        assert_eq!(of("helm.cattle.io/v1 HelmChart kube-system files").as_deref(), Some("the claims files/data"));
        for line in
            ["helm.cattle.io/v1 HelmChart kube-system x", "apps/v1 Deployment a b", "networking.k8s.io/v1 Ingress a b"]
        {
            assert_eq!(of(line), None, "{line}");
        }
        assert!(key("v1 Namespace -").is_none());
    }
}
