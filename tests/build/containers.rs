//! Container images on the nodes' cards: from a registry to the archive that k3s imports.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use labimg_tree::hash::Sha256;
use serde_json::{Value, json};

use crate::charts::exported;
use crate::locked::{K3S, Locked, images_of_k3s};
use crate::{fails, same, stderr, stdout, succeeds};
use labimg_testkit::http_server::{Act, Server, dead_url};

/// The image of labimg's own manifest.
const PROVISIONER: &str = "registry.k8s.io/sig-storage/nfs-subdir-external-provisioner:v4.0.2";
/// The image that the user adds.
const MINE: &str = "quay.io/me/mine:1";
const FOLDER: &str = "var/lib/rancher/k3s/agent/images";

/// An image in the mirror of a registry: the paths of its documents and parts.
struct Pushed {
    tag: String,
    manifest: String,
    layer: String,
    /// Hash of its manifest.
    sha256: Sha256,
}

/// Adds an image for linux/arm64 and for another, unused platform.
fn push(server: &Server, name: &str, layer: &str) -> Pushed {
    let (repository, tag) = name.rsplit_once(':').unwrap();
    let base = format!("/v2/{repository}");
    let digest = |text: &str| format!("sha256:{}", Sha256::of(text));
    let config = json!({ "os": "linux", "architecture": "arm64", "rootfs": { "type": "layers" } }).to_string();
    let part = |text: &str| json!({ "mediaType": "x", "digest": digest(text), "size": text.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": part(&config),
        "layers": [part(layer), part("layer of both")],
    });
    let manifest = manifest.to_string();
    let of = |architecture: &str, text: &str| {
        let platform = json!({ "os": "linux", "architecture": architecture });
        json!({ "digest": digest(text), "size": text.len(), "platform": platform })
    };
    let index = json!({ "schemaVersion": 2, "manifests": [of("amd64", "other"), of("arm64", &manifest)] });
    let pushed = Pushed {
        tag: format!("{base}/manifests/{tag}"),
        manifest: format!("{base}/manifests/{}", digest(&manifest)),
        layer: format!("{base}/blobs/{}", digest(layer)),
        sha256: Sha256::of(&manifest),
    };
    server.file(&pushed.tag, index.to_string());
    server.file(&pushed.manifest, manifest);
    for text in [layer, "layer of both", &config] {
        server.file(&format!("{base}/blobs/{}", digest(text)), text);
    }
    pushed
}

/// A lab whose nodes get both images and those of k3s; the bench's server is the mirror of their registries.
fn carrying() -> (Locked, [Pushed; 2]) {
    let locked = Locked::new();
    let pushed = [push(&locked.bench.server, PROVISIONER, "its layer"), push(&locked.bench.server, MINE, "my layer")];
    let registries = locked.bench.server.url("");
    set(&locked, &format!("[k3s]\nembed_images = true\nimages = [\"{MINE}\"]\nregistries = \"{registries}\"\n"));
    (locked, pushed)
}

/// Adds settings at the beginning of `[k3s]`.
fn set(locked: &Locked, settings: &str) {
    let lab = locked.dir.join("lab.toml");
    let text = std::fs::read_to_string(&lab).unwrap();
    std::fs::write(&lab, text.replace("[k3s]\n", settings)).unwrap();
}

/// The files of a tar.
fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let file = |mut entry: tar::Entry<'_, &[u8]>| {
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    };
    archive.entries().unwrap().map(|entry| file(entry.unwrap())).collect()
}

