//! Checks the secrets with `openssl` and `ssh-keygen`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::*;
use crate::lab::{LabFolder, LabNode};
use crate::parts::Parts;
use crate::wording::one_line;

/// 2026-11-24T12:00:00Z.
const NOW: i64 = 1_795_521_600;
const DAY: i64 = 24 * 60 * 60;

fn lab(nodes: &[(&str, &str)]) -> Lab {
    let nodes = nodes.iter().map(|(name, role)| LabNode {
        name: (*name).to_owned(),
        role: (*role).to_owned(),
        board: "rpi4".to_owned(),
        ..LabNode::default()
    });
    Lab { name: "attic".to_owned(), nodes: nodes.collect(), ..Lab::default() }
}

fn three() -> Lab {
    lab(&[("master", "master"), ("w1", "worker"), ("w2", "worker")])
}

fn new() -> (TempDir, PathBuf, Lab, Secrets) {
    let dir = tempfile::tempdir().unwrap();
    let (path, lab) = (dir.path().join(FOLDER), three());
    let secrets = Secrets::open(&path, &lab, NOW).unwrap();
    (dir, path, lab, secrets)
}

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).output().unwrap()
}

/// Standard output of a program that must succeed.
fn told(program: &str, args: &[&str]) -> String {
    let output = run(program, args);
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// All files with their contents, except the lock.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    all.sort();
    all
}

fn error(result: Result<Secrets, SecretsError>) -> String {
    one_line(&result.unwrap_err())
}

#[test]
fn openssl_accepts_the_authorities() {
    if labimg_testkit::judges::missing(&["openssl"]) {
        return;
    }
    let (_dir, path, ..) = new();
    for name in ["server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca"] {
        let (crt, key) = (path.join(format!("tls/{name}.crt")), path.join(format!("tls/{name}.key")));
        let (crt, key) = (crt.to_str().unwrap(), key.to_str().unwrap());
        told("openssl", &["verify", "-x509_strict", "-check_ss_sig", "-attime", &NOW.to_string(), "-CAfile", crt, crt]);
        let text = told("openssl", &["x509", "-in", crt, "-noout", "-text", "-nameopt", "RFC2253"]);
        for wanted in [
            "Version: 3",
            "Public Key Algorithm: id-ecPublicKey",
            "prime256v1",
            "ecdsa-with-SHA256",
            "Digital Signature, Key Encipherment, Certificate Sign",
            "CA:TRUE",
            "Not Before: Nov 24 12:00:00 2025 GMT",
            "Not After : Nov 21 12:00:00 2036 GMT",
        ] {
            assert!(text.contains(wanted), "{name}: {wanted} in {text}");
        }
        let serial = told("openssl", &["x509", "-in", crt, "-noout", "-serial"]);
        assert_eq!(serial.trim().len(), "serial=".len() + 32, "{serial}");
        assert!(matches!(serial.as_bytes()["serial=".len()], b'4'..=b'7'), "positive and of full length: {serial}");
        let public = told("openssl", &["x509", "-in", crt, "-noout", "-pubkey"]);
        assert_eq!(public, told("openssl", &["pkey", "-in", key, "-pubout"]), "{name}: the key belongs to it");
    }
    let subject = |name: &str| {
        let path = path.join("tls").join(name);
        told("openssl", &["x509", "-in", path.to_str().unwrap(), "-noout", "-subject", "-nameopt", "RFC2253"])
    };
    assert_eq!(subject("server-ca.crt").trim(), format!("subject=CN=k3s-server-ca@{NOW}"));
    assert_eq!(subject("etcd/peer-ca.crt").trim(), format!("subject=CN=etcd-peer-ca@{NOW}"));
    let service = path.join("tls/service.key");
    let service = service.to_str().unwrap();
    told("openssl", &["pkey", "-in", service, "-check", "-noout"]);
    // Byte for byte the same as openssl's output for this key.
    assert_eq!(told("openssl", &["ec", "-in", service]), fs::read_to_string(service).unwrap());
}

