//! A small test archive with its own keys on its own server: sound, and damaged in every way.

use std::fmt::Write as _;
use std::io::Write;

use sequoia_openpgp::Cert;
use tempfile::{NamedTempFile, TempDir};

use super::*;
use crate::lock::mirror::Origin;
use crate::lock::openpgp::tests::{NOW, key, public, sign};
use labimg_store::Context;
use labimg_store::http::Settings;
use labimg_testkit::http_server::{Act, Server, dead_url};
use labimg_tree::fault::{Fault, whole};
use labimg_tree::progress::Silent;

const DAY: i64 = 86400;

/// What goes into each `InRelease`.
#[derive(Clone)]
struct Made {
    date: i64,
    valid_until: i64,
    key: Cert,
}

struct Bench {
    server: Server,
    cache: TempDir,
    keyring: NamedTempFile,
    key: Cert,
}

fn package(name: &str, version: &str, more: &str) -> String {
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: arm64\n{more}Description: a test\n with a fold\n\
         Filename: pool/main/{name}_{version}_arm64.deb\nSize: 10\nSHA256: {}\n\n",
        Sha256::of(format!("{name} {version}"))
    )
}

fn xz(text: &str) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// RFC 2822, with `UTC`.
fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}

impl Bench {
    fn new() -> Self {
        let key = key("Test Archive", None);
        let bench = Self { server: Server::start(), cache: tempfile::tempdir().unwrap(), keyring: public(&key), key };
        bench.publish(&bench.made());
        bench
    }

    fn made(&self) -> Made {
        Made { date: NOW - DAY, valid_until: NOW + DAY, key: self.key.clone() }
    }

    /// Puts the three suites on the server.
    fn publish(&self, made: &Made) {
        let essential = package("base", "1", "Essential: yes\n") + &package("apt", "3", "Depends: lib (>= 1)\n");
        self.suite(
            "debian",
            "trixie",
            made,
            &(essential + &package("lib", "1", "") + &package("tool", "1", "Depends: lib\n")),
        );
        self.suite("debian", "trixie-updates", made, &package("tool", "2+a~b", "Depends: lib\n"));
        self.suite("debian-security", "trixie-security", made, &package("lib", "1.1", ""));
    }

    fn suite(&self, base: &str, suite: &str, made: &Made, main: &str) {
        let mut files = String::new();
        for (component, text) in [("main", main), ("non-free-firmware", "")] {
            let folder = format!("{component}/binary-arm64");
            let packed = xz(text);
            let hash = Sha256::of(&packed);
            writeln!(files, " {} {} {folder}/Packages", Sha256::of(text), text.len()).unwrap();
            writeln!(files, " {hash} {} {folder}/Packages.xz", packed.len()).unwrap();
            self.server.file(&format!("/{base}/dists/{suite}/{folder}/by-hash/SHA256/{hash}"), packed);
        }
        let text = format!(
            "Origin: Test\nSuite: stable\nCodename: {suite}\nDate: {}\nValid-Until: {}\nAcquire-By-Hash: yes\nSHA256:\n{files}",
            date(made.date),
            date(made.valid_until)
        );
        self.server.file(&format!("/{base}/dists/{suite}/InRelease"), sign(&text, &[&made.key], NOW));
    }

    fn request(&self) -> LockRequest {
        LockRequest {
            suite: "trixie".into(),
            extra_suites: Vec::new(),
            architecture: "arm64".into(),
            packages: vec!["tool".into()],
            mirror: Mirror {
                archive: self.server.url("/debian"),
                security: self.server.url("/debian-security"),
                origin: Origin::Given,
                passed_over: Vec::new(),
                ways: std::collections::BTreeMap::new(),
            },
            keyrings: vec![self.keyring.path().to_owned()],
            now: NOW,
        }
    }

