//! From names to exact packages, as apt would choose them without recommended packages.

use std::collections::{BTreeSet, HashMap};

use super::explain::{self, Trouble};
use super::solve::solve;
use super::table::Record;
use super::universe::{BadRelation, Candidate, Group, Id, Pin, Universe};
use super::walk::walk;
use crate::relation::{Relation, is_package_name};
use labimg_tree::fault::{Fault, FaultKind};
use labimg_tree::suggest::{did_you_mean, nearest_of_many};

/// Why a request cannot be met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Not `name`, `name=version` or `name/suite`.
    #[error("`{0}` is not a package request")]
    Request(String),
    /// No package has this name.
    #[error("there is no package `{name}` for {architecture}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The architecture.
        architecture: String,
        /// Similar names, the nearest first.
        nearest: Vec<String>,
    },
    /// A virtual package with several providers.
    #[error("`{name}` is not a package but provided by {}", .providers.join(", "))]
    Virtual {
        /// The name asked for.
        name: String,
        /// Its providers.
        providers: Vec<String>,
    },
    /// The package has no such version.
    #[error("`{request}`: there is no such version, only {}", .versions.join(", "))]
    Version {
        /// The request.
        request: String,
        /// The available versions, with their suites.
        versions: Vec<String>,
    },
    /// The same name with two versions.
    #[error("`{0}` is asked for in two different versions")]
    Twice(String),
    /// A package to be renewed is no longer available.
    #[error("the mirror no longer has `{request}`")]
    Gone {
        /// Its name, or the request for it.
        request: String,
        /// Packages of the lock that depend on it.
        needed_by: Vec<String>,
    },
    /// The index has a relation that cannot be parsed.
    #[error(transparent)]
    Relation(#[from] BadRelation),
    /// No set of packages meets the request.
    #[error("{0}")]
    Unsolvable(Trouble),
}

impl Fault for ResolveError {
    fn kind(&self) -> FaultKind {
        match self {
            Self::Request(_)
            | Self::Unknown { .. }
            | Self::Virtual { .. }
            | Self::Version { .. }
            | Self::Twice(_)
            | Self::Gone { .. }
            // Another choice of packages may avoid the bad one.
            | Self::Relation(_)
            | Self::Unsolvable(_) => FaultKind::Configuration,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Request(_) => Some("write `name`, `name=version` or `name/suite`".to_owned()),
            Self::Unknown { nearest, .. } => did_you_mean(nearest),
            Self::Virtual { .. } => Some("ask for one of them".to_owned()),
            Self::Gone { needed_by, .. } => {
                (!needed_by.is_empty()).then(|| format!("renew what needs it instead ({})", needed_by.join(", ")))
            }
            Self::Relation(source) => source.help(),
            Self::Version { .. } | Self::Twice(_) | Self::Unsolvable(_) => None,
        }
    }
}

/// A chosen package.
#[derive(Debug, Clone, Copy)]
pub struct Chosen<'a> {
    /// Its record in the index, and the index of its suite.
    pub candidate: Candidate<'a>,
    /// True when only installed as a dependency.
    pub auto: bool,
}

