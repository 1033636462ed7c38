//! What to build, resolved from flags, `lab.toml` and defaults.

pub mod board;
