//! Why a request cannot be met, in Debian's terms: the smallest part that is impossible, and the chain of reasons.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use super::solve::solve;
use super::universe::{BadRelation, Group, Id, Rejection, Universe};
use crate::relation::Relation;

/// An explanation: sentences, the most specific last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The requested packages that cannot be installed together, or the one that cannot be installed at all.
    pub requests: Vec<String>,
    /// The chain from them to the reason.
    pub chain: Vec<String>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.requests.as_slice() {
            [one] => write!(f, "{one} cannot be installed")?,
            many => write!(f, "{} cannot be installed together", many.join(", "))?,
        }
        for (number, sentence) in self.chain.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { "; " })?;
            f.write_str(sentence)?;
        }
        Ok(())
    }
}

/// Explains why `roots` have no solution.
///
/// # Errors
/// A relation that cannot be read.
pub fn explain(universe: &Universe, roots: &[Group]) -> Result<Trouble, BadRelation> {
    let roots = smallest(universe, roots)?;
    let name = |id: &Id| universe.get(*id).record.name.to_owned();
    let requests = roots.iter().flat_map(|g| g.satisfied_by.iter()).map(name).collect();
    let chain = match missing(universe, &roots)? {
        Some(chain) => chain,
        None => Forced::contradiction(universe, &roots)?,
    };
    let chain = if chain.is_empty() { vec!["each way to meet its needs ends in a conflict".to_owned()] } else { chain };
    Ok(Trouble { requests, chain })
}

