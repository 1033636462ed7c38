//! Makes Debian systems without dpkg: from a signed archive to a configured tree.
//!
//! ```text
//! names ─► lock ─► Lock ─► deb ─► Deb ─► packages ─► Tree ─► configure ─► Tree ─► kernel ─► indexes, initramfs
//!          signed indexes,        the files          unpacked          what maintainer
//!          resolver               of a package                         scripts would do
//! ```
//!
//! The text formats are in [`deb822`], [`relation`] and [`version`] (Debian Policy, chapters 5 and 7).

pub mod configure;
pub mod deb;
pub mod deb822;
pub mod der;
pub mod kernel;
pub mod lock;
pub mod packages;
pub mod relation;
pub mod version;
