//! Decides for each package whether labimg knows what its maintainer scripts do.

mod action;
pub(crate) mod heredoc;
mod known;
mod script;
mod snippet;
pub(crate) mod triggers;

use std::collections::BTreeSet;

pub(crate) use action::Action;
pub(crate) use script::kernel_abi;

use super::{ConfigureError, Pending};
use crate::packages::{Installed, Package};
use crate::relation::{self, RelationError};
use known::{FromScript, Step};
use script::Script;

/// The scripts that a fresh install runs, in order.
const SCRIPTS: [&str; 3] = ["preinst", "config", "postinst"];

/// The list of certificates, whose first lines are in the script that writes it.
const CERTIFICATES: &str = "/etc/ca-certificates.conf";

/// What is done instead of a package's scripts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Instead of `preinst install`; empty when that script is unknown.
    pub before_unpack: Vec<Action>,
    /// Instead of `config` and `postinst configure`.
    pub configure: Vec<Action>,
    /// Why the package cannot be configured.
    pub pending: Option<Pending>,
}

/// What to do instead of a package's scripts. The first unknown script is the reason why it stays unpacked.
///
/// # Errors
/// When the compiled-in table of known scripts is wrong.
pub(crate) fn plan(package: &Package) -> Result<Plan, ConfigureError> {
    let mut plan = Plan::default();
    let pending = |script: &str, reason| Pending { package: package.name.clone(), script: script.to_owned(), reason };
    for name in SCRIPTS {
        let Some(script) = package.scripts.get(name) else { continue };
        match actions(package, name, script)? {
            Ok(actions) if name == "preinst" => plan.before_unpack = actions,
            Ok(actions) => plan.configure.extend(actions),
            Err(reason) => drop(plan.pending.get_or_insert(pending(name, reason))),
        }
    }
    if let Some(trigger) = triggers::unknown(package) {
        let reason = format!("what it does for the trigger {trigger} is not known");
        plan.pending.get_or_insert(pending("triggers", reason));
    }
    Ok(plan)
}

fn actions(package: &Package, name: &str, bytes: &[u8]) -> Result<Result<Vec<Action>, String>, ConfigureError> {
    let Some(script) = std::str::from_utf8(bytes).ok().and_then(|text| Script::parse(text, package)) else {
        return Ok(Err("is not a shell script in UTF-8".to_owned()));
    };
    if script.is_plain() {
        return Ok(Ok(script.sections));
    }
    let hash = script.hash();
    let Some(known) = known::find(&package.name, name, &hash)? else {
        return Ok(Err(format!("its hand-written part is not known (sha256 {hash})")));
    };
    let wrong = |what| ConfigureError::Entry { package: package.name.clone(), script: name.to_owned(), what };
    let mut actions = Vec::new();
    let mut sections = Some(script.sections.clone());
    for step in &known.steps {
        match step {
            Step::Action(action) => actions.push(action.clone()),
            Step::Script(FromScript::Sections) => actions.extend(sections.take().unwrap_or_default()),
            Step::Script(FromScript::Alternatives) => actions
                .extend(snippet::alternatives(&script.text).ok_or_else(|| wrong("no alternatives are found in it"))?),
            Step::Script(FromScript::Certificates) => {
                actions.push(Action::Certificates { head: heredoc::text(&script.text, CERTIFICATES)? });
            }
            Step::Script(FromScript::HereDocument { path }) => {
                let content = heredoc::text(&script.text, path)?;
                let (owner, group) = ("root".to_owned(), "root".to_owned());
                actions.push(Action::File { path: path.clone(), mode: 0o644, owner, group, content });
            }
        }
    }
    actions.extend(sections.unwrap_or_default());
    Ok(Ok(actions))
}

/// Adds to `pending` every package that depends on a pending one: dpkg configures a package only after what it depends
/// on.
///
/// # Errors
/// A dependency field that cannot be read.
pub(crate) fn hold_back(installed: &Installed, pending: &mut Vec<Pending>) -> Result<(), ConfigureError> {
    let mut held: BTreeSet<String> = pending.iter().map(|p| p.package.clone()).collect();
    if held.is_empty() {
        return Ok(());
    }
    let bad = |package: &Package, source: RelationError| ConfigureError::Dependencies {
        package: package.name.clone(),
        source,
    };
    let mut provides: Vec<(&str, Vec<&str>)> = Vec::new();
    for package in &installed.packages {
        let field = relation::parse(package.field("Provides")).map_err(|e| bad(package, e))?;
        provides.push((&package.name, field.iter().flatten().map(|r| r.name).collect()));
    }
    // Until nothing changes: dependencies may form cycles.
    loop {
        let before = held.len();
        for package in &installed.packages {
            if held.contains(&package.name) {
                continue;
            }
            if let Some(name) = needs_held(package, &provides, &held).map_err(|e| bad(package, e))? {
                held.insert(package.name.clone());
                let reason = format!("depends on {name}, which stays unpacked");
                pending.push(Pending { package: package.name.clone(), script: String::new(), reason });
            }
        }
        if held.len() == before {
            break;
        }
    }
    let order = |p: &Pending| installed.packages.iter().position(|i| i.name == p.package);
    pending.sort_by_key(order);
    Ok(())
}

