//! Images of a `lab.toml`: generic images, seeds and secrets.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::read::GzDecoder;
use labimg_disk::read::{Volume, open_partition};
use sha2::Digest;

use crate::{Bench, KEY, fails, inputs, labimg, names, same, stdout, succeeds};

/// A lab of a master and two workers, with a passphrase that must not leak.
const LAB: &str = r#"
name = "home"
timezone = "Europe/Berlin"
ssh_keys = ["@KEY@"]
[wifi]
ssid = "attic"
passphrase = "correct horse battery"
country = "DE"
[[nodes]]
name = "master"
role = "master"
board = "virt"
address = "192.168.7.10/24"
gateway = "192.168.7.1"
[[nodes]]
name = "worker-1"
role = "worker"
board = "virt"
[[nodes]]
name = "worker-2"
role = "worker"
board = "virt"
"#;

struct Lab {
    dir: PathBuf,
    bench: Bench,
    cache: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let bench = Bench::new();
        let cache = bench.warm();
        let dir = bench.dir.path().join("lab");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("lab.toml"), LAB.replace("@KEY@", KEY)).unwrap();
        Self { dir, bench, cache }
    }

    fn build(&self, out: &Path, args: &[&str]) -> Command {
        std::fs::create_dir_all(out).unwrap();
        let mut command = labimg();
        command.arg("build").args(args).arg("--lab").arg(&self.dir).arg("--output").arg(out);
        // From the shared server, whose address is in the images.
        inputs(&mut command, &crate::shared().server, &self.cache);
        command
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.bench.dir.path().join(name)
    }

    /// Every secret that may only be in `secrets/`, the images and the kubeconfig.
    fn secrets(&self) -> Vec<String> {
        let mut all = vec!["correct horse battery".to_owned()];
        let mut folders = vec![self.dir.join("secrets")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if !path.extension().is_some_and(|e| e == "crt" || e == "pub") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    // The longest lines of a key or token: headers are the same in all.
                    all.extend(text.lines().filter(|l| l.len() >= 32 && !l.starts_with("---")).map(str::to_owned));
                }
            }
        }
        assert!(all.len() > 10, "{}", all.len());
        all
    }

    /// Whether a file, or any file below a folder, contains one of them.
    fn grep(&self, path: &Path) -> bool {
        let patterns = self.dir.join("patterns");
        std::fs::write(&patterns, self.secrets().join("\n")).unwrap();
        let mut grep = Command::new("grep");
        let found = grep.args(["-raqF", "-f"]).arg(&patterns).arg(path).env("LC_ALL", "C").status().unwrap();
        assert!(found.code().is_some_and(|code| code < 2), "grep: {found}");
        found.success()
    }
}

/// The members of the seed: path → owner, mode and content.
fn seed(image: &Path) -> BTreeMap<String, (u64, u32, Vec<u8>)> {
    let Volume::Fat(firmware) = open_partition(image, 1).unwrap() else { panic!("the first partition is not FAT") };
    let packed = firmware.read("labimg-seed.tgz").unwrap();
    let mut tar = tar::Archive::new(GzDecoder::new(packed.as_slice()));
    let mut all = BTreeMap::new();
    for entry in tar.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let (owner, mode) = (entry.header().uid().unwrap(), entry.header().mode().unwrap());
        let mut content = Vec::new();
        std::io::copy(&mut entry, &mut content).unwrap();
        all.insert(path, (owner, mode, content));
    }
    all
}