#[test]
fn locked_container_images_are_on_every_card() {
    let (locked, [provisioner, mine]) = carrying();
    let said = stdout(&succeeds(&mut locked.command("lock")));
    for image in [PROVISIONER, MINE, &format!("those of k3s {K3S}")] {
        assert!(said.contains(&format!("\n  container image  {image} (arm64)")), "{said}");
    }
    let text = std::fs::read_to_string(&locked.lock).unwrap();
    let entry = format!("[[container]]\nname = \"{MINE}\"\narchitecture = \"arm64\"\nsize = ");
    assert!(text.contains(&entry) && text.contains(&format!("sha256 = \"{}\"", mine.sha256)), "{text}");
    assert!(text.contains("[[k3s-images]]"), "{text}");

    // A tag may later mean another image; a lock goes by the manifest.
    for image in [&provisioner, &mine] {
        locked.bench.server.always(&image.tag, Act::Status(500, String::new()));
    }
    let image = locked.bench.dir.path().join("node.img");
    succeeds(locked.command("build").args(["worker", "--generic", "--locked", "-o"]).arg(&image));
    let of_k3s = exported(&image, &format!("{FOLDER}/k3s-airgap-images-arm64.tar.zst")).unwrap();
    assert_eq!(of_k3s, (0o644, images_of_k3s(K3S)));
    let (mode, tar) = exported(&image, &format!("{FOLDER}/labimg-images.tar")).unwrap();
    let files = files(&tar);
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let named: Vec<(&Value, &Value)> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (&m["annotations"]["io.containerd.image.name"], &m["digest"]))
        .collect();
    let digest = |image: &Pushed| Value::from(format!("sha256:{}", image.sha256));
    assert_eq!(mode, 0o644);
    assert_eq!(named, [(&MINE.into(), &digest(&mine)), (&PROVISIONER.into(), &digest(&provisioner))]);
    // Two manifests, a shared configuration, a shared layer, two other layers, and two files of the layout.
    assert_eq!(files.len(), 8, "{:?}", files.keys());
    for (path, content) in files.iter().filter(|(path, _)| path.starts_with("blobs/")) {
        assert_eq!(*path, format!("blobs/sha256/{}", Sha256::of(content)));
    }

    // With everything in the store no network is needed, and the bytes are the same.
    let (mut command, again) = locked.build("again.img");
    let lab = locked.dir.join("lab.toml");
    let text = std::fs::read_to_string(&lab).unwrap();
    std::fs::write(&lab, text.replace(&locked.bench.server.url(""), &dead_url(""))).unwrap();
    succeeds(&mut command);
    same(&image, &again);

    let shown = stdout(&succeeds(crate::labimg().arg("inspect").arg(&image)));
    assert!(shown.contains("quay.io/me/mine 1 ("), "{shown}");
    let sbom = stdout(&succeeds(crate::labimg().args(["inspect", "--sbom", "cyclonedx"]).arg(&image)));
    assert!(sbom.contains("pkg:oci/mine@sha256%3A"), "{sbom}");

    // The user no longer wants them: the lock has them, but the image does not.
    let text = std::fs::read_to_string(&lab).unwrap();
    std::fs::write(&lab, text.replace("embed_images = true", "embed_images = false").replace(MINE, PROVISIONER))
        .unwrap();
    let (mut command, without) = locked.build("without.img");
    succeeds(&mut command);
    let diff = stdout(&succeeds(crate::labimg().arg("diff").args([&image, &without])));
    assert!(diff.contains("Container images") && diff.contains("quay.io/me/mine"), "{diff}");
    assert!(exported(&without, &format!("{FOLDER}/k3s-airgap-images-arm64.tar.zst")).is_none());
}

#[test]
fn without_a_lock_the_images_are_those_of_now() {
    let (locked, [_, mine]) = carrying();
    locked.bench.server.next(&mine.layer, [Act::CutAfter(3)]);
    let image = locked.bench.dir.path().join("node.img");
    succeeds(locked.command("build").args(["worker", "--generic", "-o"]).arg(&image));
    assert!(exported(&image, &format!("{FOLDER}/labimg-images.tar")).is_some());
    // The user's own k3s comes without its images, and a warning says so.
    let image = locked.bench.dir.path().join("file.img");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boot/k3s-stand-in.sh");
    let mut command = locked.command("build");
    command.args(["worker", "--generic", "--k3s-bin", file, "-o"]).arg(&image);
    let said = stderr(&succeeds(&mut command));
    assert!(said.contains("the container images of k3s itself are not in the image"), "{said}");
    assert!(exported(&image, &format!("{FOLDER}/k3s-airgap-images-arm64.tar.zst")).is_none());
    // What is left to the nodes is not downloaded.
    let image = locked.bench.dir.path().join("first-boot.img");
    succeeds(locked.command("build").args(["worker", "--generic", "--k3s", "first-boot", "-o"]).arg(&image));
    assert!(exported(&image, FOLDER).is_none());
}

