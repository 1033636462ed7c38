//! Components of the stack: folders of `manifests/` with a `component.toml`, or single files with a front matter. Those of
//! the program and those of a lab folder have the same form.
//!
//! | file | what it becomes |
//! |---|---|
//! | `component.toml` | the front matter ([`FrontMatter`]) |
//! | `values.yaml` | the values of its chart |
//! | `first.yaml` | objects that are there from the start, whatever is held back |
//! | `X.yaml` | objects in the file `NAME-X.yaml` |
//! | anything else | text for its templates: `file("NAME")` |

mod front;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use include_dir::{Dir, include_dir};

use super::check::{self, BadName};
use super::{ManifestError, PACKAGED};
use crate::wording::{self, Mistake};

use rules::LABIMGS;

pub use front::{Brings, CaPart, Chart, FrontMatter, Memory, Namespace, Profile, SecretFront, SecretValue};

static MANIFESTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/manifests");

/// The front matter's file.
pub const FRONT_MATTER: &str = "component.toml";
/// The file with the values of the chart.
const VALUES: &str = "values.yaml";
/// The file that is never held back, without its ending.
pub const FIRST: &str = "first";

/// A component.
#[derive(Debug, Clone, PartialEq)]
pub struct Component {
    /// Its name: that of its folder or file.
    pub name: String,
    /// Its front matter.
    pub front: FrontMatter,
    /// Where its files are, as shown in messages: `manifests/NAME`.
    pub shown: String,
    /// Whether it comes from the lab folder.
    pub is_own: bool,
    /// The template of its chart's values.
    pub values: Option<String>,
    /// Names without ending → templates of objects. The name is empty for a component of a single file.
    pub objects: BTreeMap<String, String>,
    /// Further files, by name.
    pub texts: BTreeMap<String, String>,
}

impl Component {
    /// Puts a component together.
    ///
    /// # Errors
    /// A bad front matter, a missing one, a name that k3s would not accept.
    fn of_files(
        name: &str,
        shown: &str,
        files: BTreeMap<String, String>,
        is_own: bool,
        known: &BTreeSet<String>,
    ) -> Result<Self, ManifestError> {
        let bad = |file: &str, Mistake { line, what, help }: Mistake| ManifestError::Component {
            file: format!("{shown}/{file}"),
            line,
            what,
            help,
            is_own,
        };
        let mut files = files;
        let Some(front) = files.remove(FRONT_MATTER) else {
            let help = Some(format!("a folder of manifests/ is a component, which {FRONT_MATTER} describes"));
            return Err(bad(FRONT_MATTER, Mistake { line: 1, what: "it is missing".to_owned(), help }));
        };
        let front = front_matter(&front, known).map_err(|mistake| bad(FRONT_MATTER, mistake))?;
        let values = files.remove(VALUES);
        if values.is_some() != front.chart.is_some() {
            let what =
                if values.is_some() { "it names no [chart] for values.yaml" } else { "its [chart] has no values.yaml" };
            return Err(bad(FRONT_MATTER, Mistake { line: 1, what: what.to_owned(), help: None }));
        }
        let (objects, texts): (BTreeMap<_, _>, BTreeMap<_, _>) =
            files.into_iter().partition(|(file, _)| Path::new(file).extension().is_some_and(|end| end == "yaml"));
        let objects =
            objects.into_iter().map(|(file, text)| (file.trim_end_matches(".yaml").to_owned(), text)).collect();
        let component = Self { name: name.to_owned(), front, shown: shown.to_owned(), is_own, values, objects, texts };
        for file in component.files() {
            if LABIMGS.contains(&check::addon(&file)) {
                let what = format!("labimg itself writes {file}");
                let help = Some("give the component, or its file, another name".to_owned());
                return Err(bad(FRONT_MATTER, Mistake { line: 1, what, help }));
            }
            let wrong = |BadName { what, help }| Mistake { line: 1, what: format!("{file}: {what}"), help: Some(help) };
            check::name(&file).map_err(|e| bad(FRONT_MATTER, wrong(e)))?;
        }
        Ok(component)
    }

