//! Opens package files of the store; each is decompressed once.

use rayon::prelude::*;

use super::{Deb, DebError, plain};
use crate::lock::LockedPackage;
use labimg_store::{Context, Request, Store, StoreError};
use labimg_tree::hash::Sha256;
use labimg_tree::human::total;
use labimg_tree::progress::{Progress, Unit};

/// Has everything in the store that [`open_all`] needs: each package's plain form, or else the package file.
///
/// # Errors
/// As [`Store::fetch`].
pub fn fetch(packages: &[LockedPackage], jobs: usize, context: &Context<'_>) -> Result<(), StoreError> {
    let lacking = {
        let phase = context.progress.phase("Verifying packages", total(packages.iter().map(|p| p.size)), Unit::Bytes);
        let lacks = |package: &&LockedPackage| {
            let there = context.store.has_derived(plain::KIND, &package.sha256, context.progress);
            phase.inc(package.size);
            there.map(|there| (!there).then(|| request(package))).transpose()
        };
        let lacking = largest_first(packages).into_par_iter().with_max_len(1).filter_map(|(_, p)| lacks(&p));
        lacking.collect::<Result<Vec<_>, _>>()?
    };
    context.store.fetch(&lacking, jobs, context.http, context.progress)
}

fn request(package: &LockedPackage) -> Request {
    Request {
        name: format!("{} {}", package.name, package.version),
        sha256: package.sha256,
        size: package.size,
        urls: package.urls.clone(),
    }
}

/// The packages and their places. When each goes to the next free thread (`with_max_len(1)`), the work ends soonest.
fn largest_first(packages: &[LockedPackage]) -> Vec<(usize, &LockedPackage)> {
    let mut order: Vec<(usize, &LockedPackage)> = packages.iter().enumerate().collect();
    order.sort_by_key(|(_, package)| std::cmp::Reverse(package.size));
    order
}

/// Opens the package file with this hash in the store. Its plain form is made if missing.
///
/// # Errors
/// When the store lacks it or cannot keep the plain form, and as [`super::decompress`].
pub(super) fn open(store: &Store, sha256: &Sha256, reporter: &dyn Progress) -> Result<Deb, DebError> {
    let plain = store.derived(plain::KIND, sha256, reporter, |out| {
        let package = store.blob(sha256, "a package", reporter)?.ok_or(DebError::NotFetched(*sha256))?;
        plain::decompress(package.path(), out).map_err(|e| match e {
            DebError::Write(e) => StoreError::write(store.dir(), 0, e).into(),
            e => e,
        })
    })?;
    Deb::from_plain(plain)
}

/// Opens packages in parallel, the largest first; the result is in the order of `packages`.
///
/// # Errors
/// As `open`, with the name of the package: the first failure in the order of `packages`.
pub fn open_all(
    store: &Store,
    packages: &[LockedPackage],
    reporter: &dyn Progress,
) -> Result<Vec<(LockedPackage, Deb)>, DebError> {
    let phase = reporter.phase("Reading packages", total(packages.iter().map(|p| p.size)), Unit::Bytes);
    let mut opened: Vec<(usize, Result<Deb, DebError>)> = largest_first(packages)
        .into_par_iter()
        .with_max_len(1)
        .map(|(place, package)| {
            let deb = open(store, &package.sha256, reporter);
            phase.inc(package.size);
            (place, deb)
        })
        .collect();
    opened.sort_by_key(|(place, _)| *place);
    let named = |(package, (_, deb)): (&LockedPackage, (usize, Result<Deb, DebError>))| match deb {
        Ok(deb) => Ok((package.clone(), deb)),
        Err(DebError::Interrupted(e)) => Err(DebError::Interrupted(e)),
        Err(e) => Err(DebError::Package {
            package: package.name.clone(),
            version: package.version.clone(),
            sha256: package.sha256,
            source: Box::new(e),
        }),
    };
    packages.iter().zip(opened).map(named).collect()
}

impl From<StoreError> for DebError {
    fn from(e: StoreError) -> Self {
        match e {
            StoreError::Interrupted(e) => Self::Interrupted(e),
            e => Self::Store(e),
        }
    }
}
