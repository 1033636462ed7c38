//! `seed`: applied once, completely, and wiped afterwards.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use crate::root::{Root, text};

const SEED: &str = "boot/firmware/labimg-seed.tgz";
const BAD: &str = "boot/firmware/labimg-seed.bad";

/// A seed like those of `labimg build`, with the parts that matter here.
fn make_seed(to: &Path, hostname: &str) {
    let work = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let path = work.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    put("etc/hostname", &format!("{hostname}\n"));
    put("etc/labimg/node.conf", "CLUSTER=lab\nROLE=worker\nMASTER=boss\nSEED_TIME=4000000000\n");
    put("etc/rancher/k3s/token", "a-secret-token\n");
    put("home/lab/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n");
    let link = work.path().join("etc/systemd/system/multi-user.target.wants/wpa_supplicant@wlan0.service");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/usr/lib/systemd/system/wpa_supplicant@.service", link).unwrap();
    pack(work.path(), &["etc", "home"], to);
}

fn pack(folder: &Path, members: &[&str], to: &Path) {
    let status = Command::new("tar").arg("-czf").arg(to).arg("-C").arg(folder).args(members).status();
    assert!(status.unwrap().success());
}

/// The same with other lines in its node.conf, for the image of a worker on an rpi4.
fn seed_with(conf: &str) -> Root {
    let root = Root::new();
    root.write(
        "usr/share/labimg/manifest.json",
        "{\n  \"format\": 1,\n  \"board\": \"rpi4\",\n  \"role\": \"worker\",\n  \"partitions\": [\n    { \"partuuid\": \"aaaa-02\" }\n  ]\n}\n",
    );
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(work.path().join("etc/labimg")).unwrap();
    std::fs::write(work.path().join("etc/labimg/node.conf"), conf).unwrap();
    std::fs::write(work.path().join("etc/hostname"), "seeded\n").unwrap();
    pack(work.path(), &["etc"], &root.at(SEED));
    root
}

#[test]
fn a_seed_must_fit_the_image() {
    let node = "CLUSTER=lab\nMASTER=boss\nSEED_TIME=1\n";
    for good in
        ["ROLE=worker\n", "SEED=1\nBOARD=rpi4\nROLE=worker\nIMAGE=aaaa-02\n", "SEED=1\nROLE=worker\nIMAGE=bbbb-02\n"]
    {
        let root = seed_with(&format!("{good}{node}"));
        let output = root.run("seed", &[]);
        assert!(output.status.success(), "{good}: {}", text(&output));
        assert_eq!(root.read("etc/hostname"), "seeded\n");
        assert_eq!(text(&output).contains("another image"), good.contains("bbbb"), "{}", text(&output));
    }
    for (bad, words) in [
        ("SEED=2\nBOARD=rpi4\nROLE=worker\n", "has format 2, and this image reads format 1"),
        ("SEED=1\nBOARD=rpi5\nROLE=worker\n", "board rpi5, and this card has the image of board rpi4"),
        ("SEED=1\nBOARD=rpi4\nROLE=master\n", "role master, and this card has the image of role worker"),
        ("ROLE=master\n", "role master, and this card has the image of role worker"),
    ] {
        let root = seed_with(&format!("{bad}{node}"));
        let output = root.run("seed", &[]);
        assert!(!output.status.success(), "{bad}");
        assert!(text(&output).contains(words), "{bad}: {}", text(&output));
        assert!(root.exists(BAD) && !root.exists(SEED) && !root.exists("var/lib/labimg/seeded"));
        assert!(!root.exists("etc/labimg/node.conf"), "{bad}: a part of the seed was used");
    }
}

fn check_seeded(root: &Root) {
    assert_eq!(root.read("etc/hostname"), "seeded\n");
    assert_eq!(root.read("etc/rancher/k3s/token"), "a-secret-token\n");
    assert_eq!(root.read("home/lab/.ssh/authorized_keys"), "ssh-ed25519 AAAA me\n");
    assert!(root.exists("var/lib/labimg/seeded"));
    assert!(!root.exists(SEED) && !root.exists(BAD), "the seed is left");
    let secret = |path: &std::path::PathBuf| std::fs::read(path).unwrap().windows(8).any(|w| w == b"a-secret");
    let left: Vec<_> = crate::files(&root.at("boot")).into_iter().filter(secret).collect();
    assert!(left.is_empty(), "a secret is left in {left:?}");
}

