//! Functions that make a tree fuller, each one layer: packages, configuration, kernel, overlays, node, board.

pub mod node;
pub mod overlay;
