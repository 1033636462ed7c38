//! Commands of this computer that a test runs.

use std::process::{Command, Output};

/// Runs a command that must succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    output
}

/// What a command that must succeed writes.
pub fn text_of(command: &mut Command) -> String {
    String::from_utf8_lossy(&succeed(command).stdout).into_owned()
}

/// For the shell, as one word.
pub fn quote(command: &str) -> String {
    format!("'{}'", command.replace('\'', r"'\''"))
}
