//! Checks what k3s accepts: file names and objects.

use serde_json::Value;

use super::objects::{self, Object};
use super::pods;
use crate::wording::Mistake;

/// Largest file that is accepted, in bytes. etcd holds objects of at most 1.5 MiB; a file may hold many.
pub(super) const LIMIT: u64 = 16 << 20;

/// The meaning of a file in the folder, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// k3s applies it.
    Manifest,
    /// k3s skips the file with this name without `.skip`.
    Skip,
    /// k3s ignores it, so it is useless on the node.
    Other,
}

/// File name suffixes that k3s reads.
const ENDINGS: [&str; 3] = [".yaml", ".yml", ".json"];

/// Names that k3s itself uses: it writes them into the folder at each start, over files with the same name.
pub(crate) const PACKAGED: [&str; 14] = [
    "aggregated-metrics-reader",
    "auth-delegator",
    "auth-reader",
    "ccm",
    "coredns",
    "gateway-api-crd",
    "local-storage",
    "metrics-apiservice",
    "metrics-server-deployment",
    "metrics-server-service",
    "resource-reader",
    "rolebindings",
    "runtimes",
    "traefik",
];

/// k3s's name for the content of a file: everything before the first dot.
pub(super) fn addon(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// Whether an object can have this name (RFC 1123, 2.1, as in Kubernetes' rules for most names).
pub(super) fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let middle = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 63 && edge(text.chars().next()) && edge(text.chars().last()) && text.chars().all(middle)
}

/// A bad file name, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadName {
    pub(super) what: String,
    pub(super) help: String,
}

/// Classifies a file by its name.
pub(super) fn name(file: &str) -> Result<Name, BadName> {
    let bad = |what: String, help: String| Err(BadName { what, help });
    if file.starts_with('.') || file.ends_with('~') || file.starts_with("README") {
        return Ok(Name::Other);
    }
    let (manifest, is_skip) = file.strip_suffix(".skip").map_or((file, false), |rest| (rest, true));
    let Some(stem) = ENDINGS.iter().find_map(|ending| manifest.strip_suffix(ending)) else {
        return bad(
            "k3s reads only names that end in .yaml, .yml or .json (and .yaml.skip)".to_owned(),
            "rename it, or put it elsewhere".to_owned(),
        );
    };
    if is_skip {
        return Ok(Name::Skip);
    }
    if stem.contains('.') {
        return bad(
            format!("k3s calls it `{}`, as any other file that begins so", addon(file)),
            "use a name without a dot before its ending".to_owned(),
        );
    }
    if !is_label(stem) {
        return bad(
            "k3s makes an object of this name, and no object can have it".to_owned(),
            "use up to 63 small letters, digits and `-`, with a letter or digit at both ends".to_owned(),
        );
    }
    if PACKAGED.contains(&stem) {
        return bad(
            format!("k3s has a component `{stem}` of its own and would overwrite the file"),
            format!(
                "use another name, such as {stem}-config.yaml (an empty file {stem}.yaml.skip leaves the component out)"
            ),
        );
    }
    Ok(Name::Manifest)
}

/// The needed facts about an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its kind.
    pub(crate) kind: String,
    /// The container images that it runs, as written in it.
    pub(crate) images: Vec<String>,
}

/// Checks that the text is YAML (or JSON) of one or more objects, each with the fields that Kubernetes requires.
pub(crate) fn objects(text: &str) -> Result<Vec<Known>, Mistake> {
    let objects = objects::read::<Value>(text)?;
    if objects.is_empty() {
        let help = "to leave out one of labimg's own, put an empty file NAME.yaml.skip here";
        return Err(Mistake { line: 1, what: "it holds no object".to_owned(), help: Some(help.to_owned()) });
    }
    let known = |o: Object<Value>| Known { images: pods::images(&o.kind, o.spec.as_ref()), kind: o.kind };
    Ok(objects.into_iter().map(known).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_k3s_takes() {
        for (file, kind) in [
            ("a.yaml", Name::Manifest),
            ("my-app2.yml", Name::Manifest),
            ("x.json", Name::Manifest),
            ("nfs-storage.yaml.skip", Name::Skip),
            ("traefik.yaml.skip", Name::Skip),
            ("README.md", Name::Other),
            (".gitkeep", Name::Other),
            ("a.yaml~", Name::Other),
        ] {
            assert_eq!(name(file), Ok(kind), "{file}");
        }
        assert_eq!(addon("a.b.yaml"), "a");
    }

    #[test]
    fn names_that_it_does_not_take() {
        for (file, needle) in [
            ("a.ymal", "end in .yaml"),
            ("a.skip", "end in .yaml"),
            ("foo.crds.yaml", "calls it `foo`"),
            ("foo.crds.yaml", "without a dot"),
            ("A.yaml", "small letters"),
            ("a_b.yaml", "small letters"),
            ("-a.yaml", "at both ends"),
            ("a-.yaml", "at both ends"),
            ("traefik.yaml", "traefik-config.yaml"),
        ] {
            let BadName { what, help } = name(file).unwrap_err();
            assert!(format!("{what}: {help}").contains(needle), "{file}: {what}: {help}");
        }
        assert!(name(&format!("{}.yaml", "a".repeat(64))).is_err() && name(".yaml").is_ok());
    }

    #[test]
    fn objects_that_kubernetes_knows() {
        let one = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: x\n";
        let kinds = |text: &str| objects(text).unwrap().into_iter().map(|object| object.kind).collect::<Vec<_>>();
        assert_eq!(kinds(one), ["Namespace"]);
        assert_eq!(kinds(&format!("---\n# nothing\n---\n{one}---\n{one}")), ["Namespace", "Namespace"]);
        let list = format!("apiVersion: v1\nkind: List\nitems:\n- {}\n", one.trim_end().replace('\n', "\n  "));
        assert_eq!(kinds(&list), ["Namespace"]);
    }

    #[test]
    fn anything_else_is_named_with_its_line() {
        let one = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: x\n";
        for (text, line, needle) in [
            ("", 1, "holds no object"),
            ("# only a comment\n", 1, "NAME.yaml.skip"),
            ("apiVersion: v1\nkind: List\nitems: []\n", 1, "holds no object"),
            (&format!("{one}---\nkind: Pod\n")[..], 6, "apiVersion"),
            (&format!("{one}---\napiVersion: v1\nkind: Pod\n"), 6, "this Pod has no metadata.name"),
            (&format!("{one}kind: Pod\n"), 5, "kind"),
            ("a: b: c\n", 1, ""),
            ("- a\n", 1, ""),
            ("apiVersion: v1\nkind: [\n", 0, ""),
        ] {
            let problem = objects(text).unwrap_err();
            let said = format!("{problem}: {}", problem.help.as_deref().unwrap_or_default());
            assert!(said.contains(needle), "{text:?}: {problem:?}");
            assert!(line == 0 || problem.line == line, "{text:?}: {problem:?}");
        }
    }
}
