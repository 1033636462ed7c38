//! Manifests of the lab folder: checked, then copied unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::ManifestError;
use super::check::{self, BadName, Known, LIMIT, Name};
use super::component::{Component, FRONT_MATTER};
use super::own_charts::{self, OwnChart};
use crate::charts::ChartRef;
use crate::containers::ImageName;
use crate::wording::Mistake;

/// The file with the stack's Secrets, which comes by the seed and leaves the node again, without `.yaml`.
const SEEDED: &str = "labimg-secrets";

/// The manifests of a lab folder.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnManifests {
    folder: PathBuf,
    /// Name → content.
    files: BTreeMap<String, String>,
    /// The components, which are folders.
    components: BTreeMap<String, Component>,
    /// The files with a Secret.
    secret: Vec<PathBuf>,
    /// The Helm charts that they install, each with its file.
    charts: Vec<(OwnChart, PathBuf)>,
    /// The container images that their pods run, as written in them, each with its file.
    images: Vec<(String, PathBuf)>,
}

/// The charts in a lab folder's manifests, and those left to the cluster.
#[derive(Debug, Default)]
pub struct OwnCharts {
    /// The charts that a lock can look up.
    pub charts: Vec<ChartRef>,
    /// Those left to the cluster: file, line and reason, as text.
    pub left: Vec<String>,
}

impl OwnManifests {
    /// Reads all files for k3s in `folder`, and components, which may replace those of the program; empty when it does not exist.
    ///
    /// # Errors
    /// A file that cannot be read, or that k3s would not accept, with the line and what to do.
    pub fn read(folder: &Path, of_program: &BTreeMap<String, Component>) -> Result<Self, ManifestError> {
        let loaded = load(folder, of_program)?;
        Ok(if loaded.files.is_empty() && loaded.components.is_empty() {
            loaded
        } else {
            Self { folder: folder.to_owned(), ..loaded }
        })
    }

    /// The files that hold a Secret, which anyone with the card can read.
    #[must_use]
    pub fn secret(&self) -> &[PathBuf] {
        &self.secret
    }

    /// Its components, by name.
    #[must_use]
    pub fn components(&self) -> &BTreeMap<String, Component> {
        &self.components
    }

    /// Name → path for messages, and text.
    pub(crate) fn texts(&self) -> BTreeMap<String, (String, String)> {
        let shown = |name: &str| self.folder.join(name).display().to_string();
        self.files.iter().map(|(name, text)| (name.clone(), (shown(name), text.clone()))).collect()
    }

    /// The names of the files.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Name → text, unchanged except that charts in the image (`is_here`) get the address where k3s serves them.
    ///
    /// # Errors
    /// A chart whose address cannot be changed, with file and line.
    pub fn files(&self, is_here: impl Fn(&ChartRef) -> bool) -> Result<BTreeMap<String, String>, ManifestError> {
        let mut files = BTreeMap::new();
        for (name, text) in &self.files {
            let at = |mistake| content(&self.folder.join(name), mistake);
            files.insert(name.clone(), own_charts::served(text, &is_here).map_err(at)?);
        }
        Ok(files)
    }

    /// The container images that their pods run. Images of their Helm charts are not known.
    ///
    /// # Errors
    /// An invalid image name.
    pub fn images(&self) -> Result<Vec<ImageName>, ManifestError> {
        let parsed = self.images.iter().map(|(image, path)| {
            ImageName::in_a_pod(image).map_err(|bad| ManifestError::Name {
                path: path.clone(),
                what: format!("`{image}` is not the name of a container image: {}", bad.what),
                help: None,
            })
        });
        parsed.collect()
    }

    /// The Helm charts in them.
    #[must_use]
    pub fn charts(&self) -> OwnCharts {
        let mut own = OwnCharts::default();
        for (found, path) in &self.charts {
            match found.chart() {
                Ok(chart) => own.charts.push(chart.clone()),
                Err(why) => own.left.push(format!("{}:{}: {why}", path.display(), found.line)),
            }
        }
        own
    }
}

