//! Parallel, resuming, verified downloads into the store.
//!
//! A download that was cut off resumes where it ended, from another mirror too: files are named by their hash, so all
//! mirrors have the same bytes. A condition on one server's `ETag` (`If-Range`) would only prevent that. When a file
//! put together from several mirrors has the wrong hash, it is fetched whole from the same mirror before that mirror is
//! blamed.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rayon::prelude::*;
use reqwest::StatusCode;
use sha2::Digest;

use super::http::{Http, HttpError, shown};
use super::slot::{self, Slot};
use super::sound::{BLOB, Found};
use super::{Failed, SourceError, Store, StoreError};
use labimg_tree::hash::Sha256;
use labimg_tree::human::total;
use labimg_tree::interrupt;
use labimg_tree::progress::{Phase, Progress, Unit};

/// A mirror that cut a transfer is not blamed when at least this many bytes came: a large file over a bad line takes
/// many attempts.
const PROGRESS: u64 = 1 << 20;

/// How often a mirror may send wrong bytes: once may be damage on the way.
const WRONG_TWICE: u32 = 2;

/// A file to be fetched into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its name in messages.
    pub name: String,
    /// Its expected hash.
    pub sha256: Sha256,
    /// Its size in bytes.
    pub size: u64,
    /// Its addresses, best first.
    pub urls: Vec<String>,
}

impl Store {
    /// Downloads the files that are missing or damaged and verifies each: up to `jobs` at a time, the largest first.
    ///
    /// Files that another process is downloading are waited for.
    ///
    /// # Errors
    /// [`StoreError::Fetch`] names every file that could not be fetched; without network it gives up after the first
    /// few. [`StoreError::Full`], before the first download when there is too little space for all.
    /// [`StoreError::ReadOnly`] names what is missing. [`StoreError::Interrupted`] within a second.
    pub fn fetch(
        &self,
        requests: &[Request],
        jobs: usize,
        http: &Http,
        reporter: &dyn Progress,
    ) -> Result<(), StoreError> {
        let mut requests: Vec<&Request> = requests.iter().collect();
        requests.sort_by_key(|request| (Reverse(request.size), request.sha256));
        requests.dedup_by_key(|request| request.sha256);
        let missing = |request| Ok(self.lacking(request, reporter)?.map(|damaged| Missing { request, damaged }));
        let missing = requests.into_par_iter().with_max_len(1).filter_map(|request| missing(request).transpose());
        let missing: Vec<Missing<'_>> = missing.collect::<Result<_, StoreError>>()?;
        if missing.is_empty() {
            return Ok(());
        }
        self.must_write(|| missing.iter().map(Missing::name).collect())?;

        let left = total(missing.iter().map(|missing| missing.request.size - self.begun(missing.request)));
        self.check_room(left)?;
        let stop = Arc::new(AtomicBool::new(false));
        let run = Run {
            store: self,
            reporter,
            http: http.until(stop.clone()),
            phase: reporter.phase("Downloading", left, Unit::Bytes),
            stop,
            down: Mutex::default(),
            fatal: Mutex::default(),
            failed: Mutex::default(),
        };
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(missing) = missing.get(next.fetch_add(1, Ordering::Relaxed))
                && run.http.check().is_ok()
            {
                run.handle(missing);
            }
        };
        std::thread::scope(|scope| {
            for number in 1..jobs.min(missing.len()) {
                // If a thread cannot be started, the others do its work.
                let _ = std::thread::Builder::new().name(format!("fetch {number}")).spawn_scoped(scope, work);
            }
            work();
        });
        run.result()
    }

    /// Whether the file must be downloaded, and if so, whether it is there and damaged.
    fn lacking(&self, request: &Request, reporter: &dyn Progress) -> Result<Option<bool>, StoreError> {
        let path = self.blob_path(&request.sha256);
        Ok(match self.sound((BLOB, &request.sha256, &path), &request.name, reporter)? {
            Found::Sound(blob) if blob.len() == request.size => None,
            Found::Sound(_) | Found::Missing => Some(false),
            Found::Damaged => Some(true),
        })
    }

    /// Bytes of the file that an earlier download left.
    fn begun(&self, request: &Request) -> u64 {
        let left = self.part_path(&request.sha256).metadata().map_or(0, |metadata| metadata.len());
        if left > request.size { 0 } else { left }
    }

    fn check_room(&self, needed: u64) -> Result<(), StoreError> {
        let stat =
            rustix::fs::statvfs(&self.dir).map_err(|e| StoreError::io("ask the size of", &self.dir, e.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free >= needed {
            return Ok(());
        }
        let cause = format!("{} are free", labimg_tree::human::HumanBytes(free));
        Err(StoreError::Full { path: self.dir.clone(), needed, cause: cause.into() })
    }
}

/// A file to be downloaded.
struct Missing<'a> {
    request: &'a Request,
    /// True when the cache has it, damaged.
    damaged: bool,
}

