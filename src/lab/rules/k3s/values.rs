//! Values of `node-label`, `node-taint` and `disable`.

use toml::Spanned;
use toml::de::DeValue;

use super::super::{Found, Text, entries};
use crate::lab::k3s_flags::{Flag, PACKAGED};
use crate::lab::words::meant_and;
use crate::manifests::addon_names;
use crate::names::is_dns_domain;
use crate::parts::Parts;
use labimg_tree::suggest::{nearest, nearest_of_alike};

/// The labels among those of Kubernetes that a node may give itself (kubelet, `--node-labels`).
const ALLOWED: [&str; 11] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// The prefixes in the domains of Kubernetes that a node may use, with their subdomains.
const ALLOWED_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];

/// Effects of a taint on pods that do not tolerate it.
const EFFECTS: [&str; 3] = ["NoExecute", "NoSchedule", "PreferNoSchedule"];

/// What values are checked against.
pub(super) struct Known<'a> {
    /// True if the options of the release are known.
    pub(super) is_covered: bool,
    /// Has the lab folder's manifests.
    pub(super) parts: &'a Parts,
}

pub(super) fn check(flag: &Flag, value: &Spanned<DeValue<'_>>, known: &Known<'_>, found: &mut Found) {
    for text in entries(value) {
        let (option, entries) = match (flag.name, text.value.split_once('=')) {
            ("kubelet-arg", Some(("node-labels", labels))) => ("node-label", labels),
            ("kubelet-arg", Some(("register-with-taints", taints))) => ("node-taint", taints),
            (option, _) => (option, text.value),
        };
        let check: fn(&Text<'_>, &Known<'_>, &mut Found) = match option {
            "node-label" => |one, _, found| label(one, found),
            "node-taint" => |one, _, found| taint(one, found),
            "disable" => component,
            _ => continue,
        };
        // k3s hands labels and taints on with commas between, and splits at them what it disables.
        for one in entries.split(',') {
            check(&Text { value: one, span: text.span.clone() }, known, found);
        }
    }
}

fn label(label: &Text<'_>, found: &mut Found) {
    let Some((key, value)) = label.value.split_once('=') else {
        let problem = found.mistake(label.span.clone(), format!("the label `{}` has no value", label.value));
        problem.help(format!("write `key=value`, such as \"{}=true\"", label.value.trim()));
        return;
    };
    if let Some(why) = key_fault(key).or_else(|| value_fault(value)) {
        found.mistake(label.span.clone(), format!("`{}` cannot be a label: {why}", label.value)).help(FORM);
    } else if is_reserved(key) {
        let message = format!("a node may not give itself the label `{key}`: its kubelet would not start");
        let own = key.rsplit('/').next().unwrap_or(key);
        found.mistake(label.span.clone(), message).help(format!(
            "take a name of your own, such as \"lab.example/{own}={value}\", or set it once the node is in the cluster: \
             `kubectl label node NAME {}`",
            label.value
        ));
    }
}

fn taint(taint: &Text<'_>, found: &mut Found) {
    let (rest, effect) = taint.value.rsplit_once(':').unwrap_or((taint.value, ""));
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    if !EFFECTS.contains(&effect) {
        let message = if effect.is_empty() {
            format!("the taint `{}` does not say what it does", taint.value)
        } else {
            format!("`{effect}` is nothing that a taint does")
        };
        let all = EFFECTS.map(|effect| format!("`{effect}`")).join(", ");
        let problem = found.mistake(taint.span.clone(), message);
        let near = nearest(effect, EFFECTS);
        problem.help(meant_and(&near, &format!("write key=value:EFFECT; effects are {all}")));
    } else if let Some(why) = key_fault(key).or_else(|| value_fault(value)) {
        found.mistake(taint.span.clone(), format!("`{}` cannot be a taint: {why}", taint.value)).help(FORM);
    }
}

const FORM: &str = "names and values have up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; a DNS \
                    domain and `/` may stand before a name";

/// A qualified name (kubernetes.io, "Labels and Selectors").
fn key_fault(key: &str) -> Option<&'static str> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_some_and(|prefix| !is_dns_domain(prefix)) {
        Some("what stands before `/` is not a DNS domain")
    } else if name.is_empty() || !is_word(name) {
        Some("its name does not have the form that Kubernetes wants")
    } else {
        None
    }
}

fn value_fault(value: &str) -> Option<&'static str> {
    (!is_word(value)).then_some("its value does not have the form that Kubernetes wants")
}

/// The form of names and values; values may be empty.
fn is_word(text: &str) -> bool {
    let ends = |b: Option<u8>| b.is_none_or(|b| b.is_ascii_alphanumeric());
    text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        && ends(text.bytes().next())
        && ends(text.bytes().last())
}

/// True if the kubelet refuses to start with the label. The API would refuse it as well (`NodeRestriction`).
fn is_reserved(key: &str) -> bool {
    let Some((prefix, _)) = key.split_once('/') else { return false };
    let is_below =
        |domain: &str| prefix.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let of_kubernetes = ["kubernetes.io", "k8s.io"].into_iter().any(is_below);
    of_kubernetes && !ALLOWED.contains(&key) && !ALLOWED_PREFIXES.into_iter().any(is_below)
}

/// The name of a packaged component, or of a manifest (its file name up to the first dot).
fn component(name: &Text<'_>, known: &Known<'_>, found: &mut Found) {
    let value = name.value.trim();
    let manifests = addon_names(known.parts.components(), known.parts.manifests());
    let names: Vec<&str> = PACKAGED.into_iter().chain(manifests.iter().map(String::as_str)).collect();
    if names.contains(&value) {
        return;
    }
    let all = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let message = format!("k3s has no packaged component `{value}`");
    let problem = found.mistake_if(known.is_covered, name.span.clone(), message);
    problem.help(meant_and(&nearest_of_alike(value, &names), &format!("there are {all}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_a_node_may_not_give_itself() {
        for reserved in [
            "node-role.kubernetes.io/worker",
            "kubernetes.io/role",
            "node-restriction.kubernetes.io/a",
            "a.node-restriction.kubernetes.io/a",
            "app.k8s.io/x",
            "k8s.io/x",
        ] {
            assert!(is_reserved(reserved), "{reserved}");
        }
        for free in ["disk", "kubernetes.io", "example.org/a", "notkubernetes.io/a", "a.node.kubernetes.io/x"]
            .into_iter()
            .chain(ALLOWED)
            .chain(["node.kubernetes.io/speed", "kubelet.kubernetes.io/a"])
        {
            assert!(!is_reserved(free), "{free}");
        }
    }

    #[test]
    fn names_and_values_of_labels() {
        for good in ["disk", "a.b_c-D", "example.org/a", &"x".repeat(63)] {
            assert_eq!(key_fault(good), None, "{good}");
        }
        for bad in ["", "/a", "a/", "-a", "a-", "a b", "a/b/c", "Example.org/a", "ü", &"x".repeat(64)] {
            assert!(key_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(value_fault(""), None);
        assert!(value_fault("it's").is_some() && value_fault("a=b").is_some());
    }
}
