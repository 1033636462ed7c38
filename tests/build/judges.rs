//! Common tools check an image.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use labimg_disk::read::ext4::Ext4Volume;
use labimg_disk::read::{InspectError, Volume, open_partition};
use md5::{Digest, Md5};

use crate::{Bench, build, fails, labimg, run, shared, stderr, stdout, succeeds};

/// A tool that may be in `/usr/sbin`, which is not in every user's `PATH`.
fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("LC_ALL", "C");
    command
}

/// Start and size of each partition, in bytes.
fn partitions(image: &Path) -> Vec<(u64, u64)> {
    let table: serde_json::Value =
        serde_json::from_slice(&succeeds(tool("sfdisk").arg("--json").arg(image)).stdout).unwrap();
    let table = &table["partitiontable"];
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let number = |value: &serde_json::Value| value.as_u64().unwrap() * sector;
    table["partitions"].as_array().unwrap().iter().map(|p| (number(&p["start"]), number(&p["size"]))).collect()
}

fn root_volume() -> Box<Ext4Volume> {
    match open_partition(&shared().image, 2).unwrap() {
        Volume::Ext4(volume) => volume,
        Volume::Fat(_) => panic!("the second partition is FAT"),
    }
}

#[test]
fn partition_table_and_file_systems_are_sound() {
    let image = &shared().image;
    let verified = succeeds(tool("sfdisk").arg("--verify").arg(image));
    let text = stdout(&verified) + &stderr(&verified);
    assert!(text.contains("No errors detected") && !text.contains("arning"), "{text}");
    let [(firmware, firmware_size), (root, _)] = partitions(image)[..] else { panic!("not two partitions") };

    let part = shared().dir.join("firmware.part");
    let mut dd = Command::new("dd");
    dd.args(["bs=1M", "conv=sparse", "iflag=skip_bytes,count_bytes", "status=none"]);
    dd.arg(format!("if={}", image.display())).arg(format!("of={}", part.display()));
    succeeds(dd.arg(format!("skip={firmware}")).arg(format!("count={firmware_size}")));
    succeeds(tool("fsck.vfat").arg("-n").arg(&part));

    let checked = succeeds(tool("e2fsck").arg("-fn").arg(format!("{}?offset={root}", image.display())));
    assert!(!stderr(&checked).contains("WARNING"), "{}", stderr(&checked));
}

/// A card that was in use, and a flashing tool that leaves out what the image's bmap leaves out.
#[test]
fn a_card_flashed_with_a_bmap_has_every_file() {
    let image = &shared().image;
    let dir = tempfile::tempdir_in(&shared().dir).unwrap();
    let card = dir.path().join("card");
    let on_card = labimg_testkit::used_card::flashed_by_bmap(image, &card);

    let [(firmware, firmware_size), (root, _)] = partitions(&card)[..] else { panic!("not two partitions") };
    assert!(stdout(&succeeds(tool("sfdisk").arg("--verify").arg(&card))).contains("No errors detected"));
    let mut part = vec![0; firmware_size as usize];
    on_card.read_exact_at(&mut part, firmware).unwrap();
    let firmware = dir.path().join("firmware");
    std::fs::write(&firmware, part).unwrap();
    succeeds(tool("fsck.vfat").arg("-n").arg(&firmware));
    succeeds(tool("e2fsck").arg("-fn").arg(format!("{}?offset={root}", card.display())));
    // Every file of both partitions, with owner, mode and attributes.
    let [ours, theirs] = [image, &card].map(|image| {
        let tar = dir.path().join("files.tar");
        succeeds(labimg().arg("export").arg(image).arg("--tar").arg(&tar));
        std::fs::read(&tar).unwrap()
    });
    assert!(ours == theirs, "the card has other files than the image");
}

/// e2fsprogs reads the same as labimg.
#[test]
fn debugfs_and_inspect_read_the_same_files() {
    let image = &shared().image;
    let root = partitions(image)[1].0;
    let volume = root_volume();
    let dir = tempfile::tempdir_in(&shared().dir).unwrap();
    let mut ours: BTreeMap<String, String> = BTreeMap::new();
    volume
        .walk(|entry| {
            if ["/etc/", "/usr/bin/"].iter().any(|folder| entry.path.starts_with(folder)) {
                ours.insert(entry.path.clone(), format!("{:o}", entry.mode & 0o7777));
            }
            Ok::<_, InspectError>(())
        })
        .unwrap();
    for folder in ["/etc", "/usr/bin"] {
        let request = format!("rdump {folder} {}", dir.path().display());
        // Owners cannot be set without privileges, but the content is dumped anyway.
        let dumped = run(tool("debugfs").args(["-R", &request]).arg(format!("{}?offset={root}", image.display())));
        assert!(dumped.status.success(), "{}", stderr(&dumped));
    }
    let mut files = 0;
    let mut theirs = Vec::new();
    let mut folders: Vec<(PathBuf, String)> =
        vec![(dir.path().join("etc"), "/etc".into()), (dir.path().join("bin"), "/usr/bin".into())];
    while let Some((folder, name)) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{name}/{}", entry.file_name().to_str().unwrap());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                folders.push((entry.path(), path.clone()));
            } else if kind.is_symlink() {
                let target = std::fs::read_link(entry.path()).unwrap();
                assert_eq!(volume.read_link(&path).unwrap(), target.as_os_str().as_encoded_bytes(), "{path}");
            } else {
                files += 1;
                assert!(volume.read(&path).unwrap() == std::fs::read(entry.path()).unwrap(), "{path}");
            }
            theirs.push(path);
        }
    }
    theirs.sort();
    assert!(files > 500, "{files}");
    assert_eq!(ours.into_keys().collect::<Vec<_>>(), theirs);
}

