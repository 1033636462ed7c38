//! Container images stored on the nodes' cards: which ones, where they come from, and their archives.

use std::collections::BTreeMap;

use super::{BuildError, BuildOptions, Run};
use crate::containers::{self, ContainerError, ImageName, LockedContainer, Source};
use crate::k3s::{self, Asked, K3sError, K3sMode, K3sSource, LockedK3s, Sums};
use crate::layers::containers::ARCHIVE;

use crate::plan::Plan;
use crate::record::RecordContainer;
use crate::wording::one_line;
use labimg_store::Context;
use labimg_tree::Content;
use labimg_tree::fault::Fault;
use labimg_tree::progress::Progress;

/// The container images for the nodes of a plan.
#[derive(Debug, Clone, Default)]
pub(super) struct Carried {
    /// The images of k3s itself.
    pub(super) of_k3s: Option<LockedK3s>,
    /// All others.
    pub(super) others: Vec<LockedContainer>,
}

impl Carried {
    /// For the image's record.
    pub(super) fn record(&self) -> Vec<RecordContainer> {
        let of_k3s = self.of_k3s.iter().map(|k| RecordContainer {
            name: RecordContainer::OF_K3S.to_owned(),
            version: k.version.clone(),
            size: k.size,
            sha256: k.sha256,
        });
        let others = self.others.iter().map(|c| {
            let (name, version) = c.name.name_and_version();
            RecordContainer { name, version, size: c.size, sha256: c.sha256 }
        });
        of_k3s.chain(others).collect()
    }
}

/// Whether the nodes of a plan get any container images.
fn carries(plan: &Plan, options: &BuildOptions) -> bool {
    plan.role.k3s.is_some() && options.k3s != K3sMode::FirstBoot
}

/// Whether a plan asks for the images of k3s itself.
fn asks_for_k3s(plan: &Plan, options: &BuildOptions) -> bool {
    carries(plan, options) && plan.lab.embeds_images() && options.k3s_bin.is_none()
}

/// Whether a plan asks for any other images.
pub(super) fn asks_for_others(plan: &Plan, options: &BuildOptions) -> bool {
    asked_others(plan, options).is_ok_and(|others| !others.is_empty())
}

/// All other images of a plan → whether it only comes from the user's manifests: not everyone can pull all of those.
fn asked_others(plan: &Plan, options: &BuildOptions) -> Result<BTreeMap<ImageName, bool>, BuildError> {
    let mut others = BTreeMap::new();
    if !carries(plan, options) {
        return Ok(others);
    }
    let mut named = plan.lab.k3s.images.clone();
    if plan.lab.embeds_images() {
        others.extend(plan.own_manifests.images()?.into_iter().map(|name| (name, true)));
        named.extend(plan.stack.images().images);
    }
    others.extend(named.into_iter().map(|name| (name, false)));
    Ok(others)
}

/// The images of a plan, as in the lock; `None` without one.
pub(super) fn locked(plan: &Plan, run: &Run<'_>) -> Result<Option<Carried>, BuildError> {
    if plan.lab.embeds_images() && plan.role.k3s.is_some() && run.options.k3s_bin.is_some() {
        run.context.progress.warn(
            "the container images of k3s itself are not in the image: which ones a k3s from a file runs is not known",
        );
    }
    let Some(file) = &run.options.locked else { return Ok(None) };
    let architecture = &plan.board.architecture;
    let version = K3sSource::of(Some(&plan.lab)).version;
    let of_k3s =
        asks_for_k3s(plan, run.options).then(|| file.k3s_images(&version, architecture).cloned()).transpose()?;
    let mut locked = Vec::new();
    for (name, own) in asked_others(plan, run.options)? {
        match file.container(&name, architecture) {
            Err(e) if own && !plan.lab.stack.airgap => {
                left_out(&format!("container image {name}"), "image", &e, run.context.progress);
            }
            found => locked.push(found?.clone()),
        }
    }
    Ok(Some(Carried { of_k3s, others: locked }))
}

/// The images of a plan, as they are now.
///
/// One that cannot be reached is left to the nodes with a warning, unless the mode is [`K3sMode::Embed`].
pub(super) fn current(plan: &Plan, run: &Run<'_>) -> Result<Carried, BuildError> {
    if !carries(plan, run.options) {
        return Ok(Carried::default());
    }
    let architecture = &plan.board.architecture;
    if let Some(known) = run.answers.carried.borrow().get(architecture) {
        return Ok(known.clone());
    }
    let (asked, looked) = run.answers.images(plan, run)?;
    let of_k3s = take_k3s(asked, plan, "image", run)?;
    let carried = Carried { of_k3s, others: take_others(looked, "image", run)? };
    run.answers.carried.borrow_mut().insert(architecture.clone(), carried.clone());
    Ok(carried)
}

