//! Names of what nothing makes, and what is there twice.

use std::collections::BTreeMap;

use serde_json::Value;

use super::finding::Finding;
use super::helm;
use super::names::{self, Names};
use super::subject::{Deployed, Owner, Subject};
use super::uses::{self, Use};
use crate::stack::host;
use labimg_tree::suggest::did_you_mean;

/// All that is named and not there, or there twice.
pub(super) fn check(subject: &Subject<'_>) -> Vec<Finding> {
    let names = Names::of(subject);
    let mut found = Vec::new();
    for deployed in &subject.objects {
        namespaces(deployed, &names, &mut found);
        of_object(deployed, &names, &mut found);
        of_values(deployed, &names, &mut found);
        roles_of_vault(deployed, &names, &mut found);
    }
    twice(subject, &mut found);
    hosts(subject, &mut found);
    found
}

fn namespaces(deployed: &Deployed, names: &Names, found: &mut Vec<Finding>) {
    let makes_it = deployed.object.value.pointer("/spec/createNamespace") == Some(&Value::Bool(true));
    let target = helm::is_chart(deployed).then(|| helm::target(deployed)).filter(|_| !makes_it);
    let own = deployed.object.namespace.as_deref();
    for (path, namespace) in [("metadata.namespace", own), ("spec.targetNamespace", target)] {
        let Some(namespace) = namespace.filter(|namespace| !names.has("Namespace", None, namespace)) else { continue };
        let near = did_you_mean(&names.near("Namespace", None, namespace));
        let what = format!("nothing makes the namespace `{namespace}`");
        found.push(Finding::of(deployed, path, what).help(near));
    }
}

fn of_object(deployed: &Deployed, names: &Names, found: &mut Vec<Finding>) {
    if helm::is_chart(deployed) {
        for (field, kind) in [
            ("valuesSecrets", "Secret"),
            ("authSecret", "Secret"),
            ("dockerRegistrySecret", "Secret"),
            ("repoCAConfigMap", "ConfigMap"),
        ] {
            let Some(value) = deployed.object.value.pointer(&format!("/spec/{field}")) else { continue };
            let items = value.as_array().map_or_else(|| vec![value], |items| items.iter().collect());
            for name in items.iter().filter_map(|item| item.get("name")?.as_str()) {
                let path = format!("spec.{field}");
                let namespace = Some(deployed.namespace().to_owned());
                let one = Use { kind: kind.to_owned(), namespace, name: name.to_owned(), path };
                found.extend(
                    missing(&one, None, names)
                        .map(|(what, help)| Finding::of(deployed, one.path.clone(), what).help(help)),
                );
            }
        }
        return;
    }
    // Definitions of kinds have fields of these names, and no objects.
    if deployed.object.kind == "CustomResourceDefinition" {
        return;
    }
    for one in uses::find(&deployed.object.value) {
        let missing = missing(&one, deployed.object.namespace.as_deref(), names);
        found.extend(missing.map(|(what, help)| Finding::of(deployed, one.path.clone(), what).help(help)));
    }
}

fn of_values(deployed: &Deployed, names: &Names, found: &mut Vec<Finding>) {
    let Some(values) = helm::values(deployed) else { return };
    for one in uses::find(&values.opened()) {
        let missing = missing(&one, Some(helm::target(deployed)), names);
        found.extend(missing.map(|(what, help)| values.finding(deployed, &one.path, what).help(help)));
    }
}

/// What to say when nothing makes an object of this name.
fn missing(one: &Use, namespace: Option<&str>, names: &Names) -> Option<(String, Option<String>)> {
    let Use { kind, name, .. } = one;
    let namespace = one.namespace.as_deref().or(namespace);
    if names.has(kind, namespace, name) {
        return None;
    }
    let namespace = namespace.filter(|_| !names::is_wide(kind));
    let place = namespace.map(|namespace| format!(" in the namespace `{namespace}`")).unwrap_or_default();
    let elsewhere = names.elsewhere(kind, name).map(|other| format!("there is one in `{other}`"));
    let help = elsewhere.or_else(|| did_you_mean(&names.near(kind, namespace, name)));
    Some((format!("nothing makes the {kind} `{name}`{place}"), help))
}

