//! The store against a server that misbehaves on request. Tests that need several processes are in `tests/store.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::http::tests::{bytes, quick};
use super::http::{Http, HttpError};
use super::*;
use labimg_testkit::http_server::{Act, Server, dead_url};
use labimg_tree::fault::{Fault, FaultKind, causes};
use labimg_tree::progress::{Phase, Silent, Unit};

const MANY: usize = 3_000_000;

pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) server: Server,
    pub(super) http: Http,
}

/// Keeps warnings.
#[derive(Debug, Default)]
pub(super) struct Warnings(pub(super) Mutex<Vec<String>>);

impl Progress for Warnings {
    fn phase(&self, _: &str, _: u64, _: Unit) -> Box<dyn Phase> {
        Box::new(Silent)
    }

    fn note(&self, _: &str) {}

    fn warn(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

impl Bench {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        Self { dir, store, server: Server::start(), http: quick() }
    }

    /// Puts a file on the server and asks for it.
    pub(super) fn request(&self, path: &str, content: &[u8]) -> Request {
        self.server.file(path, content);
        Request {
            name: path.trim_start_matches('/').to_owned(),
            sha256: Sha256::of(content),
            size: content.len() as u64,
            urls: vec![self.server.url(path)],
        }
    }

    pub(super) fn fetch(&self, requests: &[Request]) -> Result<(), StoreError> {
        self.store.fetch(requests, 4, &self.http, &Silent)
    }

    fn read(&self, request: &Request) -> Vec<u8> {
        let blob = self.store.blob(&request.sha256, "it", &Silent).unwrap().unwrap();
        let mut content = vec![0; blob.len() as usize];
        blob.read_exact_at(&mut content, 0).unwrap();
        content
    }

    fn ranges(&self, path: &str) -> Vec<Option<String>> {
        self.server.seen().into_iter().filter(|seen| seen.path == path).map(|seen| seen.range).collect()
    }

    fn leave_part(&self, request: &Request, content: &[u8]) {
        fs::write(self.store.part_path(&request.sha256), content).unwrap();
    }

    fn parts(&self) -> usize {
        fs::read_dir(self.dir.path().join("tmp")).unwrap().count()
    }
}

fn cause(error: StoreError) -> SourceError {
    let StoreError::Fetch(mut failed) = error else { panic!("{error}") };
    failed.remove(0).causes.remove(0)
}

#[test]
fn files_are_fetched_once_and_kept_read_only() {
    let bench = Bench::new();
    let mut requests: Vec<_> = (0..30).map(|i| bench.request(&format!("/f{i}"), &bytes(i * 3000))).collect();
    requests.push(requests[3].clone());
    bench.fetch(&requests).unwrap();
    for (i, request) in requests.iter().take(30).enumerate() {
        assert_eq!(bench.read(request), bytes(i * 3000));
        let path = bench.store.blob_path(&request.sha256);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o444);
    }
    // The empty file needs no server.
    assert_eq!(bench.server.seen().len(), 29);
    bench.fetch(&requests).unwrap();
    assert_eq!(bench.server.seen().len(), 29);
    assert_eq!(bench.parts(), 0);
    let connections = bench.server.seen().iter().map(|seen| seen.connection).max();
    assert!(connections < Some(8), "connections are to be used again: {connections:?}");
}

#[test]
fn a_cut_download_goes_on_where_it_ended() {
    let bench = Bench::new();
    let request = bench.request("/f", &bytes(MANY));
    bench.server.next("/f", [Act::CutAfter(1_000_000), Act::CutAfter(500_000)]);
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert_eq!(bench.read(&request), bytes(MANY));
    let ranges = bench.ranges("/f");
    assert_eq!(ranges, [None, Some("bytes=1000000-".into()), Some("bytes=1500000-".into())]);
}

#[test]
fn cuts_after_progress_do_not_use_up_the_attempts() {
    let bench = Bench::new();
    let request = bench.request("/f", &bytes(9 << 20));
    bench.server.next("/f", vec![Act::CutAfter((1 << 20) + 1); 8]);
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert_eq!(bench.ranges("/f").len(), 9);
}