/// The images of k3s itself for all these plans, one archive per architecture.
pub(super) fn k3s_images(plans: &[&Plan], run: &Run<'_>) -> Result<Vec<LockedK3s>, BuildError> {
    for_each_architecture(plans, |plan| {
        take_k3s(ask_k3s(plan, run.options, &Sums::default(), &run.context)?, plan, "lock", run)
    })
}

/// All other images of these plans.
pub(super) fn other_images(plans: &[&Plan], run: &Run<'_>) -> Result<Vec<LockedContainer>, BuildError> {
    for_each_architecture(plans, |plan| take_others(ask_others(plan, run.options, &run.context)?, "lock", run))
}

/// Calls `look_up` for each architecture with one plan that has k3s. All plans belong to one lab, which determines the
/// images.
fn for_each_architecture<F: IntoIterator>(
    plans: &[&Plan],
    look_up: impl Fn(&Plan) -> Result<F, BuildError>,
) -> Result<Vec<F::Item>, BuildError> {
    let plans: BTreeMap<&str, &Plan> = plans
        .iter()
        .filter(|plan| plan.role.k3s.is_some())
        .map(|&plan| (plan.board.architecture.as_str(), plan))
        .collect();
    let found: Vec<F> = plans.into_values().map(look_up).collect::<Result<_, _>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// Looks up the archive of k3s's own images, without downloading it; `None` when the plan does not ask for it.
pub(super) fn ask_k3s(
    plan: &Plan,
    options: &BuildOptions,
    sums: &Sums,
    context: &Context<'_>,
) -> Result<Option<Asked>, K3sError> {
    let asks = asks_for_k3s(plan, options);
    asks.then(|| k3s::ask_images(&K3sSource::of(Some(&plan.lab)), &plan.board.architecture, sums, context)).transpose()
}

/// Downloads it.
fn take_k3s(asked: Option<Asked>, plan: &Plan, place: &str, run: &Run<'_>) -> Result<Option<LockedK3s>, BuildError> {
    let Some(asked) = asked else { return Ok(None) };
    let release = K3sSource::of(Some(&plan.lab));
    match k3s::resolve_images(&release, &plan.board.architecture, asked, &run.context) {
        Err(e) if run.options.k3s == K3sMode::Auto && e.is_unreachable() => {
            left_out(
                &format!("the archive of container images of k3s {}", release.version),
                place,
                &e,
                run.context.progress,
            );
            Ok(None)
        }
        done => Ok(done.map(Some)?),
    }
}

/// An image that was looked up, and whether it only comes from the user's manifests.
#[derive(Debug)]
pub(super) struct Looked {
    name: ImageName,
    own: bool,
    found: Result<LockedContainer, ContainerError>,
}

/// Looks up all other images of a plan.
pub(super) fn ask_others(
    plan: &Plan,
    options: &BuildOptions,
    context: &Context<'_>,
) -> Result<Vec<Looked>, BuildError> {
    let source = Source { mirror: plan.lab.k3s.registries.as_deref(), context: *context };
    let look = |(name, own)| {
        let found = containers::resolve(&name, &plan.board.architecture, &source);
        Looked { name, own, found }
    };
    Ok(asked_others(plan, options)?.into_iter().map(look).collect())
}

fn take_others(looked: Vec<Looked>, place: &str, run: &Run<'_>) -> Result<Vec<LockedContainer>, BuildError> {
    let mut taken = Vec::new();
    for Looked { name, own, found } in looked {
        match found {
            Err(e) if run.options.k3s == K3sMode::Auto && (e.is_unreachable() || own && e.is_refused()) => {
                left_out(&format!("container image {name}"), place, &e, run.context.progress);
            }
            done => taken.push(done?),
        }
    }
    Ok(taken)
}

/// Warns that a part of the cluster is not in the image or the lock (`place`).
pub(super) fn left_out(what: &str, place: &str, why: &dyn Fault, reporter: &dyn Progress) {
    reporter.warn(&format!("{what} is not in the {place}: {}", one_line(why)));
}

/// The archives, by their names on the node.
pub(super) fn archives(
    carried: &Carried,
    plan: &Plan,
    run: &Run<'_>,
) -> Result<Vec<(&'static str, Content)>, BuildError> {
    let mut archives = Vec::new();
    if let Some(locked) = &carried.of_k3s {
        archives.push(k3s::fetch_images(&K3sSource::of(Some(&plan.lab)), locked, &run.context)?);
    }
    let source = Source { mirror: plan.lab.k3s.registries.as_deref(), context: run.context };
    let others: Vec<&LockedContainer> = carried.others.iter().collect();
    let archive = containers::fetch_locked(&others, run.options.jobs, &source)?;
    archives.extend(archive.map(|archive| (ARCHIVE, archive)));
    Ok(archives)
}
