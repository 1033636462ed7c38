//! All packages that could be installed, and which of them satisfy a relation: one architecture, one candidate a name.
//!
//! As for apt, only the candidate of a name (the highest version, or the one asked for) can be chosen.

use std::collections::HashMap;

use super::table::Record;
use crate::debian::relation::{self, Operator, Relation, RelationError};
use crate::debian::version;

/// A package by its place in [`Universe::candidates`].
pub type Id = usize;

/// A record and the suite it is from.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// What the index says of it.
    pub record: Record<'a>,
    /// Place of its suite in the caller's list.
    pub suite: usize,
}

/// One name that a candidate provides.
#[derive(Debug, Clone, Copy)]
struct Provider<'a> {
    id: Id,
    /// `Provides: name (= version)`
    version: Option<&'a str>,
}

/// The packages of all suites.
#[derive(Debug)]
pub struct Universe<'a> {
    architecture: &'a str,
    /// All versions, by name, the highest first: names are found by bisection, which is cheaper than a map of all.
    versions: Vec<Candidate<'a>>,
    /// By name, one each.
    candidates: Vec<Candidate<'a>>,
    providers: HashMap<&'a str, Vec<Provider<'a>>>,
}

/// A relation of a package that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("package {package} {version}: {source}")]
pub struct BadRelation {
    /// Name of the package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// What is wrong.
    pub source: RelationError,
}

/// An or-group of a dependency, as written, and the candidates that satisfy it, the preferred first.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The alternatives.
    pub alternatives: Vec<Relation<'a>>,
    /// Who satisfies one of them.
    pub satisfied_by: Vec<Id>,
}

/// A relation that keeps packages out, and the candidates that it means.
#[derive(Debug, Clone)]
pub struct Rejection<'a> {
    /// `conflicts with` or `breaks`.
    pub verb: &'static str,
    /// As written.
    pub relation: Relation<'a>,
    /// Whom it keeps out.
    pub others: Vec<Id>,
}

impl<'a> Universe<'a> {
    /// Sorts out `records` (each with the place of its suite) for `architecture`. `pins` names the version that is the
    /// candidate of a name in place of the highest; versions of suites that `automatic` denies (by their place) are
    /// candidates only when pinned, or when no other suite has the name.
    ///
    /// # Errors
    /// A `Provides` that cannot be read.
    pub fn new(
        records: impl IntoIterator<Item = (usize, Record<'a>)>,
        architecture: &'a str,
        pins: &HashMap<&str, Pin>,
        automatic: impl Fn(usize) -> bool,
    ) -> Result<Self, BadRelation> {
        let mut versions: Vec<_> = records.into_iter().map(|(suite, record)| Candidate { record, suite }).collect();
        // Stable: of equal versions the first suite's comes first.
        versions.sort_by(|a, b| {
            let (a, b) = (&a.record, &b.record);
            a.name.cmp(b.name).then_with(|| version::compare(b.version, a.version))
        });
        let mut this = Self { architecture, versions: Vec::new(), candidates: Vec::new(), providers: HashMap::new() };
        for list in versions.chunk_by(|a, b| a.record.name == b.record.name) {
            let pin = list.first().and_then(|c| pins.get(c.record.name));
            let candidate = match pin {
                // A pin that fits nothing leaves the name without a candidate.
                Some(pin) => list.iter().find(|c| pin.fits(c)),
                None => list.iter().find(|c| automatic(c.suite)).or(list.first()),
            };
            if let Some(candidate) = candidate {
                this.add(*candidate)?;
            }
        }
        this.versions = versions;
        Ok(this)
    }

    fn add(&mut self, candidate: Candidate<'a>) -> Result<(), BadRelation> {
        let id = self.candidates.len();
        self.candidates.push(candidate);
        for group in read(&candidate.record, candidate.record.provides)? {
            for provided in group {
                // Policy 7.5: only `=` says which version is provided.
                let version = provided.version.filter(|(operator, _)| *operator == Operator::Equal).map(|(_, v)| v);
                self.providers.entry(provided.name).or_default().push(Provider { id, version });
            }
        }
        Ok(())
    }

    /// The candidate with this number.
    ///
    /// # Panics
    /// When the number is not from this universe.
    #[must_use]
    pub fn get(&self, id: Id) -> &Candidate<'a> {
        &self.candidates[id]
    }

