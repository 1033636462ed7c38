//! The client against servers on this computer, and the pure parts against what clusters send.

mod access;
mod cluster;
mod mdns;
mod server;
mod status;
