//! The firmware partition of a board, and what keeps it bootable when the node upgrades its kernel.
//!
//! The files are the same that the node's own kernel hooks write later: those of Debian's `raspi-firmware` on a
//! Raspberry Pi, labimg's small hook elsewhere. So `update-initramfs -u` on a fresh node changes no file name and no
//! kernel argument.

mod raspi;

use crate::parts::board::{Board, FirmwareKind};
use labimg_debian::kernel::{self, KernelError};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::{Content, Kind, Tree, TreeError, TreePath};

/// labimg's own kernel hook, for boards without `raspi-firmware`; a POSIX shell script.
const BOOT_HOOK: &str = include_str!("boot-hook.sh");
/// Path of the hook; the two other places where it must run link to it.
const BOOT_HOOK_PATH: &str = "etc/kernel/postinst.d/z50-labimg";
const BOOT_HOOK_LINKS: [&str; 2] = ["etc/kernel/postrm.d/z50-labimg", "etc/initramfs/post-update.d/z50-labimg"];

/// Size of an initramfs that the node itself makes with all modules, in bytes, rounded up.
const LARGE_INITRAMFS: u64 = 48 << 20;

/// What went wrong with a board's boot files.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// A file that the board needs to boot is not in the tree.
    #[error("board {board}: the system has no {path}")]
    Missing {
        /// The board's name.
        board: String,
        /// The file.
        path: String,
        /// What to do.
        hint: &'static str,
    },
    /// The package's hook differs from the one labimg knows.
    #[error("{path}: {what}")]
    Hook {
        /// The hook.
        path: &'static str,
        /// What is different.
        what: String,
    },
    /// The root partition's identifier has a character that ends a kernel argument.
    #[error("`{0}` is not a PARTUUID")]
    PartUuid(String),
    /// The partition is too small to keep the board bootable after a kernel upgrade.
    #[error("board {board}: a firmware partition of {size_mib} MiB is too small: two kernels need {need_mib} MiB")]
    TooSmall {
        /// The board's name.
        board: String,
        /// The size in the board's file.
        size_mib: u32,
        /// The needed size.
        need_mib: u64,
    },
    /// A tree operation failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The kernel in the tree is not usable.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl Fault for BoardError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Missing { .. } | Self::Hook { .. } | Self::TooSmall { .. } => FaultKind::World,
            Self::PartUuid(_) => FaultKind::Ours,
            Self::Tree(source) => source.kind(),
            Self::Kernel(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Missing { hint, .. } => Some((*hint).to_owned()),
            Self::Hook { .. } => {
                Some("this labimg does not know this version of raspi-firmware: use a newer one".to_owned())
            }
            Self::PartUuid(_) => None,
            Self::TooSmall { need_mib, .. } => {
                Some(format!("set firmware.size_mib to {need_mib} or more in the board's file"))
            }
            Self::Tree(source) => source.help(),
            Self::Kernel(source) => source.help(),
        }
    }
}

/// Adds to the root tree the input of the board's kernel hooks: `initramfs` as `/boot/initrd.img-VERSION`, and the
/// settings with which the hooks write the same kernel arguments again.
///
/// `partuuid` is the root partition's PARTUUID as the kernel writes it.
///
/// # Errors
/// When the kernel or a package that the board needs is not in the tree.
pub fn prepare(tree: &mut Tree, board: &Board, partuuid: &str, initramfs: Content) -> Result<(), BoardError> {
    check_partuuid(partuuid)?;
    let version = kernel::version(tree)?;
    tree.begin_layer(format!("board {}", board.name));
    tree.write(format!("boot/initrd.img-{version}"), 0o644, initramfs)?;
    // Since Linux 6.17 Debian ships the kernel beside its modules, and copies it when the package is configured.
    let image = format!("boot/vmlinuz-{version}");
    if !tree.contains(&image) {
        let content = file(tree, board, &format!("usr/lib/modules/{version}/vmlinuz"), "was the kernel unpacked?")?;
        tree.write(&image, 0o644, content)?;
    }
    match board.firmware.kind {
        FirmwareKind::Raspi => raspi::settings(tree, board, partuuid),
        FirmwareKind::None => {
            tree.write(BOOT_HOOK_PATH, 0o755, BOOT_HOOK)?;
            for link in BOOT_HOOK_LINKS {
                tree.symlink(link, format!("/{BOOT_HOOK_PATH}"))?;
            }
            Ok(())
        }
    }
}

/// The files of the firmware partition, as the hooks on the node would write them from the root `tree`.
///
/// # Errors
/// When [`prepare`] was not called, a file that the board needs to boot is missing, or the partition is too small.
pub fn firmware(tree: &Tree, board: &Board, partuuid: &str) -> Result<Tree, BoardError> {
    check_partuuid(partuuid)?;
    let version = kernel::version(tree)?;
    let mut out = Tree::new(tree.time());
    out.begin_layer(format!("board {}", board.name));
    for name in [format!("vmlinuz-{version}"), format!("initrd.img-{version}")] {
        let content = file(tree, board, &format!("boot/{name}"), "the kernel and its initramfs come first")?;
        out.write(&name, 0o644, content)?;
    }
    match board.firmware.kind {
        FirmwareKind::Raspi => raspi::fill(tree, &mut out, board, partuuid, &version)?,
        FirmwareKind::None => {
            out.write("config.txt", 0o644, own_config(&version))?;
            let line = [&consoles(board), &arguments(partuuid), board.kernel.arguments.join(" ").as_str()].join(" ");
            out.write("cmdline.txt", 0o644, format!("{line}\n"))?;
        }
    }
    for name in &board.firmware.device_trees {
        if !out.contains(name) {
            return Err(missing(board, name, "the kernel has no device tree for this board"));
        }
    }
    check_size(&out, board, &version)?;
    Ok(out)
}