    /// The architecture it is for.
    #[must_use]
    pub fn architecture(&self) -> &'a str {
        self.architecture
    }

    /// How many candidates there are; their numbers are below that.
    #[must_use]
    pub fn count(&self) -> usize {
        self.candidates.len()
    }

    /// The candidate of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Id> {
        self.candidates.binary_search_by_key(&name, |c| c.record.name).ok()
    }

    /// Names of all packages, sorted, some more than once.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + '_ {
        self.versions.iter().map(|c| c.record.name)
    }

    /// All versions of a name, the highest first.
    #[must_use]
    pub fn versions(&self, name: &str) -> &[Candidate<'a>] {
        let start = self.versions.partition_point(|c| c.record.name < name);
        let rest = self.versions.get(start..).unwrap_or(&[]);
        rest.get(..rest.partition_point(|c| c.record.name == name)).unwrap_or(&[])
    }

    /// The candidates that provide a name, in the order of the indexes.
    pub fn providers(&self, name: &str) -> impl Iterator<Item = Id> + '_ {
        self.providers.get(name).into_iter().flatten().map(|p| p.id)
    }

    /// The candidates that satisfy a relation: the package of that name first, then those that provide it, by priority.
    #[must_use]
    pub fn satisfying(&self, relation: &Relation) -> Vec<Id> {
        let any = match relation.qualifier {
            None | Some("native") => false,
            Some("any") => true,
            Some(other) if other == self.architecture => false,
            Some(_) => return Vec::new(),
        };
        // deb-multiarch: `:any` asks for a package that says `Multi-Arch: allowed`.
        let fits = |id: &Id| !any || self.candidates[*id].record.allowed;
        let mut found = Vec::new();
        if let Some(id) = self.find(relation.name).filter(fits)
            && relation.accepts(self.candidates[id].record.version)
        {
            found.push(id);
        }
        let mut provided: Vec<Id> = self
            .providers
            .get(relation.name)
            .into_iter()
            .flatten()
            // Policy 7.5: a relation with a version is satisfied by a provided version only.
            .filter(|p| relation.version.is_none() || p.version.is_some_and(|v| relation.accepts(v)))
            .map(|p| p.id)
            .filter(|id| fits(id) && !found.contains(id))
            .collect();
        provided.sort_by_key(|id| {
            let record = &self.candidates[*id].record;
            (!record.essential, record.priority)
        });
        provided.dedup();
        found.append(&mut provided);
        found
    }

    /// What a candidate needs: `Pre-Depends`, then `Depends`.
    ///
    /// # Errors
    /// A field that cannot be read.
    pub fn needs(&self, id: Id) -> Result<Vec<Group<'a>>, BadRelation> {
        let record = self.candidates[id].record;
        let mut groups = read(&record, record.pre_depends)?;
        groups.append(&mut read(&record, record.depends)?);
        Ok(groups.into_iter().map(|alternatives| self.group(alternatives)).collect())
    }

    /// An or-group with those that satisfy it, each once, in the order of the alternatives.
    #[must_use]
    pub fn group(&self, alternatives: Vec<Relation<'a>>) -> Group<'a> {
        let mut satisfied_by = Vec::new();
        for relation in &alternatives {
            for id in self.satisfying(relation) {
                if !satisfied_by.contains(&id) {
                    satisfied_by.push(id);
                }
            }
        }
        Group { alternatives, satisfied_by }
    }

    /// With whom a candidate cannot be: `Conflicts`, then `Breaks`; never itself.
    ///
    /// # Errors
    /// A field that cannot be read.
    pub fn rejects(&self, id: Id) -> Result<Vec<Rejection<'a>>, BadRelation> {
        let record = self.candidates[id].record;
        let mut all = Vec::new();
        for (verb, field) in [("conflicts with", record.conflicts), ("breaks", record.breaks)] {
            for relation in read(&record, field)?.into_iter().flatten() {
                let mut others = self.satisfying(&relation);
                others.retain(|other| *other != id);
                if !others.is_empty() {
                    all.push(Rejection { verb, relation, others });
                }
            }
        }
        Ok(all)
    }
}

/// Which version of a name is to be its candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// `name=version`
    Version(String),
    /// `name/suite`, by its place in the caller's list.
    Suite(usize),
}

impl Pin {
    fn fits(&self, candidate: &Candidate) -> bool {
        match self {
            Self::Version(version) => version == candidate.record.version,
            Self::Suite(suite) => *suite == candidate.suite,
        }
    }
}

fn read<'a>(record: &Record<'a>, field: &'a str) -> Result<Vec<Vec<Relation<'a>>>, BadRelation> {
    relation::parse(field).map_err(|source| BadRelation {
        package: record.name.to_owned(),
        version: record.version.to_owned(),
        source,
    })
}
