//! The order in which `dpkg --configure --pending` configures packages that are all unpacked.
//!
//! dpkg walks its hash table of packages (FNV-1a of the name, 65,521 chains) and moves each package whose dependencies
//! are not configured yet to the end of its queue. When it makes no more progress it breaks a dependency cycle, if
//! possible at a package without a `postinst`. Before that, apt has the essential packages configured, then the
//! protected ones and everything that others pre-depend on, each with its dependencies. The uids and gids that scripts
//! allocate follow from this order.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{Package, PackagesError};
use crate::relation::{self, Relation};

/// Indices into `packages` in configuration order.
pub(super) fn configuration(packages: &[&Package]) -> Result<Vec<usize>, PackagesError> {
    let providers = providers(packages)?;
    let before_unpacking = dependencies(packages, &providers, &["Pre-Depends"])?;
    let needs = dependencies(packages, &providers, &["Pre-Depends", "Depends"])?;
    let mut hashed: Vec<usize> = (0..packages.len()).collect();
    hashed.sort_by_key(|&i| (chain(&packages[i].name), &packages[i].name));
    let with = |fields: &[&str]| -> Vec<usize> {
        hashed.iter().copied().filter(|&i| fields.iter().any(|f| packages[i].field(f) == "yes")).collect()
    };
    let stages = [
        with(&["Essential"]),
        with(&["Protected", "Important"]),
        before_unpacking.into_iter().flatten().filter_map(|group| group.first().copied()).collect(),
        hashed.clone(),
    ];
    let mut done = vec![false; packages.len()];
    let mut order = Vec::with_capacity(packages.len());
    for roots in stages {
        let stage = closure(roots, &needs);
        let queue = hashed.iter().copied().filter(|i| stage.contains(i) && !done[*i]).collect();
        run_queue(queue, &needs, packages, &mut done, &mut order);
    }
    Ok(order)
}

/// dpkg's queue: a package that cannot be configured yet goes to its end.
fn run_queue(
    mut queue: VecDeque<usize>,
    needs: &[Needs],
    packages: &[&Package],
    done: &mut [bool],
    order: &mut Vec<usize>,
) {
    let mut waited = 0;
    while let Some(package) = queue.pop_front() {
        let ready = needs[package].iter().all(|group| group.iter().any(|&n| done[n]));
        let next = if ready {
            package
        } else if waited <= queue.len() {
            waited += 1;
            queue.push_back(package);
            continue;
        } else {
            // Every package in the queue waits for another one in it, so following that chain leads back to the start.
            queue.push_front(package);
            let next = break_cycle(package, needs, packages, done);
            queue.retain(|&p| p != next);
            next
        };
        waited = 0;
        done[next] = true;
        order.push(next);
    }
}

/// The member of a cycle that is configured although a dependency is not: one without a `postinst` does no harm.
fn break_cycle(from: usize, needs: &[Needs], packages: &[&Package], done: &[bool]) -> usize {
    let mut path = vec![from];
    loop {
        let last = path[path.len() - 1];
        let unmet = needs[last].iter().find(|group| !group.iter().any(|&n| done[n]));
        let Some(&next) = unmet.and_then(|group| group.first()) else { return last };
        if let Some(start) = path.iter().position(|&p| p == next) {
            let cycle = &path[start..];
            let harmless = cycle.iter().copied().find(|&p| !packages[p].scripts.contains_key("postinst"));
            return harmless.unwrap_or(next);
        }
        path.push(next);
    }
}

/// For each name, the packages that have or provide it, and the version.
type Providers<'a> = HashMap<&'a str, Vec<(usize, Option<&'a str>)>>;

fn providers<'a>(packages: &[&'a Package]) -> Result<Providers<'a>, PackagesError> {
    let mut providers = Providers::new();
    for (index, package) in packages.iter().enumerate() {
        providers.entry(&package.name).or_default().insert(0, (index, Some(&package.version)));
        for provided in relations(package, "Provides")?.into_iter().flatten() {
            let version = provided.version.map(|(_, version)| version);
            providers.entry(provided.name).or_default().push((index, version));
        }
    }
    Ok(providers)
}

