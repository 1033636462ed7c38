use super::*;
use crate::changes::Version;
use crate::charts::ChartRef;
use crate::containers::ImageName;
use crate::wording::one_line;

const SNAPSHOTS: &str = "https://snapshot.example";

fn archives(base: &str) -> Archives {
    Archives { debian: format!("{base}/debian"), security: format!("{base}/debian-security") }
}

fn package(name: &str, version: &str, archive: ArchiveName, auto: bool) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: "arm64".to_owned(),
        size: 1000,
        sha256: Sha256::of(format!("{name} {version}")),
        archive,
        path: format!("pool/main/{name}_{version}_arm64.deb"),
        urls: vec![format!("http://127.0.0.1/debian/pool/main/{name}_{version}_arm64.deb")],
        auto,
    }
}

fn key(board: &str, asked: &[&str]) -> ImageKey {
    ImageKey {
        board: board.to_owned(),
        role: "worker".to_owned(),
        suite: "stable".to_owned(),
        asked: asked.iter().map(|&a| a.to_owned()).collect(),
    }
}

fn lock(packages: Vec<LockedPackage>) -> Lock {
    Lock { suite: "trixie".to_owned(), architecture: "arm64".to_owned(), date: 1_763_114_400, packages }
}

fn k3s(version: &str) -> LockedK3s {
    LockedK3s {
        version: version.to_owned(),
        architecture: "arm64".to_owned(),
        size: 70,
        sha256: Sha256::of(version),
        url: "https://k3s.example/k3s-arm64".to_owned(),
    }
}

fn chart(version: &str) -> LockedChart {
    LockedChart {
        name: "nfs".to_owned(),
        version: version.to_owned(),
        repository: "https://charts.example".to_owned(),
        size: 11,
        sha256: Sha256::of(version),
        url: format!("https://charts.example/nfs-{version}.tgz"),
    }
}

/// Two boards, of which one has a newer kernel.
fn container(tag: &str) -> LockedContainer {
    LockedContainer {
        name: format!("registry.example/storage/provisioner:{tag}").parse().unwrap(),
        architecture: "arm64".to_owned(),
        size: 17_000_000,
        sha256: Sha256::of(tag),
    }
}

fn parts(release: &str, chart_version: &str, tag: &str) -> ClusterParts {
    ClusterParts {
        k3s: vec![k3s(release)],
        k3s_images: vec![LockedK3s { size: 180_000_000, ..k3s(release) }],
        charts: vec![chart(chart_version)],
        containers: vec![container(tag)],
    }
}

fn sample() -> LockFile {
    let base = package("base", "1", ArchiveName::Debian, true);
    let four = vec![base.clone(), package("linux", "6.12", ArchiveName::Debian, false)];
    let five = vec![
        base,
        package("linux", "6.16", ArchiveName::Debian, false),
        package("tls", "3+deb13u1", ArchiveName::Security, true),
    ];
    let images = [(key("rpi5", &["linux/backports"]), lock(five)), (key("rpi4", &["linux"]), lock(four))];
    LockFile::new(archives("https://mirror.example"), &images, parts("v1.36.5+k3s1", "4.0.18", "v4.0.2"))
}

fn parsed(text: &str) -> Result<LockFile, LockFileError> {
    LockFile::parse(text, Path::new(FILE))
}

#[test]
fn the_file_reads_as_people_expect() {
    insta::assert_snapshot!(sample().to_text().unwrap());
}

#[test]
fn what_was_written_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    sample().save(&path).unwrap();
    let read = LockFile::load(&path).unwrap();
    assert_eq!(read, LockFile { path, ..sample() });
    assert_eq!(read.to_text().unwrap(), sample().to_text().unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn the_order_of_packages_does_not_matter() {
    let text = sample().to_text().unwrap();
    let (head, packages) = text.split_at(text.find("[[package]]").unwrap());
    let mut packages: Vec<&str> = packages.split("\n\n").collect();
    packages.reverse();
    assert_eq!(parsed(&format!("{head}{}", packages.join("\n\n"))).unwrap(), sample());
}

#[test]
fn an_image_gets_its_packages_and_all_places_to_find_them() {
    let now = archives("http://10.0.0.1");
    let five = sample().lock(&key("rpi5", &["linux/backports"]), &now, SNAPSHOTS).unwrap();
    assert_eq!((five.suite.as_str(), five.architecture.as_str(), five.date), ("trixie", "arm64", 1_763_114_400));
    let shown: Vec<_> = five.packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.auto)).collect();
    assert_eq!(shown, [("base", "1", true), ("linux", "6.16", false), ("tls", "3+deb13u1", true)]);
    assert_eq!(
        five.packages[2].urls,
        [
            "http://10.0.0.1/debian-security/pool/main/tls_3+deb13u1_arm64.deb",
            "https://mirror.example/debian-security/pool/main/tls_3+deb13u1_arm64.deb",
            "https://snapshot.example/archive/debian-security/20251114T160000Z/pool/main/tls_3+deb13u1_arm64.deb",
            "https://snapshot.example/archive/debian-security/20251115T100000Z/pool/main/tls_3+deb13u1_arm64.deb",
        ]
    );
    let four = sample().lock(&key("rpi4", &["linux"]), &now, SNAPSHOTS).unwrap();
    assert_eq!(four.packages[1].version, "6.12");
}

