//! All packages that could be installed, and which of them satisfy a relation: one architecture, one candidate per
//! name.
//!
//! As for apt, only the candidate of a name (the highest version, or the one asked for) can be chosen. When a lock's
//! versions should be kept, a name has two candidates: the kept one and the index's. They exclude each other, and
//! either can be banned.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use super::table::Record;
use crate::relation::{self, Operator, Relation, RelationError};
use crate::version;
use labimg_tree::fault::{Fault, FaultKind};

/// A package by its index in `Universe::candidates`.
pub type Id = usize;

/// A record and the suite it is from.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its record in the index.
    pub record: Record<'a>,
    /// Index of its suite in the caller's list.
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
    /// All versions, by name, the highest first: names are found by binary search, which is cheaper than a map of all.
    versions: Vec<Candidate<'a>>,
    /// Sorted by name, one each. When the index has another version than the kept one, it comes after that.
    candidates: Vec<Candidate<'a>>,
    /// In the order of `candidates`.
    standings: Vec<Standing>,
    providers: HashMap<&'a str, Vec<Provider<'a>>>,
    /// Candidates that cannot be chosen now.
    banned: BTreeSet<Id>,
}

/// Preference among alternatives: a package of the lock is preferred over another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// The lock's version, or a package that is to be renewed in any case.
    Kept,
    /// The index's version of a package that should be kept if possible.
    Renewed,
    /// Not in the lock.
    Other,
}

/// A relation of a package that cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a relation of package {package} {version} cannot be read")]
pub struct BadRelation {
    /// Name of the package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// What is wrong.
    pub source: RelationError,
}

impl Fault for BadRelation {
    fn kind(&self) -> FaultKind {
        FaultKind::World
    }
}

/// An or-group of a dependency, as written, and the candidates that satisfy it, the preferred first.
#[derive(Debug, Clone)]
pub struct Group<'a> {
    /// The alternatives.
    pub alternatives: Vec<Relation<'a>>,
    /// Candidates that satisfy one of them.
    pub satisfied_by: Vec<Id>,
}

/// A relation that excludes packages, and the candidates that it excludes.
#[derive(Debug, Clone)]
pub struct Rejection<'a> {
    /// `conflicts with`, `breaks` or `replaces`.
    pub verb: &'static str,
    /// As written.
    pub relation: Relation<'a>,
    /// The candidates that it excludes.
    pub others: Vec<Id>,
}

