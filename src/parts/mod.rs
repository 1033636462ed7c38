//! The parts of images besides packages: boards, roles, overlays and manifests. There are built-in ones, and those of a
//! lab folder (`boards/NAME.toml`, `roles/NAME.toml`, `overlays/NAME/`, `manifests/`), which add to them or replace
//! them; and the files of `secrets/files/`, which go into the nodes' seeds.

pub mod board;
mod modes;
pub mod overlay;
mod own_files;
pub mod reserved;
pub mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::manifests::{Component, ManifestError, OwnManifests, component};
use board::{Board, BoardFileError};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::platform;
use labimg_tree::suggest::{did_you_mean, nearest};
use role::{COMMON, Role, RoleFileError};

pub use modes::{ModesError, Owners};
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
    /// A `modes.toml` is wrong.
    #[error(transparent)]
    Modes(#[from] ModesError),
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
            Self::Modes(source) => source.kind(),
            Self::NoOverlay { .. } | Self::NoRole { .. } | Self::File { .. } => FaultKind::Configuration,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Program(_) | Self::Read(_) => None,
            Self::Board(source) => source.help(),
            Self::Role(source) => source.help(),
            Self::Manifest(source) => source.help(),
            Self::Modes(source) => source.help(),
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

/// In `secrets/files`, the folder with a folder for each node that has files of its own.
const NODES: &str = "nodes/";

/// Where files of the user go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Into the image, which all nodes of a role share and anybody with the card can read.
    Image,
    /// Into the node's seed: only root reads them unless `modes.toml` says otherwise.
    Seed,
}

/// All available boards, roles and overlays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parts {
    boards: BTreeMap<String, Board>,
    common: Role,
    roles: BTreeMap<String, Role>,
    overlays: BTreeMap<String, Vec<OwnFile>>,
    secret_files: BTreeMap<String, Vec<OwnFile>>,
    manifests: Arc<OwnManifests>,
    components: Arc<BTreeMap<String, Component>>,
    notes: Vec<String>,
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
        Ok(Self {
            boards,
            common,
            roles,
            overlays: BTreeMap::new(),
            secret_files: BTreeMap::new(),
            manifests: Arc::default(),
            components: Arc::new(component::built_in()?),
            notes: Vec::new(),
        })
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
        parts.overlays = parts.read_files(&folder.join("overlays"), Use::Image)?;
        parts.secret_files = parts.read_files(&folder.join("secrets/files"), Use::Seed)?;
        parts.manifests = Arc::new(OwnManifests::read(&folder.join("manifests"), &parts.components)?);
        let own = parts.manifests.components();
        if !own.is_empty() {
            let mut all = (*parts.components).clone();
            all.extend(own.iter().map(|(name, component)| (name.clone(), component.clone())));
            parts.components = Arc::new(all);
        }
        parts.check(folder)?;
        Ok(parts)
    }

    /// Reads the folders of overlays in `folder`, or those of `secrets/files`.
    fn read_files(&mut self, folder: &Path, use_of: Use) -> Result<BTreeMap<String, Vec<OwnFile>>, PartsError> {
        let file = folder.join(modes::FILE);
        let shown = file.display().to_string();
        let mut modes = match fs_err::read_to_string(&file) {
            Ok(text) => modes::parse(&shown, &text)?,
            Err(e) if e.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(e.into()),
        };
        let all = folders(folder, use_of)?;
        let without = if all.is_empty() { None } else { platform::without_modes(folder)? };
        if let Some(file_system) = without {
            self.notes.push(format!(
                "{}: {file_system} keeps no modes: scripts are programs on the nodes, other files are not; {} can name modes",
                folder.display(),
                modes::FILE
            ));
        }
        let mut read = BTreeMap::new();
        for (name, folder) in all {
            let of_folder = modes.remove(&name).unwrap_or_default();
            let files = own_files::read(&folder, &of_folder, without.is_none(), use_of)?;
            let there: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            of_folder.check(&shown, &folder.display().to_string(), &there)?;
            read.insert(name, files);
        }
        match modes.into_keys().next() {
            Some(name) => Err(ModesError::NoFolder { file: shown, name }.into()),
            None => Ok(read),
        }
    }

    /// What is probably not meant about the folder's files.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
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
        let overlays = self.overlays.keys().map(|name| ("overlays", name));
        // Those of single nodes are looked up in the lab.
        let secret =
            self.secret_files.keys().filter(|name| !name.starts_with(NODES)).map(|name| ("secrets/files", name));
        match overlays.chain(secret).find(|(_, name)| !named.contains(name.as_str())) {
            Some((place, lost)) => Err(PartsError::NoRole {
                folder: folder.join(place).join(lost),
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

    /// All components of the stack, by name: those of the program, and those of the lab folder, which replace them.
    #[must_use]
    pub fn components(&self) -> &Arc<BTreeMap<String, Component>> {
        &self.components
    }

    /// The lab folder's overlay files for nodes of this role; later ones replace earlier ones.
    #[must_use]
    pub fn own_files(&self, role: &Role) -> Vec<(String, Vec<OwnFile>)> {
        let of = |name: &str| Some((name.to_owned(), self.overlays.get(name)?.clone()));
        self.folders_of(role).into_iter().filter_map(of).collect()
    }

    /// The names of folders with files for nodes of this role; later ones replace earlier ones.
    fn folders_of<'r>(&'r self, role: &'r Role) -> Vec<&'r str> {
        let all = [Some(COMMON), self.common.overlay.as_deref(), role.overlay.as_deref(), Some(&role.name)];
        let mut names: Vec<&str> = Vec::new();
        for name in all.into_iter().flatten() {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The files of `secrets/files/` for this node, which its seed brings; later ones replace earlier ones.
    #[must_use]
    pub fn secret_files(&self, role: &Role, node: &str) -> Vec<(String, Vec<OwnFile>)> {
        let own = format!("{NODES}{node}");
        let names = self.folders_of(role).into_iter().chain([own.as_str()]);
        names.filter_map(|name| Some((name.to_owned(), self.secret_files.get(name)?.clone()))).collect()
    }

    /// The nodes that have files of their own in `secrets/files/nodes/`.
    pub fn nodes_with_secret_files(&self) -> impl Iterator<Item = &str> {
        self.secret_files.keys().filter_map(|name| name.strip_prefix(NODES))
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

/// The folders of files by name, those of single nodes as `nodes/NAME`.
fn folders(folder: &Path, use_of: Use) -> Result<Vec<(String, PathBuf)>, PartsError> {
    let mut all = Vec::new();
    for (name, path) in entries(folder)? {
        // Hidden files, which file managers leave in every folder.
        if name.starts_with('.') || name == modes::FILE {
            continue;
        }
        if !path.is_dir() {
            let help = Some("put it into common/ or into the folder of a role, or take it away");
            return Err(PartsError::File { path, what: "this file is in none of the folders for roles", help });
        }
        if use_of == Use::Seed && NODES.trim_end_matches('/') == name {
            let nodes = entries(&path)?.into_iter().filter(|(name, _)| !name.starts_with('.'));
            all.extend(nodes.map(|(name, path)| (format!("{NODES}{name}"), path)));
        } else {
            all.push((name, path));
        }
    }
    Ok(all)
}

/// The files `NAME.toml` of a folder, by name.
fn tomls(folder: &Path) -> Result<Vec<(String, PathBuf)>, PartsError> {
    let all = entries(folder)?.into_iter();
    Ok(all.filter_map(|(name, path)| Some((name.strip_suffix(".toml")?.to_owned(), path))).collect())
}

#[cfg(test)]
mod tests;
