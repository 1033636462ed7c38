//! Renews only some packages of a lock with what the mirror has now.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Archive, Lock, LockError, LockedPackage, Record};
use crate::lock::keep::{self, Locked};
use crate::lock::table;
use labimg_tree::hash::Sha256;

/// A lock with some renewed packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The lock, with the date of the indexes. Packages that stayed are as in the old lock.
    pub lock: Lock,
    /// Why packages were changed, added or removed without being asked for, by name.
    pub why: BTreeMap<String, String>,
}

impl Archive {
    /// The packages of a lock, except those with these names, whose exact file is in no index: only their own control
    /// files say what they depend on and conflict with.
    ///
    /// # Errors
    /// [`LockError::Table`].
    pub fn lacking<'l>(&self, lock: &'l Lock, names: &BTreeSet<String>) -> Result<Vec<&'l LockedPackage>, LockError> {
        let records = self.records()?;
        let listed = listed(&records, lock);
        let lacks = |p: &&LockedPackage| !names.contains(&p.name) && !listed.contains_key(p.name.as_str());
        Ok(lock.packages.iter().filter(lacks).collect())
    }

    /// Updates the packages with these names to what the indexes have, and changes others only if they cannot stay.
    /// `requests` are those of the lock, `controls` are the control files of [`lacking`](Self::lacking).
    ///
    /// # Errors
    /// [`LockError::Moved`], [`LockError::Control`], [`LockError::Resolve`], [`LockError::Table`].
    pub fn renew(
        &self,
        lock: &Lock,
        names: &BTreeSet<String>,
        requests: &[String],
        controls: &[(LockedPackage, String)],
    ) -> Result<Renewed, LockError> {
        if self.suite != lock.suite {
            return Err(LockError::Moved { locked: lock.suite.clone(), now: self.suite.clone() });
        }
        let tables = controls.iter().map(|(package, control)| {
            let LockedPackage { path, size, sha256, .. } = package;
            table::of_control(control, path, *size, sha256, &self.architecture).map_err(|e| bad(package, e.to_string()))
        });
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        let records = self.records()?;
        let mut known = listed(&records, lock);
        for ((package, _), table) in controls.iter().zip(&tables) {
            known.insert(&package.name, own(package, table)?);
        }
        let (mut kept, mut renewed) = (Vec::new(), Vec::new());
        for package in &lock.packages {
            if names.contains(&package.name) {
                renewed.push(package.name.as_str());
            } else {
                let record = known.get(package.name.as_str()).copied();
                kept.push(record.ok_or_else(|| bad(package, "it was not asked for".to_owned()))?);
            }
        }
        let manual = lock.packages.iter().filter(|p| !p.auto).map(|p| p.name.as_str()).collect();
        let locked = Locked { kept, renewed, manual };
        let suites: Vec<&str> = self.suites.iter().map(|s| s.name.as_str()).collect();
        let renewal = keep::renew(records, &suites, &self.manual, &self.architecture, requests, &locked)?;
        let older: HashMap<&str, &LockedPackage> = lock.packages.iter().map(|p| (p.name.as_str(), p)).collect();
        let packages = renewal.packages.iter().map(|chosen| {
            let record = &chosen.candidate.record;
            // Compared by version only: a rebuilt file with the same version is not newer.
            match older.get(record.name).filter(|p| p.version == record.version) {
                Some(package) => Ok(LockedPackage { auto: chosen.auto, ..(*package).clone() }),
                None => self.locked(chosen),
            }
        });
        let packages = packages.collect::<Result<_, LockError>>()?;
        Ok(Renewed { lock: Lock { date: self.date, packages, ..lock.clone() }, why: renewal.why })
    }
}

/// The index records of exactly the files in a lock, by name.
fn listed<'r>(records: &[(usize, Record<'r>)], lock: &Lock) -> HashMap<&'r str, Record<'r>> {
    let wanted: HashMap<&str, &LockedPackage> = lock.packages.iter().map(|p| (p.name.as_str(), p)).collect();
    let is_locked = |record: &Record| {
        wanted.get(record.name).is_some_and(|p| {
            p.version == record.version && record.sha256.parse::<Sha256>().is_ok_and(|hash| hash == p.sha256)
        })
    };
    records.iter().map(|(_, record)| *record).filter(is_locked).map(|record| (record.name, record)).collect()
}

/// The record of a locked package in the table made from its control file.
fn own<'t>(package: &LockedPackage, table: &'t str) -> Result<Record<'t>, LockError> {
    match table::records(table).next() {
        Some(Ok(record)) if record.name == package.name && record.version == package.version => Ok(record),
        Some(Ok(record)) => Err(bad(package, format!("it is that of {} {}", record.name, record.version))),
        _ => Err(bad(package, "it has no fields".to_owned())),
    }
}

fn bad(package: &LockedPackage, what: String) -> LockError {
    LockError::Control { package: package.name.clone(), version: package.version.clone(), what }
}