#[test]
fn the_administrator_is_signed_by_the_client_ca_only() {
    if labimg_testkit::judges::missing(&["openssl"]) {
        return;
    }
    let (_dir, path, ..) = new();
    let file = |name: &str| path.join(name).to_str().unwrap().to_owned();
    let (ca, other, client) = (file("tls/client-ca.crt"), file("tls/server-ca.crt"), file("admin/client.crt"));
    let at = NOW.to_string();
    let verify = |ca: &str, at: &str, purpose: &str| {
        run("openssl", &["verify", "-x509_strict", "-purpose", purpose, "-attime", at, "-CAfile", ca, &client])
            .status
            .success()
    };
    assert!(verify(&ca, &at, "sslclient"));
    assert!(verify(&ca, &(NOW - 364 * DAY).to_string(), "sslclient"), "a clock that is a year behind");
    assert!(verify(&ca, &(NOW + 364 * DAY).to_string(), "sslclient"));
    assert!(!verify(&ca, &(NOW - 366 * DAY).to_string(), "sslclient"));
    assert!(!verify(&ca, &(NOW + 366 * DAY).to_string(), "sslclient"));
    assert!(!verify(&ca, &at, "sslserver"));
    assert!(!verify(&other, &at, "sslclient"));
    let subject = told("openssl", &["x509", "-in", &client, "-noout", "-subject", "-nameopt", "RFC2253"]);
    assert_eq!(subject.trim(), "subject=CN=labimg-admin,O=system:masters");
}

#[test]
fn ssh_reads_the_host_keys() {
    if labimg_testkit::judges::missing(&["ssh-keygen"]) {
        return;
    }
    let (_dir, path, _, secrets) = new();
    for node in ["master", "w1", "w2"] {
        let key = path.join(format!("host-keys/{node}/ssh_host_ed25519_key"));
        let key = key.to_str().unwrap();
        let shown = told("ssh-keygen", &["-l", "-f", key]);
        assert!(shown.ends_with(&format!(" root@{node} (ED25519)\n")), "{shown}");
        let public = told("ssh-keygen", &["-y", "-f", key]);
        let of_node = secrets.node(node).unwrap();
        assert_eq!(of_node.ssh_public.trim(), public.trim());
        assert_eq!(of_node.password.expose().len(), 32);
        let listed = secrets.list();
        let listed = listed.iter().find(|l| l.name == format!("host-keys/{node}/ssh_host_ed25519_key")).unwrap();
        assert!(shown.contains(listed.fingerprint.as_deref().unwrap()), "{shown}{listed:?}");
    }
    assert!(secrets.node("w3").is_none());
}

#[test]
fn everything_is_the_owners_alone() {
    let (_dir, path, ..) = new();
    for (file, _) in files(&path) {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600, "{}", file.display());
        for folder in file.ancestors().skip(1).take_while(|f| f.starts_with(&path)) {
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o7777, 0o700, "{}", folder.display());
        }
    }
    assert_eq!(fs::read_to_string(path.join(".gitignore")).unwrap(), "*\n");
}

#[test]
fn what_is_there_is_used_again_and_a_new_node_is_added() {
    let (_dir, path, lab, first) = new();
    let before = files(&path);
    let second = Secrets::open(&path, &lab, NOW + 100 * DAY).unwrap();
    assert_eq!(before, files(&path));
    assert_eq!(second.created(), NOW);
    assert_eq!(first.server_token(), second.server_token());
    assert_eq!(first.kubeconfig(&lab), second.kubeconfig(&lab));

    let more = self::lab(&[("master", "master"), ("w3", "worker")]);
    let third = Secrets::open(&path, &more, NOW + 101 * DAY).unwrap();
    assert_eq!(third.join_token(), first.join_token());
    assert!(third.node("w3").is_some() && third.node("w1").is_none());
    let after = files(&path);
    assert!(before.iter().all(|file| after.contains(file)), "nothing is made anew");
    assert_eq!(after.len(), before.len() + 3);
}

#[test]
fn tokens_name_the_hash_of_the_server_ca() {
    let (_dir, path, _, secrets) = new();
    let sum = told("sha256sum", &[path.join("tls/server-ca.crt").to_str().unwrap()]);
    let hash = sum.split(' ').next().unwrap();
    let server = fs::read_to_string(path.join("tokens/server")).unwrap();
    assert_eq!(secrets.server_token(), format!("K10{hash}::server:{}", server.trim()));
    assert_eq!(secrets.join_token(), format!("K10{hash}::node:{}", secrets.agent_password()));
    assert_eq!((server.trim().len(), secrets.agent_password().len()), (64, 64));
    assert_ne!(server.trim(), secrets.agent_password());
    let files = secrets.cluster_ca_files();
    assert_eq!(files.len(), 11);
    for (name, content) in files {
        assert_eq!(fs::read(path.join("tls").join(&name)).unwrap(), content, "{name}");
    }
}

