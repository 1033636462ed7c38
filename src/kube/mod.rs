//! What a cluster says of itself: a read-only client of the Kubernetes API, as `labimg status` needs it.
//!
//! [`Access`] (from a kubeconfig) → [`find`] (name → addresses) → [`Client`] → [`Status`] (rows). No kubectl, no system
//! certificate authorities: only the kubeconfig's own CA is trusted, and only its client certificate is shown.

mod access;
mod client;
mod error;
mod find;
mod mdns;
mod objects;
mod render;
mod status;
mod tls;

pub use access::Access;
pub use client::Client;
pub use error::{KubeError, Patience};
pub use find::{Address, find};
pub use mdns::parse_answer;
pub use objects::Objects;
pub use render::{changes, render};
pub use status::{AddOn, Chart, NodeStatus, State, Status};

#[cfg(test)]
mod tests;