#[test]
fn a_seed_is_applied_once_and_takes_effect_at_once() {
    let root = Root::new();
    make_seed(&root.at(SEED), "seeded");
    let output = root.run("seed", &[]);
    assert!(output.status.success(), "{}", text(&output));
    check_seeded(&root);
    let calls = root.calls();
    assert!(calls.contains("hostname -F"), "{calls}");
    assert!(calls.contains("date -u -s @4000000000"), "{calls}");
    let started: Vec<&str> =
        calls.lines().filter_map(|call| call.strip_prefix("systemctl --no-block start ")).collect();
    // One for each link, and none for the folder that holds it.
    assert_eq!(started, ["wpa_supplicant@wlan0.service", "srv-labimg.automount"], "{calls}");
    assert!(!calls.contains("daemon-reload"), "a reload costs time and is not needed: {calls}");
    let mount = root.read("run/systemd/system/srv-labimg.mount");
    assert!(mount.contains("What=boss.local:/srv/labimg"), "{mount}");
    assert!(!text(&output).contains("secret"));
}

/// Whatever command is the last before power fails, the password is set in the end, and its hash is nowhere else.
#[test]
fn the_password_for_the_console_is_set_and_wiped() {
    let make = || {
        let root = Root::new();
        let work = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(work.path().join("etc/labimg")).unwrap();
        std::fs::write(work.path().join("etc/labimg/password"), "lab:$6$salt$hash\n").unwrap();
        pack(work.path(), &["etc"], &root.at(SEED));
        root.stand_in("chpasswd", "[ \"$1\" = --encrypted ] && cat > \"$LABIMG_ROOT/shadow\"");
        root
    };
    let whole = make();
    assert!(whole.run("seed", &[]).status.success());
    for cut in 1..=whole.commands() {
        let root = make();
        root.run_cut("seed", &[], Some(cut));
        if root.exists(SEED) {
            let output = root.run("seed", &[]);
            assert!(output.status.success(), "cut at {cut}: {}", text(&output));
        }
        assert_eq!(root.read("shadow"), "lab:$6$salt$hash\n", "cut at {cut}");
        assert!(!root.exists("etc/labimg/password"), "cut at {cut}");
    }
}

#[test]
fn units_in_a_seed_are_read_at_once() {
    let root = Root::new();
    let work = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(work.path().join("etc/systemd/system/ssh.service.d")).unwrap();
    std::fs::write(work.path().join("etc/systemd/system/ssh.service.d/x.conf"), "[Unit]\n").unwrap();
    pack(work.path(), &["etc"], &root.at(SEED));
    assert!(root.run("seed", &[]).status.success());
    assert!(root.calls().contains("systemctl daemon-reload"));
}

#[test]
fn power_may_fail_at_every_command() {
    let whole = Root::new();
    make_seed(&whole.at(SEED), "seeded");
    assert!(whole.run("seed", &[]).status.success());
    let commands = whole.commands();
    assert!(commands > 20, "only {commands} commands");
    for cut in 1..commands {
        let root = Root::new();
        make_seed(&root.at(SEED), "seeded");
        let output = root.run_cut("seed", &[], Some(cut));
        assert_eq!(output.status.signal(), Some(9), "cut at {cut}: {}", text(&output));
        // The unit's condition.
        if root.exists(SEED) {
            let output = root.run("seed", &[]);
            assert!(output.status.success(), "after a cut at {cut}: {}", text(&output));
        }
        check_seeded(&root);
    }
}

