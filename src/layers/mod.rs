//! Layers: functions that turn a tree into a fuller tree.

pub mod board;
pub mod kernel;
