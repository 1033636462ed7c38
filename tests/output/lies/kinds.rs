//! What only one kind of server can do wrong.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use sequoia_openpgp::cert::CertBuilder;
use serde_json::{Value, json};

use super::{Asks, CHART, HTML, INDEX, PACKAGES, PROGRAM, RELEASE, Row, SUDO, SUMS, TAG, World, digest, index_of};
use crate::archive::{hex, sign};
use labimg_testkit::chart;
use labimg_testkit::http_server::Act;

const IMAGES: &str = "/k3s/v1.99.9%2Bk3s1/k3s-airgap-images-arm64.tar.zst";

/// A row with one file instead of each of these.
fn row<'a>(what: &str, path: &'a str, asks: Asks, files: Vec<(&'a str, Vec<u8>)>, says: &[&str]) -> Row<'a> {
    let acts = files.into_iter().map(|(path, bytes)| (path, Act::Instead(bytes))).collect();
    let says = says.iter().map(|words| (*words).to_owned()).collect();
    Row { what: what.to_owned(), path, asks, acts, code: 1, says, after: false }
}

/// The text of the signed release file.
fn release(world: &World) -> String {
    let signed = String::from_utf8(world.content(RELEASE)).unwrap();
    let text = signed.split_once("\n\n").unwrap().1.split_once("-----BEGIN PGP SIGNATURE").unwrap().0;
    text.to_owned()
}

pub(super) fn debian_mirrors(world: &World) -> Vec<Row<'_>> {
    let key = &world.session.archive.as_ref().unwrap().key;
    let text = release(world);
    let signed =
        |what, text: &str, says: &[&str]| row(what, RELEASE, Asks::Lock, vec![(RELEASE, sign(text, key))], says);
    let with = |what, from: &str, to: &str, says: &[&str]| {
        assert!(text.contains(from), "{from}");
        signed(what, &text.replace(from, to), says)
    };
    let unsigned = |what, bytes: Vec<u8>, says: &[&str]| row(what, RELEASE, Asks::Lock, vec![(RELEASE, bytes)], says);
    let (date, stranger) = ("Date: Sat, 14 Nov 2026 10:00:00 UTC\n", CertBuilder::new().add_signing_subkey());
    let stranger = stranger.set_creation_time(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_000));
    let changed = String::from_utf8(world.content(RELEASE)).unwrap().replace("Suite: stable", "Suite: stabler");
    vec![
        unsigned("no signature", text.clone().into_bytes(), &["is not trusted", "--keyring"]),
        unsigned(
            "another's signature",
            sign(&text, &stranger.generate().unwrap().0),
            &["is not trusted", "is not known"],
        ),
        unsigned("changed after it was signed", changed.into_bytes(), &["is not trusted", "does not fit the text"]),
        with("another suite", "Codename: trixie", "Codename: forky", &["not of `trixie`"]),
        with(
            "expired",
            date,
            &format!("{date}Valid-Until: Sun, 15 Nov 2026 10:00:00 UTC\n"),
            &["it expired on 2026-11-15"],
        ),
        with("from the future", "Sat, 14 Nov 2026", "Tue, 14 Nov 2090", &["it was made on 2090-11-14"]),
        with("without a date", date, "", &["it has no `Date` field"]),
        with("with a date that is none", date, "Date: yesterday\n", &["its field `Date` has `yesterday`"]),
        with("without hashes", "SHA256:", "MD5Sum:", &["it has no `SHA256` field"]),
        with("without indexes", "main/", "other/", &["lists no `main/binary-arm64/Packages.xz`"]),
        with("a path that leads away", " main/binary-arm64/", " ../../main/", &["not a digest, a size and a path"]),
        Row {
            after: true,
            ..with("an old one again", "Sat, 14 Nov", "Sat, 7 Nov", &["it is of 2026-11-07 10:00:00 UTC, older"])
        },
    ]
}