impl<'a> Universe<'a> {
    /// Builds the universe of `records` (each with the index of its suite) for `architecture`. `pins` gives the version
    /// that is the candidate of a name instead of the highest. Versions from suites for which `automatic` returns false
    /// (by index) are candidates only when pinned, or when no other suite has the name.
    ///
    /// # Errors
    /// A `Provides` that cannot be read.
    pub fn new(
        records: impl IntoIterator<Item = (usize, Record<'a>)>,
        architecture: &'a str,
        pins: &HashMap<&str, Pin>,
        automatic: impl Fn(usize) -> bool,
    ) -> Result<Self, BadRelation> {
        Self::keeping(records, architecture, pins, automatic, &HashMap::new())
    }

    /// As [`new`](Self::new), with the packages of a lock: by name, the version that is a second candidate beside the
    /// index's, or none when only the index's should be one.
    ///
    /// # Errors
    /// A `Provides` that cannot be read.
    pub fn keeping(
        records: impl IntoIterator<Item = (usize, Record<'a>)>,
        architecture: &'a str,
        pins: &HashMap<&str, Pin>,
        automatic: impl Fn(usize) -> bool,
        kept: &HashMap<&'a str, Option<Candidate<'a>>>,
    ) -> Result<Self, BadRelation> {
        let mut versions: Vec<_> = records.into_iter().map(|(suite, record)| Candidate { record, suite }).collect();
        // A stable sort: of equal versions the first suite's comes first.
        versions.sort_by(|a, b| {
            let (a, b) = (&a.record, &b.record);
            a.name.cmp(b.name).then_with(|| version::compare(b.version, a.version))
        });
        let mut chosen: Vec<(Standing, Candidate)> = kept.values().flatten().map(|c| (Standing::Kept, *c)).collect();
        for list in versions.chunk_by(|a, b| a.record.name == b.record.name) {
            let pin = list.first().and_then(|c| pins.get(c.record.name));
            let candidate = match pin {
                // A pin that matches nothing leaves the name without a candidate.
                Some(pin) => list.iter().find(|c| pin.fits(c)),
                None => list.iter().find(|c| automatic(c.suite)).or(list.first()),
            };
            let Some(candidate) = candidate else { continue };
            match kept.get(candidate.record.name) {
                None => chosen.push((Standing::Other, *candidate)),
                Some(None) => chosen.push((Standing::Kept, *candidate)),
                Some(Some(old)) if old.record.version == candidate.record.version => {}
                Some(Some(_)) => chosen.push((Standing::Renewed, *candidate)),
            }
        }
        chosen.sort_by_key(|(standing, candidate)| (candidate.record.name, *standing));
        let mut this = Self {
            architecture,
            versions,
            candidates: Vec::new(),
            standings: Vec::new(),
            providers: HashMap::new(),
            banned: BTreeSet::new(),
        };
        for (standing, candidate) in chosen {
            this.add(standing, candidate)?;
        }
        Ok(this)
    }

    fn add(&mut self, standing: Standing, candidate: Candidate<'a>) -> Result<(), BadRelation> {
        let id = self.candidates.len();
        self.candidates.push(candidate);
        self.standings.push(standing);
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

    /// Number of candidates; their ids are below it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.candidates.len()
    }

    /// The candidate of a name; of two, the kept one unless banned.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Id> {
        self.of_name(name).find(|id| !self.banned.contains(id))
    }

    /// All candidates of a name, including banned ones, the kept one first.
    #[must_use]
    pub fn of_name(&self, name: &str) -> Range<Id> {
        let start = self.candidates.partition_point(|c| c.record.name < name);
        let rest = self.candidates.get(start..).unwrap_or(&[]);
        start..start + rest.iter().take_while(|c| c.record.name == name).count()
    }

    /// Prevents a candidate from being chosen.
    pub fn ban(&mut self, id: Id) {
        self.banned.insert(id);
    }

    /// Allows a candidate to be chosen again.
    pub fn permit(&mut self, id: Id) {
        self.banned.remove(&id);
    }

    /// Allows all candidates to be chosen again.
    pub fn permit_all(&mut self) {
        self.banned.clear();
    }

    /// Whether a candidate is banned.
    #[must_use]
    pub fn is_banned(&self, id: Id) -> bool {
        self.banned.contains(&id)
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
        self.providers.get(name).into_iter().flatten().map(|p| p.id).filter(|id| !self.banned.contains(id))
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
        // deb-multiarch: `:any` asks for a package with `Multi-Arch: allowed`.
        let fits = |id: &Id| (!any || self.candidates[*id].record.allowed) && !self.banned.contains(id);
        let accepted = |id: &Id| relation.accepts(self.candidates[*id].record.version);
        let mut found: Vec<Id> = self.of_name(relation.name).filter(fits).filter(accepted).collect();
        let mut provided: Vec<Id> = self
            .providers
            .get(relation.name)
            .into_iter()
            .flatten()
            // Policy 7.5: a versioned relation is only satisfied by a versioned `Provides`.
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

    /// The dependencies of a candidate: `Pre-Depends`, then `Depends`.
    ///
    /// # Errors
    /// A field that cannot be read.
    pub fn needs(&self, id: Id) -> Result<Vec<Group<'a>>, BadRelation> {
        let record = self.candidates[id].record;
        let mut groups = read(&record, record.pre_depends)?;
        groups.append(&mut read(&record, record.depends)?);
        Ok(groups.into_iter().map(|alternatives| self.group(alternatives)).collect())
    }

    /// An or-group with the candidates that satisfy it, each once, in the order of the alternatives; kept ones come
    /// first.
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
        satisfied_by.sort_by_key(|id| self.standings[*id]);
        Group { alternatives, satisfied_by }
    }

    /// What a candidate excludes: `Conflicts`, then `Breaks`, then the other version of the same name; never itself.
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
        let mut others: Vec<Id> = self.of_name(record.name).collect();
        others.retain(|other| *other != id && !self.banned.contains(other));
        if !others.is_empty() {
            all.push(Rejection { verb: "replaces", relation: Relation::plain(record.name), others });
        }
        Ok(all)
    }
}

/// Which version of a name is its candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// `name=version`
    Version(String),
    /// `name/suite`, as an index in the caller's list.
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
