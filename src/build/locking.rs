//! Where the inputs of an image come from: what the mirror has now, or a `labimg.lock`.

use std::collections::{BTreeMap, BTreeSet};

use super::{BuildError, BuildOptions, carrying};
use crate::charts::{self, ChartRef, LockedChart};
use crate::k3s::{self, K3sMode, K3sSource, LockedK3s};
use crate::layers::manifests::{self, ManifestError, OwnCharts};
use crate::lock::file::{Archives, ClusterParts, ImageKey, LockFile, LockFileError};
use crate::lock::{self, Lock, LockRequest};
use crate::plan::Plan;
use crate::plan::role::K3sKind;
use crate::report::{Reporter, Unit};
use crate::store::Store;
use crate::store::http::Http;

/// The inputs of one image.
pub(super) fn inputs(
    plan: &Plan,
    options: &BuildOptions,
    store: &Store,
    http: &Http,
    reporter: &Reporter,
) -> Result<Lock, BuildError> {
    match &options.locked {
        Some(file) => {
            let mirror = &options.mirror;
            let archives = Archives { debian: mirror.archive.clone(), security: mirror.security.clone() };
            Ok(file.lock(&key(plan), &archives, &options.snapshots)?)
        }
        None => ask_mirror(plan, options, store, http, reporter),
    }
}

/// The k3s that a lock names for an image.
pub(super) fn k3s<'o>(plan: &Plan, options: &'o BuildOptions) -> Result<Option<&'o LockedK3s>, LockFileError> {
    let Some(file) = options.locked.as_ref().filter(|_| plan.role.k3s.is_some() && options.k3s_bin.is_none()) else {
        return Ok(None);
    };
    let found = file.k3s(&K3sSource::of(Some(&plan.lab)).version, &plan.board.architecture);
    match options.k3s {
        K3sMode::FirstBoot => Ok(found.ok()),
        K3sMode::Embed | K3sMode::Auto => found.map(Some),
    }
}