    /// A component of a single file, with its front matter between `+++` lines.
    fn of_text(name: &str, shown: String, text: &str, known: &BTreeSet<String>) -> Result<Self, ManifestError> {
        let bad = |Mistake { line, what, help }: Mistake| ManifestError::Component {
            file: shown.clone(),
            line,
            what,
            help,
            is_own: false,
        };
        let parts = text.strip_prefix("+++\n").and_then(|rest| rest.split_once("\n+++\n"));
        let missing = || Mistake { line: 1, what: "no front matter between +++ lines".to_owned(), help: None };
        let (front, template) = parts.ok_or_else(|| bad(missing()))?;
        let front = front_matter(front, known).map_err(bad)?;
        let objects = BTreeMap::from([(String::new(), template.to_owned())]);
        let (name, texts) = (name.to_owned(), BTreeMap::new());
        Ok(Self { name, front, shown, is_own: false, values: None, objects, texts })
    }

    /// A component of the lab folder; `known` are the names of all components.
    ///
    /// # Errors
    /// As [`Component::of_files`], and files that cannot be read or are not text.
    pub(super) fn read(name: &str, folder: &Path, known: &BTreeSet<String>) -> Result<Self, ManifestError> {
        let read = |path: &Path| {
            let path = path.to_owned();
            move |source| ManifestError::Read { path, source }
        };
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(read(folder))? {
            let path = entry.map_err(read(folder))?.path();
            let bad = |what: &str, help: Option<String>| ManifestError::Name {
                path: path.clone(),
                what: what.to_owned(),
                help,
            };
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| bad("a name that is not UTF-8", None))?.to_owned();
            if name.starts_with('.') || name.ends_with('~') || name.starts_with("README") {
                continue;
            }
            let metadata = path.metadata().map_err(read(&path))?;
            if !metadata.is_file() {
                return Err(bad("not a file", Some("a component's folder holds files alone".to_owned())));
            }
            if metadata.len() > check::LIMIT {
                return Err(bad(&format!("larger than {} MiB", check::LIMIT >> 20), None));
            }
            let bytes = std::fs::read(&path).map_err(read(&path))?;
            let text =
                String::from_utf8(bytes).map_err(|_| bad("not UTF-8", Some("save it as UTF-8 text".to_owned())))?;
            files.insert(name, text);
        }
        Self::of_files(name, &folder.display().to_string(), files, true, known)
    }

    /// The files that k3s gets for it, by name.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let chart = self.front.chart.is_some().then(|| format!("{}.yaml", self.name));
        chart.into_iter().chain(self.objects.keys().map(|stem| self.file(stem))).collect()
    }

    /// The name for k3s of one of its files of objects.
    #[must_use]
    pub fn file(&self, stem: &str) -> String {
        if stem.is_empty() { format!("{}.yaml", self.name) } else { format!("{}-{stem}.yaml", self.name) }
    }
}

fn front_matter(text: &str, known: &BTreeSet<String>) -> Result<FrontMatter, Mistake> {
    let front: FrontMatter = toml::from_str(text).map_err(|e| wording::toml(text, &e))?;
    let mistake = |what: String| Err(Mistake { line: 1, what, help: None });
    if let Some(chart) = &front.chart {
        match (chart.config, &chart.version, &chart.repository) {
            (false, Some(_), Some(_)) | (true, None, None) => {}
            (false, ..) => return mistake("its [chart] needs `version` and `repository`".to_owned()),
            (true, ..) => return mistake("k3s chooses version and repository of its own chart".to_owned()),
        }
        if chart.config && !PACKAGED.contains(&chart.name.as_str()) {
            return mistake(format!("k3s has no chart `{}`", chart.name));
        }
    }
    if let Some(link) = front.link.as_ref().filter(|link| !front.hosts.contains(link)) {
        return mistake(format!("its `link` \"{link}\" is not among its `hosts`"));
    }
    let is_name =
        |text: &String| (2..=3).contains(&text.split('/').count()) && text.split('/').all(|part| !part.is_empty());
    if let Some(bad) = front.makes.iter().find(|text| !is_name(text)) {
        return mistake(format!(
            "`makes` has \"{bad}\", and wants Kind/namespace/name, or Kind/name of what is in no namespace"
        ));
    }
    let named = front.namespaces.keys();
    let unnamed =
        front.namespace.iter().find(|name| !named.clone().any(|known| known == *name) && *name != "kube-system");
    if let Some(name) = unnamed {
        return mistake(format!("its `namespace` {name} is not among its [namespaces]"));
    }
    rules::check(&front, text, known)?;
    Ok(front)
}

