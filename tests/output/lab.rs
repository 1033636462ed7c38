//! Mistakes in a lab folder: in `lab.toml`, overlays, roles and manifests.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::{KEY, Session, copy};

/// A valid lab of two nodes, with these settings of k3s.
pub fn lab(session: &Session, k3s: &str) -> String {
    format!(
        "name = \"home\"\nssh_keys = [\"{KEY}\"]\n[k3s]\ncharts = \"{}\"\n{k3s}\
         [[nodes]]\nname = \"master\"\nrole = \"master\"\nboard = \"virt\"\n\
         [[nodes]]\nname = \"worker-1\"\nrole = \"worker\"\nboard = \"virt\"\n",
        session.server.url("/charts")
    )
}

/// The same mistakes as in `tests/lab`, which records how they look.
#[test]
fn every_bad_file_for_programs() {
    let mut session = Session::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/bad");
    copy(&folder, session.dir.path());
    let entries = std::fs::read_dir(&folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in &names {
        session.run(&["check", name, "--json"]);
    }
    // Other commands report the same for the same file.
    std::fs::rename(session.path("two-masters.toml"), session.path("lab.toml")).unwrap();
    for command in ["build", "lock", "update", "status", "secrets show"] {
        session.both(&command.split(' ').collect::<Vec<_>>());
    }
    session.ends("bad_labs");
}

#[test]
fn no_lab_at_all() {
    let mut session = Session::new();
    for args in [
        &["check"][..],
        &["check", "nowhere"],
        &["check", "nowhere/lab.toml"],
        &["check", "/dev/null"],
        &["build"],
        &["build", "--lab", "nowhere"],
        &["build", "worker-1"],
        &["lock"],
        &["update"],
        &["status"],
        &["secrets", "show"],
        &["secrets", "rotate", "--all", "--yes"],
    ] {
        session.both(args);
    }
    session.ends("no_lab");
}

#[test]
fn files_that_are_no_labs() {
    let mut session = Session::new();
    session.write("latin.toml", b"name = \"home\"\n# gr\xfc\xdfe\n");
    session.write("large.toml", "# much\n".repeat(40_000));
    session.write("closed.toml", lab(&session, ""));
    std::fs::set_permissions(session.path("closed.toml"), std::fs::Permissions::from_mode(0o0)).unwrap();
    session.write("binary.toml", b"name = \"a\0b\"\n");
    session.write("deep.toml", format!("name = {}1{}\n", "[".repeat(200), "]".repeat(200)));
    for name in ["latin.toml", "large.toml", "closed.toml", "binary.toml", "deep.toml"] {
        session.both(&["check", name]);
    }
    session.ends("no_text");
}

#[test]
fn a_new_lab() {
    let mut session = Session::new();
    session.both(&["new", "attic", "--board", "virt"]);
    session.both(&["check", "attic"]);
    for args in [
        &["x", "--board", "rpi44"][..],
        &["x", "--name", "My.Lab"],
        &["x", "--workers", "100"],
        &["lab.toml"],
        &["closed/x"],
    ] {
        session.write("lab.toml", "");
        std::fs::create_dir_all(session.path("closed")).unwrap();
        std::fs::set_permissions(session.path("closed"), std::fs::Permissions::from_mode(0o555)).unwrap();
        session.both(&[&["new"], args].concat());
    }
    assert!(!session.path("x").exists());
    session.ends("new");
}

#[test]
fn nodes_that_are_none() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.build(&["build", "worker-2"]);
    session.build(&["build", "router"]);
    session.build(&["build", "-o", "images"]);
    session.build(&["build", "worker-1", "--hostname", "x"]);
    assert_eq!(session.images(), Vec::<String>::new());
    session.ends("nodes");
}