#[test]
fn two_runs_at_once_get_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FOLDER);
    let barrier = std::sync::Barrier::new(8);
    let tokens: Vec<(String, Option<String>)> = std::thread::scope(|scope| {
        let (start, path) = (&barrier, &path);
        let run = move |_| {
            scope.spawn(move || {
                start.wait();
                let lab = three();
                let secrets = Secrets::open(path, &lab, NOW).unwrap();
                (secrets.server_token(), secrets.kubeconfig(&lab))
            })
        };
        let runs: Vec<_> = (0..8).map(run).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|t| *t == tokens[0]), "all eight the same");
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let (_dir, path, lab, first) = new();
    fs::rename(path.join("host-keys/w1"), path.join(".new-host-keys-w1")).unwrap();
    fs::remove_file(path.join(".new-host-keys-w1/ssh_host_ed25519_key")).unwrap();
    let second = Secrets::open(&path, &lab, NOW).unwrap();
    assert_ne!(second.node("w1").unwrap().ssh_public, first.node("w1").unwrap().ssh_public);
    assert_eq!(second.node("w2").unwrap().ssh_public, first.node("w2").unwrap().ssh_public);
    assert!(!path.join(".new-host-keys-w1").exists());
}

#[test]
fn what_others_may_read_is_refused() {
    let (_dir, path, lab, _) = new();
    for (name, mode, advice) in [("", 0o755, "chmod 700 "), ("", 0o710, "chmod 700 "), ("tls", 0o750, "chmod 700 ")] {
        let target = path.join(name);
        fs::set_permissions(&target, Permissions::from_mode(mode)).unwrap();
        let text = error(Secrets::open(&path, &lab, NOW));
        assert!(text.contains(advice) && text.contains(&format!("{mode:04o}")), "{text}");
        fs::set_permissions(&target, Permissions::from_mode(0o700)).unwrap();
    }
    let key = path.join("tls/client-ca.key");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let text = error(Secrets::open(&path, &lab, NOW));
    assert!(text.contains("0640") && text.contains(&format!("chmod 600 {}", key.display())), "{text}");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    Secrets::open(&path, &lab, NOW).unwrap();
}

#[test]
fn damaged_files_are_named_and_never_made_anew() {
    let (_dir, path, lab, _) = new();
    let half = |text: &[u8]| text[..text.len() / 2].to_vec();
    let other = fs::read(path.join("tls/etcd/peer-ca.key")).unwrap();
    let files: Vec<(PathBuf, Vec<u8>)> = files(&path);
    let mut judged = 0;
    for (file, content) in files.iter().filter(|(f, _)| f.parent() != Some(path.as_path())) {
        let mut changes = vec![Vec::new(), half(content), b"\xff\xfe".to_vec(), b"hello\n".to_vec()];
        if ["client.key", "server-ca.key", "service.key"].iter().any(|name| file.ends_with(name)) {
            changes.push(other.clone());
        }
        for change in changes {
            fs::write(file, &change).unwrap();
            let text = error(Secrets::open(&path, &lab, NOW));
            assert!(text.starts_with(&format!("{} is damaged", file.display())), "{text}");
            assert_eq!(fs::read(file).unwrap(), change);
            judged += 1;
        }
        fs::remove_file(file).unwrap();
        let text = error(Secrets::open(&path, &lab, NOW));
        assert!(text.contains("it is missing") && text.contains(file.to_str().unwrap()), "{text}");
        fs::write(file, content).unwrap();
        fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    }
    assert!(judged > 80, "{judged}");
    // A CA that was replaced by another one.
    fs::rename(path.join("tls"), path.join("was")).unwrap();
    let text = error(Secrets::open(&path, &lab, NOW));
    assert!(text.contains("admin/client.crt is damaged: the client CA did not sign it"), "{text}");
    // Swapped files, and too late a time.
    fs::remove_dir_all(path.join("tls")).unwrap();
    fs::rename(path.join("was"), path.join("tls")).unwrap();
    let text = error(Secrets::open(&path, &lab, NOW + 3651 * DAY));
    assert!(text.contains("was valid until 2036-11-21 only") && text.contains("rotate --certificates"), "{text}");
}

#[test]
fn bad_names_and_places_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "../x", "a/b", "A", "-a", ".", "ä"] {
        let text = error(Secrets::open(&dir.path().join(FOLDER), &lab(&[(name, "worker")]), NOW));
        assert!(text.contains("cannot be the name of a node"), "{text}");
    }
    assert!(!dir.path().join(FOLDER).exists());
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(error(Secrets::open(&file, &three(), NOW)).starts_with("cannot use "));
    assert!(error(Secrets::open(&dir.path().join("none/secrets"), &three(), NOW)).starts_with("cannot make "));
    let text = error(Secrets::open_existing(&dir.path().join("none"), &three(), NOW));
    assert!(text.contains("holds no secrets yet (`labimg build` makes them)"), "{text}");
    assert!(Secrets::open(&dir.path().join("clock"), &three(), i64::MAX).is_err());
}

