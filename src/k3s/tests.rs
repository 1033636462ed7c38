//! Releases on a server of our own: whole, and in every way broken or out of reach.

use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::wording::one_line;
use labimg_store::StoreError;
use labimg_store::http::Settings;
use labimg_store::http::{Http, HttpError};
use labimg_store::{Context, Store};
use labimg_testkit::http_server::{Act, Server, dead_url};
use labimg_tree::progress::Silent;

const FOLDER: &str = "/k3s/v1.36.5%2Bk3s1";
const IMAGES: &str = "k3s-airgap-images-arm64.tar.zst";

struct Bench {
    server: Server,
    cache: TempDir,
    url: String,
    program: Vec<u8>,
}

/// A release whose program is a stand-in of 700 kB; nothing of it is ever run.
fn bench() -> Bench {
    let mut program: Vec<u8> = (0..700_000).map(|i: u32| (i * 7 + i / 251) as u8).collect();
    program.splice(..64, local::tests::elf(2, 2, 183));
    bench_with(program, b"\x28\xb5\x2f\xfd images")
}

fn bench_with(program: Vec<u8>, images: &[u8]) -> Bench {
    let server = Server::start();
    let sums = format!("{}  {IMAGES}\n{}  k3s-arm64\n", Sha256::of(images), Sha256::of(&program));
    server.file(&format!("{FOLDER}/sha256sum-arm64.txt"), sums);
    server.file(&format!("{FOLDER}/k3s-arm64"), program.clone());
    server.file(&format!("{FOLDER}/{IMAGES}"), images);
    let url = server.url("/k3s");
    Bench { server, cache: tempfile::tempdir().unwrap(), url, program }
}

fn http() -> Http {
    Http::with(Settings {
        connect_timeout: Duration::from_secs(5),
        read_timeout: Duration::from_millis(400),
        attempts: 3,
        first_delay: Duration::from_millis(20),
        longest_delay: Duration::from_secs(5),
        ..Settings::default()
    })
    .unwrap()
}

impl Bench {
    fn source(&self) -> K3sSource {
        K3sSource { version: DEFAULT_VERSION.to_owned(), url: self.url.clone() }
    }

    fn obtain(&self, mode: K3sMode) -> Result<K3sBinary, K3sError> {
        let source = self.source();
        let wanted = Wanted { mode, local: None, source: &source, locked: None, architecture: "arm64" };
        self.with(|context| obtain(&wanted, || ask(&source, "arm64", &Sums::default(), context), context))
    }

