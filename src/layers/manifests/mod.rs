//! What k3s deploys by itself: files in `/var/lib/rancher/k3s/server/manifests` of the master. Ours are in `manifests/`,
//! compiled into the program; files of the lab folder's `manifests/` are added, one of the same name in place of ours.
//!
//! k3s reads the folder every 15 s, in the order of names, and tries again what fails. It calls the file's objects by its
//! name up to the first dot, so names must be valid for an object and may not meet; `NAME.yaml.skip` lets it pass over
//! `NAME.yaml` (docs.k3s.io, "Packaged Components", "Auto-Deploying Manifests").

mod builtin;
mod check;
mod own_charts;
mod pods;
mod user;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::charts::ChartRef;
use crate::containers::{BadName, ImageName};
use crate::lab::Lab;
use labimg_tree::{Content, Tree, TreeError};

pub use builtin::{Builtin, builtins};

const SERVER: &str = "var/lib/rancher/k3s/server";

/// Where k3s looks.
pub const FOLDER: &str = "var/lib/rancher/k3s/server/manifests";

/// What k3s serves to anyone in the cluster, below `/static` of its API.
const STATIC: &str = "var/lib/rancher/k3s/server/static/charts";

/// Where that is found: the controller of Helm charts fills in the API's own address.
const SERVED: &str = "https://%{KUBERNETES_API}%/static/charts";

/// Where the master's disk is mounted and what it exports.
pub const EXPORT: &str = "/srv/labimg";

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file of this program.
    #[error("manifests/{file} of this program: {what}")]
    Builtin {
        /// Which.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// The user's file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// A name that k3s does not take, or not as it is meant.
    #[error("{}: {what}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        what: String,
    },
    /// Not what Kubernetes takes.
    #[error("{}:{line}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// Something in the tree is in the way.
    #[error("manifests of k3s: {0}")]
    Tree(#[from] TreeError),
}

/// The cluster that manifests are made for.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a> {
    /// The `lab.toml`; defaults without one.
    pub lab: Option<&'a Lab>,
    /// The master's name when no lab tells it.
    pub hostname: &'a str,
    /// The k3s of the nodes, such as `v1.36.5+k3s1`.
    pub k3s: &'a str,
    /// Charts that are in the image: manifests then name these archives, else the repositories.
    pub charts: &'a [(ChartRef, Content)],
}

/// The charts that our manifests name, for the cluster of a lab.
///
/// # Errors
/// A bad front matter of a file of this program.
pub fn charts(lab: Option<&Lab>) -> Result<Vec<ChartRef>, ManifestError> {
    Ok(builtin::of(lab)?.into_iter().filter_map(|builtin| builtin.chart).collect())
}

/// The container images that our manifests run, for the cluster of a lab.
///
/// # Errors
/// A bad front matter of a file of this program.
pub fn images(lab: Option<&Lab>) -> Result<Vec<ImageName>, ManifestError> {
    Ok(builtin::of(lab)?.into_iter().flat_map(|builtin| builtin.images).collect())
}

/// The container images that the pods of a lab folder's manifests run. What its Helm charts run is not known.
///
/// # Errors
/// As [`apply`], and a name that no image can have.
pub fn own_images(lab_dir: &Path) -> Result<Vec<ImageName>, ManifestError> {
    let images = user::load(&lab_dir.join("manifests"))?.images.into_iter();
    let parsed = images.map(|(image, path)| {
        let bad = |bad: BadName| format!("`{image}` is no name of a container image: {}", bad.what);
        ImageName::in_a_pod(&image).map_err(|e| ManifestError::Name { path, what: bad(e) })
    });
    parsed.collect()
}

/// The charts that a lab folder's manifests name, and what is left to the cluster.
#[derive(Debug, Default)]
pub struct OwnCharts {
    /// Those that a lock can look up.
    pub charts: Vec<ChartRef>,
    /// For people: file, line and why.
    pub left: Vec<String>,
}

/// The charts that the manifests of a lab folder name.
///
/// # Errors
/// As [`apply`].
pub fn own_charts(lab_dir: &Path) -> Result<OwnCharts, ManifestError> {
    let mut own = OwnCharts::default();
    for (found, path) in user::load(&lab_dir.join("manifests"))?.charts {
        match found.chart() {
            Ok(chart) => own.charts.push(chart.clone()),
            Err(why) => own.left.push(format!("{}:{}: {why}", path.display(), found.line)),
        }
    }
    Ok(own)
}

/// Puts charts where k3s serves them: on every server, since any of them may be asked.
///
/// # Errors
/// Something in the tree is in the way.
pub fn serve(tree: &mut Tree, charts: &[(ChartRef, Content)]) -> Result<(), ManifestError> {
    if charts.is_empty() {
        return Ok(());
    }
    tree.begin_layer("charts");
    for (chart, content) in charts {
        let path = format!("{STATIC}/{}", chart.file());
        folders(tree, path.rsplit_once('/').map_or(STATIC, |(folder, _)| folder))?;
        tree.write(path, 0o600, content.clone())?;
    }
    Ok(())
}

/// A folder below `server`, as k3s makes them.
fn folders(tree: &mut Tree, path: &str) -> Result<(), TreeError> {
    for (slash, _) in path.match_indices('/').filter(|(at, _)| *at >= SERVER.len()) {
        tree.mkdir(&path[..slash], 0o700)?;
    }
    tree.mkdir(path, 0o700)
}

/// Puts the manifests there, for k3s alone to read (0600): ours, then those of `lab_dir/manifests`, as they are but for charts
/// that are in the image. Gives the files of the lab folder that hold a Secret: an image is for anyone who holds the card, so
/// the user should know.
///
/// # Errors
/// A file of the lab folder that k3s would not take, with the line and what to do.
pub fn apply(tree: &mut Tree, cluster: &Cluster<'_>, lab_dir: Option<&Path>) -> Result<Vec<PathBuf>, ManifestError> {
    tree.begin_layer("manifests");
    folders(tree, FOLDER)?;
    let mut files: BTreeMap<String, String> = builtin::render(cluster)?;
    let mut secret = Vec::new();
    if let Some(dir) = lab_dir {
        let folder = dir.join("manifests");
        let loaded = user::load(&folder)?;
        let is_here = |wanted: &ChartRef| cluster.charts.iter().any(|(chart, _)| chart == wanted);
        for (name, text) in loaded.files {
            let at = |problem: check::Problem| ManifestError::Content {
                path: folder.join(&name),
                line: problem.line,
                what: problem.what,
            };
            let text = own_charts::served(&text, is_here).map_err(at)?;
            files.insert(name, text);
        }
        secret = loaded.secret;
    }
    for (name, content) in files {
        tree.write(format!("{FOLDER}/{name}"), 0o600, content)?;
    }
    Ok(secret)
}

#[cfg(test)]
mod tests;
