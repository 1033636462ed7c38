//! Small files that are written whole or not at all.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The folder of a file, `.` when its path has none.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file under another name and renames it. Its folder is created if missing. With `durable` the bytes are
/// synced to the disk first, for data that cannot be made again.
///
/// # Errors
/// When the folder or file cannot be written; then the old file is unchanged.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let folder = folder_of(path);
    std::fs::create_dir_all(folder)?;
    let permissions = std::fs::Permissions::from_mode(mode);
    let mut file = tempfile::Builder::new().prefix(".labimg-").permissions(permissions).tempfile_in(folder)?;
    file.write_all(bytes)?;
    if durable {
        file.as_file().sync_all()?;
    }
    file.persist(path)?;
    Ok(())
}
