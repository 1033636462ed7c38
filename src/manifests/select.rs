//! Which components a lab has, and in which order they can come up: profile, switches of `lab.toml`, and what each needs.

use std::collections::{BTreeMap, BTreeSet};

use super::component::{Component, Profile};
use labimg_tree::suggest::{did_you_mean, nearest};

/// What a lab asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The profile.
    pub profile: Profile,
    /// Components that are switched on or off by name.
    pub switched: BTreeMap<String, bool>,
    /// Whether the master has a disk for the cluster.
    pub storage: bool,
}

/// Why a component is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// Every lab has it, or the profile brings it.
    Profile,
    /// It is switched on by name.
    Asked,
    /// This component needs it.
    NeededBy(String),
}

/// A component that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Its name.
    pub name: String,
    /// Why it is there.
    pub because: Because,
    /// When it can come up: one more than the latest of those that it needs, from 1.
    pub phase: usize,
}

/// A choice that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadChoice {
    /// The component that it is about.
    pub component: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub help: String,
}

/// The components for a lab, in the order of their phases.
///
/// # Errors
/// All choices that cannot be.
pub fn select(wanted: &Wanted, all: &BTreeMap<String, Component>) -> Result<Vec<Selected>, Vec<BadChoice>> {
    let mut bad: Vec<BadChoice> =
        wanted.switched.keys().filter(|name| !all.contains_key(*name)).map(|name| unknown(name, all)).collect();
    let mut there = first(wanted, all);
    bring_needs(&mut there, wanted, all, &mut bad);
    for (name, because) in &there {
        let component = &all[name];
        if component.front.storage && !wanted.storage {
            let why = match because {
                Because::NeededBy(other) => format!(" ({other} needs it)"),
                Because::Profile | Because::Asked => String::new(),
            };
            bad.push(BadChoice {
                component: name.clone(),
                what: format!("{name} needs the master's disk, and `storage.enabled` is false{why}"),
                help: format!("leave the disk on, or switch {name} off with `enabled = false`"),
            });
        }
        let conflict = component.front.conflicts.iter().find(|other| there.contains_key(*other));
        if let Some(other) = conflict {
            bad.push(BadChoice {
                component: name.clone(),
                what: format!("{name} and {other} cannot be there side by side"),
                help: "switch one of them off with `enabled = false`".to_owned(),
            });
        }
    }
    if !bad.is_empty() {
        return Err(bad);
    }
    let mut phases = BTreeMap::new();
    for name in there.keys() {
        phase(name, &there, all, &mut phases, &mut Vec::new()).map_err(|problem| vec![problem])?;
    }
    let mut selected: Vec<Selected> = there
        .into_iter()
        .map(|(name, because)| Selected { phase: phases.get(&name).copied().unwrap_or(1), name, because })
        .collect();
    selected.sort_by(|a, b| (a.phase, &a.name).cmp(&(b.phase, &b.name)));
    Ok(selected)
}

fn unknown(name: &str, all: &BTreeMap<String, Component>) -> BadChoice {
    let near = did_you_mean(&nearest(name, all.keys().map(String::as_str)));
    let list = "`labimg stack` lists them all".to_owned();
    BadChoice {
        component: name.to_owned(),
        what: format!("there is no component `{name}`"),
        help: near.into_iter().chain([list]).collect::<Vec<_>>().join("\n"),
    }
}

/// What is there without looking at needs.
fn first(wanted: &Wanted, all: &BTreeMap<String, Component>) -> BTreeMap<String, Because> {
    let mut there = BTreeMap::new();
    for (name, component) in all {
        let front = &component.front;
        let because = match wanted.switched.get(name) {
            Some(true) => Because::Asked,
            // What every lab has goes by the disk, as storage always did.
            None if front.is_of(wanted.profile) && (wanted.storage || !front.storage || !front.is_always()) => {
                Because::Profile
            }
            Some(false) | None => continue,
        };
        there.insert(name.clone(), because);
    }
    // What is asked for by name takes the place of what only the profile brings.
    let asked: BTreeSet<String> = there.iter().filter(|(_, b)| **b == Because::Asked).map(|(n, _)| n.clone()).collect();
    there.retain(|name, because| {
        let conflicts = |a: &str, b: &str| all[a].front.conflicts.iter().any(|other| other == b);
        *because == Because::Asked || !asked.iter().any(|other| conflicts(name, other) || conflicts(other, name))
    });
    there
}

/// Adds what is needed and not there.
fn bring_needs(
    there: &mut BTreeMap<String, Because>,
    wanted: &Wanted,
    all: &BTreeMap<String, Component>,
    bad: &mut Vec<BadChoice>,
) {
    let mut open: Vec<String> = there.keys().cloned().collect();
    while let Some(name) = open.pop() {
        for need in &all[&name].front.needs {
            let choices: Vec<&str> = need.split('|').collect();
            if choices.iter().any(|choice| there.contains_key(*choice)) {
                continue;
            }
            // Only the first comes along: whoever does not want it chooses another.
            let off = |choice: &&&str| wanted.switched.get(**choice) == Some(&false);
            let Some(brought) = choices.first().filter(|choice| !off(choice) && all.contains_key(**choice)) else {
                let which = if choices.len() == 1 { "which is switched off" } else { "and there is none of them" };
                let (choices, last) = (choices.join(" or "), choices.last().copied().unwrap_or_default());
                bad.push(BadChoice {
                    component: name.clone(),
                    what: format!("{name} needs {choices}, {which}"),
                    help: format!("switch {last} on with `enabled = true`, or {name} off"),
                });
                continue;
            };
            there.insert((*brought).to_owned(), Because::NeededBy(name.clone()));
            open.push((*brought).to_owned());
        }
    }
}