#[test]
fn what_a_killed_build_left_is_used_when_it_is_right() {
    let bench = Bench::new();
    let request = bench.request("/f", &bytes(MANY));
    bench.leave_part(&request, &bytes(MANY)[..2_000_000]);
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert_eq!(bench.ranges("/f"), [Some("bytes=2000000-".into())]);

    // Complete, but not yet renamed.
    let request = bench.request("/g", b"whole");
    bench.leave_part(&request, b"whole");
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert!(bench.ranges("/g").is_empty());

    // Damaged; too long; right length but wrong bytes.
    for (path, left) in [("/h", &b"###"[..]), ("/i", b"############"), ("/j", b"######")] {
        let request = bench.request(path, path.repeat(3).as_bytes());
        bench.leave_part(&request, left);
        bench.fetch(std::slice::from_ref(&request)).unwrap();
        assert_eq!(bench.read(&request), path.repeat(3).as_bytes());
    }
    assert_eq!(bench.parts(), 0);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let bench = Bench::new();
    let request = bench.request("/f", &bytes(MANY));
    bench.server.always("/f", Act::IgnoreRange);
    bench.server.next("/f", [Act::CutAfter(1_000_000)]);
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert_eq!(bench.read(&request), bytes(MANY));
    assert_eq!(bench.ranges("/f").len(), 2);
}

#[test]
fn wrong_bytes_never_become_visible() {
    let bench = Bench::new();
    let mut request = bench.request("/f", b"right");
    bench.server.next("/f", [Act::Instead(b"wrong".to_vec())]);
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert_eq!(bench.read(&request), b"right");

    let other = bench.request("/good", b"good");
    request = bench.request("/g", b"other");
    bench.server.always("/g", Act::Instead(b"wrong".to_vec()));
    let error = bench.fetch(&[request.clone(), other.clone()]).unwrap_err();
    let text = error.to_string();
    for part in ["`g`", "/g:", &Sha256::of("other").to_string(), &Sha256::of("wrong").to_string()] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(error.help().unwrap().contains("another mirror"), "{error}");
    assert_eq!(error.kind(), FaultKind::World);
    assert!(bench.store.blob(&request.sha256, "it", &Silent).unwrap().is_none());
    assert_eq!(bench.read(&other), b"good");
    assert_eq!(bench.parts(), 0);

    // A wrong size is noticed before any byte is fetched.
    bench.server.always("/g", Act::Instead(bytes(MANY)));
    let cause = cause(bench.fetch(&[request.clone()]).unwrap_err());
    assert!(matches!(cause, SourceError::Size { found: 3_000_000, expected: 5, .. }), "{cause}");
    // Also when the server announces no size.
    bench.server.file("/g", bytes(MANY));
    bench.server.always("/g", Act::Chunked);
    assert!(bench.fetch(&[request.clone()]).unwrap_err().to_string().contains("5 expected"));
    assert!(bench.store.blob(&request.sha256, "it", &Silent).unwrap().is_none());
}

#[test]
fn the_next_mirror_is_asked_at_once() {
    let bench = Bench::new();
    let good = bench.server.url("/f");
    let mut request = bench.request("/f", b"content");
    request.urls = vec![dead_url("/f"), bench.server.url("/missing"), good];
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert_eq!(bench.ranges("/f"), [None]);

    // One mirror begins the file, another one ends it.
    bench.server.file("/b", bytes(MANY));
    let mut request = bench.request("/a", &bytes(MANY));
    request.urls.push(bench.server.url("/b"));
    bench.server.always("/a", Act::CutAfter(1000));
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert_eq!(bench.ranges("/b"), [Some("bytes=1000-".into())]);
}

#[test]
fn all_mirrors_down_ends_soon_and_says_so() {
    let bench = Bench::new();
    let requests: Vec<_> = (0..50)
        .map(|i| {
            let mut request = bench.request(&format!("/f{i}"), &bytes(i + 1));
            request.urls = vec![dead_url("/one"), dead_url("/two")];
            request
        })
        .collect();
    let begun = Instant::now();
    let error = bench.fetch(&requests).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let StoreError::Fetch(failed) = &error else { panic!("{error}") };
    assert!(failed.len() <= 4 && failed[0].causes.len() == 2, "{error}");
    assert!(matches!(failed[0].causes[0], SourceError::Http(HttpError::Unreachable { .. })), "{error}");
}

