//! Builds for a cluster that comes up without the internet: nothing may be left to it.

use super::{BuildError, BuildOptions};
use crate::k3s::K3sMode;
use crate::plan::Plan;
use labimg_tree::progress::Progress;

/// The options for these plans: without the internet nothing is left out of an image or a lock.
pub(super) fn options(
    plans: &[&Plan],
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<BuildOptions, BuildError> {
    let mut options = options.clone();
    let Some(plan) = plans.iter().find(|plan| plan.lab.stack.airgap) else { return Ok(options) };
    match options.k3s {
        K3sMode::FirstBoot => return Err(BuildError::Airgap),
        K3sMode::Auto => options.k3s = K3sMode::Embed,
        K3sMode::Embed => {}
    }
    for what in plan.stack.images().unknown {
        progress.warn(&format!("{what}, or the cluster needs the internet for it"));
    }
    for chosen in plan.stack.components() {
        if let Some(text) = &chosen.component.front.airgap {
            progress.warn(&format!("{}: {text}", chosen.name()));
        }
    }
    let own = plan.own_manifests.charts();
    for chart in own.charts {
        progress.warn(&format!(
            "chart {} of your manifests: labimg does not know its container images; name them in `k3s.images`",
            chart.name
        ));
    }
    Ok(options)
}