#[test]
fn overlays_and_roles_that_are_not_right() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    session.write("overlays/wroker/etc/motd", "");
    session.both(&["check"]);
    std::fs::remove_dir_all(session.path("overlays")).unwrap();
    session.write("overlays/common/etc/motd", "hello\n");
    rustix::fs::mkfifoat(rustix::fs::CWD, session.path("overlays/common/etc/pipe"), rustix::fs::Mode::RWXU).unwrap();
    session.both(&["check"]);
    std::fs::remove_file(session.path("overlays/common/etc/pipe")).unwrap();
    session.write("overlays/common/boot/firmware/config.txt", "");
    session.run(&["check"]);
    session.build(&["build", "worker-1", "--generic", "--quiet"]);
    std::fs::remove_dir_all(session.path("overlays/common/boot")).unwrap();
    session.write("overlays/common/etc/hostname/x", "");
    session.build(&["build", "worker-1", "--generic", "--quiet"]);
    std::fs::remove_dir_all(session.path("overlays")).unwrap();
    session
        .write("roles/worker.toml", "title = \"x\"\nk3s = \"agent\"\noverlay = \"nothing\"\n[packages]\n[systemd]\n");
    session.both(&["check"]);
    session.write(
        "roles/worker.toml",
        "title = \"x\"\nk3s = \"agent\"\n[packages]\n[systemd]\nenable = [\"gate.service\"]\n",
    );
    session.run(&["check"]);
    session.build(&["build", "worker-1", "--generic", "--quiet"]);
    assert_eq!(session.images(), Vec::<String>::new());
    session.ends("overlays");
}

#[test]
fn names_that_would_steer_the_terminal() {
    let mut session = Session::new();
    session.write("lab.toml", "name = \"a\\u001B]0;title\\u0007\"\ntimezone = \"\\u009b31m\\u202e\"\n");
    session.both(&["check"]);
    session.write("lab.toml", "name = \"a\u{1b}[2J\"\n# \u{1b}[31m\n");
    session.both(&["check"]);
    session.ends("steering");
    let mut said = session.said.clone();
    for json in [&[][..], &["--json"]] {
        let output = session.unheard(&[&["inspect", "\u{1b}[31mred.img"], json].concat());
        said += &String::from_utf8(output.stderr).unwrap();
    }
    assert!(said.contains("\\u{1b}[31mred.img: cannot be opened") && said.contains("\\u001b[31mred.img"), "{said}");
    assert!(!said.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{said:?}");
}

#[test]
fn manifests_that_are_not_right() {
    let mut session = Session::with_archive();
    session.write("lab.toml", lab(&session, ""));
    let pod =
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: c, image: \"No Name\" }] }\n";
    for (name, text) in [
        ("app.txt", "kind: x\n"),
        ("my.app.yaml", "kind: x\n"),
        ("traefik.yaml", "kind: x\n"),
        ("app.yaml", "kind: [\n"),
        ("app.yaml", "a: 1\na: 2\n"),
        ("app.yaml", "kind: Pod\n"),
        ("app.yaml", "apiVersion: v1\nkind: Pod\n"),
        ("app.yaml", "# nothing\n"),
        ("app.yaml", "&a [*a, *a]\n"),
        ("app.yaml", pod),
    ] {
        session.note(&format!("manifests/{name}: {text:?}"));
        session.write(&format!("manifests/{name}"), text);
        session.run(&["check"]);
        session.build(&["build", "master", "--generic", "--quiet"]);
        std::fs::remove_dir_all(session.path("manifests")).unwrap();
    }
    session.note("manifests/app.yaml with 1,100 documents and 330,000 values");
    let values = "1, ".repeat(300);
    let one = |n| {
        format!("---\napiVersion: example.org/v1\nkind: Thing\nmetadata: {{ name: a{n} }}\ndata: {{ a: [{values}] }}\n")
    };
    session.write("manifests/app.yaml", (0..1_100).map(one).collect::<String>());
    session.run(&["check"]);
    session.note("manifests/app.yaml that grows while it is read");
    let lines = (1..9).map(|n| format!("l{n}: &l{n} [{}]\n", format!("*l{}, ", n - 1).repeat(9))).collect::<String>();
    session.write("manifests/app.yaml", format!("l0: &l0 text\n{lines}"));
    session.run(&["check"]);
    session.note("manifests/app.yaml with a Secret in a list, and a list in a list");
    let secret = "{ apiVersion: v1, kind: Secret, metadata: { name: a } }";
    session.write("manifests/app.yaml", format!("apiVersion: v1\nkind: List\nitems: [{secret}]\n"));
    session.build(&["build", "master", "--generic", "--quiet"]);
    session.write("manifests/app.yaml", "apiVersion: v1\nkind: List\nitems:\n- kind: SecretList\n  items: []\n");
    session.run(&["check"]);
    session.note("manifests/app.yaml in Latin-1");
    session.write("manifests/app.yaml", b"kind: x\n# gr\xfc\xdfe\n");
    session.build(&["build", "master", "--generic", "--quiet"]);
    session.ends("manifests");
}
