//! Renews some packages of a lock, and others only if they cannot stay as they are.
//!
//! Another package must change when a renewed one needs a newer version of it, or when it needs the old version of a
//! renewed one. First all others are held. If that has no solution, each may be chosen in its kept version or in the
//! index's. A search that prefers kept versions finds one solution. Then each package that changed in it is held again,
//! one by one, and stays held if the rest can still be solved. So no package is changed that could have stayed on its
//! own, and each costs at most one search.
//!
//! The requests are the packages that the lock marks as manually installed. So a package that Debian has since made
//! part of every system is not added on the side.

mod why;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::explain;
use super::resolve::{Chosen, ResolveError, choose, split_all};
use super::solve::solve;
use super::table::Record;
use super::universe::{BadRelation, Candidate, Group, Id, Universe};
use crate::relation::Relation;

/// The packages of one image of a lock.
#[derive(Debug, Clone, Default)]
pub struct Locked<'a> {
    /// Packages that should stay as they are.
    pub kept: Vec<Record<'a>>,
    /// Names of packages to be updated to the index's version.
    pub renewed: Vec<&'a str>,
    /// Names of all manually installed ones, which are not just dependencies.
    pub manual: Vec<&'a str>,
}

/// The packages of the image after the renewal.
#[derive(Debug, Clone)]
pub struct Renewal<'a> {
    /// Sorted by name. Those that stayed have their given record.
    pub packages: Vec<Chosen<'a>>,
    /// Why packages were changed, added or removed without being asked for, by name.
    pub why: BTreeMap<String, String>,
}

/// Chooses packages for `requests` so that all of `locked.renewed` have the index's version and as much as possible of
/// `locked.kept` stays; the other parameters are those of [`resolve`](super::resolve::resolve).
///
/// # Errors
/// [`ResolveError`]
pub fn renew<'a>(
    records: impl IntoIterator<Item = (usize, Record<'a>)>,
    suites: &[&str],
    manual: &[usize],
    architecture: &'a str,
    requests: &[String],
    locked: &Locked<'a>,
) -> Result<Renewal<'a>, ResolveError> {
    let (asked, pins) = split_all(requests, suites)?;
    // Kept versions belong to no suite: the index has other ones.
    let candidate = |record: &Record<'a>| Candidate { record: *record, suite: suites.len() };
    let mut kept: HashMap<&str, Option<Candidate>> =
        locked.kept.iter().map(|record| (record.name, Some(candidate(record)))).collect();
    kept.extend(locked.renewed.iter().map(|name| (*name, None)));
    let mut universe = Universe::keeping(records, architecture, &pins, |place| !manual.contains(&place), &kept)?;
    if let Some(name) = locked.renewed.iter().find(|name| universe.find(name).is_none()) {
        let request = asked.iter().zip(requests).find(|(asked, _)| *asked == name);
        let request = request.map_or((*name).to_owned(), |(_, request)| request.clone());
        return Err(ResolveError::Gone { request, needed_by: needed_by(&universe, locked, name)? });
    }
    // In the order in which the lock was made, since order decides the choice.
    let mut roots = asked;
    for name in &locked.manual {
        if !roots.contains(name) {
            roots.push(name);
        }
    }
    let newer: Vec<Id> = locked.kept.iter().filter_map(|record| universe.of_name(record.name).nth(1)).collect();
    for id in &newer {
        universe.ban(*id);
    }
    let mut chosen = choose(&universe, &groups(&universe, &roots))?;
    if chosen.is_none() {
        settle(&mut universe, &roots, &newer)?;
        chosen = choose(&universe, &groups(&universe, &roots))?;
    }
    let Some(chosen) = chosen else {
        return Err(ResolveError::Unsolvable(explain::explain(&universe, &groups(&universe, &roots))?));
    };
    universe.permit_all();
    let own: BTreeSet<Id> = groups(&universe, &roots)
        .iter()
        .filter_map(|group| group.satisfied_by.iter().copied().find(|id| chosen.contains(id)))
        .collect();
    let mut packages: Vec<Chosen> =
        chosen.iter().map(|id| Chosen { candidate: *universe.get(*id), auto: !own.contains(id) }).collect();
    packages.sort_by_key(|c| c.candidate.record.name);
    Ok(Renewal { packages, why: why::reasons(&universe, &chosen, locked)? })
}

/// Packages of the lock that depend on this one.
fn needed_by(universe: &Universe, locked: &Locked, name: &str) -> Result<Vec<String>, BadRelation> {
    let mut found = Vec::new();
    for record in &locked.kept {
        let needs = universe.find(record.name).map(|id| universe.needs(id)).transpose()?.unwrap_or_default();
        if needs.iter().flat_map(|group| &group.alternatives).any(|relation| relation.name == name) {
            found.push(record.name.to_owned());
        }
    }
    Ok(found)
}

/// The requests as groups: each name itself, or the packages that provide it.
fn groups<'r>(universe: &Universe<'r>, roots: &[&'r str]) -> Vec<Group<'r>> {
    let group = |name: &&'r str| {
        let alternatives = vec![Relation::plain(name)];
        let own = universe.of_name(name);
        if own.is_empty() {
            return universe.group(alternatives);
        }
        Group { alternatives, satisfied_by: own.filter(|id| !universe.is_banned(*id)).collect() }
    };
    roots.iter().map(group).collect()
}

/// Decides which of `newer`, the index's versions of kept packages, are used. The others are banned; for those that are
/// used the kept version is banned. If there is no solution, all kept versions are banned, so that the conflict is
/// explained as for a new lock.
fn settle(universe: &mut Universe, roots: &[&str], newer: &[Id]) -> Result<(), BadRelation> {
    for id in newer {
        universe.permit(*id);
    }
    let mut moving: Vec<Id> = newer.to_vec();
    if let Some(found) = solve(universe, &groups(universe, roots))? {
        hold(universe, &mut moving, &found);
        let mut place = 0;
        while let Some(id) = moving.get(place).copied() {
            universe.ban(id);
            if let Some(found) = solve(universe, &groups(universe, roots))? {
                hold(universe, &mut moving, &found);
            } else {
                universe.permit(id);
                place += 1;
            }
        }
    }
    for id in moving {
        let kept = universe.of_name(universe.get(id).record.name).start;
        universe.ban(kept);
    }
    Ok(())
}

/// Holds the packages that a solution does not change.
fn hold(universe: &mut Universe, moving: &mut Vec<Id>, found: &BTreeSet<Id>) {
    moving.retain(|id| {
        if !found.contains(id) {
            universe.ban(*id);
        }
        found.contains(id)
    });
}

#[cfg(test)]
mod tests;
