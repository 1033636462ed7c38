//! Opens package files of the store; each is decompressed once.

use rayon::prelude::*;

use super::{Deb, DebError, plain};
use crate::lock::LockedPackage;
use labimg_store::{Store, StoreError};
use labimg_tree::hash::Sha256;
use labimg_tree::progress::{Progress, Unit};

/// Opens the package file with this hash in the store. Its plain form is made if missing.
///
/// # Errors
/// When the store lacks it or cannot keep the plain form, and as [`super::decompress`].
pub fn open(store: &Store, sha256: &Sha256) -> Result<Deb, DebError> {
    let plain = store.derived(plain::KIND, sha256, |out| {
        let package = store.blob(sha256)?.ok_or(DebError::NotFetched(*sha256))?;
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
/// As [`open`], with the name of the package: the first failure in the order of `packages`.
pub fn open_all(
    store: &Store,
    packages: &[LockedPackage],
    reporter: &dyn Progress,
) -> Result<Vec<(LockedPackage, Deb)>, DebError> {
    let phase = reporter.phase("Reading packages", packages.iter().map(|p| p.size).sum(), Unit::Bytes);
    let mut order: Vec<(usize, &LockedPackage)> = packages.iter().enumerate().collect();
    order.sort_by_key(|(_, package)| std::cmp::Reverse(package.size));
    let mut opened: Vec<(usize, Result<Deb, DebError>)> = order
        // Each goes to the next free thread: otherwise the first thread would get all the large ones.
        .into_par_iter()
        .with_max_len(1)
        .map(|(place, package)| {
            let deb = open(store, &package.sha256);
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
