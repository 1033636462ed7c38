//! What a front matter may say, beyond its types: names that Kubernetes takes, components that there are.

use std::collections::BTreeSet;

use super::super::check::is_label;
use super::front::{Chart, FrontMatter, SecretFront, SecretValue};
use crate::wording::Mistake;
use labimg_tree::suggest::{did_you_mean, nearest};

/// Files that labimg itself writes beside those of components, without `.yaml`.
pub(super) const LABIMGS: [&str; 2] = ["labimg-namespaces", "labimg-secrets"];

/// The group below `secrets/stack` that is no password.
const AUTHORITY: &str = "ca";

/// The architectures that labimg builds for, by Debian's names.
const ARCHITECTURES: [&str; 2] = ["arm64", "amd64"];

/// Namespaces that are there without anybody making them.
const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// What is wrong, the text that is at fault, and what to do.
struct Wrong<'a>(&'a str, String, Option<String>);

/// Checks a front matter; `known` are the names of all components, `text` is what it was read from.
pub(super) fn check(front: &FrontMatter, text: &str, known: &BTreeSet<String>) -> Result<(), Mistake> {
    let mut wrong = title(front).or_else(|| names(front)).or_else(|| components(front, known));
    wrong = wrong.or_else(|| front.chart.as_ref().and_then(chart));
    wrong = wrong.or_else(|| front.secrets.iter().find_map(|one| secret(one, front)));
    let Some(Wrong(at, what, help)) = wrong else { return Ok(()) };
    // The first line that has the text, which is the right one but for a name that is there more than once.
    let line = text.lines().position(|line| !at.is_empty() && line.contains(at)).map_or(1, |line| line + 1);
    Err(Mistake { line, what, help })
}

fn title(front: &FrontMatter) -> Option<Wrong<'_>> {
    let bad = front.title.trim().is_empty() || front.title.chars().any(char::is_control);
    bad.then(|| Wrong("title", "its `title` is not one line of text".to_owned(), None))
}

fn names(front: &FrontMatter) -> Option<Wrong<'_>> {
    let wrong = |at, what| Some(Wrong(at, what, Some("use up to 63 small letters, digits and `-`".to_owned())));
    if let Some(name) = front.namespaces.keys().find(|name| !is_label(name)) {
        return wrong(name, format!("no namespace can have the name `{name}`"));
    }
    let is_host = |name: &String| name.is_empty() || name.split('.').all(is_label);
    if let Some(name) = front.hosts.iter().find(|name| !is_host(name)) {
        return wrong(name, format!("`{name}` cannot stand before the domain"));
    }
    let other = front.architectures.iter().find(|name| !ARCHITECTURES.contains(&name.as_str()))?;
    let help = Some(format!("there are {}", ARCHITECTURES.join(" and ")));
    Some(Wrong(other, format!("labimg knows no architecture `{other}`"), help))
}

fn components<'a>(front: &'a FrontMatter, known: &BTreeSet<String>) -> Option<Wrong<'a>> {
    let needs = front.needs.iter().flat_map(|need| need.split('|'));
    let others = front.after.iter().chain(&front.conflicts).map(String::as_str);
    let of_secrets = front.secrets.iter().flat_map(|secret| secret.with.iter().chain(&secret.without));
    let name = needs.chain(others).chain(of_secrets.map(String::as_str)).find(|name| !known.contains(*name))?;
    let near = did_you_mean(&nearest(name, known.iter().map(String::as_str)));
    let help = near.into_iter().chain(["`labimg stack` lists them all".to_owned()]).collect::<Vec<_>>().join("\n");
    Some(Wrong(name, format!("there is no component `{name}`"), Some(help)))
}

fn chart(chart: &Chart) -> Option<Wrong<'_>> {
    let harmless =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._+".contains(c));
    if let Some(name) = std::iter::once(&chart.name).chain(&chart.release).find(|name| !harmless(name)) {
        return Some(Wrong(name, format!("no chart can have the name `{name}`"), None));
    }
    if let Some(version) = chart.version.as_ref().filter(|version| !super::is_version(version)) {
        let help = Some("write it like `1.2.3`, as its repository does".to_owned());
        return Some(Wrong(version, format!("`{version}` is not the version of a chart"), help));
    }
    let repository = chart.repository.as_ref()?;
    let is_url = ["https://", "http://", "oci://"].iter().any(|scheme| repository.starts_with(scheme));
    let bad = !is_url || repository.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'@".contains(c));
    let help = Some("write an address that begins with `https://` or `oci://`, without a login".to_owned());
    bad.then(|| Wrong("repository", "its `repository` is not the address of charts".to_owned(), help))
}

