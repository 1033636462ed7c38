//! Helm charts in manifests of the lab folder, and their addresses once they are in the image.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::SERVED;
use super::objects::{self, Place};
use crate::charts::ChartRef;
use crate::charts::oci::SCHEME;
use crate::wording::{self, Mistake};

/// The kind of the objects that install charts.
pub(super) const KIND: &str = "HelmChart";

/// Fields that refer to something only the cluster has, so that a lock cannot query the repository.
const PRIVATE: [&str; 4] = ["authSecret", "dockerRegistrySecret", "repoCA", "repoCAConfigMap"];

/// A `HelmChart` (docs.k3s.io, "Helm", "Using the Helm Controller").
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OwnChart {
    /// Its line number, from 1.
    pub(super) line: usize,
    /// Its place in the text; none for a reason that is about the whole text.
    at: Option<Place>,
    /// The chart and its position in the text, or why it is left to the cluster.
    named: Result<Named, String>,
}

impl OwnChart {
    /// The chart, or why it is left to the cluster.
    pub(super) fn chart(&self) -> Result<&ChartRef, &str> {
        self.named.as_ref().map(|named| &named.chart).map_err(String::as_str)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Named {
    chart: ChartRef,
    /// Byte ranges in the text: the value of `chart`, and those of the other fields that say where it comes from.
    at: Range<usize>,
    others: Vec<Range<usize>>,
}

/// The `spec` of an object.
#[derive(Default, Deserialize)]
struct Fields(BTreeMap<String, Spanned<Value>>);

/// The charts in a text that [`check::objects`](super::check::objects) accepted, in order. Without those whose archive
/// is in the text itself.
pub(super) fn find(text: &str) -> Vec<OwnChart> {
    let objects = match objects::read::<Fields>(text) {
        Ok(objects) => objects,
        Err(Mistake { line, .. }) => {
            // The object is not a chart, but no chart in the same file can be found then.
            let named = Err("an object of its file has a `spec` without names".to_owned());
            return vec![OwnChart { line, at: None, named }];
        }
    };
    let charts = objects.into_iter().filter(|o| o.kind == KIND && o.api_version.starts_with("helm.cattle.io/"));
    let charts = charts.map(|object| {
        let spec = object.spec.unwrap_or_default();
        let without = spec.text("chartContent").is_empty();
        without.then(|| OwnChart { line: object.line, at: Some(object.at), named: named(&spec) })
    });
    charts.flatten().collect()
}

fn named(spec: &Fields) -> Result<Named, String> {
    let [name, repository, version] = ["chart", "repo", "version"].map(|field| spec.text(field));
    if name.is_empty() {
        return Err("it names no chart".to_owned());
    }
    let in_registry = name.strip_prefix(SCHEME).and_then(|path| path.rsplit_once('/'));
    if name.contains("://") && in_registry.is_none() {
        let what =
            "it names an address, and a lock takes charts only from repositories (`repo`) and registries (oci://)";
        return Err(what.to_owned());
    }
    let registry = in_registry.map(|(path, _)| format!("{SCHEME}{path}"));
    let (name, repository) = match (&registry, in_registry) {
        (Some(registry), Some((_, name))) if repository.is_empty() => (name, registry.as_str()),
        (Some(_), _) => return Err("it names a registry and a repository (`repo`), of which Helm takes one".to_owned()),
        _ => (name, repository),
    };
    if !is_chart_name(name) {
        return Err(format!("`{name}` cannot be the name of a chart in a repository"));
    }
    if repository.is_empty() {
        return Err("it names no repository (`repo`)".to_owned());
    }
    if let Some(field) = PRIVATE.iter().find(|field| spec.0.contains_key(**field)) {
        return Err(format!("its `{field}` is only in the cluster"));
    }
    if !is_plain_address(repository) {
        return Err(
            "its repository is not an http, https or oci address, or one with a password or parameters".to_owned()
        );
    }
    if !is_one_version(version) {
        return Err("it names no single version: write one, such as `version: 1.2.3`".to_owned());
    }
    let at = |field| spec.span(field).ok_or_else(|| format!("`{field}` is written in a way that labimg does not read"));
    Ok(Named {
        chart: ChartRef {
            name: name.to_owned(),
            version: version.to_owned(),
            repository: repository.trim_end_matches('/').to_owned(),
        },
        at: at("chart")?,
        others: if registry.is_some() { vec![at("version")?] } else { vec![at("repo")?, at("version")?] },
    })
}

/// As accepted by Helm, including capital letters and dots (helm.sh/docs, "General Conventions").
fn is_chart_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// An address that can be written to a lock, and used as a folder name below the charts of an image.
fn is_plain_address(url: &str) -> bool {
    let rest = ["http://", "https://", SCHEME].iter().find_map(|scheme| url.strip_prefix(scheme));
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/+".contains(c);
    rest.is_some_and(|rest| {
        rest.chars().all(plain) && rest.trim_end_matches('/').split('/').all(|part| !["", ".", ".."].contains(&part))
    })
}

/// A full version with three numbers (semver.org), not a range, which Helm also accepts.
fn is_one_version(version: &str) -> bool {
    let bare = version.strip_prefix('v').unwrap_or(version);
    let end = bare.find(['-', '+']).unwrap_or(bare.len());
    let numbers: Vec<&str> = bare[..end].split('.').collect();
    let is_number = |n: &&str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    numbers.len() == 3
        && numbers.iter().all(is_number)
        && bare[end..].chars().all(|c| c.is_ascii_alphanumeric() || "-+.".contains(c))
}

/// The text, in which the charts that satisfy `is_here` have the address where k3s serves them. The rest is unchanged.
pub(super) fn served(text: &str, is_here: impl Fn(&ChartRef) -> bool) -> Result<String, Mistake> {
    let mut edits = Vec::new();
    let mut moved = Vec::new();
    for OwnChart { line, at: place, named } in find(text) {
        let Some(Named { chart, at, others }) = named.ok().filter(|named| is_here(&named.chart)) else { continue };
        let address = format!("{SERVED}/{}", chart.file());
        edits.push((at, format!("\"{address}\"")));
        // For Kubernetes an empty value equals a missing one.
        edits.extend(others.into_iter().map(|range| (range, "\"\"".to_owned())));
        moved.push((line, place, address));
    }
    let Some(&(line, ..)) = moved.first() else { return Ok(text.to_owned()) };
    // Some YAML features, such as anchors and merges, break this edit.
    let as_meant =
        |edited: &String| documents(text).is_some_and(|old| documents(edited) == Some(expected(old, &moved)));
    edit(text, edits).filter(as_meant).ok_or_else(|| Mistake {
        line,
        what: "labimg cannot say here that the chart is in the image".to_owned(),
        help: Some("write chart, repo and version each on a line of its own, without anchors".to_owned()),
    })
}

/// The text with some ranges replaced; `None` when they overlap.
fn edit(text: &str, mut edits: Vec<(Range<usize>, String)>) -> Option<String> {
    edits.sort_by_key(|(range, _)| range.start);
    let mut edited = String::with_capacity(text.len());
    let mut done = 0;
    for (range, new) in edits {
        edited += text.get(done..range.start)?;
        edited += &new;
        done = range.end;
    }
    edited += text.get(done..)?;
    Some(edited)
}

fn documents(text: &str) -> Option<Vec<Value>> {
    wording::from_yaml(text).ok()
}

/// The expected documents, with charts moved to new addresses.
fn expected(mut documents: Vec<Value>, moved: &[(usize, Option<Place>, String)]) -> Vec<Value> {
    for (_, place, address) in moved {
        let spec = place.and_then(|place| place.of(&mut documents)).and_then(|object| object.get_mut("spec"));
        if let Some(spec) = spec.and_then(Value::as_object_mut) {
            let fields = [("chart", address.as_str()), ("repo", ""), ("version", "")];
            let there = fields.into_iter().filter(|(field, _)| *field != "repo" || spec.contains_key("repo"));
            let there: Vec<_> = there.map(|(field, text)| (field.to_owned(), text.into())).collect();
            spec.extend(there);
        }
    }
    documents
}

impl Fields {
    /// The text of a field; empty when it is missing.
    fn text(&self, field: &str) -> &str {
        self.0.get(field).and_then(|value| value.value.as_str()).unwrap_or_default()
    }

    fn span(&self, field: &str) -> Option<Range<usize>> {
        let span = self.0.get(field)?.referenced.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        Some(start..start + usize::try_from(span.byte_len()?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINE: &str = "# Mine.\napiVersion: helm.cattle.io/v1\nkind: HelmChart\nmetadata: { name: mine }\nspec:\n  \
        # From them.\n  repo: https://charts.example/stable/ # theirs\n  chart: 'one' # this\n  version: 1.2.0\n  \
        valuesContent: |-\n    chart: one\n";

    fn with(from: &str, to: &str) -> String {
        assert!(MINE.contains(from), "{from}");
        MINE.replace(from, to)
    }

    fn reason(text: &str) -> String {
        find(text)[0].chart().unwrap_err().to_owned()
    }

    #[test]
    fn a_chart_of_a_repository_is_found() {
        let charts = find(&format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: x }}\n---\n{MINE}"));
        let chart = charts[0].chart().unwrap();
        assert_eq!((charts.len(), charts[0].line), (1, 6));
        assert_eq!((&chart.name[..], &chart.version[..]), ("one", "1.2.0"));
        assert_eq!(chart.repository, "https://charts.example/stable");
    }

    #[test]
    fn only_where_it_comes_from_is_changed() {
        let place = "https://%{KUBERNETES_API}%/static/charts/https/charts.example/stable/one-1.2.0.tgz";
        let expected = MINE.replace("https://charts.example/stable/ #", "\"\" #");
        let expected = expected.replace("'one'", &format!("\"{place}\"")).replace("1.2.0\n", "\"\"\n");
        assert_eq!(served(MINE, |_| true).unwrap(), expected);
        assert_eq!(served(MINE, |_| false).unwrap(), MINE);
        let json = "{\"apiVersion\":\"helm.cattle.io/v1\",\"kind\":\"HelmChart\",\"metadata\":{\"name\":\"é\"},\
            \"spec\":{\"chart\":\"one\",\"version\":\"1.2.0\",\"repo\":\"https://charts.example/stable\"}}";
        let expected = json.replace("\"one\"", &format!("\"{place}\"")).replace("\"1.2.0\"", "\"\"");
        let expected = expected.replace("\"https://charts.example/stable\"", "\"\"");
        assert_eq!(served(json, |_| true).unwrap(), expected);
    }

    #[test]
    fn one_in_a_registry_is_found_and_changed() {
        let text = MINE.replace("  repo: https://charts.example/stable/ # theirs\n", "");
        let text = text.replace("'one'", "oci://x.example/charts/one");
        let chart = find(&text)[0].chart().unwrap().clone();
        assert_eq!((&chart.name[..], &chart.repository[..]), ("one", "oci://x.example/charts"));
        let edited = served(&text, |_| true).unwrap();
        assert!(
            edited.contains("/static/charts/oci/x.example/charts/one-1.2.0.tgz\" # this\n  version: \"\"\n"),
            "{edited}"
        );
    }

    #[test]
    fn one_in_a_list_is_found_and_changed() {
        let list = format!("kind: List\napiVersion: v1\nitems:\n- {}\n", MINE.trim_end().replace('\n', "\n  "));
        assert_eq!(find(&list)[0].chart().unwrap().name, "one");
        let edited = served(&list, |_| true).unwrap();
        let mut documents = documents(&edited).unwrap();
        let spec = &find(&list)[0].at.unwrap().of(&mut documents).unwrap()["spec"];
        assert!(spec["chart"].as_str().unwrap().ends_with("one-1.2.0.tgz") && spec["repo"] == "", "{edited}");
    }

    #[test]
    fn two_of_a_file_are_told_apart() {
        let two = format!("{MINE}---\n{}", with("1.2.0", "1.3.0"));
        let edited = served(&two, |chart| chart.version == "1.3.0").unwrap();
        let (first, second) = edited.split_once("---\n").unwrap();
        assert!(first == MINE && second.contains("one-1.3.0.tgz"), "{edited}");
    }

    #[test]
    fn what_does_not_bear_it_is_told() {
        let problem = |text: &str| served(text, |_| true).unwrap_err();
        // The other field would get the address, too.
        let anchored = format!("{}  jobImage: *here\n", with("'one'", "&here one"));
        assert!(problem(&anchored).help.unwrap().contains("without anchors"), "{:?}", problem(&anchored));
        assert_eq!(problem(&anchored).line, 2);
        let merged = "apiVersion: helm.cattle.io/v1\nkind: HelmChart\nmetadata: { name: x, annotations: &all { chart: one, version: 1.2.0, \
            repo: 'https://charts.example' } }\nspec: { <<: *all }\n";
        assert!(problem(merged).help.unwrap().contains("without anchors"), "{:?}", problem(merged));
        let folded = with("chart: 'one' # this", "chart: >-\n    one");
        assert_eq!(problem(&folded).line, 2);
    }

    #[test]
    fn what_no_lock_can_ask_for_is_left_to_the_cluster() {
        for (from, to, needle) in [
            ("chart: 'one'", "name: one", "no chart"),
            ("chart: 'one'", "chart: https://x.example/one.tgz", "an address"),
            ("chart: 'one'", "chart: oci://x.example/one", "a registry and a repository"),
            ("chart: 'one'", "chart: oci://", "an address"),
            ("chart: 'one'", "chart: ../one", "`../one` cannot be the name"),
            ("repo: https://charts.example/stable/", "set: {}", "no repository"),
            ("https://charts", "https://me:secret@charts", "password"),
            ("https://charts.example/stable/", "https://charts.example/?token=1", "password"),
            ("https://charts.example/stable/", "https://charts.example/../x", "address"),
            ("https://charts.example/stable/", "ftp://charts.example", "address"),
            ("version: 1.2.0", "set: {}", "no single version"),
            ("version: 1.2.0", "version: 1.2", "no single version"),
            ("version: 1.2.0", "version: ^1.2.0", "no single version"),
            ("version: 1.2.0", "version: 1.2.0\n  authSecret: { name: x }", "`authSecret`"),
        ] {
            let reason = reason(&with(from, to));
            assert!(reason.contains(needle), "{to}: {reason}");
        }
        assert!(
            reason(&format!("{MINE}---\napiVersion: v1\nkind: Odd\nmetadata: {{ name: x }}\nspec: text\n"))
                .contains("without names")
        );
    }

    #[test]
    fn what_is_no_chart_or_holds_it_is_not_found() {
        assert!(find(&with("helm.cattle.io/v1", "other.example/v1")).is_empty());
        assert!(find(&with("kind: HelmChart", "kind: HelmChartConfig")).is_empty());
        assert!(find(&with("chart: 'one'", "chartContent: aGVsbG8=")).is_empty());
    }
}
