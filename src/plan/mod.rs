//! Decides what is in an image, only from flags and defaults: no network, no clock, and from the disk only the named
//! key files (flags → [`Plan`]).

mod overlays;
pub mod target;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use crate::k3s::config::joined;
use crate::lab::Lab;
use crate::manifests::OwnManifests;
use crate::manifests::select::BadChoice;
use crate::names::HostnameError;
use crate::parts::board::Board;
use crate::parts::role::{Role, Units};
use crate::parts::{OwnFile, Parts, UnknownPart, overlay};
use crate::ssh_key::SshKeyError;
use crate::stack::Stack;
use crate::user_name::USER;
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::suggest::did_you_mean;

pub use overlays::{Added, OverlayFileError};

/// Errors about a request.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An unknown board or role.
    #[error(transparent)]
    Unknown(#[from] UnknownPart),
    /// The board needs packages from another release.
    #[error("board {board} needs packages of `{needs}`, which do not go with --suite {suite}")]
    Suite {
        /// The board.
        board: String,
        /// The suite that it needs.
        needs: String,
        /// The requested release.
        suite: String,
    },
    /// A user's file cannot go onto a node.
    #[error(transparent)]
    Overlay(#[from] OverlayFileError),
    /// Not a valid SSH key.
    #[error(transparent)]
    SshKey(#[from] SshKeyError),
    /// `lab.toml` does not have the node.
    #[error("{}: there is no node `{name}`", file.display())]
    NoNode {
        /// The file.
        file: PathBuf,
        /// The name given.
        name: String,
        /// Similar names, best first.
        nearest: Vec<String>,
        /// All names in the file.
        all: Vec<String>,
    },
    /// An invalid host name.
    #[error(transparent)]
    Hostname(#[from] HostnameError),
    /// Components that cannot be there together.
    #[error("the stack cannot be: {}", choices.iter().map(|choice| choice.what.as_str()).collect::<Vec<_>>().join("; "))]
    Stack {
        /// All of them.
        choices: Vec<BadChoice>,
    },
    /// A flag that names no package.
    #[error("--package {0}: this is not the name of a Debian package")]
    Package(String),
}

impl Fault for PlanError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Unknown(source) => source.kind(),
            Self::Suite { .. } | Self::NoNode { .. } | Self::Package(_) => FaultKind::Usage,
            Self::Stack { .. } => FaultKind::Configuration,
            Self::Overlay(source) => source.kind(),
            Self::SshKey(source) => source.kind(),
            Self::Hostname(source) => source.kind(),
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unknown(source) => source.help(),
            Self::Suite { .. } => {
                Some("choose the release that the board needs with --suite, or another board".to_owned())
            }
            Self::Stack { choices } => choices.first().map(|choice| choice.help.clone()),
            Self::Overlay(source) => source.help(),
            Self::SshKey(source) => source.help(),
            Self::NoNode { nearest, all, .. } => {
                let there = format!("the lab has {}", all.join(", "));
                Some(did_you_mean(nearest).into_iter().chain([there]).collect::<Vec<_>>().join("\n"))
            }
            Self::Hostname(source) => source.help(),
            Self::Package(_) => {
                Some("one name for each --package, such as htop; name=version and name/suite go too".to_owned())
            }
        }
    }
}

/// Part of libc: UTF-8 without the package `locales`.
pub const BUILT_IN_LOCALE: &str = "C.UTF-8";

/// The request for one image.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Name of a board.
    pub board: String,
    /// Name of a role.
    pub role: String,
    /// Debian's code name.
    pub suite: String,
    /// Debian packages to add → the reason.
    pub packages: BTreeMap<String, String>,
    /// The cluster that the image is for.
    pub lab: Lab,
}

/// The resolved answer to "what is in this image".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The board it boots on.
    pub board: Board,
    /// The node's role.
    pub role: Role,
    /// Debian's code name.
    pub suite: String,
    /// More suites that the board's packages come from, such as `trixie-backports`.
    pub extra_suites: Vec<String>,
    /// Debian package (`name` or `name/suite`) → why it is there; without dependencies.
    pub packages: BTreeMap<String, String>,
    /// Folders of the built-in `overlays/`, in order.
    pub overlays: Vec<String>,
    /// Folders of the lab's `overlays/` with their files, in order; they come after all others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own_files: Vec<(String, Vec<OwnFile>)>,
    /// What those add to files that the nodes' seeds bring.
    #[serde(skip)]
    pub added: Added,
    /// The lab folder's manifests, which k3s deploys automatically.
    #[serde(skip)]
    pub own_manifests: Arc<OwnManifests>,
    /// What the cluster runs by itself.
    #[serde(skip)]
    pub stack: Arc<Stack>,
    /// Units to enable, disable or mask: those of the common role, then of the role.
    pub units: Units,
    /// Name of the user who logs in: a seed is for images that have this user.
    #[serde(skip_serializing_if = "is_usual_user")]
    pub user: String,
    /// The cluster that the image is for, with the settings of overlays. It is not part of the image ids: with one more node the image stays the same.
    #[serde(skip)]
    pub lab: Lab,
}

/// The ids of images from before there was a choice stay the same.
fn is_usual_user(user: &str) -> bool {
    user == USER
}

