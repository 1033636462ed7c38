//! The values in `HelmChart`s and `HelmChartConfig`s.

use serde_json::Value;

use super::finding::Finding;
use super::subject::Deployed;
use crate::charts::ChartRef;
use crate::charts::oci::SCHEME;
use crate::manifests::located::{self, Lines, below};

/// The values of a chart, with their places.
#[derive(Debug)]
pub(super) struct Values {
    pub(super) value: Value,
    /// The field that holds them.
    field: &'static str,
    /// The lines in the text of the field, and the line of its first one in the file; `None` for fields of the object.
    lines: Option<(Lines, usize)>,
}

/// Whether it is an object that gives values to a chart.
pub(super) fn is_chart(deployed: &Deployed) -> bool {
    deployed.object.group() == "helm.cattle.io"
        && ["HelmChart", "HelmChartConfig"].contains(&deployed.object.kind.as_str())
}

/// The namespace that a chart goes to.
pub(super) fn target(deployed: &Deployed) -> &str {
    let target = deployed.object.value.pointer("/spec/targetNamespace").and_then(Value::as_str);
    target.filter(|target| !target.is_empty()).unwrap_or_else(|| deployed.namespace())
}

/// The values that an object gives to a chart; `None` for other objects, and for what is not YAML.
pub(super) fn values(deployed: &Deployed) -> Option<Values> {
    let spec = deployed.object.value.get("spec").filter(|_| is_chart(deployed))?;
    if let Some(text) = spec.get("valuesContent").and_then(Value::as_str).filter(|text| !text.trim().is_empty()) {
        let (value, lines) = located::document(text).ok()?;
        let first = deployed.object.line("spec.valuesContent");
        return Some(Values { value, field: "spec.valuesContent", lines: Some((lines, first)) });
    }
    Some(Values { value: spec.get("values").cloned().unwrap_or_default(), field: "spec.values", lines: None })
}

impl Values {
    /// A finding about the value at a path.
    pub(super) fn finding(&self, deployed: &Deployed, path: &str, what: impl Into<String>) -> Finding {
        let found = Finding::of(deployed, below(self.field, path), what);
        let at = self.lines.as_ref().and_then(|(lines, first)| Some(first + lines.at(path)?.saturating_sub(1)));
        Finding {
            line: at.unwrap_or(found.line),
            path: path.to_owned(),
            object: format!("values of {}", found.object),
            ..found
        }
    }

    /// The same with texts that are YAML themselves, which charts put into templates, as what they mean.
    pub(super) fn opened(&self) -> Value {
        open(&self.value)
    }
}

fn open(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, inner)| (name.clone(), open(inner))).collect(),
        Value::Array(items) => items.iter().map(open).collect(),
        Value::String(text) if text.contains('\n') => match located::document(text) {
            Ok((inner, _)) if inner.is_object() || inner.is_array() => inner,
            _ => value.clone(),
        },
        _ => value.clone(),
    }
}

/// The chart that an object of the user names, as a lock has it.
pub(super) fn reference(deployed: &Deployed) -> Option<ChartRef> {
    let text = |field: &str| deployed.object.value.pointer(&format!("/spec/{field}")).and_then(Value::as_str);
    let (chart, version) = (text("chart")?, text("version")?.to_owned());
    let (repository, name) = match text("repo").filter(|repo| !repo.is_empty()) {
        Some(repo) => (repo, chart),
        None => chart.strip_prefix(SCHEME).and_then(|_| chart.rsplit_once('/'))?,
    };
    Some(ChartRef { name: name.to_owned(), version, repository: repository.trim_end_matches('/').to_owned() })
}