/// Leaves out roots one by one while the rest still has no solution.
fn smallest<'a>(universe: &Universe<'a>, roots: &[Group<'a>]) -> Result<Vec<Group<'a>>, BadRelation> {
    let mut left = roots.to_vec();
    // Halves first: most requests are unrelated to the problem.
    let mut size = left.len().div_ceil(2);
    loop {
        let mut start = 0;
        while start < left.len() {
            let end = (start + size).min(left.len());
            let without: Vec<Group> = [&left[..start], &left[end..]].concat();
            if solve(universe, &without)?.is_none() {
                left = without;
            } else {
                start = end;
            }
        }
        if size <= 1 {
            return Ok(left);
        }
        size = size.div_ceil(2);
    }
}

/// The chain to a package with a dependency that no package can meet, ignoring conflicts.
fn missing(universe: &Universe, roots: &[Group]) -> Result<Option<Vec<String>>, BadRelation> {
    let mut needs: BTreeMap<Id, Vec<Group>> = BTreeMap::new();
    let mut queue: Vec<Id> = roots.iter().flat_map(|g| g.satisfied_by.iter().copied()).collect();
    while let Some(id) = queue.pop() {
        if let Entry::Vacant(entry) = needs.entry(id) {
            let groups = entry.insert(universe.needs(id)?);
            queue.extend(groups.iter().flat_map(|g| g.satisfied_by.iter().copied()));
        }
    }
    // Also packages with a dependency that only such packages meet, until there are no more; each with its reason.
    let mut lost: BTreeMap<Id, &Group> = BTreeMap::new();
    loop {
        let before = lost.len();
        for (id, groups) in &needs {
            if !lost.contains_key(id)
                && let Some(group) = groups.iter().find(|g| g.satisfied_by.iter().all(|s| lost.contains_key(s)))
            {
                lost.insert(*id, group);
            }
        }
        if lost.len() == before {
            break;
        }
    }
    let first = roots.iter().filter_map(|g| g.satisfied_by.first()).find(|id| lost.contains_key(*id));
    let Some(mut id) = first.copied() else { return Ok(None) };
    let mut chain = Vec::new();
    // A package is lost before those that depend on it, so the reasons lead to one without any candidate.
    while let Some(group) = lost.get(&id) {
        let start = depends(universe, id, group);
        let Some(next) = group.satisfied_by.first() else {
            let reasons: Vec<String> = group.alternatives.iter().map(|r| available(universe, r)).collect();
            chain.push(format!("{start}, but {}", reasons.join(" and ")));
            break;
        };
        chain.push(start);
        id = *next;
    }
    Ok(Some(chain))
}

fn depends(universe: &Universe, id: Id, group: &Group) -> String {
    format!("{} depends on {}", universe.get(id).record.name, words(group))
}

/// The alternatives as in a control file.
pub(super) fn words(group: &Group) -> String {
    group.alternatives.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ")
}

/// What is available instead of what a relation asks for.
fn available(universe: &Universe, relation: &Relation) -> String {
    let name = relation.name;
    let candidate = universe.find(name).map(|id| universe.get(id).record);
    if let Some(record) = candidate {
        return if relation.accepts(record.version) {
            format!("{name} cannot stand for {relation}")
        } else {
            format!("only {name} {} is available", record.version)
        };
    }
    let mut others = universe.providers(name).map(|id| universe.get(id).record.name);
    match others.next() {
        Some(other) => format!("{name} is only provided in other versions, by {other}"),
        None => format!("there is no package {name}"),
    }
}

/// What must be installed in any solution.
struct Forced<'u, 'a> {
    universe: &'u Universe<'a>,
    /// The packages, each with the one that depends on it; `None` for requested ones.
    inside: BTreeMap<Id, Option<Id>>,
    /// The packages that they reject, with the reason as a sentence.
    rejected: BTreeMap<Id, String>,
}

impl<'a> Forced<'_, 'a> {
    /// Follows dependencies without alternatives to a contradiction; empty when that would need trying choices.
    fn contradiction(universe: &Universe<'a>, roots: &[Group<'a>]) -> Result<Vec<String>, BadRelation> {
        let mut this = Forced { universe, inside: BTreeMap::new(), rejected: BTreeMap::new() };
        let mut open: Vec<(Option<Id>, Group)> = roots.iter().map(|g| (None, g.clone())).collect();
        loop {
            let before = this.inside.len();
            for (parent, group) in std::mem::take(&mut open) {
                if group.satisfied_by.iter().any(|id| this.inside.contains_key(id)) {
                    continue;
                }
                let mut left = Vec::new();
                let mut obstacles = Vec::new();
                for id in &group.satisfied_by {
                    match this.obstacle(*id)? {
                        Some(obstacle) => obstacles.push(obstacle),
                        None => left.push(*id),
                    }
                }
                match left.as_slice() {
                    [] => {
                        let need = parent.map(|id| depends(universe, id, &group) + &this.wanted(id));
                        return Ok(need.into_iter().chain([obstacles.join(" and ")]).collect());
                    }
                    [only] => open.extend(this.put(*only, parent)?.into_iter().map(|g| (Some(*only), g))),
                    _ => open.push((parent, group)),
                }
            }
            if this.inside.len() == before {
                return Ok(Vec::new());
            }
        }
    }

    /// Installs a package and returns its dependencies.
    fn put(&mut self, id: Id, parent: Option<Id>) -> Result<Vec<Group<'a>>, BadRelation> {
        self.inside.insert(id, parent);
        for rejection in self.universe.rejects(id)? {
            for other in &rejection.others {
                let sentence = self.sentence(id, &rejection, *other) + &self.wanted(id);
                self.rejected.entry(*other).or_insert(sentence);
            }
        }
        self.universe.needs(id)
    }

    /// Why a package cannot join those that must be installed.
    fn obstacle(&self, id: Id) -> Result<Option<String>, BadRelation> {
        if let Some(sentence) = self.rejected.get(&id) {
            return Ok(Some(sentence.clone()));
        }
        for rejection in self.universe.rejects(id)? {
            if let Some(other) = rejection.others.iter().find(|other| self.inside.contains_key(other)) {
                return Ok(Some(self.sentence(id, &rejection, *other) + &self.wanted(*other)));
            }
        }
        Ok(None)
    }

    fn sentence(&self, id: Id, rejection: &Rejection, other: Id) -> String {
        let Rejection { verb, relation, .. } = rejection;
        let name = |id: Id| self.universe.get(id).record.name;
        let provided = if name(other) == relation.name { "" } else { &format!(", provided by {}", name(other)) };
        format!("{} {verb} {relation}{provided}", name(id))
    }

    /// `(a is wanted by b, which is wanted by c)`; empty for requested packages.
    fn wanted(&self, id: Id) -> String {
        let name = |id: Id| self.universe.get(id).record.name;
        let parent = |id: Id| self.inside.get(&id).copied().flatten();
        let Some(first) = parent(id) else { return String::new() };
        let mut text = format!(" ({} is wanted by {}", name(id), name(first));
        let mut at = first;
        while let Some(next) = parent(at) {
            text.push_str(", which is wanted by ");
            text.push_str(name(next));
            at = next;
        }
        text + ")"
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::lock::table;

    /// One `a 1 Depends: b, c | d; Conflicts: e` per line.
    fn explained(packages: &str, requests: &[&str]) -> String {
        let hash = "0".repeat(64);
        let text: String = packages
            .lines()
            .map(|line| {
                let (head, fields) = line.split_once(' ').unwrap();
                let (version, fields) = fields.split_once(' ').unwrap_or((fields, ""));
                let fields = fields.replace("; ", "\n");
                format!("Package: {head}\nVersion: {version}\nArchitecture: all\n{fields}\nFilename: x\nSize: 1\nSHA256: {hash}\n")
                    .replace("\n\n", "\n")
                    + "\n"
            })
            .collect();
        let table = table::make(&text, "arm64").unwrap();
        let records = table::records(&table).map(|r| (0, r.unwrap()));
        let universe = Universe::new(records, "arm64", &HashMap::new(), |_| true).unwrap();
        let roots: Vec<Group> =
            requests.iter().map(|r| universe.group(vec![crate::relation::one(r).unwrap()])).collect();
        assert!(solve(&universe, &roots).unwrap().is_none());
        explain(&universe, &roots).unwrap().to_string()
    }

    #[test]
    fn needs_that_nobody_meets() {
        let packages = "x 1.9\nlabimg-test 1 Depends: x (>= 2)\nouter 1 Depends: y | labimg-test\nz 1";
        assert_eq!(
            explained(packages, &["z", "labimg-test"]),
            "labimg-test cannot be installed: labimg-test depends on x (>= 2), but only x 1.9 is available"
        );
        assert_eq!(
            explained(packages, &["outer"]),
            "outer cannot be installed: outer depends on y | labimg-test; \
             labimg-test depends on x (>= 2), but only x 1.9 is available"
        );
        assert_eq!(
            explained("a 1 Depends: v (>= 1) | w\nb 1 Provides: v", &["a"]),
            "a cannot be installed: a depends on v (>= 1) | w, but v is only provided in other versions, by b and there is no package w"
        );
        // A cycle is not a reason, but what it depends on is.
        assert_eq!(
            explained("a 1 Depends: b\nb 1 Depends: a, c\nc 1 Depends: d", &["a"]),
            "a cannot be installed: a depends on b; b depends on c; c depends on d, but there is no package d"
        );
    }

    #[test]
    fn conflicts() {
        let packages = "a 1 Conflicts: b\nb 1\nx 1 Depends: y\ny 1 Depends: b\nm 1 Provides: mta; Conflicts: mta\n\
            n 1 Provides: mta; Conflicts: mta\nq 1 Depends: m | k\nk 1 Breaks: n (<< 2)\nz 1";
        assert_eq!(explained(packages, &["z", "a", "b"]), "a, b cannot be installed together: a conflicts with b");
        assert_eq!(
            explained(packages, &["a", "z", "x"]),
            "a, x cannot be installed together: y depends on b (y is wanted by x); a conflicts with b"
        );
        assert_eq!(
            explained(packages, &["m", "n"]),
            "m, n cannot be installed together: m conflicts with mta, provided by n"
        );
        assert_eq!(
            explained(packages, &["q", "n"]),
            "q, n cannot be installed together: q depends on m | k; n conflicts with mta, provided by m and k breaks n (<< 2)"
        );
    }

    #[test]
    fn a_contradiction_that_takes_a_search() {
        let packages = "r 1 Depends: a | b, c | d\na 1 Conflicts: c, d\nb 1 Conflicts: c, d\nc 1\nd 1";
        assert_eq!(explained(packages, &["r"]), "r cannot be installed: each way to meet its needs ends in a conflict");
    }
}