#[test]
fn another_image_than_the_locked_one_is_refused_with_the_difference() {
    let error = |key| one_line(&sample().lock(&key, &archives("http://m"), SNAPSHOTS).unwrap_err());
    let text = error(key("rpi4", &["htop", "linux"]));
    assert!(text.contains("asks for htop too since") && text.contains("`labimg lock`"), "{text}");
    assert!(error(key("rpi4", &[])).contains("no longer asks for linux"));
    assert!(error(key("rpi4", &["htop"])).contains("asks for htop too and no longer for linux"));
    let text = error(key("rpi3", &[]));
    assert!(text.contains("`worker` on board `rpi3`") && text.contains("worker on rpi4 (stable)"), "{text}");
}

#[test]
fn k3s_must_be_there_in_the_version_asked_for() {
    assert_eq!(sample().k3s("v1.36.5+k3s1", "arm64").unwrap().size, 70);
    let error = one_line(&sample().k3s("v1.37.0+k3s1", "arm64").unwrap_err());
    assert!(error.contains("no k3s v1.37.0+k3s1 for arm64 but v1.36.5+k3s1"), "{error}");
    assert!(sample().k3s("v1.36.5+k3s1", "amd64").is_err());
}

#[test]
fn a_chart_must_be_there_in_the_version_asked_for() {
    let wanted = chart("4.0.18").reference();
    assert_eq!(sample().chart(&wanted).unwrap(), &chart("4.0.18"));
    let error = |wanted: &ChartRef| one_line(&sample().chart(wanted).unwrap_err());
    let text = error(&chart("4.0.19").reference());
    assert!(text.contains("no chart nfs 4.0.19 but 4.0.18"), "{text}");
    let elsewhere = ChartRef { repository: "https://other.example".to_owned(), ..wanted };
    assert!(error(&elsewhere).contains("no chart nfs 4.0.18"));
}

#[test]
fn container_images_must_be_there_for_the_architecture() {
    let wanted: ImageName = "registry.example/storage/provisioner:v4.0.2".parse().unwrap();
    assert_eq!(sample().container(&wanted, "arm64").unwrap(), &container("v4.0.2"));
    let error = one_line(&sample().container(&wanted, "amd64").unwrap_err());
    assert!(error.contains("no container image registry.example/storage/provisioner:v4.0.2 for amd64"), "{error}");
    assert_eq!(sample().k3s_images("v1.36.5+k3s1", "arm64").unwrap().size, 180_000_000);
    let error = sample().k3s_images("v1.37.0+k3s1", "arm64").unwrap_err().to_string();
    assert!(error.contains("no container images of k3s v1.37.0+k3s1 for arm64 but v1.36.5+k3s1"), "{error}");
}

#[test]
fn damaged_files_are_refused_with_what_is_wrong() {
    let good = sample().to_text().unwrap();
    let error = |from: &str, to: &str| one_line(&parsed(&good.replacen(from, to, 1)).unwrap_err());
    assert!(error("format = 1", "format = 2").contains("format 2"));
    assert!(error("format = 1", "").contains("format"));
    assert!(error("\"pool/main/base", "\"../main/base").contains("`base` has the path"));
    assert!(error("\"pool/main/base", "\"/pool/main/base").contains("`base` has the path"));
    assert!(error("auto = [\"base\"", "auto = [\"bash\"").contains("`bash`"));
    assert!(error("2025-11-14T10:00:00Z", "yesterday").contains("yesterday"));
    assert!(error("Z\"\nasked", "Z\"\nrenewed = \"today\"\nasked").contains("today"));
    assert!(
        error("size = 1000", "size = 1000\ndate = \"yesterday\"").contains("package `base` has the date `yesterday`")
    );
    assert!(error("sha256 = \"", "sha256 = \"x").contains("SHA-256"));
    assert!(error("size =", "sise =").contains("sise"));
    assert!(matches!(LockFile::load(Path::new("/nowhere/labimg.lock")), Err(LockFileError::Missing(_))));
}

