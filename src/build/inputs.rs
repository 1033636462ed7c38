//! Where the inputs of an image come from: the mirror, or a `labimg.lock`.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::{BuildError, BuildOptions, Run, airgap, alone, checks, containers};
use crate::charts::{self, ChartRef, LockedChart};
use crate::k3s::{self, K3sMode, K3sSource, LockedK3s};
use crate::lock_file::{Archives, ClusterParts, ImageKey, LockFile, LockFileError};
use crate::manifests::OwnCharts;
use crate::parts::role::K3sKind;
use crate::plan::Plan;
use labimg_debian::lock::archive::Archive;
use labimg_debian::lock::{Lock, LockError, LockRequest};

use labimg_tree::progress::{Progress, Unit};

/// The inputs of one image.
pub(super) fn inputs(plan: &Plan, run: &Run<'_>) -> Result<Lock, BuildError> {
    match &run.options.locked {
        Some(file) => {
            let mirror = &run.options.mirror;
            let archives = Archives { debian: mirror.archive.clone(), security: mirror.security.clone() };
            Ok(file.lock(&key(plan), &archives, &run.options.snapshots)?)
        }
        None => ask_mirror(plan, run),
    }
}

/// The locked k3s of an image.
pub(super) fn k3s<'o>(plan: &Plan, options: &'o BuildOptions) -> Result<Option<&'o LockedK3s>, LockFileError> {
    let Some(file) = options.locked.as_ref().filter(|_| plan.role.k3s.is_some() && options.k3s_bin.is_none()) else {
        return Ok(None);
    };
    file.k3s(&K3sSource::of(Some(&plan.lab)).version, &plan.board.architecture).map(Some)
}

/// The locked charts of an image's manifests. If none are in the image, the cluster downloads them.
pub(super) fn charts(plan: &Plan, run: &Run<'_>) -> Result<Vec<LockedChart>, BuildError> {
    match &run.options.locked {
        Some(file) if has_charts(plan, run.options) => {
            let mut locked = Vec::new();
            for (chart, own) in named_charts(plan).0 {
                match file.chart(&chart) {
                    Err(e @ LockFileError::NoChart { other: None, .. }) if own && !plan.lab.stack.airgap => {
                        let what = format!("chart {} {}", chart.name, chart.version);
                        containers::left_out(&what, "image", &e, run.context.progress);
                    }
                    found => locked.push(found?.clone()),
                }
            }
            Ok(locked)
        }
        None if plan.lab.stack.airgap => resolve_charts(&[plan], run),
        _ => Ok(Vec::new()),
    }
}

/// The mirrors of charts that a lab names.
pub(super) fn mirrors(plan: &Plan) -> charts::Mirrors<'_> {
    let k3s = &plan.lab.k3s;
    charts::Mirrors { charts: k3s.charts.as_deref(), registries: k3s.registries.as_deref() }
}

/// Whether charts go into an image.
fn has_charts(plan: &Plan, options: &BuildOptions) -> bool {
    plan.role.k3s == Some(K3sKind::Server) && options.k3s != K3sMode::FirstBoot
}

/// The charts of an image's manifests → whether only the user's manifests name it: not all of those can be locked. Also
/// the reasons why others cannot be requested at all.
fn named_charts(plan: &Plan) -> (BTreeMap<ChartRef, bool>, Vec<String>) {
    let OwnCharts { charts, left } = plan.own_manifests.charts();
    let mut named: BTreeMap<ChartRef, bool> = charts.into_iter().map(|chart| (chart, true)).collect();
    named.extend(plan.stack.charts().into_iter().map(|chart| (chart, false)));
    (named, left)
}

/// The archives for the nodes' apt. They are part of the image, so a lock fixes them.
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

fn ask_mirror(plan: &Plan, run: &Run<'_>) -> Result<Lock, BuildError> {
    Ok(archive(plan, run)?.lock(&request(plan, run.options).packages, true)?)
}

/// The packages of a plan's suites, as the mirror has them now.
pub(super) fn archive(plan: &Plan, run: &Run<'_>) -> Result<Rc<Archive>, LockError> {
    let key = (plan.suite.clone(), plan.extra_suites.clone(), plan.board.architecture.clone());
    let mut all = run.answers.archives.borrow_mut();
    if let Some((_, archive)) = all.iter().find(|(known, _)| *known == key) {
        return Ok(archive.clone());
    }
    let archive = Rc::new(Archive::fetch(&request(plan, run.options), &run.context)?);
    all.push((key, archive.clone()));
    Ok(archive)
}

