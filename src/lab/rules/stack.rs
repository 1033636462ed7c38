//! The stack: which components there are, and the values of their charts.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::{Found, Text, entries, key_span, memory, section, text};
use crate::manifests::addon_names_of;
use crate::manifests::component::is_version;
use crate::manifests::select::{self, Wanted};
use crate::manifests::{Component, Profile};
use crate::parts::Parts;
use crate::wording;

/// Largest file of values that is read, in bytes.
const LARGEST: u64 = 1 << 20;

pub(super) fn check(root: &DeTable<'_>, folder: Option<&Path>, parts: &Parts, found: &mut Found) {
    let Some(stack) = section(root, "stack") else { return };
    let all = parts.components();
    let boolean = |table: &DeTable<'_>, key: &str| match table.get(key)?.get_ref() {
        DeValue::Boolean(value) => Some(*value),
        _ => None,
    };
    let profile = text(stack, "profile").and_then(|p| Profile::ALL.into_iter().find(|known| known.name() == p.value));
    let storage = section(root, "storage").and_then(|storage| boolean(storage, "enabled")).unwrap_or(true);
    let mut switched = BTreeMap::new();
    let components = section(stack, "components");
    for (name, value) in components.into_iter().flat_map(|components| components.iter()) {
        let Some(settings) = value.get_ref().as_table() else { continue };
        if let Some(on) = boolean(settings, "enabled") {
            switched.insert(name.get_ref().clone().into_owned(), on);
        }
        match all.get(name.get_ref().as_ref()) {
            Some(component) => of_component(component, settings, folder, found),
            // `select` says it with those that are switched.
            None if switched.contains_key(name.get_ref().as_ref()) => {}
            None => {
                let wanted =
                    Wanted { switched: BTreeMap::from([(name.get_ref().to_string(), true)]), ..Wanted::default() };
                for bad in select::select(&wanted, all).err().into_iter().flatten().take(1) {
                    found.mistake(name.span(), bad.what).help(bad.help);
                }
            }
        }
    }
    if boolean(stack, "dns") == Some(true) {
        let off = components
            .and_then(|components| key_span(components, "dns"))
            .filter(|_| switched.get("dns") == Some(&false));
        if let Some(at) = off {
            found
                .mistake(at, "`stack.dns` switches the component dns on, and this switches it off")
                .help("keep one of them");
        }
        switched.insert("dns".to_owned(), true);
    }
    let wanted = Wanted { profile: profile.unwrap_or_default(), switched, storage };
    let selected = match select::select(&wanted, all) {
        Ok(selected) => selected,
        Err(choices) => {
            for bad in choices {
                // The line that names the component, else the one that brings it.
                let at = components.and_then(|components| key_span(components, &bad.component));
                let at = at.or_else(|| key_span(stack, "profile")).or_else(|| key_span(stack, "dns"));
                found.mistake(at.or_else(|| key_span(root, "stack")).unwrap_or(0..0), bad.what).help(bad.help);
            }
            return;
        }
    };
    memory::fits(root, &selected, all, parts, found);
    let there: Vec<&Component> = selected.iter().filter_map(|one| all.get(&one.name)).collect();
    without_helm(root, &there, found);
    for component in there {
        disabled(root, component, found);
    }
    for one in &selected {
        let at = components.and_then(|components| key_span(components, &one.name));
        let at = at.or_else(|| key_span(stack, "profile")).or_else(|| key_span(root, "stack")).unwrap_or(0..0);
        if let Some(warning) = all.get(&one.name).and_then(|component| component.front.warning.clone()) {
            found.warning(at, format!("{}: {warning}", one.name));
        }
    }
    for (name, value) in components.into_iter().flat_map(|components| components.iter()) {
        let is_there = selected.iter().any(|one| one.name == name.get_ref().as_ref());
        let settings = value.get_ref().as_table();
        let sets = settings.is_some_and(|settings| settings.keys().any(|key| key.get_ref() != "enabled"));
        if sets && !is_there && all.contains_key(name.get_ref().as_ref()) {
            let problem = found.warning(name.span(), format!("the lab does not have the component {}", name.get_ref()));
            problem.help(format!(
                "its settings count only with `enabled = true` or a profile that brings {}",
                name.get_ref()
            ));
        }
    }
}

