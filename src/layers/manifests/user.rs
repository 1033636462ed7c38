//! Manifests of the lab folder: copied as they are, once they are found good.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::check::{self, Known, Name};
use super::own_charts::{self, OwnChart};
use super::{ManifestError, builtins};

/// Largest file that is taken, in bytes. etcd holds objects of 1.5 MiB at most; a file may hold many.
const LIMIT: u64 = 16 << 20;

/// What the folder holds for k3s.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    /// Name → content.
    pub(super) files: BTreeMap<String, String>,
    /// Those with a Secret in them.
    pub(super) secret: Vec<PathBuf>,
    /// The Helm charts that they install, and the file of each.
    pub(super) charts: Vec<(OwnChart, PathBuf)>,
    /// The container images that their pods run, as they name them, and the file of each.
    pub(super) images: Vec<(String, PathBuf)>,
}

/// All files for k3s in `folder`; none when it does not exist.
pub(super) fn load(folder: &Path) -> Result<Loaded, ManifestError> {
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| ManifestError::Read { path, source }
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Loaded::default()),
        Err(e) => return Err(read(folder)(e)),
    };
    let mut paths = entries.map(|e| e.map(|e| e.path())).collect::<Result<Vec<_>, _>>().map_err(read(folder))?;
    // The order in a folder is anyone's, and errors should come in the same order each time.
    paths.sort();
    let mut loaded = Loaded::default();
    // What k3s calls each file's content → its name.
    let mut addons: BTreeMap<String, String> =
        builtins()?.into_iter().map(|b| (check::addon(&b.file).to_owned(), b.file)).collect();
    for path in paths {
        let bad = |what: String| ManifestError::Name { path: path.clone(), what };
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or_else(|| bad("a name that is not UTF-8".into()))?;
        let kind = check::name(name);
        if kind == Ok(Name::Other) {
            continue;
        }
        let metadata = path.metadata().map_err(read(&path))?;
        if !metadata.is_file() {
            return Err(bad(
                "not a file; k3s goes by the names of files alone: put them directly into manifests/".into()
            ));
        }
        if kind.map_err(bad)? == Name::Skip {
            loaded.files.insert(name.to_owned(), String::new());
            continue;
        }
        if let Some(other) = addons.insert(check::addon(name).to_owned(), name.to_owned()).filter(|other| other != name)
        {
            return Err(bad(format!(
                "k3s takes it for the same as {other}: give it that name to replace it, or another"
            )));
        }
        if metadata.len() > LIMIT {
            return Err(bad(format!("larger than {} MiB", LIMIT >> 20)));
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

/// Its text and objects.
fn check_content(path: &Path, bytes: Vec<u8>) -> Result<(String, Vec<Known>), ManifestError> {
    let content = |line, what| ManifestError::Content { path: PathBuf::from(path), line, what };
    let text = String::from_utf8(bytes).map_err(|e| {
        let before = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        content(before.split(|&b| b == b'\n').count() as u64, "not UTF-8".to_owned())
    })?;
    let objects = check::objects(&text).map_err(|problem| content(problem.line, problem.what))?;
    Ok((text, objects))
}