/// A package that stays unpacked and that `package` needs.
fn needs_held<'a>(
    package: &Package,
    provides: &[(&'a str, Vec<&str>)],
    held: &BTreeSet<String>,
) -> Result<Option<&'a str>, RelationError> {
    for field in ["Pre-Depends", "Depends"] {
        for group in relation::parse(package.field(field))? {
            let fits = |name: &str| group.iter().any(|relation| relation.name == name);
            let mut able = provides.iter().filter(|(name, also)| fits(name) || also.iter().any(|a| fits(a)));
            let first = able.clone().next();
            // If no package in the set meets a dependency, dpkg complains about it.
            if let (Some((name, _)), false) = (first, able.any(|(name, _)| !held.contains(*name))) {
                return Ok(Some(name));
            }
        }
    }
    Ok(None)
}

/// A script that labimg does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// `preinst`, `config` or `postinst`.
    pub script: String,
    /// Its hash, as in the table of known scripts.
    pub sha256: String,
    /// Its hand-written part normalised; empty for a script that is not read at all.
    pub rest: String,
}

/// The scripts that prevent a package from being configured, for maintainers of the table of known scripts.
///
/// # Errors
/// When the compiled-in table is wrong.
pub fn unknown(package: &Package) -> Result<Vec<Unknown>, ConfigureError> {
    let mut found = Vec::new();
    for name in SCRIPTS {
        let Some(bytes) = package.scripts.get(name) else { continue };
        if actions(package, name, bytes)?.is_ok() {
            continue;
        }
        let script = std::str::from_utf8(bytes).ok().and_then(|text| Script::parse(text, package));
        let (sha256, rest) = script.map(|s| (s.hash(), s.rest)).unwrap_or_default();
        found.push(Unknown { script: name.to_owned(), sha256, rest });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::packages::{State, Triggers};

    fn package(name: &str, control: &str, scripts: &[(&str, &str)]) -> Package {
        Package {
            name: name.to_owned(),
            version: "1".to_owned(),
            architecture: "arm64".to_owned(),
            control: format!("Package: {name}\n{control}"),
            scripts: scripts.iter().map(|(n, text)| ((*n).to_owned(), text.as_bytes().to_vec())).collect(),
            info: BTreeMap::new(),
            triggers: Triggers::default(),
            conffiles: Vec::new(),
            auto: false,
            files: Vec::new(),
            state: State::Unpacked,
        }
    }

    #[test]
    fn plain_scripts_are_known_and_others_are_not() {
        let harmless = "#!/bin/sh\n# what\nset -e\n\nexit 0\n";
        let plan = plan(&package("a", "", &[("preinst", harmless), ("postinst", harmless)])).unwrap();
        assert_eq!(plan, Plan::default());
        for script in ["#!/bin/sh\nset -e\nrm -rf /x\n", "#!/usr/bin/perl\n", "exit 0\n", "#!/bin/sh\nexit 1\n"] {
            let plan = super::plan(&package("a", "", &[("preinst", harmless), ("postinst", script)])).unwrap();
            let pending = plan.pending.unwrap();
            assert_eq!((pending.package.as_str(), pending.script.as_str()), ("a", "postinst"), "{script}");
        }
    }

    #[test]
    fn a_trigger_that_is_not_known_holds_a_package_back() {
        let mut package = package("man-db", "", &[]);
        package.triggers.interest.push(("/usr/share/man".to_owned(), false));
        assert_eq!(plan(&package).unwrap().pending.unwrap().script, "triggers");
    }

    #[test]
    fn what_depends_on_a_pending_package_waits() {
        let control = ["Depends: b\n", "Depends: x | d, e\n", "Provides: x\n", "", "Pre-Depends: a\n"];
        let names = ["a", "b", "c", "d", "e"];
        let packages: Vec<Package> = names.iter().zip(control).map(|(n, c)| package(n, c, &[])).collect();
        let installed = Installed { architecture: "arm64".to_owned(), packages };
        let held = |seed: &str| -> Vec<String> {
            let (package, script, reason) = (seed.to_owned(), "postinst".to_owned(), String::new());
            let mut pending = vec![Pending { package, script, reason }];
            hold_back(&installed, &mut pending).unwrap();
            pending.into_iter().map(|p| p.package).collect()
        };
        assert_eq!(held("c"), ["c"], "d does as well as what c provides");
        assert_eq!(held("e"), ["a", "b", "e"]);
        assert_eq!(held("b"), ["a", "b", "e"]);
        let mut both = vec!["c", "d"]
            .into_iter()
            .map(|p| Pending { package: p.to_owned(), script: "preinst".to_owned(), reason: String::new() })
            .collect();
        hold_back(&installed, &mut both).unwrap();
        assert_eq!(both.len(), 5);
    }
}
