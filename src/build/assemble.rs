//! A plan's file systems, ready to be written: everything shared by all nodes of one role and board.

use std::collections::HashMap;

use super::ids::{Ids, Partuuids};
use super::{BuildError, BuildOptions, PendingPackage, Run, checks, containers, inputs};
use crate::charts::{self, ChartRef};
use crate::k3s::{self, K3sBinary, K3sRecord, K3sSource, LockedK3s, Wanted};
use crate::layers::accounts::Accounts;
use crate::layers::board;
use crate::layers::manifests;
use crate::layers::node::{self, NodeFiles};
use crate::layers::{self, overlay, units};
use crate::lock_file::Archives;
use crate::plan::Plan;
use crate::record::{self, ImageRecord, NODE_PATH, RecordContainer, RecordPackage};
use crate::seed;
use crate::stack::Cluster;
use labimg_debian::configure::{self, Pending};
use labimg_debian::deb;
use labimg_debian::kernel;
use labimg_debian::lock::Lock;
use labimg_debian::packages::{self, Installed};
use labimg_disk::write::ext4::{self, Ext4Options};
use labimg_disk::write::table::Layout;
use labimg_disk::write::{FileSystem, ImageError, ImageSpec, PartitionSpec};
use labimg_store::Context;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Unit;
use labimg_tree::{Content, Tree};

/// What all images of one plan share: everything except the seed.
pub(super) struct Assembled {
    tree: Tree,
    /// The firmware partition, without a seed.
    pub(super) firmware: Tree,
    root: Ext4Options,
    root_size: u64,
    ids: Ids,
    /// The image's record.
    pub(super) manifest: ImageRecord,
    /// The image's own time, seconds since 1970.
    pub(super) date: i64,
    /// The image's users and groups.
    pub(super) accounts: Accounts,
    /// Packages that the node itself configures.
    pub(super) pending: Vec<PendingPackage>,
}

/// From packages to trees.
pub(super) fn assemble(plan: &Plan, run: &Run<'_>) -> Result<Assembled, BuildError> {
    let lock = {
        let _phase = run.context.progress.phase("Choosing packages", 0, Unit::Items);
        inputs::inputs(plan, run)?
    };
    // Before any download: if the lock lacks something, the build fails at once.
    let locked_k3s = inputs::k3s(plan, run.options)?;
    let locked_charts = inputs::charts(plan, run)?;
    let locked_images = containers::locked(plan, run)?;
    deb::fetch(&lock.packages, run.options.jobs, &run.context)?;
    let binary = obtain_k3s(plan, locked_k3s, run)?;
    let charts = charts::fetch_locked(&locked_charts.iter().collect::<Vec<_>>(), inputs::mirrors(plan), &run.context)?;
    checks::after(plan, &locked_charts, run.context.store, run.context.progress)?;
    let carried = locked_images.map_or_else(|| containers::current(plan, run), Ok)?;
    let archives = containers::archives(&carried, plan, run)?;

    let ids = Ids::new(plan, &lock)?;
    let partuuids = ids.partuuids()?;
    let mut tree = Tree::new(lock.date);
    let debs = deb::open_all(run.context.store, &lock.packages, run.context.progress)?;
    let mut installed = packages::unpack(&mut tree, &lock.architecture, debs, run.context.progress)?;
    let pending = {
        let _phase = run.context.progress.phase("Configuring", 0, Unit::Items);
        configure::run(&mut tree, &mut installed)?.pending
    };
    node_layers(&mut tree, plan, run.options, &pending, &partuuids, binary.as_ref(), &charts)?;
    layers::containers::apply(&mut tree, &archives)?;
    let version = kernel_layer(&mut tree, plan, &lock, &installed, &run.context)?;
    let initramfs = initramfs(&tree, &version, &plan.board.initramfs.modules, &run.context)?;
    board::prepare(&mut tree, &plan.board, &partuuids.root, initramfs)?;
    let mut firmware = board::firmware(&tree, &plan.board, &partuuids.root)?;
    firmware.write(seed::SETTINGS, 0o644, seed::SETTINGS_TEXT)?;
    packages::write_database(&mut tree, &installed)?;

    let root = Ext4Options { label: "root".to_owned(), ..Ext4Options::new(0, ids.ext4, ids.hash_seed, lock.date) };
    let least = ext4::minimum_size(&tree, &root);
    let root_size = least.map_err(|source| ImageError::Ext4 { partition: "root".to_owned(), source })? + SLACK;
    let layout = spec(plan, &ids, root_size, &root, &tree, &firmware).layout()?;
    let k3s = binary.map(|b| b.record());
    let manifest = manifest(plan, &lock, &installed, &tree, &layout, k3s, carried.record());
    overlay::check_kept(&tree, &plan.own_files)?;
    tree.begin_layer("manifest");
    tree.write(NODE_PATH, 0o644, manifest.to_json())?;
    let pending = pending.into_iter().map(|p| PendingPackage { package: p.package, reason: p.reason }).collect();
    let accounts = Accounts::of(&tree)?;
    Ok(Assembled { tree, firmware, root, root_size, ids, manifest, date: lock.date, accounts, pending })
}

