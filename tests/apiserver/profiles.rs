//! Each profile whole, in random orders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use labimg_testkit::random::{Random, long, seed};
use labimg_testkit::skipped;
use reqwest::Method;
use serde_json::Value;

use crate::isolated;
use crate::lab::{Lab, NAME, documents};
use crate::server::Cluster;

/// What servers before a version cannot know: kind and name (a `*` for any), and the version since which they do.
const EXPECTED: [(&str, &str, (u32, u32)); 2] =
    [("ValidatingAdmissionPolicy", "*", (1, 30)), ("ValidatingAdmissionPolicyBinding", "*", (1, 30))];

#[test]
fn every_profile_is_taken_in_any_order() {
    let Some(program) = isolated("profiles::every_profile_is_taken_in_any_order") else { return };
    let Some(data) = data() else { return };
    let kinds = definitions(&data);
    assert!(!kinds.is_empty(), "no CRDs in {}", data.display());
    let seed = seed();
    eprintln!("LABIMG_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let lab = Lab::new("full");
    let mut cluster = Cluster::new(&program, lab.path(), NAME, folder.path());
    for profile in ["minimal", "identity", "seed", "full"] {
        lab.write(profile, "");
        let mut objects = lab.objects();
        for _ in 0..if long() { 10 } else { 2 } {
            cluster.begin();
            define(&cluster, &kinds.iter().filter(|kind| is_used(kind, &objects)).cloned().collect::<Vec<_>>());
            shuffle(&mut objects, &mut random);
            taken(&cluster, &objects, profile);
        }
        eprintln!("{profile}: {} objects", objects.len());
    }
}

/// The folder with what charts bring, when there is one.
pub fn data() -> Option<PathBuf> {
    let named = std::env::var_os("LABIMG_TEST_STACK_DATA").map(PathBuf::from);
    let data = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/stack"));
    if !data.is_dir() {
        skipped("an API server with the stack's objects", "there are no CRDs: LABIMG_TEST_STACK_DATA names no folder");
        return None;
    }
    Some(data)
}

/// The CRDs of all charts.
pub fn definitions(data: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                if text.contains("kind: CustomResourceDefinition") {
                    // Templates of charts are among the files: only labels are made there.
                    let plain: Vec<&str> = text.lines().filter(|line| !line.contains("{{")).collect();
                    let kinds = documents(&plain.join("\n")).into_iter();
                    found.extend(kinds.filter(|object| object["kind"] == "CustomResourceDefinition"));
                }
            }
        }
    }
    found.sort_by_key(|object| object["metadata"]["name"].to_string());
    found.dedup_by_key(|object| object["metadata"]["name"].to_string());
    found
}

fn is_used(kind: &Value, objects: &[Value]) -> bool {
    objects.iter().any(|object| object["kind"] == kind["spec"]["names"]["kind"])
}

/// Makes the kinds, and waits until the server knows them.
pub fn define(cluster: &Cluster, kinds: &[Value]) {
    const PATH: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    for kind in kinds {
        let (status, answer) = cluster.ask(Method::POST, PATH, Some(("application/json", kind.to_string())));
        assert!(status == 201, "{}: {answer}", kind["metadata"]["name"]);
    }
    for kind in kinds {
        let path = format!("{PATH}/{}", kind["metadata"]["name"].as_str().unwrap());
        let is_ready = || {
            let (_, answer) = cluster.ask(Method::GET, &path, None);
            let conditions = answer["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True")
        };
        let begun = std::time::Instant::now();
        while !is_ready() {
            assert!(begun.elapsed().as_secs() < 60, "{path} is not ready");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

fn shuffle(objects: &mut [Value], random: &mut Random) {
    for last in (1..objects.len()).rev() {
        objects.swap(last, usize::try_from(random.below(last as u64 + 1)).unwrap());
    }
}

fn name(object: &Value) -> String {
    format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

/// Applies all objects in their order, those that fail again, as k3s does it.
fn taken(cluster: &Cluster, objects: &[Value], profile: &str) {
    let version = cluster.version();
    let mut lists = Lists::new();
    let mut pending: Vec<&Value> = objects.iter().collect();
    let mut expected = BTreeSet::new();
    for pass in 0.. {
        let mut failed = Vec::new();
        for object in pending {
            if let Err(why) = apply(cluster, object, &mut lists) {
                let is_expected = EXPECTED.iter().any(|(kind, name, since)| {
                    version < *since && object["kind"] == *kind && (*name == "*" || object["metadata"]["name"] == *name)
                });
                if is_expected { _ = expected.insert(name(object)) } else { failed.push((object, why)) }
            }
        }
        if failed.is_empty() {
            break;
        }
        let told: String = failed.iter().map(|(object, why)| format!("{}: {why}\n", name(object))).collect();
        assert!(pass < 3, "{profile}: {}.{} does not take:\n{told}", version.0, version.1);
        pending = failed.into_iter().map(|(object, _)| object).collect();
    }
    for name in expected {
        eprintln!("{profile}: {name} is not known to {}.{}, as expected", version.0, version.1);
    }
}

/// What the server has of each version of a group.
type Lists = BTreeMap<String, Value>;

fn apply(cluster: &Cluster, object: &Value, lists: &mut Lists) -> Result<(), String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let base = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let list = lists.entry(base.clone()).or_insert_with(|| cluster.ask(Method::GET, &base, None).1);
    let resources = list["resources"].as_array().cloned().unwrap_or_default();
    let resource = resources.iter().find(|r| r["kind"] == object["kind"] && !text(&r["name"]).contains('/'));
    let resource = resource.ok_or("the server has no such kind")?;
    let mut object = object.clone();
    let at = if resource["namespaced"] == true {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or("kube-system").to_owned();
        object["metadata"]["namespace"] = namespace.as_str().into();
        format!("namespaces/{namespace}/")
    } else {
        String::new()
    };
    let path = format!(
        "{base}/{at}{}/{}?fieldManager=test&fieldValidation=Strict",
        text(&resource["name"]),
        text(&object["metadata"]["name"])
    );
    let (status, answer) =
        cluster.ask(Method::PATCH, &path, Some(("application/apply-patch+yaml", object.to_string())));
    if !(200..300).contains(&status) {
        return Err(format!("{status}: {}", answer["message"].as_str().unwrap_or(&answer.to_string())));
    }
    let mut lost = Vec::new();
    lacking(&object, &answer, "", &mut lost);
    if lost.is_empty() { Ok(()) } else { Err(format!("the server knows no {}", lost.join(", "))) }
}

/// Fields that the server dropped without a word.
fn lacking(sent: &Value, got: &Value, path: &str, lost: &mut Vec<String>) {
    match (sent, got) {
        (Value::Object(sent), Value::Object(got)) => {
            for (name, value) in sent {
                let path = format!("{path}.{name}");
                match got.get(name) {
                    Some(got) => lacking(value, got, &path, lost),
                    // Secrets have it in `data` afterwards; what is empty may be left out.
                    None if path == ".stringData" || is_empty(value) => {}
                    None => lost.push(path),
                }
            }
        }
        (Value::Array(sent), Value::Array(got)) if sent.len() == got.len() => {
            for (index, (sent, got)) in sent.iter().zip(got).enumerate() {
                lacking(sent, got, &format!("{path}[{index}]"), lost);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(is) => !is,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
    }
}
