//! The files of an image as a tar archive, with all ext4 metadata that tar can hold.
//!
//! Anybody may have made the image, and whoever unpacks the archive trusts its names: they stay below its root, no
//! member leads through a link, and there are never more bytes in it than the image has.

mod archive;
mod sparse;

use std::io::{self, Write};
use std::path::Path;

use super::files::text;
use archive::Archive;
use labimg_disk::read::ext4::{Ext4Volume, FileKind};
use labimg_disk::read::fat::FatVolume;
use labimg_disk::read::{InspectError, Region, Volume, table};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::progress::{Progress, Unit};

/// Why no complete archive was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The image cannot be read.
    #[error(transparent)]
    Inspect(#[from] InspectError),
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Write(#[source] io::Error),
}

impl Fault for ExportError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Inspect(source) => source.kind(),
            Self::Write(_) => FaultKind::World,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Inspect(source) => source.help(),
            Self::Write(_) => None,
        }
    }
}

impl From<io::Error> for ExportError {
    /// Read errors of the image arrive through the archive's writer.
    fn from(error: io::Error) -> Self {
        match error.downcast::<InspectError>() {
            Ok(error) => Self::Inspect(error),
            Err(error) => Self::Write(error),
        }
    }
}

/// Writes all files of the Linux system in an image, and those of its firmware partition where the system mounts it.
/// Returns their number.
///
/// # Errors
/// [`ExportError`]; what was written until then is not a valid archive.
pub fn export(image: &Path, out: impl Write, reporter: &dyn Progress) -> Result<u64, ExportError> {
    let root = super::root(image)?;
    let firmware = firmware(image, &root, reporter)?;
    let phase = reporter.phase("Exporting files", root.usage().0, Unit::Bytes);
    let mut archive = Archive::new(out, &root, phase);
    let hidden = firmware.as_ref().map(|(mount, _)| [mount, "/"].concat().into_bytes());
    root.walk(|entry| match &hidden {
        // What lies below a mount point is not seen on the node.
        Some(hidden) if entry.raw_path.starts_with(hidden) => Ok(()),
        _ => archive.ext4(entry),
    })?;
    if let Some((mount, volume)) = &firmware {
        let (used, free) = volume.usage();
        let mut left = used.saturating_add(free);
        volume.walk(|path, entry| {
            left = left.checked_sub(entry.size).ok_or_else(|| volume.damage(archive::TOO_MUCH))?;
            archive.fat(volume, mount.trim_matches('/'), path, entry)
        })?;
    }
    archive.finish()
}

/// The FAT partition that `/etc/fstab` mounts, and its mount point: a folder of the root file system, `/boot/firmware`.
fn firmware(
    image: &Path,
    root: &Ext4Volume,
    reporter: &dyn Progress,
) -> Result<Option<(String, FatVolume)>, InspectError> {
    let fstab = text(root, "/etc/fstab")?.unwrap_or_default();
    let Some(mount) = fstab.lines().find_map(mount_point) else { return Ok(None) };
    let whole = Region::whole(image)?;
    for partition in table::read(&whole)?.partitions {
        if let Ok(Volume::Fat(volume)) = whole.part(partition.start, partition.len).and_then(Volume::in_region) {
            if is_folder(root, &mount)? {
                return Ok(Some((mount, volume)));
            }
            reporter.warn(&format!(
                "/etc/fstab mounts the firmware partition at {}, which is no folder of the image: its files are left out",
                super::printable(&mount)
            ));
            return Ok(None);
        }
    }
    Ok(None)
}

/// The mount point of a line of fstab(5) (device, mount point, type …) for a FAT file system: with a leading `/`, and
/// without `.`, `..` and a `/` at its end.
fn mount_point(line: &str) -> Option<String> {
    let mut fields = line.split_whitespace().skip(1);
    let mount = fields.next().filter(|_| !line.trim_start().starts_with('#'))?.replace("\\040", " ");
    if fields.next() != Some("vfat") || !mount.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in mount.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| format!("/{}", parts.join("/")))
}

/// Whether a path and everything on the way to it are folders, none of them a link.
fn is_folder(root: &Ext4Volume, path: &str) -> Result<bool, InspectError> {
    for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
        match root.stat(&path[..end], false) {
            Ok(entry) if entry.kind == FileKind::Dir => {}
            Ok(_) | Err(InspectError::NotFound { .. } | InspectError::WrongKind { .. }) => return Ok(false),
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