#[test]
fn every_missing_file_is_named() {
    let bench = Bench::new();
    let mut requests: Vec<_> = (0..12).map(|i| bench.request(&format!("/f{i}"), &bytes(i + 1))).collect();
    for request in &mut requests[2..] {
        request.urls[0].push_str("-gone");
    }
    requests[11].urls.clear();
    let error = bench.fetch(&requests).unwrap_err();
    let StoreError::Fetch(failed) = &error else { panic!("{error}") };
    assert_eq!(failed.len(), 10);
    assert!(error.to_string().contains("`f11`: no address is known"), "{error}");
    assert!(error.to_string().contains("(404)"), "{error}");
    // Nine times the same advice is printed once.
    assert_eq!(error.help().unwrap(), "check the address: a newer file may have replaced this one");
    assert_eq!(bench.read(&requests[1]), bytes(2));
}

#[test]
fn too_little_room_is_seen_first() {
    let bench = Bench::new();
    let mut request = bench.request("/f", b"x");
    request.size = 1 << 60;
    let error = bench.fetch(std::slice::from_ref(&request)).unwrap_err();
    assert!(matches!(error, StoreError::Full { needed, .. } if needed == 1 << 60), "{error}");
    assert!(causes(&error)[0].ends_with(" are free"), "{error:?}");
    assert!(error.help().unwrap().contains("--cache"), "{error:?}");
    assert!(bench.server.seen().is_empty());
}

#[test]
fn two_stores_download_a_file_once() {
    let bench = Bench::new();
    let requests: Vec<_> = (0..6).map(|i| bench.request(&format!("/f{i}"), &bytes(200_000 + i))).collect();
    for i in 0..6 {
        bench.server.always(&format!("/f{i}"), Act::Slow(50_000, Duration::from_millis(50)));
    }
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let store = Store::open(bench.dir.path()).unwrap();
                store.fetch(&requests, 8, &quick(), &Silent).unwrap();
            });
        }
    });
    assert_eq!(bench.server.seen().len(), 6);
    for (i, request) in requests.iter().enumerate() {
        assert_eq!(bench.read(request), bytes(200_000 + i));
    }
}

#[test]
fn a_truncated_entry_is_fetched_again() {
    let bench = Bench::new();
    let request = bench.request("/f", b"content");
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    damage(&bench.store.blob_path(&request.sha256), b"cont");
    bench.fetch(std::slice::from_ref(&request)).unwrap();
    assert_eq!(bench.read(&request), b"content");
    assert_eq!(bench.server.seen().len(), 2);
}

