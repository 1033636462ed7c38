//! Tests the client against servers on this computer, and the pure parts with data from real clusters.

mod access;
mod cluster;
mod mdns;
mod server;
mod status;