    fn with_context<T>(&self, work: impl FnOnce(&Context<'_>) -> T) -> T {
        let http = Http::with(Settings { attempts: 1, ..Settings::default() }).unwrap();
        let store = Store::open(self.cache.path()).unwrap();
        work(&Context { store: &store, http: &http, progress: &Silent })
    }

    fn lock(&self, request: &LockRequest) -> Result<Lock, LockError> {
        self.with_context(|context| crate::lock::make(request, context))
    }

    /// The message with its causes.
    fn error(&self) -> String {
        whole(&self.lock(&self.request()).unwrap_err())
    }

    fn help(&self) -> String {
        self.lock(&self.request()).unwrap_err().help().unwrap_or_default()
    }
}

const INRELEASE: &str = "/debian/dists/trixie/InRelease";

#[test]
fn a_lock_and_again_without_a_download() {
    let bench = Bench::new();
    let lock = bench.lock(&bench.request()).unwrap();
    assert_eq!((lock.suite.as_str(), lock.architecture.as_str(), lock.date), ("trixie", "arm64", NOW - DAY));
    let shown: Vec<_> =
        lock.packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.auto, p.urls[0].as_str())).collect();
    let url = |path: &str| bench.server.url(path);
    assert_eq!(
        shown,
        [
            ("apt", "3", false, url("/debian/pool/main/apt_3_arm64.deb").as_str()),
            ("base", "1", false, url("/debian/pool/main/base_1_arm64.deb").as_str()),
            ("lib", "1.1", true, url("/debian-security/pool/main/lib_1.1_arm64.deb").as_str()),
            ("tool", "2+a~b", false, url("/debian/pool/main/tool_2%2ba%7eb_arm64.deb").as_str()),
        ]
    );
    assert_eq!(lock.packages[3].sha256, Sha256::of("tool 2+a~b"));
    assert_eq!(lock.packages[3].size, 10);

    let before = bench.server.seen().len();
    assert_eq!(bench.lock(&bench.request()).unwrap(), lock);
    let paths: Vec<_> = bench.server.seen().split_off(before).into_iter().map(|seen| seen.path).collect();
    assert!(paths.len() == 3 && paths.iter().all(|path| path.ends_with("/InRelease")), "{paths:?}");

    // Additional packages, without the base system.
    let lock = bench.with_context(|context| Archive::fetch(&bench.request(), context).unwrap());
    let lock = lock.lock(&["tool=1".into(), "lib/trixie".into()], false).unwrap();
    let versions: Vec<_> = lock.packages.into_iter().map(|p| p.version).collect();
    assert_eq!(versions, ["1", "1"]);
}

#[test]
fn release_files_that_are_not_to_be_trusted() {
    let bench = Bench::new();
    let good = sign("x", &[&bench.key], NOW);
    let fingerprint = bench.key.fingerprint().to_hex();
    let refused = |made: &Made, words: &[&str], help: &str| {
        bench.publish(made);
        let error = bench.error();
        assert!(words.iter().all(|w| error.contains(w)), "{error}");
        assert!(bench.help().contains(help), "{}", bench.help());
    };
    let stranger = key("stranger", None);
    let made = Made { key: stranger.clone(), ..bench.made() };
    refused(
        &made,
        &[INRELEASE, "is not known", &stranger.keys().nth(1).unwrap().key().fingerprint().to_hex()],
        "--keyring",
    );
    refused(&Made { valid_until: NOW - 1, ..bench.made() }, &[INRELEASE, &fingerprint, "expired on 2026-"], "--mirror");
    refused(&Made { date: NOW + 2 * 3600, ..bench.made() }, &[INRELEASE, &fingerprint, "but now it is only"], "clock");

    bench.publish(&bench.made());
    bench.server.always(INRELEASE, Act::Instead(b"Suite: trixie\n".to_vec()));
    assert!(bench.error().contains("is not trusted: it is not a text with an OpenPGP signature"));
    bench.server.always(INRELEASE, Act::Instead(good));
    assert!(bench.error().contains(&fingerprint));
    let mut tampered = sign("Suite: trixie\nCodename: trixie\n", &[&bench.key], NOW);
    let at = tampered.windows(6).position(|w| w == b"trixie").unwrap();
    tampered[at] = b'T';
    bench.server.always(INRELEASE, Act::Instead(tampered));
    assert!(bench.error().contains("it was changed"));

    // None of that was kept.
    bench.server.always(INRELEASE, Act::Serve);
    bench.lock(&bench.request()).unwrap();
}

#[test]
fn an_older_release_is_a_replay() {
    let bench = Bench::new();
    bench.lock(&bench.request()).unwrap();
    bench.publish(&Made { date: NOW - 2 * DAY, ..bench.made() });
    let error = bench.error();
    assert!(bench.help().contains("releases/"), "{}", bench.help());
    for word in [INRELEASE, "older than the one of", "replays", &bench.key.fingerprint().to_hex()] {
        assert!(error.contains(word), "{error}");
    }
    bench.publish(&Made { date: NOW - DAY / 2, ..bench.made() });
    assert_eq!(bench.lock(&bench.request()).unwrap().date, NOW - DAY / 2);

    let folder = bench.cache.path().join("releases");
    // What a power failure left there is no reason not to build, and is written anew.
    let memories = || std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let leave = |left: &[u8]| memories().for_each(|memory| std::fs::write(memory, left).unwrap());
    for left in [&b""[..], b"nonsense", b"\xff\0"] {
        leave(left);
        bench.lock(&bench.request()).unwrap();
        let written: Vec<String> = memories().map(|memory| std::fs::read_to_string(memory).unwrap()).collect();
        assert!(written.iter().all(|text| text.contains("/InRelease ")), "{written:?}");
    }
    // Nothing is known then, so an older one is taken, and remembered again.
    leave(b"nonsense");
    bench.publish(&Made { date: NOW - 2 * DAY, ..bench.made() });
    assert_eq!(bench.lock(&bench.request()).unwrap().date, NOW - 2 * DAY);
    bench.publish(&Made { date: NOW - 3 * DAY, ..bench.made() });
    assert!(bench.error().contains("older than the one of"));
}

