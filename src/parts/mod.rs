//! The parts of images besides packages: boards, roles, overlays and manifests. There are built-in ones, and those of a
//! lab folder (`boards/NAME.toml`, `roles/NAME.toml`, `overlays/NAME/`, `manifests/`), which add to them or replace
//! them.

pub mod board;
pub mod overlay;
mod own_files;
pub mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::manifests::{ManifestError, OwnManifests};
use board::{Board, BoardFileError};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::suggest::{did_you_mean, nearest};
use role::{COMMON, Role, RoleFileError};

pub use own_files::{OwnFile, OwnKind};

/// An unknown board or role.
#[derive(Debug, thiserror::Error)]
#[error("unknown {what} `{name}`")]
pub struct UnknownPart {
    /// `board` or `role`.
    pub what: &'static str,
    /// The name given.
    pub name: String,
    /// Similar names, best first.
    pub nearest: Vec<String>,
    /// The command that lists all.
    pub list: &'static str,
}

/// Errors about the parts of a lab folder.
#[derive(Debug, thiserror::Error)]
pub enum PartsError {
    /// A built-in file is wrong.
    #[error("a file of this program is wrong")]
    Program(#[source] Box<PartsError>),
    /// A folder or file cannot be read; the error names it.
    #[error(transparent)]
    Read(#[from] std::io::Error),
    /// A board's file is wrong.
    #[error(transparent)]
    Board(#[from] BoardFileError),
    /// A role's file is wrong.
    #[error(transparent)]
    Role(#[from] RoleFileError),
    /// A manifest is wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A role's overlay does not exist.
    #[error("role {role}: there is no folder overlays/{overlay}")]
    NoOverlay {
        /// The role's name.
        role: String,
        /// The folder that it names.
        overlay: String,
    },
    /// An overlay is used by no role.
    #[error("{}: there is no role of this name", .folder.display())]
    NoRole {
        /// The folder.
        folder: PathBuf,
        /// Similar names, best first.
        nearest: Vec<String>,
    },
    /// A file of an overlay cannot go onto a node.
    #[error("{}: {what}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// What to do.
        help: Option<&'static str>,
    },
}

impl Fault for UnknownPart {
    fn kind(&self) -> FaultKind {
        FaultKind::Usage
    }

    fn help(&self) -> Option<String> {
        let all = format!("`{}` lists them all", self.list);
        Some(did_you_mean(&self.nearest).into_iter().chain([all]).collect::<Vec<_>>().join("\n"))
    }
}

impl Fault for PartsError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Program(_) => FaultKind::Ours,
            Self::Read(_) => FaultKind::World,
            Self::Board(source) => source.kind(),
            Self::Role(source) => source.kind(),
            Self::Manifest(source) => source.kind(),
            Self::NoOverlay { .. } | Self::NoRole { .. } | Self::File { .. } => FaultKind::Configuration,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Program(_) | Self::Read(_) => None,
            Self::Board(source) => source.help(),
            Self::Role(source) => source.help(),
            Self::Manifest(source) => source.help(),
            Self::NoOverlay { overlay, .. } => {
                Some(format!("make the folder overlays/{overlay}, or take `overlay` out of the role"))
            }
            Self::NoRole { nearest, .. } => {
                did_you_mean(nearest).or_else(|| Some("`labimg roles` lists them all".to_owned()))
            }
            Self::File { help, .. } => help.map(str::to_owned),
        }
    }
}

/// All available boards, roles and overlays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    boards: BTreeMap<String, Board>,
    common: Role,
    roles: BTreeMap<String, Role>,
    overlays: BTreeMap<String, Vec<OwnFile>>,
    manifests: Arc<OwnManifests>,
}

impl Parts {
    /// The built-in parts.
    ///
    /// # Errors
    /// When a built-in file is bad, which the tests rule out.
    pub fn built_in() -> Result<Self, PartsError> {
        Self::of_program().map_err(|e| PartsError::Program(Box::new(e)))
    }

    fn of_program() -> Result<Self, PartsError> {
        let boards = by_name(Board::built_in()?, |board| &board.name);
        let mut roles = by_name(Role::built_in()?, |role| &role.name);
        let common = roles.remove(COMMON).ok_or(RoleFileError::NoCommon)?;
        Ok(Self { boards, common, roles, overlays: BTreeMap::new(), manifests: Arc::default() })
    }