/// Chooses packages that meet all of `requests`, sorted by name. `suites` are the names of the suites that records
/// refer to by index, `manual` those whose packages are used only on request. With `base`, `Essential: yes`, `Priority:
/// required` and apt itself are requests as well.
///
/// # Errors
/// [`ResolveError`]
pub fn resolve<'a>(
    records: impl IntoIterator<Item = (usize, Record<'a>)>,
    suites: &[&str],
    manual: &[usize],
    architecture: &'a str,
    requests: &[String],
    base: bool,
) -> Result<Vec<Chosen<'a>>, ResolveError> {
    let (names, pins) = split_all(requests, suites)?;
    let universe = Universe::new(records, architecture, &pins, |place| !manual.contains(&place))?;
    // In the order of the request, which is the order of choice; then the base.
    let mut roots = Vec::new();
    for (name, request) in names.into_iter().zip(requests) {
        roots.push(target(&universe, name, request, suites)?);
    }
    if base {
        let fixed = |id: &Id| {
            let record = &universe.get(*id).record;
            record.essential || record.priority == 1 || record.name == "apt"
        };
        roots.extend((0..universe.count()).filter(fixed));
    }
    let mut seen = BTreeSet::new();
    roots.retain(|id| seen.insert(*id));
    let groups: Vec<Group> = roots
        .iter()
        .map(|id| {
            let relation = Relation::plain(universe.get(*id).record.name);
            Group { alternatives: vec![relation], satisfied_by: vec![*id] }
        })
        .collect();
    let Some(chosen) = choose(&universe, &groups)? else {
        return Err(ResolveError::Unsolvable(explain::explain(&universe, &groups)?));
    };
    let mut chosen: Vec<Chosen> =
        chosen.into_iter().map(|id| Chosen { candidate: *universe.get(id), auto: !seen.contains(&id) }).collect();
    chosen.sort_by_key(|c| c.candidate.record.name);
    Ok(chosen)
}

/// The result of apt's walk, else of a search; `None` when there is no solution.
pub(super) fn choose(universe: &Universe, groups: &[Group]) -> Result<Option<BTreeSet<Id>>, BadRelation> {
    match walk(universe, groups)? {
        Some(chosen) => Ok(Some(chosen)),
        None => solve(universe, groups),
    }
}

/// The names of requests, and the versions that some of them ask for.
pub(super) fn split_all<'r>(
    requests: &'r [String],
    suites: &[&str],
) -> Result<(Vec<&'r str>, HashMap<&'r str, Pin>), ResolveError> {
    let (mut names, mut pins) = (Vec::new(), HashMap::new());
    for request in requests {
        let (name, pin) = split(request, suites)?;
        if let Some(pin) = pin {
            if pins.get(name).is_some_and(|other| *other != pin) {
                return Err(ResolveError::Twice(name.to_owned()));
            }
            pins.insert(name, pin);
        }
        names.push(name);
    }
    Ok((names, pins))
}

/// Name and version of a request.
fn split<'r>(request: &'r str, suites: &[&str]) -> Result<(&'r str, Option<Pin>), ResolveError> {
    let bad = || ResolveError::Request(request.to_owned());
    let (name, pin) = if let Some((name, version)) = request.split_once('=') {
        (name, Some(Pin::Version(version.to_owned())))
    } else if let Some((name, suite)) = request.split_once('/') {
        let place = suites.iter().position(|s| *s == suite).ok_or_else(bad)?;
        (name, Some(Pin::Suite(place)))
    } else {
        (request, None)
    };
    if is_package_name(name) { Ok((name, pin)) } else { Err(bad()) }
}

