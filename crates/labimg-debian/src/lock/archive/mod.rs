//! A suite with its updates and security updates, fetched from the mirror, verified and parsed.

mod renew;

use std::io::Read;
use std::path::PathBuf;

use liblzma::read::XzDecoder;

use super::mirror::Mirror;
use super::openpgp::{self, Keyring, Signer};
use super::release::{IndexFile, Release, ReleaseError};
use super::resolve::{Chosen, resolve};
use super::table::{self, Record};
use super::{ArchiveName, Lock, LockError, LockRequest, LockedPackage};
use labimg_store::http::{Http, HttpError, shown};
use labimg_store::{Context, Request, Store, StoreError};
use labimg_tree::Content;
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Progress;

pub use renew::Renewed;

/// Components of the archive that an image may use: free software, and the firmware that boards need.
const COMPONENTS: [&str; 2] = ["main", "non-free-firmware"];

/// Largest `InRelease` that is read, in bytes; Debian's are below 300 kB.
const RELEASE_LIMIT: u64 = 16 << 20;

/// Index files fetched at the same time.
const JOBS: usize = 4;

/// The packages of a suite and its updates.
#[derive(Debug)]
pub struct Archive {
    suite: String,
    architecture: String,
    date: i64,
    /// `trixie`, `trixie-updates`, `trixie-security`, and their addresses.
    suites: Vec<Suite>,
    /// Indices of the suites whose packages are used only on request.
    manual: Vec<usize>,
    indexes: Vec<Index>,
}

/// One suite.
#[derive(Debug)]
struct Suite {
    name: String,
    archive: ArchiveName,
    /// The archive's base URL.
    base: String,
}

/// One `Packages` file.
#[derive(Debug)]
struct Index {
    /// Index of its suite.
    suite: usize,
    /// Path of its table, for messages.
    path: PathBuf,
    table: String,
}

/// A verified `InRelease`.
struct Verified {
    /// The address without a password.
    url: String,
    release: Release,
    signers: Vec<Signer>,
}