/// With an index that is signed as it should be, and wrong in itself.
pub(super) fn debian_indexes(world: &World) -> Vec<Row<'_>> {
    vec![
        index(
            world,
            "a hash of no file",
            Asks::Build,
            SUDO,
            &|text| {
                let hash = stanza(text, "sudo").split_once("SHA256: ").unwrap().1.trim_end().to_owned();
                text.replace(&hash, &hash.chars().rev().collect::<String>())
            },
            &["SHA-256 is"],
        ),
        index(
            world,
            "another package under its name",
            Asks::Build,
            "",
            &|text| {
                let file = |name: &str| stanza(text, name).split_once("Filename: ").unwrap().1.to_owned();
                text.replace(&file("sudo"), &file("less"))
            },
            &["package sudo: `Package: less` where the lock says `sudo`"],
        ),
        index(
            world,
            "a path that leads away",
            Asks::Lock,
            PACKAGES,
            &|text| text.replace("pool/sudo", "pool/../../sudo"),
            &["package `sudo`"],
        ),
        index(
            world,
            "an address as a path",
            Asks::Lock,
            PACKAGES,
            &|text| text.replace("pool/sudo", "http://elsewhere.example/sudo"),
            &["package `sudo`"],
        ),
        index(
            world,
            "no size",
            Asks::Lock,
            PACKAGES,
            &|text| text.replacen("Size: ", "Size: -", 1),
            &["has Size `-3312`"],
        ),
        index(
            world,
            "a size beyond measure",
            Asks::Build,
            "",
            &|text| {
                let size =
                    stanza(text, "sudo").split_once("\nSize: ").unwrap().1.split_once('\n').unwrap().0.to_owned();
                text.replace(
                    &stanza(text, "sudo"),
                    &stanza(text, "sudo").replace(&format!("Size: {size}"), &format!("Size: {}", u64::MAX)),
                )
            },
            &["no room"],
        ),
        index(world, "no list of packages", Asks::Lock, PACKAGES, &|_| "<html>Log in</html>\n".to_owned(), &["line 1"]),
        packed_index(
            world,
            "more than announced",
            &|text| xz(&(text.to_owned() + &"\n".repeat(100 << 20))),
            &["cannot be unpacked"],
        ),
        packed_index(world, "no xz file", &|_| HTML.to_vec(), &["cannot be unpacked"]),
        packed_index(world, "half", &|text| xz(text)[..200].to_vec(), &["cannot be unpacked"]),
    ]
}

/// The stanza of a package.
fn stanza(packages: &str, name: &str) -> String {
    let stanzas = packages.split_inclusive("\n\n");
    stanzas.into_iter().find(|s| s.starts_with(&format!("Package: {name}\n"))).unwrap().to_owned()
}

fn xz(text: &str) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn packages(world: &World) -> String {
    let mut text = String::new();
    liblzma::read::XzDecoder::new(world.content(PACKAGES).as_slice()).read_to_string(&mut text).unwrap();
    text
}

/// A row with another index of packages, signed as it should be.
fn index<'a>(
    world: &World,
    what: &str,
    asks: Asks,
    path: &'a str,
    edit: &dyn Fn(&str) -> String,
    says: &[&str],
) -> Row<'a> {
    let (old, text) = (packages(world), edit(&packages(world)));
    assert_ne!(old, text, "{what}");
    let packed = xz(&text);
    let release = release(world)
        .replace(&line(old.as_bytes(), "Packages"), &line(text.as_bytes(), "Packages"))
        .replace(&line(&world.content(PACKAGES), "Packages.xz"), &line(&packed, "Packages.xz"));
    let key = &world.session.archive.as_ref().unwrap().key;
    row(what, path, asks, vec![(RELEASE, sign(&release, key)), (PACKAGES, packed)], says)
}

/// A row with another file as index, signed as if it were the right one.
fn packed_index<'a>(world: &World, what: &str, pack: &dyn Fn(&str) -> Vec<u8>, says: &[&str]) -> Row<'a> {
    let packed = pack(&packages(world));
    let release = release(world).replace(&line(&world.content(PACKAGES), "Packages.xz"), &line(&packed, "Packages.xz"));
    let key = &world.session.archive.as_ref().unwrap().key;
    row(what, PACKAGES, Asks::Lock, vec![(RELEASE, sign(&release, key)), (PACKAGES, packed)], says)
}

/// What a release says of a file of `main`.
fn line(bytes: &[u8], name: &str) -> String {
    format!(" {} {} main/binary-arm64/{name}\n", hex(bytes), bytes.len())
}

