//! A read-only client of the Kubernetes API, as needed by `labimg status`.
//!
//! [`Access`] (from a kubeconfig) → [`find`] (name → addresses) → [`Client`] → [`Status`] (rows). It uses neither
//! kubectl nor the system's certificate authorities: it only trusts the kubeconfig's CA and only sends its client
//! certificate.

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