fn load(folder: &Path, of_program: &BTreeMap<String, Component>) -> Result<OwnManifests, ManifestError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| ManifestError::Read { path, source }
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(OwnManifests::default()),
        Err(e) => return Err(read(folder)(e)),
    };
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(read(folder))?;
    // The order in a folder is arbitrary, but errors should always come in the same order.
    paths.sort();
    let mut loaded = OwnManifests::default();
    let mut all = of_program.clone();
    let name_of = |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let folders: Vec<(String, &PathBuf)> =
        paths.iter().filter(|path| path.is_dir()).map(|path| (name_of(path), path)).collect();
    let known: BTreeSet<String> = all.keys().cloned().chain(folders.iter().map(|(name, _)| name.clone())).collect();
    for (name, path) in &folders {
        if !name.starts_with('.') {
            let component = Component::read(name, path, &known)?;
            all.insert(name.to_owned(), component.clone());
            loaded.components.insert(name.to_owned(), component);
        }
    }
    // k3s's name for each file's content → the file's name.
    let mut addons: BTreeMap<String, String> = BTreeMap::new();
    // Those of the lab folder last, since only they can be at fault.
    for component in all.values().filter(|c| !c.is_own).chain(all.values().filter(|c| c.is_own)) {
        for file in component.files() {
            let other = addons.insert(check::addon(&file).to_owned(), file.clone());
            if let Some(other) = other.filter(|_| component.is_own) {
                let path = folder.join(&component.name).join(FRONT_MATTER);
                let what = format!("its {file} is the same for k3s as {other} of another component");
                return Err(ManifestError::Name {
                    path,
                    what,
                    help: Some("give the component another name".to_owned()),
                });
            }
        }
    }
    for path in paths {
        let bad =
            |what: &str, help: Option<String>| ManifestError::Name { path: path.clone(), what: what.to_owned(), help };
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or_else(|| bad("a name that is not UTF-8", None))?;
        let kind = check::name(name);
        let metadata = path.metadata().map_err(read(&path))?;
        if kind == Ok(Name::Other) || metadata.is_dir() {
            continue;
        }
        if !metadata.is_file() {
            let help = "put files directly into manifests/: k3s goes by their names alone";
            return Err(bad("not a file", Some(help.to_owned())));
        }
        if kind.map_err(|BadName { what, help }| bad(&what, Some(help)))? == Name::Skip {
            loaded.files.insert(name.to_owned(), String::new());
            continue;
        }
        if check::addon(name) == SEEDED {
            let help = "give it another name".to_owned();
            return Err(bad("the master's seed writes a file that k3s takes for the same", Some(help)));
        }
        if let Some(other) = addons.insert(check::addon(name).to_owned(), name.to_owned()).filter(|other| other != name)
        {
            let help = "give it that name to replace it, or another".to_owned();
            return Err(bad(&format!("k3s takes it for the same as {other}"), Some(help)));
        }
        if metadata.len() > LIMIT {
            return Err(bad(&format!("larger than {} MiB", LIMIT >> 20), None));
        }
        let (text, objects) = check_content(&path, std::fs::read(&path).map_err(read(&path))?)?;
        if objects.iter().any(|object| object.kind == "Secret") {
            loaded.secret.push(path.clone());
        }
        if objects.iter().any(|object| object.kind == own_charts::KIND) {
            loaded.charts.extend(own_charts::find(&text).into_iter().map(|chart| (chart, path.clone())));
        }
        loaded.images.extend(objects.into_iter().flat_map(|o| o.images).map(|image| (image, path.clone())));
        loaded.files.insert(name.to_owned(), text);
    }
    Ok(loaded)
}

/// Checks the content; returns its text and objects.
fn check_content(path: &Path, bytes: Vec<u8>) -> Result<(String, Vec<Known>), ManifestError> {
    let text = String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = before.split(|&b| b == b'\n').count();
        let help = Some("save it as UTF-8 text".to_owned());
        content(path, Mistake { line, what: "not UTF-8".to_owned(), help })
    })?;
    let objects = check::objects(&text).map_err(|mistake| content(path, mistake))?;
    Ok((text, objects))
}

fn content(path: &Path, Mistake { line, what, help }: Mistake) -> ManifestError {
    ManifestError::Content { path: path.to_owned(), line, what, help }
}
