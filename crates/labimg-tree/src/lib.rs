//! What the other crates of labimg build on: a file system in memory ([`Tree`]), hashes, progress and interruption.
//!
//! A tree maps a path to kind, owner, mode, times, extended attributes and the place of the content. Contents are
//! references, never copies, so a system of 400 MiB takes a few megabytes of memory.

pub mod fault;
pub mod files;
pub mod hash;
pub mod human;
pub mod interrupt;
pub mod platform;
pub mod progress;
pub mod suggest;
mod tree;

pub use tree::{
    Blob, Content, ContentReader, Inode, InodeId, Kind, LayerId, PathError, Tree, TreeError, TreePath, listing,
};