/// The candidate for a request: the package with that name, or the only one that provides it.
fn target(universe: &Universe, name: &str, request: &str, suites: &[&str]) -> Result<Id, ResolveError> {
    if let Some(id) = universe.find(name) {
        return Ok(id);
    }
    let versions = universe.versions(name);
    if !versions.is_empty() {
        let shown = |c: &Candidate| format!("{} ({})", c.record.version, suites.get(c.suite).unwrap_or(&"?"));
        let versions = versions.iter().map(shown).collect();
        return Err(ResolveError::Version { request: request.to_owned(), versions });
    }
    let mut providers: Vec<Id> = universe.providers(name).collect();
    providers.dedup();
    match providers.as_slice() {
        [] => Err(ResolveError::Unknown {
            name: name.to_owned(),
            architecture: universe.architecture().to_owned(),
            nearest: nearest_of_many(name, universe.names()),
        }),
        [one] => Ok(*one),
        many => {
            let mut providers: Vec<String> = many.iter().map(|id| universe.get(*id).record.name.to_owned()).collect();
            providers.sort();
            Err(ResolveError::Virtual { name: name.to_owned(), providers })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::table;

    /// Packages as lines `name fields`, with fields separated by `; `.
    fn chosen(packages: &str, requests: &[&str]) -> Result<String, ResolveError> {
        let end = format!("Version: 1\nArchitecture: all\nFilename: x\nSize: 1\nSHA256: {}\n\n", "0".repeat(64));
        let stanza = |line: &str| {
            let (name, fields) = line.split_once(' ').unwrap_or((line, ""));
            let fields = fields.replace("; ", "\n");
            format!("Package: {name}\n{fields}{}{end}", if fields.is_empty() { "" } else { "\n" })
        };
        let table = table::make(&packages.lines().map(stanza).collect::<String>(), "arm64").unwrap();
        let records = table::records(&table).map(|r| (0, r.unwrap()));
        let requests: Vec<String> = requests.iter().map(|r| (*r).to_owned()).collect();
        let chosen = resolve(records, &["trixie"], &[], "arm64", &requests, false)?;
        Ok(chosen.iter().map(|c| c.candidate.record.name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn alternatives_in_apts_order() {
        let packages = "a Depends: x | y\nb Depends: y\nv Depends: mta\nm Provides: mta\nn Priority: required; Provides: mta\nx\ny";
        assert_eq!(chosen(packages, &["a"]).unwrap(), "a x");
        assert_eq!(chosen(packages, &["a", "y"]).unwrap(), "a y");
        // As apt does: the alternative is chosen before the later dependency on the other one is seen.
        assert_eq!(chosen(packages, &["a", "b"]).unwrap(), "a b x y");
        assert_eq!(chosen(packages, &["b", "a"]).unwrap(), "a b y");
        assert_eq!(chosen(packages, &["v"]).unwrap(), "n v");
        assert_eq!(
            chosen("a Depends: gone | x, c:any, d:any\nx\nc Multi-Arch: allowed\nd Multi-Arch: allowed", &["a"])
                .unwrap(),
            "a c d x"
        );
        assert!(chosen("a Depends: c:any\nc Multi-Arch: foreign", &["a"]).is_err());
    }

    #[test]
    fn a_search_where_first_choices_collide() {
        let packages = "a Depends: x | y\nb Depends: z\nz Conflicts: x\nx\ny";
        assert_eq!(chosen(packages, &["a", "b"]).unwrap(), "a b y z");
        // The walk backtracks when an alternative leads nowhere.
        assert_eq!(chosen("a Depends: x | y\nx Depends: w\nw Depends: gone\ny", &["a"]).unwrap(), "a y");
    }

    #[test]
    fn a_chain_deeper_than_the_walk_goes() {
        let mut packages: Vec<String> = (0..3000).map(|i| format!("p{i} Depends: p{}", i + 1)).collect();
        packages.push("p3000".to_owned());
        let packages = packages.join("\n");
        assert_eq!(chosen(&packages, &["p0"]).unwrap().split(' ').count(), 3001);
    }

    #[test]
    fn requests_that_are_none() {
        let refused = |request| chosen("alpha\nbeta Provides: v\ngamma Provides: v, w", &[request]).unwrap_err();
        let error = |request| refused(request).to_string();
        assert_eq!(refused("alpah").help().as_deref(), Some("did you mean `alpha`?"));
        assert!(error("zzzzzz").ends_with("for arm64") && refused("zzzzzz").help().is_none());
        assert!(error("v").ends_with("provided by beta, gamma"));
        assert_eq!(refused("v").help().as_deref(), Some("ask for one of them"));
        assert!(error("alpha=2").contains("only 1 (trixie)"));
        for bad in ["", "a b", "alpha/sid", "=1", "ä"] {
            assert!(error(bad).contains("not a package request"), "{bad}");
            assert!(refused(bad).help().unwrap().contains("`name=version`"), "{bad}");
            assert_eq!(refused(bad).kind().exit_code(), 2);
        }
        assert_eq!(chosen("gamma Provides: w", &["w"]).unwrap(), "gamma");
    }
}
