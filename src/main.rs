//! The `labimg` command.

fn main() {}
