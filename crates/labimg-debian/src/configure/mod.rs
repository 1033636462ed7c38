//! Configuration: what Debian's maintainer scripts do on a fresh install, done natively on the tree.
//!
//! A package is configured here when each of its scripts is known: made of snippets that debhelper writes, whose
//! effects follow from a few parameters, and of a hand-written rest that `known.toml` lists by hash. Any other package
//! stays unpacked, with all that depend on it, and the node runs `dpkg --configure` for them at first boot.

mod accounts;
mod action;
mod files;
pub mod generate;
mod known;
mod recognise;
mod script;
mod snippet;
pub mod systemd;
mod sysusers;
mod sysv;
mod tmpfiles;
mod triggers;
mod words;

use std::collections::BTreeSet;

pub use accounts::Accounts;
pub use action::Action;
pub use recognise::{Unknown, unknown};

use crate::packages::{Installed, Package, State};
use labimg_tree::interrupt;
use labimg_tree::{Kind, PathError, Tree, TreeError, TreePath};

/// Why configuration stopped.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The tree did not take a change.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Not a path inside the tree.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file that configuration reads is not as its format says.
    #[error("{path}: {what}")]
    Bad {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A user or group that nobody made.
    #[error("{kind} `{name}` is not in {file}: a package that makes it must be configured first")]
    NoAccount {
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked up.
        file: &'static str,
    },
    /// A file could not be generated.
    #[error(transparent)]
    Generate(#[from] generate::GenError),
    /// No free user or group number is left.
    #[error("no free id for {kind} `{name}`")]
    NoFreeId {
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The compiled-in table of known scripts is wrong.
    #[error("the table of known maintainer scripts: {0}")]
    Table(String),
    /// Where in configuration something failed.
    #[error("configuring {package}: {source}")]
    Package {
        /// The package whose scripts were replaced.
        package: String,
        /// What failed.
        source: Box<ConfigureError>,
    },
    /// The user stopped the build.
    #[error(transparent)]
    Interrupted(#[from] interrupt::Interrupted),
}

/// What a package's configuration depends on beside the tree.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The package whose scripts are at work.
    pub package: String,
    /// Debian's name of the node's architecture.
    pub architecture: String,
    /// Explicit triggers activated so far.
    pub triggered: BTreeSet<String>,
}

impl Context {
    /// Fills in `@multiarch@` (the architecture's folder of libraries) and `@abi@` (the kernel in the package's name).
    fn expand(&self, text: &str) -> String {
        let multiarch = match self.architecture.as_str() {
            "amd64" => "x86_64-linux-gnu",
            _ => "aarch64-linux-gnu",
        };
        let abi = script::kernel_abi(&self.package).unwrap_or_default();
        text.replace("@multiarch@", multiarch).replace("@abi@", abi)
    }
}

/// A package that stays unpacked until first boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Package name.
    pub package: String,
    /// The script that is not known; empty when only a dependency holds the package back.
    pub script: String,
    /// Why, as a sentence's end.
    pub reason: String,
}

/// What was configured and what was not.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// How many packages are configured.
    pub configured: usize,
    /// The packages that stay unpacked, in configuration order.
    pub pending: Vec<Pending>,
}

/// The packages whose `preinst install` the node has to run before it configures them, one a line, as their files in
/// `/var/lib/dpkg/info` are called (with the architecture where dpkg adds it). Written only when there are any: dpkg itself runs `preinst` when it unpacks, so `dpkg --configure` alone would leave it out.
pub const PREINST_LIST: &str = "/var/lib/labimg/preinst";

/// Configures every package whose scripts are known, in order, and sets each package's state.
///
/// # Errors
/// When a known action fails: a malformed file in a package or a tree that does not hold what the scripts rely on.
pub fn run(tree: &mut Tree, installed: &mut Installed) -> Result<Report, ConfigureError> {
    let mut plans = installed.packages.iter().map(recognise::plan).collect::<Result<Vec<_>, _>>()?;
    let mut pending: Vec<Pending> = plans.iter_mut().filter_map(|plan| plan.pending.take()).collect();
    recognise::hold_back(installed, &mut pending)?;
    let held: BTreeSet<&str> = pending.iter().map(|p| p.package.as_str()).collect();

    let mut context = Context { architecture: installed.architecture.clone(), ..Context::default() };
    // Like apt, which unpacks a whole set before it configures the first package: `preinst` comes first for all.
    for (package, plan) in installed.packages.iter().zip(&plans) {
        apply(tree, &package.name, &plan.before_unpack, &mut context)?;
    }
    for (package, plan) in installed.packages.iter().zip(&plans).filter(|(p, _)| !held.contains(p.name.as_str())) {
        apply(tree, &package.name, &plan.configure, &mut context)?;
    }
    tree.begin_layer("configuration by triggers");
    triggers::finish(tree, installed, &held, &context)?;
    tree.begin_layer("configuration of debconf");
    let ready: Vec<_> = installed.packages.iter().filter(|p| !held.contains(p.name.as_str())).collect();
    if ready.iter().any(|p| p.name == "debconf") {
        generate::answers::write(tree, &ready)?;
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

/// As dpkg leaves an unpacked package: its configuration files lie beside their places and are put there when the node
/// configures it. Until then nothing obeys them, and a `preinst` that looks finds a system that never had the package.
fn set_conffiles_aside(tree: &mut Tree, package: &Package) -> Result<(), ConfigureError> {
    // What another package took over is no longer among its files.
    for conffile in package.conffiles.iter().filter(|c| package.files.contains(&c.path)) {
        let place = tree.resolve_parent(&conffile.path)?;
        if matches!(tree.get(&place).map(|inode| &inode.kind), Some(Kind::File(_))) {
            let aside = TreePath::new([place.as_bytes(), b".dpkg-new"].concat())?;
            tree.rename(&place, &aside)?;
        }
    }
    Ok(())
}

fn apply(tree: &mut Tree, package: &str, actions: &[Action], context: &mut Context) -> Result<(), ConfigureError> {
    interrupt::check()?;
    tree.begin_layer(format!("configuration of {package}"));
    package.clone_into(&mut context.package);
    for action in actions {
        let named = |source| ConfigureError::Package { package: package.to_owned(), source: Box::new(source) };
        action.apply(tree, context).map_err(named)?;
    }
    Ok(())
}
