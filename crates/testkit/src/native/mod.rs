//! Nodes that boot natively: the root of a real image in a systemd-nspawn container, for tests that do not need its
//! kernel. A hundred times as fast as an emulated machine.
//!
//! All machines of a test are in one network, in their own namespaces (network, processes, mounts). Whatever happens to
//! the test, nothing stays behind: the kernel ends processes, mounts and loop devices with the namespaces; control
//! groups and folders are removed when the [`Network`] is dropped, or else at the next start ([`able`]).

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