    /// The built-in parts and those in the folder of a `lab.toml`.
    ///
    /// # Errors
    /// A file that is wrong or cannot be read.
    pub fn of(folder: &Path) -> Result<Self, PartsError> {
        let mut parts = Self::built_in()?;
        for (name, file) in tomls(&folder.join("boards"))? {
            let text = fs_err::read_to_string(&file)?;
            parts.boards.insert(name.clone(), Board::parse(&name, &file.display().to_string(), &text)?);
        }
        for (name, file) in tomls(&folder.join("roles"))? {
            let role = Role::parse(&name, &file.display().to_string(), &fs_err::read_to_string(&file)?)?;
            if name == COMMON {
                parts.common = role;
            } else {
                parts.roles.insert(name, role);
            }
        }
        for (name, folder) in entries(&folder.join("overlays"))? {
            // Hidden files, which file managers leave in every folder.
            if name.starts_with('.') {
                continue;
            }
            let files = own_files::read(&folder)?;
            parts.overlays.insert(name, files);
        }
        parts.manifests = Arc::new(OwnManifests::read(&folder.join("manifests"))?);
        parts.check(folder)?;
        Ok(parts)
    }

    /// Checks that every overlay has a role, and every role its overlay.
    fn check(&self, folder: &Path) -> Result<(), PartsError> {
        let mut named = BTreeSet::from([COMMON]);
        for role in self.roles.values().chain([&self.common]) {
            named.insert(&role.name);
            let Some(overlay) = &role.overlay else { continue };
            named.insert(overlay);
            if overlay::built_in(overlay).is_none() && !self.overlays.contains_key(overlay) {
                return Err(PartsError::NoOverlay { role: role.name.clone(), overlay: overlay.clone() });
            }
        }
        match self.overlays.keys().find(|name| !named.contains(name.as_str())) {
            Some(lost) => Err(PartsError::NoRole {
                folder: folder.join("overlays").join(lost),
                nearest: nearest(lost, named.iter().copied()),
            }),
            None => Ok(()),
        }
    }

    /// The board with this name.
    ///
    /// # Errors
    /// With the nearest boards when there is none with this name.
    pub fn board(&self, name: &str) -> Result<&Board, UnknownPart> {
        self.boards.get(name).ok_or_else(|| unknown("board", name, self.boards.keys()))
    }

    /// The role with this name.
    ///
    /// # Errors
    /// With the nearest roles when there is none with this name.
    pub fn role(&self, name: &str) -> Result<&Role, UnknownPart> {
        self.roles.get(name).ok_or_else(|| unknown("role", name, self.roles.keys()))
    }

    /// The role that every node includes.
    #[must_use]
    pub fn common(&self) -> &Role {
        &self.common
    }

    /// All boards, by name.
    pub fn boards(&self) -> impl Iterator<Item = &Board> {
        self.boards.values()
    }

    /// All roles, by name.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values()
    }

    /// The lab folder's manifests, which k3s deploys automatically.
    #[must_use]
    pub fn manifests(&self) -> &Arc<OwnManifests> {
        &self.manifests
    }

    /// The lab folder's overlay files for nodes of this role; later ones replace earlier ones.
    #[must_use]
    pub fn own_files(&self, role: &Role) -> Vec<(String, Vec<OwnFile>)> {
        let all = [Some(COMMON), self.common.overlay.as_deref(), role.overlay.as_deref(), Some(&role.name)];
        let mut names: Vec<&str> = Vec::new();
        for name in all.into_iter().flatten() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names.into_iter().filter_map(|name| Some((name.to_owned(), self.overlays.get(name)?.clone()))).collect()
    }
}

fn by_name<T>(all: Vec<T>, name: fn(&T) -> &String) -> BTreeMap<String, T> {
    all.into_iter().map(|item| (name(&item).clone(), item)).collect()
}

fn unknown<'a>(what: &'static str, name: &str, all: impl Iterator<Item = &'a String>) -> UnknownPart {
    let list = if what == "board" { "labimg boards" } else { "labimg roles" };
    UnknownPart { what, name: name.to_owned(), nearest: nearest(name, all.map(String::as_str)), list }
}

/// The entries of a folder, by name; empty when it is missing.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, PartsError> {
    let entries = match fs_err::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_str();
        let name =
            name.ok_or_else(|| PartsError::File { path: path.clone(), what: "its name is not UTF-8", help: None })?;
        all.push((name.to_owned(), path));
    }
    // The order in a folder is arbitrary, but errors should always come in the same order.
    all.sort();
    Ok(all)
}

