//! What a maintainer script does on a fresh install, one variant an effect.

use serde::Deserialize;

/// One effect of a maintainer script on a fresh install.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Action {
    /// `systemd-sysusers FILE…` (sysusers.d(5)).
    Sysusers {
        /// File names, looked up in the `sysusers.d` folders.
        files: Vec<String>,
    },
    /// `adduser --system`: a user of group `nogroup`, with the next free uid from 100 up.
    AddUser {
        /// Login name.
        name: String,
        /// Home folder, which is not made.
        home: String,
    },
    /// `addgroup --system`: the next free gid from 100 up.
    AddGroup {
        /// Group name.
        name: String,
    },
    /// `shadowconfig on`: passwords move to `shadow` and `gshadow`.
    Shadow,
    /// A folder, made with its parents where it is missing.
    Dir {
        /// Where.
        path: String,
        /// Permission bits.
        #[serde(default = "mode_dir")]
        mode: u16,
        /// Owner by name.
        #[serde(default = "root")]
        owner: String,
        /// Group by name.
        #[serde(default = "root")]
        group: String,
    },
    /// A file, written where it is missing.
    File {
        /// Where.
        path: String,
        /// Permission bits.
        #[serde(default = "mode_file")]
        mode: u16,
        /// Owner by name.
        #[serde(default = "root")]
        owner: String,
        /// Group by name.
        #[serde(default = "root")]
        group: String,
        /// What it holds.
        #[serde(default)]
        content: String,
    },
    /// A copy with owner, mode and time (`cp -p`), made where it is missing.
    Copy {
        /// What.
        from: String,
        /// Where to.
        to: String,
        /// Lines that start with this are left out.
        #[serde(default)]
        without: Option<String>,
    },
    /// A symbolic link, made where it is missing; with `replace`, in place of a file, a link or an empty folder.
    Link {
        /// Where.
        path: String,
        /// What it says.
        target: String,
        /// Whether something else there gives way.
        #[serde(default)]
        replace: bool,
    },
    /// `chown` and `chmod` of what is there, through symbolic links.
    Own {
        /// What.
        path: String,
        /// Owner by name.
        #[serde(default)]
        owner: Option<String>,
        /// Group by name.
        #[serde(default)]
        group: Option<String>,
        /// Permission bits.
        #[serde(default)]
        mode: Option<u16>,
    },
    /// `dpkg-statoverride --update --add`.
    StatOverride {
        /// What.
        path: String,
        /// Owner by name.
        owner: String,
        /// Group by name.
        group: String,
        /// Permission bits.
        mode: u16,
    },
    /// `dpkg-divert --no-rename --add` on behalf of the package.
    Divert {
        /// The name that packages ship.
        path: String,
        /// Where it is put instead.
        to: String,
    },
    /// `deb-systemd-helper enable` behind `was-enabled`, as `dh_installsystemd` writes it.
    Enable {
        /// Unit name.
        unit: String,
        /// A unit of user managers.
        #[serde(default)]
        user: bool,
    },
    /// `deb-systemd-helper update-state`: for a unit that is installed but not enabled.
    UpdateState {
        /// Unit name.
        unit: String,
        /// A unit of user managers.
        #[serde(default)]
        user: bool,
    },
    /// `systemctl enable`: its links, without Debian's state files.
    Systemctl {
        /// Unit name.
        enable: String,
    },
    /// `systemd-tmpfiles --create FILE…` (tmpfiles.d(5)).
    Tmpfiles {
        /// File names, looked up in the `tmpfiles.d` folders.
        files: Vec<String>,
    },
    /// `update-rc.d SCRIPT defaults`.
    Rc {
        /// Name in `/etc/init.d`.
        script: String,
    },
    /// `dpkg-trigger NAME`.
    Trigger {
        /// Explicit trigger name.
        name: String,
    },
    /// `update-alternatives --install`.
    Alternative {
        /// The words after the program's name.
        words: Vec<String>,
    },
    /// What `base-files` makes.
    BaseFiles,
    /// What `base-passwd` makes.
    BasePasswd,
    /// `update-shells`.
    Shells,
    /// What `ca-certificates` makes.
    Certificates {
        /// The head of its list.
        head: String,
    },
    /// `pam-auth-update --package`.
    Pam,
    /// The state files of `ucf`.
    UcfState,
    /// `ucf SOURCE TARGET`.
    Ucf {
        /// The packaged file.
        source: String,
        /// Where it goes.
        target: String,
        /// With `--three-way`.
        #[serde(default)]
        three_way: bool,
        /// Whether `ucfr` notes the package as its owner.
        #[serde(default)]
        register: bool,
    },
}

fn root() -> String {
    "root".to_owned()
}

fn mode_dir() -> u16 {
    0o755
}

fn mode_file() -> u16 {
    0o644
}
