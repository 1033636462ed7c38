//! Files of a lab folder's `overlays/NAME/` and `secrets/files/NAME/`, which go onto the nodes under their path below it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;

use super::modes::{Modes, Owners};
use super::{PartsError, Use, overlay};
use labimg_tree::hash::Sha256;
use labimg_tree::{Blob, Content, ContentReader};

/// What a file becomes.
#[derive(Debug, Clone)]
pub enum OwnKind {
    /// A folder; an existing one keeps its mode unless `modes.toml` says otherwise.
    Folder,
    /// A file with this content, read from the user's file.
    File(Content),
    /// A symbolic link with this target.
    Link(String),
}

/// One file of the user.
#[derive(Debug, Clone, Serialize)]
pub struct OwnFile {
    /// Its path on the node, without a leading `/`.
    pub path: String,
    /// A hash over kind, mode, owner and content.
    pub sha256: Sha256,
    /// What it becomes on the node.
    #[serde(skip)]
    pub kind: OwnKind,
    /// Its permission bits on the node; `None` for a link, and for a folder that `modes.toml` does not name.
    #[serde(skip)]
    pub mode: Option<u16>,
    /// Its owner and group on the node, as `modes.toml` names them; root when `None`.
    #[serde(skip)]
    pub owners: Owners,
}

impl OwnFile {
    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        matches!(self.kind, OwnKind::Folder)
    }
}

impl PartialEq for OwnFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.sha256) == (&other.path, other.sha256)
    }
}

/// Files up to this size in bytes are held in memory: one open file for each would be too many.
const SMALL: u64 = 1 << 20;

/// All files, links and folders below `folder`, by path. A `.gitkeep`, which keeps a folder in git, is left out.
/// `modes` are those of `modes.toml` for this overlay; `keeps_modes` tells whether the file system below has any.
///
/// # Errors
/// Something other than a file, folder or link; a name that is not UTF-8; a read error.
pub(super) fn read(folder: &Path, modes: &Modes, keeps_modes: bool, use_of: Use) -> Result<Vec<OwnFile>, PartsError> {
    let mut walk = Walk { top: folder, modes, keeps_modes, use_of, files: Vec::new() };
    walk.folder(folder)?;
    walk.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.files)
}

struct Walk<'a> {
    top: &'a Path,
    modes: &'a Modes,
    keeps_modes: bool,
    use_of: Use,
    files: Vec<OwnFile>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) -> Result<(), PartsError> {
        let mut is_empty = true;
        for entry in fs_err::read_dir(folder)? {
            let path = entry?.path();
            let kind = fs_err::symlink_metadata(&path)?;
            if kind.is_dir() {
                is_empty = false;
                self.folder(&path)?;
            } else if path.file_name().is_none_or(|name| name != ".gitkeep") {
                is_empty = false;
                let file = self.file(&path, &kind)?;
                self.files.push(file);
            }
        }
        let place = self.place(folder)?;
        let set = self.modes.get(&place);
        // Other folders come with their files.
        if !place.is_empty() && (is_empty || set.is_some()) {
            let (mode, owners) = set.map_or((None, Owners::default()), |set| (set.mode, set.owners.clone()));
            let sha256 = Sha256::of(format!("folder {mode:?} {owners}"));
            self.files.push(OwnFile { path: place, sha256, kind: OwnKind::Folder, mode, owners });
        }
        Ok(())
    }

    fn file(&self, path: &Path, metadata: &std::fs::Metadata) -> Result<OwnFile, PartsError> {
        let place = self.place(path)?;
        if metadata.is_symlink() {
            let target = fs_err::read_link(path)?;
            let target = target.to_str().ok_or_else(|| bad(path, "it links to a name that is not UTF-8"))?.to_owned();
            let sha256 = Sha256::of(format!("link {target}"));
            let owners = Owners::default();
            return Ok(OwnFile { path: place, sha256, kind: OwnKind::Link(target), mode: None, owners });
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
        let users = self.keeps_modes.then(|| (metadata.permissions().mode() & 0o777) as u16);
        let program = script || users.is_some_and(|mode| mode & 0o111 != 0);
        let usual = overlay::usual_mode(&place, program) & if self.use_of == Use::Seed { 0o700 } else { 0o777 };
        let kept = users.map_or(usual, |users| not_wider(usual, users));
        let set = self.modes.get(&place);
        let mode = set.and_then(|set| set.mode).unwrap_or(kept);
        let owners = set.map(|set| set.owners.clone()).unwrap_or_default();
        let bytes = Sha256::of_reader(ContentReader::new(&content))?;
        let text = if mode == usual && owners == Owners::default() {
            format!("file {program} {bytes}")
        } else {
            format!("file {mode:o} {owners} {bytes}")
        };
        Ok(OwnFile { path: place, sha256: Sha256::of(text), kind: OwnKind::File(content), mode: Some(mode), owners })
    }

    /// The path on the node.
    fn place(&self, path: &Path) -> Result<String, PartsError> {
        let place = path.strip_prefix(self.top).unwrap_or(path);
        Ok(place.to_str().ok_or_else(|| bad(path, "its name is not UTF-8"))?.to_owned())
    }
}