/// `config.txt` as [`BOOT_HOOK`] writes it.
fn own_config(version: &str) -> String {
    let (_, rest) = BOOT_HOOK.split_once("<<EOF\n").unwrap_or_default();
    let (text, _) = rest.split_once("EOF\n").unwrap_or_default();
    text.replace("$version", version)
}

fn consoles(board: &Board) -> String {
    board.kernel.consoles.iter().map(|c| format!("console={c}")).collect::<Vec<_>>().join(" ")
}

/// The kernel arguments that `raspi-firmware` always sets, for boards without it.
fn arguments(partuuid: &str) -> String {
    format!("root=PARTUUID={partuuid} rw fsck.repair=yes net.ifnames=0 rootwait")
}

fn check_partuuid(partuuid: &str) -> Result<(), BoardError> {
    let good = !partuuid.is_empty() && partuuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if good { Ok(()) } else { Err(BoardError::PartUuid(partuuid.to_owned())) }
}

/// Refuses a partition without space for a second kernel with a large initramfs.
fn check_size(out: &Tree, board: &Board, version: &str) -> Result<(), BoardError> {
    let length = |kind: &Kind| if let Kind::File(content) = kind { content.len() } else { 0 };
    let now: u64 = out.iter().map(|(_, _, inode)| length(&inode.kind)).sum();
    let kernel = out.get(format!("vmlinuz-{version}")).map_or(0, |inode| length(&inode.kind));
    let need = (now + kernel + 2 * LARGE_INITRAMFS).div_ceil(1 << 20);
    if need > u64::from(board.firmware.size_mib) {
        return Err(BoardError::TooSmall {
            board: board.name.clone(),
            size_mib: board.firmware.size_mib,
            need_mib: need,
        });
    }
    Ok(())
}

/// The content of a regular file in the tree, following links.
fn file(tree: &Tree, board: &Board, path: &str, hint: &'static str) -> Result<Content, BoardError> {
    let real = tree.resolve(path).unwrap_or_else(|_| TreePath::default());
    match tree.get(&real).map(|inode| &inode.kind) {
        Some(Kind::File(content)) => Ok(content.clone()),
        _ => Err(missing(board, path, hint)),
    }
}

fn missing(board: &Board, path: &str, hint: &'static str) -> BoardError {
    BoardError::Missing { board: board.name.clone(), path: format!("/{path}"), hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Parts;

    fn root() -> Tree {
        let mut tree = Tree::new(1_000);
        tree.mkdir("usr/lib/modules/6.12-arm64", 0o755).unwrap();
        tree.symlink("lib", "usr/lib").unwrap();
        tree.write("usr/lib/modules/6.12-arm64/vmlinuz", 0o644, "kernel").unwrap();
        tree
    }

    #[test]
    fn a_board_without_firmware_boots_by_the_same_files() {
        let board = Parts::built_in().unwrap().board("virt").unwrap().clone();
        let mut tree = root();
        prepare(&mut tree, &board, "0a1b-02", Content::from("initramfs")).unwrap();
        let out = firmware(&tree, &board, "0a1b-02").unwrap();
        assert_eq!(out.read_text("vmlinuz-6.12-arm64").unwrap(), "kernel");
        assert_eq!(out.read_text("initrd.img-6.12-arm64").unwrap(), "initramfs");
        let config = out.read_text("config.txt").unwrap();
        assert!(config.ends_with("\nkernel=vmlinuz-6.12-arm64\ninitramfs initrd.img-6.12-arm64\n"), "{config}");
        assert_eq!(
            out.read_text("cmdline.txt").unwrap(),
            "console=ttyAMA0,115200 root=PARTUUID=0a1b-02 rw fsck.repair=yes net.ifnames=0 rootwait rootfstype=ext4 \
             cgroup_enable=memory cgroup_memory=1 panic=30 loglevel=6 kpti=0 udev.children_max=2\n"
        );
        assert_eq!(tree.read_text("etc/initramfs/post-update.d/z50-labimg").unwrap(), BOOT_HOOK);
    }

    #[test]
    fn what_cannot_boot_is_refused() {
        let board = Parts::built_in().unwrap().board("virt").unwrap().clone();
        let mut tree = root();
        assert!(matches!(prepare(&mut tree, &board, "a b", Content::empty()), Err(BoardError::PartUuid(_))));
        assert!(matches!(firmware(&tree, &board, "a"), Err(BoardError::Missing { .. })));
        prepare(&mut tree, &board, "a", Content::empty()).unwrap();
        let small =
            Board { firmware: crate::parts::board::Firmware { size_mib: 64, ..board.firmware.clone() }, ..board };
        assert!(matches!(firmware(&tree, &small, "a"), Err(BoardError::TooSmall { .. })));
        let raspi = Parts::built_in().unwrap().board("rpi4").unwrap().clone();
        let error = prepare(&mut tree, &raspi, "a", Content::empty()).unwrap_err().to_string();
        assert!(error.contains("/etc/default/raspi-firmware"), "{error}");
    }

    #[test]
    fn the_script_passes_shellcheck() {
        if labimg_testkit::judges::missing(&["shellcheck"]) {
            return;
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/layers/board/boot-hook.sh");
        let output = std::process::Command::new("shellcheck")
            .args(["-s", "sh", script])
            .output()
            .expect("this test needs the program `shellcheck`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