/// The charts that a lock names for the manifests of an image. With none of them in the image, the cluster downloads them.
pub(super) fn charts<'o>(
    plan: &Plan,
    options: &'o BuildOptions,
    reporter: &Reporter,
) -> Result<Vec<&'o LockedChart>, BuildError> {
    match &options.locked {
        Some(file) if has_charts(plan, options) => {
            let mut locked = Vec::new();
            for (chart, own) in named_charts(plan, options)?.0 {
                match file.chart(&chart) {
                    Err(e @ LockFileError::NoChart { other: None, .. }) if own => {
                        carrying::left_out(&format!("CHART {} {}", chart.name, chart.version), "IMAGE", &e, reporter);
                    }
                    found => locked.push(found?),
                }
            }
            Ok(locked)
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether charts are to be in an image.
fn has_charts(plan: &Plan, options: &BuildOptions) -> bool {
    plan.role.k3s == Some(K3sKind::Server) && options.k3s != K3sMode::FirstBoot
}

/// The charts of an image's manifests → whether the user's alone name it: not all of those can be had for a lock. With the
/// reasons why others cannot even be asked for.
fn named_charts(plan: &Plan, options: &BuildOptions) -> Result<(BTreeMap<ChartRef, bool>, Vec<String>), ManifestError> {
    let OwnCharts { charts, left } =
        options.lab_dir.as_deref().map(manifests::own_charts).transpose()?.unwrap_or_default();
    let mut named: BTreeMap<ChartRef, bool> = charts.into_iter().map(|chart| (chart, true)).collect();
    named.extend(manifests::charts(Some(&plan.lab))?.into_iter().map(|chart| (chart, false)));
    Ok((named, left))
}

/// The archives that the nodes' apt is told: part of the image, so a lock lays them down.
pub(super) fn archives_for_nodes(options: &BuildOptions) -> Archives {
    options.locked.as_ref().map_or_else(|| of_mirror(options), |file| file.archives().clone())
}

fn of_mirror(options: &BuildOptions) -> Archives {
    let (debian, security) = options.mirror.for_nodes();
    Archives { debian, security }
}

pub(super) fn key(plan: &Plan) -> ImageKey {
    ImageKey {
        board: plan.board.name.clone(),
        role: plan.role.name.clone(),
        suite: plan.suite.clone(),
        asked: plan.packages.keys().cloned().collect(),
    }
}

fn ask_mirror(
    plan: &Plan,
    options: &BuildOptions,
    store: &Store,
    http: &Http,
    reporter: &Reporter,
) -> Result<Lock, BuildError> {
    Ok(lock::make(&request(plan, options), store, http, reporter)?)
}

/// What is asked of the mirror for an image.
pub(super) fn request(plan: &Plan, options: &BuildOptions) -> LockRequest {
    LockRequest {
        suite: plan.suite.clone(),
        extra_suites: plan.extra_suites.clone(),
        architecture: plan.board.architecture.clone(),
        packages: plan.packages.keys().cloned().collect(),
        mirror: options.mirror.clone(),
        keyrings: options.keyrings.clone(),
        now: options.now,
        essential: true,
    }
}

/// The inputs of the images of all these plans, as the mirror and the k3s project have them now.
///
/// A k3s release, a repository of charts or a registry that cannot be reached is left out with a warning, unless
/// [`K3sMode::Embed`] wants it; [`K3sMode::FirstBoot`] leaves them out as well, and a file of the user's the release.
///
/// # Errors
/// See [`BuildError`].
pub fn lock(plans: &[&Plan], options: &BuildOptions, reporter: &Reporter) -> Result<LockFile, BuildError> {
    let store = Store::open(&options.cache)?;
    let http = Http::new()?;
    let mut images: Vec<(ImageKey, Lock)> = Vec::new();
    for plan in plans {
        let key = key(plan);
        if images.iter().any(|(k, _)| *k == key) {
            continue;
        }
        let phase = reporter.phase("Choosing packages", 0, Unit::Items);
        images.push((key, ask_mirror(plan, options, &store, &http, reporter)?));
        drop(phase);
    }
    let parts = ClusterParts {
        k3s: releases(plans, options, options.k3s, &store, &http, reporter)?,
        k3s_images: carrying::k3s_images(plans, options, &store, &http, reporter)?,
        charts: resolve_charts(plans, options, &store, &http, reporter)?,
        containers: carrying::other_images(plans, options, &store, &http, reporter)?,
    };
    Ok(LockFile::new(of_mirror(options), &images, parts))
}

/// The charts of the manifests of all these plans.
fn resolve_charts(
    plans: &[&Plan],
    options: &BuildOptions,
    store: &Store,
    http: &Http,
    reporter: &Reporter,
) -> Result<Vec<LockedChart>, BuildError> {
    let mut wanted = BTreeMap::new();
    let mut left = BTreeSet::new();
    for plan in plans.iter().filter(|plan| has_charts(plan, options)) {
        let (charts, others) = named_charts(plan, options)?;
        wanted.extend(charts.into_iter().map(|(chart, own)| (chart, (own, plan.lab.k3s.charts.as_deref()))));
        left.extend(others);
    }
    for chart in left {
        reporter
            .warn(&format!("{chart}; its HelmChart is not in the lock, and the cluster looks for the chart itself"));
    }
    let mut locked = Vec::new();
    for (chart, (own, mirror)) in wanted {
        match charts::resolve(&chart, mirror, store, http, reporter) {
            Err(e) if options.k3s == K3sMode::Auto && (e.is_unreachable() || own && e.is_refused()) => {
                carrying::left_out(&format!("CHART {} {}", chart.name, chart.version), "LOCK", &e, reporter);
            }
            found => locked.push(found?),
        }
    }
    Ok(locked)
}

/// The k3s of the images of all these plans, one for each architecture, got in the way of `mode`.
pub(super) fn releases(
    plans: &[&Plan],
    options: &BuildOptions,
    mode: K3sMode,
    store: &Store,
    http: &Http,
    reporter: &Reporter,
) -> Result<Vec<LockedK3s>, BuildError> {
    let mut releases: Vec<LockedK3s> = Vec::new();
    let mut asked: Vec<&str> = Vec::new();
    for plan in plans {
        let architecture = plan.board.architecture.as_str();
        let skipped = mode == K3sMode::FirstBoot || options.k3s_bin.is_some();
        if plan.role.k3s.is_none() || skipped || asked.contains(&architecture) {
            continue;
        }
        asked.push(architecture);
        let source = K3sSource::of(Some(&plan.lab));
        match k3s::resolve(&source, architecture, store, http, reporter) {
            Ok(release) => releases.push(release),
            Err(e) if mode == K3sMode::Auto && e.is_unreachable() => {
                reporter
                    .warn(&format!("K3S {} IS NOT IN THE LOCK, because it could not be reached: {e}", source.version));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(releases)
}