fn bad(path: &Path, what: &'static str) -> PartsError {
    PartsError::File { path: path.to_owned(), what, help: None }
}

/// The usual mode without what the user's file gives neither its group nor others: a file that only its owner can read
/// stays one.
fn not_wider(usual: u16, users: u16) -> u16 {
    let class = |shift: u16| if users >> shift & 0o4 != 0 { usual & 0o7 << shift } else { 0 };
    usual & !0o77 | class(3) | class(0)
}

#[cfg(test)]
mod tests {
    use super::super::modes;
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
        let files = read(dir.path(), &Modes::default(), true, Use::Image).unwrap();
        assert_eq!(
            files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
            ["empty", "motd", "usr/local/bin/t", "usr/local/bin/tool"]
        );
        assert!(matches!(&files[1].kind, OwnKind::File(content) if content.to_vec().unwrap() == b"hi"));
        assert!(matches!(&files[0].kind, OwnKind::Folder), "an empty folder is one on the node, too");
        assert!(matches!(&files[2].kind, OwnKind::Link(target) if target == "tool"));
        assert_eq!(files.iter().map(|f| f.mode).collect::<Vec<_>>(), [None, Some(0o644), None, Some(0o700)]);

        let before = files;
        std::fs::write(at("motd"), "ho").unwrap();
        let after = read(dir.path(), &Modes::default(), true, Use::Image).unwrap();
        assert!(before[1] != after[1] && before[0] == after[0] && before[2..] == after[2..]);
    }

    /// `usual` is the mode that the place and the content ask for.
    #[test]
    fn no_mode_gets_wider() {
        for (usual, users, mode) in [
            (0o644, 0o644, 0o644),
            (0o644, 0o664, 0o644),
            (0o644, 0o640, 0o640),
            (0o644, 0o600, 0o600),
            (0o644, 0o400, 0o600),
            (0o755, 0o755, 0o755),
            (0o755, 0o750, 0o750),
            (0o755, 0o700, 0o700),
            (0o755, 0o600, 0o700),
            (0o755, 0o644, 0o755),
            (0o440, 0o644, 0o440),
            (0o440, 0o600, 0o400),
        ] {
            assert_eq!(not_wider(usual, users), mode, "{users:o} of {usual:o}");
        }
    }

    #[test]
    fn modes_of_the_file_system_count_only_where_it_has_some() {
        let dir = tempfile::tempdir().unwrap();
        for (name, mode) in [("secret", 0o600), ("data", 0o755)] {
            std::fs::write(dir.path().join(name), "x").unwrap();
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let modes = |keeps_modes| {
            let files = read(dir.path(), &Modes::default(), keeps_modes, Use::Image).unwrap();
            files.iter().map(|f| f.mode.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(modes(true), [0o755, 0o600]);
        assert_eq!(modes(false), [0o644, 0o644]);
        let secret = read(dir.path(), &Modes::default(), true, Use::Seed).unwrap();
        assert_eq!(secret.iter().map(|f| f.mode.unwrap()).collect::<Vec<_>>(), [0o700, 0o600]);
    }

    #[test]
    fn what_modes_toml_says_counts_and_changes_the_image() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("srv/app")).unwrap();
        std::fs::write(dir.path().join("srv/app/key"), "x").unwrap();
        let before = read(dir.path(), &Modes::default(), true, Use::Image).unwrap();
        let text = "[common]\n\"/srv/app\" = { mode = \"0750\" }\n\"/srv/app/key\" = { owner = \"www-data\" }\n";
        let modes = modes::parse("modes.toml", text).unwrap().remove("common").unwrap();
        let after = read(dir.path(), &modes, true, Use::Image).unwrap();
        assert_eq!(after.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["srv/app", "srv/app/key"]);
        assert_eq!((after[0].mode, after[1].mode), (Some(0o750), Some(0o644)));
        assert_eq!(after[1].owners.user.as_deref(), Some("www-data"));
        assert!(before.iter().all(|f| !after.contains(f)));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
        let error = one_line(&read(dir.path(), &Modes::default(), true, Use::Image).unwrap_err());
        assert!(error.contains("socket: neither a file, a folder nor a symbolic link (take it away)"), "{error}");
    }
}
