//! Configuration: what Debian's maintainer scripts do on a fresh install, done directly on the tree.
//!
//! A package is configured here when all its scripts are known: they consist of debhelper's snippets, whose effects
//! follow from a few parameters, and of a hand-written rest that `known.toml` lists by hash. Any other package stays
//! unpacked, with everything that depends on it, and the node runs `dpkg --configure` for them at first boot.
//!
//! There are two halves. `recognise` reads scripts and says what they do (`Action`), without a tree. `tools` has one
//! file for each Debian tool that scripts call, by the tool's name, and changes the tree as the tool would. `perform`
//! and `triggers` connect the two.

mod context;
mod error;
mod perform;
mod recognise;
mod tools;
mod triggers;
mod words;

use std::collections::BTreeSet;

pub use error::ConfigureError;
pub use recognise::{Unknown, unknown};

use crate::packages::{Installed, Package, State};
use context::Context;
use labimg_tree::interrupt;
use labimg_tree::{Kind, Tree, TreePath};
use recognise::Action;

/// Enables units, for layers that run after the packages.
pub mod systemd {
    pub use super::tools::systemctl::enable;
}

/// A package that stays unpacked until first boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Package name.
    pub package: String,
    /// The unknown script; empty when only a dependency holds the package back.
    pub script: String,
    /// The reason, as the end of a sentence.
    pub reason: String,
}

/// The result of configuration.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Number of configured packages.
    pub configured: usize,
    /// The packages that stay unpacked, in configuration order.
    pub pending: Vec<Pending>,
}

/// The packages whose `preinst install` the node has to run before it configures them. One package per line, named like
/// its files in `/var/lib/dpkg/info` (with the architecture where dpkg adds it). Only written when there are any: dpkg
/// runs `preinst` when it unpacks, so `dpkg --configure` alone would skip it.
pub const PREINST_LIST: &str = "/var/lib/labimg/preinst";

/// Configures every package whose scripts are known, in order, and sets each package's state.
///
/// # Errors
/// When a known action fails: a file in a package is malformed, or the tree lacks what the scripts rely on.
pub fn run(tree: &mut Tree, installed: &mut Installed) -> Result<Report, ConfigureError> {
    let mut plans = installed.packages.iter().map(recognise::plan).collect::<Result<Vec<_>, _>>()?;
    let mut pending: Vec<Pending> = plans.iter_mut().filter_map(|plan| plan.pending.take()).collect();
    recognise::hold_back(installed, &mut pending)?;
    let held: BTreeSet<&str> = pending.iter().map(|p| p.package.as_str()).collect();

    let mut context = Context::new(tree, &installed.architecture);
    // Like apt, which unpacks a whole set before it configures the first package: all `preinst` actions come first.
    for (package, plan) in installed.packages.iter().zip(&plans) {
        apply(&mut context, &package.name, &plan.before_unpack)?;
    }
    for (package, plan) in installed.packages.iter().zip(&plans).filter(|(p, _)| !held.contains(p.name.as_str())) {
        apply(&mut context, &package.name, &plan.configure)?;
    }
    context.tree.begin_layer("configuration by triggers");
    triggers::finish(&mut context, installed, &held)?;
    context.tree.begin_layer("configuration of debconf");
    let ready: Vec<_> = installed.packages.iter().filter(|p| !held.contains(p.name.as_str())).collect();
    if ready.iter().any(|p| p.name == "debconf") {
        tools::debconf::write(&mut context, &ready)?;
    }
    let preinst = pending.iter().filter(|p| p.script == "preinst").filter_map(|p| installed.get(&p.package));
    let preinst: String = preinst.flat_map(|p| [p.info_name(), "\n".to_owned()]).collect();
    if !preinst.is_empty() {
        tree.write(PREINST_LIST, 0o644, preinst)?;
    }
    for package in installed.packages.iter().filter(|p| held.contains(p.name.as_str())) {
        set_conffiles_aside(tree, package)?;
    }
    let configured = ready.len();
    for package in &mut installed.packages {
        package.state = if held.contains(package.name.as_str()) { State::Unpacked } else { State::Installed };
    }
    Ok(Report { configured, pending })
}

/// Leaves the package as dpkg leaves an unpacked one: its configuration files lie beside their final paths and are put
/// there when the node configures it. Until then nothing reads them, and a `preinst` finds a system that never had the
/// package.
fn set_conffiles_aside(tree: &mut Tree, package: &Package) -> Result<(), ConfigureError> {
    // A file that another package took over is no longer among its files.
    for conffile in package.conffiles.iter().filter(|c| package.files.contains(&c.path)) {
        let place = tree.resolve_parent(&conffile.path)?;
        if matches!(tree.get(&place).map(|inode| &inode.kind), Some(Kind::File(_))) {
            let aside = TreePath::new([place.as_bytes(), b".dpkg-new"].concat())?;
            tree.rename(&place, &aside)?;
        }
    }
    Ok(())
}

fn apply(context: &mut Context<'_>, package: &str, actions: &[Action]) -> Result<(), ConfigureError> {
    interrupt::check()?;
    context.tree.begin_layer(format!("configuration of {package}"));
    package.clone_into(&mut context.package);
    for action in actions {
        let named = |source| ConfigureError::Package { package: package.to_owned(), source: Box::new(source) };
        perform::perform(action, context).map_err(named)?;
    }
    Ok(())
}