pub(super) fn releases_of_k3s(world: &World) -> Vec<Row<'_>> {
    let sums = String::from_utf8(world.content(SUMS)).unwrap();
    let (program, images) = (world.content(PROGRAM), world.content(IMAGES));
    let told = |what, text: String, says: &[&str]| row(what, SUMS, Asks::Lock, vec![(SUMS, text.into_bytes())], says);
    // A file that is wrong, and whose hash is right.
    let named = |what, path, old: &[u8], new: &[u8], says: &[&str]| {
        let sums = sums.replace(&hex(old), &hex(new)).into_bytes();
        row(what, path, Asks::Build, vec![(SUMS, sums), (path, new.to_vec())], says)
    };
    let mut of_amd64 = program.clone();
    of_amd64[18] = 0x3e;
    vec![
        told("no line for the program", sums.replace("k3s-arm64", "k3s-riscv"), &["it has no line for k3s-arm64"]),
        told(
            "two hashes",
            format!("{}{}  k3s-arm64\n", sums, "0".repeat(64)),
            &["two different checksums for k3s-arm64"],
        ),
        told("a hash that is none", sums.replace(&hex(&program), "0123"), &["line 2: `0123` is not a SHA-256"]),
        row(
            "a hash of another file",
            PROGRAM,
            Asks::Build,
            vec![(SUMS, sums.replace(&hex(&program), &hex(HTML)).into())],
            &["SHA-256 is"],
        ),
        named("an empty program", PROGRAM, &program, b"", &["empty"]),
        named("a page as program", PROGRAM, &program, HTML, &["neither a Linux program"]),
        named("a program for other processors", PROGRAM, &program, &of_amd64, &["amd64"]),
        named("no archive of images", IMAGES, &images, HTML, &["not"]),
        named("an empty archive of images", IMAGES, &images, b"", &["no archive"]),
    ]
}

pub(super) fn registries(world: &World) -> Vec<Row<'_>> {
    let manifest_path =
        world.places.iter().map(|place| place.path.as_str()).find(|path| path.contains("manifests/sha256:"));
    let manifest_path = manifest_path.unwrap();
    let manifest = world.content(manifest_path);
    let parsed: Value = serde_json::from_slice(&manifest).unwrap();
    let told = |what, text: String, says: &[&str]| row(what, TAG, Asks::Lock, vec![(TAG, text.into_bytes())], says);
    let with = |what, edit: &dyn Fn(&mut Value), says: &[&str]| {
        let mut manifest = parsed.clone();
        edit(&mut manifest);
        told(what, manifest.to_string(), says)
    };
    let layer = format!("/v2/quay.io/me/mine/blobs/{}", parsed["layers"][0]["digest"].as_str().unwrap());
    let layer: &str = layer.leak();
    let sized = |what, size: u64| {
        let mut manifest = parsed.clone();
        manifest["layers"][0]["size"] = size.into();
        row(what, layer, Asks::Build, vec![(TAG, manifest.to_string().into_bytes())], &["expected"])
    };
    let config = |architecture: &str| json!({ "os": "linux", "architecture": architecture }).to_string();
    let other_config = config("amd64");
    let other_path: &str = format!("/v2/quay.io/me/mine/blobs/{}", digest(other_config.as_bytes())).leak();
    let mut of_amd64 = parsed.clone();
    of_amd64["config"] = json!({ "digest": digest(other_config.as_bytes()), "size": other_config.len() });
    let inner = index_of("arm64", &manifest);
    let inner_path: &str = format!("/v2/quay.io/me/mine/manifests/{}", digest(inner.as_bytes())).leak();
    vec![
        row(
            "another manifest than asked for",
            manifest_path,
            Asks::Lock,
            vec![(manifest_path, manifest.to_ascii_uppercase())],
            &["another SHA-256"],
        ),
        told(
            "an index without the architecture",
            index_of("amd64", &manifest),
            &["not for linux/arm64, but for linux/amd64"],
        ),
        told("an index of nothing", json!({ "schemaVersion": 2, "manifests": [] }).to_string(), &["but for nothing"]),
        row(
            "an index in an index",
            inner_path,
            Asks::Lock,
            vec![(TAG, index_of("arm64", inner.as_bytes()).into()), (inner_path, inner.clone().into())],
            &["it is an index"],
        ),
        with("an old format", &|m| m["schemaVersion"] = 1.into(), &["schema version 1"]),
        with(
            "another kind of digest",
            &|m| m["config"]["digest"] = "sha512:00".into(),
            &["`sha512:00` is not a SHA-256"],
        ),
        with(
            "a digest that leads away",
            &|m| m["config"]["digest"] = "sha256:../../x".into(),
            &["`sha256:../../x` is not a SHA-256"],
        ),
        with("a layer beyond measure", &|m| m["layers"][0]["size"] = (1_u64 << 60).into(), &["a part of"]),
        with(
            "thousands of layers",
            &|m| m["layers"] = vec![m["layers"][0].clone(); 5000].into(),
            &["it has 5000 layers"],
        ),
        told("brackets without end", "[".repeat(100_000), &["does not describe an image"]),
        sized("a layer larger than it is", 1 << 20),
        sized("a layer smaller than it is", 3),
        row(
            "a configuration for other processors",
            other_path,
            Asks::Lock,
            vec![(TAG, of_amd64.to_string().into_bytes()), (other_path, other_config.clone().into())],
            &["not for linux/arm64, but for linux/amd64"],
        ),
        Row {
            acts: vec![(TAG, Act::Status(401, String::new()))],
            ..told("a login", String::new(), &["gives no such image to anyone who asks"])
        },
    ]
}

