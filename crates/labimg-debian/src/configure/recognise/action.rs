//! What a maintainer script does on a fresh install, one variant per effect.

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
        /// Home folder, which is not created.
        home: String,
    },
    /// `addgroup --system`: the next free gid from 100 up.
    AddGroup {
        /// Group name.
        name: String,
    },
    /// `shadowconfig on`: passwords move to `shadow` and `gshadow`.
    Shadow,
    /// A folder, created with its parents if missing.
    Dir {
        /// Its path.
        path: String,
        /// Permission bits.
        #[serde(default = "mode_dir")]
        mode: u16,
        /// Name of the owner.
        #[serde(default = "root")]
        owner: String,
        /// Name of the group.
        #[serde(default = "root")]
        group: String,
    },
    /// A file, written if missing.
    File {
        /// Its path.
        path: String,
        /// Permission bits.
        #[serde(default = "mode_file")]
        mode: u16,
        /// Name of the owner.
        #[serde(default = "root")]
        owner: String,
        /// Name of the group.
        #[serde(default = "root")]
        group: String,
        /// Its content.
        #[serde(default)]
        content: String,
    },
    /// A copy with owner, mode and time (`cp -p`), made if the target is missing.
    Copy {
        /// The original.
        from: String,
        /// The target.
        to: String,
        /// Lines that start with this are left out.
        #[serde(default)]
        without: Option<String>,
    },
    /// A symbolic link, created if missing; with `replace` it replaces a file, a link or an empty folder.
    Link {
        /// The link's path.
        path: String,
        /// Its target.
        target: String,
        /// Whether it replaces an existing file, link or empty folder.
        #[serde(default)]
        replace: bool,
    },
    /// `chown` and `chmod` of an existing path, through symbolic links.
    Own {
        /// The path.
        path: String,
        /// Name of the owner.
        #[serde(default)]
        owner: Option<String>,
        /// Name of the group.
        #[serde(default)]
        group: Option<String>,
        /// Permission bits.
        #[serde(default)]
        mode: Option<u16>,
    },
    /// `dpkg-statoverride --update --add`.
    StatOverride {
        /// The path.
        path: String,
        /// Name of the owner.
        owner: String,
        /// Name of the group.
        group: String,
        /// Permission bits.
        mode: u16,
    },
    /// `dpkg-divert --no-rename --add` on behalf of the package.
    Divert {
        /// The name that packages ship.
        path: String,
        /// Where it is moved.
        to: String,
    },
    /// `deb-systemd-helper enable` after `was-enabled`, as `dh_installsystemd` writes it.
    Enable {
        /// Unit name.
        unit: String,
        /// True for a unit of the user managers.
        #[serde(default)]
        user: bool,
    },
    /// `deb-systemd-helper update-state`: for a unit that is installed but not enabled.
    UpdateState {
        /// Unit name.
        unit: String,
        /// True for a unit of the user managers.
        #[serde(default)]
        user: bool,
    },
    /// `systemctl enable`: only its links, without Debian's state files.
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
    /// What `base-files` creates.
    BaseFiles,
    /// What `base-passwd` creates.
    BasePasswd,
    /// `update-shells`.
    Shells,
    /// What `ca-certificates` creates.
    Certificates {
        /// The first lines of its list.
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
        /// Where it is installed.
        target: String,
        /// Called with `--three-way`.
        #[serde(default)]
        three_way: bool,
        /// Whether `ucfr` registers the package as the file's owner.
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
