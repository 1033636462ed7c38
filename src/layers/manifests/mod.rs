//! Manifests that k3s deploys automatically: files in `/var/lib/rancher/k3s/server/manifests` on the master. labimg's
//! own are rendered for the cluster. Files of the lab folder are added, and replace labimg's with the same name.

mod render;

use std::collections::BTreeMap;

use crate::charts::ChartRef;
use crate::containers::ImageName;
use crate::lab::Lab;
use crate::manifests::{ManifestError, OwnManifests};
use labimg_tree::{Content, Tree, TreeError};

const SERVER: &str = "var/lib/rancher/k3s/server";

/// Where k3s looks.
pub const FOLDER: &str = "var/lib/rancher/k3s/server/manifests";

/// Files that k3s serves to anyone in the cluster, below `/static` of its API.
const STATIC: &str = "var/lib/rancher/k3s/server/static/charts";

/// Where the master's disk is mounted and exported.
pub const EXPORT: &str = "/srv/labimg";

/// The cluster that manifests are made for.
#[derive(Debug, Clone, Copy)]
pub struct Cluster<'a> {
    /// The `lab.toml`; defaults without one.
    pub lab: Option<&'a Lab>,
    /// The master's name, if there is no lab.
    pub hostname: &'a str,
    /// The k3s of the nodes, such as `v1.36.5+k3s1`.
    pub k3s: &'a str,
    /// Charts that are in the image: manifests then name these archives, else the repositories.
    pub charts: &'a [(ChartRef, Content)],
}

/// The charts in labimg's manifests for the cluster of a lab.
///
/// # Errors
/// A bad front matter in a built-in file.
pub fn charts(lab: Option<&Lab>) -> Result<Vec<ChartRef>, ManifestError> {
    Ok(render::of(lab)?.into_iter().filter_map(|builtin| builtin.chart).collect())
}

/// The container images in labimg's manifests for the cluster of a lab.
///
/// # Errors
/// A bad front matter in a built-in file.
pub fn images(lab: Option<&Lab>) -> Result<Vec<ImageName>, ManifestError> {
    Ok(render::of(lab)?.into_iter().flat_map(|builtin| builtin.images).collect())
}

/// Puts charts where k3s serves them, on every server, since any of them may be asked.
///
/// # Errors
/// A conflict with another file in the tree.
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

/// Creates a folder below `server` as k3s does.
fn folders(tree: &mut Tree, path: &str) -> Result<(), TreeError> {
    for (slash, _) in path.match_indices('/').filter(|(at, _)| *at >= SERVER.len()) {
        tree.mkdir(&path[..slash], 0o700)?;
    }
    tree.mkdir(path, 0o700)
}

/// Adds the manifests, readable only by root (0600): first labimg's, then those of the lab folder, unchanged except for
/// charts that are in the image.
///
/// # Errors
/// A chart of the lab folder whose address cannot be changed, with file and line.
pub fn apply(tree: &mut Tree, cluster: &Cluster<'_>, own: &OwnManifests) -> Result<(), ManifestError> {
    tree.begin_layer("manifests");
    folders(tree, FOLDER)?;
    let mut files: BTreeMap<String, String> = render::render(cluster)?;
    files.extend(own.files(|wanted| cluster.charts.iter().any(|(chart, _)| chart == wanted))?);
    for (name, content) in files {
        tree.write(format!("{FOLDER}/{name}"), 0o600, content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
