//! What is in a chart's archive, as far as checks need it: values, their schema, and definitions of kinds.

use std::collections::BTreeMap;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::archive::UNPACKED_LIMIT;
use super::{ChartError, ChartRef, LockedChart};
use crate::wording;
use labimg_store::{Store, StoreError};
use labimg_tree::progress::Progress;

/// How deep charts may lie in each other.
const DEPTH: usize = 4;

/// A chart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChartContent {
    /// Its `values.yaml`.
    pub values: Value,
    /// Its `values.schema.json`.
    pub schema: Option<Value>,
    /// The `CustomResourceDefinition`s that can be read without Helm: in `crds`, and templates that are nearly plain.
    pub definitions: Vec<Value>,
    /// The charts in it, by the key of their values.
    pub subcharts: BTreeMap<String, ChartContent>,
    /// Values that say whether a chart in it is used.
    pub conditions: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    dependencies: Vec<Dependency>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Dependency {
    name: String,
    alias: Option<String>,
    condition: Option<String>,
}

impl ChartContent {
    /// Reads an archive that was checked when it was downloaded.
    ///
    /// # Errors
    /// What cannot be read of it.
    pub fn read(archive: &[u8]) -> Result<Self, String> {
        Self::packed(archive, 0)
    }

    fn packed(archive: &[u8], depth: usize) -> Result<Self, String> {
        let damaged = |_: io::Error| "it is damaged or cut off".to_owned();
        let mut members = tar::Archive::new(MultiGzDecoder::new(archive).take(UNPACKED_LIMIT));
        let mut files = Files::new();
        for member in members.entries().map_err(damaged)? {
            let mut member = member.map_err(damaged)?;
            let path = member.path().map_err(damaged)?.to_string_lossy().trim_start_matches("./").to_owned();
            // All is in one folder.
            let Some((_, path)) = path.split_once('/') else { continue };
            if is_wanted(path) {
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).map_err(damaged)?;
                files.insert(path.to_owned(), bytes);
            }
        }
        Self::of_files(&files, depth)
    }

    /// A chart of files, by their paths in its folder.
    fn of_files(files: &Files, depth: usize) -> Result<Self, String> {
        let text = |name: &str| files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let mut content = Self::default();
        if let Some(text) = text("values.yaml") {
            let values = wording::from_yaml::<Value>(&text).map_err(|mistake| format!("its values.yaml, {mistake}"))?;
            content.values = values.into_iter().next().unwrap_or_default();
        }
        if let Some(text) = text("values.schema.json") {
            let schema =
                serde_json::from_str(&text).map_err(|e| format!("its values.schema.json: {}", wording::json(&e)))?;
            content.schema = Some(schema);
        }
        for (path, bytes) in files {
            if (path.starts_with("crds/") || path.starts_with("templates/")) && is_text(path) {
                content.definitions.extend(definitions(&String::from_utf8_lossy(bytes)));
            }
        }
        let heads = text("Chart.yaml").and_then(|text| wording::from_yaml::<Head>(&text).ok());
        let head = heads.and_then(|heads| heads.into_iter().next()).unwrap_or_default();
        for condition in head.dependencies.iter().filter_map(|dependency| dependency.condition.as_ref()) {
            content.conditions.extend(condition.split(',').map(|path| path.trim().to_owned()));
        }
        if depth < DEPTH {
            for (name, chart) in inner(files, depth)? {
                let mut used = head.dependencies.iter().filter(|dependency| dependency.name == name).peekable();
                if used.peek().is_none() {
                    content.subcharts.insert(name.clone(), chart.clone());
                }
                for dependency in used {
                    let key = dependency.alias.clone().unwrap_or_else(|| name.clone());
                    content.subcharts.insert(key, chart.clone());
                }
            }
        }
        Ok(content)
    }

    /// A chart of texts, by their paths in its folder.
    #[cfg(test)]
    pub(crate) fn of_texts(texts: &[(&str, &str)]) -> Self {
        let files = texts.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        Self::of_files(&files, 0).unwrap_or_else(|what| unreachable!("{what}"))
    }

    /// The definitions of kinds in it and in the charts in it.
    pub(crate) fn all_definitions(&self) -> Vec<&Value> {
        let inner = self.subcharts.values().flat_map(Self::all_definitions);
        self.definitions.iter().chain(inner).collect()
    }
}

/// What is in those of these charts that the store has. One that cannot be looked into is left out with a warning.
///
/// # Errors
/// An archive that cannot be read from the disk.
pub fn contents(
    charts: &[LockedChart],
    store: &Store,
    progress: &dyn Progress,
) -> Result<BTreeMap<ChartRef, ChartContent>, ChartError> {
    let mut all = BTreeMap::new();
    for chart in charts {
        let name = format!("chart {} {}", chart.name, chart.version);
        let Some(blob) = store.blob(&chart.sha256, &name, progress)? else { continue };
        let mut archive = vec![0; usize::try_from(blob.len()).unwrap_or_default()];
        blob.read_exact_at(&mut archive, 0).map_err(|source| StoreError::io("read", blob.path(), source))?;
        match ChartContent::read(&archive) {
            Ok(content) => drop(all.insert(chart.reference(), content)),
            Err(what) => progress.warn(&format!("{name} cannot be looked into: {what}")),
        }
    }
    Ok(all)
}

