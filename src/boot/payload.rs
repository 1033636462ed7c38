//! What the board's firmware would load from the FAT partition: kernel, initramfs, device tree, command line.

use super::BootError;
use super::config_txt::ConfigTxt;
use crate::parts::board::Board;
use labimg_disk::read::fat::FatVolume;

/// The files and settings for QEMU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The kernel image.
    pub kernel: Vec<u8>,
    /// All initramfs files, concatenated, as the kernel accepts them.
    pub initramfs: Option<Vec<u8>>,
    /// The device tree blob, for machines that do not generate one.
    pub device_tree: Option<Vec<u8>>,
    /// The kernel's command line.
    pub cmdline: String,
    /// Remarks for the user: mistakes that the firmware would silently ignore.
    pub remarks: Vec<String>,
}

/// Reads the firmware partition as the firmware of `board` does.
///
/// # Errors
/// A file that `config.txt` names is missing, or there is no kernel at all: the board would not boot either.
pub fn read(volume: &FatVolume, board: &Board) -> Result<Payload, BootError> {
    let text = |name: &str| -> Result<String, BootError> {
        Ok(String::from_utf8_lossy(&file(volume, name, "the firmware partition")?).into_owned())
    };
    let config_text = text("config.txt")?;
    let config = ConfigTxt::parse(&config_text, &board.firmware.filters);
    let mut remarks: Vec<String> = ConfigTxt::too_long(&config_text)
        .iter()
        .map(|line| format!("config.txt line {line} is longer than the 98 characters that the firmware reads"))
        .collect();
    if !config.arm_64bit {
        return Err(BootError::Firmware("config.txt says arm_64bit=0, but the kernel is a 64-bit one".to_owned()));
    }
    let prefixed = |name: &str| format!("{}{name}", config.os_prefix);
    let kernel_name = config.kernel.as_deref().unwrap_or("kernel8.img");
    let kernel = file(volume, &prefixed(kernel_name), "config.txt")?;
    let mut initramfs = Vec::new();
    for name in &config.initramfs {
        initramfs.extend(file(volume, &prefixed(name), "config.txt")?);
    }
    let device_tree = match &board.qemu.device_tree {
        // The machine generates its own.
        None => None,
        Some(by_model) => {
            let name = config.device_tree.as_deref().unwrap_or(by_model);
            Some(file(volume, &prefixed(name), "the board")?)
        }
    };
    let cmdline = text(&prefixed(&config.cmdline))?;
    let mut lines = cmdline.lines();
    let first = lines.next().unwrap_or_default().trim().to_owned();
    if lines.any(|l| !l.trim().is_empty()) {
        remarks.push(format!("{} has more than one line; the firmware reads the first only", config.cmdline));
    }
    if first.is_empty() {
        return Err(BootError::Firmware(format!("{} has no command line in its first line", config.cmdline)));
    }
    Ok(Payload {
        kernel,
        initramfs: (!initramfs.is_empty()).then_some(initramfs),
        device_tree,
        cmdline: first,
        remarks,
    })
}

fn file(volume: &FatVolume, name: &str, who: &str) -> Result<Vec<u8>, BootError> {
    match volume.read(name) {
        Err(e) if e.is_not_found() => Err(BootError::Firmware(format!("{who} wants `{name}`, which is not there"))),
        other => other.map_err(BootError::Image),
    }
}