/// The phase of a component, with those of all that it needs.
fn phase(
    name: &str,
    there: &BTreeMap<String, Because>,
    all: &BTreeMap<String, Component>,
    known: &mut BTreeMap<String, usize>,
    above: &mut Vec<String>,
) -> Result<usize, BadChoice> {
    if let Some(phase) = known.get(name) {
        return Ok(*phase);
    }
    if above.iter().any(|other| other == name) {
        return Err(BadChoice {
            component: name.to_owned(),
            what: format!("{} need each other", above.join(" and ")),
            help: "take one of them out of `needs`".to_owned(),
        });
    }
    above.push(name.to_owned());
    let mut latest = 0;
    let front = &all[name].front;
    let needs = front.needs.iter().flat_map(|need| need.split('|')).chain(front.after.iter().map(String::as_str));
    for need in needs.filter(|need| there.contains_key(*need)) {
        latest = latest.max(phase(need, there, all, known, above)?);
    }
    above.pop();
    known.insert(name.to_owned(), latest + 1);
    Ok(latest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::component::FrontMatter;

    fn component(name: &str, front: &str) -> (String, Component) {
        let front: FrontMatter = toml::from_str(&format!("title = 'x'\n{front}")).unwrap();
        let (values, objects, texts) = (None, BTreeMap::new(), BTreeMap::new());
        let shown = format!("manifests/{name}");
        (name.to_owned(), Component { name: name.to_owned(), front, shown, is_own: false, values, objects, texts })
    }

    fn all() -> BTreeMap<String, Component> {
        BTreeMap::from([
            component("disk", "profiles = ['always']\nstorage = true"),
            component("door", "profiles = ['minimal', 'identity']\nneeds = ['certs']"),
            component("gate", "conflicts = ['door']"),
            component("certs", "profiles = ['minimal']"),
            component("login", "profiles = ['identity']\nneeds = ['door|gate', 'db']"),
            component("db", ""),
            component("files", "needs = ['login']\nstorage = true"),
        ])
    }

    fn names(profile: Profile, switched: &[(&str, bool)], storage: bool) -> Result<String, String> {
        let switched = switched.iter().map(|(name, on)| ((*name).to_owned(), *on)).collect();
        let selected = select(&Wanted { profile, switched, storage }, &all());
        let shown = |s: &Selected| format!("{}{}", s.name, s.phase);
        selected
            .map(|all| all.iter().map(shown).collect::<Vec<_>>().join(" "))
            .map_err(|bad| bad.into_iter().map(|b| b.what).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn profiles_bring_what_they_need_in_order() {
        assert_eq!(names(Profile::None, &[], true).unwrap(), "disk1");
        assert_eq!(names(Profile::None, &[], false).unwrap(), "");
        assert_eq!(names(Profile::Minimal, &[], true).unwrap(), "certs1 disk1 door2");
        assert_eq!(names(Profile::Identity, &[], true).unwrap(), "certs1 db1 disk1 door2 login3");
    }

    #[test]
    fn switches_count_more_than_the_profile() {
        assert_eq!(names(Profile::None, &[("login", true)], true).unwrap(), "certs1 db1 disk1 door2 login3");
        assert_eq!(names(Profile::Identity, &[("gate", true)], true).unwrap(), "db1 disk1 gate1 login2");
        assert_eq!(names(Profile::Identity, &[("login", false)], true).unwrap(), "certs1 disk1 door2");
        assert_eq!(names(Profile::None, &[("disk", false)], true).unwrap(), "");
    }

    #[test]
    fn what_cannot_be_is_told() {
        let bad = |profile, switched, storage| names(profile, switched, storage).unwrap_err();
        assert_eq!(bad(Profile::Identity, &[("db", false)], true), "login needs db, which is switched off");
        assert_eq!(
            bad(Profile::Identity, &[("door", false)], true),
            "login needs door or gate, and there is none of them"
        );
        assert_eq!(
            bad(Profile::None, &[("files", true)], false),
            "files needs the master's disk, and `storage.enabled` is false"
        );
        assert_eq!(
            bad(Profile::None, &[("door", true), ("gate", true)], true),
            "gate and door cannot be there side by side"
        );
        assert_eq!(bad(Profile::None, &[("fils", true)], true), "there is no component `fils`");
    }

    #[test]
    fn those_that_need_each_other_are_refused() {
        let all = BTreeMap::from([component("a", "needs = ['b']"), component("b", "needs = ['a']")]);
        let wanted = Wanted { switched: BTreeMap::from([("a".to_owned(), true)]), ..Wanted::default() };
        assert_eq!(select(&wanted, &all).unwrap_err()[0].what, "a and b need each other");
    }
}
