//! The whole way from a plan to an image: each arrow of the data flow once, in order.

mod ids;

use std::path::PathBuf;

use serde::Serialize;

use crate::deb::{self, DebError};
use crate::hash::Sha256;
use crate::image::ext4::Ext4Options;
use crate::image::manifest::{self, Manifest, ManifestPackage, NODE_PATH};
use crate::image::table::Layout;
use crate::image::{self, FileSystem, ImageError, ImageSpec, ImageSummary, PartitionSpec, ext4};
use crate::layers::board::{self, BoardError};
use crate::layers::configure::{self, ConfigureError, Pending};
use crate::layers::kernel::{self, KernelError};
use crate::layers::node::{self, Node};
use crate::layers::overlay::{self, OverlayError};
use crate::layers::packages::{self, Excludes, Installed, PackagesError};
use crate::layers::units::{self, UnitsError};
use crate::lock::mirror::Mirror;
use crate::lock::{self, Lock, LockError, LockRequest, LockedPackage};
use crate::plan::Plan;
use crate::report::{Reporter, Unit};
use crate::store::http::{Http, HttpError};
use crate::store::{self, Store, StoreError};
use crate::tree::{Tree, TreeError};
use ids::{Ids, Partuuids};

/// What a build needs beyond the plan.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Where the image goes.
    pub out: PathBuf,
    /// The cache's folder.
    pub cache: PathBuf,
    /// Where packages come from.
    pub mirror: Mirror,
    /// Further key files whose owners may sign the archive.
    pub keyrings: Vec<PathBuf>,
    /// How many downloads at once.
    pub jobs: usize,
    /// The clock, seconds since 1970: signatures are checked against it; nothing in the image depends on it.
    pub now: i64,
}

