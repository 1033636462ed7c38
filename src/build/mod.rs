//! The whole way from plans to images: each step of the data flow once, in order.

mod airgap;
mod answers;
mod assemble;
pub mod checks;
mod containers;
mod error;
mod ids;
mod inputs;
mod renew;
#[cfg(test)]
mod settings_tests;

use std::path::PathBuf;

use serde::Serialize;

use crate::k3s::{K3sMode, K3sRecord};
use crate::lock_file::LockFile;
use crate::plan::Plan;
use crate::plan::target::Target;
use crate::secrets::Secrets;
use crate::seed::{Seed, SeedRequest};
use answers::Answers;
use assemble::{Assembled, assemble};
use labimg_debian::lock::mirror::Mirror;
use labimg_disk::write::{self, ImageSpec};
use labimg_store::http::{Http, Logins};
use labimg_store::{Context, Store};
use labimg_tree::progress::Progress;

pub use error::BuildError;
pub use inputs::lock;
pub use renew::{RenewError, Renewed, renew};

/// What a build needs beyond the plan.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The cache's folder.
    pub cache: PathBuf,
    /// Where packages come from.
    pub mirror: Mirror,
    /// More key files whose owners may sign the archive.
    pub keyrings: Vec<PathBuf>,
    /// Number of parallel downloads.
    pub jobs: usize,
    /// The current time, seconds since 1970. Signatures are checked against it; nothing in the image depends on it.
    pub now: i64,
    /// How k3s gets onto the nodes.
    pub k3s: K3sMode,
    /// The user's own k3s instead of a release.
    pub k3s_bin: Option<PathBuf>,
    /// The cluster's keys; `None` without a `lab.toml`.
    pub secrets: Option<Secrets>,
    /// Build from exactly these inputs instead of the mirror's current ones.
    pub locked: Option<LockFile>,
    /// Base URL of Debian's archive of snapshots, for locked packages that the mirror has dropped.
    pub snapshots: String,
}

/// What is the same throughout a build.
#[derive(Debug, Clone, Copy)]
struct Run<'a> {
    options: &'a BuildOptions,
    context: Context<'a>,
    answers: &'a Answers,
}

/// An image to write.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its content and its node.
    pub target: Target,
    /// Whether it gets its node's seed; without it the image is generic.
    pub seeded: bool,
    /// Path of the image file.
    pub path: PathBuf,
}

/// What was built: the result of `labimg build`, also written beside the image.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// The image.
    pub image: PathBuf,
    /// The board it boots on.
    pub board: String,
    /// The node's role.
    pub role: String,
    /// Who logs in.
    pub user: String,
    /// The node's name; `None` in a generic image.
    pub hostname: Option<String>,
    /// Debian's code name.
    pub suite: String,
    /// The image's own time, seconds since 1970: that of the newest package index.
    pub date: i64,
    /// Size of the image in bytes, including holes.
    pub size: u64,
    /// Bytes of the image that count, without its holes.
    pub occupied: u64,
    /// Container images in it.
    pub containers: Containers,
    /// Bytes used in each partition, by name.
    pub used: Vec<(String, u64)>,
    /// Number of packages in it.
    pub packages: usize,
    /// Packages that the node itself configures at first boot.
    pub pending: Vec<PendingPackage>,
    /// Whether any SSH key may log in.
    pub login: bool,
    /// The node's k3s.
    pub k3s: Option<K3sRecord>,
    /// Manifests of the lab folder with a Secret, which anyone with the card can read.
    pub secret_manifests: Vec<PathBuf>,
}

/// The container images in an image.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Containers {
    /// How many.
    pub count: usize,
    /// Their bytes, as their registries have them.
    pub bytes: u64,
}

/// A package that the node itself configures at first boot.
#[derive(Debug, Clone, Serialize)]
pub struct PendingPackage {
    /// Its name.
    pub package: String,
    /// Why labimg did not configure it.
    pub reason: String,
}