#[test]
fn a_registry_that_wants_a_token_gets_one() {
    let (locked, [_, mine]) = carrying();
    let server = &locked.bench.server;
    let challenge = format!(
        "WWW-Authenticate: Bearer realm=\"{}\",service=\"r\",scope=\"repository:me/mine:pull\"\r\n",
        server.url("/token")
    );
    let token = "/token?service=r&scope=repository%3Ame%2Fmine%3Apull";
    server.file(token, r#"{"token": "for-anyone", "expires_in": 60}"#);
    // The token is requested at once, and again when it has expired.
    server.next(&mine.tag, [Act::Status(401, challenge.clone())]);
    server.next(&mine.layer, [Act::Status(401, challenge.clone())]);
    let image = locked.bench.dir.path().join("node.img");
    succeeds(locked.command("build").args(["worker", "--generic", "-o"]).arg(&image));
    let seen = server.seen();
    let asked = |path: &str| -> Vec<Option<&str>> {
        seen.iter().filter(|s| s.path == path).map(|s| s.authorization.as_deref()).collect()
    };
    assert_eq!(asked(&mine.tag), [None, Some("Bearer for-anyone")]);
    assert_eq!(asked(&mine.layer), [Some("Bearer for-anyone"); 2]);
    assert_eq!(asked(token), [None; 2]);
    let others: Vec<_> = seen.iter().filter(|s| !s.path.contains("/me/mine/")).collect();
    assert!(others.iter().all(|s| s.authorization.is_none()), "{others:?}");

    server.always(&mine.tag, Act::Status(401, challenge));
    fails(&mut locked.command("lock"), 1, &[MINE, "gives no such image to anyone who asks"]);
}

/// A registry's password is taken from where container tools keep it, and shown to that registry alone.
#[test]
fn a_registry_that_wants_a_password_gets_that_of_the_usual_files() {
    let (locked, [_, mine]) = carrying();
    let server = &locked.bench.server;
    let challenge = format!("WWW-Authenticate: Bearer realm=\"{}\"\r\n", server.url("/token"));
    server.file("/token", r#"{"token": "for-me"}"#);
    let home = locked.bench.dir.path().join("home");
    std::fs::create_dir_all(home.join(".docker")).unwrap();
    let config = home.join(".docker/config.json");
    let host = server.url("").replace("http://", "");
    let lock = || {
        server.next(&mine.tag, [Act::Status(401, challenge.clone())]);
        let mut command = locked.command("lock");
        let path = format!("{}:{}", home.join("bin").display(), std::env::var("PATH").unwrap());
        command.env("HOME", &home).env("PATH", path);
        command
    };
    let last_token = || server.seen().iter().rev().find(|s| s.path == "/token").and_then(|s| s.authorization.clone());

    // `me:s3cret`, for the owner's images alone.
    std::fs::write(&config, format!(r#"{{"auths":{{"{host}/quay.io/me":{{"auth":"bWU6czNjcmV0"}}}}}}"#)).unwrap();
    let output = succeeds(lock().arg("--json"));
    assert!(!(stdout(&output) + &stderr(&output)).contains("s3cret"), "{}", stderr(&output));
    assert_eq!(last_token().as_deref(), Some("Basic bWU6czNjcmV0"));
    for seen in server.seen().iter().filter(|seen| seen.path != "/token") {
        let is_mine = seen.path.contains("/me/mine/");
        assert!(seen.authorization.as_deref().is_none_or(|a| is_mine && a == "Bearer for-me"), "{seen:?}");
    }

    // A program that keeps it.
    let helper = home.join("bin/docker-credential-test");
    std::fs::create_dir_all(home.join("bin")).unwrap();
    let script = format!(
        "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get {host}' ] && echo '{{\"Username\":\"me\",\"Secret\":\"kept\"}}'\n"
    );
    std::fs::write(&helper, script).unwrap();
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(&config, format!(r#"{{"auths":{{"{host}":{{}}}},"credsStore":"test"}}"#)).unwrap();
    succeeds(&mut lock());
    assert_eq!(last_token().as_deref(), Some("Basic bWU6a2VwdA=="));

    server.always("/token", Act::Status(401, String::new()));
    fails(&mut lock(), 1, &[MINE, "to the login that it was shown", "docker-credential-test", "config.json"]);
    std::fs::write(&config, "{}").unwrap();
    fails(&mut lock(), 1, &[MINE, "gives no such image to anyone who asks", &config.display().to_string()]);
    std::fs::write(&config, "{").unwrap();
    fails(&mut lock(), 2, &[MINE, &config.display().to_string(), "it ends too early"]);
    std::fs::write(&config, r#"{"credsStore":"gone"}"#).unwrap();
    fails(&mut lock(), 1, &[MINE, "docker-credential-gone gives no login", "no such program"]);
}

#[test]
fn a_registry_that_cannot_be_reached_is_told_and_then_missed() {
    let (locked, _) = carrying();
    let lab = locked.dir.join("lab.toml");
    let text = std::fs::read_to_string(&lab).unwrap();
    let (here, dead) = (locked.bench.server.url(""), dead_url(""));
    std::fs::write(&lab, text.replace(&format!("registries = \"{here}\""), &format!("registries = \"{dead}\"")))
        .unwrap();
    let said = stderr(&succeeds(&mut locked.command("lock")));
    assert!(said.contains(&format!("container image {MINE} is not in the lock")), "{said}");
    fails(locked.command("lock").args(["--k3s", "embed"]), 1, &[MINE, "refused"]);
    let (mut command, image) = locked.build("node.img");
    fails(&mut command, 2, &["no container image", "`labimg lock` adds it"]);
    assert!(!image.exists());
}

/// Images of the user's manifests are on the cards too, unless the registry requires a login.
#[test]
fn images_of_the_users_manifests_are_on_the_cards() {
    const APP: &str = "quay.io/me/app:2";
    let (locked, _) = carrying();
    let server = &locked.bench.server;
    push(server, APP, "layer of the app");
    let pod = |name: &str, image: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name} }}\nspec: {{ containers: [{{ name: c, image: \"{image}\" }}] }}\n"
        )
    };
    let manifests = locked.dir.join("manifests");
    std::fs::create_dir_all(&manifests).unwrap();
    std::fs::write(manifests.join("app.yaml"), pod("a", APP) + "---\n" + &pod("b", "quay.io/me/private")).unwrap();
    let said = stderr(&succeeds(&mut locked.command("lock")));
    assert!(said.contains("container image quay.io/me/private:latest is not in the lock"), "{said}");
    let lock = std::fs::read_to_string(&locked.lock).unwrap();
    assert!(lock.contains(&format!("[[container]]\nname = \"{APP}\"")) && !lock.contains("private"), "{lock}");
    let (mut command, image) = locked.build("node.img");
    let said = stderr(&succeeds(&mut command));
    assert!(said.contains("container image quay.io/me/private:latest is not in the image"), "{said}");
    let (_, tar) = exported(&image, &format!("{FOLDER}/labimg-images.tar")).unwrap();
    let index: Value = serde_json::from_slice(&files(&tar)["index.json"]).unwrap();
    assert!(index.to_string().contains(APP), "{index}");

    std::fs::write(manifests.join("app.yaml"), pod("a", "No Name")).unwrap();
    fails(&mut locked.command("lock"), 2, &["app.yaml", "`No Name` is not the name"]);
}
