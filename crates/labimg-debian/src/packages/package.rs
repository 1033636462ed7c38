//! An unpacked package: the content of its control archive, and its state.

use std::collections::BTreeMap;

use labimg_tree::TreePath;

/// A package's state: the third word of `Status` in dpkg's status file (dpkg(1), "Package states").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its files are there, but its `postinst configure` was neither run nor replaced: the node runs it at first boot.
    Unpacked,
    /// Configured, but these of its triggers wait for `postinst triggered`.
    TriggersPending(Vec<String>),
    /// Configured; nothing is left to do.
    Installed,
}

impl State {
    /// dpkg's word for it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unpacked => "unpacked",
            Self::TriggersPending(_) => "triggers-pending",
            Self::Installed => "installed",
        }
    }
}

/// dpkg's word instead of an MD5 for a conffile that is not installed yet.
pub(super) const NOT_INSTALLED: &str = "newconffile";

/// A configuration file that dpkg leaves alone when the administrator changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conffile {
    /// Its path.
    pub path: TreePath,
    /// MD5 of the packaged content, 32 hexadecimal digits, or `newconffile` if the package does not ship it.
    pub md5: String,
    /// Listed with `remove-on-upgrade` (deb-conffiles(5)).
    pub remove_on_upgrade: bool,
}

/// What a package's `triggers` file declares (deb-triggers(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Triggers {
    /// Triggers it is interested in, a path or an explicit name, and whether the activating package waits.
    pub interest: Vec<(String, bool)>,
    /// Triggers it activates when its state changes, and whether it waits.
    pub activate: Vec<(String, bool)>,
}

/// One package in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Name, without the architecture.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `arm64` or `all`.
    pub architecture: String,
    /// The `control` file as packaged.
    pub control: String,
    /// Maintainer scripts by name: `preinst`, `postinst`, `prerm`, `postrm`, `config`.
    pub scripts: BTreeMap<String, Vec<u8>>,
    /// The other members of the control archive by name: `md5sums`, `shlibs`, `templates`, …; not `control`.
    pub info: BTreeMap<String, Vec<u8>>,
    /// Its triggers.
    pub triggers: Triggers,
    /// Its configuration files.
    pub conffiles: Vec<Conffile>,
    /// True when only installed as a dependency (`apt-mark showauto`).
    pub auto: bool,
    /// Its files and folders, with paths and order as in the package and in `info/*.list`; a path may go through a link
    /// such as `/lib`.
    pub files: Vec<TreePath>,
    /// Its state.
    pub state: State,
}

impl Package {
    /// The value of a control field; empty when it is missing.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        crate::deb822::Stanza::parse(&self.control).ok().and_then(|s| s.get(name)).unwrap_or_default()
    }

    /// The name of its files in dpkg's `info` folder: with the architecture when several can be installed at once.
    #[must_use]
    pub fn info_name(&self) -> String {
        if self.field("Multi-Arch") == "same" {
            format!("{}:{}", self.name, self.architecture)
        } else {
            self.name.clone()
        }
    }
}

/// All packages of a tree, in the order in which dpkg would configure them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Installed {
    /// Debian's name of the node's architecture, such as `arm64`.
    pub architecture: String,
    /// Dependencies come before the packages that need them.
    pub packages: Vec<Package>,
}

impl Installed {
    /// A package by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|p| p.name == name)
    }

    /// A package by name, to change its state.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Package> {
        self.packages.iter_mut().find(|p| p.name == name)
    }
}