impl Missing<'_> {
    fn name(&self) -> String {
        format!("{}{}", self.request.name, if self.damaged { " (damaged there)" } else { "" })
    }
}

/// One call of [`Store::fetch`].
struct Run<'a> {
    store: &'a Store,
    reporter: &'a dyn Progress,
    http: Http,
    phase: Box<dyn Phase>,
    /// Set when no further download can succeed.
    stop: Arc<AtomicBool>,
    /// Hosts that did not answer: they are asked last from then on.
    down: Mutex<HashSet<String>>,
    fatal: Mutex<Option<StoreError>>,
    failed: Mutex<Vec<Failed>>,
}

/// A mirror to get one file from.
struct Source<'a> {
    url: &'a str,
    host: String,
    /// Attempts that failed because of the network or the server.
    attempts: u32,
    /// Attempts that gave wrong bytes.
    wrong: u32,
    /// When it may be asked again.
    ready: Instant,
    /// Why it is no longer asked.
    given_up: Option<SourceError>,
}

/// Why one attempt failed.
enum Failure {
    /// The mirror is to blame.
    Source(SourceError),
    /// This machine is.
    Store(StoreError),
}

impl<T: Into<SourceError>> From<T> for Failure {
    fn from(error: T) -> Self {
        Self::Source(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Run<'_> {
    fn handle(&self, missing: &Missing<'_>) {
        match self.one(missing) {
            Ok(()) => {}
            Err(StoreError::Fetch(failed)) => {
                // A missing or wrong file says nothing about the other files; a dead network or server does.
                let general =
                    |cause: &SourceError| matches!(cause, SourceError::Http(e) if e.is_transient() || e.is_host_down());
                if failed.iter().any(|failed| failed.causes.iter().any(general)) {
                    self.stop.store(true, Ordering::Relaxed);
                }
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).extend(failed);
            }
            Err(e) => {
                self.stop.store(true, Ordering::Relaxed);
                let mut fatal = self.fatal.lock().unwrap_or_else(PoisonError::into_inner);
                // Threads that stopped because of the first error only report `Interrupted`.
                if fatal.is_none() && !matches!(e, StoreError::Interrupted(_)) {
                    *fatal = Some(e);
                }
            }
        }
    }

    fn result(self) -> Result<(), StoreError> {
        interrupt::check()?;
        if let Some(e) = self.fatal.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(e);
        }
        let mut failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        failed.sort_by(|a, b| a.name.cmp(&b.name));
        if failed.is_empty() { Ok(()) } else { Err(StoreError::Fetch(failed)) }
    }

    /// Fetches one file from any mirror that has it.
    fn one(&self, missing: &Missing<'_>) -> Result<(), StoreError> {
        let Missing { request, damaged } = *missing;
        let target = self.store.blob_path(&request.sha256);
        let begun = self.store.begun(request);
        let there = || {
            self.http.check()?;
            Ok(self.store.lacking(request, self.reporter)?.is_none())
        };
        let Some(slot) = Slot::acquire(self.store.part_path(&request.sha256), there)? else {
            self.phase.inc(request.size - begun);
            return Ok(());
        };
        let mut part = Part::load(slot, request, begun)?;
        let mut sources: Vec<_> = request.urls.iter().map(|url| Source::new(url)).collect();
        while let Some(source) = self.choose(&mut sources) {
            self.http.pause(source.ready.saturating_duration_since(Instant::now()))?;
            let before = part.len;
            match self.transfer(&mut part, request, source) {
                Ok(()) => return self.store.publish(part.slot, &target),
                Err(Failure::Store(e)) => return Err(e),
                Err(Failure::Source(SourceError::Http(HttpError::Interrupted(e)))) => return Err(e.into()),
                Err(Failure::Source(e)) => {
                    if let SourceError::Http(e) = &e
                        && e.is_host_down()
                    {
                        self.down.lock().unwrap_or_else(PoisonError::into_inner).insert(source.host.clone());
                    }
                    if part.len.saturating_sub(before) >= PROGRESS {
                        source.attempts = 0;
                    }
                    source.failed(e, &self.http);
                }
            }
        }
        if part.len == 0 {
            part.slot.discard();
        }
        let causes = sources.into_iter().filter_map(|source| source.given_up).collect();
        Err(StoreError::Fetch(vec![Failed { name: request.name.clone(), damaged, causes }]))
    }