fn relations<'a>(package: &'a Package, field: &str) -> Result<Vec<Vec<Relation<'a>>>, PackagesError> {
    relation::parse(package.field(field))
        .map_err(|e| PackagesError::Control { package: package.name.clone(), what: format!("{field}: {e}") })
}

/// The dependencies of a package: groups of which one member must be configured before it. No group is empty.
type Needs = Vec<Vec<usize>>;

/// The dependencies of each package in these fields, as indices.
fn dependencies(
    packages: &[&Package],
    providers: &Providers<'_>,
    fields: &[&str],
) -> Result<Vec<Needs>, PackagesError> {
    let meets = |relation: &Relation<'_>, version: Option<&str>| {
        relation.version.is_none() || version.is_some_and(|v| relation.accepts(v))
    };
    let mut needs = Vec::with_capacity(packages.len());
    for (index, package) in packages.iter().enumerate() {
        let mut own = Vec::new();
        for field in fields {
            for group in relations(package, field)? {
                let candidates = group.iter().flat_map(|r| {
                    let provided = providers.get(r.name).map(Vec::as_slice).unwrap_or_default();
                    provided.iter().filter(|(_, version)| meets(r, *version)).map(|(i, _)| *i)
                });
                // Any member will do, and the package itself meets its own group.
                let candidates: Vec<usize> = candidates.collect();
                if !candidates.is_empty() && !candidates.contains(&index) {
                    own.push(candidates);
                }
            }
        }
        needs.push(own);
    }
    Ok(needs)
}

fn closure(roots: Vec<usize>, needs: &[Needs]) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    let mut todo = roots;
    while let Some(package) = todo.pop() {
        if all.insert(package) {
            todo.extend(needs[package].iter().filter_map(|group| group.first()));
        }
    }
    all
}

/// The chain of a name in dpkg's hash table.
fn chain(name: &str) -> u32 {
    let hash = name.bytes().fold(2_166_136_261_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(16_777_619));
    hash % 65_521
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::{State, Triggers};
    use std::collections::BTreeMap;

    fn package(name: &str, fields: &str, postinst: bool) -> Package {
        let scripts = if postinst { BTreeMap::from([("postinst".to_owned(), Vec::new())]) } else { BTreeMap::new() };
        Package {
            name: name.into(),
            version: "1".into(),
            architecture: "all".into(),
            control: format!("Package: {name}\nVersion: 1\n{fields}"),
            scripts,
            info: BTreeMap::new(),
            triggers: Triggers::default(),
            conffiles: Vec::new(),
            auto: false,
            files: Vec::new(),
            state: State::Unpacked,
        }
    }

    fn names(packages: &[Package]) -> Vec<&str> {
        let refs: Vec<&Package> = packages.iter().collect();
        configuration(&refs).unwrap().into_iter().map(|i| refs[i].name.as_str()).collect()
    }

    #[test]
    fn the_hash_is_dpkgs() {
        // From a log of `dpkg --configure --pending`.
        let log = [
            "libip4tc2",
            "libexpat1",
            "cpio",
            "libtext-charwidth-perl",
            "runit-helper",
            "systemd-sysv",
            "libkeyutils1",
        ];
        assert!(log.map(chain).is_sorted());
    }

    #[test]
    fn dependencies_first_essential_first() {
        let all = [
            package("a", "Depends: v (>= 2) | missing, b\n", false),
            package("b", "", false),
            package("c", "Provides: v (= 3)\n", false),
            package("z", "Essential: yes\nPre-Depends: y\n", false),
            package("y", "", false),
        ];
        let order = names(&all);
        let at = |name| order.iter().position(|n| *n == name).unwrap();
        assert_eq!(&order[..2], ["y", "z"]);
        assert!(at("b") < at("a") && at("c") < at("a"));
    }

    #[test]
    fn a_cycle_breaks_where_no_script_runs() {
        let all = [
            package("a", "Depends: b\n", true),
            package("b", "Depends: c\n", false),
            package("c", "Depends: a\n", true),
            package("self", "Depends: self\n", true),
        ];
        let order: Vec<_> = names(&all).into_iter().filter(|n| *n != "self").collect();
        assert_eq!(order, ["b", "a", "c"]);
    }
}
