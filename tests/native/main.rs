//! Boots real images natively, in containers, for tests that need no kernel of their own. See `labimg_testkit::native`.
//!
//! Not part of a plain `cargo test`: `cargo test --profile ci --test native [NAME]` as root, as `scripts/test` does.
//! Where that is impossible the tests report it, and `tests/boot` runs them in QEMU. A failed test shows the node's
//! console and its boot report.

#![allow(
    clippy::needless_borrow,
    clippy::needless_borrows_for_generic_args,
    clippy::cast_possible_wrap,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::format_push_string,
    clippy::match_same_arms,
    clippy::similar_names,
    reason = "a panic is how a test fails, names are those of nodes, and speed is no matter here"
)]

mod base;
mod cluster;
mod conf;
mod harness;
mod hostile;
mod keys;
mod lab;
mod order;
mod power_cuts;
mod seeds;
mod servers;
mod stack;
