//! Nodes that boot natively: the root of a real image in a systemd-nspawn container, where the kernel is not what is tested.
//! A hundred times as fast as an emulated machine.
//!
//! All of a test's machines are in one network, which is a namespace of its own (network, processes, mounts). What they
//! leave ends with it, whatever becomes of the test: processes, mounts and loop devices by themselves, control groups and
//! folders when the [`Network`] is dropped, or else at the next start ([`able`]).

mod able;
mod card;
mod lab;
mod leftovers;
mod network;
mod node;
mod processes;

pub use able::able;
pub use card::Card;
pub use lab::{Lab, LabRequest, Tools, make_key};
pub use leftovers::sweep;
pub use network::{Network, ROUTER};
pub use node::{Node, Power};
