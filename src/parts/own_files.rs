//! Files of a lab folder's `overlays/NAME/`, which go onto the nodes under their path below it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;

use super::{PartsError, overlay};
use labimg_tree::hash::Sha256;
use labimg_tree::{Blob, Content, ContentReader};

/// What a file becomes.
#[derive(Debug, Clone)]
pub enum OwnKind {
    /// A file with this content.
    File {
        /// Whether it is executable: like the user's file, or because it is a script.
        program: bool,
        /// Its content, read from the user's file.
        content: Content,
    },
    /// A symbolic link with this target.
    Link(String),
}

/// One file of the user.
#[derive(Debug, Clone, Serialize)]
pub struct OwnFile {
    /// Its path on the node, without a leading `/`.
    pub path: String,
    /// A hash over kind, executable bit and content.
    pub sha256: Sha256,
    /// What it becomes on the node.
    #[serde(skip)]
    pub kind: OwnKind,
}

impl PartialEq for OwnFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.sha256) == (&other.path, other.sha256)
    }
}

/// Files up to this size in bytes are held in memory: one open file for each would be too many.
const SMALL: u64 = 1 << 20;

/// All files below `folder`, by path. A `.gitkeep`, which keeps a folder in git, is left out.
///
/// # Errors
/// Something other than a file, folder or link; a name that is not UTF-8; a read error.
pub(super) fn read(folder: &Path) -> Result<Vec<OwnFile>, PartsError> {
    let mut files = Vec::new();
    walk(folder, folder, &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn walk(top: &Path, folder: &Path, files: &mut Vec<OwnFile>) -> Result<(), PartsError> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let kind = fs_err::symlink_metadata(&path)?;
        if kind.is_dir() {
            walk(top, &path, files)?;
        } else if path.file_name().is_none_or(|name| name != ".gitkeep") {
            files.push(own_file(top, &path, &kind)?);
        }
    }
    Ok(())
}

fn own_file(top: &Path, path: &Path, metadata: &std::fs::Metadata) -> Result<OwnFile, PartsError> {
    let bad = |what| PartsError::File { path: path.to_owned(), what, help: None };
    let place = path.strip_prefix(top).unwrap_or(path).to_str().ok_or_else(|| bad("its name is not UTF-8"))?.to_owned();
    if metadata.is_symlink() {
        let target = fs_err::read_link(path)?;
        let target = target.to_str().ok_or_else(|| bad("it links to a name that is not UTF-8"))?.to_owned();
        let sha256 = Sha256::of(format!("link {target}"));
        return Ok(OwnFile { path: place, sha256, kind: OwnKind::Link(target) });
    }
    if !metadata.is_file() {
        let what = "neither a file, a folder nor a symbolic link";
        return Err(PartsError::File { path: path.to_owned(), what, help: Some("take it away") });
    }
    let content = if metadata.len() <= SMALL {
        Content::Bytes(fs_err::read(path)?.into())
    } else {
        Content::whole(Blob::open(path)?)
    };
    let script = matches!(&content, Content::Bytes(bytes) if overlay::is_script(bytes));
    let program = script || metadata.permissions().mode() & 0o111 != 0;
    let bytes = Sha256::of_reader(ContentReader::new(&content))?;
    let sha256 = Sha256::of(format!("file {program} {bytes}"));
    Ok(OwnFile { path: place, sha256, kind: OwnKind::File { program, content } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;

    #[test]
    fn files_links_and_modes_are_taken_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("usr/local/bin")).unwrap();
        std::fs::create_dir_all(at("empty")).unwrap();
        std::fs::write(at("empty/.gitkeep"), "").unwrap();
        std::fs::write(at("usr/local/bin/tool"), "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(at("usr/local/bin/tool"), std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(at("motd"), "hi").unwrap();
        std::os::unix::fs::symlink("tool", at("usr/local/bin/t")).unwrap();
        let files = read(dir.path()).unwrap();
        assert_eq!(
            files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
            ["motd", "usr/local/bin/t", "usr/local/bin/tool"]
        );
        assert!(
            matches!(&files[0].kind, OwnKind::File { program: false, content } if content.to_vec().unwrap() == b"hi")
        );
        assert!(matches!(&files[1].kind, OwnKind::Link(target) if target == "tool"));
        assert!(matches!(&files[2].kind, OwnKind::File { program: true, .. }));

        let before = files;
        std::fs::write(at("motd"), "ho").unwrap();
        let after = read(dir.path()).unwrap();
        assert!(before[0] != after[0] && before[1..] == after[1..]);
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let error = one_line(&read(dir.path()).unwrap_err());
        assert!(error.contains("socket: neither a file, a folder nor a symbolic link (take it away)"), "{error}");
    }
}
