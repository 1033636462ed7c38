//! Layers: functions that make a [`Tree`](crate::tree::Tree) fuller.

pub mod configure;
pub mod packages;
