//! Reads files of an image as text.

use labimg_disk::read::InspectError;
use labimg_disk::read::ext4::Ext4Volume;

/// Largest text that is read, in bytes. The longest, dpkg's status, has a few million on a full desktop.
const MOST_TEXT: u64 = 16 << 20;

/// A file as text; `None` when it is missing.
pub(super) fn text(root: &Ext4Volume, path: &str) -> Result<Option<String>, InspectError> {
    match root.read_up_to(path, MOST_TEXT) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(InspectError::NotFound { .. } | InspectError::WrongKind { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}
