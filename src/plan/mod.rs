//! What is in an image, decided from flags and defaults alone: no network, no clock, no disk but the key files named
//! (flags → [`Plan`]).

pub mod board;
pub mod role;
pub mod ssh_key;
pub mod target;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::lab::{Lab, OwnFile, Parts};
use crate::layers::node::BUILT_IN_LOCALE;
use crate::layers::overlay;
use board::Board;
use role::{Role, Units};

/// What is wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A name that nothing has.
    #[error("unknown {what} `{name}`{} (`{list}` lists them all)", did_you_mean(.nearest))]
    Unknown {
        /// `board` or `role`.
        what: &'static str,
        /// The name given.
        name: String,
        /// Names that look like it, best first.
        nearest: Vec<String>,
        /// The command that lists all.
        list: &'static str,
    },
    /// A board whose packages come from another release.
    #[error("board {board} needs packages of `{needs}`, which do not go with --suite {suite}")]
    Suite {
        /// The board.
        board: String,
        /// The suite that it needs.
        needs: String,
        /// The release asked for.
        suite: String,
    },
    /// An SSH key that is none.
    #[error("--ssh-key {key}: {why}")]
    SshKey {
        /// The key or file as given, shortened.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// A node that `lab.toml` does not have.
    #[error("{}: there is no node `{name}`{} (it has {})", file.display(), did_you_mean(.nearest), all.join(", "))]
    NoNode {
        /// The file.
        file: PathBuf,
        /// The name given.
        name: String,
        /// Names that look like it, best first.
        nearest: Vec<String>,
        /// All names that there are.
        all: Vec<String>,
    },
    /// A name that no host can have.
    #[error("--hostname {name}: {why}")]
    Hostname {
        /// The name given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// `: did you mean a or b?`, or nothing.
pub(crate) fn did_you_mean(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = names.iter().map(|n| format!("`{n}`")).collect();
    format!(": did you mean {}?", quoted.join(" or "))
}

/// The names that look most like `name`, best first, three at most.
pub(crate) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    // 0.7 lets one wrong letter in a short word through and keeps unrelated words out.
    const ALIKE: f64 = 0.7;
    let mut scored: Vec<(f64, &str)> = names
        .into_iter()
        .map(|n| (strsim::jaro_winkler(&name.to_lowercase(), n), n))
        .filter(|(score, _)| *score >= ALIKE)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, n)| n.to_owned()).collect()
}

/// What is asked for in one image.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Name of a board.
    pub board: String,
    /// Name of a role.
    pub role: String,
    /// Debian's code name.
    pub suite: String,
    /// Debian packages to add → who asked for them.
    pub packages: BTreeMap<String, String>,
    /// The cluster that the image is for.
    pub lab: Lab,
}

/// The resolved answer to "what is in this image".
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The board it boots on.
    pub board: Board,
    /// What the node is for.
    pub role: Role,
    /// Debian's code name.
    pub suite: String,
    /// Further suites that packages of the board come from, such as `trixie-backports`.
    pub extra_suites: Vec<String>,
    /// Debian package (`name` or `name/suite`) → why it is there; dependencies are not among them.
    pub packages: BTreeMap<String, String>,
    /// Folders of the program's `overlays/`, first to last.
    pub overlays: Vec<String>,
    /// Folders of the lab's `overlays/` with their files, first to last: the last word.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own_files: Vec<(String, Vec<OwnFile>)>,
    /// Units to switch: those of the common role, then of the role.
    pub units: Units,
    /// The cluster that the image is for. It does not name the image's parts: a node more is the same image.
    #[serde(skip)]
    pub lab: Lab,
}

impl Plan {
    /// Decides everything that a request leaves open.
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
        let join = |pick: fn(&Units) -> &Vec<String>| [pick(&common.systemd).as_slice(), pick(&role.systemd)].concat();
        Ok(Self {
            units: Units { enable: join(|u| &u.enable), disable: join(|u| &u.disable), mask: join(|u| &u.mask) },
            overlays: common.overlay.iter().chain(&role.overlay).filter(|o| overlay::is_built_in(o)).cloned().collect(),
            own_files: parts.own_files(&role),
            board,
            role,
            suite: request.suite.clone(),
            extra_suites,
            packages,
            lab: request.lab.clone(),
        })
    }
}

/// RFC 1123, section 2.1, one label: what mDNS and Kubernetes take as a node's name.
pub(crate) fn check_hostname(name: &str) -> Result<(), PlanError> {
    let fail = |why| Err(PlanError::Hostname { name: name.to_owned(), why });
    if name.is_empty() || name.len() > 63 {
        return fail("a host name has 1 to 63 characters");
    }
    if name.contains('.') {
        return fail("give the name without a domain: the node is found as NAME.local");
    }
    if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return fail("only the letters a to z, digits and `-` are allowed (Kubernetes takes no capitals)");
    }
    if name.starts_with('-') || name.ends_with('-') {
        return fail("a host name begins and ends with a letter or digit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_locale_brings_what_makes_it() {
        let mut request = request("rpi4", "worker");
        request.lab.locale = "de_DE.UTF-8".to_owned();
        assert!(plan(&request).unwrap().packages.contains_key("locales"));
    }

    #[test]
    fn mistakes_name_what_was_meant() {
        assert!(plan(&request("rpi44", "master")).unwrap_err().to_string().contains("`rpi4`"));
        for name in ["", "-a", "a-", "A", "a_b", &"x".repeat(64)] {
            assert!(check_hostname(name).is_err(), "{name}");
        }
    }
}