/// The files `NAME.toml` of a folder, by name.
fn tomls(folder: &Path) -> Result<Vec<(String, PathBuf)>, PartsError> {
    let all = entries(folder)?.into_iter();
    Ok(all.filter_map(|(name, path)| Some((name.strip_suffix(".toml")?.to_owned(), path))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn error(files: &[(&str, &str)]) -> String {
        let dir = folder(files);
        let text = one_line(&Parts::of(dir.path()).unwrap_err());
        text.replace(&dir.path().display().to_string(), "LAB")
    }

    const GATEWAY: &str = "title = \"The way out\"\nk3s = \"agent\"\n[packages]\nnftables = \"the firewall\"\n";

    #[test]
    fn a_folder_adds_to_what_the_program_has_and_replaces_it() {
        let worker = "title = \"Mine\"\nk3s = \"agent\"\n[packages]\n";
        let dir = folder(&[
            ("roles/gateway.toml", GATEWAY),
            ("roles/worker.toml", worker),
            ("roles/README", "not a role"),
            ("overlays/common/etc/motd", "hello\n"),
            ("overlays/gateway/etc/nftables.conf", "flush ruleset\n"),
            ("overlays/.DS_Store", ""),
        ]);
        let parts = Parts::of(dir.path()).unwrap();
        assert_eq!(
            parts.roles().map(|r| r.name.as_str()).collect::<Vec<_>>(),
            ["gateway", "master", "server", "worker"]
        );
        assert_eq!(parts.role("worker").unwrap().title, "Mine");
        let files = |role: &str| {
            let own = parts.own_files(parts.role(role).unwrap());
            own.iter()
                .flat_map(|(name, files)| files.iter().map(move |f| format!("{name}:{}", f.path)))
                .collect::<Vec<_>>()
        };
        assert_eq!(files("gateway"), ["common:etc/motd", "gateway:etc/nftables.conf"]);
        assert_eq!(files("master"), ["common:etc/motd"]);
        assert_eq!(Parts::of(&dir.path().join("nothing")).unwrap(), Parts::built_in().unwrap());
    }

    #[test]
    fn a_board_of_the_folder_stands_in_the_place_of_ours() {
        let ours = include_str!("../../boards/virt.toml");
        let dir = folder(&[("boards/virt.toml", &ours.replace("size_mib = ", "size_mib = 1"))]);
        let parts = Parts::of(dir.path()).unwrap();
        let size = |parts: &Parts| parts.board("virt").unwrap().firmware.size_mib;
        assert!(size(&parts) > size(&Parts::built_in().unwrap()));
    }

    #[test]
    fn mistakes_name_the_file() {
        for (files, said) in [
            (&[("boards/x.toml", "title = 1\n")][..], "LAB/boards/x.toml:1: a text is expected here, not the number 1"),
            (
                &[("roles/x.toml", "titel = \"\"\n")],
                "LAB/roles/x.toml:1: there is no field `titel` here (did you mean `title`?)",
            ),
            (&[("roles/x.toml", "title = \"\"\nmanifests = true\n[packages]\n")], "only the role `master`"),
            (
                &[("roles/x.toml", "title = \"\"\noverlay = \"y\"\n[packages]\n")],
                "role x: there is no folder overlays/y",
            ),
            (
                &[("overlays/wroker/etc/x", "")],
                "LAB/overlays/wroker: there is no role of this name (did you mean `worker`?)",
            ),
        ] {
            let text = error(files);
            assert!(text.contains(said), "{text}");
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        let parts = Parts::built_in().unwrap();
        for name in ["rpi44", "RPI4"] {
            let text = one_line(&parts.board(name).unwrap_err());
            assert!(text.ends_with("; `labimg boards` lists them all)"), "{text}");
            assert!(text.starts_with(&format!("unknown board `{name}` (did you mean `rpi4` or ")), "{text}");
        }
        assert!(parts.board("../rpi4").unwrap_err().to_string().contains("unknown board `../rpi4`"));
        let error = one_line(&parts.role("mastr").unwrap_err());
        assert!(error.contains("`mastr`") && error.contains("`master`"), "{error}");
        assert!(parts.role("common").is_err());
    }
}
