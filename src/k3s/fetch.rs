//! A release's program or its container images into the store, checked against the release's checksum file.
//!
//! What was verified once is remembered, so that later builds need no network and get the same bytes:
//! `releases/k3s-<hash of the checksum file's address>` (for the images, `k3s-images-<hash>`) in the cache holds
//! `<sha256> <size>` ([`labimg_store::Store::recall`]). It is written only after the file itself was found right.

use std::cell::OnceCell;

use super::release::Release;
use super::{K3sError, K3sSource, LockedK3s, sums};
use labimg_store::http::{Http, HttpError, shown};
use labimg_store::{Context, Request, StoreError};
use labimg_tree::Content;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Unit;

/// Largest checksum file that is read, in bytes; those of k3s have two lines.
const SUMS_LIMIT: u64 = 64 << 10;

/// What the phase is called in which a release is looked up.
pub const ASKING: &str = "Looking up k3s";

/// Largest file that is taken, in bytes; programs of k3s are below 100 MB, their images about 200 MB.
const FILE_LIMIT: u64 = 1 << 30;

/// The checksum file of a release, once it was read: it names all its files.
#[derive(Debug, Default)]
pub struct Sums(OnceCell<Vec<u8>>);

/// What is known of a file of a release before it is downloaded, or why nothing is.
#[derive(Debug)]
pub struct Asked {
    pub(super) known: Result<Known, Box<K3sError>>,
    /// What the checksum file says, also when the file's size could not be had.
    pub(super) sha256: Option<Sha256>,
}

impl Asked {
    /// Why nothing is known.
    pub(super) fn failure(self) -> Option<K3sError> {
        self.known.err().map(|error| *error)
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    sha256: Sha256,
    size: u64,
    /// From an earlier build.
    remembered: bool,
}

/// Looks up the program of a release, without downloading it.
///
/// # Errors
/// A wrong name, address or architecture; what the server says or does is in the result.
pub fn ask(source: &K3sSource, architecture: &str, sums: &Sums, context: &Context<'_>) -> Result<Asked, K3sError> {
    ask_file(&Release::new(source, architecture)?, sums, context)
}

/// Whether the program of a release was looked up by an earlier build, so that nothing is asked.
#[must_use]
pub fn is_remembered(source: &K3sSource, architecture: &str, context: &Context<'_>) -> bool {
    let recalled = |release: &Release| Memory::of(release).recall(context).is_ok_and(|found| found.is_some());
    Release::new(source, architecture).is_ok_and(|release| recalled(&release))
}

/// Looks up the program of a release for a lock, without downloading it.
///
/// # Errors
/// As [`resolve`].
pub fn look_up(source: &K3sSource, architecture: &str, context: &Context<'_>) -> Result<LockedK3s, K3sError> {
    let release = Release::new(source, architecture)?;
    let known = ask_file(&release, &Sums::default(), context)?.known.map_err(|error| *error)?;
    Ok(locked(&release, known))
}

/// Has the program of a release in the store, verified.
///
/// # Errors
/// [`K3sError`]; [`K3sError::is_unreachable`] tells a release that cannot be reached from one that is wrong.
pub fn resolve(source: &K3sSource, architecture: &str, context: &Context<'_>) -> Result<LockedK3s, K3sError> {
    let release = Release::new(source, architecture)?;
    fetch(&release, ask_file(&release, &Sums::default(), context)?, context).map(|(_, locked)| locked)
}

/// Looks up the container images of a release, without downloading them.
///
/// # Errors
/// As [`ask`].
pub fn ask_images(
    source: &K3sSource,
    architecture: &str,
    sums: &Sums,
    context: &Context<'_>,
) -> Result<Asked, K3sError> {
    ask_file(&Release::new(source, architecture)?.images(), sums, context)
}

/// Has the container images of a release in the store, verified: one archive, as k3s imports it.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_images(
    source: &K3sSource,
    architecture: &str,
    asked: Asked,
    context: &Context<'_>,
) -> Result<LockedK3s, K3sError> {
    let release = Release::new(source, architecture)?.images();
    fetch(&release, asked, context).map(|(_, locked)| locked)
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

/// What is remembered of a file, else what the server says of it.
fn ask_file(release: &Release, sums: &Sums, context: &Context<'_>) -> Result<Asked, K3sError> {
    if let Some((sha256, size)) = Memory::of(release).recall(context).map_err(|e| release.failed(e, None))? {
        let known = Known { sha256, size, remembered: true };
        return Ok(Asked { known: Ok(known), sha256: Some(sha256) });
    }
    let _phase = context.progress.phase(ASKING, 0, Unit::Items);
    let sha256 = match ask_checksum(release, sums, context.http) {
        Ok(sha256) => sha256,
        Err(error) => return Ok(Asked { known: Err(Box::new(error)), sha256: None }),
    };
    let size = ask_size(release, context.http);
    let known = size.map(|size| Known { sha256, size, remembered: false }).map_err(Box::new);
    Ok(Asked { known, sha256: Some(sha256) })
}

/// The file and what it is.
pub(super) fn fetch(release: &Release, asked: Asked, context: &Context<'_>) -> Result<(Content, LockedK3s), K3sError> {
    let known = asked.known.map_err(|error| *error)?;
    let memory = Memory::of(release);
    let content = download(release, known.sha256, known.size, vec![release.file_url()], context)
        .map_err(|e| release.failed(e, known.remembered.then(|| context.store.memory(&memory.name))))?;
    release.check(&content)?;
    if !known.remembered {
        memory.remember(known.sha256, known.size, context).map_err(|e| release.failed(e, None))?;
    }
    Ok((content, locked(release, known)))
}

fn locked(release: &Release, known: Known) -> LockedK3s {
    LockedK3s {
        version: release.version.clone(),
        architecture: release.architecture.clone(),
        size: known.size,
        sha256: known.sha256,
        url: shown(&release.file_url()),
    }
}

/// The file that a lock names.
///
/// # Errors
/// [`K3sError::Store`].
pub(super) fn fetch_locked(release: &Release, locked: &LockedK3s, context: &Context<'_>) -> Result<Content, K3sError> {
    let urls = vec![release.file_url(), locked.url.clone()];
    download(release, locked.sha256, locked.size, urls, context).map_err(|e| release.failed(e, None))
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

fn ask_checksum(release: &Release, sums: &Sums, http: &Http) -> Result<Sha256, K3sError> {
    let url = release.sums_url();
    let text = if let Some(text) = sums.0.get() {
        text
    } else {
        let text = http.get(&url, SUMS_LIMIT).map_err(|source| failure(release, source))?;
        sums.0.get_or_init(|| text)
    };
    sums::find(&String::from_utf8_lossy(text), release.file).map_err(|source| K3sError::Sums {
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
            Err(e) => match http.delay(&url, attempt, &e) {
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
