//! Renews some packages of a lock, and of the others only those that cannot stay as they are.
//!
//! A package comes along when a renewed one needs it newer, or when it needs a renewed one as it was. First all others are
//! held; where that has no solution, each may be chosen as it is kept or as the index has it now. A search that prefers the
//! kept ones finds one solution; then each package that changed in it is held again, one after the other, for good where
//! the rest can still be solved. So none is left that could have stayed alone, after one search for each at most.
//!
//! What the image is asked for is what the lock says that it is for its own sake: a package that Debian made part of every
//! system since does not come in by the way.

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
    /// What stays as it is if it can.
    pub kept: Vec<Record<'a>>,
    /// Names of what is to be as the index has it now.
    pub renewed: Vec<&'a str>,
    /// Names of those of both that are there for their own sake, not for others.
    pub manual: Vec<&'a str>,
}

/// What the image has then.
#[derive(Debug, Clone)]
pub struct Renewal<'a> {
    /// Sorted by name. Those that stayed have the record that was given for them.
    pub packages: Vec<Chosen<'a>>,
    /// Why packages changed, came in or went that were not to be renewed, by name.
    pub why: BTreeMap<String, String>,
}

/// Chooses packages for `requests` so that all of `locked.renewed` are as the index has them and as much as possible of
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
    // Kept versions are of no suite: those of the index are other ones.
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
    // In the order in which the lock was made: the order of choice.
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

/// Packages of the lock that need the one of this name.
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

/// What is asked for: each name as itself, or as whoever provides it.
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

/// Decides which of `newer`, the index's versions of what is kept, are taken: those that are not are banned, of the
/// others the kept version. Where there is no way at all, all kept versions are, so that what is in the way is explained
/// as for a lock that is made anew.
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

/// Holds what a solution does without.
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
