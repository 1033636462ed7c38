//! What the tests of the readers share.

use std::process::Command;

/// Runs a tool that must succeed.
pub fn run(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?} (install e2fsprogs, mtools, dosfstools): {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