#[test]
fn nothing_secret_is_shown() {
    let (_dir, path, _, secrets) = new();
    let shown = format!("{secrets:?}{:#?}{}", secrets.node("w1"), serde_json::to_string(&secrets.list()).unwrap());
    let mut judged = 0;
    for (file, content) in files(&path) {
        let text = String::from_utf8(content).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let secret: Vec<&str> = match name {
            "server" | "agent" | "password" => vec![text.trim()],
            // The last line of a key in PKCS#8 is all public key, which the certificate holds too.
            _ if file.extension().is_some_and(|e| e == "key") => {
                text.lines().skip(1).take(if name == "service.key" { 1 } else { 2 }).collect()
            }
            host_key::PRIVATE => text.lines().filter(|l| !l.starts_with("-----")).collect(),
            _ => continue,
        };
        // The last line of a key may be a few letters.
        for line in secret.into_iter().filter(|line| line.len() > 8) {
            assert!(!shown.contains(line), "{}", file.display());
            judged += 1;
        }
    }
    assert!(judged > 20, "{judged}");
    assert_eq!(secrets.list().len(), 5 + 1 + 2 + 1 + 3 * 2);
}

#[test]
fn the_kubeconfig_is_the_owners_and_says_where_the_master_is() {
    let (dir, path, mut lab, secrets) = new();
    let folder = LabFolder { dir: dir.path().to_owned(), lab: lab.clone(), parts: Parts::default() };
    let file = secrets.write_kubeconfig(&folder).unwrap().unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(Some(&text), secrets.kubeconfig(&lab).as_ref());
    let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(value["clusters"][0]["cluster"]["server"], "https://master.local:6443");
    assert_eq!((&value["current-context"], &value["contexts"][0]["name"]), (&"attic".into(), &"attic".into()));
    assert_eq!(value["contexts"][0]["context"]["user"], value["users"][0]["name"]);
    let data = |of: &serde_json::Value| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.decode(of.as_str().unwrap()).unwrap()
    };
    let read = |name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(data(&value["clusters"][0]["cluster"]["certificate-authority-data"]), read("tls/server-ca.crt"));
    assert_eq!(data(&value["users"][0]["user"]["client-certificate-data"]), read("admin/client.crt"));
    assert_eq!(data(&value["users"][0]["user"]["client-key-data"]), read("admin/client.key"));

    // A name that YAML would read as another type, and fixed addresses.
    lab.name = "yes".to_owned();
    lab.nodes[0].address = Some("192.168.1.10/24".to_owned());
    let text = secrets.kubeconfig(&lab).unwrap();
    let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(value["current-context"], "yes");
    assert_eq!(value["clusters"][0]["cluster"]["server"], "https://192.168.1.10:6443");
    lab.nodes[0].address = Some("fd00::10/64".to_owned());
    assert!(secrets.kubeconfig(&lab).unwrap().contains("server: https://[fd00::10]:6443\n"));
    lab.nodes.remove(0);
    assert_eq!(secrets.kubeconfig(&lab), None);
}

#[test]
fn rotation_keeps_the_old_and_changes_only_what_was_asked_for() {
    let (_dir, path, lab, first) = new();
    let none = Rotate { tokens: false, certificates: false, host_keys: false };
    let turn = |what| rotate(&path, &lab, NOW + DAY, what).unwrap();

    let tokens = turn(Rotate { tokens: true, ..none });
    assert_eq!(tokens.kept, path.join("old-2026-11-25"));
    let old = fs::read_to_string(tokens.kept.join("tokens/server")).unwrap();
    assert!(first.server_token().ends_with(old.trim()));
    assert_ne!(tokens.secrets.join_token(), first.join_token());
    assert_eq!(tokens.secrets.kubeconfig(&lab), first.kubeconfig(&lab));
    assert_eq!(tokens.reflash, ["master", "w1", "w2"]);

    let keys = turn(Rotate { host_keys: true, ..none });
    assert_eq!(keys.kept, path.join("old-2026-11-25-2"));
    for node in ["master", "w1", "w2"] {
        assert_ne!(keys.secrets.node(node).unwrap().ssh_public, first.node(node).unwrap().ssh_public);
        assert_eq!(keys.secrets.node(node).unwrap().password, first.node(node).unwrap().password);
    }
    assert_eq!(keys.secrets.server_token(), tokens.secrets.server_token());

    let all = turn(Rotate { tokens: true, certificates: true, host_keys: true });
    assert_eq!(all.secrets.created(), NOW + DAY);
    assert_ne!(all.secrets.kubeconfig(&lab), first.kubeconfig(&lab));
    assert_eq!(all.secrets.node("w1").unwrap().password, first.node("w1").unwrap().password);
    let old = fs::read(all.kept.join("tls/server-ca.crt")).unwrap();
    assert!(first.server_token().contains(&Sha256::of(old).to_string()));
    let again = Secrets::open(&path, &lab, NOW + DAY).unwrap();
    assert_eq!(again.server_token(), all.secrets.server_token());
    assert!(matches!(rotate(&path, &lab, NOW, none), Err(SecretsError::None(_))));
}

