//! What a test needs from a running node, emulated or native.

use std::time::Duration;

/// A running node that executes commands.
pub trait Machine {
    /// Runs a command on the node as its user, for at most this long; fails the test when it fails.
    fn run_within(&self, command: &str, within: Duration) -> String;

    /// Runs a command on the node until it succeeds.
    fn wait_until(&self, what: &str, command: &str, within: Duration) -> String;

    /// Runs a command on the node; fails the test when it fails.
    fn run(&self, command: &str) -> String {
        self.run_within(command, Duration::from_secs(120))
    }
}