fn text(seed: &BTreeMap<String, (u64, u32, Vec<u8>)>, path: &str) -> String {
    String::from_utf8(seed.get(path).unwrap_or_else(|| panic!("no {path} in the seed")).2.clone()).unwrap()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

#[test]
fn each_node_gets_its_seed_and_only_what_it_needs() {
    let lab = Lab::new();
    let out = lab.folder("images");
    let built = succeeds(&mut lab.build(&out, &["--json"]));
    let images = ["master-virt.img", "worker-1-virt.img", "worker-2-virt.img"];
    for image in images {
        let mode = out.join(image).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{image} holds secrets");
    }
    let [master, one, two] = images.map(|image| seed(&out.join(image)));
    assert_eq!(text(&master, "etc/hostname"), "master\n");
    assert_eq!(text(&one, "etc/hostname"), "worker-1\n");
    assert!(text(&master, "home/lab/.ssh/authorized_keys").contains("AAAAC3NzaC1lZDI1NTE5"));
    assert_eq!(master["home/lab/.ssh/authorized_keys"].0, 1000);
    assert!(text(&master, "etc/systemd/network/10-labimg.network").contains("Address=192.168.7.10/24\nIPv6"));
    assert!(text(&master, "etc/rancher/k3s/token").contains("::server:"));
    assert!(text(&one, "etc/rancher/k3s/token").contains("::node:"));
    assert!(
        text(&one, "etc/rancher/k3s/config.yaml").contains("https://192.168.7.10:6443")
            || text(&one, "etc/rancher/k3s/config.yaml").contains("https://master.local:6443")
    );
    assert_ne!(text(&one, "etc/rancher/node/password"), text(&two, "etc/rancher/node/password"));
    assert_eq!(text(&one, "etc/rancher/k3s/token"), text(&two, "etc/rancher/k3s/token"));
    for path in [
        "etc/rancher/k3s/token",
        "etc/rancher/node/password",
        "etc/ssh/ssh_host_ed25519_key",
        "etc/rancher/k3s/config.yaml",
    ] {
        assert_eq!(master[path].1, 0o600, "{path}");
    }
    let of_master = |seed: &BTreeMap<_, _>| seed.keys().filter(|p: &&String| p.contains("server/tls/")).count();
    assert!(of_master(&master) > 6 && of_master(&one) == 0, "a worker must not have the cluster's keys");
    assert!(!one.contains_key("etc/rancher/k3s/agent-token") && !one.contains_key("etc/labimg/storage.conf"));

    // The master knows its disk.
    assert!(text(&master, "etc/labimg/storage.conf").contains("\nUUID='"));

    // The token's hash is that of the CA that the master gets (K10 form), and the kubeconfig trusts the same one.
    let ca = &master["var/lib/rancher/k3s/server/tls/server-ca.crt"].2;
    let hash: String = sha2::Sha256::digest(ca).iter().map(|b| format!("{b:02x}")).collect();
    assert!(text(&one, "etc/rancher/k3s/token").starts_with(&format!("K10{hash}::node:")));
    let kubeconfig = lab.dir.join("kubeconfig");
    assert_eq!(kubeconfig.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // The output and the files kept for other builds contain no secret.
    let mut told =
        vec![(PathBuf::from("--json"), built.stdout.clone()), (PathBuf::from("progress"), built.stderr.clone())];
    told.extend(images.map(|i| out.join(format!("{i}.json"))).map(|p| (p.clone(), std::fs::read(p).unwrap())));
    for (what, bytes) in &told {
        for secret in lab.secrets() {
            assert!(!contains(bytes, secret.as_bytes()), "{} tells a secret", what.display());
        }
    }
    assert!(lab.grep(&lab.dir.join("secrets")), "the search finds nothing where there is something");
    assert!(!lab.grep(&lab.cache), "the cache keeps a secret");

    // The same secrets give the same images.
    let again = lab.folder("again");
    succeeds(&mut lab.build(&again, &["worker-2"]));
    assert_eq!(names(&again), ["worker-2-virt.img", "worker-2-virt.img.json"]);
    same(&out.join("worker-2-virt.img"), &again.join("worker-2-virt.img"));

    let inspected = succeeds(labimg().arg("inspect").arg(out.join("master-virt.img")));
    assert!(
        stdout(&inspected).contains("seed        yes")
            && stdout(&inspected).contains("k3s         of unknown version, local stand-in")
    );
}

#[test]
fn generic_images_are_the_same_whatever_the_secrets() {
    let (lab, other) = (Lab::new(), Lab::new());
    let (out, others) = (lab.folder("images"), other.folder("images"));
    succeeds(&mut lab.build(&out, &["--generic"]));
    assert_eq!(names(&out), ["master-virt.img", "master-virt.img.json", "worker-virt.img", "worker-virt.img.json"]);
    assert!(!lab.dir.join("secrets").exists(), "nothing asked for secrets");
    succeeds(&mut other.build(&other.folder("seeded"), &["worker-1"]));
    succeeds(&mut other.build(&others, &["--generic"]));
    for image in ["master-virt.img", "worker-virt.img"] {
        same(&out.join(image), &others.join(image));
    }
    let Volume::Fat(firmware) = open_partition(&out.join("worker-virt.img"), 1).unwrap() else { panic!("not FAT") };
    assert!(firmware.find("labimg-seed.tgz").is_err(), "a generic image has no seed");
    let settings = String::from_utf8(firmware.read("labimg.conf").unwrap()).unwrap();
    assert!(settings.lines().all(|l| l.is_empty() || l.starts_with('#')), "an active setting is shipped: {settings}");
    assert!(!other.grep(&others.join("worker-virt.img")), "the generic image holds a secret");
}

/// The user's own role, board and files: in the images of the right nodes, and nowhere else.
#[test]
fn files_roles_and_boards_of_the_lab_folder() {
    let lab = Lab::new();
    let put = |path: &str, text: &str| {
        let path = lab.dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let unit = "[Service]\nExecStart=/usr/local/bin/gate\n[Install]\nWantedBy=multi-user.target\n";
    put("overlays/common/etc/motd", "this is home\n");
    put("overlays/gate/etc/systemd/system/gate.service", unit);
    put("overlays/gate/usr/local/bin/gate", "#!/bin/sh\n");
    std::os::unix::fs::symlink("gate", lab.dir.join("overlays/gate/usr/local/bin/door")).unwrap();
    put(
        "roles/gate.toml",
        "title = \"Worker at the gate\"\nk3s = \"agent\"\n[packages]\n[systemd]\nenable = [\"gate.service\"]\n",
    );
    let virt = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("boards/virt.toml")).unwrap();
    put("boards/tiny.toml", &virt.replace("title = ", "title = \"Tiny\" # "));
    let text = LAB.replace("@KEY@", KEY);
    let (rest, last) = text.rsplit_once("role = \"worker\"\nboard = \"virt\"").unwrap();
    std::fs::write(lab.dir.join("lab.toml"), format!("{rest}role = \"gate\"\nboard = \"tiny\"{last}")).unwrap();

    let listed = |what: &str| stdout(&succeeds(labimg().arg(what).current_dir(&lab.dir)));
    assert!(listed("roles").contains("gate     Worker at the gate\n"), "{}", listed("roles"));
    assert!(listed("boards").contains("tiny     Tiny\n"), "{}", listed("boards"));

    let out = lab.folder("images");
    succeeds(&mut lab.build(&out, &["--generic"]));
    let root = |image: &str| {
        let Volume::Ext4(root) = open_partition(&out.join(image), 2).unwrap() else { panic!("not ext4") };
        root
    };
    for image in ["master-virt.img", "worker-virt.img", "gate-tiny.img"] {
        assert_eq!(root(image).read("etc/motd").unwrap(), b"this is home\n", "{image}");
    }
    assert!(root("worker-virt.img").stat("usr/local/bin/gate", false).is_err(), "a worker is no gate");
    let gate = root("gate-tiny.img");
    let door = gate.stat("usr/local/bin/door", true).unwrap();
    assert_eq!((door.mode & 0o7777, door.uid), (0o755, 0));
    assert!(gate.stat("etc/systemd/system/multi-user.target.wants/gate.service", true).is_ok(), "not enabled");
    assert!(gate.stat("etc/systemd/system/multi-user.target.wants/k3s-agent.service", false).is_ok());
    let why =
        |path: &str| stdout(&succeeds(labimg().arg("inspect").arg(out.join("gate-tiny.img")).args(["--why", path])));
    assert!(why("/etc/motd").contains("overlay common of the lab folder"), "{}", why("/etc/motd"));

    // Where the node would not see it, and where nothing looks for it.
    put("overlays/common/boot/firmware/config.txt", "");
    fails(&mut lab.build(&out, &["--generic"]), 2, &["boot/firmware/config.txt", "boards/NAME.toml"]);
    std::fs::remove_dir_all(lab.dir.join("overlays/common/boot")).unwrap();
    put("overlays/wroker/etc/motd", "");
    fails(&mut lab.build(&out, &["--generic"]), 2, &["overlays/wroker", "did you mean `worker`"]);
}
