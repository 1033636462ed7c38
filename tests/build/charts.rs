//! Helm charts in a lock and in the images built from it.

use std::io::Read;
use std::path::Path;

use labimg_tree::hash::Sha256;

use crate::locked::Locked;
use crate::{Bench, fails, stderr, succeeds};
use labimg_testkit::chart;
use labimg_testkit::http_server::{Act, dead_url};

const NAME: &str = "nfs-subdir-external-provisioner";
const VERSION: &str = "4.0.18";
/// Where the project publishes the chart, as a folder.
const FOLDER: &str = "https/kubernetes-sigs.github.io/nfs-subdir-external-provisioner";
/// The same below a mirror.
const REPOSITORY: &str = "/charts/kubernetes-sigs.github.io/nfs-subdir-external-provisioner";
const STATIC: &str = "var/lib/rancher/k3s/server/static/charts";
const MANIFEST: &str = "var/lib/rancher/k3s/server/manifests/nfs-storage.yaml";

/// Adds a mirror of the chart's repository, with an archive and this hash in its index.
pub fn repository(bench: &Bench, archive: &[u8], listed: &Sha256) {
    // As in the project's index: the archive is on another host, with its releases.
    let file = format!("releases.example/{NAME}-{VERSION}.tgz");
    let index = format!(
        "apiVersion: v1\nentries:\n  {NAME}:\n  - apiVersion: v1\n    digest: {listed}\n    name: {NAME}\n    urls:\n    \
         - https://{file}\n    version: {VERSION}\ngenerated: \"2023-01-01T00:00:00Z\"\n"
    );
    bench.server.file(&format!("{REPOSITORY}/index.yaml"), index);
    bench.server.file(&format!("/charts/{file}"), archive);
}

/// The archive of a chart of that name.
pub fn archive() -> Vec<u8> {
    chart::archive(NAME, VERSION)
}

/// A file of an image, through `labimg export`.
pub fn exported(image: &Path, path: &str) -> Option<(u32, Vec<u8>)> {
    let tar = image.with_extension("tar");
    succeeds(crate::labimg().arg("export").arg(image).arg("--tar").arg(&tar));
    let mut archive = tar::Archive::new(std::fs::File::open(&tar).unwrap());
    let mut entry =
        archive.entries().unwrap().map(Result::unwrap).find(|e| e.path().unwrap().as_ref() == Path::new(path))?;
    let mut content = Vec::new();
    entry.read_to_end(&mut content).unwrap();
    Some((entry.header().mode().unwrap(), content))
}

#[test]
fn a_locked_chart_is_in_the_image_and_its_manifest_names_it_there() {
    let locked = Locked::new();
    let text = std::fs::read_to_string(&locked.lock).unwrap();
    let entry = format!(
        "[[chart]]\nname = \"{NAME}\"\nversion = \"{VERSION}\"\n\
         repository = \"https://kubernetes-sigs.github.io/nfs-subdir-external-provisioner\"\nsize = {}\n\
         sha256 = \"{}\"\nurl = \"https://releases.example/{NAME}-{VERSION}.tgz\"\n",
        archive().len(),
        Sha256::of(archive())
    );
    assert!(text.contains(&entry), "{text}");

    // From the store: the repository is only asked when a lock is made.
    locked.bench.server.always(&format!("{REPOSITORY}/index.yaml"), Act::Status(500, String::new()));
    locked
        .bench
        .server
        .always(&format!("/charts/releases.example/{NAME}-{VERSION}.tgz"), Act::Status(500, String::new()));
    let image = locked.bench.dir.path().join("master.img");
    succeeds(locked.command("build").args(["master", "--generic", "--locked", "-o"]).arg(&image));
    assert_eq!(exported(&image, &format!("{STATIC}/{FOLDER}/{NAME}-{VERSION}.tgz")), Some((0o600, archive())));
    let (mode, manifest) = exported(&image, MANIFEST).unwrap();
    let manifest = String::from_utf8(manifest).unwrap();
    let line = format!("  chart: https://%{{KUBERNETES_API}}%/static/charts/{FOLDER}/{NAME}-{VERSION}.tgz\n");
    assert!(mode == 0o600 && manifest.contains(&line), "{manifest}");
    assert!(!manifest.contains("repo:") && !manifest.contains("version:"), "{manifest}");

    // Without the lock the cluster downloads the chart itself.
    let image = locked.bench.dir.path().join("unlocked.img");
    succeeds(locked.command("build").args(["master", "--generic", "-o"]).arg(&image));
    let manifest = String::from_utf8(exported(&image, MANIFEST).unwrap().1).unwrap();
    for line in [format!("  chart: {NAME}\n"), format!("  version: \"{VERSION}\"\n")] {
        assert!(manifest.contains(&line), "{manifest}");
    }
    assert!(exported(&image, STATIC).is_none());
}

