//! Tests of the files that the layer adds to the tree.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::lab::{Lab, LabNode, StackComponent};
use crate::parts::Parts;
use crate::plan::target::lone_lab;
use crate::stack::Stack;
use crate::wording::one_line;
use labimg_tree::{Kind, TreePath};

fn lab() -> Lab {
    let node = |name: &str, role: &str| LabNode {
        name: name.to_owned(),
        role: role.to_owned(),
        board: "rpi4".to_owned(),
        ..LabNode::default()
    };
    Lab {
        name: "home".to_owned(),
        domain: "lab.example".to_owned(),
        nodes: vec![node("ada", "master"), node("bob", "worker")],
        ..Lab::default()
    }
}

/// The manifests for a lab, by default that of a node alone, with charts in the image.
fn applied_with(lab: Option<&Lab>, dir: Option<&Path>, charts: &[(ChartRef, Content)]) -> Result<Tree, String> {
    let parts = dir.map_or_else(Parts::built_in, Parts::of).map_err(|e| one_line(&e))?;
    let alone = lone_lab("pi", "master", "rpi4");
    let lab = lab.unwrap_or(&alone);
    let stack = Stack::of(lab, parts.components()).unwrap();
    let mut tree = Tree::new(7);
    serve(&mut tree, charts).unwrap();
    let cluster = Cluster { lab, stack: &stack, k3s: "v1.36.5+k3s1", charts };
    apply(&mut tree, &cluster, parts.manifests()).map_err(|e| one_line(&e))?;
    Ok(tree)
}

fn applied(lab: Option<&Lab>, dir: Option<&Path>) -> Result<Tree, String> {
    applied_with(lab, dir, &[])
}

fn text(tree: &Tree, name: &str) -> String {
    tree.read_text(format!("{FOLDER}/{name}")).unwrap()
}

/// Name → text of a lab folder's manifests.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    labimg_testkit::folder(&files.iter().map(|(name, text)| (format!("manifests/{name}"), *text)).collect::<Vec<_>>())
}

const GOOD: &str = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: x\n";

/// Replaces labimg's version, which would change the snapshot with each release.
fn settled(text: &str) -> String {
    text.replace(&format!("labimg: \"{}\"", env!("CARGO_PKG_VERSION")), "labimg: \"VERSION\"")
}

#[test]
fn a_lab_gets_our_manifests() {
    let tree = applied(Some(&lab()), None).unwrap();
    insta::assert_snapshot!("lab", settled(&text(&tree, "lab.yaml")));
    insta::assert_snapshot!("nfs_storage", text(&tree, "nfs-storage.yaml"));
}

#[test]
fn without_a_lab_the_defaults_hold() {
    let tree = applied(None, None).unwrap();
    insta::assert_snapshot!("standalone", settled(&text(&tree, "lab.yaml")));
    assert!(text(&tree, "nfs-storage.yaml").contains("server: pi.local\n"));
}

#[test]
fn charts_in_the_image_are_named_there() {
    let chart = Stack::of(&lab(), Parts::built_in().unwrap().components()).unwrap().charts().pop().unwrap();
    let files = [(chart.clone(), Content::from("chart"))];
    let tree = applied_with(None, None, &files).unwrap();
    let path = format!("var/lib/rancher/k3s/server/static/charts/{}", chart.file());
    assert_eq!(tree.read_text(&path).unwrap(), "chart");
    for folder in ["", "/static", "/static/charts", "/static/charts/https/kubernetes-sigs.github.io", "/manifests"] {
        let inode = tree.get(TreePath::new(format!("var/lib/rancher/k3s/server{folder}")).unwrap()).unwrap();
        assert_eq!(inode.mode, 0o700, "{folder}");
    }
    let manifest = text(&tree, "nfs-storage.yaml");
    let spec = manifest.split("spec:\n").nth(1).unwrap().lines().next().unwrap();
    assert_eq!(spec, format!("  chart: https://%{{KUBERNETES_API}}%/static/charts/{}", chart.file()));
    assert!(!manifest.contains("repo:"), "{manifest}");

    // A version other than the manifest's is not used.
    let other = [(ChartRef { version: "0.1".to_owned(), ..chart }, Content::from("chart"))];
    let tree = applied_with(None, None, &other).unwrap();
    assert!(text(&tree, "nfs-storage.yaml").contains("repo: https://"));
}

#[test]
fn without_storage_there_is_no_class_for_it() {
    let mut lab = lab();
    lab.storage.enabled = false;
    let tree = applied(Some(&lab), None).unwrap();
    assert!(tree.contains(format!("{FOLDER}/lab.yaml")) && !tree.contains(format!("{FOLDER}/nfs-storage.yaml")));
}

