//! What is known of an unpacked package: what its control archive holds, and how far it is installed.

use std::collections::BTreeMap;

use labimg_tree::TreePath;

/// How far a package is installed: the third word of `Status` in dpkg's status file (dpkg(1), "Package states").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its files are there, its `postinst configure` was neither run nor replaced: the node does that at first boot.
    Unpacked,
    /// Configured, but these triggers of its own wait for `postinst triggered`.
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

/// dpkg's word in the place of the MD5 of a conffile that it has not installed.
pub(super) const NOT_INSTALLED: &str = "newconffile";

/// A configuration file that dpkg leaves alone when the administrator changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conffile {
    /// Where it lies.
    pub path: TreePath,
    /// MD5 of the packaged content, 32 hexadecimal digits, or `newconffile` for one that the package does not ship.
    pub md5: String,
    /// Listed with `remove-on-upgrade` (deb-conffiles(5)).
    pub remove_on_upgrade: bool,
}

/// What a package's `triggers` file declares (deb-triggers(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Triggers {
    /// Names it acts on, a path or an explicit name, and whether the activating package waits.
    pub interest: Vec<(String, bool)>,
    /// Names it activates when its state changes, and whether it waits.
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
    /// What it waits for and sets off.
    pub triggers: Triggers,
    /// Its configuration files.
    pub conffiles: Vec<Conffile>,
    /// True when only dependencies asked for it (`apt-mark showauto`).
    pub auto: bool,
    /// Its files and folders as named in the package (so perhaps through a link such as `/lib`), in its order, as in `info/*.list`.
    pub files: Vec<TreePath>,
    /// How far it is installed.
    pub state: State,
}

impl Package {
    /// The value of a control field; empty when it is not there.
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        crate::deb822::Stanza::parse(&self.control).ok().and_then(|s| s.get(name)).unwrap_or_default()
    }

    /// What its files in dpkg's `info` folder are called: with the architecture when several can be installed at once.
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
    /// Dependencies come before what needs them.
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