/// Damages an entry's content, as no program would.
fn damage(path: &Path, content: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

fn make(store: &Store, kind: &'static str, key: &[u8], content: &[u8]) -> Result<Blob, StoreError> {
    store.derived(kind, &Sha256::of(key), &Silent, |file| {
        file.write_all(content).map_err(|e| StoreError::io("write", Path::new("it"), e))
    })
}

#[test]
fn verify_throws_damaged_entries_away() {
    let bench = Bench::new();
    let requests = [bench.request("/f", b"content"), bench.request("/g", b"sound")];
    bench.fetch(&requests).unwrap();
    let derived = make(&bench.store, "tar", b"1", b"derived").unwrap();
    let unsummed = make(&bench.store, "tar", b"2", b"derived").unwrap();
    make(&bench.store, "initramfs", b"1", b"sound").unwrap();
    let found = bench.store.verify(&Silent).unwrap();
    assert_eq!((found.checked, found.damaged.len()), (5, 0), "{found}");

    damage(&bench.store.blob_path(&requests[0].sha256), b"CONTENT");
    damage(derived.path(), b"DERIVED");
    fs::remove_file(sum_path(unsummed.path())).unwrap();
    let found = bench.store.verify(&Silent).unwrap();
    let kinds: Vec<_> = found.damaged.iter().map(|damaged| (damaged.kind.as_str(), damaged.removed)).collect();
    assert_eq!(kinds, [("blob", true), ("tar", true), ("tar", true)]);
    assert!(found.to_string().contains(&Sha256::of("CONTENT").to_string()), "{found}");
    assert!(serde_json::to_string(&found).unwrap().contains("\"checked\":5"));

    assert!(bench.store.blob(&requests[0].sha256, "it", &Silent).unwrap().is_none());
    bench.fetch(&requests).unwrap();
    assert_eq!(bench.read(&requests[0]), b"content");
    assert_eq!(make(&bench.store, "tar", b"1", b"anew").unwrap().len(), 4);
    assert!(bench.store.verify(&Silent).unwrap().damaged.is_empty());
}

#[test]
fn a_derived_entry_is_made_once() {
    let bench = Bench::new();
    let made = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let store = Store::open(bench.dir.path()).unwrap();
                let blob = store.derived::<StoreError>("tar", &Sha256::of("key"), &Silent, |file| {
                    made.fetch_add(1, Ordering::SeqCst);
                    file.write_all(b"half ").unwrap();
                    std::thread::sleep(Duration::from_millis(100));
                    file.write_all(b"whole").unwrap();
                    Ok(())
                });
                assert_eq!(blob.unwrap().len(), 10);
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
    let path = bench.dir.path().join("derived/tar").join(Sha256::of("key").to_string());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o444);
    let sum = fs::read_to_string(sum_path(&path)).unwrap();
    assert_eq!(sum, format!("{} 10\n", Sha256::of("half whole")));

    // A cut or unreadable `.sum` file is made again.
    damage(&path, b"half ");
    assert_eq!(make(&bench.store, "tar", b"key", b"again").unwrap().len(), 5);
    fs::write(sum_path(&path), "").unwrap();
    let next = Store::open(bench.dir.path()).unwrap();
    assert_eq!(make(&next, "tar", b"key", b"and again").unwrap().len(), 9);
}

#[test]
fn a_failed_maker_leaves_nothing() {
    #[derive(Debug, thiserror::Error)]
    enum MakeError {
        #[error("cannot")]
        Cannot,
        #[error(transparent)]
        Store(#[from] StoreError),
    }
    let bench = Bench::new();
    let key = Sha256::of("key");
    let error = bench.store.derived("tar", &key, &Silent, |file| {
        file.write_all(b"half").unwrap();
        Err(MakeError::Cannot)
    });
    assert!(matches!(error, Err(MakeError::Cannot)));
    assert_eq!(bench.parts(), 0);
    // What a killed maker left does not get into the next maker's file.
    fs::write(bench.dir.path().join("tmp").join(format!("tar-{key}.part")), "much longer than that").unwrap();
    let blob = bench.store.derived::<MakeError>("tar", &key, &Silent, |file| {
        file.write_all(b"short").map_err(|e| StoreError::io("write", Path::new("it"), e).into())
    });
    assert_eq!(blob.unwrap().len(), 5);
}

/// The `.part` file goes and comes again while others wait for its lock.
#[test]
fn makers_that_fail_and_others_that_wait_do_not_meet() {
    let bench = Bench::new();
    let inside = AtomicUsize::new(0);
    for round in 0..200_u32 {
        let key = Sha256::of(round.to_le_bytes());
        std::thread::scope(|scope| {
            for number in 0..6 {
                let (bench, inside) = (&bench, &inside);
                scope.spawn(move || {
                    let made = bench.store.derived::<StoreError>("tar", &key, &Silent, |file| {
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two make the same at once");
                        std::thread::yield_now();
                        file.write_all(&[7; 10]).unwrap();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        if number < 4 { Err(StoreError::NoHome) } else { Ok(()) }
                    });
                    match made {
                        Ok(blob) => assert_eq!(blob.len(), 10),
                        Err(StoreError::NoHome) if number < 4 => {}
                        Err(e) => panic!("{e}"),
                    }
                });
            }
        });
    }
    assert_eq!(bench.store.list().unwrap().entries.len(), 200);
    assert_eq!(bench.parts(), 0);
}

#[test]
fn a_look_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    assert!(Store::look(&cache).unwrap().is_none() && !cache.exists());
    let store = Store::open(&cache).unwrap();
    let (good, bad) = (store.put(b"good", &Silent).unwrap(), store.put(b"bad", &Silent).unwrap());
    std::fs::write(store.blob_path(&bad), b"worse").unwrap();
    drop(store);
    let store = Store::look(&cache).unwrap().unwrap();
    assert_eq!(store.blob(&good, "one", &Silent).unwrap().unwrap().len(), 4);
    assert!(store.blob(&bad, "another", &Silent).unwrap().is_none());
    assert!(store.blob_path(&bad).exists());
}

