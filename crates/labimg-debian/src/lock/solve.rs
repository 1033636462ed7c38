//! Chooses packages: every dependency met, no conflicts, first alternatives preferred, nothing unneeded.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, Dependencies, DependencyProvider, Interner, KnownDependencies, NameId, Problem,
    Requirement, SolvableId, Solver, SolverCache, StringId, UnsolvableOrCancelled, VersionSetId, VersionSetUnionId,
};

use super::universe::{BadRelation, Group, Id, Universe};

/// A set of packages that meets `roots` and all dependencies within it; `None` when there is none.
///
/// # Errors
/// A relation that cannot be read.
pub fn solve(universe: &Universe, roots: &[Group]) -> Result<Option<BTreeSet<Id>>, BadRelation> {
    let provider = Provider { universe, unions: RefCell::default(), bad: Cell::default() };
    let requirements = roots.iter().map(|group| provider.requirement(group).into()).collect();
    let mut solver = Solver::new(provider);
    let chosen = solver.solve(Problem::new().requirements(requirements));
    if let Some(bad) = solver.provider().bad.take() {
        return Err(bad);
    }
    match chosen {
        Ok(chosen) => {
            let chosen = chosen.into_iter().map(|s| s.into_raw() as Id).collect();
            needed(universe, roots, &chosen).map(Some)
        }
        Err(UnsolvableOrCancelled::Unsolvable(_) | UnsolvableOrCancelled::Cancelled(_)) => Ok(None),
    }
}

/// Those of `chosen` that the roots lead to, without what the search tried and no longer needs.
fn needed(universe: &Universe, roots: &[Group], chosen: &BTreeSet<Id>) -> Result<BTreeSet<Id>, BadRelation> {
    let met = |group: &Group| group.satisfied_by.iter().copied().find(|id| chosen.contains(id));
    let mut reached = BTreeSet::new();
    let mut queue: Vec<Id> = roots.iter().filter_map(met).collect();
    while let Some(id) = queue.pop() {
        if reached.insert(id) {
            queue.extend(universe.needs(id)?.iter().filter_map(met));
        }
    }
    Ok(reached)
}

/// The universe in the solver's terms: each name has one solvable, its candidate, and both have the candidate's number.
///
/// Each name has two version sets: `2n` holds its candidate (for dependencies), `2n + 1` is empty (for conflicts: "if
/// installed, then in none of its versions"). The name after the last has no solvable and stands for what no package
/// satisfies.
struct Provider<'u, 'a> {
    universe: &'u Universe<'a>,
    unions: RefCell<Vec<Vec<VersionSetId>>>,
    bad: Cell<Option<BadRelation>>,
}

impl Provider<'_, '_> {
    fn requirement(&self, group: &Group) -> Requirement {
        let is = |id: Id| VersionSetId(id as u32 * 2);
        match group.satisfied_by.as_slice() {
            [] => is(self.universe.count()).into(),
            [one] => is(*one).into(),
            many => {
                let mut unions = self.unions.borrow_mut();
                unions.push(many.iter().copied().map(is).collect());
                VersionSetUnionId(unions.len() as u32 - 1).into()
            }
        }
    }

    fn known(&self, id: Id) -> Result<KnownDependencies, BadRelation> {
        let requirements = self.universe.needs(id)?.iter().map(|group| self.requirement(group).into()).collect();
        let rejected: BTreeSet<Id> = self.universe.rejects(id)?.into_iter().flat_map(|r| r.others).collect();
        let constrains = rejected.into_iter().map(|other| VersionSetId(other as u32 * 2 + 1)).collect();
        Ok(KnownDependencies { requirements, constrains })
    }
}

impl Interner for Provider<'_, '_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        self.universe.get(solvable.into_raw() as Id).record.name
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        let id = name.into_raw() as Id;
        if id < self.universe.count() { self.universe.get(id).record.name } else { "nothing" }
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        if version_set.0.is_multiple_of(2) { "any" } else { "none" }
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        "its relations cannot be read"
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        NameId::from_raw(version_set.0 / 2)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_raw(solvable.into_raw())
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.unions.borrow().get(union.0 as usize).cloned().unwrap_or_default().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        // Conditions are never used here.
        Condition::Requirement(VersionSetId(self.universe.count() as u32 * 2))
    }
}

impl DependencyProvider for Provider<'_, '_> {
    async fn filter_candidates(&self, all: &[SolvableId], version_set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        if version_set.0.is_multiple_of(2) == inverse { Vec::new() } else { all.to_vec() }
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let candidates = vec![SolvableId::from_raw(name.into_raw())];
        ((name.into_raw() as Id) < self.universe.count()).then(|| Candidates { candidates, ..Candidates::default() })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, _: &mut [SolvableId]) {}

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        match self.known(solvable.into_raw() as Id) {
            Ok(known) => Dependencies::Known(known),
            Err(bad) => {
                self.bad.set(Some(bad));
                Dependencies::Unknown(StringId(0))
            }
        }
    }
}