#[test]
fn power_may_fail_in_the_middle_of_unpacking_and_of_wiping() {
    for (command, torn) in [
        (
            "tar",
            "case $1 in -x*) /bin/tar \"$@\"; : > \"$LABIMG_ROOT/etc/hostname\"; kill -9 0 ;; esac; exec /bin/tar \"$@\"",
        ),
        ("shred", "for f; do :; done; dd if=/dev/zero of=\"$f\" bs=50 count=1 conv=notrunc 2>/dev/null; kill -9 0"),
        (
            "shred",
            "for f; do :; done; dd if=/dev/zero of=\"$f\" bs=50 seek=2 count=1 conv=notrunc 2>/dev/null; kill -9 0",
        ),
    ] {
        let root = Root::new();
        make_seed(&root.at(SEED), "seeded");
        let good = std::fs::read(root.at(format!("test-bin/{command}").as_str())).unwrap();
        root.stand_in(command, torn);
        assert_eq!(root.run("seed", &[]).status.signal(), Some(9));
        root.write(&format!("test-bin/{command}"), good);
        let output = root.run("seed", &[]);
        assert!(output.status.success(), "{command}: {}", text(&output));
        check_seeded(&root);
    }
}

#[test]
fn a_damaged_seed_is_kept_under_another_name_and_reported() {
    for damage in ["truncated", "not gzip", "a flipped byte", "empty"] {
        let root = Root::new();
        make_seed(&root.at(SEED), "seeded");
        let mut bytes = std::fs::read(root.at(SEED)).unwrap();
        match damage {
            "truncated" => bytes.truncate(bytes.len() / 2),
            "not gzip" => bytes = b"hello".to_vec(),
            "a flipped byte" => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x55;
            }
            _ => bytes.clear(),
        }
        root.write(SEED, &bytes);
        let output = root.run("seed", &[]);
        assert!(!output.status.success(), "{damage}");
        assert!(text(&output).contains("warning: labimg-seed.tgz is damaged"), "{damage}: {}", text(&output));
        assert_eq!(root.read("etc/hostname"), "worker\n", "{damage}");
        assert!(root.exists(BAD) && !root.exists(SEED) && !root.exists("var/lib/labimg/seeded"), "{damage}");
    }
}

#[test]
fn paths_out_of_the_root_are_refused() {
    let root = Root::new();
    let work = tempfile::tempdir().unwrap();
    std::fs::write(work.path().join("evil"), "x").unwrap();
    let status = Command::new("tar")
        .args(["-P", "-czf"])
        .arg(root.at(SEED))
        .args(["--transform", "s|^evil|../evil|", "-C"])
        .arg(work.path())
        .arg("evil")
        .status();
    assert!(status.unwrap().success());
    let output = root.run("seed", &[]);
    assert!(!output.status.success() && root.exists(BAD), "{}", text(&output));
    assert!(!root.path().parent().unwrap().join("evil").exists());
}

#[test]
fn a_second_seed_replaces_the_first() {
    let root = Root::new();
    make_seed(&root.at(SEED), "first");
    assert!(root.run("seed", &[]).status.success());
    assert_eq!(root.read("etc/hostname"), "first\n");
    make_seed(&root.at(SEED), "seeded");
    assert!(root.run("seed", &[]).status.success());
    check_seeded(&root);
    // The rest of a seed while it was being wiped.
    root.write(SEED, [0; 300]);
    assert!(root.run("seed", &[]).status.success());
    check_seeded(&root);
}

/// Seeds of older labimgs: a card's overlay may be newer than the seed put onto it.
#[test]
fn seeds_of_older_labimgs_are_applied() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for version in std::fs::read_dir(golden).unwrap() {
        let version = version.unwrap().path();
        for (seed, role) in [("master-seed.tgz", "master"), ("worker-seed.tgz", "worker")] {
            let root = Root::new();
            std::fs::copy(version.join(seed), root.at(SEED)).unwrap();
            let output = root.run("seed", &[]);
            assert!(output.status.success(), "{} {seed}: {}", version.display(), text(&output));
            assert!(root.exists("var/lib/labimg/seeded") && !root.exists(SEED) && !root.exists(BAD), "{seed}");
            assert!(root.read("etc/labimg/node.conf").contains(&format!("ROLE={role}\n")), "{seed}");
            for path in ["etc/hostname", "etc/rancher/k3s/config.yaml", "etc/ssh/ssh_host_ed25519_key"] {
                assert!(!root.read(path).is_empty(), "{seed}: {path}");
            }
            assert_eq!(root.exists("etc/labimg/storage.conf"), role == "master", "{seed}");
        }
    }
}
