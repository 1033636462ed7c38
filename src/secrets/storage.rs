//! The UUID of the file system on the master's USB disk: a card that is flashed again knows its disk by it.
//!
//! It is made from the master's password, which is never made anew: a disk outlives tokens and certificates. Whoever keeps a
//! disk that got its UUID elsewhere writes that one into `storage/uuid`.

use uuid::Uuid;

use super::folder::Folder;
use super::{Secret, SecretsError};
use labimg_tree::hash::Sha256;

/// The group; only people make it.
pub(super) const GROUP: &str = "storage";
/// Its file.
pub(super) const FILE: &str = "uuid";

/// What somebody wrote there.
pub(super) fn read(folder: &Folder) -> Result<Option<Uuid>, SecretsError> {
    if !folder.has(GROUP) {
        return Ok(None);
    }
    let text = folder.read(GROUP, FILE)?;
    let text = text.trim();
    // As `blkid` shows it; the parser knows shorter and longer forms too.
    match Uuid::try_parse(text) {
        Ok(uuid) if text.len() == 36 && !uuid.is_nil() => Ok(Some(uuid)),
        _ => Err(folder.damaged(GROUP, FILE, "it is not the UUID of a file system, as `blkid` shows it")),
    }
}

/// The UUID that a node's password gives. It tells nothing about the password, which is random and long.
pub(super) fn derive(password: &Secret) -> Uuid {
    let hash = Sha256::of(format!("labimg: file system of the master's disk\n{}", password.expose()));
    let half = hash.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    uuid::Builder::from_random_bytes(half).into_uuid()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::super::{FOLDER, Rotate, Secrets, rotate};
    use super::*;
    use crate::lab::{Lab, LabNode};

    /// 2026-11-24T12:00:00Z.
    const NOW: i64 = 1_795_521_600;

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A disk has it for ever: another value would make each lab a stranger to its own disk.
    #[test]
    fn a_password_gives_this_uuid_for_ever() {
        let uuid = derive(&Secret::new("0123456789abcdef0123456789abcdef"));
        assert_eq!(uuid.to_string(), "6e9b87bd-d4e9-4b2f-aaba-16ebaa949139");
    }

    #[test]
    fn it_is_kept_whatever_is_made_anew_and_may_be_set_by_hand() {
        let dir = tempfile::tempdir().unwrap();
        let node = |name: &str| LabNode { name: name.to_owned(), ..LabNode::default() };
        let (path, lab) = (dir.path().join(FOLDER), Lab { nodes: vec![node("a"), node("b")], ..Lab::default() });
        let open = || Secrets::open(&path, &lab, NOW);
        let first = open().unwrap().storage_uuid("a").unwrap();
        assert_ne!(Some(first), open().unwrap().storage_uuid("b"));
        assert_eq!(open().unwrap().storage_uuid("c"), None);
        let all = Rotate { tokens: true, certificates: true, host_keys: true };
        assert_eq!(rotate(&path, &lab, NOW, all).unwrap().secrets.storage_uuid("a"), Some(first));

        std::fs::create_dir(path.join(GROUP)).unwrap();
        std::fs::set_permissions(path.join(GROUP), std::fs::Permissions::from_mode(0o700)).unwrap();
        let file = path.join("storage/uuid");
        write(&file, "6F2F8A4C-5D7E-4C59-9A0E-0F5A3F1B2C3D\n");
        let secrets = open().unwrap();
        assert_eq!(secrets.storage_uuid("a").unwrap().to_string(), "6f2f8a4c-5d7e-4c59-9a0e-0f5a3f1b2c3d");
        assert!(secrets.list().iter().any(|listed| listed.name == "storage/uuid"));
        for bad in
            ["6f2f8a4c5d7e4c599a0e0f5a3f1b2c3d", "00000000-0000-0000-0000-000000000000", "1234-ABCD", "$(reboot)"]
        {
            write(&file, bad);
            assert!(open().unwrap_err().to_string().contains("storage/uuid is damaged"), "{bad}");
        }
    }
}
