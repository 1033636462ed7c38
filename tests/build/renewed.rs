//! `labimg update NAME`: some packages of a lock, and what has to change with them.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use labimg_debian::lock::LockedPackage;
use labimg_tree::hash::Sha256;
use serde_json::Value;

use crate::locked::{K3S, Locked, release};
use crate::{fails, run, shared, stdout, succeeds};
use labimg_testkit::http_server::dead_url;

/// A version of three binary packages of one source; two depend on the third in exactly the same version.
const OLD: &str = "1:9.9p1-1";

/// A version of a package on which nothing depends in a particular version.
const OLDER: &str = "20200101";

/// A lock from a month ago; its packages are no longer on the mirror but in the snapshot archive.
struct Older {
    locked: Locked,
    /// Address of the snapshots of that time.
    snapshots: String,
    /// The text of the lock.
    text: String,
    /// The time of the current index.
    now: String,
}

impl Older {
    fn new() -> Self {
        let locked = Locked::new();
        locked.found_at(&locked.bench.server.url(""));
        let mut text = std::fs::read_to_string(&locked.lock).unwrap();
        let now = text.lines().find_map(|l| l.strip_prefix("date = ")).unwrap().trim_matches('"').to_owned();
        let date = now.parse::<Timestamp>().unwrap() - SignedDuration::from_hours(30 * 24);
        text = text.replace(&now, &date.to_string());
        let time = (date + SignedDuration::from_hours(6)).strftime("%Y%m%dT%H%M%SZ");
        for (name, version) in
            [("openssh-client", OLD), ("openssh-server", OLD), ("openssh-sftp-server", OLD), ("ca-certificates", OLDER)]
        {
            let package = shared().packages.iter().find(|p| p.name == name).unwrap();
            let bytes = older(package, version, &locked);
            let path = format!("pool/main/t/test/{name}_{}.deb", version.replace(':', "."));
            let sha256 = Sha256::of(&bytes);
            text = paragraph(
                &text,
                name,
                &[
                    ("version", format!("\"{version}\"")),
                    ("size", bytes.len().to_string()),
                    ("sha256", format!("\"{sha256}\"")),
                    ("archive", "\"debian\"".to_owned()),
                    ("path", format!("\"{path}\"")),
                ],
            );
            // The client will be replaced, so its file is not needed.
            if name != "openssh-client" {
                locked.bench.server.file(&format!("/snapshots/archive/debian/{time}/{path}"), bytes);
            }
        }
        std::fs::write(&locked.lock, &text).unwrap();
        Self { snapshots: locked.bench.server.url("/snapshots"), locked, text, now }
    }

    /// `labimg update` with these arguments.
    fn update(&self, arguments: &[&str]) -> Command {
        let mut command = self.locked.command("update");
        command.args(["--snapshots", &self.snapshots]).args(arguments);
        command
    }

    fn lock(&self) -> String {
        std::fs::read_to_string(&self.locked.lock).unwrap()
    }
}

/// A package with another version.
fn older(package: &LockedPackage, version: &str, locked: &Locked) -> Vec<u8> {
    let (dir, deb) = (locked.bench.dir.path().join("deb"), locked.bench.dir.path().join("old.deb"));
    succeeds(Command::new("dpkg-deb").arg("-R").arg(shared().mirror.join(&package.urls[0][1..])).arg(&dir));
    let control = dir.join("DEBIAN/control");
    let text = std::fs::read_to_string(&control).unwrap();
    assert!(text.contains(&format!("Version: {}\n", package.version)));
    std::fs::write(&control, text.replace(&package.version, version)).unwrap();
    succeeds(Command::new("dpkg-deb").args(["--root-owner-group", "-Zgzip", "-b"]).arg(&dir).arg(&deb));
    std::fs::remove_dir_all(&dir).unwrap();
    std::fs::read(deb).unwrap()
}