impl Assembled {
    /// The spec of an image with this firmware partition.
    pub(super) fn spec<'a>(&'a self, plan: &Plan, firmware: &'a Tree) -> ImageSpec<'a> {
        spec(plan, &self.ids, self.root_size, &self.root, &self.tree, firmware)
    }
}

/// The values of the node's own files.
pub(super) fn node_files<'a>(
    plan: &'a Plan,
    archives: &'a Archives,
    partuuids: &'a Partuuids,
    pending: &'a [String],
) -> NodeFiles<'a> {
    NodeFiles {
        user: &plan.user,
        hostname: &plan.role.name,
        hosts: &plan.added.hosts,
        timezone: &plan.lab.timezone,
        locale: &plan.lab.locale,
        root_partuuid: &partuuids.root,
        firmware_partuuid: &partuuids.firmware,
        firmware_mount: &plan.board.firmware.mount,
        suite: &plan.suite,
        extra_suites: &plan.extra_suites,
        archive: &archives.debian,
        security: &archives.security,
        pending,
    }
}

fn obtain_k3s(plan: &Plan, locked: Option<&LockedK3s>, run: &Run<'_>) -> Result<Option<K3sBinary>, BuildError> {
    if plan.role.k3s.is_none() {
        return Ok(None);
    }
    let source = K3sSource::of(Some(&plan.lab));
    let architecture = &plan.board.architecture;
    if let Some(known) = run.answers.k3s.borrow().get(architecture) {
        return Ok(Some(known.clone()));
    }
    let local = run.options.k3s_bin.as_deref();
    let wanted = Wanted { mode: run.options.k3s, local, source: &source, locked, architecture };
    let binary = k3s::obtain(&wanted, || run.answers.k3s(plan, run), &run.context)?;
    run.answers.k3s.borrow_mut().insert(architecture.clone(), binary.clone());
    Ok(Some(binary))
}

/// The layers above the configured packages: overlays, the node's own files, units.
fn node_layers(
    tree: &mut Tree,
    plan: &Plan,
    options: &BuildOptions,
    pending: &[Pending],
    partuuids: &Partuuids,
    binary: Option<&K3sBinary>,
    charts: &[(ChartRef, Content)],
) -> Result<(), BuildError> {
    for name in &plan.overlays {
        overlay::apply(tree, name)?;
    }
    if let (Some(kind), Some(binary)) = (plan.role.k3s, binary) {
        layers::k3s::apply(tree, kind, binary)?;
    }
    let pending: Vec<String> = pending.iter().map(|p| p.package.clone()).collect();
    let archives = inputs::archives_for_nodes(options);
    if let Some(what) = Accounts::of(tree)?.taken(&plan.user) {
        return Err(BuildError::User { user: plan.user.clone(), what });
    }
    node::apply(tree, &node_files(plan, &archives, partuuids, &pending))?;
    for (name, files) in &plan.own_files {
        overlay::apply_own(tree, name, files, &plan.user)?;
    }
    units::apply(tree, &plan.units)?;
    manifests::serve(tree, charts)?;
    if !plan.role.manifests {
        return Ok(());
    }
    let source = K3sSource::of(Some(&plan.lab));
    let cluster = Cluster { lab: &plan.lab, stack: &plan.stack, k3s: &source.version, charts };
    Ok(manifests::apply(tree, &cluster, &plan.own_manifests)?)
}

