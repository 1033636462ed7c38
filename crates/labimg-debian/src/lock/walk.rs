//! Takes the first choice everywhere, depth first, in the order of the fields, like apt's classic solver.
//!
//! What apt installs depends on the order in which it sees alternatives, so that order is kept here. The walk gives up
//! when first choices conflict; then [`solve`](super::solve) searches.

use std::collections::{BTreeMap, BTreeSet};

use super::universe::{BadRelation, Group, Id, Universe};

/// Longer dependency chains are left to the search, which does not use the stack. Debian's longest are below 200.
const DEEPEST: usize = 1000;

/// The packages that apt's walk chooses for `roots`; `None` when it finds no solution.
///
/// # Errors
/// A relation that cannot be read.
pub fn walk(universe: &Universe, roots: &[Group]) -> Result<Option<BTreeSet<Id>>, BadRelation> {
    let mut walk = Walk { universe, chosen: Vec::new(), inside: BTreeSet::new(), rejected: BTreeMap::new() };
    // All requested packages are chosen before the first alternative is considered.
    let mut asked = Vec::new();
    for group in roots {
        let Some(id) = group.satisfied_by.first().copied() else { return Ok(None) };
        if walk.inside.contains(&id) {
            continue;
        }
        if !walk.put(id)? {
            return Ok(None);
        }
        asked.push(id);
    }
    for id in asked {
        if !walk.meet(id, 0)? {
            return Ok(None);
        }
    }
    Ok(Some(walk.inside))
}

struct Walk<'u, 'a> {
    universe: &'u Universe<'a>,
    /// In order, each with the packages that it rejects.
    chosen: Vec<(Id, Vec<Id>)>,
    inside: BTreeSet<Id>,
    /// How many chosen packages reject a package.
    rejected: BTreeMap<Id, usize>,
}

impl Walk<'_, '_> {
    /// Adds a package, unless it conflicts with a chosen one.
    fn put(&mut self, id: Id) -> Result<bool, BadRelation> {
        let rejects: Vec<Id> = self.universe.rejects(id)?.into_iter().flat_map(|r| r.others).collect();
        if self.rejected.contains_key(&id) || rejects.iter().any(|other| self.inside.contains(other)) {
            return Ok(false);
        }
        for other in &rejects {
            *self.rejected.entry(*other).or_default() += 1;
        }
        self.inside.insert(id);
        self.chosen.push((id, rejects));
        Ok(true)
    }

    /// Removes all packages after the first `count`.
    fn undo(&mut self, count: usize) {
        for (id, rejects) in self.chosen.drain(count..) {
            self.inside.remove(&id);
            for other in rejects {
                if let Some(times) = self.rejected.get_mut(&other) {
                    *times -= 1;
                    if *times == 0 {
                        self.rejected.remove(&other);
                    }
                }
            }
        }
    }

    fn met(&self, group: &Group) -> bool {
        group.satisfied_by.iter().any(|id| self.inside.contains(id))
    }

    /// Adds the dependencies of a package. If that is impossible it undoes everything and returns false.
    fn meet(&mut self, id: Id, depth: usize) -> Result<bool, BadRelation> {
        if depth > DEEPEST {
            return Ok(false);
        }
        let before = self.chosen.len();
        let mut open = self.universe.needs(id)?;
        open.retain(|group| !self.met(group));
        for group in open {
            if self.met(&group) {
                continue;
            }
            let mut found = false;
            for candidate in group.satisfied_by {
                let count = self.chosen.len();
                if self.put(candidate)? && self.meet(candidate, depth + 1)? {
                    found = true;
                    break;
                }
                self.undo(count);
            }
            if !found {
                self.undo(before);
                return Ok(false);
            }
        }
        Ok(true)
    }
}
