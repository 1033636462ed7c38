//! `modes.toml` beside a lab folder's files: mode, owner and group on the node, where the file system or git do not keep
//! them.
//!
//! ```toml
//! [common]
//! "/srv/app" = { mode = "0750", owner = "www-data", group = "www-data" }
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::wording::{self, Mistake};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::suggest::{did_you_mean, nearest};

/// The file's name.
pub const FILE: &str = "modes.toml";

/// Why a `modes.toml` cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ModesError {
    /// It is not valid TOML, or a value is wrong.
    #[error("{file}:{}: {}", mistake.line, mistake.what)]
    Syntax {
        /// The file.
        file: String,
        /// The mistake with its position.
        mistake: Mistake,
    },
    /// It names an overlay that is not there.
    #[error("{file}: there is no folder {name} beside it")]
    NoFolder {
        /// The file.
        file: String,
        /// The name.
        name: String,
    },
    /// It names a file that is not there.
    #[error("{file}: there is no {path} in {folder}")]
    NoFile {
        /// The file.
        file: String,
        /// The path as written.
        path: String,
        /// The folder that should hold it.
        folder: String,
        /// Similar paths, best first.
        nearest: Vec<String>,
    },
}

impl Fault for ModesError {
    fn kind(&self) -> FaultKind {
        FaultKind::Configuration
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Syntax { mistake, .. } => mistake.help.clone(),
            Self::NoFolder { .. } => Some("its sections are called like the folders beside it".to_owned()),
            Self::NoFile { nearest, .. } => {
                did_you_mean(nearest).or_else(|| Some("put the file there, or take the line out".to_owned()))
            }
        }
    }
}

/// Owner and group by name or number; root where `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// The user.
    pub user: Option<String>,
    /// The group.
    pub group: Option<String>,
}

impl fmt::Display for Owners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "root".to_owned());
        write!(f, "{}:{}", name(&self.user), name(&self.group))
    }
}

/// What the file says about one path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    /// Permission bits, up to 07777.
    pub mode: Option<u16>,
    /// Owner and group.
    pub owners: Owners,
}

/// One path's entry as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    mode: Option<Mode>,
    #[serde(default)]
    owner: Option<Account>,
    #[serde(default)]
    group: Option<Account>,
}

/// Octal digits in quotes: without them TOML would read a decimal number.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Mode(u16);

impl TryFrom<String> for Mode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_octal = (3..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        match u16::from_str_radix(&text, 8) {
            Ok(mode) if is_octal && mode <= 0o7777 => Ok(Self(mode)),
            _ => Err("a mode is octal digits in quotes, such as \"0640\""),
        }
    }
}

/// The name of a user or group (Debian Policy 9.2), or its number.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Account(String);

impl TryFrom<String> for Account {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let starts = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let is_name = starts && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if is_name || text.parse::<u32>().is_ok_and(|number| number < u32::MAX) {
            Ok(Self(text))
        } else {
            Err("the name of a user or group, or its number in quotes, is expected here")
        }
    }
}

/// What the file says about the paths of one folder, without a leading `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes(BTreeMap<String, Set>);

impl Modes {
    /// What is said about this path.
    pub(super) fn get(&self, path: &str) -> Option<&Set> {
        self.0.get(path)
    }

    /// All paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Checks that all paths are among these of `folder`.
    ///
    /// # Errors
    /// [`ModesError::NoFile`].
    pub(super) fn check(&self, file: &str, folder: &str, there: &[&str]) -> Result<(), ModesError> {
        let is_there = |path: &str| {
            there.iter().any(|file| *file == path || file.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
        };
        match self.paths().find(|path| !is_there(path)) {
            Some(path) => Err(ModesError::NoFile {
                file: file.to_owned(),
                path: format!("/{path}"),
                folder: folder.to_owned(),
                nearest: nearest(path, there.iter().copied()).into_iter().map(|path| format!("/{path}")).collect(),
            }),
            None => Ok(()),
        }
    }
}

/// Parses the text: the folder's name → its paths. `file` is the file's name in messages.
///
/// # Errors
/// [`ModesError::Syntax`].
pub(super) fn parse(file: &str, text: &str) -> Result<BTreeMap<String, Modes>, ModesError> {
    let entries: BTreeMap<String, BTreeMap<String, Entry>> = toml::from_str(text)
        .map_err(|e| ModesError::Syntax { file: file.to_owned(), mistake: wording::toml(text, &e) })?;
    let set = |entry: Entry| Set {
        mode: entry.mode.map(|mode| mode.0),
        owners: Owners { user: entry.owner.map(|name| name.0), group: entry.group.map(|name| name.0) },
    };
    let modes = |paths: BTreeMap<String, Entry>| {
        Modes(paths.into_iter().map(|(path, entry)| (path.trim_matches('/').to_owned(), set(entry))).collect())
    };
    Ok(entries.into_iter().map(|(folder, paths)| (folder, modes(paths))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wording::one_line;

    #[test]
    fn modes_and_owners_are_read() {
        let text = "[common]\n\"/srv/app/\" = { mode = \"0750\", owner = \"www-data\", group = \"33\" }\n\
                    [common.\"/etc/x\"]\nmode = \"4755\"\n";
        let all = parse("m", text).unwrap();
        let app = all["common"].get("srv/app").unwrap();
        assert_eq!((app.mode, app.owners.to_string().as_str()), (Some(0o750), "www-data:33"));
        let x = all["common"].get("etc/x").unwrap();
        assert_eq!((x.mode, x.owners.to_string().as_str()), (Some(0o4755), "root:root"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (entry, said) in [
            ("mode = 600", "m:2: "),
            ("mode = \"\"", "octal digits in quotes"),
            ("mode = \"0o600\"", "octal digits in quotes"),
            ("mode = \"+640\"", "octal digits in quotes"),
            ("mode = \"17777\"", "octal digits in quotes"),
            ("mode = \"0688\"", "octal digits in quotes"),
            ("owner = \"-x\"", "the name of a user or group"),
            ("owner = \"\"", "the name of a user or group"),
            ("owner = \"4294967295\"", "the name of a user or group"),
            ("groop = \"x\"", "did you mean `group`?"),
        ] {
            let text = format!("[common]\n\"/x\" = {{ {entry} }}\n");
            let error = one_line(&parse("m", &text).unwrap_err());
            assert!(error.contains(said) && error.starts_with("m:2: "), "{entry}: {error}");
        }
    }

    #[test]
    fn a_path_without_a_file_is_named() {
        let modes = &parse("m", "[common]\n\"/srv/ap\" = {}\n\"/srv\" = {}\n").unwrap()["common"];
        let there = ["etc/motd", "srv/app"];
        let error = one_line(&modes.check("m", "overlays/common", &there).unwrap_err());
        assert_eq!(error, "m: there is no /srv/ap in overlays/common (did you mean `/srv/app`?)");
    }
}