impl Archive {
    /// Fetches what changed since the last time and verifies everything.
    ///
    /// # Errors
    /// [`LockError`]: unverified data are never used.
    pub fn fetch(request: &LockRequest, context: &Context<'_>) -> Result<Self, LockError> {
        let keyring = Keyring::load(&request.keyrings)?;
        let Mirror { archive, security, .. } = &request.mirror;
        let of_archive = |name: String| Suite { name, archive: ArchiveName::Debian, base: archive.clone() };
        let own = |suffix: &str| format!("{}{suffix}", request.suite);
        let security = Suite { name: own("-security"), archive: ArchiveName::Security, base: security.clone() };
        let suites: Vec<Suite> = [of_archive(own("")), of_archive(own("-updates")), security]
            .into_iter()
            .chain(request.extra_suites.iter().map(|suite| of_archive(suite.clone())))
            .collect();
        let releases = std::thread::scope(|scope| {
            let one = |suite: &Suite| verified(&suite.name, &suite.base, request, &keyring, context.http);
            let threads: Vec<_> = suites.iter().map(|suite| scope.spawn(move || one(suite))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<Vec<_>, _>>()
        })?;
        for verified in &releases {
            remember(verified, context.store, context.progress)?;
        }
        let mut wanted = Vec::new();
        for (place, (suite, verified)) in suites.iter().zip(&releases).enumerate() {
            let dist = format!("{}/dists/{}", suite.base, suite.name);
            for component in COMPONENTS {
                let folder = format!("{component}/binary-{}", request.architecture);
                wanted.push(Wanted::new(place, &dist, &folder, verified)?);
            }
        }
        let requests: Vec<Request> = wanted.iter().map(|w| w.request.clone()).collect();
        context.store.fetch(&requests, JOBS, context.http, context.progress)?;
        let indexes =
            wanted.iter().map(|w| w.read(&request.architecture, context)).collect::<Result<Vec<_>, LockError>>()?;
        Ok(Self {
            suite: releases.first().and_then(|v| v.release.codename.clone()).unwrap_or_else(|| request.suite.clone()),
            architecture: request.architecture.clone(),
            date: releases.iter().map(|v| v.release.date).max().unwrap_or_default(),
            manual: (0..releases.len()).filter(|&i| releases.get(i).is_some_and(|v| v.release.not_automatic)).collect(),
            suites,
            indexes,
        })
    }

    /// Resolves package requests (`name`, `name=version`, `name/suite`) to a lock; with `base`, essential and required
    /// packages and apt are added.
    ///
    /// # Errors
    /// [`LockError::Resolve`], [`LockError::Table`].
    pub fn lock(&self, packages: &[String], base: bool) -> Result<Lock, LockError> {
        let records = self.records()?;
        let suites: Vec<&str> = self.suites.iter().map(|s| s.name.as_str()).collect();
        let chosen = resolve(records, &suites, &self.manual, &self.architecture, packages, base)?;
        Ok(Lock {
            suite: self.suite.clone(),
            architecture: self.architecture.clone(),
            date: self.date,
            packages: chosen.iter().map(|c| self.locked(c)).collect::<Result<_, LockError>>()?,
        })
    }

    fn locked(&self, chosen: &Chosen) -> Result<LockedPackage, LockError> {
        let record = chosen.candidate.record;
        let (archive, base) = self
            .suites
            .get(chosen.candidate.suite)
            .map_or((ArchiveName::Debian, ""), |suite| (suite.archive, suite.base.as_str()));
        let path = escaped(record.filename);
        Ok(LockedPackage {
            name: record.name.to_owned(),
            version: record.version.to_owned(),
            architecture: record.architecture.to_owned(),
            size: record.size,
            sha256: record.sha256.parse().map_err(|_| LockError::Digest(record.name.to_owned()))?,
            urls: vec![format!("{base}/{path}")],
            archive,
            path,
            auto: chosen.auto,
        })
    }

    fn records(&self) -> Result<Vec<(usize, Record<'_>)>, LockError> {
        let mut all = Vec::new();
        for index in &self.indexes {
            for record in table::records(&index.table) {
                let record = record.map_err(|line| LockError::Table { path: index.path.clone(), line })?;
                all.push((index.suite, record));
            }
        }
        Ok(all)
    }
}

/// A path as part of a URL, escaped like apt does: some mirrors are in object stores that read a plain `+` as a space.
fn escaped(path: &str) -> String {
    path.replace('%', "%25").replace('+', "%2b").replace('~', "%7e")
}

/// Fetches a suite's `InRelease` and checks signature, name and times.
fn verified(
    suite: &str,
    base: &str,
    request: &LockRequest,
    keyring: &Keyring,
    http: &Http,
) -> Result<Verified, LockError> {
    let url = format!("{base}/dists/{suite}/InRelease");
    let answer = http.get(&url, RELEASE_LIMIT);
    // From here on it is only used in messages and to recognise the address.
    let url = shown(&url);
    let message = answer.map_err(|source| match source {
        HttpError::NotFound { .. } => LockError::NoSuite { suite: suite.to_owned(), url: url.clone() },
        source => LockError::Mirror { mirror: request.mirror.to_string(), source },
    })?;
    let (text, signers) = openpgp::verify(&message, keyring, request.now)
        .map_err(|source| LockError::Signature { url: url.clone(), source })?;
    let checked = Release::parse(&text).and_then(|release| release.check(suite, request.now).map(|()| release));
    match checked {
        Ok(release) => Ok(Verified { url, release, signers }),
        Err(source) => Err(LockError::release(url, &signers, source)),
    }
}

/// Refuses a release that is older than the last one seen at the same address, and remembers this one.
fn remember(verified: &Verified, store: &Store, reporter: &dyn Progress) -> Result<(), LockError> {
    let Verified { url, release, signers } = verified;
    let name = Sha256::of(url).to_string();
    // A time in seconds since 1970.
    match store.recall(&name, url, reporter, |fact| fact.parse::<i64>().ok())? {
        Some(seen) if seen == release.date => Ok(()),
        Some(seen) if seen > release.date => {
            let source = ReleaseError::older(release.date, seen, &store.memory(&name));
            Err(LockError::release(url.clone(), signers, source))
        }
        _ => Ok(store.remember(&name, &release.date.to_string(), url, reporter)?),
    }
}

/// An index file to be fetched.
struct Wanted {
    suite: usize,
    request: Request,
    /// Size of its text, in bytes.
    text: u64,
}

impl Wanted {
    fn new(suite: usize, dist: &str, folder: &str, verified: &Verified) -> Result<Self, LockError> {
        let find = |name: &str| -> Result<IndexFile, LockError> {
            let path = format!("{folder}/{name}");
            let found = verified.release.files.get(&path).copied();
            found.ok_or_else(|| LockError::NoIndex { url: verified.url.clone(), path })
        };
        let (packed, text) = (find("Packages.xz")?, find("Packages")?.size);
        let plain = format!("{dist}/{folder}/Packages.xz");
        let by_hash = verified.release.by_hash.then(|| format!("{dist}/{folder}/by-hash/SHA256/{}", packed.sha256));
        let request = Request {
            name: shown(&plain),
            sha256: packed.sha256,
            size: packed.size,
            // The file with the plain name may already be newer; then its hash is wrong, and an error says so.
            urls: by_hash.into_iter().chain([plain]).collect(),
        };
        Ok(Self { suite, request, text })
    }

    /// Reads the table, and makes it if missing.
    fn read(&self, architecture: &str, context: &Context<'_>) -> Result<Index, LockError> {
        let store = context.store;
        // The table also depends on the architecture, but that follows from the index: it lists no other.
        let blob = store.derived(table::KIND, &self.request.sha256, context.progress, |file| {
            let text = self.unpack(context)?;
            let table = table::make(&text, architecture)
                .map_err(|source| LockError::Index { url: self.request.name.clone(), source })?;
            std::io::Write::write_all(file, table.as_bytes())
                .map_err(|e| LockError::Store(StoreError::write(store.dir(), table.len() as u64, e)))
        })?;
        let path = blob.path().to_owned();
        let bytes = Content::whole(blob).to_vec();
        let table = bytes
            .and_then(|b| String::from_utf8(b).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e)));
        match table {
            Ok(table) => Ok(Index { suite: self.suite, path, table }),
            Err(source) => Err(StoreError::io("read", &path, source).into()),
        }
    }

    fn unpack(&self, context: &Context<'_>) -> Result<String, LockError> {
        let error = |source| LockError::Unpack { url: self.request.name.clone(), source };
        let gone = || error(std::io::Error::new(std::io::ErrorKind::NotFound, "it vanished from the cache"));
        let blob = context.store.blob(&self.request.sha256, &self.request.name, context.progress)?.ok_or_else(gone)?;
        unpack(&Content::whole(blob).to_vec().map_err(error)?, self.text).map_err(error)
    }
}

/// Decompresses an xz file whose content must have `size` bytes.
fn unpack(packed: &[u8], size: u64) -> std::io::Result<String> {
    let mut text = String::new();
    XzDecoder::new_multi_decoder(packed).take(size.saturating_add(1)).read_to_string(&mut text)?;
    if text.len() as u64 == size {
        Ok(text)
    } else {
        let what = format!("it does not unpack to the {size} bytes that the release names");
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what))
    }
}

#[cfg(test)]
mod tests;
