//! Decides for each package whether labimg knows what its maintainer scripts do.

use std::collections::BTreeSet;

use super::generate::heredoc;
use super::known::{self, FromScript, Step};
use super::script::Script;
use super::{Action, ConfigureError, Pending, snippet};
use crate::debian::relation::{self, RelationError};
use crate::layers::packages::{Installed, Package};

/// The scripts that a fresh install runs, in their order.
const SCRIPTS: [&str; 3] = ["preinst", "config", "postinst"];

/// What is done in the place of a package's scripts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    before_unpack: Vec<Action>,
    configure: Vec<Action>,
}

impl Plan {
    /// In the place of `preinst install`.
    pub fn before_unpack(&self) -> &[Action] {
        &self.before_unpack
    }

    /// In the place of `config` and `postinst configure`.
    pub fn configure(&self) -> &[Action] {
        &self.configure
    }
}

/// The plan of a package, or why there is none.
///
/// # Errors
/// When the compiled-in table of known scripts is wrong.
pub fn plan(package: &Package) -> Result<Result<Plan, Pending>, ConfigureError> {
    let mut plan = Plan::default();
    for name in SCRIPTS {
        let Some(script) = package.scripts.get(name) else { continue };
        match actions(package, name, script)? {
            Ok(actions) if name == "preinst" => plan.before_unpack = actions,
            Ok(actions) => plan.configure.extend(actions),
            Err(reason) => {
                return Ok(Err(Pending { package: package.name.clone(), script: name.to_owned(), reason }));
            }
        }
    }
    if let Some(trigger) = super::triggers::unknown(package) {
        let reason = format!("what it does for the trigger {trigger} is not known");
        return Ok(Err(Pending { package: package.name.clone(), script: "triggers".to_owned(), reason }));
    }
    Ok(Ok(plan))
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
    let wrong = |what: &str| ConfigureError::Table(format!("{} {name}: {what}", package.name));
    let mut actions = Vec::new();
    let mut sections = Some(script.sections.clone());
    for step in &known.steps {
        match step {
            Step::Action(action) => actions.push(action.clone()),
            Step::Script(FromScript::Sections) => actions.extend(sections.take().unwrap_or_default()),
            Step::Script(FromScript::Alternatives) => actions
                .extend(snippet::alternatives(&script.text).ok_or_else(|| wrong("no alternatives are found in it"))?),
            Step::Script(FromScript::Certificates) => {
                actions.push(Action::Certificates { script: script.text.clone() });
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

/// Adds to `pending` every package that depends on a pending one: dpkg configures no package before what it needs.
///
/// # Errors
/// A dependency field that cannot be read.
pub fn hold_back(installed: &Installed, pending: &mut Vec<Pending>) -> Result<(), ConfigureError> {
    let mut held: BTreeSet<String> = pending.iter().map(|p| p.package.clone()).collect();
    if held.is_empty() {
        return Ok(());
    }
    let bad = |package: &Package, source: RelationError| ConfigureError::Bad {
        path: format!("/var/lib/dpkg/status: {}", package.name),
        what: source.to_string(),
    };
    let mut provides: Vec<(&str, Vec<&str>)> = Vec::new();
    for package in &installed.packages {
        let field = relation::parse(package.field("Provides")).map_err(|e| bad(package, e))?;
        provides.push((&package.name, field.iter().flatten().map(|r| r.name).collect()));
    }
    // Until nothing changes: dependencies may form circles.
    loop {
        let before = held.len();
        for package in &installed.packages {
            if held.contains(&package.name) {
                continue;
            }
            for field in ["Pre-Depends", "Depends"] {
                for group in relation::parse(package.field(field)).map_err(|e| bad(package, e))? {
                    let names: BTreeSet<&str> = group.iter().map(|r| r.name).collect();
                    let providers = provides
                        .iter()
                        .filter(|(name, also)| names.contains(name) || also.iter().any(|a| names.contains(a)));
                    let (mut any, mut ready) = (None, false);
                    for (name, _) in providers {
                        any.get_or_insert(*name);
                        ready |= !held.contains(*name);
                    }
                    // What nothing in the set provides was not asked for either; dpkg will tell.
                    if let (Some(name), false) = (any, ready)
                        && held.insert(package.name.clone())
                    {
                        let reason = format!("depends on {name}, which stays unpacked");
                        pending.push(Pending { package: package.name.clone(), script: String::new(), reason });
                    }
                }
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

/// A script that labimg does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// `preinst`, `config` or `postinst`.
    pub script: String,
    /// What names it in the table of known scripts.
    pub sha256: String,
    /// Its hand-written part in normal form; empty for a script that is not read at all.
    pub rest: String,
}

/// The scripts of a package that stand in the way of configuring it, for those who keep the table of known scripts.
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