#[test]
fn the_administrator_gets_another_certificate_and_no_card_is_flashed() {
    let (_dir, path, lab, first) = new();
    assert_eq!(first.ending(NOW + 300 * DAY), None);
    assert!(
        first.ending(NOW + 310 * DAY).unwrap().contains("is valid until 2027-11-24 only: `labimg secrets kubeconfig`")
    );
    // A kubeconfig that has ended is no reason not to make cards.
    let ended = Secrets::open(&path, &lab, NOW + 400 * DAY).unwrap();
    assert!(ended.ending(NOW + 400 * DAY).unwrap().contains("was valid until 2027-11-24 only"));
    assert_eq!(ended.kubeconfig(&lab), first.kubeconfig(&lab));

    let renewed = renew_administrator(&path, &lab, NOW + 400 * DAY).unwrap();
    assert!(renewed.reflash.is_empty() && renewed.kept.join("admin/client.crt").exists());
    assert_eq!(renewed.secrets.ending(NOW + 700 * DAY), None);
    assert_ne!(renewed.secrets.kubeconfig(&lab), first.kubeconfig(&lab));
    assert_eq!(renewed.secrets.server_token(), first.server_token());
    assert_eq!(renewed.secrets.cluster_ca_files(), first.cluster_ca_files());
    // It never outlives its authority.
    let last = renew_administrator(&path, &lab, NOW + 3600 * DAY).unwrap();
    assert!(last.secrets.ending(NOW + 3600 * DAY).unwrap().contains("2036-11-21"));
    let none = path.join("none");
    assert!(matches!(renew_administrator(&none, &lab, NOW), Err(SecretsError::None(_))));

    let (_, authority) = first.cluster_ca_files().into_iter().find(|(name, _)| name == "server-ca.crt").unwrap();
    let chain = [first.admin_certificate.as_bytes(), &authority].concat();
    let said = |now| ending_soon(&chain, &authority, now);
    assert!(said(NOW).is_empty());
    assert_eq!(said(NOW + 310 * DAY).len(), 1);
    let both = said(NOW + 3300 * DAY);
    assert!(both.len() == 2 && both[1].contains("until 2036-11-21 only"), "{both:?}");
}

#[test]
fn a_rotation_that_was_cut_short_is_finished_by_the_next_run() {
    let (_dir, path, lab, first) = new();
    // The state after the first step of `rotate --certificates`.
    fs::create_dir(path.join("old-2026-11-25")).unwrap();
    fs::rename(path.join("admin"), path.join("old-2026-11-25/admin")).unwrap();
    let second = Secrets::open(&path, &lab, NOW).unwrap();
    assert_eq!(second.server_token(), first.server_token());
    fs::rename(path.join("admin"), path.join("was")).unwrap();
    fs::rename(path.join("tls"), path.join("old-2026-11-25/tls")).unwrap();
    let third = Secrets::open(&path, &lab, NOW).unwrap();
    assert_ne!(third.server_token(), first.server_token());

    // The same command again, when all that it replaces is away already.
    let all = Rotate { tokens: true, certificates: true, host_keys: true };
    let old = path.join("old-2026-11-26");
    fs::create_dir(&old).unwrap();
    for group in ["admin", "tls", "tokens", "host-keys"] {
        fs::rename(path.join(group), old.join(group)).unwrap();
    }
    let fourth = rotate(&path, &lab, NOW + DAY, all).unwrap();
    assert_eq!(fourth.kept, old);
    fs::rename(path.join("admin"), old.join("admin-2")).unwrap();
    let fifth = renew_administrator(&path, &lab, NOW + DAY).unwrap();
    assert_eq!((fifth.kept, fifth.secrets.server_token()), (old, fourth.secrets.server_token()));
}
