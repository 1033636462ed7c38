//! Runs the node's scripts on this computer: each with a folder as its root, and with stand-ins for the few commands
//! that would change the computer itself.
//!
//! Needs shellcheck, tar, gzip, ssh-keygen, wpasupplicant, sfdisk, wipefs, blkid, e2fsprogs, mkfs.vfat and
//! perl.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod clock;
mod conf;
mod disks;
mod exports;
mod master;
mod mount;
mod online;
mod prepare;
mod report;
mod root;
mod seed;
mod stack;
mod stack_api;
mod storage;
mod values;
mod wifi;

use std::path::{Path, PathBuf};
use std::process::Command;

fn overlays() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("overlays")
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn shell_scripts_are_clean() {
    if labimg_testkit::judges::missing(&["shellcheck"]) {
        return;
    }
    let all = files(&overlays());
    let is_shell = |path: &&PathBuf| {
        path.extension().is_some_and(|e| e == "sh") || std::fs::read(path).unwrap().starts_with(b"#!/bin/sh")
    };
    let scripts: Vec<_> = all.iter().filter(is_shell).collect();
    assert!(scripts.len() > 10, "only {} scripts", scripts.len());
    let output = Command::new("shellcheck").args(["--shell", "sh"]).args(&scripts).output().expect("shellcheck runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// What a unit starts must be in the overlays, and units ordered after one of ours must spell its name correctly.
#[test]
fn units_name_what_is_there() {
    let all = files(&overlays());
    let there = |name: &str| all.iter().any(|p| p.to_string_lossy().ends_with(name));
    let mut commands = 0;
    for path in all.iter().filter(|p| p.to_string_lossy().contains("/systemd/system/")) {
        let text = std::fs::read_to_string(path).unwrap();
        for word in text.split_whitespace().map(|w| w.rsplit('=').next().unwrap()) {
            if word.starts_with("/usr/lib/labimg/") {
                commands += 1;
                assert!(there(word), "{}: {word} is missing", path.display());
            }
            if word.starts_with("labimg-") && [".service", ".path"].iter().any(|suffix| word.ends_with(suffix)) {
                assert!(
                    there(&format!("/system/{word}")) || word == "labimg-k3s-install.service",
                    "{}: {word}",
                    path.display()
                );
            }
        }
    }
    assert!(commands > 10);
}
