//! A lab with its secrets, and `labimg` in it.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use labimg::lab;
use labimg::secrets::{FOLDER, Secrets};
use serde_json::Value;
use tempfile::TempDir;

/// The master's name in the kubeconfig.
pub const NAME: &str = "master.local";

/// A lab folder.
pub struct Lab(TempDir);

impl Lab {
    /// Of one master and two workers, with its secrets.
    pub fn new(profile: &str) -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        lab.write(profile, "");
        let folder = lab::load(lab.path()).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let secrets = Secrets::open(&lab.path().join(FOLDER), &folder.lab, i64::try_from(now).unwrap()).unwrap();
        secrets.write_kubeconfig(&folder).unwrap().unwrap();
        lab
    }

    /// Writes `lab.toml`, with more tables at its end.
    pub fn write(&self, profile: &str, more: &str) {
        let mut text = "name = \"home\"\ndomain = \"lab.example\"\nssh_keys = [\"ssh-ed25519 \
            AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@home\"]\n"
            .to_owned();
        for (name, role) in [("master", "master"), ("one", "worker"), ("two", "worker"), ("three", "worker")] {
            write!(text, "[[nodes]]\nname = \"{name}\"\nrole = \"{role}\"\nboard = \"virt\"\n").unwrap();
        }
        write!(text, "[stack]\nprofile = \"{profile}\"\n{more}").unwrap();
        std::fs::write(self.path().join("lab.toml"), text).unwrap();
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `labimg stack …`; standard output as text, and whether it went well.
    pub fn try_stack(&self, arguments: &[&str]) -> (String, String, bool) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_labimg"));
        command.arg("stack").args(arguments).current_dir(self.path()).env("HOME", self.path());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.success())
    }

    /// The same as JSON; it must go well.
    pub fn stack(&self, arguments: &[&str]) -> Value {
        let (out, error, is_good) = self.try_stack(&[arguments, &["--json"]].concat());
        assert!(is_good, "{arguments:?}: {out}{error}");
        serde_json::from_str(&out).unwrap()
    }

    /// All objects that the master deploys.
    pub fn objects(&self) -> Vec<Value> {
        let files = self.stack(&["render"]);
        let texts = files.as_object().unwrap().values().map(|text| text.as_str().unwrap());
        let objects: Vec<Value> = texts.flat_map(documents).collect();
        assert!(objects.iter().all(|object| object.get("items").is_none()), "lists are not opened here");
        objects
    }
}

/// The documents of a YAML text that are not empty.
pub fn documents(text: &str) -> Vec<Value> {
    let values = serde_saphyr::from_multiple::<Option<Value>>(text).unwrap_or_else(|e| panic!("{e}:\n{text}"));
    values.into_iter().flatten().filter(|value| !value.is_null()).collect()
}
