//! Boards: one TOML file each, in `boards/` (compiled into the program) or in a lab folder. A new board needs only a
//! new file, no code.

use include_dir::{Dir, include_dir};
use serde::{Deserialize, Serialize};

use crate::wording::{self, Mistake};
use labimg_tree::fault::{Fault, FaultKind};

static BOARDS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/boards");

/// Errors about a board's file.
#[derive(Debug, thiserror::Error)]
pub enum BoardFileError {
    /// A board's file is not valid TOML or has a field that does not exist.
    #[error("{file}:{}: {}", mistake.line, mistake.what)]
    Syntax {
        /// The file.
        file: String,
        /// The mistake with its position.
        mistake: Mistake,
    },
    /// A board's file is valid TOML with a value that cannot work.
    #[error("{file}: {what}")]
    Value {
        /// The file.
        file: String,
        /// The field and what is wrong with it.
        what: String,
    },
}

impl Fault for BoardFileError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Syntax { .. } | Self::Value { .. } => FaultKind::Configuration,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Syntax { mistake, .. } => mistake.help.clone(),
            Self::Value { .. } => None,
        }
    }
}

/// A board: everything that differs from one kind of computer to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// The file's name without `.toml`, as used with `--board`; not in the file itself.
    #[serde(skip_deserializing)]
    pub name: String,
    /// A readable title.
    pub title: String,
    /// Debian's name of the architecture, such as `arm64`.
    pub architecture: String,
    /// How much memory there is on the board's variants, such as `4G`; empty when that is not known.
    // Not part of the image ids: what is sold changes no image.
    #[serde(default, skip_serializing)]
    pub memory: Vec<String>,
    /// What users should know before they choose the board; one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whether Wi-Fi is the only network that the board has.
    #[serde(default)]
    pub wireless_only: bool,
    /// Packages that the board needs beyond the base system.
    pub packages: Vec<BoardPackage>,
    /// The disk's partition table and root partition.
    pub disk: Disk,
    /// The FAT partition that the board boots from.
    pub firmware: Firmware,
    /// Kernel command line.
    pub kernel: Kernel,
    /// Contents of the initramfs.
    pub initramfs: Initramfs,
    /// How QEMU runs an image of the board.
    pub qemu: Qemu,
}

/// One package that a board needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardPackage {
    /// Debian's name.
    pub name: String,
    /// Why the board needs it.
    pub why: String,
    /// The suite that it must come from when the release's version is not enough, such as `trixie-backports`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
}

/// The disk of a board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Kind of partition table.
    pub table: Table,
    /// Whether the root partition and its file system grow to the whole disk at first boot.
    pub grow_root: bool,
    /// Where the first partition begins, in MiB: some boot loaders lie before it, up to 8 MiB and more. A multiple of 4.
    // Not part of the image ids by default, so that the usual boards keep their images.
    #[serde(default = "usual_first_mib", skip_serializing_if = "is_usual_first_mib")]
    pub first_mib: u32,
}

/// Where partitions begin by default: the first erase block of an SD card is for the table.
fn usual_first_mib() -> u32 {
    4
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_usual_first_mib(first: &u32) -> bool {
    *first == usual_first_mib()
}

/// Kind of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Master boot record; PARTUUIDs are `<disk id>-<two-digit number>` in lower-case hexadecimal.
    Mbr,
    /// GUID partition table.
    Gpt,
}

/// The FAT partition that the board boots from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Firmware {
    /// Who fills it.
    pub kind: FirmwareKind,
    /// Size in MiB: room for two kernels with the large initramfs that the node itself makes after upgrades.
    pub size_mib: u32,
    /// Where the node mounts it, absolute.
    pub mount: String,
    /// Device trees, as named in the kernel package, without which the board does not start; the first is the board's main model.
    #[serde(default)]
    pub device_trees: Vec<String>,
    /// The conditional filters of config.txt, such as `pi4`, that hold on this board (`[all]` always does).
    #[serde(default)]
    pub filters: Vec<String>,
    /// Lines for config.txt beyond those that the Debian package writes.
    #[serde(default)]
    pub config: Vec<String>,
}

/// Who fills the firmware partition and keeps it current after kernel upgrades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FirmwareKind {
    /// Debian's `raspi-firmware` package and its kernel hooks.
    Raspi,
    /// labimg's own kernel hook: the same layout with no boot firmware.
    None,
}

/// Kernel command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Values of `console=`; the last one becomes `/dev/console`.
    pub consoles: Vec<String>,
    /// More arguments, one each.
    #[serde(default)]
    pub arguments: Vec<String>,
}

/// Contents of the initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initramfs {
    /// Kernel modules, without `.ko`, that are needed to reach the root file system, in load order. Dependencies are
    /// added; built-in modules are left out.
    pub modules: Vec<String>,
}

/// How QEMU runs an image of the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// Value of `-machine`.
    pub machine: String,
    /// Value of `-cpu`; `None` when the machine has only one.
    #[serde(default)]
    pub cpu: Option<String>,
    /// Value of `-m`, MiB.
    pub memory_mib: u32,
    /// The serial console to read, as the kernel names it, such as `ttyAMA0`.
    pub console: String,
    /// How the disk is attached.
    pub disk: QemuDisk,
    /// How the network is attached.
    pub network: QemuNetwork,
    /// Whether USB devices can be added.
    pub usb: bool,
    /// The device tree on the firmware partition to pass; `None` when the machine generates its own.
    #[serde(default)]
    pub device_tree: Option<String>,
    /// Whether the disk must be padded to a power of two for QEMU.
    #[serde(default)]
    pub pad_to_power_of_two: bool,
}