/// Builds the images in the given order; equal plans are assembled once.
///
/// # Errors
/// See [`BuildError`]; an unfinished image never has the final name.
pub fn run(outputs: &[Output], options: &BuildOptions, progress: &dyn Progress) -> Result<Vec<Built>, BuildError> {
    for output in outputs {
        write::check_output(&output.path)?;
    }
    let mut plans: Vec<&Plan> = Vec::new();
    for output in outputs {
        if !plans.contains(&&output.target.plan) {
            plans.push(&output.target.plan);
        }
    }
    checks::before(&plans, progress)?;
    let (store, http) = open(options)?;
    let options = &airgap::options(&plans, options, progress)?;
    let context = Context { store: &store, http: &http, progress };
    let mut built: Vec<(usize, Built)> = Vec::new();
    std::thread::scope(|scope| {
        let answers = Answers::begin(scope, &plans, options, &context);
        let run = Run { options, context, answers: &answers };
        for plan in &plans {
            let assembled = assemble(plan, &run)?;
            for (index, output) in outputs.iter().enumerate().filter(|(_, o)| o.target.plan == **plan) {
                built.push((index, write(output, &assembled, &run)?));
            }
        }
        Ok::<(), BuildError>(())
    })?;
    built.sort_by_key(|(index, _)| *index);
    Ok(built.into_iter().map(|(_, built)| built).collect())
}

/// The cache and the network.
fn open(options: &BuildOptions) -> Result<(Store, Http), BuildError> {
    let store = Store::open(&options.cache)?;
    let http = Http::new()?.remembering(store.dir()).with_logins(Logins::usual()).with_ways(&options.mirror.ways)?;
    Ok((store, http))
}

/// Does something that asks each of its questions only once.
fn alone<T>(
    options: &BuildOptions,
    progress: &dyn Progress,
    work: impl FnOnce(&Run<'_>) -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    let (store, http) = open(options)?;
    let context = Context { store: &store, http: &http, progress };
    work(&Run { options, context, answers: &Answers::default() })
}

fn write(output: &Output, assembled: &Assembled, run: &Run<'_>) -> Result<Built, BuildError> {
    let Target { plan, node, ssh_keys, .. } = &output.target;
    let mut firmware = assembled.firmware.clone();
    if output.seeded {
        let request = SeedRequest {
            target: &output.target,
            secrets: run.options.secrets.as_ref(),
            accounts: &assembled.accounts,
            date: assembled.date,
            image: assembled.manifest.partitions.last().map_or("", |root| &root.partuuid),
        };
        Seed::make(&request)?.put(&mut firmware)?;
    }
    let spec = ImageSpec { private: output.seeded, ..assembled.spec(plan, &firmware) };
    let beside = assembled.manifest.prepare_beside(&output.path)?;
    let summary = write::write(&spec, &output.path, run.context.progress)?;
    beside.put()?;
    Ok(Built {
        image: output.path.clone(),
        board: plan.board.name.clone(),
        role: plan.role.name.clone(),
        user: plan.user.clone(),
        hostname: output.seeded.then(|| node.name.clone()),
        suite: plan.suite.clone(),
        date: assembled.date,
        size: summary.layout.size,
        occupied: summary.occupied,
        containers: {
            let all = &assembled.manifest.containers;
            Containers { count: all.len(), bytes: all.iter().map(|one| one.size).sum() }
        },
        used: summary.layout.partitions.iter().zip(&summary.usage).map(|(p, u)| (p.name.clone(), u.0)).collect(),
        packages: assembled.manifest.packages.len(),
        pending: assembled.pending.clone(),
        login: output.seeded && !ssh_keys.is_empty(),
        k3s: assembled.manifest.k3s.clone(),
        secret_manifests: if plan.role.manifests { plan.own_manifests.secret().to_vec() } else { Vec::new() },
    })
}