pub(super) fn repositories_of_charts(world: &World) -> Vec<Row<'_>> {
    let (name, version) = ("nfs-subdir-external-provisioner", "4.0.18");
    let (index, archive) = (String::from_utf8(world.content(INDEX)).unwrap(), world.content(CHART));
    let told = |what, text: String, says: &[&str]| row(what, INDEX, Asks::Lock, vec![(INDEX, text.into_bytes())], says);
    let with = |what, from: &str, to: &str, says: &[&str]| {
        assert!(index.contains(from), "{from}");
        told(what, index.replace(from, to), says)
    };
    // An archive that is wrong, and whose hash is right.
    let listed = |what, new: Vec<u8>, says: &[&str]| {
        let index = index.replace(&hex(&archive), &hex(&new)).into_bytes();
        row(what, CHART, Asks::Lock, vec![(INDEX, index), (CHART, new)], says)
    };
    let head = format!("name: {name}\nversion: {version}\n");
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &('b'..='j')
            .map(|c| format!("{c}: &{c} [{}]\n", format!("*{}, ", (c as u8 - 1) as char).repeat(10)))
            .collect::<String>();
    vec![
        told("aliases of aliases", bomb + &index, &["is not an index of a chart repository"]),
        told("a field twice", index.clone() + "entries: {}\n", &["is not an index of a chart repository"]),
        told("two documents", index.clone() + "---\n" + &index, &["it has 2 documents"]),
        told("brackets without end", "[".repeat(100_000), &["is not an index of a chart repository"]),
        told("no charts", "entries: {}\n".into(), &["it has no chart of this name"]),
        with(
            "another version",
            &format!("version: {version}"),
            "version: 4.0.19",
            &["no such version of it; the newest ones: 4.0.19"],
        ),
        with("a hash that is none", &hex(&archive), "abc", &["no valid SHA-256"]),
        with("no address", "    urls:\n    - ", "    urls: []\n    at: ", &["no address"]),
        with("a file of this computer", "https://releases.example/", "file:///etc/", &["no address by http or https"]),
        told(
            "an address without TLS or hash",
            index.replace("    digest:", "    x:").replace("https://releases", "http://releases"),
            &["no SHA-256, and an address without TLS"],
        ),
        row(
            "another hash",
            CHART,
            Asks::Lock,
            vec![(INDEX, index.replace(&hex(&archive), &"0".repeat(64)).into())],
            &["has the SHA-256", &hex(&archive)],
        ),
        listed("no archive", HTML.to_vec(), &["it is not a gzipped archive"]),
        listed("nothing", Vec::new(), &["it is empty"]),
        listed("half", archive[..archive.len() / 2].to_vec(), &["it is damaged or cut off"]),
        listed("another chart", chart::archive("other", version), &["it is chart other 4.0.18"]),
        listed("another version of it", chart::archive(name, "4.0.17"), &["4.0.17"]),
        listed(
            "a link that leads out",
            tar(&head, Some(("x/y", "../../../etc/passwd"))),
            &["`../../../etc/passwd` in it leads out of it"],
        ),
        listed(
            "a link to anywhere",
            tar(&head, Some(("x/y", "/etc/passwd"))),
            &["`/etc/passwd` in it leads out of it"],
        ),
        listed("no head", tar("", None), &["Chart.yaml"]),
        listed("zeros without end", zeros(), &["it unpacks to more than 100 MiB"]),
    ]
}

/// The archive of a chart with this head, and a link.
fn tar(head: &str, link: Option<(&str, &str)>) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(head.len() as u64);
    tar.append_data(&mut header, "x/Chart.yaml", head.as_bytes()).unwrap();
    if let Some((path, target)) = link {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, path, target).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn zeros() -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::copy(&mut std::io::repeat(0).take(101 << 20), &mut packed).unwrap();
    packed.finish().unwrap()
}