#[test]
fn changes_are_told_by_name() {
    let newer = {
        let images = [(
            key("rpi4", &["linux"]),
            lock(vec![
                package("base", "1", ArchiveName::Debian, true),
                package("linux", "6.12.1", ArchiveName::Security, false),
                package("new", "1", ArchiveName::Debian, true),
            ]),
        )];
        LockFile::new(archives("https://mirror.example"), &images, parts("v1.37.0+k3s1", "4.0.19", "v4.0.3"))
    };
    let shown: Vec<String> = sample()
        .changes(&newer)
        .iter()
        .map(|c| {
            let versions = |all: &[Version]| all.iter().map(|v| v.version.as_str()).collect::<Vec<_>>().join(",");
            format!("{}: {} -> {}", c.name, versions(&c.from), versions(&c.to))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "chart nfs: 4.0.18 -> 4.0.19",
            &format!(
                "container registry.example/storage/provisioner (arm64): v4.0.2 {:.12} -> v4.0.3 {:.12}",
                Sha256::of("v4.0.2").to_string(),
                Sha256::of("v4.0.3").to_string()
            ),
            "k3s (arm64): v1.36.5+k3s1 -> v1.37.0+k3s1",
            "k3s images (arm64): v1.36.5+k3s1 -> v1.37.0+k3s1",
            "linux: 6.12,6.16 -> 6.12.1",
            "new:  -> 1",
            "tls: 3+deb13u1 -> "
        ]
    );
    assert!(sample().changes(&sample()).is_empty());
}

const DAY: i64 = 86_400;

/// The sample, a day later, with a newer `base` in the image for rpi4, which needs a new package.
fn renewed() -> LockFile {
    let four = vec![
        package("base", "2", ArchiveName::Security, true),
        package("linux", "6.12", ArchiveName::Debian, false),
        package("tls", "3+deb13u1", ArchiveName::Security, true),
    ];
    let lock = lock(four);
    sample().renewed(&[(key("rpi4", &["linux"]), Lock { date: lock.date + DAY, ..lock })], sample().cluster_parts())
}

#[test]
fn what_was_renewed_alone_has_a_date_of_its_own() {
    insta::assert_snapshot!(renewed().to_text().unwrap());
    assert_eq!(parsed(&renewed().to_text().unwrap()).unwrap(), renewed());
}

#[test]
fn each_package_is_looked_for_in_the_snapshots_of_its_own_time() {
    let lock = |key: &ImageKey| renewed().lock(key, &archives("http://10.0.0.1"), SNAPSHOTS).unwrap();
    let four = lock(&key("rpi4", &["linux"]));
    let snapshot = |p: &LockedPackage| p.urls[2].strip_prefix(SNAPSHOTS).unwrap().to_owned();
    let shown: Vec<String> = four.packages.iter().map(snapshot).collect();
    assert_eq!(
        shown,
        [
            "/archive/debian-security/20251115T160000Z/pool/main/base_2_arm64.deb",
            "/archive/debian/20251114T160000Z/pool/main/linux_6.12_arm64.deb",
            // It was in the file before, but the index with that image's date need not list it.
            "/archive/debian-security/20251115T160000Z/pool/main/tls_3+deb13u1_arm64.deb",
        ]
    );
    // The image is as new as its newest package. An unchanged image keeps its date, even if it shares packages.
    assert_eq!(four.date, 1_763_114_400 + DAY);
    let five = lock(&key("rpi5", &["linux/backports"]));
    assert_eq!((five.date, five.packages[0].version.as_str()), (1_763_114_400, "1"));
    assert_eq!(snapshot(&five.packages[2]), shown[2]);

    // A renewed package keeps its date in the next renewal, and loses it when everything is locked again.
    let next = Lock { date: four.date + DAY, ..four.clone() };
    assert!(renewed().renewed(&[(key("rpi4", &["linux"]), next)], renewed().cluster_parts()).is_same(&renewed()));
    let behind = Lock { date: four.date - 5 * DAY, packages: four.packages[..2].to_vec(), ..four.clone() };
    let behind = renewed().renewed(&[(key("rpi4", &["linux"]), behind)], ClusterParts::default());
    assert_eq!(behind.lock(&key("rpi4", &["linux"]), &archives("http://m"), SNAPSHOTS).unwrap().date, four.date);
    let anew =
        LockFile::new(archives("https://m.example"), &[(key("rpi4", &["linux"]), four)], ClusterParts::default());
    assert!(anew.packages.iter().all(|p| p.date.is_none()));
}

#[test]
fn other_bytes_of_the_same_version_are_those_of_the_file() {
    let mut tls = package("tls", "3+deb13u1", ArchiveName::Debian, true);
    tls.sha256 = Sha256::of("other bytes");
    let four = lock(vec![tls, package("base", "1", ArchiveName::Debian, true)]);
    let file = sample().renewed(&[(key("rpi4", &["linux"]), four)], ClusterParts::default());
    let (tls, before) = (file.package("tls").unwrap(), sample());
    assert_eq!(tls.sha256, before.package("tls").unwrap().sha256);
    assert!(file.k3s.is_empty() && file.archives == before.archives);
}

#[test]
fn images_that_are_none_of_these() {
    assert_eq!(sample().besides(&[key("rpi5", &["linux/backports"])]), ["worker on rpi4"]);
    assert_eq!(sample().besides(&[]), ["worker on rpi4", "worker on rpi5"]);
}
