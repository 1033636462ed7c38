//! `labimg new` and `labimg check` as a user runs them. Needs neither a mirror nor another program.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod hints;
mod realm;

mod stack;

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home";

/// `labimg` run in this folder, which is also the user's home.
fn labimg(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labimg"));
    command.current_dir(folder).env("HOME", folder).env_remove("NO_COLOR").args(args);
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A home with an SSH key.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".ssh")).unwrap();
    std::fs::write(home.path().join(".ssh/id_ed25519.pub"), KEY).unwrap();
    home
}

#[test]
fn every_bad_file_is_explained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/bad");
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        let output = labimg(&folder, &["check", &name]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert_eq!(stdout(&output), "", "{name}");
        insta::assert_snapshot!(name.strip_suffix(".toml").unwrap(), stderr(&output));
    }
}

#[test]
fn mistakes_as_json() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/bad");
    let output = labimg(&folder, &["check", "--json", "two-masters.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output), "");
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((error["event"].as_str(), error["code"].as_u64()), (Some("error"), Some(2)));
    let problem = &error["problems"][0];
    assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(11), Some(8)), "{error}");
    assert!(problem["message"].as_str().unwrap().contains("only one master"), "{error}");
    assert!(problem["help"].as_str().unwrap().contains("`server`"), "{error}");
}

#[test]
fn a_good_file_lists_its_nodes() {
    let home = home();
    let text = "name = \"home\"\nssh_keys = [\"~/.ssh/id_ed25519.pub\"]\nnodes = [\n\
        { name = \"master\", role = \"master\", board = \"rpi4\", address = \"10.0.0.2/24\", gateway = \"10.0.0.1\" },\n\
        { name = \"server-1\", role = \"server\", board = \"rpi5\" },\n]\n";
    std::fs::write(home.path().join("lab.toml"), text).unwrap();
    let output = labimg(home.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    insta::assert_snapshot!("good", stdout(&output));
    insta::assert_snapshot!("warning", stderr(&output));
    let output = labimg(home.path(), &["check", "lab.toml", "--json"]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["nodes"][0]["address"], "10.0.0.2/24");
    assert_eq!(summary["warnings"][0]["line"], 5, "{summary}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_new_lab_is_good_as_it_is() {
    let home = home();
    let output = labimg(home.path(), &["new", "My Lab"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    insta::assert_snapshot!("new", stdout(&output));
    let lab = home.path().join("My Lab");
    insta::assert_snapshot!("template", std::fs::read_to_string(lab.join("lab.toml")).unwrap());
    assert_eq!(std::fs::read_to_string(lab.join(".gitignore")).unwrap(), "secrets/\nkubeconfig\n*.img\n*.img.json\n");
    let output = labimg(&lab, &["check"]);
    // The folder is the home here: the key is not in it.
    assert!(stderr(&output).contains("there is no key file"), "{}", stderr(&output));
    let output = labimg(home.path(), &["check", "My Lab"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert!(stdout(&output).contains("worker-2  worker  rpi4   DHCP"), "{}", stdout(&output));

    let before = std::fs::read_to_string(lab.join("lab.toml")).unwrap();
    let output = labimg(home.path(), &["new", "My Lab", "--board", "rpi5"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("left as it is"), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(lab.join("lab.toml")).unwrap(), before);
}

#[test]
fn a_new_lab_is_what_was_asked_for() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".gitignore"), "*.img\nnotes").unwrap();
    let args = ["new", ".", "--name", "attic", "--board", "zero2w", "--workers", "1", "--json"];
    let output = labimg(home.path(), &args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((made["name"].as_str(), made["ssh_key"].as_str()), (Some("attic"), None));
    let ignored = std::fs::read_to_string(home.path().join(".gitignore")).unwrap();
    assert_eq!(ignored, "*.img\nnotes\nsecrets/\nkubeconfig\n*.img.json\n");
    let output = labimg(home.path(), &["check"]);
    assert_eq!(output.status.code(), Some(0));
    for warning in ["nobody can log in", "Wi-Fi only", "little memory"] {
        assert!(stderr(&output).contains(warning), "{warning}: {}", stderr(&output));
    }
}

#[test]
fn the_schema_is_the_published_one() {
    let output = labimg(Path::new("/"), &["check", "--schema"]);
    assert!(stdout(&output) == include_str!("../../lab.schema.json"), "`labimg check --schema > lab.schema.json`");
}

/// Runs `check` on a lab with a component of its own, whose files these are.
fn check_with_component(lab: &str, files: &[(&str, &str)]) -> (Option<i32>, String) {
    let home = home();
    let folder = home.path().join("manifests/own");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let lab = format!(
        "name = 'x'\nssh_keys = ['.ssh/id_ed25519.pub']\n{lab}\n[[nodes]]\nname = 'm'\nrole = 'master'\nboard = 'rpi4'\n"
    );
    std::fs::write(home.path().join("lab.toml"), lab).unwrap();
    let output = labimg(home.path(), &["check"]);
    (output.status.code(), stderr(&output))
}

#[test]
fn mistakes_in_components_are_found_before_a_build() {
    const FRONT: &str = "title = 'x'\n";
    const CHART: &str = "title = 'x'\n[chart]\nname = 'x'\nversion = '1.0.0'\nrepository = 'https://charts.example'\n";
    const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n";
    let on = "[stack.components.own]\nenabled = true\n";
    for (front, file, text, said) in [
        (FRONT, "a.yaml", "# a\nkind: {{ nosuch }}\n", "own/a.yaml:2"),
        (FRONT, "a.yaml", "a: [\n", "line 1: not valid YAML"),
        (FRONT, "a.yaml", "a: {{ domain\n", "own/a.yaml:1"),
        (CHART, "values.yaml", "- a\n", "one set of fields"),
        (CHART, "values.yaml", "text\n", "one set of fields"),
        (CHART, "values.yaml", "a: 1\n---\nb: 2\n", "one set of fields"),
        (CHART, "values.yaml", "a: {{ nosuch }}\n", "own/values.yaml:1"),
        ("title = 'x'\nneeds = ['nosuch']\n", "a.yaml", OBJECT, "component.toml:2: there is no component `nosuch`"),
    ] {
        let (code, text) = check_with_component(on, &[("component.toml", front), (file, text)]);
        assert!(code == Some(2) && text.contains(said), "{said}: {code:?}\n{text}");
    }
    // Without [stack], too.
    let always = "title = 'x'\nprofiles = ['always']\n";
    let (code, text) = check_with_component("", &[("component.toml", always), ("a.yaml", "a: {{ nosuch }}\n")]);
    assert!(code == Some(2) && text.contains("own/a.yaml:1"), "{code:?}\n{text}");
    let (code, text) = check_with_component(on, &[("component.toml", CHART), ("values.yaml", ""), ("a.yaml", OBJECT)]);
    assert_eq!(code, Some(0), "{text}");
    // Sums of numbers this large do not begin anew.
    let much = "title = 'x'\nmemory = { requests = 4294967295, limits = 4294967295 }\n";
    let (code, text) = check_with_component(on, &[("component.toml", much), ("a.yaml", OBJECT)]);
    assert!(code == Some(2) && text.contains("the stack reserves 4294967295 MiB"), "{code:?}\n{text}");
}

#[test]
fn values_are_not_read_from_what_never_ends() {
    let lab = "[stack.components.nfs-storage]\nvalues_file = '/dev/zero'\n";
    let (code, text) = check_with_component(lab, &[("component.toml", "title = 'x'\n")]);
    assert!(code == Some(2) && text.contains("/dev/zero is not a file"), "{code:?}\n{text}");
}
