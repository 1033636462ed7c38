//! The built-in manifests: files of `manifests/`, each with a front matter (TOML) between `+++` lines and a template.

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use super::ManifestError;
use crate::charts::ChartRef;
use crate::containers::ImageName;
use crate::wording;

static MANIFESTS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/manifests");

/// One file of `manifests/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builtin {
    /// The file's name, also on the node.
    pub file: String,
    /// What it is, in one line.
    pub title: String,
    /// What it needs; otherwise it is left out.
    pub needs: Vec<Need>,
    /// The chart that it installs.
    pub chart: Option<ChartRef>,
    /// The container images that it runs, including those of the chart.
    pub images: Vec<ImageName>,
    /// The text after the front matter, a template.
    pub(crate) template: &'static str,
}

/// What a manifest needs from a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The master exports a disk.
    Storage,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    title: String,
    needs: Vec<Need>,
    chart: Option<ChartRef>,
    #[serde(default)]
    images: Vec<ImageName>,
}

/// All built-in manifests, by name.
///
/// # Errors
/// A bad front matter.
pub fn builtins() -> Result<Vec<Builtin>, ManifestError> {
    let mut all = MANIFESTS.files().map(parse).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(all)
}

/// The names of their files.
pub(super) fn names() -> impl Iterator<Item = String> {
    MANIFESTS.files().map(|file| file.path().to_string_lossy().into_owned())
}

fn parse(file: &'static include_dir::File<'static>) -> Result<Builtin, ManifestError> {
    let name = file.path().to_string_lossy().into_owned();
    let bad = |what: &str| ManifestError::Builtin { file: name.clone(), what: what.to_owned(), source: None };
    let text = file.contents_utf8().ok_or_else(|| bad("not UTF-8"))?;
    let parts = text.strip_prefix("+++\n").and_then(|rest| rest.split_once("\n+++\n"));
    let (front, template) = parts.ok_or_else(|| bad("it does not begin with a front matter between +++"))?;
    let front: FrontMatter = toml::from_str(front).map_err(|e| ManifestError::Builtin {
        file: name.clone(),
        what: "its front matter is wrong".to_owned(),
        source: Some(Box::new(wording::toml(front, &e))),
    })?;
    let FrontMatter { title, needs, chart, images } = front;
    Ok(Builtin { title, needs, chart, images, template, file: name })
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn every_file_has_a_front_matter_and_a_good_name() {
        let all = builtins().unwrap();
        assert!(!all.is_empty());
        for builtin in all {
            assert!(!builtin.title.is_empty(), "{builtin:?}");
            assert_eq!(check::name(&builtin.file), Ok(check::Name::Manifest), "{builtin:?}");
        }
    }
}