/// Why no image was built.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // Each variant is the error of the module it is named after.
pub enum BuildError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Deb(#[from] DebError),
    #[error(transparent)]
    Packages(#[from] PackagesError),
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    #[error(transparent)]
    Units(#[from] UnitsError),
    #[error("the node's own files: {0}")]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("the identifiers of the image: {0}")]
    Ids(#[from] serde_json::Error),
}

/// What was built: the result of `labimg build`, also written beside the image.
#[derive(Debug, Clone, Serialize)]
pub struct Built {
    /// The image.
    pub image: PathBuf,
    /// Board it boots on.
    pub board: String,
    /// What the node is for.
    pub role: String,
    /// The node's name.
    pub hostname: String,
    /// Debian's code name.
    pub suite: String,
    /// The image's own time, seconds since 1970: that of the newest package index.
    pub date: i64,
    /// Size of the image in bytes, holes included.
    pub size: u64,
    /// Bytes that the image takes on the disk.
    pub occupied: u64,
    /// Bytes used in each partition, by name.
    pub used: Vec<(String, u64)>,
    /// How many packages are in it.
    pub packages: usize,
    /// Packages that the node itself finishes at first boot.
    pub pending: Vec<PendingPackage>,
    /// Whether a key was given that may log in.
    pub login: bool,
}

/// A package that the node itself finishes at first boot.
#[derive(Debug, Clone, Serialize)]
pub struct PendingPackage {
    /// Its name.
    pub package: String,
    /// Why labimg did not finish it.
    pub reason: String,
}

/// Builds the image of `plan`.
///
/// # Errors
/// See [`BuildError`]; nothing is left under the final name.
pub fn run(plan: &Plan, options: &BuildOptions, reporter: &Reporter) -> Result<Built, BuildError> {
    image::check_output(&options.out)?;
    let store = Store::open(&options.cache)?;
    let http = Http::new()?;
    let lock = {
        let _phase = reporter.phase("Choosing packages", 0, Unit::Items);
        lock_inputs(plan, options, &store, &http, reporter)?
    };
    let requests: Vec<store::Request> = lock.packages.iter().map(request).collect();
    store.fetch(&requests, options.jobs, &http, reporter)?;

    let ids = Ids::new(plan, &lock)?;
    let partuuids = ids.partuuids()?;
    let mut tree = Tree::new(lock.date);
    let debs = deb::open_all(&store, &lock.packages, reporter)?;
    let mut installed = packages::unpack(&mut tree, &lock.architecture, debs, &Excludes::none(), reporter)?;
    let pending = {
        let _phase = reporter.phase("Configuring", 0, Unit::Items);
        configure::run(&mut tree, &mut installed)?.pending
    };
    node_layers(&mut tree, plan, options, &pending, &partuuids)?;
    let version = kernel_layer(&mut tree, &lock, &installed, &store, reporter)?;
    let initramfs = {
        let _phase = reporter.phase("Making the initramfs", 0, Unit::Items);
        kernel::initramfs::make(&tree, &version, &plan.board.initramfs.modules)?
    };
    board::prepare(&mut tree, &plan.board, &partuuids.root, initramfs.into())?;
    let firmware = board::firmware(&tree, &plan.board, &partuuids.root)?;
    packages::write_database(&mut tree, &installed)?;

    let summary = write_image(plan, options, &lock, &installed, tree, &firmware, &ids, reporter)?;
    Ok(Built {
        image: options.out.clone(),
        board: plan.board.name.clone(),
        role: plan.role.name.clone(),
        hostname: plan.hostname.clone(),
        suite: lock.suite.clone(),
        date: lock.date,
        size: summary.layout.size,
        occupied: summary.occupied,
        used: summary.layout.partitions.iter().zip(&summary.usage).map(|(p, u)| (p.name.clone(), u.0)).collect(),
        packages: installed.packages.len(),
        pending: pending.into_iter().map(|p| PendingPackage { package: p.package, reason: p.reason }).collect(),
        login: !plan.ssh_keys.is_empty(),
    })
}

fn lock_inputs(
    plan: &Plan,
    options: &BuildOptions,
    store: &Store,
    http: &Http,
    reporter: &Reporter,
) -> Result<Lock, BuildError> {
    let request = LockRequest {
        suite: plan.suite.clone(),
        extra_suites: plan.extra_suites.clone(),
        architecture: plan.board.architecture.clone(),
        packages: plan.packages.keys().cloned().collect(),
        mirror: options.mirror.clone(),
        keyrings: options.keyrings.clone(),
        now: options.now,
        essential: true,
    };
    Ok(lock::make(&request, store, http, reporter)?)
}

fn request(package: &LockedPackage) -> store::Request {
    store::Request {
        name: format!("{} {}", package.name, package.version),
        sha256: package.sha256,
        size: package.size,
        urls: package.urls.clone(),
    }
}

/// Overlays, the node's own files, units: what is laid over the configured packages.
fn node_layers(
    tree: &mut Tree,
    plan: &Plan,
    options: &BuildOptions,
    pending: &[Pending],
    partuuids: &Partuuids,
) -> Result<(), BuildError> {
    for name in &plan.overlays {
        overlay::apply(tree, name)?;
    }
    let pending: Vec<String> = pending.iter().map(|p| p.package.clone()).collect();
    let (archive, security) = options.mirror.for_nodes();
    let node = Node {
        hostname: &plan.hostname,
        ssh_keys: &plan.ssh_keys,
        root_partuuid: &partuuids.root,
        firmware_partuuid: &partuuids.firmware,
        firmware_mount: &plan.board.firmware.mount,
        suite: &plan.suite,
        extra_suites: &plan.extra_suites,
        archive: &archive,
        security: &security,
        pending: &pending,
    };
    node::apply(tree, &node)?;
    units::apply(tree, &plan.units)?;
    Ok(())
}

/// The module indexes, from the store when this kernel was indexed before. Gives the kernel's version.
fn kernel_layer(
    tree: &mut Tree,
    lock: &Lock,
    installed: &Installed,
    store: &Store,
    reporter: &Reporter,
) -> Result<String, BuildError> {
    let _phase = reporter.phase("Indexing kernel modules", 0, Unit::Items);
    let version = kernel::version(tree)?;
    tree.begin_layer(format!("modules of {version}"));
    let key = module_key(lock, installed, &version);
    let archive = store
        .derived(MODULE_INDEXES, &key, |file| kernel::depmod::make(tree, &version, file).map_err(BuildError::from))?;
    kernel::depmod::install(tree, &version, &archive)?;
    Ok(version)
}

/// Everything that the module indexes are made of: the packages that bring modules.
fn module_key(lock: &Lock, installed: &Installed, version: &str) -> Sha256 {
    let brings_modules = |name: &str| {
        let files = installed.get(name).map_or(&[][..], |p| p.files.as_slice());
        files.iter().any(|f| [&b"usr/lib/modules/"[..], b"lib/modules/"].iter().any(|m| f.as_bytes().starts_with(m)))
    };
    let packages = lock.packages.iter().filter(|p| brings_modules(&p.name));
    let inputs: Vec<String> = packages.map(|p| p.sha256.to_string()).collect();
    Sha256::of(format!("{} {version} {}", lock.architecture, inputs.join(" ")))
}

/// The kind of the kept module indexes. The number counts up whenever they are made in another way.
const MODULE_INDEXES: &str = "depmod-1";

/// Free room in the root file system for the first boot and the first updates; it grows to the whole card then.
const SLACK: u64 = 256 << 20;

#[allow(clippy::too_many_arguments)] // Each is one thing between two arrows.
fn write_image(
    plan: &Plan,
    options: &BuildOptions,
    lock: &Lock,
    installed: &Installed,
    mut tree: Tree,
    firmware: &Tree,
    ids: &Ids,
    reporter: &Reporter,
) -> Result<ImageSummary, BuildError> {
    let options_of_root =
        Ext4Options { label: "root".to_owned(), ..Ext4Options::new(0, ids.ext4, ids.hash_seed, lock.date) };
    let size = ext4::minimum_size(&tree, &options_of_root)
        .map_err(|source| ImageError::Ext4 { partition: "root".to_owned(), source })?
        + SLACK;
    let manifest =
        manifest(plan, lock, installed, &tree, &spec(plan, ids, size, &options_of_root, &tree, firmware).layout()?);
    tree.begin_layer("manifest");
    tree.write(NODE_PATH, 0o644, manifest.to_json())?;
    let beside = manifest.prepare_beside(&options.out)?;
    let summary = image::write(&spec(plan, ids, size, &options_of_root, &tree, firmware), &options.out, reporter)?;
    beside.put()?;
    Ok(summary)
}

fn spec<'a>(
    plan: &Plan,
    ids: &Ids,
    size: u64,
    options: &Ext4Options,
    tree: &'a Tree,
    firmware: &'a Tree,
) -> ImageSpec<'a> {
    ImageSpec {
        table: ids.table,
        first: 0,
        partitions: vec![
            PartitionSpec {
                name: "firmware".to_owned(),
                size: u64::from(plan.board.firmware.size_mib) << 20,
                guid: ids.firmware,
                files: FileSystem::Fat { tree: firmware, label: "FIRMWARE".to_owned(), volume_id: ids.volume },
            },
            PartitionSpec {
                name: "root".to_owned(),
                size,
                guid: ids.root,
                files: FileSystem::Ext4 { tree, options: options.clone() },
            },
        ],
        raw: Vec::new(),
        private: false,
    }
}

fn manifest(plan: &Plan, lock: &Lock, installed: &Installed, tree: &Tree, layout: &Layout) -> Manifest {
    let mut packages: Vec<_> = installed.packages.iter().collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Manifest {
        format: manifest::FORMAT,
        labimg: env!("CARGO_PKG_VERSION").to_owned(),
        board: plan.board.name.clone(),
        role: plan.role.name.clone(),
        suite: lock.suite.clone(),
        architecture: lock.architecture.clone(),
        date: jiff::Timestamp::from_second(lock.date).unwrap_or_default().to_string(),
        partitions: manifest::partitions(layout),
        packages: packages
            .into_iter()
            .map(|p| ManifestPackage {
                name: p.name.clone(),
                version: p.version.clone(),
                architecture: p.architecture.clone(),
                state: p.state.word().to_owned(),
            })
            .collect(),
        layers: manifest::layers(tree),
    }
}
