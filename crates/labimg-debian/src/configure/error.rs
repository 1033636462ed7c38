//! Why configuration failed.

use crate::relation::RelationError;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::interrupt::Interrupted;
use labimg_tree::{PathError, TreeError};

/// Why configuration failed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// A needed file is missing, or a written one cannot be put in its place.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file does not have the format that its tool reads.
    #[error("{path}: {what}")]
    Format {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A maintainer script calls a tool in a way that labimg does not support.
    #[error("`{call}`: {what}")]
    Call {
        /// The call as in the script.
        call: String,
        /// What is wrong with it.
        what: String,
    },
    /// A maintainer script names a file without its folder, and no folder of the tool has it.
    #[error("{name} is in no {folder} folder")]
    NoFile {
        /// The file's name.
        name: String,
        /// The folders' name, such as `sysusers.d`.
        folder: &'static str,
    },
    /// No package and no overlay has a unit that is to be enabled.
    #[error("there is no unit {0}")]
    NoUnit(String),
    /// A user or group does not exist.
    #[error("{kind} `{name}` is not in {file}")]
    NoAccount {
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Where it was looked up.
        file: &'static str,
    },
    /// No free user or group number is left.
    #[error("no free id for {kind} `{name}`")]
    NoFreeId {
        /// `user` or `group`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A package's dependencies cannot be read.
    #[error("the dependencies of {package}")]
    Dependencies {
        /// The package with the bad field.
        package: String,
        /// What is wrong with them.
        source: RelationError,
    },
    /// The compiled-in table of known scripts cannot be read.
    #[error("the table of known maintainer scripts")]
    Table(#[source] &'static toml::de::Error),
    /// An entry of the compiled-in table of known scripts does not match its script.
    #[error("the table of known maintainer scripts: {script} of {package}: {what}")]
    Entry {
        /// The package.
        package: String,
        /// The script.
        script: String,
        /// What does not match.
        what: &'static str,
    },
    /// An error while configuring one package.
    #[error("configuring {package}")]
    Package {
        /// The package whose scripts were replaced.
        package: String,
        /// The error.
        source: Box<ConfigureError>,
    },
    /// The user stopped the build.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl ConfigureError {
    pub(crate) fn format(path: impl AsRef<[u8]>, what: impl Into<String>) -> Self {
        Self::Format { path: String::from_utf8_lossy(path.as_ref()).into_owned(), what: what.into() }
    }
}

impl From<PathError> for ConfigureError {
    fn from(e: PathError) -> Self {
        Self::Tree(e.into())
    }
}

impl Fault for ConfigureError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Tree(source) => source.kind(),
            // What packages contain is the archive's responsibility.
            Self::Format { .. }
            | Self::NoFile { .. }
            | Self::NoAccount { .. }
            | Self::NoFreeId { .. }
            | Self::Dependencies { .. } => FaultKind::World,
            Self::NoUnit(_) => FaultKind::Configuration,
            Self::Call { .. } | Self::Table(_) | Self::Entry { .. } => FaultKind::Ours,
            // Here a package's script asked for the unit.
            Self::Package { source, .. } if matches!(**source, Self::NoUnit(_)) => FaultKind::World,
            Self::Package { source, .. } => source.kind(),
            Self::Interrupted(_) => FaultKind::Interrupted,
        }
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            Self::NoUnit(_) => "a unit comes with a package or with an overlay: add the one that has it",
            Self::NoAccount { .. } => "a package that makes it must be configured first",
            Self::Call { .. } | Self::Table(_) | Self::Entry { .. } => {
                "please report it, with the package's name and version"
            }
            Self::Package { source, .. } => return source.help(),
            Self::Tree(_)
            | Self::Format { .. }
            | Self::NoFile { .. }
            | Self::NoFreeId { .. }
            | Self::Dependencies { .. }
            | Self::Interrupted(_) => return None,
        };
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn a_package_has_the_fault_and_the_help_of_its_cause() {
        let of = |source| ConfigureError::Package { package: "p".to_owned(), source: Box::new(source) };
        let account = || ConfigureError::NoAccount { kind: "user", name: "u".to_owned(), file: "/etc/passwd" };
        assert_eq!(of(account()).kind(), FaultKind::World);
        assert_eq!(of(account()).help(), account().help());
        assert_eq!(of(account()).to_string(), "configuring p");
        assert_eq!(of(account()).source().map(ToString::to_string), Some(account().to_string()));
        assert_eq!(of(Interrupted.into()).kind(), FaultKind::Interrupted);
        // A role may name a missing unit; a script's unit should be in its package.
        let unit = || ConfigureError::NoUnit("a.service".to_owned());
        assert_eq!((unit().kind(), of(unit()).kind()), (FaultKind::Configuration, FaultKind::World));
    }
}