/// The lock request for an image.
pub(super) fn request(plan: &Plan, options: &BuildOptions) -> LockRequest {
    LockRequest {
        suite: plan.suite.clone(),
        extra_suites: plan.extra_suites.clone(),
        architecture: plan.board.architecture.clone(),
        packages: plan.packages.keys().cloned().collect(),
        mirror: options.mirror.clone(),
        keyrings: options.keyrings.clone(),
        now: options.now,
    }
}

/// The inputs of the images of all these plans, as the mirror and the k3s project have them now.
///
/// A k3s release, chart repository or registry that cannot be reached is left out with a warning, unless the mode is
/// [`K3sMode::Embed`]. With [`K3sMode::FirstBoot`] the release is looked up and not downloaded, and charts and container
/// images are left to the cluster. The user's own k3s file replaces the release.
///
/// # Errors
/// See [`BuildError`].
pub fn lock(plans: &[&Plan], options: &BuildOptions, progress: &dyn Progress) -> Result<LockFile, BuildError> {
    checks::before(plans, progress)?;
    let options = &airgap::options(plans, options, progress)?;
    alone(options, progress, |run| {
        let mut images: Vec<(ImageKey, Lock)> = Vec::new();
        for plan in plans {
            let key = key(plan);
            if images.iter().any(|(k, _)| *k == key) {
                continue;
            }
            let phase = progress.phase("Choosing packages", 0, Unit::Items);
            images.push((key, ask_mirror(plan, run)?));
            drop(phase);
        }
        let parts = ClusterParts {
            k3s: releases(plans, options.k3s != K3sMode::Embed, run)?,
            k3s_images: containers::k3s_images(plans, run)?,
            charts: checked_charts(plans, run)?,
            containers: containers::other_images(plans, run)?,
        };
        Ok(LockFile::new(of_mirror(options), &images, parts))
    })
}

/// The charts of the manifests of all these plans, which say what is right in them.
fn checked_charts(plans: &[&Plan], run: &Run<'_>) -> Result<Vec<LockedChart>, BuildError> {
    let charts = resolve_charts(plans, run)?;
    for plan in plans {
        checks::after(plan, &charts, run.context.store, run.context.progress)?;
    }
    Ok(charts)
}

/// The charts of the manifests of all these plans.
fn resolve_charts(plans: &[&Plan], run: &Run<'_>) -> Result<Vec<LockedChart>, BuildError> {
    let mut wanted = BTreeMap::new();
    let mut left = BTreeSet::new();
    for plan in plans.iter().filter(|plan| has_charts(plan, run.options)) {
        let (charts, others) = named_charts(plan);
        wanted.extend(charts.into_iter().map(|(chart, own)| (chart, (own, mirrors(plan)))));
        left.extend(others);
    }
    for chart in left {
        run.context
            .progress
            .warn(&format!("{chart}; its HelmChart is not in the lock, and the cluster looks for the chart itself"));
    }
    let mut locked = Vec::new();
    for (chart, (own, mirrors)) in wanted {
        match charts::resolve(&chart, mirrors, &run.context) {
            Err(e) if run.options.k3s == K3sMode::Auto && (e.is_unreachable() || own && e.is_refused()) => {
                containers::left_out(
                    &format!("chart {} {}", chart.name, chart.version),
                    "lock",
                    &e,
                    run.context.progress,
                );
            }
            found => locked.push(found?),
        }
    }
    Ok(locked)
}

/// The k3s releases for all these plans, one per architecture. If `may_lack`, one that cannot be reached is left out.
pub(super) fn releases(plans: &[&Plan], may_lack: bool, run: &Run<'_>) -> Result<Vec<LockedK3s>, BuildError> {
    let mut releases: Vec<LockedK3s> = Vec::new();
    let mut asked: Vec<&str> = Vec::new();
    for plan in plans {
        let architecture = plan.board.architecture.as_str();
        if plan.role.k3s.is_none() || run.options.k3s_bin.is_some() || asked.contains(&architecture) {
            continue;
        }
        asked.push(architecture);
        let source = K3sSource::of(Some(&plan.lab));
        let found = match run.options.k3s {
            K3sMode::FirstBoot => k3s::look_up(&source, architecture, &run.context),
            K3sMode::Embed | K3sMode::Auto => k3s::resolve(&source, architecture, &run.context),
        };
        match found {
            Ok(release) => releases.push(release),
            Err(e) if may_lack && e.is_unreachable() => {
                containers::left_out(&format!("k3s {}", source.version), "lock", &e, run.context.progress);
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(releases)
}
