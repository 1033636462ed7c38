//! The command line: help, mistakes, completions.

use std::process::{Command, Output};

use crate::{KEY, stderr, stdout};

fn labimg() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_labimg"));
    command.env_remove("LABIMG_MIRROR").env_remove("LABIMG_CACHE");
    command
}

fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{command:?}: {}", stderr(&output));
    output
}

/// Asserts that a command failed with this code and that its message holds all of these.
fn fails(command: &mut Command, code: i32, parts: &[&str]) {
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{:?} {text}", output.status);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(stdout(&output), "", "a failure has no result");
}

/// Help of a command and of all below it.
fn help(words: &[String], all: &mut String) {
    let output = succeeds(labimg().env_remove("COLUMNS").args(words).arg("--help"));
    let text = stdout(&output);
    all.extend(["$ labimg ", &[words, &["--help".to_owned()]].concat().join(" "), "\n", &text, "\n"]);
    let commands = text.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    for line in commands.filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap();
        if name != "help" {
            help(&[words, &[name.to_owned()]].concat(), all);
        }
    }
}

#[test]
fn help_of_every_command() {
    let mut all = String::new();
    help(&[], &mut all);
    assert!(all.contains("$ labimg build --help") && all.contains("$ labimg cache prune --help"), "{all}");
    insta::assert_snapshot!("help", all);
}

#[test]
fn the_version() {
    insta::with_settings!({filters => vec![(r"\d+\.\d+\.\d+", "VERSION")]}, {
        insta::assert_snapshot!(stdout(&succeeds(labimg().arg("--version"))), @"labimg VERSION");
    });
}

#[test]
fn mistakes_name_what_was_meant() {
    fails(labimg().args(["cache", "prune"]), 2, &["--days <DAYS>|--size <SIZE>"]);
    let build = |more: &[&str]| {
        let mut command = labimg();
        command.arg("build").args(more);
        command
    };
    fails(
        &mut build(&["--board", "rpi44", "--role", "worker"]),
        2,
        &["unknown board `rpi44`", "`rpi4`", "labimg boards"],
    );
    fails(
        &mut build(&["--board", "virt", "--role", "mastr"]),
        2,
        &["unknown role `mastr`", "`master`", "labimg roles"],
    );
    fails(&mut build(&["--board", "virt", "--rolle", "worker"]), 2, &["--rolle", "--role"]);
    let all = ["--board", "virt", "--role", "worker"];
    let with = |more: &[&str]| build(&[&all[..], more].concat());
    fails(&mut with(&["--hostname", "My.Node"]), 2, &["--hostname My.Node", "without a domain"]);
    fails(&mut with(&["--ssh-key", "/nowhere/key.pub"]), 2, &["/nowhere/key.pub", "No such file"]);
    fails(&mut with(&["--ssh-key", &KEY[..40]]), 2, &["--ssh-key ssh-ed25519"]);
    fails(&mut with(&["--mirror", "mirror.example/debian"]), 2, &["mirror.example/debian", "not an http or https URL"]);
    fails(&mut with(&["--jobs", "0"]), 2, &["--jobs"]);
    fails(&mut labimg(), 2, &["Usage"]);
}

#[test]
fn completions_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&succeeds(labimg().args(["completions", shell])));
        assert!(script.contains("labimg") && script.contains("ssh-key"), "{shell}: {script}");
    }
}

#[test]
fn lists_as_json() {
    for (command, name) in [("boards", "virt"), ("roles", "worker")] {
        let output = succeeds(labimg().args([command, "--json"]));
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(list.as_array().unwrap().iter().any(|item| item["name"] == name), "{list}");
        assert!(stdout(&succeeds(labimg().arg(command))).contains(name));
    }
}