fn secret<'a>(secret: &'a SecretFront, front: &FrontMatter) -> Option<Wrong<'a>> {
    let SecretFront { name, namespace, data, .. } = secret;
    if !name.split('.').all(is_label) {
        return Some(Wrong(name, format!("no Secret can have the name `{name}`"), None));
    }
    if !front.namespaces.contains_key(namespace) && !NAMESPACES.contains(&namespace.as_str()) {
        let help = Some(format!("add [namespaces.{namespace}], or name one that is there"));
        return Some(Wrong(namespace, format!("the namespace `{namespace}` of a Secret is not in [namespaces]"), help));
    }
    let is_key = |key: &str| !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if let Some(key) = data.keys().find(|key| !is_key(key)) {
        return Some(Wrong(key, format!("no Secret can have the key `{key}`"), None));
    }
    let made = data.values().find_map(|value| match value {
        SecretValue::Password(made) | SecretValue::Cookie(made) => {
            (!is_label(made) || made == AUTHORITY).then_some(made)
        }
        SecretValue::Text(_) | SecretValue::Ca(_) => None,
    })?;
    let help = Some(format!("use up to 63 small letters, digits and `-`, and not `{AUTHORITY}`"));
    Some(Wrong(made, format!("no password can have the name `{made}`: it is a folder in secrets/stack"), help))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> Option<(usize, String)> {
        let text = format!("title = 'x'\n{text}\n");
        let front = toml::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let known = ["own", "keycloak"].map(str::to_owned).into();
        check(&front, &text, &known).err().map(|mistake| (mistake.line, mistake.what))
    }

    #[test]
    fn what_kubernetes_or_labimg_would_not_take_is_named_with_its_line() {
        let secret = |name: &str, namespace: &str, data: &str| {
            format!("[namespaces.own]\n[[secrets]]\nname = '{name}'\nnamespace = '{namespace}'\n[secrets.data]\n{data}")
        };
        let chart = |name: &str, version: &str, repository: &str| {
            format!("[chart]\nname = '{name}'\nversion = '{version}'\nrepository = '{repository}'")
        };
        for (text, line, what) in [
            ("needs = ['own|keyclock']".to_owned(), 2, "no component `keyclock`"),
            ("why = ''\nafter = ['x']".to_owned(), 1, "no component `x`"),
            ("conflicts = ['nosuch']".to_owned(), 2, "no component `nosuch`"),
            ("hosts = ['A B']".to_owned(), 2, "`A B` cannot stand before the domain"),
            ("architectures = ['m68k']".to_owned(), 2, "no architecture `m68k`"),
            ("[namespaces.'A b']".to_owned(), 2, "no namespace can have the name `A b`"),
            (chart("a b", "1.0.0", "https://a.example"), 3, "no chart can have the name `a b`"),
            (chart("a", "latest", "https://a.example"), 4, "`latest` is not the version of a chart"),
            (chart("a", "1.0.0", "ftp://a.example"), 5, "not the address of charts"),
            (chart("a", "1.0.0", "https://me:secret@a.example"), 5, "not the address of charts"),
            (secret("X_y", "own", "a = { text = 'y' }"), 4, "no Secret can have the name `X_y`"),
            (secret("s", "other", "a = { text = 'y' }"), 5, "namespace `other` of a Secret"),
            (secret("s", "own", "'a b' = { text = 'y' }"), 7, "the key `a b`"),
            (secret("s", "own", "a = { password = '../up' }"), 7, "the name `../up`"),
            (secret("s", "own", "a = { password = 'ca' }"), 2, "the name `ca`"),
        ] {
            let (at, said) = mistake(&text).unwrap_or_else(|| panic!("accepted: {text}"));
            assert!(said.contains(what), "{text}\n{said}");
            // Short names are found where they first stand.
            assert!(at == line || what.contains("`x`") || what.contains("`ca`"), "{text}\nline {at}");
        }
        for title in ["''", "' '", "\"a\\tb\"", "\"\\u001b[31mred\""] {
            let text = format!("title = {title}\n");
            assert!(check(&toml::from_str(&text).unwrap(), &text, &BTreeSet::new()).is_err(), "{title}");
        }
        assert_eq!(
            mistake(&secret("s.x", "default", "a_b.c = { password = 'db-1' }").replace("a_b.c", "'a_b.c'")),
            None
        );
        assert_eq!(mistake(&chart("a", "v1.0.0-rc.1+k3s1", "oci://a.example/x")), None);
        assert_eq!(mistake("needs = ['own|keycloak']\nhosts = ['', 'a.b']"), None);
    }
}