    /// The mirror to ask next: the one that may be asked first. Of several, one whose host answers, then by order.
    fn choose<'a, 'b>(&self, sources: &'a mut [Source<'b>]) -> Option<&'a mut Source<'b>> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let usable = sources.iter_mut().filter(|source| source.given_up.is_none());
        usable.min_by_key(|source| (source.ready.saturating_duration_since(now), down.contains(&source.host)))
    }

    /// Asks one mirror once; on success `part` holds the verified file.
    fn transfer(&self, part: &mut Part, request: &Request, source: &Source) -> Result<(), Failure> {
        let size = request.size;
        loop {
            let resumed = part.len;
            if resumed < size {
                self.receive(part, request, source)?;
            }
            let computed = Sha256::from_hasher(part.hasher.clone());
            if computed == request.sha256 {
                return Ok(());
            }
            part.clear(size)?;
            if resumed == 0 {
                return Err(SourceError::Hash { url: shown(source.url), expected: request.sha256, computed }.into());
            }
        }
    }

    fn receive(&self, part: &mut Part, request: &Request, source: &Source) -> Result<(), Failure> {
        let size = request.size;
        let wrong_size = |found| SourceError::Size { url: shown(source.url), expected: size, found };
        let mut body = match self.http.open(source.url, part.len) {
            // The server has fewer bytes than we have: it has another file, or it misunderstands ranges.
            Err(HttpError::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) if part.len > 0 => {
                part.clear(size)?;
                self.http.open(source.url, 0)?
            }
            other => other?,
        };
        if let Some(found) = body.total().filter(|&total| total != size) {
            return Err(wrong_size(found).into());
        }
        if body.start() == 0 && part.len > 0 {
            part.clear(size)?;
        }
        while let Some(piece) = body.chunk()? {
            if piece.len() as u64 > size - part.len {
                let found = part.len + piece.len() as u64;
                part.clear(size)?;
                return Err(wrong_size(found).into());
            }
            part.append(&piece, size)?;
            self.phase.inc(part.uncounted());
        }
        if part.len < size {
            let found = part.len;
            part.clear(size)?;
            return Err(wrong_size(found).into());
        }
        Ok(())
    }
}

impl<'a> Source<'a> {
    fn new(url: &'a str) -> Self {
        let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        Self { url, host, attempts: 0, wrong: 0, ready: Instant::now(), given_up: None }
    }

    /// Decides whether the mirror is asked again, and when.
    fn failed(&mut self, error: SourceError, http: &Http) {
        let delay = match &error {
            SourceError::Http(e) => {
                self.attempts += 1;
                http.delay(self.url, self.attempts, e)
            }
            SourceError::Hash { .. } | SourceError::Size { .. } => {
                self.wrong += 1;
                (self.wrong < WRONG_TWICE).then_some(http.settings().first_delay)
            }
        };
        match delay {
            Some(delay) => self.ready = Instant::now() + delay,
            None => self.given_up = Some(error),
        }
    }
}

/// The downloaded part of one file, with the hash so far.
struct Part {
    slot: Slot,
    len: u64,
    hasher: sha2::Sha256,
    /// Bytes that progress counts as done. They stay counted when the file is started over.
    counted: u64,
}

impl Part {
    fn load(slot: Slot, request: &Request, counted: u64) -> Result<Self, StoreError> {
        let mut part = Self { slot, len: 0, hasher: sha2::Sha256::new(), counted };
        match slot::feed(part.slot.file(), part.slot.path(), &mut part.hasher, &mut part.len) {
            Ok(()) if part.len <= request.size => {}
            // Not the beginning of this file, or on a bad sector.
            Ok(()) | Err(StoreError::Io { .. }) => part.clear(request.size)?,
            Err(e) => return Err(e),
        }
        Ok(part)
    }

    fn append(&mut self, piece: &[u8], size: u64) -> Result<(), StoreError> {
        let written = self.slot.file().write_all_at(piece, self.len);
        written.map_err(|e| StoreError::write(self.slot.path(), size - self.len, e))?;
        self.hasher.update(piece);
        self.len += piece.len() as u64;
        Ok(())
    }

    fn clear(&mut self, size: u64) -> Result<(), StoreError> {
        self.slot.clear().map_err(|e| StoreError::write(self.slot.path(), size, e))?;
        self.hasher = sha2::Sha256::new();
        self.len = 0;
        Ok(())
    }

    /// Bytes that are done but not yet counted by progress.
    fn uncounted(&mut self) -> u64 {
        let more = self.len.saturating_sub(self.counted);
        self.counted += more;
        more
    }
}
