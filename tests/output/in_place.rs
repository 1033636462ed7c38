//! Files are put in place whole, whatever else happens in their folder.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::Session;

fn build(session: &Session) -> Command {
    let mut command = session.command();
    command.args([
        "build",
        "--board",
        "virt",
        "--role",
        "worker",
        "-o",
        "out/t.img",
        "--quiet",
        "--ssh-key",
        "key.pub",
    ]);
    command.args(session.from()).stderr(Stdio::piped()).stdout(Stdio::null());
    command
}

#[test]
fn two_builds_to_one_output_both_succeed_and_follow_no_link() {
    let session = Session::with_archive();
    session.write("key.pub", crate::KEY);
    session.write("victim", "precious");
    std::fs::create_dir(session.path("out")).unwrap();
    for name in [".t.img.json.partial", ".t.img.json.labimg-000000.partial", "t.img.json"] {
        symlink("../victim", session.path("out").join(name)).unwrap();
    }
    let running = [(); 3].map(|()| build(&session).spawn().unwrap());
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(session.read("victim"), "precious");
    let record: serde_json::Value = serde_json::from_str(&session.read("out/t.img.json")).unwrap();
    assert_eq!(record["board"], "virt");
    assert!(!session.path("out/t.img.json").is_symlink());
    let names = std::fs::read_dir(session.path("out")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !session.path("out").join(name).is_symlink()).collect();
    names.sort();
    assert_eq!(names, ["t.img", "t.img.json"], "nothing is left");
    assert!(session.unheard(&["inspect", "out/t.img"]).status.success());
}

/// What is no file is never replaced.
#[test]
fn an_archive_does_not_take_the_place_of_a_device() {
    let session = Session::with_archive();
    let target = session.path("pipe");
    assert!(Command::new("mkfifo").arg(&target).status().unwrap().success());
    let output = session.unheard(&["export", "nothing.img", "--tar", "pipe"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("something other than a file stands there"), "{said}");
    assert!(!target.is_file());
}
