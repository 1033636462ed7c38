//! A release's program or its container images into the store, checked against the release's checksum file.
//!
//! What was verified once is remembered, so that later builds need no network and get the same bytes:
//! `releases/k3s-<hash of the checksum file's address>` (for the images, `k3s-images-<hash>`) in the cache holds
//! `<sha256> <size>` ([`labimg_store::Store::recall`]). It is written only after the file itself was found right.

use super::release::Release;
use super::{K3sError, K3sSource, LockedK3s, sums};
use labimg_store::http::{Http, HttpError, shown};
use labimg_store::{Context, Request, StoreError};
use labimg_tree::Content;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Unit;

/// Largest checksum file that is read, in bytes; those of k3s have two lines.
const SUMS_LIMIT: u64 = 64 << 10;

/// Largest file that is taken, in bytes; programs of k3s are below 100 MB, their images about 200 MB.
const FILE_LIMIT: u64 = 1 << 30;

/// A failure, with what was learnt before it.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Box<K3sError>,
    /// What the release's checksum file says.
    pub(super) sha256: Option<Sha256>,
}

impl From<K3sError> for Failed {
    fn from(error: K3sError) -> Self {
        Self { error: Box::new(error), sha256: None }
    }
}

/// Has the program of a release in the store, verified.
///
/// # Errors
/// [`K3sError`]; [`K3sError::is_unreachable`] tells a release that cannot be reached from one that is wrong.
pub fn resolve(source: &K3sSource, architecture: &str, context: &Context<'_>) -> Result<LockedK3s, K3sError> {
    resolve_file(&Release::new(source, architecture)?, context)
}

/// Has the container images of a release in the store, verified: one archive, as k3s imports it.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_images(source: &K3sSource, architecture: &str, context: &Context<'_>) -> Result<LockedK3s, K3sError> {
    resolve_file(&Release::new(source, architecture)?.images(), context)
}

fn resolve_file(release: &Release, context: &Context<'_>) -> Result<LockedK3s, K3sError> {
    fetch(release, context).map(|(_, locked)| locked).map_err(|failed| *failed.error)
}

/// The container images that a lock names, and what their file is called.
///
/// # Errors
/// [`K3sError::Store`].
pub fn fetch_images(
    source: &K3sSource,
    locked: &LockedK3s,
    context: &Context<'_>,
) -> Result<(&'static str, Content), K3sError> {
    let release = Release::new(source, &locked.architecture)?.images();
    Ok((release.file, fetch_locked(&release, locked, context)?))
}

/// The file and what it is.
pub(super) fn fetch(release: &Release, context: &Context<'_>) -> Result<(Content, LockedK3s), Failed> {
    let store_error = |remembered, source| K3sError::Store { version: release.version.clone(), source, remembered };
    let memory = Memory::of(release);
    let known = memory.recall(context).map_err(|e| store_error(None, e))?;
    let (sha256, size) = if let Some(known) = known {
        known
    } else {
        let _phase = context.progress.phase("Looking up k3s", 0, Unit::Items);
        let sha256 = ask_checksum(release, context.http)?;
        let size = ask_size(release, context.http).map_err(|e| Failed { error: Box::new(e), sha256: Some(sha256) })?;
        (sha256, size)
    };
    let url = release.file_url();
    let content = download(release, sha256, size, vec![url.clone()], context).map_err(|source| {
        let remembered = known.is_some().then(|| context.store.memory(&memory.name));
        Failed { error: Box::new(store_error(remembered, source)), sha256: Some(sha256) }
    })?;
    if known.is_none() {
        memory.remember(sha256, size, context).map_err(|e| store_error(None, e))?;
    }
    let locked = LockedK3s {
        version: release.version.clone(),
        architecture: release.architecture.clone(),
        size,
        sha256,
        url: shown(&url),
    };
    Ok((content, locked))
}

/// The file that a lock names.
///
/// # Errors
/// [`K3sError::Store`].
pub(super) fn fetch_locked(release: &Release, locked: &LockedK3s, context: &Context<'_>) -> Result<Content, K3sError> {
    let urls = vec![release.file_url(), locked.url.clone()];
    download(release, locked.sha256, locked.size, urls, context).map_err(|source| K3sError::Store {
        version: release.version.clone(),
        source,
        remembered: None,
    })
}

fn download(
    release: &Release,
    sha256: Sha256,
    size: u64,
    mut urls: Vec<String>,
    context: &Context<'_>,
) -> Result<Content, StoreError> {
    urls.dedup();
    let name = format!("{} {} ({})", release.what, release.version, release.architecture);
    context.store.fetch(&[Request { name, sha256, size, urls }], 1, context.http, context.progress)?;
    context.store.fetched(&sha256, context.progress).map(Content::whole)
}

/// What the file must hash to: remembered, or by the release's checksum file.
pub(super) fn checksum(release: &Release, context: &Context<'_>) -> Result<Sha256, K3sError> {
    let known = Memory::of(release).recall(context);
    let failed = |source| K3sError::Store { version: release.version.clone(), source, remembered: None };
    if let Some((sha256, _)) = known.map_err(failed)? {
        return Ok(sha256);
    }
    let _phase = context.progress.phase("Looking up k3s", 0, Unit::Items);
    ask_checksum(release, context.http)
}

fn ask_checksum(release: &Release, http: &Http) -> Result<Sha256, K3sError> {
    let url = release.sums_url();
    let text = http.get(&url, SUMS_LIMIT).map_err(|source| failure(release, source))?;
    sums::find(&String::from_utf8_lossy(&text), release.file).map_err(|source| K3sError::Sums {
        version: release.version.clone(),
        url: shown(&url),
        source,
    })
}

/// The file's size. Only the head of the answer is read: the transfer ends with it.
fn ask_size(release: &Release, http: &Http) -> Result<u64, K3sError> {
    let url = release.file_url();
    let mut attempt = 1;
    let total = loop {
        match http.open(&url, 0) {
            Ok(body) => break body.total(),
            Err(e) => match http.settings().delay(attempt, &e) {
                Some(delay) => http.pause(delay).map_err(|e| failure(release, e.into()))?,
                None => return Err(failure(release, e)),
            },
        }
        attempt += 1;
    };
    match total {
        Some(size) if size > FILE_LIMIT => {
            Err(failure(release, HttpError::TooLarge { url: shown(&url), limit: FILE_LIMIT }))
        }
        Some(size) => Ok(size),
        None => Err(K3sError::NoSize { version: release.version.clone(), url: shown(&url) }),
    }
}

fn failure(release: &Release, source: HttpError) -> K3sError {
    let version = release.version.clone();
    match source {
        HttpError::NotFound { url } => K3sError::NoRelease { version, url },
        source => K3sError::Http { version, source },
    }
}

/// What is remembered of a release.
struct Memory {
    name: String,
    url: String,
}

impl Memory {
    fn of(release: &Release) -> Self {
        let url = shown(&release.sums_url());
        Self { name: format!("{}-{}", release.what, Sha256::of(&url)), url }
    }

    fn recall(&self, context: &Context<'_>) -> Result<Option<(Sha256, u64)>, StoreError> {
        let parse = |fact: &str| {
            let (hash, size) = fact.split_once(' ')?;
            Some((hash.parse().ok()?, size.parse().ok()?))
        };
        context.store.recall(&self.name, &self.url, context.progress, parse)
    }

    fn remember(&self, sha256: Sha256, size: u64, context: &Context<'_>) -> Result<(), StoreError> {
        context.store.remember(&self.name, &format!("{sha256} {size}"), &self.url, context.progress)
    }
}
