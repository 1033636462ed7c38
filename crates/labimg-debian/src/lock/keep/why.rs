//! Why a package of a lock was changed, added or removed: the relation that decides it, in Debian's terms.

use std::collections::{BTreeMap, BTreeSet};

use super::Locked;
use crate::lock::explain::words;
use crate::lock::universe::{BadRelation, Group, Id, Rejection, Universe};

/// A sentence for each change that was not requested, by name.
pub(super) fn reasons(
    universe: &Universe,
    chosen: &BTreeSet<Id>,
    locked: &Locked,
) -> Result<BTreeMap<String, String>, BadRelation> {
    let name = |id: Id| universe.get(id).record.name;
    let after = After { universe, chosen };
    let mut why = BTreeMap::new();
    // An added package is identified by its own number, a changed one by that of its kept version.
    let known: BTreeSet<&str> = locked.kept.iter().map(|r| r.name).chain(locked.renewed.iter().copied()).collect();
    let mut open: Vec<Id> = chosen.iter().copied().filter(|id| !known.contains(name(*id))).collect();
    for record in &locked.kept {
        let mut versions = universe.of_name(record.name);
        match versions.next() {
            Some(kept) if chosen.contains(&kept) => {}
            Some(kept) if versions.any(|id| chosen.contains(&id)) => open.push(kept),
            Some(kept) => drop(why.insert(record.name.to_owned(), after.gone(kept)?)),
            None => {}
        }
    }
    // Starts at the requested packages: binary packages of one source are reasons for each other, and a cycle of such
    // reasons explains nothing.
    let mut told: BTreeSet<&str> = locked.renewed.iter().copied().collect();
    let mut all = false;
    while !open.is_empty() {
        let mut found = Vec::new();
        for id in &open {
            let counts = |other: &str| all || told.contains(other);
            let reason = if chosen.contains(id) { after.wanted(*id, &counts) } else { after.obstacle(*id, &counts) };
            found.extend(reason?.map(|reason| (*id, reason)));
        }
        if found.is_empty() && std::mem::replace(&mut all, true) {
            break;
        }
        open.retain(|id| found.iter().all(|(other, _)| other != id));
        for (id, reason) in found {
            told.insert(name(id));
            why.insert(name(id).to_owned(), reason);
        }
    }
    Ok(why)
}

/// The packages after the renewal.
struct After<'u, 'a> {
    universe: &'u Universe<'a>,
    chosen: &'u BTreeSet<Id>,
}

impl After<'_, '_> {
    /// Why the kept version `kept` cannot replace another version of it among the packages; only for reasons that
    /// involve a package whose name `counts`.
    fn obstacle(&self, kept: Id, counts: &dyn Fn(&str) -> bool) -> Result<Option<String>, BadRelation> {
        let name = |id: Id| self.universe.get(id).record.name;
        let versions = self.universe.of_name(name(kept));
        let others = || self.chosen.iter().copied().filter(|id| !versions.contains(id));
        let met = |group: &Group| {
            group.satisfied_by.iter().any(|id| *id == kept || (self.chosen.contains(id) && !versions.contains(id)))
        };
        for id in others().filter(|id| counts(name(*id))) {
            let needs = self.universe.needs(id)?;
            let by_it = |group: &&Group| group.satisfied_by.iter().any(|id| versions.contains(id));
            if let Some(group) = needs.iter().filter(by_it).find(|group| !met(group)) {
                return Ok(Some(self.depends(id, group)));
            }
            if let Some(rejection) = self.universe.rejects(id)?.iter().find(|r| r.others.contains(&kept)) {
                return Ok(Some(self.rejects(id, rejection)));
            }
        }
        let about = |group: &&Group| group.alternatives.iter().any(|relation| counts(relation.name));
        if let Some(group) = self.universe.needs(kept)?.iter().filter(about).find(|group| !met(group)) {
            return Ok(Some(self.depends(kept, group)));
        }
        let rejects = self.universe.rejects(kept)?;
        let mut in_the_way = others().filter(|id| counts(name(*id)));
        let rejection = in_the_way.find_map(|other| rejects.iter().find(|r| r.others.contains(&other)));
        Ok(rejection.map(|rejection| self.rejects(kept, rejection)))
    }

    /// Why a package of the lock was removed.
    fn gone(&self, kept: Id) -> Result<String, BadRelation> {
        let versions = self.universe.of_name(self.universe.get(kept).record.name);
        let mut reason = None;
        for id in self.chosen {
            let mut would_meet = self.universe.needs(*id)?.into_iter().flat_map(|group| group.satisfied_by);
            if would_meet.any(|id| versions.contains(&id)) {
                reason = self.obstacle(kept, &|_| true)?;
                break;
            }
        }
        // Another package meets the same dependency.
        Ok(reason.unwrap_or_else(|| "nothing needs it any more".to_owned()))
    }

    /// The package that needs an added one, among those whose names count.
    fn wanted(&self, new: Id, counts: &dyn Fn(&str) -> bool) -> Result<Option<String>, BadRelation> {
        for id in self.chosen.iter().filter(|id| counts(self.universe.get(**id).record.name)) {
            for group in self.universe.needs(*id)? {
                let taken = group.satisfied_by.iter().find(|id| self.chosen.contains(id));
                if taken == Some(&new) {
                    return Ok(Some(self.depends(*id, &group)));
                }
            }
        }
        Ok(None)
    }

    fn depends(&self, id: Id, group: &Group) -> String {
        format!("{} depends on {}", self.shown(id), words(group))
    }

    fn rejects(&self, id: Id, Rejection { verb, relation, .. }: &Rejection) -> String {
        format!("{} {verb} {relation}", self.shown(id))
    }

    fn shown(&self, id: Id) -> String {
        let record = self.universe.get(id).record;
        format!("{} {}", record.name, record.version)
    }
}
