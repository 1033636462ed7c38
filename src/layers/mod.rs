//! Functions that add to a tree, each one layer: packages, configuration, kernel, overlays, node, board.

pub mod accounts;
pub mod board;
pub mod containers;
pub mod k3s;
pub mod manifests;
pub mod node;
pub mod overlay;
pub mod units;