/// Path → bytes.
type Files = BTreeMap<String, Vec<u8>>;

fn is_text(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|ending| path.ends_with(ending))
}

fn is_wanted(path: &str) -> bool {
    is_text(path) || path.strip_suffix(".tgz").is_some()
}

/// The charts in a chart: folders below `charts`, or archives there.
fn inner(files: &Files, depth: usize) -> Result<BTreeMap<String, ChartContent>, String> {
    let mut folders: BTreeMap<String, Files> = BTreeMap::new();
    let mut charts = BTreeMap::new();
    for (path, bytes) in files {
        let Some(path) = path.strip_prefix("charts/") else { continue };
        if let Some((name, path)) = path.split_once('/') {
            folders.entry(name.to_owned()).or_default().insert(path.to_owned(), bytes.clone());
        } else if let Some(name) = path.strip_suffix(".tgz") {
            // NAME-VERSION; a version begins with a digit, perhaps after a `v`.
            let parts: Vec<&str> = name.split('-').collect();
            let is_version = |part: &str| {
                part.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit()) && part.contains('.')
            };
            let end = parts.iter().position(|part| is_version(part)).unwrap_or(parts.len());
            charts.insert(parts[..end].join("-"), ChartContent::packed(bytes, depth + 1)?);
        }
    }
    for (name, files) in folders {
        charts.insert(name, ChartContent::of_files(&files, depth + 1)?);
    }
    Ok(charts)
}

/// The definitions in a file: one that is no template, or one whose actions stand in lines of their own or for a text.
fn definitions(text: &str) -> Vec<Value> {
    const KIND: &str = "CustomResourceDefinition";
    if !text.contains(KIND) {
        return Vec::new();
    }
    let plain = text.lines().map(without_actions).collect::<Vec<_>>().join("\n");
    let documents = plain.split("\n---").filter(|document| document.contains(KIND));
    let read =
        documents.filter_map(|document| wording::from_yaml::<Value>(document.trim_start_matches('-')).ok()).flatten();
    read.filter(|value| value["kind"] == KIND && value["spec"]["versions"].is_array()).collect()
}

/// A line without actions of Go's templates: one that is nothing else is empty then.
fn without_actions(line: &str) -> String {
    let mut plain = String::new();
    let mut rest = line;
    while let Some((before, (_, after))) =
        rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        plain += before;
        rest = after;
        if !(plain.trim().is_empty() && rest.trim().is_empty()) {
            plain.push('x');
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    const DEFINITION: &str = "{{- if .Values.crds.enabled }}\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  \
        name: things.example.org\n  labels:\n    app: {{ .Release.Name }}-x\n  {{- with .Values.annotations }}\n  annotations:\n    \
        {{- toYaml . | nindent 4 }}\n  {{- end }}\nspec:\n  group: example.org\n  versions: [{name: v1}]\n{{- end }}\n---\nkind: Other\n";

    #[test]
    fn all_that_checks_need_is_read() {
        let inner = packed(&[("three/Chart.yaml", b"name: three\nversion: 1.2.3\n"), ("three/values.yaml", b"z: 1\n")]);
        let archive = packed(&[
            (
                "one/Chart.yaml",
                b"name: one\nversion: 1.0.0\ndependencies:\n- {name: two, alias: zwei, condition: zwei.on}\n- {name: three}\n",
            ),
            ("one/values.yaml", b"a: {b: 1}\n"),
            ("one/values.schema.json", b"{\"type\": \"object\"}"),
            ("one/templates/crd.yaml", DEFINITION.as_bytes()),
            ("one/templates/NOTES.txt", b"{{ broken"),
            ("one/charts/two/values.yaml", b"c: 2\n"),
            ("one/charts/two/crds/x.yaml", DEFINITION.replace("things", "others").as_bytes()),
            ("one/charts/three-1.2.3.tgz", &inner),
        ]);
        let chart = ChartContent::read(&archive).unwrap();
        assert_eq!((&chart.values, &chart.schema), (&json!({ "a": { "b": 1 } }), &Some(json!({ "type": "object" }))));
        assert_eq!(chart.subcharts.keys().collect::<Vec<_>>(), ["three", "zwei"]);
        assert_eq!(chart.subcharts["three"].values, json!({ "z": 1 }));
        assert_eq!(chart.conditions, ["zwei.on"]);
        let names: Vec<&Value> = chart.all_definitions().into_iter().map(|d| &d["metadata"]["name"]).collect();
        assert_eq!(names, ["things.example.org", "others.example.org"]);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let archive = packed(&[("one/values.yaml", b"a: [\n")]);
        assert!(ChartContent::read(&archive).unwrap_err().contains("values.yaml, line"));
        assert!(ChartContent::read(&archive[..archive.len() / 2]).unwrap_err().contains("cut off"));
    }
}