/// A manifest that installs a chart.
fn manifest(version: &str) -> String {
    format!(
        "# Notes.\napiVersion: helm.cattle.io/v1\nkind: HelmChart\nmetadata:\n  name: notes\nspec:\n  \
         repo: https://charts.example/stable\n  chart: notes\n  version: {version}\n  valuesContent: |-\n    version: 7\n"
    )
}

#[test]
fn charts_of_the_lab_folder_s_own_manifests_are_locked_too() {
    let locked = Locked::new();
    let manifests = locked.dir.join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    std::fs::write(manifests.join("notes.yaml"), manifest("1.2.3")).unwrap();
    std::fs::write(manifests.join("any.yaml"), manifest("'>=1'").replace("name: notes", "name: any")).unwrap();
    // Without a hash, like many small repositories.
    let index = "entries:\n  notes:\n  - urls: [notes-1.2.3.tgz]\n    version: 1.2.3\n";
    locked.bench.server.file("/charts/charts.example/stable/index.yaml", index);
    locked.bench.server.file("/charts/charts.example/stable/notes-1.2.3.tgz", chart::archive("notes", "1.2.3"));
    // In a network that this computer cannot reach.
    std::fs::write(manifests.join("far.yaml"), manifest("1.2.3").replace("charts.example", "far.example")).unwrap();
    let said = stderr(&succeeds(&mut locked.command("lock")));
    assert!(said.contains("chart notes 1.2.3 is not in the lock"), "{said}");
    assert!(said.contains("manifests/any.yaml:2: it names no single version"), "{said}");
    let text = std::fs::read_to_string(&locked.lock).unwrap();
    let entry = format!(
        "[[chart]]\nname = \"notes\"\nversion = \"1.2.3\"\nrepository = \"https://charts.example/stable\"\nsize = {}\n\
         sha256 = \"{}\"\nurl = \"https://charts.example/stable/notes-1.2.3.tgz\"\n",
        chart::archive("notes", "1.2.3").len(),
        Sha256::of(chart::archive("notes", "1.2.3"))
    );
    assert!(text.contains(&entry), "{text}");

    let image = locked.bench.dir.path().join("own-charts.img");
    let build = || {
        let mut command = locked.command("build");
        command.args(["master", "--generic", "--locked", "-o"]).arg(&image);
        command
    };
    let said = stderr(&succeeds(&mut build()));
    assert!(said.contains("chart notes 1.2.3 is not in the image"), "{said}");
    let file = "https/charts.example/stable/notes-1.2.3.tgz";
    assert_eq!(exported(&image, &format!("{STATIC}/{file}")), Some((0o600, chart::archive("notes", "1.2.3"))));
    let folder = "var/lib/rancher/k3s/server/manifests";
    let (_, there) = exported(&image, &format!("{folder}/notes.yaml")).unwrap();
    let expected = manifest("\"\"").replace("https://charts.example/stable", "\"\"");
    let expected =
        expected.replace("chart: notes", &format!("chart: \"https://%{{KUBERNETES_API}}%/static/charts/{file}\""));
    assert_eq!(String::from_utf8(there).unwrap(), expected);
    for name in ["any.yaml", "far.yaml"] {
        let (_, there) = exported(&image, &format!("{folder}/{name}")).unwrap();
        assert_eq!(there, std::fs::read(manifests.join(name)).unwrap());
    }

    // A version other than the locked one.
    std::fs::write(manifests.join("notes.yaml"), manifest("1.2.4")).unwrap();
    fails(&mut build(), 2, &["notes 1.2.4", "`labimg lock` adds it"]);
}

#[test]
fn a_repository_that_cannot_be_reached_is_told_and_then_missed() {
    let locked = Locked::new();
    let lab = locked.dir.join("lab.toml");
    let text = std::fs::read_to_string(&lab).unwrap();
    std::fs::write(&lab, text.replace(&locked.bench.server.url("/charts"), &dead_url("/charts"))).unwrap();
    let said = stderr(&succeeds(&mut locked.command("lock")));
    assert!(said.contains(&format!("chart {NAME} {VERSION} is not in the lock")), "{said}");
    fails(locked.command("lock").args(["--k3s", "embed"]), 1, &[NAME, "refused"]);

    let (mut command, image) = locked.build_of("master", "master.img", &dead_url(""));
    fails(&mut command, 2, &[&format!("no chart {NAME} {VERSION}"), "`labimg lock` adds it"]);
    assert!(!image.exists());
}