#[test]
fn indexes_that_do_not_fit() {
    let bench = Bench::new();
    let path = |bench: &Bench| {
        let http = Http::new().unwrap();
        let text = String::from_utf8(http.get(&bench.server.url(INRELEASE), RELEASE_LIMIT).unwrap()).unwrap();
        let line = text.lines().find(|l| l.ends_with("main/binary-arm64/Packages.xz")).unwrap();
        format!("/debian/dists/trixie/main/binary-arm64/by-hash/SHA256/{}", line.split_whitespace().next().unwrap())
    };
    // Other bytes of the same size.
    let by_hash = path(&bench);
    let http = Http::new().unwrap();
    let mut bytes = http.get(&bench.server.url(&by_hash), RELEASE_LIMIT).unwrap();
    let expected = Sha256::of(&bytes).to_string();
    bytes[20] ^= 1;
    let got = Sha256::of(&bytes).to_string();
    bench.server.always(&by_hash, Act::Instead(bytes));
    let error = bench.error();
    for word in [by_hash.as_str(), &expected, &got, "main/binary-arm64/Packages.xz"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    bench.server.always(&by_hash, Act::Status(404, String::new()));
    let error = bench.error();
    assert!(error.contains("404") && error.contains(&by_hash), "{error}");
    bench.server.always(&by_hash, Act::Serve);

    // A blob was damaged in the cache.
    bench.lock(&bench.request()).unwrap();
    let blob =
        Store::open(bench.cache.path()).unwrap().blob(&expected.parse().unwrap(), "it", &Silent).unwrap().unwrap();
    let size = blob.len();
    std::fs::remove_file(blob.path()).unwrap();
    std::fs::write(blob.path(), vec![0; size as usize]).unwrap();
    std::fs::remove_dir_all(bench.cache.path().join("derived")).unwrap();
    bench.lock(&bench.request()).unwrap();
    assert_eq!(Sha256::of(std::fs::read(blob.path()).unwrap()).to_string(), expected, "it was fetched again");
}

#[test]
fn xz_files_that_do_not_unpack() {
    let packed = xz("hello");
    assert_eq!(unpack(&packed, 5).unwrap(), "hello");
    for end in 0..packed.len() {
        assert!(unpack(&packed[..end], 5).is_err(), "{end}");
    }
    for size in [0, 4, 6] {
        assert!(unpack(&packed, size).unwrap_err().to_string().contains("the release names"));
    }
    assert!(unpack(&xz("hello").repeat(2), 10).is_ok());
}

#[test]
fn a_mirror_that_lacks_something() {
    let bench = Bench::new();
    let with = |change: &dyn Fn(&mut LockRequest)| {
        let mut request = bench.request();
        change(&mut request);
        let error = bench.lock(&request).unwrap_err();
        (whole(&error), error.kind().exit_code(), error.help().unwrap_or_default())
    };
    let (error, code, help) = with(&|r| r.mirror.security = bench.server.url("/nowhere"));
    assert!(
        error.contains("no suite `trixie-security`") && error.contains("/nowhere/dists/trixie-security/InRelease"),
        "{error}"
    );
    assert!(code == 2 && help.contains("--mirror ARCHIVE,SECURITY"), "{code} {help}");
    let (error, ..) = with(&|r| r.architecture = "riscv64".into());
    assert!(error.contains("lists no `main/binary-riscv64/Packages.xz`"), "{error}");
    let (error, code, _) = with(&|r| r.mirror.archive = dead_url("/debian"));
    assert!(error.contains("cannot be asked") && error.contains("as given"), "{error}");
    assert_eq!(code, 1);
    // The suite's name is verified, too.
    let other = bench.server.url("/debian/dists/trixie/InRelease");
    let copy = Http::new().unwrap().get(&other, RELEASE_LIMIT).unwrap();
    bench.server.file("/debian/dists/forky/InRelease", copy);
    let (error, ..) = with(&|r| r.suite = "forky".into());
    assert!(error.contains("not of `forky`"), "{error}");
}

#[test]
fn an_index_that_is_none() {
    let bench = Bench::new();
    bench.suite("debian", "trixie", &bench.made(), &package("Bad Name", "1", ""));
    let error = bench.error();
    assert!(error.contains("main/binary-arm64/Packages.xz cannot be read: package `Bad Name` has Package"), "{error}");
    bench.suite("debian", "trixie", &bench.made(), &package("tool", "1", "Depends: lib (1)\n"));
    bench.suite("debian", "trixie-updates", &bench.made(), "");
    let error = bench.error();
    assert!(error.contains("package tool 1 cannot be read: `lib (1)` is not a package relation"), "{error}");
}

/// The control file of a package as [`package`] lists it.
fn control(package: &LockedPackage, more: &str) -> (LockedPackage, String) {
    let LockedPackage { name, version, .. } = package;
    (package.clone(), format!("Package: {name}\nVersion: {version}\nArchitecture: arm64\n{more}Description: a test\n"))
}

#[test]
fn some_packages_of_a_lock_are_renewed() {
    let bench = Bench::new();
    let lock = bench.lock(&bench.request()).unwrap();
    // All new versions come from the updates; the suite itself has the same version with other bytes.
    let made = Made { date: NOW - DAY / 2, ..bench.made() };
    let rebuilt = package("base", "1", "Essential: yes\nX: ").replace("Size: 10", "Size: 11");
    let rebuilt = rebuilt.replace(&Sha256::of("base 1").to_string(), &Sha256::of("other bytes").to_string());
    bench.suite("debian", "trixie", &made, &(rebuilt + &package("apt", "3", "Depends: lib (>= 1)\n")));
    let newer =
        package("tool", "3", "Depends: lib (>= 1.2)\n") + &package("lib", "1.2", "") + &package("base", "2", "");
    bench.suite("debian", "trixie-updates", &made, &newer);
    bench.suite("debian-security", "trixie-security", &made, "");
    let http = Http::new().unwrap();
    let store = Store::open(bench.cache.path()).unwrap();
    let archive = Archive::fetch(&bench.request(), &Context { store: &store, http: &http, progress: &Silent }).unwrap();

    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let lacking = archive.lacking(&lock, &names(&["tool"])).unwrap();
    assert_eq!(lacking.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["base", "lib"]);
    let (base, lib) = (control(lacking[0], "Essential: yes\n"), control(lacking[1], ""));
    let controls = [base.clone(), lib.clone()];
    let requests = bench.request().packages;
    let renewed = archive.renew(&lock, &names(&["tool"]), &requests, &controls).unwrap();
    assert_eq!((renewed.lock.suite.as_str(), renewed.lock.date), ("trixie", NOW - DAY / 2));
    let now = |name: &str| renewed.lock.packages.iter().find(|p| p.name == name).unwrap();
    let before = |name: &str| lock.packages.iter().find(|p| p.name == name).unwrap();
    assert_eq!((now("apt"), now("base")), (before("apt"), before("base")));
    assert_eq!((now("lib").version.as_str(), now("lib").auto), ("1.2", true));
    assert_eq!((now("tool").version.as_str(), now("tool").auto), ("3", false));
    assert_eq!(now("tool").urls, [bench.server.url("/debian/pool/main/tool_3_arm64.deb")]);
    assert_eq!(renewed.why.into_iter().collect::<Vec<_>>(), [("lib".into(), "tool 3 depends on lib (>= 1.2)".into())]);
    // A package's own control file counts, not the index's record of another package with its name.
    let breaks = [control(lacking[0], "Breaks: tool (>> 2)\n"), lib.clone()];
    let renewed = archive.renew(&lock, &names(&["tool"]), &requests, &breaks).unwrap();
    assert_eq!(renewed.why["base"], "base 1 breaks tool (>> 2)");
    // A missing control file is an error: the package is not silently dropped.
    let renewed = archive.renew(&lock, &names(&["tool"]), &requests, &controls[..1]);
    assert!(matches!(renewed, Err(LockError::Control { package, .. }) if package == "lib"));

    let error = |lock: &Lock, controls: &[(LockedPackage, String)]| {
        archive.renew(lock, &names(&["tool"]), &requests, controls).unwrap_err()
    };
    let other = (lib.0.clone(), base.1.clone());
    let foreign = error(&lock, &[base.clone(), other]);
    assert!(foreign.to_string().ends_with("control file of lib 1.1: it is that of base 1"), "{foreign}");
    assert!(foreign.help().unwrap().contains("`labimg lock`"), "{foreign:?}");
    let none = (lib.0.clone(), String::new());
    assert!(
        error(&lock, &[base.clone(), none]).to_string().contains("control file of lib 1.1: package `` has Package ``")
    );
    let moved = error(&Lock { suite: "bookworm".to_owned(), ..lock.clone() }, &controls);
    let text = moved.to_string();
    assert!(text.contains("of bookworm") && text.contains("is trixie"), "{text}");
    assert!(moved.help().unwrap().contains("`labimg update`") && moved.kind().exit_code() == 2, "{moved:?}");
}