    fn with<T>(&self, work: impl FnOnce(&Context<'_>) -> T) -> T {
        let (store, http) = (Store::open(self.cache.path()).unwrap(), http());
        work(&Context { store: &store, http: &http, progress: &Silent })
    }

    fn program_path() -> String {
        format!("{FOLDER}/k3s-arm64")
    }

    fn sums_path() -> String {
        format!("{FOLDER}/sha256sum-arm64.txt")
    }

    /// Fails in every mode that asks for the program, and not because it could not be reached.
    fn is_wrong(&self, needle: &str) {
        for mode in [K3sMode::Auto, K3sMode::Embed] {
            let error = self.obtain(mode).unwrap_err();
            assert!(!error.is_unreachable(), "{error}");
            assert!(one_line(&error).contains(needle), "{mode:?}: {error}");
        }
    }

    /// [`K3sMode::Embed`] fails, [`K3sMode::Auto`] leaves it to the first boot and says why.
    fn is_left_to_first_boot(&self, needle: &str) -> FirstBoot {
        let error = self.obtain(K3sMode::Embed).unwrap_err();
        assert!(error.is_unreachable() && one_line(&error).contains(needle), "{error}");
        let binary = self.obtain(K3sMode::Auto).unwrap();
        let record = binary.record();
        assert_eq!((record.how.as_str(), record.size), ("first boot", None));
        assert!(record.unreachable.is_some_and(|cause| cause.contains(needle)));
        let K3sBinary::FirstBoot(first) = binary else { panic!("{binary:?}") };
        assert_eq!(first.version, DEFAULT_VERSION);
        first
    }
}

#[test]
fn a_release_is_embedded_and_remembered() {
    let bench = bench();
    let K3sBinary::Embedded { content, locked } = bench.obtain(K3sMode::Auto).unwrap() else { panic!("not embedded") };
    assert_eq!(content.to_vec().unwrap(), bench.program);
    assert_eq!((locked.size, locked.sha256), (700_000, Sha256::of(&bench.program)));
    assert_eq!(locked.url, format!("{}/v1.36.5%2Bk3s1/k3s-arm64", bench.url));

    // Without any network the same comes out, in every mode.
    let asked = bench.server.seen().len();
    for path in [Bench::program_path(), Bench::sums_path()] {
        bench.server.always(&path, Act::Status(503, String::new()));
    }
    for mode in [K3sMode::Auto, K3sMode::Embed] {
        let K3sBinary::Embedded { locked: again, .. } = bench.obtain(mode).unwrap() else { panic!("not embedded") };
        assert_eq!(again, locked);
    }
    let K3sBinary::FirstBoot(first) = bench.obtain(K3sMode::FirstBoot).unwrap() else { panic!("not left") };
    assert_eq!((first.sha256, first.why), (Some(locked.sha256), Why::Asked));
    assert_eq!(bench.server.seen().len(), asked);
}

#[test]
fn a_program_with_another_hash_is_never_used() {
    let bench = bench();
    bench.server.always(&Bench::program_path(), Act::Instead(vec![7; 700_000]));
    bench.is_wrong("SHA-256 is");
    // A checksum that did not hold is not remembered: what is mended works.
    bench.server.always(&Bench::program_path(), Act::Serve);
    assert!(matches!(bench.obtain(K3sMode::Auto), Ok(K3sBinary::Embedded { .. })));
}

#[test]
fn a_release_that_changed_since_is_noticed() {
    let bench = bench();
    bench.obtain(K3sMode::Embed).unwrap();
    std::fs::remove_dir_all(bench.cache.path().join("blobs")).unwrap();
    bench.server.always(&Bench::program_path(), Act::Instead(vec![7; 700_000]));
    bench.is_wrong("that of an earlier build");
}

#[test]
fn a_checksum_file_without_the_program_is_an_error() {
    let bench = bench();
    bench.server.file(&Bench::sums_path(), format!("{}  k3s\n", Sha256::of("x")));
    bench.is_wrong("no line for k3s-arm64");
    bench.server.file(&Bench::sums_path(), "<html>Please log in</html>");
    bench.is_wrong("is not the checksum file of a release");
    assert!(bench.obtain(K3sMode::FirstBoot).is_err());
}

#[test]
fn a_version_that_is_not_there_is_an_error() {
    let bench = bench();
    bench.server.always(&Bench::program_path(), Act::Status(404, String::new()));
    bench.is_wrong("k3s-arm64 does not exist (404)");
    bench.server.always(&Bench::sums_path(), Act::Status(404, String::new()));
    bench.is_wrong("sha256sum-arm64.txt does not exist (404)");
    assert!(one_line(&bench.obtain(K3sMode::FirstBoot).unwrap_err()).contains("is that the version you mean?"));
}

#[test]
fn a_refusal_is_an_error() {
    let bench = bench();
    bench.server.always(&Bench::sums_path(), Act::Status(403, String::new()));
    bench.is_wrong("403");
}

#[test]
fn a_server_that_is_busy_for_a_while_is_asked_again() {
    let bench = bench();
    let busy = || Act::Status(503, String::new());
    bench.server.next(&Bench::sums_path(), [busy()]);
    // Once when the size is asked for, once when it is fetched.
    bench.server.next(&Bench::program_path(), [busy(), Act::Serve, busy(), Act::CutAfter(300_000)]);
    assert!(matches!(bench.obtain(K3sMode::Embed), Ok(K3sBinary::Embedded { .. })));
}

#[test]
fn a_download_that_is_cut_goes_on() {
    let bench = bench();
    bench.server.next(&Bench::program_path(), [Act::Serve, Act::CutAfter(300_000)]);
    assert!(matches!(bench.obtain(K3sMode::Embed), Ok(K3sBinary::Embedded { .. })));
    assert_eq!(bench.server.seen().last().unwrap().range.as_deref(), Some("bytes=300000-"));
}

#[test]
fn what_cannot_be_reached_is_left_to_the_first_boot() {
    let mut bench = bench();
    bench.server.always(&Bench::sums_path(), Act::Status(503, String::new()));
    assert_eq!(bench.is_left_to_first_boot("503").sha256, None);
    bench.server.always(&Bench::sums_path(), Act::Serve);

    // The checksum is known by then, and the node will hold the program to it.
    bench.server.always(&Bench::program_path(), Act::Status(502, String::new()));
    assert_eq!(bench.is_left_to_first_boot("502").sha256, Some(Sha256::of(&bench.program)));
    bench.server.always(&Bench::program_path(), Act::CutAfter(1));
    assert_eq!(bench.is_left_to_first_boot("cut after").sha256, Some(Sha256::of(&bench.program)));

    bench.url = dead_url("/k3s");
    let first = bench.is_left_to_first_boot("cannot connect");
    assert_eq!((first.sha256, first.url.as_str()), (None, DEFAULT_URL));
    let K3sBinary::FirstBoot(first) = bench.obtain(K3sMode::FirstBoot).unwrap() else { panic!("not left") };
    assert_eq!((first.sha256, first.why), (None, Why::Asked));
}

#[test]
fn a_server_that_hides_the_size_is_named() {
    let bench = bench();
    bench.server.always(&Bench::program_path(), Act::Chunked);
    bench.is_wrong("does not say how large");
}

#[test]
fn a_full_cache_is_no_reason_to_leave_it_to_the_node() {
    let error = StoreError::Full { path: "/c".into(), needed: 1, cause: "no space".into() };
    let error = K3sError::Store { version: DEFAULT_VERSION.to_owned(), source: error, remembered: None };
    assert!(!error.is_unreachable());
    let error = StoreError::Fetch(Vec::new());
    assert!(!K3sError::Store { version: String::new(), source: error, remembered: None }.is_unreachable());
}

#[test]
fn what_is_no_program_is_refused_also_when_the_checksums_name_it() {
    let images = |bench: &Bench| {
        let source = bench.source();
        bench.with(|context| {
            let asked = ask_images(&source, "arm64", &Sums::default(), context).unwrap();
            resolve_images(&source, "arm64", asked, context)
        })
    };
    let other = local::tests::elf(2, 2, 62);
    for (program, needle) in
        [(Vec::new(), "an empty file"), (b"<html>".to_vec(), "neither a Linux program"), (other, "a program for amd64")]
    {
        let bench = bench_with(program, b"");
        bench.is_wrong(needle);
        // It is not remembered as good either.
        assert!(!bench.cache.path().join("releases").exists(), "{needle}");
        assert!(images(&bench).unwrap_err().to_string().contains("no archive"));
    }
    assert_eq!(images(&bench()).unwrap().size, 11);
}

#[test]
fn a_lock_names_a_release_that_is_left_to_the_first_boot_without_downloading_it() {
    let bench = bench();
    let locked = bench.with(|context| look_up(&bench.source(), "arm64", context)).unwrap();
    assert_eq!((locked.sha256, locked.size), (Sha256::of(&bench.program), 700_000));
    assert!(std::fs::read_dir(bench.cache.path().join("blobs/sha256")).unwrap().next().is_none());
}

#[test]
fn a_mirror_without_tls_does_not_vouch_for_itself() {
    let bench = Bench { url: "http://mirror.example/k3s".to_owned(), ..bench() };
    let source = bench.source();
    let obtain = |mode, sha256| {
        let wanted = Wanted { mode, local: None, source: &source, locked: None, architecture: "arm64" };
        let refused = HttpError::Unreachable { url: "https://x".to_owned(), cause: "refused".into() };
        let failed = K3sError::Http { version: String::new(), source: refused };
        bench.with(|context| super::obtain(&wanted, || Ok(Asked { known: Err(Box::new(failed)), sha256 }), context))
    };
    for mode in [K3sMode::Auto, K3sMode::FirstBoot] {
        let error = obtain(mode, None).unwrap_err();
        assert!(matches!(error, K3sError::Open { .. }) && one_line(&error).contains("https"), "{error}");
        let known = Some(Sha256::of("x"));
        let K3sBinary::FirstBoot(first) = obtain(mode, known).unwrap() else { panic!("not left") };
        assert_eq!((first.sha256, first.url.as_str()), (known, "http://mirror.example/k3s"));
    }
}

#[test]
fn a_memory_that_makes_no_sense_is_forgotten() {
    let bench = bench();
    bench.obtain(K3sMode::Embed).unwrap();
    let folder = std::fs::read_dir(bench.cache.path().join("releases")).unwrap();
    let file = folder.map(|entry| entry.unwrap().path()).next().unwrap();
    assert!(std::fs::read_to_string(&file).unwrap().contains(&bench.url));
    for left in [&b""[..], b"rubbish", b"\xff\0", b"00 1\n"] {
        std::fs::write(&file, left).unwrap();
        bench.obtain(K3sMode::Embed).unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().contains(&bench.url), "{left:?}");
    }
}