/// Every file has the content that its package lists.
#[test]
fn every_file_is_as_its_package_has_it() {
    let volume = root_volume();
    let info = "/var/lib/dpkg/info";
    let (mut checked, mut wrong) = (0, Vec::new());
    for entry in volume.list(info).unwrap() {
        let name = entry.path.rsplit('/').next().unwrap().to_owned();
        if !name.ends_with(".md5sums") {
            continue;
        }
        let sums = String::from_utf8(volume.read(&format!("{info}/{name}")).unwrap()).unwrap();
        for line in sums.lines() {
            let (sum, path) = line.split_once("  ").unwrap();
            let found: String = match volume.read(&format!("/{path}")) {
                Ok(bytes) => Md5::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect(),
                Err(e) => e.to_string(),
            };
            checked += 1;
            if found != sum {
                wrong.push(format!("{name}: {path}: {found}, not {sum}"));
            }
        }
    }
    assert!(checked > 5000, "{checked}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn inspect_tells_what_answers_on_the_network() {
    let output = succeeds(labimg().args(["--json", "inspect"]).arg(&shared().image));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let ports = report["system"]["ports"].as_array().unwrap();
    let told: Vec<String> = ports.iter().map(|p| format!("{}/{} {}", p["number"], p["protocol"], p["unit"])).collect();
    for port in ["22/\"tcp\" \"ssh.service\"", "5353/\"udp\" \"systemd-resolved.service\""] {
        assert!(told.iter().any(|t| t == port), "{told:?}");
    }
    assert!(!told.iter().any(|t| t.starts_with("111/")), "rpcbind is masked: {told:?}");
}

#[test]
fn inspect_tells_why_a_file_is_there() {
    let image = &shared().image;
    let why = |path: &str| -> serde_json::Value {
        let output = succeeds(labimg().arg("inspect").arg(image).args(["--json", "--why", path]));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    // Of a package that is only a dependency; found through a link, and in dpkg's list under its old path.
    let library = why("/lib/aarch64-linux-gnu/libnfsidmap.so.1");
    assert_eq!(
        (&library["path"], &library["kind"]),
        (&"/usr/lib/aarch64-linux-gnu/libnfsidmap.so.1".into(), &"symbolic link".into())
    );
    let package = &library["packages"][0];
    assert!(package["package"].as_str().unwrap().starts_with("libnfsidmap"), "{library:#}");
    assert_eq!(
        (&package["chain"][0], &package["reason"]),
        (&"nfs-common".into(), &"mounts the cluster's storage".into())
    );
    assert_eq!(library["layer"], serde_json::Value::Null);
    // From Debian's base system.
    assert_eq!(why("/bin/ls")["packages"][0]["reason"], "every Debian system has it");
    // From an overlay, made for a package, and shared by many packages.
    assert_eq!(why("/etc/ssh/sshd_config.d/10-labimg.conf")["layer"], "overlay common");
    let bundle = why("/etc/ssl/certs/ca-certificates.crt");
    assert!(
        bundle["layer"].as_str().unwrap().starts_with("configuration") && bundle["packages"] == serde_json::json!([])
    );
    assert!(why("/usr/share/doc")["packages"].as_array().unwrap().len() > 100);
    let text = stdout(&succeeds(labimg().arg("inspect").arg(image).args(["--why", "/etc/hostname"])));
    assert!(text.starts_with("/etc/hostname\n  what        file, 0644 0:0, "), "{text}");
    fails(labimg().arg("inspect").arg(image).args(["--why", "/etc/nothing"]), 2, &["/etc/nothing", "no such file"]);
}

#[test]
fn diff_tells_what_is_different_and_nothing_else() {
    let image = &shared().image;
    let same = stdout(&succeeds(labimg().arg("diff").args([image, image])));
    assert_eq!(same.lines().count(), 2, "{same}");
    let bench = Bench::new();
    let other = bench.image();
    let mut build = build(&shared().server, &bench.warm(), &other);
    // With another key only the seed differs.
    build.args(["--ssh-key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB other"]);
    succeeds(&mut build);
    let output = succeeds(labimg().args(["--json", "diff"]).args([image, &other]));
    let diff: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&diff["packages"], &diff["k3s"]), (&serde_json::json!([]), &serde_json::Value::Null));
    assert_eq!(diff["files"].as_array().unwrap().len(), 1, "{diff:#}");
    assert_eq!(diff["files"][0]["changed"][0]["path"], "/labimg-seed.tgz");
    assert_eq!(
        (&diff["files"][0]["added"], &diff["files"][0]["removed"]),
        (&serde_json::json!([]), &serde_json::json!([]))
    );
}

