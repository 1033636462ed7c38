//! Manifests that k3s deploys automatically: files in `/var/lib/rancher/k3s/server/manifests` on the master. Those of the
//! stack are rendered for the cluster. Files of the lab folder are added, and replace those with the same name.

use crate::charts::ChartRef;
use crate::manifests::{ManifestError, OwnManifests};
use crate::stack::{self, Cluster, Files};
use labimg_tree::{Content, Tree, TreeError};

const SERVER: &str = "var/lib/rancher/k3s/server";

/// Where k3s looks.
pub const FOLDER: &str = "var/lib/rancher/k3s/server/manifests";

/// Files that k3s serves to anyone in the cluster, below `/static` of its API.
const STATIC: &str = "var/lib/rancher/k3s/server/static/charts";

/// The list of components for the node.
const LIST: &str = "usr/share/labimg/stack";

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
pub(crate) fn folders(tree: &mut Tree, path: &str) -> Result<(), TreeError> {
    for (slash, _) in path.match_indices('/').filter(|(at, _)| *at >= SERVER.len()) {
        tree.mkdir(&path[..slash], 0o700)?;
    }
    tree.mkdir(path, 0o700)
}

/// The files for k3s: first those of the stack, then those of the lab folder, unchanged except for charts that are in the
/// image.
///
/// # Errors
/// A component that makes no manifest; a chart of the lab folder whose address cannot be changed, with file and line.
pub fn files(cluster: &Cluster<'_>, own: &OwnManifests) -> Result<Files, ManifestError> {
    let mut files = stack::render(cluster)?;
    files.extend(own.files(|wanted| cluster.charts.iter().any(|(chart, _)| chart == wanted))?);
    Ok(files)
}

/// Adds the manifests, readable only by root (0600), and the list of the stack's components.
///
/// # Errors
/// As [`files`], and a conflict with another file in the tree.
pub fn apply(tree: &mut Tree, cluster: &Cluster<'_>, own: &OwnManifests) -> Result<(), ManifestError> {
    tree.begin_layer("manifests");
    folders(tree, FOLDER)?;
    let files = files(cluster, own)?;
    for (name, content) in &files {
        tree.write(format!("{FOLDER}/{name}"), 0o600, content.clone())?;
    }
    if !cluster.stack.is_chosen() {
        return Ok(());
    }
    if cluster.lab.is_phased() {
        for name in stack::held_back(cluster.stack, &files) {
            tree.write(format!("{FOLDER}/{name}"), 0o600, "")?;
        }
    }
    tree.write(LIST, 0o644, stack::list(cluster, &files))?;
    Ok(())
}

#[cfg(test)]
mod tests;
