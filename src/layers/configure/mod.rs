//! Configuration.

pub mod generate;
