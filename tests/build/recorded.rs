//! A part of the real mirror as files: the files for the shared image, signed by Debian.

use std::path::Path;
use std::time::SystemTime;

use labimg::parts::Parts;
use labimg::plan::{Plan, Request};
use labimg_debian::lock::mirror::Mirror;
use labimg_debian::lock::{self, ArchiveName, Lock, LockRequest, LockedPackage};
use labimg_store::http::Http;
use labimg_store::{Context, Store};
use labimg_tree::hash::Sha256;
use labimg_tree::progress::Silent;

pub const SUITES: [(&str, &str); 3] =
    [("debian", "trixie"), ("debian", "trixie-updates"), ("debian-security", "trixie-security")];

/// Writes the files below `mirror`, through a cache in `downloads` that stays for the next run. Returns the packages of
/// a worker; those of a master are recorded too.
pub fn record(downloads: &Path, mirror: &Path) -> Vec<LockedPackage> {
    let given = std::env::var("LABIMG_MIRROR").ok();
    let real = Mirror::choose(given.as_deref(), Path::new("/")).unwrap();
    let (store, http) = (Store::open(downloads).unwrap(), Http::new().unwrap());
    let lock = |role| {
        let lock = lock::make(&request(role, &real), &Context { store: &store, http: &http, progress: &Silent })
            .unwrap_or_else(|e| panic!("this test needs a Debian mirror, as in LABIMG_MIRROR: {e}"));
        let requests: Vec<_> = lock.packages.iter().map(wanted).collect();
        store.fetch(&requests, 16, &http, &Silent).unwrap();
        lock
    };
    let (worker, master) = (lock("worker"), lock("master"));

    for (base, suite) in SUITES {
        let real = if base == "debian" { &real.archive } else { &real.security };
        let folder = mirror.join(base).join("dists").join(suite);
        let text = http.get(&format!("{real}/dists/{suite}/InRelease"), 16 << 20).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("InRelease"), &text).unwrap();
        for component in ["main", "non-free-firmware"] {
            let index = folder.join(component).join("binary-arm64");
            let hash = index_hash(&String::from_utf8_lossy(&text), &format!("{component}/binary-arm64/Packages.xz"));
            place(&store, &hash, &index.join("by-hash/SHA256").join(hash.to_string()));
            place(&store, &hash, &index.join("Packages.xz"));
        }
    }
    let of_master = master.packages.iter().filter(|p| !worker.packages.contains(p));
    for package in worker.packages.iter().chain(of_master) {
        place(&store, &package.sha256, &mirror.join(&path_of(package)[1..]));
    }
    packages(worker)
}

fn request(role: &str, mirror: &Mirror) -> LockRequest {
    let request = Request { board: "virt".into(), role: role.into(), suite: "trixie".into(), ..Request::default() };
    let plan = Plan::new(&request, &Parts::built_in().unwrap()).unwrap();
    LockRequest {
        suite: "trixie".into(),
        extra_suites: Vec::new(),
        architecture: plan.board.architecture.clone(),
        packages: plan.packages.keys().cloned().collect(),
        mirror: mirror.clone(),
        keyrings: Vec::new(),
        now: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64,
    }
}

fn wanted(package: &LockedPackage) -> labimg_store::Request {
    labimg_store::Request {
        name: package.name.clone(),
        sha256: package.sha256,
        size: package.size,
        urls: package.urls.clone(),
    }
}

/// With the path on our server instead of the address.
fn packages(lock: Lock) -> Vec<LockedPackage> {
    let ours = |package: LockedPackage| LockedPackage { urls: vec![path_of(&package)], ..package };
    lock.packages.into_iter().map(ours).collect()
}

fn path_of(package: &LockedPackage) -> String {
    let folder = match package.archive {
        ArchiveName::Debian => "debian",
        ArchiveName::Security => "debian-security",
    };
    format!("/{folder}/{}", package.path)
}

/// The hash from the line ` HASH SIZE PATH` in the `SHA256` field, which is the last field.
fn index_hash(release: &str, path: &str) -> Sha256 {
    let line = release.lines().rfind(|line| line.split_whitespace().nth(2) == Some(path));
    line.unwrap_or_else(|| panic!("no {path}")).split_whitespace().next().unwrap().parse().unwrap()
}

fn place(store: &Store, hash: &Sha256, path: &Path) {
    let blob = store
        .blob(hash, "it", &Silent)
        .unwrap()
        .unwrap_or_else(|| panic!("the mirror was renewed meanwhile: run it again"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::hard_link(blob.path(), path).unwrap();
}
