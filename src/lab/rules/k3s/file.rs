//! Settings of k3s in a file of their own (`config.yaml`, or one of `config.yaml.d`), by the rules of `lab.toml`.

use std::collections::BTreeMap;

use serde_json::Value;
use toml::de::DeTable;

use super::super::{Found, Text};
use super::settings::Context;
use crate::lab::Problem;
use crate::lab::k3s_flags;
use crate::lab::k3s_release::{DEFAULT_K3S, K3sRelease};
use crate::parts::Parts;
use crate::parts::role::K3sKind;
use crate::wording::{self, Mistake};

/// What the settings of a file are checked against.
#[derive(Debug)]
pub struct K3sFile<'a> {
    /// How the node runs k3s.
    pub kind: K3sKind,
    /// Whether nodes of the other kind have the file too: then settings of their command are left out.
    pub is_for_both: bool,
    /// How many nodes have it.
    pub nodes: usize,
    /// The release of k3s; the default one when `None`.
    pub version: Option<&'a str>,
    /// Lists of labimg whose place the file would take.
    pub lists: &'a [&'a str],
    /// All roles, overlays and manifests.
    pub parts: &'a Parts,
}

/// The settings in `text`, which is YAML.
///
/// # Errors
/// The first mistake.
pub fn k3s_settings(text: &str, file: &K3sFile<'_>) -> Result<BTreeMap<String, Value>, Mistake> {
    let mut documents: Vec<BTreeMap<String, Value>> = wording::from_yaml(text)?;
    if documents.len() > 1 {
        let what = "k3s reads one document of YAML only".to_owned();
        return Err(Mistake { line: 1, what, help: Some("take out the lines `---`".to_owned()) });
    }
    let is_others = |name: &str| {
        file.is_for_both && k3s_flags::find(name.trim_end_matches('+')).is_some_and(|flag| !flag.is_for(file.kind))
    };
    let mut settings = BTreeMap::new();
    for (name, value) in documents.pop().unwrap_or_default() {
        let mistake = |what: String, help: Option<String>| Mistake { line: line_of(text, &name), what, help };
        if is_others(&name) {
            continue;
        }
        if let Some(problem) = problem(&name, &value, file) {
            return Err(mistake(problem.message, problem.help));
        }
        if file.lists.contains(&name.as_str()) {
            let what = format!("`{name}` takes the place of the entries that labimg needs");
            return Err(mistake(what, Some(format!("write `{name}+`, which adds to them"))));
        }
        settings.insert(name, value);
    }
    Ok(settings)
}

/// The first mistake in a setting.
fn problem(name: &str, value: &Value, file: &K3sFile<'_>) -> Option<Problem> {
    let release = file.version.or(Some(DEFAULT_K3S)).and_then(K3sRelease::parse)?;
    let Ok(value) = toml::Value::try_from(value) else {
        return Some(Problem::new(0..0, format!("`{name}` has no value")));
    };
    // The rules read TOML: the setting as it would be in lab.toml.
    let line = toml::to_string(&BTreeMap::from([(name, value)])).ok()?;
    let table = DeTable::parse(&line).ok()?;
    let (key, value) = table.get_ref().iter().next()?;
    let mut found = Found::default();
    let context = Context::of(file.kind, None, file.nodes, release, file.parts)?;
    context.setting(&Text { value: key.get_ref(), span: key.span() }, value, &mut found);
    found.problems.into_iter().next()
}

/// The line where the setting is, from 1.
fn line_of(text: &str, name: &str) -> usize {
    let is_here = |line: &str| {
        let line = line.trim_start_matches(['"', '\'']);
        line.strip_prefix(name).is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
    };
    text.lines().position(is_here).map_or(1, |line| line + 1)
}