#[test]
fn a_file_of_the_users_goes_before_a_release() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "#!/bin/sh\n").unwrap();
    let cache = tempfile::tempdir().unwrap();
    let store = Store::open(cache.path()).unwrap();
    let source = K3sSource { url: dead_url(""), ..K3sSource::default() };
    let get = |mode| {
        let wanted = Wanted { mode, local: Some(file.path()), source: &source, locked: None, architecture: "arm64" };
        let nobody = || panic!("a release is looked up");
        obtain(&wanted, nobody, &Context { store: &store, http: &http(), progress: &Silent })
    };
    let record = get(K3sMode::Auto).unwrap().record();
    assert_eq!((record.how.as_str(), record.size), ("local stand-in (a script, not k3s)", Some(10)));
    assert!(matches!(get(K3sMode::FirstBoot), Err(K3sError::Contradiction(_))));
}

#[test]
fn a_lab_names_version_and_mirror() {
    let mut lab = Lab::default();
    assert_eq!(K3sSource::of(Some(&lab)), K3sSource::default());
    assert_eq!(K3sSource::of(None).version, DEFAULT_VERSION);
    lab.k3s.version = Some("v1.37.1+k3s1".to_owned());
    lab.k3s.url = Some("http://m.example/k3s".to_owned());
    let source = K3sSource::of(Some(&lab));
    assert_eq!((source.version.as_str(), source.url.as_str()), ("v1.37.1+k3s1", "http://m.example/k3s"));
}