/// Digits, dots, and what semver.org allows after `-` and `+`.
#[must_use]
pub fn is_version(text: &str) -> bool {
    let bare = text.strip_prefix('v').unwrap_or(text);
    bare.starts_with(|c: char| c.is_ascii_digit())
        && bare.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c))
}

/// All components of the program, by name.
///
/// # Errors
/// One that is wrong, which the tests rule out.
pub fn built_in() -> Result<BTreeMap<String, Component>, ManifestError> {
    let mut all = BTreeMap::new();
    let not_text = |shown: &str| ManifestError::Component {
        file: shown.to_owned(),
        line: 1,
        what: "not UTF-8".to_owned(),
        help: None,
        is_own: false,
    };
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let folders = MANIFESTS.dirs().map(|folder| folder.path().to_string_lossy().into_owned());
    let known: BTreeSet<String> = MANIFESTS.files().map(|file| stem(file.path())).chain(folders).collect();
    for file in MANIFESTS.files() {
        let shown = format!("manifests/{}", file.path().display());
        let name = stem(file.path());
        let text = file.contents_utf8().ok_or_else(|| not_text(&shown))?;
        all.insert(name.clone(), Component::of_text(&name, shown, text, &known)?);
    }
    for folder in MANIFESTS.dirs() {
        let shown = format!("manifests/{}", folder.path().display());
        let name = folder.path().to_string_lossy().into_owned();
        let mut files = BTreeMap::new();
        for file in folder.files() {
            let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, file.contents_utf8().ok_or_else(|| not_text(&shown))?.to_owned());
        }
        all.insert(name.clone(), Component::of_files(&name, &shown, files, false, &known)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_the_program_are_good() {
        let all = built_in().unwrap();
        assert!(all.contains_key("lab") && all.contains_key("nfs-storage"));
        let mut files = std::collections::BTreeSet::new();
        for component in all.values() {
            assert!(!component.front.title.is_empty() && !component.front.title.ends_with('.'), "{}", component.name);
            for file in component.files() {
                assert_eq!(check::name(&file), Ok(check::Name::Manifest), "{file}");
                assert!(files.insert(file.clone()), "{file} comes from two components");
            }
            for need in component
                .front
                .needs
                .iter()
                .flat_map(|need| need.split('|'))
                .chain(component.front.conflicts.iter().map(String::as_str))
            {
                assert!(all.contains_key(need), "{}: there is no {need}", component.name);
            }
        }
    }

    /// The groups of the objects in a component's templates, those of Kubernetes and k3s left out.
    fn groups(component: &Component) -> impl Iterator<Item = &str> {
        let lines = component.objects.values().flat_map(|text| text.lines());
        let versions = lines.filter_map(|line| line.strip_prefix("apiVersion: "));
        let groups = versions.filter_map(|version| Some(version.trim().split_once('/')?.0));
        groups.filter(|group| group.contains('.') && !group.ends_with(".k8s.io") && !group.ends_with(".cattle.io"))
    }

    #[test]
    fn kinds_come_with_the_component_or_what_it_needs() {
        let all = built_in().unwrap();
        let mut seen = 0;
        for component in all.values() {
            let mut there: Vec<&str> = vec![component.name.as_str()];
            let mut at = 0;
            while let Some(name) = there.get(at).copied() {
                let needs = all[name].front.needs.iter().flat_map(|need| need.split('|'));
                let more: Vec<&str> = needs.filter(|need| !there.contains(need)).collect();
                there.extend(more);
                at += 1;
            }
            let charts = there.iter().filter_map(|name| all[*name].front.chart.as_ref());
            let known: Vec<&String> = charts.flat_map(|chart| &chart.groups).collect();
            for group in groups(component) {
                assert!(known.iter().any(|known| *known == group), "{}: no chart brings {group}", component.name);
                seen += 1;
            }
        }
        assert!(seen > 5, "the templates are not read");
    }
}
