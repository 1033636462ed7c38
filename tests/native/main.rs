//! Boots real images natively, in containers: what needs no kernel of its own. See `labimg_testkit::native`.
//!
//! Not part of a plain `cargo test`: `cargo test --profile ci --test native [NAME]` as root, as `scripts/test` does. Where it
//! cannot be done it says so, and `tests/boot` does it in QEMU. A failed test shows the node's console and its boot report.

mod base;
mod cluster;
mod conf;
mod harness;
mod hostile;
mod lab;
mod order;
mod power_cuts;
mod seeds;
mod servers;