impl Plan {
    /// Resolves everything that a request leaves open.
    ///
    /// # Errors
    /// Unknown names, with the nearest ones.
    pub fn new(request: &Request, parts: &Parts) -> Result<Self, PlanError> {
        let board = parts.board(&request.board)?.clone();
        let role = parts.role(&request.role)?.clone();
        let common = parts.common();
        let mut packages = common.packages.clone();
        packages.extend(board.packages.iter().map(|p| {
            let request = p.suite.as_ref().map_or_else(|| p.name.clone(), |suite| format!("{}/{suite}", p.name));
            (request, p.why.clone())
        }));
        let of_board = board.packages.iter().filter_map(|p| p.suite.clone());
        if let Some(other) = of_board.clone().find(|suite| !suite.starts_with(&format!("{}-", request.suite))) {
            return Err(PlanError::Suite { board: board.name, needs: other, suite: request.suite.clone() });
        }
        let own = ["", "-updates", "-security"].map(|suffix| format!("{}{suffix}", request.suite));
        let asked = request.packages.keys().filter_map(|p| Some(p.split_once('/')?.1.to_owned()));
        let mut extra_suites: Vec<String> = of_board.chain(asked.filter(|suite| !own.contains(suite))).collect();
        extra_suites.sort_unstable();
        extra_suites.dedup();
        packages.extend(role.packages.clone());
        if request.lab.locale != BUILT_IN_LOCALE {
            packages.insert("locales".to_owned(), "makes the locale that lab.toml names".to_owned());
        }
        packages.extend(request.packages.clone());
        let own_files = parts.own_files(&role);
        let added = Added::read(&own_files, &role, &board.firmware.mount, request, parts)?;
        let mut lab = request.lab.clone();
        added.settle_k3s(role.k3s, &mut lab)?;
        let stack = stack_of(&lab, parts)?;
        switch_off(&stack, &mut lab);
        let join = |pick: fn(&Units) -> &Vec<String>| [pick(&common.systemd).as_slice(), pick(&role.systemd)].concat();
        Ok(Self {
            units: Units { enable: join(|u| &u.enable), disable: join(|u| &u.disable), mask: join(|u| &u.mask) },
            overlays: common
                .overlay
                .iter()
                .chain(&role.overlay)
                .filter(|o| overlay::built_in(o).is_some())
                .cloned()
                .collect(),
            own_files,
            added,
            own_manifests: Arc::clone(parts.manifests()),
            stack: Arc::new(stack),
            board,
            role,
            suite: request.suite.clone(),
            extra_suites,
            packages,
            user: lab.user.clone(),
            lab,
        })
    }
}

/// The stack of a lab with these components.
///
/// # Errors
/// Components that cannot be there together.
pub fn stack_of(lab: &Lab, parts: &Parts) -> Result<Stack, PlanError> {
    Stack::of(lab, parts.components()).map_err(|choices| PlanError::Stack { choices })
}

/// Switches off the packaged components of k3s whose place a component takes.
fn switch_off(stack: &Stack, lab: &mut Lab) {
    let off = stack.k3s_disable();
    if !off.is_empty() {
        let set = lab.k3s.server_config.entry("disable".to_owned()).or_insert_with(|| json!([]));
        *set = joined(set, &json!(off));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::StackComponent;
    use crate::manifests::Profile;
    use crate::wording::one_line;

    fn request(board: &str, role: &str) -> Request {
        let lab = target::lone_lab(board, role, role);
        Request {
            board: board.to_owned(),
            role: role.to_owned(),
            suite: "trixie".to_owned(),
            lab,
            ..Request::default()
        }
    }

    fn plan(request: &Request) -> Result<Plan, PlanError> {
        Plan::new(request, &Parts::built_in().unwrap())
    }

    #[test]
    fn a_plan_joins_common_board_role_and_what_was_asked_for() {
        let packages = BTreeMap::from([("htop".to_owned(), "asked for with --package".to_owned())]);
        let plan = plan(&Request { packages, ..request("rpi4", "master") }).unwrap();
        assert_eq!(plan.overlays, ["common", "master"]);
        for name in ["openssh-server", "linux-image-arm64", "nfs-kernel-server", "htop"] {
            assert!(plan.packages.contains_key(name), "{name}");
        }
        assert!(!plan.packages.contains_key("locales"));
        assert!(plan.units.enable.contains(&"labimg-grow.service".to_owned()));
        assert!(plan.units.mask.contains(&"rpcbind.service".to_owned()));
    }

    #[test]
    fn a_component_can_take_the_place_of_one_of_k3s() {
        let mut request = request("rpi4", "master");
        request.lab.k3s.server_config = BTreeMap::from([("disable".to_owned(), json!("servicelb"))]);
        request.lab.stack.components = BTreeMap::from([(
            "ingress-nginx".to_owned(),
            StackComponent { enabled: Some(true), ..StackComponent::default() },
        )]);
        request.lab.stack.profile = Profile::Minimal;
        let plan = plan(&request).unwrap();
        assert_eq!(plan.lab.k3s.server_config["disable"], json!(["servicelb", "traefik"]));
        assert!(plan.stack.has("ingress-nginx") && !plan.stack.has("ingress") && plan.stack.has("home"));
    }

    #[test]
    fn a_locale_brings_what_makes_it() {
        let mut request = request("rpi4", "worker");
        request.lab.locale = "de_DE.UTF-8".to_owned();
        assert!(plan(&request).unwrap().packages.contains_key("locales"));
    }

    #[test]
    fn files_where_the_node_would_not_see_them_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("overlays/common/boot/firmware");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.txt"), "x").unwrap();
        let error = Plan::new(&request("rpi4", "worker"), &Parts::of(dir.path()).unwrap()).unwrap_err();
        assert!(matches!(error, PlanError::Overlay(OverlayFileError::Firmware { .. })), "{error}");
        assert!(one_line(&error).contains("boards/NAME.toml"), "{error}");
    }

    #[test]
    fn mistakes_name_what_was_meant() {
        let error = one_line(&plan(&request("rpi44", "master")).unwrap_err());
        assert!(error.contains("`rpi4`"), "{error}");
    }
}