#[test]
fn export_holds_every_file_as_it_is() {
    let archive = shared().dir.join("export.tar");
    succeeds(labimg().arg("export").arg(&shared().image).arg("--tar").arg(&archive));
    // GNU tar reads it to the end.
    let listed = stdout(&succeeds(Command::new("tar").args(["--list", "--numeric-owner", "-v", "-f"]).arg(&archive)));

    let root = root_volume();
    let mut left: BTreeMap<String, _> = BTreeMap::new();
    root.walk(|entry| {
        left.insert(entry.path.trim_start_matches('/').to_owned(), entry.clone());
        Ok::<_, InspectError>(())
    })
    .unwrap();
    let firmware_file = |line: &str| line.contains(" boot/firmware/") && !line.ends_with(" boot/firmware/");
    assert_eq!(listed.lines().filter(|l| !firmware_file(l)).count(), left.len());
    let mut tar = tar::Archive::new(std::fs::File::open(&archive).unwrap());
    let mut firmware = 0;
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_str().unwrap().trim_end_matches('/').to_owned();
        let Some(stored) = left.remove(&path) else {
            assert!(path.starts_with("boot/firmware/"), "{path} is not in the image");
            firmware += 1;
            continue;
        };
        let header = entry.header();
        let owner = (header.uid().unwrap() as u32, header.gid().unwrap() as u32);
        if !header.entry_type().is_hard_link() {
            assert_eq!(header.mode().unwrap(), u32::from(stored.mode), "{path}");
            assert_eq!((owner, header.mtime().unwrap() as i64), ((stored.uid, stored.gid), stored.mtime), "{path}");
        }
        if header.entry_type().is_symlink() {
            let target = entry.link_name_bytes().unwrap().into_owned();
            assert_eq!(target, root.read_link(&stored.path).unwrap(), "{path}");
        }
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            std::io::copy(&mut entry, &mut content).unwrap();
            assert!(content == root.read(&stored.path).unwrap(), "{path} has other content");
        }
    }
    assert_eq!(left.keys().collect::<Vec<_>>(), Vec::<&String>::new(), "left out");
    assert!(firmware > 3, "{firmware} files of the firmware partition");
}

/// The lists that come from Debian's packages are those of the packages in an image.
#[test]
fn time_zones_countries_and_accounts_are_those_of_the_image() {
    let volume = root_volume();
    let lines = |text: &'static str| text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
    let taken = lines(include_str!("../../src/taken-users.txt"));
    for file in ["/etc/passwd", "/etc/group"] {
        let accounts = String::from_utf8(volume.read(file).unwrap()).unwrap();
        for name in accounts.lines().map(|line| line.split(':').next().unwrap()).filter(|name| *name != "lab") {
            assert!(taken.contains(&name), "{file} has {name}, which src/taken-users.txt lacks");
        }
    }
    let zone = |name: &str| volume.read(&format!("/usr/share/zoneinfo/{name}")).is_ok();
    let zones = lines(include_str!("../../src/lab/timezones.txt"));
    for name in &zones {
        assert!(zone(name), "the image has no time zone {name}");
    }
    for line in lines(include_str!("../../src/lab/old-timezones.txt")) {
        let (old, new) = line.split_once(' ').unwrap();
        assert!(!zone(old) && zones.contains(&new), "{old} is no old name of {new}");
    }
    // regulatory.bin(5) of the kernel's format `RGDB`: two letters and the place of the rules, until a country is empty.
    let database = volume.read("/usr/lib/firmware/regulatory.db-debian").unwrap();
    assert!(database.starts_with(b"RGDB"));
    let countries = database[8..].chunks(4).map(|c| &c[..2]).take_while(|c| *c != [0, 0]).filter(|c| c != b"00");
    let mut countries: Vec<&str> = countries.map(|c| std::str::from_utf8(c).unwrap()).collect();
    countries.sort_unstable();
    assert_eq!(lines(include_str!("../../overlays/common/usr/lib/labimg/countries")), countries);
}
