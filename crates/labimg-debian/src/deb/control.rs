//! The control archive of a package: `control`, the maintainer scripts and the other small files beside it (deb(5)).

use std::collections::BTreeMap;

use super::tar::{Entries, EntryKind, Whole};

/// The members of an uncompressed control archive by name, and the time of `control`; the error says what is wrong.
pub(super) fn members(tar: &[u8]) -> Result<(BTreeMap<String, Vec<u8>>, i64), String> {
    let mut members = BTreeMap::new();
    let mut time = None;
    for entry in Entries::new(Whole(tar)) {
        let entry = entry.map_err(|e| e.to_string())?;
        let path = entry.path.strip_prefix(b"./").unwrap_or(&entry.path);
        let shown = String::from_utf8_lossy(path).into_owned();
        match entry.kind {
            EntryKind::Dir if matches!(path, b"" | b"." | b"./") => {}
            EntryKind::File { offset, size } if is_name(path) => {
                if path == b"control" {
                    time = Some(entry.mtime);
                }
                let content = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
                let content = content.and_then(|(from, len)| tar.get(from..)?.get(..len));
                let content = content.ok_or_else(|| format!("`{shown}` is cut off"))?;
                members.insert(shown, content.to_vec());
            }
            _ => return Err(format!("`{shown}` is not a plain file at the top of the control archive")),
        }
    }
    let time = time.ok_or("there is no `control` file in it")?;
    Ok((members, time))
}

/// True for a name that dpkg keeps as `info/PACKAGE.NAME`: plain, without a folder.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && !name.starts_with(b".") && name.iter().all(|&b| b.is_ascii_graphic() && b != b'/')
}
