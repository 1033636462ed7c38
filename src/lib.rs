//! labimg builds flashable SD-card images for Raspberry-Pi-class k3s nodes.
//!
//! Data flows one way. Each arrow is one module with one public function, and each thing between two arrows is one
//! plain type:
//!
//! ```text
//! flags ─► plan::Plan ─► lock::Lock ─► store::Store ─► tree::Tree ─► image ─► card
//! ```
//!
//! [`layers`] add to a tree; [`labimg_disk::write`] writes it out; [`inspect`] reads any image back; [`boot`] starts an image in
//! QEMU. The command line ([`cli`]) is the only part that prints.

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
pub mod stack;
mod user_name;
mod wifi;
mod wording;