/// Roles by which pods log in to Vault, with the accounts that they are for.
fn roles_of_vault(deployed: &Deployed, names: &Names, found: &mut Vec<Finding>) {
    let list = |value: &Value, field: &str| value.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    let config = deployed.object.value.pointer("/spec/externalConfig");
    let Some(config) = config.filter(|_| deployed.object.group() == "vault.banzaicloud.com") else { return };
    for (n, auth) in list(config, "auth").iter().enumerate().filter(|(_, auth)| auth["type"] == "kubernetes") {
        for (m, role) in list(auth, "roles").iter().enumerate() {
            let path = format!("spec.externalConfig.auth[{n}].roles[{m}].bound_service_account_names");
            let namespaces = list(role, "bound_service_account_namespaces");
            for account in list(role, "bound_service_account_names").iter().filter_map(Value::as_str) {
                let any = |namespace: &&str| *namespace == "*" || names.has("ServiceAccount", Some(namespace), account);
                let mut namespaces = namespaces.iter().filter_map(Value::as_str);
                if account != "*" && !namespaces.any(|namespace| any(&namespace)) {
                    let what = format!("nothing makes the ServiceAccount `{account}` in these namespaces");
                    found.push(Finding::of(deployed, path.clone(), what));
                }
            }
        }
    }
}

/// Objects of the same kind and name: whichever file is applied last wins, for a while.
fn twice(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let mut seen: BTreeMap<(&str, &str, &str, &str), &Deployed> = BTreeMap::new();
    for deployed in &subject.objects {
        let object = &deployed.object;
        let key =
            (object.group(), object.kind.as_str(), object.namespace.as_deref().unwrap_or(""), object.name.as_str());
        if let Some(first) = seen.insert(key, deployed) {
            let place = format!("{}:{}", first.file, first.object.line(""));
            found.push(Finding::of(deployed, "", format!("it is in {place}, too")));
        }
    }
}

/// Who answers at an address.
#[derive(Debug, Clone, PartialEq)]
struct Claim {
    /// The component or file.
    by: String,
    /// The Ingress; none for what a component's front matter says.
    ingress: Option<String>,
}

/// Addresses that two Ingresses have, or two components.
fn hosts(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let domain = &subject.cluster.lab.domain;
    let mut claims: BTreeMap<(String, String), Claim> = BTreeMap::new();
    for chosen in subject.cluster.stack.components() {
        let component = &chosen.component;
        for name in &component.front.hosts {
            let host = host(name, domain);
            let claim = Claim { by: component.name.clone(), ingress: None };
            if let Some(other) = claims.insert((host.clone(), "/".to_owned()), claim) {
                found.push(Finding {
                    file: format!("{}/component.toml", component.shown),
                    line: 1,
                    object: format!("component {}", component.name),
                    path: "hosts".to_owned(),
                    what: format!("`{host}` is the address of component {}, too", other.by),
                    help: None,
                    owner: if component.is_own { Owner::Component } else { Owner::Ours },
                });
            }
        }
    }
    for deployed in subject.objects.iter().filter(|d| d.object.kind == "Ingress" && !is_canary(d)) {
        let by = deployed.component.clone().unwrap_or_else(|| deployed.file.clone());
        for (path, host, below) in addresses(&deployed.object.value) {
            let claim = Claim { by: by.clone(), ingress: Some(deployed.shown()) };
            let other = claims.insert((host.clone(), below.clone()), claim.clone());
            let other =
                other.filter(|other| other.by != claim.by || other.ingress.is_some() && other.ingress != claim.ingress);
            if let Some(Claim { by, ingress }) = other {
                let other = ingress.unwrap_or_else(|| format!("component {by}"));
                let what = format!("`{host}{below}` is the address of {other}, too");
                found.push(Finding::of(deployed, path, what));
            }
        }
    }
}

/// An Ingress that is meant to stand beside another.
fn is_canary(deployed: &Deployed) -> bool {
    let annotation = "/metadata/annotations/nginx.ingress.kubernetes.io~1canary";
    deployed.object.value.pointer(annotation).is_some_and(|value| value == "true")
}

/// The addresses of an Ingress: field, host and path, each once.
fn addresses(ingress: &Value) -> Vec<(String, String, String)> {
    let mut all: Vec<(String, String, String)> = Vec::new();
    let rules = ingress.pointer("/spec/rules").and_then(Value::as_array).into_iter().flatten();
    for (n, rule) in rules.enumerate() {
        let host = rule.get("host").and_then(Value::as_str).unwrap_or("*");
        for path in rule.pointer("/http/paths").and_then(Value::as_array).into_iter().flatten() {
            let below = path.get("path").and_then(Value::as_str).unwrap_or("/");
            if !all.iter().any(|(_, h, b)| h == host && b == below) {
                all.push((format!("spec.rules[{n}].host"), host.to_owned(), below.to_owned()));
            }
        }
    }
    all
}