/// Says so when nothing installs the charts of components.
fn without_helm(root: &DeTable<'_>, there: &[&Component], found: &mut Found) {
    let config = section(root, "k3s").and_then(|k3s| section(k3s, "server_config"));
    let Some((key, value)) = config.and_then(|config| config.get_key_value("disable-helm-controller")) else { return };
    let charts = there.iter().filter(|component| component.front.chart.is_some() && !component.front.is_always());
    let names: Vec<&str> = charts.map(|component| component.name.as_str()).collect();
    if matches!(value.get_ref(), DeValue::Boolean(true)) && !names.is_empty() {
        let message = format!("nothing installs the charts of the stack then: {}", names.join(", "));
        found.mistake(key.span(), message).help("take the line out, or set `stack.profile = \"none\"`");
    }
}

/// Says so when `disable` of k3s takes away a component, or the chart of k3s that it configures.
fn disabled(root: &DeTable<'_>, component: &Component, found: &mut Found) {
    // What every lab has could be switched off so before there was a stack.
    if component.front.is_always() {
        return;
    }
    let config = section(root, "k3s").and_then(|k3s| section(k3s, "server_config"));
    let lists = ["disable", "disable+"].into_iter().filter_map(|key| config?.get(key));
    let of_k3s = component.front.chart.as_ref().filter(|chart| chart.config).map(|chart| chart.name.as_str());
    for item in lists.flat_map(entries) {
        let is_itself = |name: &str| addon_names_of(component).any(|addon| addon == name);
        let is_needed = |name: &str| component.front.needs_k3s.iter().any(|needed| needed == name);
        let concerns = |name: &&str| of_k3s == Some(*name) || is_itself(name) || is_needed(name);
        for name in item.value.split(',').map(str::trim).filter(concerns) {
            let own = &component.name;
            let what = if is_needed(name) {
                format!("the component {own}, which the lab has, needs `{name}`")
            } else {
                format!("`{name}` belongs to the component {own}, which the lab has")
            };
            let help =
                format!("take it out of `disable`, or switch {own} off: `stack.components.{own}.enabled = false`");
            found.mistake(item.span.clone(), what).help(help);
        }
    }
}

fn of_component(component: &Component, settings: &DeTable<'_>, folder: Option<&Path>, found: &mut Found) {
    let name = &component.name;
    let no_chart = component.front.chart.is_none();
    for key in ["version", "values", "values_file"] {
        if let Some(at) = key_span(settings, key).filter(|_| no_chart) {
            let help = format!("a folder manifests/{name} of your own can replace it");
            found.mistake(at, format!("{name} has no chart that could take `{key}`")).help(help);
        }
    }
    if let Some(version) = text(settings, "version") {
        let is_of_k3s = component.front.chart.as_ref().is_some_and(|chart| chart.config);
        if is_of_k3s {
            found.mistake(version.span, format!("the version of {name} comes with k3s")).help("set `k3s.version`");
        } else if !is_version(version.value) {
            let problem = found.mistake(version.span, format!("`{}` is not the version of a chart", version.value));
            problem.help("write it like `1.2.3`, as its repository does");
        }
    }
    let Some(file) = text(settings, "values_file").filter(|_| !no_chart) else { return };
    if let Some(at) = key_span(settings, "values") {
        let problem = found.mistake(at, "`values` and `values_file` are two ways to say the same");
        problem.help("keep one of them");
        return;
    }
    let Some(folder) = folder else { return };
    match read(folder, &file) {
        Ok(values) => {
            found.values.insert(name.clone(), values);
        }
        Err((what, help)) => {
            let problem = found.mistake(file.span, what);
            if let Some(help) = help {
                problem.help(help);
            }
        }
    }
}

/// The values in a file.
fn read(folder: &Path, file: &Text<'_>) -> Result<BTreeMap<String, serde_json::Value>, (String, Option<String>)> {
    let path = folder.join(file.value);
    let shown = file.value;
    let metadata = std::fs::metadata(&path).map_err(|e| (format!("cannot read {shown}: {e}"), None))?;
    // Others may never end (a device) or never begin (a pipe).
    if !metadata.is_file() {
        return Err((format!("{shown} is not a file"), None));
    }
    if metadata.len() > LARGEST {
        return Err((format!("{shown} is larger than 1 MiB"), Some("that is no file of values".to_owned())));
    }
    let text = std::fs::read_to_string(&path).map_err(|e| (format!("cannot read {shown}: {e}"), None))?;
    let documents = wording::from_yaml::<BTreeMap<String, serde_json::Value>>(&text)
        .map_err(|mistake| (format!("{shown}:{}: {}", mistake.line, mistake.what), mistake.help))?;
    let count = documents.len();
    match <[_; 1]>::try_from(documents) {
        Ok([values]) => Ok(values),
        Err(_) => Err((format!("{shown} has {count} documents, and values are one"), None)),
    }
}
