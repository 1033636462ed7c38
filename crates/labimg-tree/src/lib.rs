//! What the other crates of labimg stand on: a file system in memory ([`Tree`]), hashes, progress and interruption.
//!
//! A tree is path → kind, owner, mode, times, extended attributes and where the content lies; contents are references, never
//! copies, so that a whole system of 400 MiB is a few megabytes in memory.

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