/// The text with new values in the paragraph of a package.
fn paragraph(text: &str, name: &str, values: &[(&str, String)]) -> String {
    let head = format!("[[package]]\nname = \"{name}\"\n");
    let change = |paragraph: &str| {
        let line = |line: &str| match values.iter().find(|(key, _)| line.starts_with(&format!("{key} = "))) {
            Some((key, value)) => format!("{key} = {value}"),
            None => line.to_owned(),
        };
        paragraph.lines().map(line).collect::<Vec<_>>().join("\n")
    };
    let paragraphs = text.split("\n\n").map(|p| if p.starts_with(&head) { change(p) } else { p.trim_end().to_owned() });
    paragraphs.collect::<Vec<_>>().join("\n\n") + "\n"
}

fn json(command: &mut Command) -> Value {
    serde_json::from_slice(&succeeds(command.arg("--json")).stdout).unwrap()
}

#[test]
fn a_named_package_takes_along_only_what_cannot_stay() {
    let older = Older::new();
    let [client, server, sftp] = ["openssh-client", "openssh-server", "openssh-sftp-server"]
        .map(|name| shared().packages.iter().find(|p| p.name == name).unwrap());
    let shown = stdout(&succeeds(&mut older.update(&["openssh-client", "--dry-run"])));
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("  openssh-client ") && lines[0].contains(&format!("{OLD} -> {}", client.version)));
    assert!(lines[1] == "Along with that:" && lines[2].starts_with("  openssh-server "), "{shown}");
    assert_eq!(lines[3], format!("      openssh-server {OLD} depends on openssh-client (= {OLD})"));
    assert!(lines[4].starts_with("  openssh-sftp-server ") && lines[5].contains("openssh-client (="), "{shown}");
    assert!(lines[6].contains("3 changes, ") && lines[6].ends_with("not written, because of --dry-run"), "{shown}");
    assert_eq!((lines.len(), older.lock()), (7, older.text.clone()));

    let changes = json(&mut older.update(&["openssh-client"]));
    assert_eq!(changes["written"], true);
    let told = |i: usize| {
        let change = &changes["changes"][i];
        (change["name"].as_str(), change["to"][0]["version"].as_str(), change["comes_along"].as_bool())
    };
    assert_eq!(told(0), (Some("openssh-client"), Some(client.version.as_str()), Some(false)));
    assert_eq!(told(1), (Some("openssh-server"), Some(server.version.as_str()), Some(true)));
    assert_eq!(told(2), (Some("openssh-sftp-server"), Some(sftp.version.as_str()), Some(true)));
    assert_eq!(changes["changes"].as_array().unwrap().len(), 3);

    // The rest of the file is unchanged, line by line.
    let renewed = older.text.replace("\nasked = ", &format!("\nrenewed = \"{}\"\nasked = ", older.now));
    let expected = [client, server, sftp].into_iter().fold(renewed, |text, package| {
        let LockedPackage { name, version, size, sha256, archive, path, .. } = package;
        let archive = serde_json::to_value(archive).unwrap();
        paragraph(
            &text,
            name,
            &[
                ("version", format!("\"{version}\"")),
                ("size", size.to_string()),
                ("sha256", format!("\"{sha256}\"")),
                ("archive", archive.to_string()),
                ("path", format!("\"{path}\"\ndate = \"{}\"", older.now)),
            ],
        )
    });
    assert_eq!(older.lock(), expected);
    assert_eq!(json(&mut older.update(&["openssh-client", "openssh-server"]))["changes"], serde_json::json!([]));
    assert_eq!(older.lock(), expected);

    // Unchanged packages are found at their own time, and the image is as new as its newest package.
    let (mut build, image) = older.locked.build_with_snapshots("node.img", &older.snapshots);
    succeeds(&mut build);
    let manifest: Value = serde_json::from_slice(&std::fs::read(format!("{}.json", image.display())).unwrap()).unwrap();
    let version = |name: &str| {
        let packages = manifest["packages"].as_array().unwrap();
        packages.iter().find(|p| p["name"] == name).unwrap()["version"].as_str().unwrap().to_owned()
    };
    assert_eq!(version("openssh-client"), client.version);
    assert_eq!(version("ca-certificates"), OLDER);
    assert_eq!(manifest["date"], older.now);
}

