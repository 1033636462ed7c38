//! What the stack renders to, judged by a program that is not ours, against values and kinds of the charts.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{KEY, labimg, stderr, stdout};

/// The judge, and the folder of values, schemas and definitions of charts beside it.
fn judge() -> Option<(PathBuf, PathBuf)> {
    let what = "values and kinds of charts, by another program";
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/stack");
    let data = std::env::var_os("LABIMG_TEST_STACK_DATA").map_or_else(beside, PathBuf::from);
    let judge = data.join("../tools/crdcheck.py");
    if !judge.is_file() {
        labimg_testkit::skipped(what, &format!("there is no {}", judge.display()));
        return None;
    }
    let modules = Command::new("python3").args(["-c", "import yaml, jsonschema"]).stderr(Stdio::null()).status();
    if !modules.is_ok_and(|status| status.success()) {
        assert!(std::env::var_os("LABIMG_TEST_JUDGES").is_none(), "not installed: python3-yaml, python3-jsonschema");
        labimg_testkit::skipped(what, "python3 has no yaml or no jsonschema");
        return None;
    }
    Some((judge, data))
}

#[test]
fn every_profile_is_what_charts_and_kinds_say() {
    let Some((judge, data)) = judge() else { return };
    let folder = tempfile::tempdir().unwrap();
    let node = "[[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"rpi5\"\n";
    std::fs::write(folder.path().join("lab.toml"), format!("name = \"home\"\nssh_keys = [\"{KEY}\"]\n{node}")).unwrap();
    let judged = &|profile: &str| {
        let rendered = labimg(folder.path(), &["stack", "render", "--profile", profile]);
        assert!(rendered.status.success(), "{}", stderr(&rendered));
        let mut judging = Command::new("python3");
        judging.arg(&judge).arg(&data).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut judging = judging.spawn().unwrap();
        judging.stdin.take().unwrap().write_all(&rendered.stdout).unwrap();
        let said = judging.wait_with_output().unwrap();
        assert!(said.status.success(), "{profile}:\n{}{}", stdout(&said), stderr(&said));
        assert!(stdout(&said).contains(", 0 with errors"), "{profile}:\n{}", stdout(&said));
    };
    std::thread::scope(|scope| {
        for profile in ["none", "minimal", "identity", "seed", "full"] {
            scope.spawn(move || judged(profile));
        }
    });
}
