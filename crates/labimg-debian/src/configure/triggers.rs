//! dpkg's triggers (deb-triggers(5)): what a package does once after others were configured or brought new files.

use std::collections::BTreeSet;

use super::recognise::triggers::{Effect, effect};
use super::tools::{journalctl, ldconfig, systemd_hwdb, update_ca_certificates, update_shells};
use super::{ConfigureError, Context};
use crate::packages::Installed;
use labimg_tree::{Tree, TreePath};

/// Runs the effects of all activated triggers, each once. Triggers are activated by scripts (`context`), by configured
/// packages, and by files below a path.
///
/// # Errors
/// The errors of the tools.
pub(super) fn finish(
    context: &mut Context<'_>,
    installed: &Installed,
    held: &BTreeSet<&str>,
) -> Result<(), ConfigureError> {
    let mut explicit: BTreeSet<&str> = context.triggered.iter().map(String::as_str).collect();
    let configured = || installed.packages.iter().filter(|p| !held.contains(p.name.as_str()));
    for package in configured() {
        explicit.extend(package.triggers.activate.iter().map(|(name, _)| name.as_str()));
    }
    let mut effects = BTreeSet::new();
    for package in configured() {
        for (name, _) in &package.triggers.interest {
            let Some(effect) = effect(&package.name, name) else { continue };
            if explicit.contains(name.as_str())
                || (name.starts_with('/') && brings_files(context.tree, installed, name)?)
            {
                effects.insert(effect);
            }
        }
    }
    for effect in effects {
        match effect {
            Effect::None => {}
            Effect::LoaderCache => ldconfig::run(context)?,
            Effect::Certificates => update_ca_certificates::fresh(context)?,
            Effect::Shells => update_shells::update(context)?,
            Effect::Catalog => journalctl::update_catalog(context)?,
            Effect::Hardware => systemd_hwdb::update(context)?,
        }
    }
    Ok(())
}

/// Whether a package has a file below the path, also through links.
fn brings_files(tree: &Tree, installed: &Installed, path: &str) -> Result<bool, ConfigureError> {
    let named = TreePath::new(path)?;
    let real = tree.resolve(path).unwrap_or_else(|_| named.clone());
    Ok(installed.packages.iter().flat_map(|p| &p.files).any(|f| f.starts_with(&named) || f.starts_with(&real)))
}