#[test]
fn bytes_are_put_once() {
    let bench = Bench::new();
    let hash = bench.store.put(b"some bytes", &Silent).unwrap();
    assert_eq!(hash, Sha256::of("some bytes"));
    assert_eq!(bench.store.put(b"some bytes", &Silent).unwrap(), hash);
    assert_eq!(bench.store.blob(&hash, "it", &Silent).unwrap().unwrap().len(), 10);
    assert!(bench.store.blob(&Sha256::of("none"), "it", &Silent).unwrap().is_none());
    assert_eq!(bench.parts(), 0);
}

/// Makes a file look unused for `days` days.
fn age(path: &Path, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    File::open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn prune_removes_what_was_not_used_longest() {
    let bench = Bench::new();
    let hashes: Vec<_> = (0..4).map(|i| bench.store.put(&bytes(1000 + i), &Silent).unwrap()).collect();
    let derived = make(&bench.store, "tar", b"1", &bytes(5000)).unwrap();
    for (i, hash) in hashes.iter().enumerate() {
        age(&bench.store.blob_path(hash), 10 * i as u64);
    }
    age(derived.path(), 5);
    bench.leave_part(&bench.request("/f", b"x"), b"");

    let keep = Keep { used_within: Some(Duration::from_secs(25 * 24 * 3600)), at_most: None };
    let pruned = bench.store.prune(&keep, true).unwrap();
    assert_eq!((pruned.removed[0].hash, pruned.removed.len(), pruned.kept), (hashes[3], 1, 4));
    assert!(bench.store.blob_path(&hashes[3]).exists(), "a dry run removes nothing");

    // Another store is open: perhaps a build that uses them.
    let other = Store::open(bench.dir.path()).unwrap();
    assert!(matches!(bench.store.prune(&keep, false), Err(StoreError::Busy(_))));
    drop(other);

    let pruned = bench.store.prune(&keep, false).unwrap();
    assert_eq!((pruned.removed[0].hash, pruned.freed, pruned.kept), (hashes[3], 1003, 4));
    assert!(bench.store.blob(&hashes[3], "it", &Silent).unwrap().is_none());
    assert_eq!(bench.parts(), 0);

    // Using an entry makes it young again.
    bench.store.blob(&hashes[2], "it", &Silent).unwrap().unwrap();
    let keep = Keep { used_within: None, at_most: Some(2500) };
    let pruned = bench.store.prune(&keep, false).unwrap();
    let removed: Vec<_> = pruned.removed.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!((removed, pruned.kept_size), (vec!["blob", "tar"], 2002), "{pruned}");
    assert!(!sum_path(derived.path()).exists());
    let listing = bench.store.list().unwrap();
    assert!(listing.entries.iter().all(|entry| [hashes[0], hashes[2]].contains(&entry.hash)));
    assert_eq!(listing.size, 2002);
    assert!(listing.to_string().contains("2 entries"), "{listing}");
    assert_eq!(bench.store.prune(&Keep::default(), false).unwrap().removed, []);
}

#[test]
fn old_rubbish_is_swept_and_running_work_is_not() {
    let bench = Bench::new();
    let tmp = bench.dir.path().join("tmp");
    let [old, new, held] = ["old.part", "new.part", "held.part"].map(|name| tmp.join(name));
    for path in [&old, &new, &held] {
        fs::write(path, "x").unwrap();
    }
    age(&old, 2);
    age(&held, 2);
    let slot = Slot::acquire(held.clone(), || Ok(false)).unwrap().unwrap();
    Store::open(bench.dir.path()).unwrap();
    assert_eq!((old.exists(), new.exists(), held.exists()), (false, true, true));
    drop(slot);
    Store::open(bench.dir.path()).unwrap();
    assert!(!held.exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Store::open(&file.path().join("cache")).unwrap_err();
    assert!(error.to_string().contains(&*file.path().to_string_lossy()), "{error}");
}
