//! The command line: mistakes, lists, completions.

use crate::{KEY, Session};

/// The help of a command and of all its subcommands.
fn help(session: &Session, words: &[&str], all: &mut String) {
    let output = session.command().env_remove("LABIMG_MIRROR").args(words).arg("--help").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    all.extend(["$ labimg ", &[words, &["--help"]].concat().join(" "), "\n", &text, "\n"]);
    let commands = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for line in commands.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            help(session, &[words, &[name]].concat(), all);
        }
    }
}

#[test]
fn help_of_every_command() {
    let mut session = Session::new();
    let mut all = String::new();
    help(&session, &[], &mut all);
    assert!(all.contains("$ labimg build --help") && all.contains("$ labimg cache prune --help"), "{all}");
    session.said = all;
    session.ends("help");
}

#[test]
fn words_that_are_none() {
    let mut session = Session::new();
    for args in [
        &[][..],
        &["bild"],
        &["build", "--rolle", "worker"],
        &["build", "--board", "virt"],
        &["build", "--board", "virt", "--role", "worker", "--lab", "."],
        &["build", "--board", "virt", "--role", "worker", "--jobs", "0"],
        &["build", "--board", "virt", "--role", "worker", "--k3s", "never"],
        &["cache"],
        &["cache", "prune"],
        &["cache", "prune", "--size", "4X"],
        &["export", "x.img"],
        &["inspect"],
        &["inspect", "x.img", "--sbom", "xml"],
        &["secrets", "rotate"],
        &["status", "--timeout", "3"],
        &["boot", "x.img", "--mac", "52:54"],
        &["boot", "x.img", "--network", "everything"],
        &["boot", "x.img", "--rtc", "yesterday"],
        &["check", "--shema"],
    ] {
        session.run(args);
    }
    // clap's own errors do not change with --json: it has not been parsed yet.
    session.run(&["bild", "--json"]);
    session.ends("words");
}

#[test]
fn names_that_are_none() {
    let mut session = Session::new();
    let image = ["build", "--board", "virt", "--role", "worker"];
    for more in [
        &["build", "--board", "rpi44", "--role", "worker"][..],
        &["build", "--board", "toaster", "--role", "worker"],
        &["build", "--board", "virt", "--role", "mastr"],
        &["lock", "--board", "rpi44", "--role", "worker"],
        &["update", "--board", "virt", "--role", "mastr"],
    ] {
        session.both(more);
    }
    session.write("no.pub", "hello\n");
    for more in [
        &["--hostname", "My.Node"][..],
        &["--hostname", "-x"],
        &["--ssh-key", "nowhere/key.pub"],
        &["--ssh-key", "no.pub"],
        &["--ssh-key", &KEY[..40]],
        &["--mirror", "mirror.example/debian"],
        &["--keyring", "nowhere/keys.pgp"],
        &["--keyring", "no.pub"],
    ] {
        session.both(&[&image[..], more].concat());
    }
    session.ends("names");
}

#[test]
fn lists() {
    let mut session = Session::new();
    for command in ["boards", "roles"] {
        session.both(&[command]);
    }
    session.run(&["roles", "--packages"]);
    session.run(&["--version"]);
    session.ends("lists");
}

#[test]
fn a_board_and_a_role_of_the_lab_are_listed() {
    let mut session = Session::new();
    session.write("lab.toml", "name = \"x\"\n");
    session.write("roles/gate.toml", "title = \"Worker at the gate\"\nk3s = \"agent\"\n[packages]\n[systemd]\n");
    let virt = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/boards/virt.toml")).unwrap();
    session.write("boards/tiny.toml", virt.replace("title = ", "title = \"Tiny\" # "));
    session.run(&["boards"]);
    session.run(&["roles"]);
    session.write("boards/tiny.toml", virt.replace("gpt", "apm"));
    session.both(&["boards"]);
    session.both(&["check"]);
    session.write("boards/tiny.toml", virt.replace("size_mib = 512", "size_mib = 1"));
    session.write("roles/gate.toml", "title = \"x\"\nk3s = \"boss\"\n");
    session.both(&["roles"]);
    session.both(&["check"]);
    session.ends("own_parts");
}

#[test]
fn completions_for_shells() {
    let mut session = Session::new();
    // Only the first line of the text; the rest follows from the output of `--help`.
    for (shell, first) in [("bash", "_labimg() {"), ("zsh", "#compdef labimg"), ("fish", "# Print an optspec")] {
        let output = session.unheard(&["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert!(script.starts_with(first) && script.contains("ssh-key"), "{shell}: {script}");
    }
    session.both(&["completions", "csh"]);
    session.ends("completions");
}
