//! Commands that a test runs on this computer.

use std::process::{Command, Output};

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    output
}

/// The output of a command that must succeed.
pub fn text_of(command: &mut Command) -> String {
    String::from_utf8_lossy(&succeed(command).stdout).into_owned()
}

/// Quotes a text as one shell word.
pub fn quote(command: &str) -> String {
    format!("'{}'", command.replace('\'', r"'\''"))
}