#[test]
fn what_stays_must_be_there_to_be_looked_into() {
    let older = Older::new();
    let mut command = older.locked.command("update");
    command.args(["ca-certificates", "--snapshots", &older.locked.bench.server.url("/nowhere")]);
    let text = fails(
        &mut command,
        1,
        &[
            "only their files say what they need",
            "openssh-client 1:9.9p1-1",
            "openssh-server",
            "`labimg update` without a name",
        ],
    );
    assert!(!text.contains("`ca-certificates"), "{text}");
    assert_eq!(older.lock(), older.text);
    // Everything can be renewed without the snapshot archive.
    let mut command = older.locked.command("update");
    let all = json(command.args(["--snapshots", &dead_url("")]));
    let along = all["changes"].as_array().unwrap().iter().filter(|change| change["comes_along"] == true).count();
    assert_eq!((all["changes"].as_array().unwrap().len(), along), (4, 0));
    assert!(!older.lock().contains(OLD));
}

#[test]
fn k3s_is_renewed_alone() {
    let locked = Locked::new();
    let text = std::fs::read_to_string(&locked.lock).unwrap();
    let newer = "v1.99.10+k3s1";
    release(&locked.bench, newer, 120_000);
    let lab = locked.dir.join("lab.toml");
    std::fs::write(&lab, std::fs::read_to_string(&lab).unwrap().replace(K3S, newer)).unwrap();
    // Without a mirror.
    let mut command = crate::labimg();
    command.args(["update", "k3s", "--mirror", &dead_url("/debian"), "--lab"]).arg(&locked.dir);
    let shown = stdout(&succeeds(command.arg("--cache").arg(&locked.cache)));
    assert!(shown.starts_with("  k3s (arm64) ") && shown.contains(&format!("{K3S} -> {newer}")), "{shown}");
    let now = std::fs::read_to_string(&locked.lock).unwrap();
    let packages = |text: &str| text[text.find("[[package]]").unwrap()..].to_owned();
    let images = |text: &str| text[..text.find("[[k3s]]").unwrap()].to_owned();
    assert_eq!((packages(&now), images(&now)), (packages(&text), images(&text)));
    assert!(now.contains("size = 120000") && !now.contains("size = 100000"));

    // A release that cannot be reached is not left out if it was requested.
    let away = std::fs::read_to_string(&lab).unwrap().replace(newer, "v1.99.11+k3s1");
    std::fs::write(&lab, away.replace(&locked.bench.server.url("/k3s"), &dead_url("/k3s"))).unwrap();
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(1), "{}", crate::stderr(&output));
    assert_eq!(std::fs::read_to_string(&locked.lock).unwrap(), now);
}

#[test]
fn names_and_images_that_the_lock_does_not_have() {
    let locked = Locked::new();
    let text = std::fs::read_to_string(&locked.lock).unwrap();
    fails(
        locked.command("update").args(["openssh-clent", "k3s"]),
        2,
        &["labimg.lock: no image of this lab has a package `openssh-clent`\n  help: did you mean `openssh-client`"],
    );
    let (lab, more) = (std::fs::read_to_string(locked.dir.join("lab.toml")).unwrap(), "packages = [\"htop\"]\n");
    std::fs::write(locked.dir.join("lab.toml"), lab.replace("[k3s]", &format!("{more}[k3s]"))).unwrap();
    fails(locked.command("update").arg("openssh-client"), 2, &["asks for htop too", "`labimg lock`"]);
    // An image that the lab no longer has stays.
    let alone = lab.split("[[nodes]]").take(2).collect::<Vec<_>>().join("[[nodes]]");
    std::fs::write(locked.dir.join("lab.toml"), alone).unwrap();
    let output = succeeds(locked.command("update").arg("openssh-client"));
    assert!(crate::stderr(&output).contains("worker on virt is no longer in the lab"), "{}", crate::stderr(&output));
    assert!(stdout(&output).ends_with("openssh-client is up to date\n"));
    assert_eq!(std::fs::read_to_string(&locked.lock).unwrap(), text);
}
