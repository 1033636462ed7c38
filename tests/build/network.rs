//! Mirrors that fail for a while.

use std::path::Path;
use std::time::Duration;

use labimg_debian::lock::LockedPackage;
use labimg_tree::hash::Sha256;

use crate::{Bench, fails, names, same, shared, succeeds};
use labimg_testkit::http_server::Act;

/// Some packages of medium size, for different faults.
pub fn middle(count: usize) -> Vec<&'static LockedPackage> {
    let found: Vec<_> =
        shared().packages.iter().filter(|p| (200_000..2_000_000).contains(&p.size)).take(count).collect();
    assert_eq!(found.len(), count);
    found
}

/// Removes a package from a cache, with everything made from it.
pub fn forget(cache: &Path, package: &LockedPackage) {
    let hash = package.sha256.to_string();
    let blob = cache.join("blobs/sha256").join(&hash[..2]).join(&hash);
    if blob.exists() {
        std::fs::remove_file(blob).unwrap();
    }
    for kind in names(&cache.join("derived")) {
        let path = cache.join("derived").join(kind).join(&hash);
        if path.exists() {
            std::fs::remove_file(path).unwrap();
        }
    }
}

fn content(path: &str) -> Vec<u8> {
    std::fs::read(shared().mirror.join(&path[1..])).unwrap()
}

#[test]
fn packages_that_are_missing_cut_or_changed_are_all_named() {
    let bench = Bench::new();
    let cache = bench.warm();
    let [missing, cut, changed] = middle(3)[..] else { unreachable!() };
    for package in [missing, cut, changed] {
        forget(&cache, package);
    }
    let mut bytes = content(&cut.urls[0]);
    bytes.truncate(bytes.len() / 2);
    bench.server.always(&missing.urls[0], Act::Status(404, String::new()));
    bench.server.always(&cut.urls[0], Act::Instead(bytes));
    let mut bytes = content(&changed.urls[0]);
    let place = bytes.len() / 3;
    bytes[place] ^= 4;
    let computed = Sha256::of(&bytes);
    bench.server.always(&changed.urls[0], Act::Instead(bytes));
    let wrong_hash = format!("SHA-256 is {computed}, expected {}", changed.sha256);
    let wrong_size = format!("{} bytes, {} expected", cut.size / 2, cut.size);
    let urls = [missing, cut, changed].map(|p| bench.server.url(&p.urls[0]));
    let parts =
        [&missing.name, "404", &cut.name, &wrong_size, &changed.name, &wrong_hash, &urls[0], &urls[1], &urls[2]];
    fails(&mut bench.build(&cache), 1, &parts);
    assert_eq!(bench.outputs(), Vec::<String>::new());
    let hash = changed.sha256.to_string();
    assert!(!cache.join("blobs/sha256").join(&hash[..2]).join(hash).exists());
}

#[test]
fn slow_and_breaking_connections_only_cost_time() {
    let bench = Bench::new();
    let cache = bench.warm();
    let [slow, cut, damaged] = middle(3)[..] else { unreachable!() };
    for package in [slow, cut, damaged] {
        forget(&cache, package);
    }
    bench.server.always(&slow.urls[0], Act::Slow(slow.size as usize / 20 + 1, Duration::from_millis(100)));
    bench.server.next(&cut.urls[0], [Act::CutAfter(cut.size as usize / 2), Act::Serve]);
    bench.server.next(&damaged.urls[0], [Act::Instead(vec![0; damaged.size as usize]), Act::Serve]);
    succeeds(&mut bench.build(&cache));
    let seen = bench.server.seen();
    let ranges = |package: &LockedPackage| {
        seen.iter().filter(|s| s.path == package.urls[0]).map(|s| s.range.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ranges(slow), [None]);
    assert_eq!(ranges(cut), [None, Some(format!("bytes={}-", cut.size / 2))]);
    assert_eq!(ranges(damaged), [None, None]);
    // The same from the files that were in the cache before.
    let other = bench.dir.path().join("out/other.img");
    succeeds(&mut crate::build(&bench.server, &shared().cache, &other));
    same(&bench.image(), &other);
}
