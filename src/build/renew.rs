//! Updates some packages of a `labimg.lock` to the mirror's current versions and keeps the rest (`labimg update NAME`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{BuildError, BuildOptions, Run, alone, containers, inputs};
use crate::k3s::{K3sMode, LockedK3s};
use crate::lock_file::{Archives, ImageKey, LockFile};
use crate::plan::Plan;
use labimg_debian::deb::{self, Deb};
use labimg_debian::lock::archive;
use labimg_debian::lock::{Lock, LockedPackage};
use labimg_store::StoreError;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::progress::{Progress, Unit};
use labimg_tree::suggest::{did_you_mean, nearest};

/// The name for k3s: no Debian package has it.
const K3S: &str = "k3s";

/// A lock with some renewed packages.
#[derive(Debug, Clone)]
pub struct Renewed {
    /// The lock.
    pub file: LockFile,
    /// Why packages that were not named were changed, added or removed, by name.
    pub why: BTreeMap<String, String>,
    /// Images of the lock without a plan: they are unchanged.
    pub left: Vec<String>,
}

/// Why packages of a lock were not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// A name that is in no image.
    #[error("{}: no image of this lab has a package `{name}`", path.display())]
    Unknown {
        /// The lock.
        path: PathBuf,
        /// The name given.
        name: String,
        /// Similar names, best first.
        nearest: Vec<String>,
    },
    /// The files of packages that stay cannot be read.
    #[error("the mirror has dropped packages that are to stay, and only their files say what they need")]
    Dropped {
        /// The cause.
        source: StoreError,
    },
}

impl Fault for RenewError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Unknown { .. } => FaultKind::Usage,
            Self::Dropped { source } => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest, .. } => did_you_mean(nearest),
            Self::Dropped { .. } => Some("`labimg update` without a name renews everything".to_owned()),
        }
    }
}

/// Updates the packages with these names (or `k3s`) in the images of all these plans to the mirror's current versions,
/// and changes the rest only where it cannot stay.
///
/// Images of the lock without a plan stay as they are. So do the archives for the nodes' apt.
///
/// # Errors
/// See [`BuildError`]; an image that the lock does not have is one.
pub fn renew(
    older: &LockFile,
    plans: &[&Plan],
    names: &BTreeSet<String>,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<Renewed, BuildError> {
    alone(options, progress, |run| renew_with(older, plans, names, run))
}

fn renew_with(
    older: &LockFile,
    plans: &[&Plan],
    names: &BTreeSet<String>,
    run: &Run<'_>,
) -> Result<Renewed, BuildError> {
    let options = run.options;
    // k3s alone can be renewed even if images of the plans are missing.
    let images = if names.iter().all(|name| name == K3S) { Vec::new() } else { images(older, plans, options)? };
    check(older, plans, &images, names)?;
    let left = if images.is_empty() {
        Vec::new()
    } else {
        older.besides(&plans.iter().map(|plan| inputs::key(plan)).collect::<Vec<_>>())
    };
    let (mut renewed, mut why) = (Vec::new(), BTreeMap::new());
    for (key, plan, lock) in images {
        if lock.packages.iter().any(|p| names.contains(&p.name)) {
            let of_image = renew_one(plan, &lock, names, run)?;
            renewed.push((key, of_image.lock));
            for (name, reason) in of_image.why {
                why.entry(name).or_insert(reason);
            }
        }
    }
    let mut parts = older.cluster_parts();
    if names.contains(K3S) {
        // The user asked for it, so it must not be left out when it cannot be reached.
        let mode = if options.k3s == K3sMode::Auto { K3sMode::Embed } else { options.k3s };
        let ours =
            |k: &&LockedK3s| plans.iter().any(|p| p.role.k3s.is_some() && p.board.architecture == k.architecture);
        for releases in [&mut parts.k3s, &mut parts.k3s_images] {
            releases.retain(|k| !ours(&k));
        }
        let run = &Run { options: &BuildOptions { k3s: mode, ..options.clone() }, ..*run };
        parts.k3s.extend(inputs::releases(plans, false, run)?);
        // Its own container images belong to the same release. All others stay.
        parts.k3s_images.extend(containers::k3s_images(plans, run)?);
    }
    Ok(Renewed { file: older.renewed(&renewed, parts), why, left })
}

/// The images of the plans, each once, as the lock has them.
fn images<'p>(
    older: &LockFile,
    plans: &[&'p Plan],
    options: &BuildOptions,
) -> Result<Vec<(ImageKey, &'p Plan, Lock)>, BuildError> {
    let archives = Archives { debian: options.mirror.archive.clone(), security: options.mirror.security.clone() };
    let mut images: Vec<(ImageKey, &Plan, Lock)> = Vec::new();
    for plan in plans {
        let key = inputs::key(plan);
        if images.iter().all(|(k, ..)| *k != key) {
            let lock = older.lock(&key, &archives, &options.snapshots)?;
            images.push((key, plan, lock));
        }
    }
    Ok(images)
}

/// Refuses names that are in no image.
fn check(
    older: &LockFile,
    plans: &[&Plan],
    images: &[(ImageKey, &Plan, Lock)],
    names: &BTreeSet<String>,
) -> Result<(), RenewError> {
    let mut there: BTreeSet<&str> =
        images.iter().flat_map(|(_, _, lock)| &lock.packages).map(|p| p.name.as_str()).collect();
    if plans.iter().any(|plan| plan.role.k3s.is_some()) {
        there.insert(K3S);
    }
    match names.iter().find(|name| !there.contains(name.as_str())) {
        Some(name) => {
            let nearest = nearest(name, there);
            Err(RenewError::Unknown { path: older.path().to_owned(), name: name.clone(), nearest })
        }
        None => Ok(()),
    }
}

fn renew_one(
    plan: &Plan,
    lock: &Lock,
    names: &BTreeSet<String>,
    run: &Run<'_>,
) -> Result<archive::Renewed, BuildError> {
    let _phase = run.context.progress.phase("Choosing packages", 0, Unit::Items);
    let request = inputs::request(plan, run.options);
    let archive = inputs::archive(plan, run)?;
    let lacking: Vec<LockedPackage> = archive.lacking(lock, names)?.into_iter().cloned().collect();
    let controls = controls(&lacking, run)?;
    Ok(archive.renew(lock, names, &request.packages, &controls)?)
}

/// The control files of packages: their dependencies and conflicts, when no index has them any more.
fn controls(packages: &[LockedPackage], run: &Run<'_>) -> Result<Vec<(LockedPackage, String)>, BuildError> {
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    deb::fetch(packages, run.options.jobs, &run.context).map_err(|e| match e {
        StoreError::Fetch(_) => BuildError::from(RenewError::Dropped { source: e }),
        e => e.into(),
    })?;
    let debs = deb::open_all(run.context.store, packages, run.context.progress)?;
    let text = |(package, deb): (LockedPackage, Deb)| {
        let control = deb.control.get("control").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        // A missing one counts as one without fields, which is refused.
        (package, control.unwrap_or_default())
    };
    Ok(debs.into_iter().map(text).collect())
}
