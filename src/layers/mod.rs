//! layers

pub mod configure;