/// How QEMU attaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QemuDisk {
    /// `virtio-blk`: `/dev/vda`.
    Virtio,
    /// The board's SD controller: `/dev/mmcblk0`.
    Sd,
}

/// How QEMU attaches the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QemuNetwork {
    /// `virtio-net`.
    Virtio,
    /// `usb-net`, a CDC Ethernet adapter.
    Usb,
}

impl Board {
    /// The boards that are compiled in.
    ///
    /// # Errors
    /// When a compiled-in file is bad, which the tests rule out.
    pub fn built_in() -> Result<Vec<Self>, BoardFileError> {
        let texts = BOARDS.files().filter_map(|f| Some((f.path().file_stem()?.to_str()?, f.contents_utf8()?)));
        texts.map(|(name, text)| Self::parse(name, &format!("boards/{name}.toml"), text)).collect()
    }

    /// Parses a board's file. `name` is its file name without `.toml`, `file` its name in messages.
    ///
    /// # Errors
    /// Bad TOML, an unknown field, or a value that cannot work.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, BoardFileError> {
        let board: Self = toml::from_str(text)
            .map_err(|e| BoardFileError::Syntax { file: file.to_owned(), mistake: wording::toml(text, &e) })?;
        let board = Self { name: name.to_owned(), ..board };
        board.check().map_err(|what| BoardFileError::Value { file: file.to_owned(), what })?;
        Ok(board)
    }

    /// Refuses values that would only fail on the board.
    fn check(&self) -> Result<(), String> {
        let word = |what: &str, value: &str| {
            let bad = value.is_empty() || value.chars().any(|c| c.is_whitespace() || c.is_control() || c == '"');
            if bad { Err(format!("{what}: `{value}` must be one word")) } else { Ok(()) }
        };
        for argument in &self.kernel.arguments {
            word("kernel.arguments", argument)?;
        }
        for console in &self.kernel.consoles {
            word("kernel.consoles", console)?;
        }
        for module in &self.initramfs.modules {
            word("initramfs.modules", module)?;
        }
        for package in &self.packages {
            word("packages.name", &package.name)?;
        }
        if self.kernel.consoles.is_empty() {
            return Err("kernel.consoles: at least one console is needed".into());
        }
        if !self.firmware.mount.starts_with('/') {
            return Err(format!("firmware.mount: `{}` must be an absolute path", self.firmware.mount));
        }
        // FAT32 below 65,525 clusters of 512 bytes is not FAT32 (Microsoft FAT specification, section 3.5).
        if self.firmware.size_mib < 64 {
            return Err(format!("firmware.size_mib: {} is less than 64", self.firmware.size_mib));
        }
        let first = self.disk.first_mib;
        if first == 0 || !first.is_multiple_of(4) || first > 1024 {
            return Err(format!("disk.first_mib: {first} is not a multiple of 4 from 4 to 1024"));
        }
        if let Some(line) = self.firmware.config.iter().find(|l| l.contains('\n')) {
            return Err(format!("firmware.config: `{line}` must be one line"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compiled_in_board_is_valid() {
        let mut names: Vec<_> = Board::built_in().unwrap().into_iter().map(|b| b.name).collect();
        names.sort();
        assert_eq!(names, ["rpi3", "rpi4", "rpi5", "virt", "zero2w"]);
    }

    #[test]
    fn a_field_that_does_not_exist_is_refused() {
        let text = BOARDS.get_file("virt.toml").unwrap().contents_utf8().unwrap();
        assert!(Board::parse("virt", "virt.toml", text).is_ok());
        let typo = text.replace("[kernel]", "[kernel]\ncmdline = \"x\"");
        assert!(Board::parse("virt", "virt.toml", &typo).unwrap_err().to_string().contains("cmdline"));
        let two_words = text.replace("rootfstype=ext4", "rootfstype=ext4 quiet");
        assert!(Board::parse("virt", "virt.toml", &two_words).unwrap_err().to_string().contains("one word"));
    }

    #[test]
    fn partitions_begin_at_4_mib_unless_the_board_says_otherwise() {
        let text = BOARDS.get_file("virt.toml").unwrap().contents_utf8().unwrap();
        let usual = Board::parse("virt", "virt.toml", text).unwrap();
        assert_eq!(usual.disk.first_mib, 4);
        // Image ids depend on the board's data: those of existing boards must not change.
        assert!(!serde_json::to_string(&usual).unwrap().contains("first_mib"));
        let with = |first: &str| {
            let text = text.replace("grow_root = true", &format!("grow_root = true\nfirst_mib = {first}"));
            Board::parse("x", "x.toml", &text)
        };
        assert_eq!(with("16").unwrap().disk.first_mib, 16);
        for bad in ["0", "6", "2048"] {
            assert!(with(bad).unwrap_err().to_string().contains("disk.first_mib"), "{bad}");
        }
    }
}
