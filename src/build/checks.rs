//! Checks of what the cluster would get, before anything is downloaded for it, and once its charts are there.

use super::BuildError;
use crate::charts::{self, LockedChart};
use crate::k3s::K3sSource;
use crate::plan::Plan;
use crate::stack::Cluster;
use crate::stack::check::{self, Contents, Finding, Subject, WithCharts};
use labimg_store::Store;
use labimg_tree::progress::Progress;

/// What can be said of a plan's manifests without charts, and what charts say of them; nothing for nodes that get none.
///
/// # Errors
/// A component that makes no manifest.
pub fn all(plan: &Plan, charts: &Contents) -> Result<(Vec<Finding>, WithCharts), BuildError> {
    let both = |subject: &Subject<'_>| (check::offline(subject), check::with_charts(subject, charts));
    Ok(with_subject(plan, both)?.unwrap_or_default())
}

fn with_subject<T>(plan: &Plan, work: impl FnOnce(&Subject<'_>) -> T) -> Result<Option<T>, BuildError> {
    if !plan.role.manifests {
        return Ok(None);
    }
    let source = K3sSource::of(Some(&plan.lab));
    let cluster = Cluster { lab: &plan.lab, stack: &plan.stack, k3s: &source.version, charts: &[] };
    let subject = Subject::of(&cluster, &plan.own_manifests)?;
    Ok(Some(work(&subject)))
}

/// Checks all plans without charts. Warnings go to `progress`, mistakes are an error.
pub(super) fn before(plans: &[&Plan], progress: &dyn Progress) -> Result<(), BuildError> {
    let found = plans.iter().map(|plan| with_subject(plan, check::offline)).collect::<Result<Vec<_>, _>>()?;
    judge(found.into_iter().flatten().flatten().collect(), progress)
}

/// Checks a plan against these charts, which are in the store.
pub(super) fn after(
    plan: &Plan,
    locked: &[LockedChart],
    store: &Store,
    progress: &dyn Progress,
) -> Result<(), BuildError> {
    if !plan.role.manifests || locked.is_empty() {
        return Ok(());
    }
    let contents = charts::contents(locked, store, progress)?;
    let found = with_subject(plan, |subject| check::with_charts(subject, &contents))?;
    judge(found.map(|checked| checked.found).unwrap_or_default(), progress)
}

fn judge(found: Vec<Finding>, progress: &dyn Progress) -> Result<(), BuildError> {
    for warning in check::judged(found)? {
        progress.warn(&warning.to_string());
    }
    Ok(())
}
