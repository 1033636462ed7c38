//! labimg builds flashable SD-card images for Raspberry-Pi-class k3s nodes.
//!
//! Data flows one way, each arrow one module with one public function, each thing between two arrows one plain type:
//!
//! ```text
//! flags ─► plan::Plan ─► lock::Lock ─► store::Store ─► tree::Tree ─► image ─► card
//! ```
//!
//! [`layers`] turn a tree into a fuller tree; [`image`] streams it out; [`inspect`] reads any image back;
//! [`boot`] starts an image in QEMU. The command line ([`cli`]) is the only place that prints.

pub mod boot;
pub mod build;
pub mod changes;
pub mod charts;
pub mod cli;
pub mod containers;
pub mod inspect;
pub mod k3s;
pub mod kube;
pub mod lab;
pub mod layers;
pub mod lock_file;
pub mod manifests;
mod names;
pub mod parts;
pub mod plan;
pub mod record;
pub mod secrets;
pub mod seed;
pub mod ssh_key;
mod wording;
