//! The object that makes k3s install a chart (docs.k3s.io, "Helm", "Using the Helm Controller").

use serde_json::{Map, Value, json};

use super::{Chosen, secrets};
use crate::charts::ChartRef;
use crate::manifests::SERVED;

/// The `HelmChart` of a component, or the `HelmChartConfig` for one of k3s. `values` are as YAML; `is_here` says that the
/// chart is in the image.
pub(super) fn object(chosen: &Chosen, values: &str, is_here: bool, has_secrets: bool) -> Option<Value> {
    let front = &chosen.component.front;
    let chart = front.chart.as_ref()?;
    let mut spec = Map::new();
    let mut set = |key: &str, value: Value| spec.insert(key.to_owned(), value);
    // The default, `reinstall`, would take away the claims, and what is in them, when an upgrade fails.
    set("failurePolicy", "retry".into());
    let kind = match chosen.chart() {
        None => "HelmChartConfig",
        Some(reference) => {
            place(&reference, is_here, &mut set);
            set("targetNamespace", front.namespace.as_deref().unwrap_or("kube-system").into());
            if has_secrets {
                // The chart waits for this Secret, which comes with the others that its pods need.
                let barrier = json!({ "name": secrets::barrier(chosen.name()), "keys": [secrets::BARRIER_KEY], "ignoreUpdates": true });
                set("valuesSecrets", json!([barrier]));
            }
            "HelmChart"
        }
    };
    set("valuesContent", values.into());
    let name = if chart.config { &chart.name } else { chart.release.as_ref().unwrap_or(&chosen.component.name) };
    Some(json!({
        "apiVersion": "helm.cattle.io/v1",
        "kind": kind,
        "metadata": { "name": name, "namespace": "kube-system" },
        "spec": spec,
    }))
}

/// Where the chart comes from.
fn place(chart: &ChartRef, is_here: bool, set: &mut impl FnMut(&str, Value) -> Option<Value>) {
    if is_here {
        set("chart", format!("{SERVED}/{}", chart.file()).into());
    } else if chart.is_in_registry() {
        set("chart", format!("{}/{}", chart.repository, chart.name).into());
        set("version", chart.version.as_str().into());
    } else {
        set("repo", chart.repository.as_str().into());
        set("chart", chart.name.as_str().into());
        set("version", chart.version.as_str().into());
    }
}