#[test]
fn only_root_reads_them_and_the_time_is_not_zero() {
    let dir = folder(&[("app.yaml", GOOD)]);
    let tree = applied(None, Some(dir.path())).unwrap();
    let mut files = 0;
    for (path, _, inode) in tree.below(&labimg_tree::TreePath::new(FOLDER).unwrap()) {
        assert!(matches!(inode.kind, Kind::File(_)), "{path}");
        assert_eq!((inode.mode, inode.uid, inode.gid, inode.mtime), (0o600, 0, 0, 7), "{path}");
        assert_eq!(tree.layer_name(inode.layer), "manifests");
        files += 1;
    }
    assert_eq!(files, 4);
    assert_eq!(tree.get(FOLDER).unwrap().mode, 0o700);
    assert_eq!(tree.get("var/lib/rancher/k3s/server").unwrap().mode, 0o700);
}

#[test]
fn files_of_the_lab_are_added_and_replace_ours() {
    let dir = folder(&[("app.yaml", GOOD), ("lab.yaml", GOOD), ("nfs-storage.yaml.skip", ""), ("README.md", "# mine")]);
    let tree = applied(Some(&lab()), Some(dir.path())).unwrap();
    assert_eq!(text(&tree, "app.yaml"), GOOD);
    assert_eq!(text(&tree, "lab.yaml"), GOOD);
    assert_eq!(text(&tree, "nfs-storage.yaml.skip"), "");
    assert!(tree.contains(format!("{FOLDER}/nfs-storage.yaml")));
    assert!(!tree.contains(format!("{FOLDER}/README.md")));
}

#[test]
fn a_lab_without_the_folder_is_fine() {
    let dir = tempfile::tempdir().unwrap();
    assert!(applied(Some(&lab()), Some(dir.path())).is_ok());
}

#[test]
fn mistakes_are_named_with_file_and_line() {
    for (name, content, needle) in [
        ("app.yaml", "apiVersion: v1\nkind: Pod\n", "manifests/app.yaml:1: this Pod has no metadata.name"),
        ("app.yaml", "a: 1\nb: [\n", "manifests/app.yaml:"),
        ("App.yaml", GOOD, "manifests/App.yaml: k3s makes an object of this name"),
        ("lab.yml", GOOD, "the same as lab.yaml"),
        ("nfs-storage.json", GOOD, "the same as nfs-storage.yaml"),
        ("notes.txt", "", "end in .yaml"),
        ("labimg-secrets.json", GOOD, "the master's seed writes"),
    ] {
        let dir = folder(&[(name, content)]);
        let error = applied(None, Some(dir.path())).unwrap_err();
        assert!(error.contains(needle), "{name}: {error}");
    }
}

#[test]
fn what_is_no_text_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("manifests")).unwrap();
    let manifests = dir.path().join("manifests");
    std::fs::create_dir(manifests.join("sub")).unwrap();
    let error = applied(None, Some(dir.path())).unwrap_err();
    assert!(error.contains("component.toml:1: it is missing"), "{error}");
    std::fs::remove_dir(manifests.join("sub")).unwrap();
    std::fs::write(manifests.join("a.yaml"), b"a: 1\nb: \xff\n").unwrap();
    let error = applied(None, Some(dir.path())).unwrap_err();
    assert!(error.ends_with("a.yaml:2: not UTF-8 (save it as UTF-8 text)"), "{error}");
    std::fs::remove_file(manifests.join("a.yaml")).unwrap();
    symlink("nowhere", manifests.join("b.yaml")).unwrap();
    let error = applied(None, Some(dir.path())).unwrap_err();
    assert!(error.contains("cannot read") && error.contains("b.yaml"), "{error}");
}

#[test]
fn secrets_in_an_image_are_told() {
    let secret = format!("{GOOD}---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n");
    let dir = folder(&[("app.yaml", GOOD), ("keys.yaml", &secret)]);
    let parts = Parts::of(dir.path()).unwrap();
    assert_eq!(parts.manifests().secret(), [dir.path().join("manifests/keys.yaml")]);
}

#[test]
fn components_that_contradict_each_other_are_named() {
    let front = |label: &str| format!("title = \"x\"\n[namespaces.n]\nlabels = {{ x = \"{label}\" }}\n");
    let applied = |second: &str| {
        let dir = folder(&[("one/component.toml", &front("a")), ("two/component.toml", &front(second))]);
        let mut lab = lab();
        for name in ["one", "two"] {
            let on = StackComponent { enabled: Some(true), ..StackComponent::default() };
            lab.stack.components.insert(name.to_owned(), on);
        }
        applied(Some(&lab), Some(dir.path()))
    };
    assert!(text(&applied("a").unwrap(), "labimg-namespaces.yaml").contains("x: a\n"));
    let error = applied("b").unwrap_err();
    assert!(error.contains("component two: `x` of namespace n is `b` here"), "{error}");
}
