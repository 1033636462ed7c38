//! A client of the Kubernetes API, as needed by `labimg status`, which only reads, and by `labimg stack` ([`apply`]).
//!
//! [`Access`] (from a kubeconfig) → [`find`] (name → addresses) → [`Client`] → [`Status`] (rows). It uses neither
//! kubectl nor the system's certificate authorities: it only trusts the kubeconfig's CA and only sends its client
//! certificate.

mod access;
pub mod apply;
mod client;
mod error;
mod find;
mod mdns;
mod objects;
mod pause;
mod render;
mod status;
mod tls;

pub use access::Access;
pub use client::{Answer, Client, Verb};
pub use error::{KubeError, Patience};
pub use find::{Address, find};
pub use mdns::parse_answer;
pub use objects::Objects;
pub use pause::pause;
pub use render::{changes, render};
pub use status::{AddOn, Chart, NodeStatus, State, Status};

#[cfg(test)]
mod tests;