/// Adds the module indexes, from the store if this kernel was indexed before. Returns the kernel's version.
fn kernel_layer(
    tree: &mut Tree,
    plan: &Plan,
    lock: &Lock,
    installed: &Installed,
    context: &Context<'_>,
) -> Result<String, BuildError> {
    let _phase = context.progress.phase("Indexing kernel modules", 0, Unit::Items);
    let version = kernel::version(tree)?;
    tree.begin_layer(format!("modules of {version}"));
    let key = module_key(plan, lock, installed, &version);
    let archive = context.store.derived(MODULE_INDEXES, &key, context.progress, |file| {
        kernel::depmod::make(tree, &version, file).map_err(BuildError::from)
    })?;
    kernel::depmod::install(tree, &version, &archive)?;
    Ok(version)
}

/// The store key of the module indexes: the packages with modules, and the user's own modules.
fn module_key(plan: &Plan, lock: &Lock, installed: &Installed, version: &str) -> Sha256 {
    let is_module =
        |path: &[u8]| [&b"usr/lib/modules/"[..], b"lib/modules/"].iter().any(|folder| path.starts_with(folder));
    let brings_modules = |name: &str| {
        let files = installed.get(name).map_or(&[][..], |p| p.files.as_slice());
        files.iter().any(|f| is_module(f.as_bytes()))
    };
    let packages = lock.packages.iter().filter(|p| brings_modules(&p.name)).map(|p| p.sha256.to_string());
    let own = plan.own_files.iter().flat_map(|(_, files)| files).filter(|f| is_module(f.path.as_bytes()));
    let inputs: Vec<String> = packages.chain(own.map(|f| format!("{}:{}", f.path, f.sha256))).collect();
    Sha256::of(format!("{} {version} {}", lock.architecture, inputs.join(" ")))
}

/// The initramfs. Compressing is the slowest part, so it is done once for the same archive.
fn initramfs(tree: &Tree, version: &str, modules: &[String], context: &Context<'_>) -> Result<Content, BuildError> {
    let _phase = context.progress.phase("Making the initramfs", 0, Unit::Items);
    let archive = kernel::initramfs::make(tree, version, modules)?;
    let blob = context.store.derived(INITRAMFS, &Sha256::of(&archive), context.progress, |file| {
        kernel::initramfs::compress(&archive, file).map_err(BuildError::from)
    })?;
    Ok(Content::whole(blob))
}

/// The store kind of initramfs files. The number goes up whenever they are compressed differently, also by a new zstd.
const INITRAMFS: &str = "initramfs-1";

/// The store kind of module indexes. The number goes up whenever they are made differently.
const MODULE_INDEXES: &str = "depmod-1";

/// Free space in the root file system for the first boot and the first updates; at first boot it grows to the whole
/// card.
const SLACK: u64 = 256 << 20;

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
        first: u64::from(plan.board.disk.first_mib) << 20,
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
        private: false,
    }
}

fn manifest(
    plan: &Plan,
    lock: &Lock,
    installed: &Installed,
    tree: &Tree,
    layout: &Layout,
    k3s: Option<K3sRecord>,
    containers: Vec<RecordContainer>,
) -> ImageRecord {
    let mut packages: Vec<_> = installed.packages.iter().collect();
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let hashes: HashMap<&str, Sha256> = lock.packages.iter().map(|p| (p.name.as_str(), p.sha256)).collect();
    ImageRecord {
        format: record::FORMAT,
        labimg: env!("CARGO_PKG_VERSION").to_owned(),
        board: plan.board.name.clone(),
        role: plan.role.name.clone(),
        suite: lock.suite.clone(),
        architecture: lock.architecture.clone(),
        date: jiff::Timestamp::from_second(lock.date).unwrap_or_default().to_string(),
        partitions: record::partitions(layout),
        packages: packages
            .into_iter()
            .map(|p| RecordPackage {
                name: p.name.clone(),
                version: p.version.clone(),
                architecture: p.architecture.clone(),
                state: p.state.word().to_owned(),
                sha256: hashes.get(p.name.as_str()).copied(),
            })
            .collect(),
        // `name/suite` asks for a package of another suite.
        why: plan.packages.iter().map(|(p, why)| (p.split('/').next().unwrap_or(p).to_owned(), why.clone())).collect(),
        layers: record::layers(tree),
        k3s,
        containers,
    }
}
